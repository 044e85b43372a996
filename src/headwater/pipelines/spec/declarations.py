"""The leaves of a PipelineSpec: declared inputs and outputs, sources of values, loops, retries, importers, resources.

Each function reads one message of ``pipeline_spec.proto`` and reports what is wrong with it to the message.
"""

import json
from collections.abc import Mapping
from typing import Any

from headwater.pipelines.spec.messages import Message
from headwater.pipelines.spec.tree import (
    ArtifactInput,
    ArtifactOrigin,
    ArtifactOutput,
    ArtifactType,
    ComponentInput,
    Constant,
    FinalStatus,
    Importer,
    Loop,
    ParameterInput,
    ParameterOrigin,
    ParameterSource,
    ParameterType,
    Resources,
    RetryPolicy,
    TaskOutput,
)
from headwater.pipelines.spec.values import coerce

_OLD_TYPES = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE", "STRING": "STRING"}


def read_parameter_type(message: Message, *, final: bool = False) -> ParameterType:
    """Read the type of a parameter that a component takes or makes."""
    text = message.text("parameterType") or _OLD_TYPES.get(message.text("type"), "")
    if final:
        message.text("description")
        message.text("type")
        message.done()
    try:
        return ParameterType(text)
    except ValueError:
        unbuilt = "TASK_CONFIG is not built yet" if text == "TASK_CONFIG" else f"parameterType {text!r} is not known"
        message.wrong(unbuilt)
        return ParameterType.STRING


def read_parameter_input(message: Message) -> ParameterInput:
    """Read a parameter that a component takes."""
    kind = read_parameter_type(message)
    message.text("description")
    message.text("type")
    default, literals = message.raw("defaultValue"), message.items("literals")
    optional = message.flag("isOptional")
    message.done()
    try:
        default = coerce(default, kind)
        literals = tuple(coerce(literal, kind) for literal in literals)
    except ValueError as error:
        message.wrong(f"default value: {error}")
    return ParameterInput(kind, optional, default, literals)


def _artifact_type(message: Message) -> ArtifactType:
    title = message.text("schemaTitle") or message.text("schemaUri")
    version = message.text("schemaVersion")
    schema = message.text("instanceSchema")
    message.done()
    if not title and schema:
        found = [line.partition(":")[2].strip() for line in schema.splitlines() if line.startswith("title:")]
        title = found[0].replace("kfp.", "system.") if found else ""
    return ArtifactType(title or "system.Artifact", version or "0.0.1")


def read_artifact_input(message: Message) -> ArtifactInput:
    """Read an artifact that a component takes."""
    message.text("description")
    kind = _artifact_type(message.message("artifactType"))
    made = ArtifactInput(kind, message.flag("isArtifactList"), message.flag("isOptional"))
    message.done()
    return made


def read_artifact_output(message: Message) -> ArtifactOutput:
    """Read an artifact that a component makes."""
    message.text("description")
    kind = _artifact_type(message.message("artifactType"))
    metadata = dict(message.mapping("metadata"))
    for old in ("properties", "customProperties"):
        metadata |= {key: _plain(value) for key, value in message.mapping(old).items()}
    made = ArtifactOutput(kind, message.flag("isArtifactList"), metadata)
    message.done()
    return made


def _plain(value: Any) -> Any:
    """Unwrap a ``ValueOrRuntimeParameter`` that holds a constant."""
    if not isinstance(value, Mapping):
        return value
    constant = value.get("constant", value.get("constantValue"))
    if isinstance(constant, Mapping):
        for name, read in (("intValue", int), ("doubleValue", float), ("stringValue", str)):
            if name in constant and len(constant) == 1:
                return read(constant[name])
    return constant


def read_parameter_source(message: Message) -> ParameterSource | None:
    """Read where a task's parameter comes from; None (and a problem) when it does not say."""
    origin: ParameterOrigin | None = None
    if message.has("componentInputParameter"):
        origin = ComponentInput(message.text("componentInputParameter"))
    elif message.has("taskOutputParameter"):
        output = message.message("taskOutputParameter")
        origin = TaskOutput(output.text("producerTask"), output.text("outputParameterKey"))
        output.done()
    elif message.has("runtimeValue"):
        value = message.mapping("runtimeValue")
        if "runtimeParameter" in value:
            message.wrong("a runtimeParameter has no meaning inside a pipeline; use componentInputParameter")
        origin = Constant(_plain(value))
    elif message.has("taskFinalStatus"):
        origin = FinalStatus(message.message("taskFinalStatus").text("producerTask"))
    selector = message.text("parameterExpressionSelector")
    message.done()
    if origin is None:
        message.wrong("it says nowhere where its value comes from")
        return None
    return ParameterSource(origin, selector)


