"""A run without a cluster: the planner's decisions are applied, and steps end as a test says, in any order."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headwater.pipelines.records.models import TaskState, TaskType
from headwater.pipelines.runs.plan import Opening, Outcome, plan
from headwater.pipelines.runs.tasks import TaskStatus, Values
from headwater.pipelines.spec.documents import read_documents
from headwater.pipelines.spec.loading import check_run_parameters, load
from headwater.pipelines.spec.tree import Pipeline

DATA = Path(__file__).parent / "data"
STEPS = (TaskType.CONTAINER, TaskType.IMPORTER)
Program = Callable[[str, Values], Mapping[str, Any] | None]
"""Given a step's path and inputs: its output parameters, or None to fail."""


def pipeline(name: str) -> Pipeline:
    """Load one of the compiled pipelines."""
    documents = read_documents((DATA / f"{name}.yaml").read_bytes())
    return load(documents.spec, documents.platform)


class Simulation:
    """One run of a pipeline."""

    def __init__(self, made: Pipeline, parameters: Mapping[str, Any] | None = None) -> None:
        self.pipeline = made
        self.parameters = check_run_parameters(made, parameters or {})
        self.tasks: dict[str, TaskStatus] = {}
        self.openings: dict[str, Opening] = {}
        self.pending: list[str] = []
        self.history: list[str] = []
        self.outcome: Outcome | None = None
        self.touched: set[str] | None = None

    def plan(self) -> list[str]:
        """Plan once and apply it; return the steps that began."""
        names = {"$.pipeline_job_name": "job"}
        decided = plan(self.pipeline, self.parameters, self.tasks, names)
        quick = plan(self.pipeline, self.parameters, self.tasks, names, self.touched)
        assert quick == decided, "looking only at what changed led to other decisions"
        self.touched = set()
        begun = []
        for opening in decided.opened:
            assert opening.path not in self.tasks, f"{opening.path} began twice"
            self.tasks[opening.path] = opening.status
            self.openings[opening.path] = opening
            if opening.type in STEPS and not opening.status.state.finished:
                begun.append(opening.path)
        for closing in decided.closed:
            assert not self.tasks[closing.path].state.finished, f"{closing.path} ended twice"
            self.tasks[closing.path] = closing.status
        self.outcome = decided.outcome or self.outcome
        self.pending += begun
        again = plan(self.pipeline, self.parameters, self.tasks)
        assert not again.opened, "the same state led to new decisions"
        assert not again.closed, "the same state led to new decisions"
        return begun

    def finish(self, path: str, outputs: Mapping[str, Any] | None, error: str = "exit code 1") -> None:
        """End a step; None is a failure."""
        self.pending.remove(path)
        self.history.append(path)
        if self.touched is not None:
            self.touched.add(path)
        before = self.tasks[path]
        opening = self.openings[path]
        assert opening.task is not None
        if outputs is None:
            self.tasks[path] = TaskStatus(TaskState.FAILED, before.inputs, Values(), error)
            return
        artifacts = {key: (f"{path}:{key}",) for key in opening.task.component.output_artifacts}
        self.tasks[path] = TaskStatus(TaskState.SUCCEEDED, before.inputs, Values(dict(outputs), artifacts))

    def run(self, program: Program, rng: random.Random | None = None) -> Outcome:
        """Run to the end; steps end in a random order when ``rng`` is given, else first come, first served."""
        self.plan()
        while self.pending:
            path = rng.choice(self.pending) if rng else self.pending[0]
            self.finish(path, program(path, self.tasks[path].inputs))
            self.plan()
        assert self.outcome is not None, "the run never ended"
        return self.outcome

    def state(self, path: str) -> str:
        """Return a task's state by its path below the root, or an empty string."""
        status = self.tasks.get(f"root/{path}")
        return str(status.state) if status else ""


def python(path: str, inputs: Values) -> Mapping[str, Any] | None:
    """Do what the components of ``data/generate.py`` do."""
    given = inputs.parameters
    name = next(part for part in reversed(path.split("/")) if not part.isdigit()).rstrip("-0123456789")
    if name == "fail":
        return None
    results: dict[str, Callable[[], Any]] = {
        "add": lambda: given["a"] + given["b"],
        "double": lambda: 2 * given["x"],
        "say": lambda: given["text"],
        "flip": lambda: "heads",
        "numbers": lambda: list(range(given["n"])),
        "records": lambda: [{"label": "a", "size": 1}, {"label": "b", "size": 2}],
        "total": lambda: sum(given["values"]),
        "collect-nested": lambda: sum(sum(row) for row in given["values"]),
        "ratio": lambda: 0.5,
        "is-ready": lambda: True,
        "make-dataset": lambda: given["rows"],
        "train-model": lambda: float(len(given["algorithm"])),
        "evaluate-model": lambda: 0.75,
        "evaluate": lambda: 0.9,
        "load": lambda: 569,
        "read-all": lambda: len(inputs.artifacts["models"]),
        "optional": lambda: f"{given.get('x')} {given['y']} {given['flag']}",
    }
    if name == "pick-best":
        return {"algorithm": "forest", "score": max(given["scores"])}
    if name == "shell":
        return {"out": f"say-{given['text']}"}
    return {"Output": results[name]()} if name in results else {}
