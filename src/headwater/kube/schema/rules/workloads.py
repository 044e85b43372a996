"""The rules for what makes pods: Job, CronJob, Deployment, ReplicaSet, StatefulSet, DaemonSet."""

import re
from typing import Any

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.objects import Object
from headwater.kube.meta.selectors import LabelSelector
from headwater.kube.schema.rules.causes import (
    at_least,
    forbidden,
    invalid,
    one_of,
    required,
    unchanged,
    unsupported,
)
from headwater.kube.schema.rules.metadata import check_labels
from headwater.kube.schema.rules.pods import check_pod_spec


def _template(template: dict[str, Any], path: str) -> list[Cause]:
    labels = (template.get("metadata") or {}).get("labels")
    causes = check_labels(labels, f"{path}.metadata.labels")
    return causes + check_pod_spec(template.get("spec") or {}, f"{path}.spec")


def _job_spec(spec: dict[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        causes += at_least(f"{path}.{key}", spec.get(key), 0)
    causes += one_of(f"{path}.completionMode", spec.get("completionMode"), ("NonIndexed", "Indexed"))
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        causes.append(required(f"{path}.completions", "when completion mode is Indexed"))
    template = spec.get("template") or {}
    causes += _template(template, f"{path}.template")
    restarts = (template.get("spec") or {}).get("restartPolicy")
    where = f"{path}.template.spec.restartPolicy"
    if restarts == "Always":
        causes.append(required(where, 'valid values: "OnFailure", "Never"'))
    if spec.get("podFailurePolicy") is not None and restarts != "Never":
        causes.append(invalid(where, restarts, 'only "Never" is supported when podFailurePolicy is specified'))
    return causes


def _job(obj: Object) -> list[Cause]:
    return _job_spec(obj.get("spec") or {}, "spec")


def _job_update(old: Object, new: Object) -> list[Cause]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes: list[Cause] = []
    for key in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy"):
        causes += unchanged(f"spec.{key}", before.get(key), after.get(key))
    elastic = after.get("completionMode") == "Indexed" and after.get("completions") == after.get("parallelism")
    if not elastic:
        causes += unchanged("spec.completions", before.get("completions"), after.get("completions"))
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        causes += unchanged("spec.template", _unscheduled(before), _unscheduled(after))
    else:
        causes += unchanged("spec.template", before.get("template"), after.get("template"))
    return causes


def _unscheduled(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a job that never started without its scheduling directives, which may change."""
    template = dict(spec.get("template") or {})
    template.pop("metadata", None)
    directives = ("nodeSelector", "tolerations", "affinity", "schedulingGates")
    template["spec"] = {key: value for key, value in (template.get("spec") or {}).items() if key not in directives}
    return template


_FIELD = r"(\*|[0-9]+(-[0-9]+)?|[A-Za-z]{3}(-[A-Za-z]{3})?|\?)(/[0-9]+)?"
_SCHEDULE = re.compile(rf"(TZ=\S+ |CRON_TZ=\S+ )?({_FIELD}(,{_FIELD})*\s+){{4}}{_FIELD}(,{_FIELD})*")
_NAMED = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every .+)")


def _cron_job(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    schedule = spec.get("schedule")
    if not schedule:
        causes.append(required("spec.schedule"))
    elif "TZ=" in schedule:
        causes.append(
            invalid("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
        )
    elif not (_SCHEDULE.fullmatch(schedule.strip()) or _NAMED.fullmatch(schedule.strip())):
        causes.append(
            invalid("spec.schedule", schedule, "expected 5 fields: minute, hour, day of month, month, day of week")
        )
    causes += one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    for key in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        causes += at_least(f"spec.{key}", spec.get(key), 0)
    if len((obj.get("metadata") or {}).get("name", "")) > 52:
        causes.append(invalid("metadata.name", obj["metadata"]["name"], "must be no more than 52 characters"))
    return causes + _job_spec((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")


def _replicated(kind: str, obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    for key in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        causes += at_least(f"spec.{key}", spec.get(key), 0)
    template = spec.get("template") or {}
    if spec.get("selector") is None:
        causes.append(required("spec.selector"))
    else:
        causes += _selector(kind, spec["selector"], template)
    causes += _template(template, "spec.template")
    restarts = (template.get("spec") or {}).get("restartPolicy")
    if restarts in ("OnFailure", "Never"):
        causes.append(unsupported("spec.template.spec.restartPolicy", restarts, ["Always"]))
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        causes.append(
            forbidden("spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")
        )
    return causes


def _pod_template(obj: Object) -> list[Cause]:
    return _template(obj.get("template") or {}, "template")


def _replication_controller(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = at_least("spec.replicas", spec.get("replicas"), 0)
    if not spec.get("selector"):
        causes.append(required("spec.selector"))
    return causes + _template(spec.get("template") or {}, "spec.template")


def _selector(kind: str, selector: dict[str, Any], template: dict[str, Any]) -> list[Cause]:
    try:
        parsed = LabelSelector.from_object(selector)
    except ValueError as error:
        return [invalid("spec.selector", selector, str(error))]
    if parsed.empty:
        return [invalid("spec.selector", selector, f"empty selector is invalid for {kind.lower()}")]
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not parsed.matches(labels):
        return [invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")]
    return []


def _deployment(obj: Object) -> list[Cause]:
    strategy = ((obj.get("spec") or {}).get("strategy")) or {}
    causes = one_of("spec.strategy.type", strategy.get("type"), ("Recreate", "RollingUpdate"))
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        message = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(forbidden("spec.strategy.rollingUpdate", message))
    return _replicated("Deployment", obj) + causes


def _replica_set(obj: Object) -> list[Cause]:
    return _replicated("ReplicaSet", obj)


def _stateful_set(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = one_of("spec.podManagementPolicy", spec.get("podManagementPolicy"), ("OrderedReady", "Parallel"))
    strategy = (spec.get("updateStrategy") or {}).get("type")
    return (
        _replicated("StatefulSet", obj)
        + causes
        + one_of("spec.updateStrategy.type", strategy, ("RollingUpdate", "OnDelete"))
    )


def _daemon_set(obj: Object) -> list[Cause]:
    strategy = ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type")
    return _replicated("DaemonSet", obj) + one_of("spec.updateStrategy.type", strategy, ("RollingUpdate", "OnDelete"))


def _selector_update(old: Object, new: Object) -> list[Cause]:
    return unchanged("spec.selector", (old.get("spec") or {}).get("selector"), (new.get("spec") or {}).get("selector"))


_STATEFUL_CHANGING = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _stateful_set_update(old: Object, new: Object) -> list[Cause]:
    def fixed(obj: Object) -> dict[str, Any]:
        return {key: value for key, value in (obj.get("spec") or {}).items() if key not in _STATEFUL_CHANGING}

    if fixed(old) == fixed(new):
        return []
    fields = ", ".join(f"'{name}'" for name in _STATEFUL_CHANGING[:-1])
    message = f"updates to statefulset spec for fields other than {fields} and 'minReadySeconds' are forbidden"
    return [forbidden("spec", message)]


CREATE = {
    ("", "PodTemplate"): _pod_template,
    ("", "ReplicationController"): _replication_controller,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
}
UPDATE = {
    ("batch", "Job"): _job_update,
    ("apps", "Deployment"): _selector_update,
    ("apps", "ReplicaSet"): _selector_update,
    ("apps", "DaemonSet"): _selector_update,
    ("apps", "StatefulSet"): _stateful_set_update,
}