def read_artifact_origin(message: Message) -> ArtifactOrigin | None:
    """Read where a task's artifact comes from; None (and a problem) when it does not say."""
    origin: ArtifactOrigin | None = None
    if message.has("componentInputArtifact"):
        origin = ComponentInput(message.text("componentInputArtifact"))
    elif message.has("taskOutputArtifact"):
        output = message.message("taskOutputArtifact")
        origin = TaskOutput(output.text("producerTask"), output.text("outputArtifactKey"))
        output.done()
    message.done()
    if origin is None:
        message.wrong("it says nowhere where its artifact comes from")
    return origin


def read_parameter_selectors(message: Message) -> tuple[TaskOutput, ...]:
    """Read the sources of a DAG's output, in the order of preference."""
    if message.has("valueFromOneof"):
        one_of = message.message("valueFromOneof")
        chosen = [Message(item, message.where, message.problems) for item in one_of.items("parameterSelectors")]
    else:
        chosen = [message.message("valueFromParameter")]
    message.done()
    return tuple(TaskOutput(one.text("producerSubtask"), one.text("outputParameterKey")) for one in chosen)


def read_loop(message: Message) -> Loop | None:
    """Read a task's iterator, if it has one."""
    policy = message.message("iteratorPolicy")
    parallelism = int(policy.number("parallelismLimit"))
    policy.done()
    if message.has("parameterIterator"):
        iterator = message.message("parameterIterator")
        items = iterator.message("items")
        loop = Loop(iterator.text("itemInput"), None, items.text("inputParameter"), False, max(parallelism, 0))
        if items.has("raw"):
            try:
                listed = json.loads(items.text("raw"))
            except ValueError:
                listed = None
            if not isinstance(listed, list):
                items.wrong("raw must be a JSON list")
                listed = []
            loop = Loop(iterator.text("itemInput"), tuple(listed), "", False, max(parallelism, 0))
        items.done()
    elif message.has("artifactIterator"):
        iterator = message.message("artifactIterator")
        items = iterator.message("items")
        loop = Loop(iterator.text("itemInput"), None, items.text("inputArtifact"), True, max(parallelism, 0))
        items.done()
    else:
        return None
    iterator.done()
    return loop


def read_retry(message: Message) -> RetryPolicy | None:
    """Read how often a step is tried again; None when it is not."""
    if not message:
        return None
    retry = RetryPolicy(
        max_retries=int(message.number("maxRetryCount")),
        backoff_seconds=message.seconds("backoffDuration", 0.0),
        factor=message.number("backoffFactor") or 2.0,
        max_backoff_seconds=message.seconds("backoffMaxDuration", 3600.0),
    )
    message.done()
    return retry if retry.max_retries > 0 else None


def read_importer(message: Message) -> Importer:
    """Read an importer."""
    if message.flag("downloadToWorkspace"):
        message.wrong("downloadToWorkspace is not built yet")
    source = message.mapping("artifactUri")
    constant = _plain(source)
    kind = _artifact_type(message.message("typeSchema"))
    metadata = dict(message.mapping("metadata"))
    for old in ("properties", "customProperties"):
        metadata |= {key: _plain(value) for key, value in message.mapping(old).items()}
    made = Importer(
        kind, str(constant or ""), str(source.get("runtimeParameter") or ""), metadata, message.flag("reimport")
    )
    if not made.uri and not made.uri_input:
        message.wrong("artifactUri is missing")
    message.done()
    return made


def read_resources(message: Message) -> Resources:
    """Read what a step asks for; the numbers that older kfp wrote are read where there is no text."""

    def amount(name: str, plain: str, unit: str) -> str:
        text, number = message.text(name), message.number(plain)
        return text or (f"{number:g}{unit}" if number else "")

    accelerator = message.message("accelerator")
    count = accelerator.text("resourceCount") or str(int(accelerator.number("count")) or "")
    kind = accelerator.text("resourceType") or accelerator.text("type")
    accelerator.text("type")
    accelerator.number("count")
    accelerator.done()
    made = Resources(
        cpu_request=amount("resourceCpuRequest", "cpuRequest", ""),
        cpu_limit=amount("resourceCpuLimit", "cpuLimit", ""),
        memory_request=amount("resourceMemoryRequest", "memoryRequest", "G"),
        memory_limit=amount("resourceMemoryLimit", "memoryLimit", "G"),
        accelerator_type=kind,
        accelerator_count=count,
    )
    message.done()
    return made
