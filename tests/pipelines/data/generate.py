# ruff: noqa: SIM115, B905, RUF013, F841, UP045, B006 - components are written as kfp reads them
"""Writes the compiled pipelines beside this file, with the ``kfp`` SDK. Run it with an interpreter that has kfp 2.17:

    python tests/pipelines/data/generate.py

Each function below is one pipeline; its name is the file's.
"""

from pathlib import Path
from typing import NamedTuple, Optional

from kfp import compiler, dsl
from kfp.dsl import (
    Artifact,
    ClassificationMetrics,
    Collected,
    Dataset,
    Input,
    Metrics,
    Model,
    Output,
    PipelineTaskFinalStatus,
)

IMAGE = "python:3.11"
component = dsl.component(base_image=IMAGE)


@component
def add(a: int, b: int) -> int:
    return a + b


@component
def double(x: int) -> int:
    return 2 * x


@component
def say(text: str = "hello") -> str:
    print(text)
    return text


@component
def flip() -> str:
    return "heads"


@component
def numbers(n: int) -> list:
    return list(range(n))


@component
def records() -> list:
    return [{"label": "a", "size": 1}, {"label": "b", "size": 2}]


@component
def total(values: list) -> int:
    return sum(values)


@component
def collect_nested(values: list[list[int]]) -> int:
    return sum(sum(row) for row in values)


@component
def ratio() -> float:
    return 0.5


@component
def is_ready() -> bool:
    return True


@component
def fail(message: str = "on purpose"):
    raise RuntimeError(message)


@component
def make_dataset(rows: int, data: Output[Dataset]) -> int:
    with open(data.path, "w") as file:
        file.write("\n".join(str(i) for i in range(rows)))
    data.metadata["rows"] = rows
    return rows


@component
def split_dataset(data: Input[Dataset], train: Output[Dataset], test: Output[Dataset]):
    lines = open(data.path).read().split()
    half = len(lines) // 2
    open(train.path, "w").write("\n".join(lines[:half]))
    open(test.path, "w").write("\n".join(lines[half:]))


@component
def train_model(train: Input[Dataset], algorithm: str, model: Output[Model]) -> float:
    open(model.path, "w").write(algorithm)
    model.framework = "none"
    model.metadata["algorithm"] = algorithm
    return float(len(algorithm))


@component
def evaluate_model(
    test: Input[Dataset], model: Input[Model], metrics: Output[Metrics], curve: Output[ClassificationMetrics]
) -> float:
    score = float(len(open(model.path).read()))
    metrics.log_metric("score", score)
    curve.log_confusion_matrix(["no", "yes"], [[5, 1], [2, 4]])
    curve.log_roc_curve([0.0, 0.5, 1.0], [0.0, 0.8, 1.0], [1.0, 0.5, 0.0])
    return score


@component
def pick_best(models: Input[list[Model]], scores: list[float], best: Output[Model]) -> NamedTuple(
    "Choice", [("algorithm", str), ("score", float)]
):
    from collections import namedtuple

    score, winner = max(zip(scores, models), key=lambda pair: pair[0])
    best.metadata.update(winner.metadata)
    open(best.path, "w").write(open(winner.path).read())
    return namedtuple("Choice", ["algorithm", "score"])(winner.metadata["algorithm"], score)


@component
def read_all(models: Input[list[Model]]) -> int:
    return len(models)


@component
def final(status: PipelineTaskFinalStatus, note: str = "x"):
    print(status.state, status.error_message, note)


@component
def optional(x: Optional[int] = None, y: str = "given", flag: bool = False) -> str:
    return f"{x} {y} {flag}"


@dsl.container_component
def shell(text: str, out: dsl.OutputPath(str), data: Output[Artifact], extra: str = None):
    return dsl.ContainerSpec(
        image="alpine:3.20",
        command=["sh", "-c", 'mkdir -p "$(dirname "$1")" && echo "$0" | tee "$1" > "$2"'],
        args=[
            dsl.ConcatPlaceholder(["say-", text]),
            out,
            data.path,
            dsl.IfPresentPlaceholder(input_name="extra", then=["--extra", extra], else_=["--none"]),
        ],
    )


@dsl.pipeline
def chain(n: int = 3):
    first = double(x=n)
    second = double(x=first.output)
    double(x=second.output).after(first)


@dsl.pipeline
def diamond(a: int, b: int = 2, note: str = "n"):
    top = add(a=a, b=b)
    left, right = double(x=top.output), double(x=top.output)
    bottom = add(a=left.output, b=right.output)
    say(text=f"sum {bottom.output} of {a} ({note}) in {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")


@dsl.pipeline
def conditions(n: int = 3, who: str = "ann", go: bool = True):
    flipped = flip()
    with dsl.If(flipped.output == "heads", name="heads"):
        say(text="heads")
        with dsl.If(n > 2):
            inner = say(text="inner")
    with dsl.If(n != 3):
        say(text="not three")
    with dsl.If(go == True):  # noqa: E712
        say(text="go")
    with dsl.If(ratio().output < 0.75):
        say(text="small")
    with dsl.If(who >= "b"):
        say(text="late")
    with dsl.If(is_ready().output == True):  # noqa: E712
        say(text="ready")


