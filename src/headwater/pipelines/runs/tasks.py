"""What is known of a run's tasks while it is planned: their state, and what went in and came out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.pipelines.records.models import TaskState


@dataclass(frozen=True, slots=True)
class Values:
    """Inputs or outputs: parameter values, and artifacts by their ids."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """Return the form in which a task's row keeps it: ``{"parameters": {...}, "artifacts": {name: [id]}}``."""
        return {
            "parameters": dict(self.parameters),
            "artifacts": {name: list(ids) for name, ids in self.artifacts.items()},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Values":
        """Read what ``as_record`` wrote."""
        artifacts = {name: tuple(ids) for name, ids in (record.get("artifacts") or {}).items()}
        return cls(record.get("parameters") or {}, artifacts)


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """What is known of a task that was begun."""

    state: TaskState
    inputs: Values = field(default_factory=Values)
    outputs: Values = field(default_factory=Values)
    error: str = ""
