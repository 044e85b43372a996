"""From the PipelineSpec on the wire to the checked tree that the planner reads.

Follows ``pipeline_spec.proto`` (schema 2.1.0, and what kfp 2.0 still wrote). A feature that is not built is refused
here, when the pipeline is submitted, by its name; nothing of a pipeline is silently left out.
"""

from collections.abc import Mapping
from typing import Any

from headwater.pipelines.spec.checks import check_dag, in_order, mentioned_problems
from headwater.pipelines.spec.declarations import (
    read_artifact_input,
    read_artifact_origin,
    read_artifact_output,
    read_importer,
    read_loop,
    read_parameter_input,
    read_parameter_selectors,
    read_parameter_source,
    read_parameter_type,
    read_resources,
    read_retry,
)
from headwater.pipelines.spec.messages import Message
from headwater.pipelines.spec.tree import (
    Component,
    Container,
    Dag,
    FinalStatus,
    Importer,
    Pipeline,
    SpecError,
    Task,
    TaskOutput,
    Trigger,
)
from headwater.pipelines.spec.values import coerce, describe


def load(spec: Mapping[str, Any], platform: Mapping[str, Any] | None = None) -> Pipeline:
    """Read and check a whole pipeline. Raises ``SpecError`` with everything that is wrong with it."""
    return _Loader(spec, platform).pipeline()


