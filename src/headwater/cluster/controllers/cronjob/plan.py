"""What a CronJob needs next: a pure function of the cron job, its jobs and the time.

The rules are those of the ``batch/v1`` CronJob controller. A job's name derives from its scheduled minute, so that
a time is never served twice; of several missed times only the latest is made up for.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from headwater.cluster.controllers.cronjob.schedule import Schedule, parse
from headwater.kube.meta.conditions import condition_is
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import owner_reference
from headwater.kube.meta.time import format_time, parse_time

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MANY = 100
_WINDOWS = (timedelta(hours=1), timedelta(days=1), timedelta(days=31), timedelta(days=366))


@dataclass(frozen=True, slots=True)
class Said:
    """An event to record on the cron job."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(slots=True)
class Plan:
    """What to do for a cron job: remove old jobs, replace running ones, start one, write the status."""

    status: Object
    remove: list[Object] = field(default_factory=list)
    """Finished jobs beyond the history that is kept, and running ones that are replaced."""
    start: Object | None = None
    """The job to create."""
    scheduled: datetime | None = None
    events: list[Said] = field(default_factory=list)
    requeue_after: float | None = None


def plan(cron_job: Object, jobs: Sequence[Object], now: datetime) -> Plan:
    """Decide what the cron job needs. ``jobs`` are those it controls."""
    spec = cron_job["spec"]
    result = Plan(copy.deepcopy(cron_job.get("status") or {}))
    _look_at_jobs(cron_job, jobs, result)
    if is_deleting(cron_job):
        return result
    _trim(spec, jobs, result)
    try:
        zone = _zone(spec.get("timeZone"))
    except ValueError as error:
        result.events.append(Said("Warning", "UnknownTimeZone", f"invalid timeZone: {error}"))
        return result
    try:
        schedule = parse(spec.get("schedule") or "")
    except ValueError as error:
        message = f"unparseable schedule: {spec.get('schedule')} : {error}"
        result.events.append(Said("Warning", "UnparseableSchedule", message))
        return result
    if spec.get("suspend"):
        return result
    _serve(cron_job, schedule, zone, now, result)
    return result


def due(cron_job: Object, schedule: Schedule, zone: tzinfo, now: datetime) -> tuple[datetime | None, bool]:
    """Return the latest time that was not served yet, and whether more than a hundred were missed."""
    last = (cron_job.get("status") or {}).get("lastScheduleTime")
    earliest = parse_time(last or cron_job["metadata"]["creationTimestamp"])
    deadline = cron_job["spec"].get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, now - timedelta(seconds=int(deadline)))
    if earliest > now:
        return None, False
    latest = None
    if schedule.every is not None:
        passed = (now - earliest) // schedule.every
        return (earliest + passed * schedule.every if passed else None), passed > _MANY
    for window in (*_WINDOWS, now - earliest):
        at = schedule.next_after(max(earliest, now - window), zone)
        while at is not None and at <= now:
            latest, at = at, schedule.next_after(at, zone)
        if latest is not None or now - window <= earliest:
            break
    missed, at = 0, schedule.next_after(earliest, zone)
    while at is not None and at <= now and missed <= _MANY:
        missed, at = missed + 1, schedule.next_after(at, zone)
    return latest, missed > _MANY


def job_name(cron_job: Object, scheduled: datetime) -> str:
    """Return the name of the job for a scheduled time: the minute is part of it."""
    return f"{name_of(cron_job)}-{int(scheduled.timestamp()) // 60}"


def job_of(cron_job: Object, scheduled: datetime, zone: tzinfo) -> Object:
    """Return the job that the template describes."""
    template = copy.deepcopy(cron_job["spec"]["jobTemplate"])
    metadata = template.get("metadata") or {}
    stamp = scheduled.astimezone(zone).isoformat().replace("+00:00", "Z")
    kept: Object = {
        "name": job_name(cron_job, scheduled),
        "namespace": namespace_of(cron_job),
        "annotations": {**(metadata.get("annotations") or {}), SCHEDULED_AT: stamp},
        "ownerReferences": [owner_reference(cron_job)],
    }
    if metadata.get("labels"):
        kept["labels"] = metadata["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": kept, "spec": template["spec"]}