@dsl.pipeline
def branches(n: int = 3) -> str:
    with dsl.If(n == 1):
        one = say(text="one")
    with dsl.Elif(n == 2):
        two = say(text="two")
    with dsl.Else():
        many = say(text="many")
    chosen = dsl.OneOf(one.output, two.output, many.output)
    last = say(text=chosen)
    return last.output


@dsl.pipeline
def artifact_branches(n: int = 1):
    with dsl.If(n == 1):
        small = make_dataset(rows=2)
    with dsl.Else():
        big = make_dataset(rows=9)
    split_dataset(data=dsl.OneOf(small.outputs["data"], big.outputs["data"]))


@dsl.pipeline
def loop_static() -> int:
    with dsl.ParallelFor([1, 2, 3], parallelism=2) as item:
        doubled = double(x=item)
    return total(values=Collected(doubled.output)).output


@dsl.pipeline
def loop_dynamic(n: int = 4):
    listed = numbers(n=n)
    with dsl.ParallelFor(listed.output) as item:
        doubled = double(x=item)
    total(values=Collected(doubled.output))


@dsl.pipeline
def loop_structs(prefix: str = "p"):
    with dsl.ParallelFor([{"a": 1, "b": 5}, {"a": 2, "b": 6}]) as item:
        add(a=item.a, b=item.b)
        say(text=prefix)
    with dsl.ParallelFor(records().output) as entry:
        say(text=entry.label)


@dsl.pipeline
def loop_nested():
    with dsl.ParallelFor([1, 2]) as outer:
        doubled = double(x=outer)
        with dsl.ParallelFor([10, 20]) as inner:
            added = add(a=doubled.output, b=inner)
            with dsl.If(inner == 10):
                say(text="ten")
    collect_nested(values=Collected(added.output))


@dsl.pipeline
def loop_parameter(items: list = [1, 2]):
    with dsl.ParallelFor(items) as item:
        double(x=item)


@dsl.pipeline
def sub(n: int = 1) -> int:
    return double(x=double(x=n).output).output


@dsl.pipeline
def nested(n: int = 5) -> NamedTuple("Out", [("result", int), ("data", Dataset)]):
    from collections import namedtuple

    once = sub(n=n)
    twice = sub(n=once.output)
    made = make_dataset(rows=twice.output)
    with dsl.ParallelFor([1, 2]) as item:
        sub(n=item)
    return namedtuple("Out", ["result", "data"])(twice.output, made.outputs["data"])


@dsl.pipeline
def exit_handler(message: str = "on purpose"):
    last = final(note=message)
    with dsl.ExitHandler(last, name="careful"):
        said = say(text="first")
        fail(message=message).after(said)
        say(text="beside")


@dsl.pipeline
def ignore_failure():
    failed = fail()
    say(text="anyway").after(failed).ignore_upstream_failure()


@dsl.pipeline
def retries():
    fail().set_retry(num_retries=2, backoff_duration="5s", backoff_factor=3.0, backoff_max_duration="10s")


@dsl.pipeline
def options():
    optional()
    optional(x=3, y="y", flag=True)
    optional(y="z").set_caching_options(False)
    say(text="key").set_caching_options(True, cache_key="mine")
    say(text="env").set_env_variable("A", "1").set_cpu_limit("500m").set_memory_request("64Mi").set_display_name(
        "Say it"
    )


@dsl.pipeline
def container():
    made = shell(text="hi")
    shell(text=made.outputs["out"], extra="more")


@dsl.pipeline
def importing(uri: str = "s3://bucket/data.csv"):
    fixed = dsl.importer(artifact_uri="minio://mlpipeline/x", artifact_class=Dataset, metadata={"from": "here"})
    named = dsl.importer(artifact_uri=uri, artifact_class=Dataset, reimport=True)
    split_dataset(data=fixed.output)
    split_dataset(data=named.output)


@dsl.pipeline(name="champion", description="Load, split, train three models in a loop, evaluate, pick the best.")
def champion(rows: int = 20, good_enough: float = 0.5):
    loaded = make_dataset(rows=rows)
    parts = split_dataset(data=loaded.outputs["data"])
    with dsl.ParallelFor(["forest", "logistic", "svm"], name="models") as algorithm:
        trained = train_model(train=parts.outputs["train"], algorithm=algorithm)
        judged = evaluate_model(test=parts.outputs["test"], model=trained.outputs["model"])
    best = pick_best(models=Collected(trained.outputs["model"]), scores=Collected(judged.outputs["Output"]))
    with dsl.If(best.outputs["score"] > good_enough, name="good-enough"):
        say(text=f"deploying {best.outputs['algorithm']}")


@dsl.pipeline
def loop_artifacts():
    with dsl.ParallelFor([1, 2]) as outer:
        made = make_dataset(rows=outer)
        with dsl.ParallelFor(["a", "b"]) as inner:
            trained = train_model(train=made.outputs["data"], algorithm=inner)
    read_all(models=Collected(trained.outputs["model"]))


@dsl.pipeline
def wide():
    with dsl.ParallelFor(list(range(20))) as item:
        double(x=item)


if __name__ == "__main__":
    here = Path(__file__).parent
    for name, made in list(globals().items()):
        if isinstance(made, dsl.graph_component.GraphComponent) and name != "sub":
            compiler.Compiler().compile(made, str(here / f"{name}.yaml"))