def check_run_parameters(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the root's parameters for a run: what was given, as the declared types have it, and the defaults.

    Optional parameters that got no value are left out. Raises ``SpecError`` for unknown, missing and unfit ones.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    known = pipeline.root.parameters
    for name in given:
        if name not in known:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            problems.append(f"the pipeline has no parameter {name!r}; {has}")
    for name, declared in known.items():
        value = given.get(name)
        try:
            value = coerce(value if value is not None else declared.default, declared.type)
        except ValueError as error:
            problems.append(f"parameter {name!r}: {error}")
            continue
        if value is None and not declared.optional:
            problems.append(
                f"the pipeline needs the parameter {name!r} ({declared.type}), and the run does not give it"
            )
        elif value is not None and declared.literals and value not in declared.literals:
            problems.append(f"parameter {name!r}: {describe(value)} is not one of {list(declared.literals)}")
        elif value is not None:
            values[name] = value
    if problems:
        raise SpecError(problems)
    return values


class _Loader:
    def __init__(self, spec: Mapping[str, Any], platform: Mapping[str, Any] | None) -> None:
        self.problems: list[str] = []
        self.spec = Message(spec, "", self.problems)
        self.components = dict(self.spec.messages("components", "component"))
        deployment = self.spec.message("deploymentSpec")
        self.executors = dict(deployment.messages("executors", "executor"))
        deployment.done()
        self.kubernetes: Mapping[str, Any] = {}
        self.config = Message({}, "pipelineConfig", self.problems)
        if platform:
            self._platform(platform)
        self.loaded: dict[str, Component | None] = {}
        self._open: set[str] = set()

    def _platform(self, document: Mapping[str, Any]) -> None:
        platforms = Message(document, "platform specification", self.problems)
        for name, one in platforms.messages("platforms", "platform"):
            if name != "kubernetes":
                one.wrong("only the platform 'kubernetes' is known")
                continue
            one.text("platform")
            if one.mapping("config"):
                one.wrong("'config' is not built yet")
            deployment = one.message("deploymentSpec")
            self.kubernetes = deployment.mapping("executors")
            deployment.done()
            self.config = one.message("pipelineConfig")
            one.done()
        platforms.done()

    def pipeline(self) -> Pipeline:
        info = self.spec.message("pipelineInfo")
        name = info.text("name")
        if not name:
            self.problems.append("pipelineInfo.name is missing")
        schema = self.spec.text("schemaVersion")
        if schema and not schema.startswith("2."):
            self.spec.wrong(f"schemaVersion {schema!r} is not known; expected 2.x")
        root = None
        if self.spec.has("root"):
            root = self._component("root", Message(self.spec.mapping("root"), "", self.problems))
        else:
            self.problems.append("the pipeline has no root")
        if root is not None and not isinstance(root.body, Dag):
            self.problems.append("the root must be made of tasks (a dag)")
        display, description = info.text("displayName"), info.text("description")
        default_root, sdk = self.spec.text("defaultPipelineRoot"), self.spec.text("sdkVersion")
        info.done()
        self.spec.done()
        if self.config.has("workspace"):
            self.config.wrong("a workspace for the whole pipeline is not built yet")
        ttl = [self.config.number(n) for n in ("resourceTtlOnCompletion", "resourceTtl") if self.config.has(n)]
        for later in ("resourceTtlOnSuccess", "resourceTtlOnFailure"):
            if self.config.has(later):
                self.config.wrong(f"{later} is not built yet; use resourceTtlOnCompletion")
        deadline = int(self.config.number("activeDeadlineSeconds"))
        self.config.done()
        if self.problems or root is None:
            raise SpecError(self.problems)
        return Pipeline(
            name=name,
            root=root,
            default_root=default_root,
            description=description or display,
            sdk_version=sdk,
            active_deadline_seconds=deadline,
            ttl_seconds=int(ttl[0]) if ttl else None,
        )

    def _named(self, name: str, task: Message) -> Component | None:
        if name in self.loaded:
            found = self.loaded[name]
            if found is None and name in self._open:
                task.wrong(f"component {name!r} contains itself; recursion is not possible in a PipelineSpec")
            return found
        message = self.components.get(name)
        if message is None:
            task.wrong(f"component {name!r} is not in the pipeline" if name else "componentRef.name is missing")
            return None
        self.loaded[name] = None
        self._open.add(name)
        self.loaded[name] = self._component(name, message)
        self._open.discard(name)
        return self.loaded[name]

    def _component(self, name: str, message: Message) -> Component | None:
        before = len(self.problems)
        inputs, outputs = message.message("inputDefinitions"), message.message("outputDefinitions")
        parameters = {key: read_parameter_input(one) for key, one in inputs.messages("parameters", "input parameter")}
        artifacts = {key: read_artifact_input(one) for key, one in inputs.messages("artifacts", "input artifact")}
        output_parameters = {
            key: read_parameter_type(one, final=True) for key, one in outputs.messages("parameters", "output parameter")
        }
        output_artifacts = {
            key: read_artifact_output(one) for key, one in outputs.messages("artifacts", "output artifact")
        }
        inputs.done()
        outputs.done()
        label = message.text("executorLabel")
        if message.items("singlePlatformSpecs"):
            message.wrong("singlePlatformSpecs are not built yet")
        if message.items("taskConfigPassthroughs"):
            message.wrong("taskConfigPassthroughs (TaskConfig) are not built yet")
        body: Dag | Container | Importer | None
        if message.has("dag"):
            body = self._dag(name, message.message("dag"))
        elif label in self.executors:
            body = self._executor(label, self.executors[label])
        else:
            body = None
            message.wrong(
                f"executor {label!r} is not in deploymentSpec.executors" if label else "it has neither dag nor executor"
            )
        message.done()
        if body is None:
            return None
        component = Component(name, body, parameters, artifacts, output_parameters, output_artifacts)
        if len(self.problems) == before:
            where = message.where
            if isinstance(body, Dag):
                self.problems += check_dag(component, "" if name == "root" else where)
            else:
                self.problems += [f"{where}: {text}" for text in mentioned_problems(component)]
        return component

    def _dag(self, name: str, message: Message) -> Dag | None:
        prefix = "" if name == "root" else f"component {name!r}: "
        tasks: dict[str, Task] = {}
        complete = True
        for key, one in message.messages("tasks", "task"):
            one.where = f"{prefix}task {key!r}"
            if not key or "/" in key:
                one.wrong("a task's name must not be empty nor contain '/'")
            task = self._task(key, one)
            one.done()
            if task is None:
                complete = False
            else:
                tasks[key] = task
        outputs = message.message("outputs")
        parameters = {k: read_parameter_selectors(one) for k, one in outputs.messages("parameters", "output parameter")}
        artifacts = {}
        for key, one in outputs.messages("artifacts", "output artifact"):
            selectors = [Message(item, one.where, self.problems) for item in one.items("artifactSelectors")]
            artifacts[key] = tuple(
                TaskOutput(selector.text("producerSubtask"), selector.text("outputArtifactKey"))
                for selector in selectors
            )
            one.done()
        outputs.done()
        message.done()
        if not complete:
            return None
        ordered, problems = in_order(tasks)
        self.problems += [prefix + text for text in problems]
        return None if problems else Dag(ordered, parameters, artifacts)

    def _task(self, name: str, message: Message) -> Task | None:
        component = self._named(message.message("componentRef").text("name"), message)
        inputs = message.message("inputs")
        parameters, artifacts = {}, {}
        for key, one in inputs.messages("parameters", "input"):
            parameters[key] = read_parameter_source(one)
        for key, one in inputs.messages("artifacts", "input"):
            artifacts[key] = read_artifact_origin(one)
        inputs.done()
        caching, policy = message.message("cachingOptions"), message.message("triggerPolicy")
        trigger = policy.text("strategy")
        if trigger in ("", "TRIGGER_STRATEGY_UNSPECIFIED"):
            trigger = Trigger.SUCCEEDED
        if trigger not in list(Trigger):
            policy.wrong(f"strategy {trigger!r} is not known")
            trigger = Trigger.SUCCEEDED
        loop = read_loop(message)
        retry = read_retry(message.message("retryPolicy"))
        if retry and component is not None and not isinstance(component.body, Container):
            message.wrong("retrying a task that is made of other tasks is not built yet")
        produced = [s.origin for s in parameters.values() if s and isinstance(s.origin, TaskOutput | FinalStatus)]
        produced += [origin for origin in artifacts.values() if isinstance(origin, TaskOutput)]
        upstream = frozenset(message.texts("dependentTasks")) | {origin.task for origin in produced}
        display = message.message("taskInfo").text("name")
        task_parameters = {key: source for key, source in parameters.items() if source is not None}
        task_artifacts = {key: origin for key, origin in artifacts.items() if origin is not None}
        made = None
        if component is not None:
            made = Task(
                name=name,
                component=component,
                display_name=display or name,
                parameters=task_parameters,
                artifacts=task_artifacts,
                upstream=upstream,
                condition=policy.text("condition"),
                trigger=Trigger(trigger),
                loop=loop,
                retry=retry,
                cache=caching.flag("enableCache"),
                cache_key=caching.text("cacheKey"),
            )
        caching.done()
        policy.text("condition")
        policy.done()
        return made

    def _executor(self, label: str, message: Message) -> Container | Importer | None:
        for unbuilt in ("resolver", "customJob"):
            if message.has(unbuilt):
                message.wrong(f"executors of the kind {unbuilt!r} are not built yet")
                return None
        if message.has("importer"):
            return read_importer(message.message("importer"))
        if not message.has("container"):
            message.wrong("it holds no container")
            return None
        container = message.message("container")
        kubernetes = self.kubernetes.get(label) or {}
        if kubernetes:
            names = ", ".join(sorted(map(str, kubernetes)))
            self.problems.append(f"executor {label!r}: these settings of kfp-kubernetes are not built yet: {names}")
        if container.has("lifecycle"):
            container.wrong("lifecycle (pre-cache check) is not built yet")
        image = container.text("image")
        if not image:
            container.wrong("image is missing")
        env = []
        for item in container.items("env"):
            one = Message(item, f"{container.where}: env", self.problems)
            env.append((one.text("name"), one.text("value")))
            one.done()
        resources = read_resources(container.message("resources"))
        made = Container(image, container.texts("command"), container.texts("args"), tuple(env), resources)
        container.done()
        message.done()
        return made