def reference(job: Object) -> Object:
    """Return how ``status.active`` refers to a job."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name_of(job),
        "namespace": namespace_of(job),
        "resourceVersion": job["metadata"].get("resourceVersion", ""),
        "uid": uid_of(job),
    }


def _finished(job: Object) -> str:
    return next((kind for kind in ("Complete", "Failed") if condition_is(job, kind)), "")


def _look_at_jobs(cron_job: Object, jobs: Sequence[Object], result: Plan) -> None:
    """Bring the list of active jobs and the last success up to date."""
    by_uid = {uid_of(job): job for job in jobs}
    active = []
    known = set()
    for entry in result.status.get("active") or ():
        job = by_uid.get(entry.get("uid", ""))
        known.add(entry.get("uid", ""))
        if job is None:
            result.events.append(Said("Normal", "MissingJob", f"Active job went missing: {entry.get('name')}"))
        elif not _finished(job):
            active.append(entry)
        else:
            message = f"Saw completed job: {name_of(job)}, condition: {_finished(job)}"
            result.events.append(Said("Normal", "SawCompletedJob", message))
    # What an earlier life created and could not write down is active all the same.
    lost = [job for job in jobs if uid_of(job) not in known and not _finished(job) and not is_deleting(job)]
    active += map(reference, lost)
    result.status.pop("active", None)
    if active:
        result.status["active"] = active
    ends = [(job.get("status") or {}).get("completionTime") for job in jobs if _finished(job) == "Complete"]
    latest = max((end for end in [*ends, result.status.get("lastSuccessfulTime")] if end), default=None)
    if latest:
        result.status["lastSuccessfulTime"] = latest


def _trim(spec: Object, jobs: Sequence[Object], result: Plan) -> None:
    for kind, key in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        limit = spec.get(key)
        ended = [job for job in jobs if _finished(job) == kind and not is_deleting(job)]
        ended.sort(key=lambda job: ((job.get("status") or {}).get("startTime") or "", name_of(job)))
        if limit is not None and len(ended) > int(limit):
            result.remove += ended[: len(ended) - int(limit)]


def _serve(cron_job: Object, schedule: Schedule, zone: tzinfo, now: datetime, result: Plan) -> None:
    """Start the job that is due, and ask to be called at the next time."""
    spec = cron_job["spec"]
    scheduled, many = due(cron_job, schedule, zone, now)
    base = scheduled if schedule.every is not None and scheduled is not None else now
    if schedule.every is not None and scheduled is None:
        last = (cron_job.get("status") or {}).get("lastScheduleTime")
        base = parse_time(last or cron_job["metadata"]["creationTimestamp"])
    following = schedule.next_after(base, zone)
    if following is not None:
        result.requeue_after = max(0.1, (following - now).total_seconds() + 0.1)
    if scheduled is None:
        return
    if many:
        message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        result.events.append(Said("Warning", "TooManyMissedTimes", message))
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and scheduled + timedelta(seconds=int(deadline)) < now:
        message = f"Missed scheduled time to start a job: {format_time(scheduled)}"
        result.events.append(Said("Warning", "MissSchedule", message))
        return
    active = result.status.get("active") or []
    if any(entry.get("name") == job_name(cron_job, scheduled) for entry in active):
        result.status["lastScheduleTime"] = format_time(scheduled)
        return
    policy = spec.get("concurrencyPolicy", "Allow")
    if policy == "Forbid" and active:
        message = "Not starting job because prior execution is running and concurrency policy is Forbid"
        result.events.append(Said("Normal", "JobAlreadyActive", message))
        return
    if policy == "Replace" and active:
        result.remove += [{**entry, "metadata": {**entry}} for entry in active]
        del result.status["active"]
    result.scheduled = scheduled
    result.start = job_of(cron_job, scheduled, zone)


def _zone(name: str | None) -> tzinfo:
    if not name:
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name}") from error
