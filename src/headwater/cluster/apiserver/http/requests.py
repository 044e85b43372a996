"""What a URL asks for: the pure first step of every request.

The shape of the paths and the verbs that methods stand for are those of ``k8s.io/apiserver``'s ``RequestInfo``:
``/api/<version>`` is the core group, ``/apis/<group>/<version>`` the others, below them either a resource or
``namespaces/<namespace>/`` and a resource, then a name, then a subresource. Everything else is no resource.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast
from urllib.parse import unquote

from headwater.cluster.apiserver.answers import DeleteOptions, WriteOptions
from headwater.kube.meta.errors import StatusError, bad_request
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import parse_time

_COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_LONGEST_AGENT = 128
_OF_NAMESPACES = frozenset({"status", "finalize"})
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"", "0", "f", "F", "false", "False", "FALSE"})


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """A request for a resource."""

    verb: str
    """``get``, ``list``, ``watch``, ``create``, ``update``, ``patch``, ``delete``, ``deletecollection``; empty when
    the method means nothing there."""
    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse(method: str, raw_path: str, query: Mapping[str, str]) -> ResourceRequest | None:
    """Return what a method and an undecoded path ask for, or ``None`` when the path is not a resource's."""
    # Split first, decode afterwards: an encoded slash is part of a name, not a step of the path.
    parts = [unquote(part) for part in raw_path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in _OF_NAMESPACES):
        namespace, rest = rest[1], rest[2:]
    plural, name = rest[0], rest[1] if len(rest) > 1 else ""
    if not name:
        verb = _COLLECTION_VERBS.get(method, "")
        if verb == "list" and flag(query, "watch"):
            verb = "watch"
    else:
        verb = _OBJECT_VERBS.get(method, "")
    return ResourceRequest(verb, group, version, plural, namespace, name, "/".join(rest[2:]))


def flag(query: Mapping[str, str], name: str, default: bool = False) -> bool:
    """Read a boolean parameter. Raises ``StatusError`` 400."""
    text = query.get(name)
    if text is None:
        return default
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise bad_request(f"the parameter {name}={text!r} is neither true nor false")


def whole(query: Mapping[str, str], name: str) -> int | None:
    """Read a parameter that is a whole number and not negative. Raises ``StatusError`` 400."""
    text = query.get(name)
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0 or value > 2**63:
        raise bad_request(f"the parameter {name}={text!r} is not a whole number from 0 on")
    return value


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """Read a parameter that is an RFC 3339 time. Raises ``StatusError`` 400."""
    text = query.get(name)
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise bad_request(f"the parameter {name}={text!r} is not an RFC 3339 time with a zone") from error


def write_options(query: Mapping[str, str], user_agent: str) -> WriteOptions:
    """Read ``dryRun``, ``fieldValidation``, ``fieldManager`` and ``force``. Raises ``StatusError`` 400."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise bad_request(f"the parameter fieldValidation={validation!r} is none of Strict, Warn and Ignore")
    return WriteOptions(
        dry_run=_dry_run([query["dryRun"]] if query.get("dryRun") else []),
        field_validation=cast(Literal["Strict", "Warn", "Ignore"], validation),
        field_manager=query.get("fieldManager") or "",
        agent=_agent(user_agent),
        force=flag(query, "force"),
    )


def _agent(user_agent: str) -> str:
    """Return the name in a ``User-Agent``, as far as it can be a field manager's."""
    return "".join(char for char in user_agent.split("/", 1)[0] if char.isprintable())[:_LONGEST_AGENT]


def delete_options(query: Mapping[str, str], body: Object | None) -> DeleteOptions:
    """Read ``DeleteOptions`` from the body, else from the parameters. Raises ``StatusError`` 400."""
    if body and body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"the body of a delete must be DeleteOptions, not {body['kind']!r}")
    options: Object = dict(body or {})
    for name in ("gracePeriodSeconds", "propagationPolicy", "orphanDependents", "dryRun"):
        if name in options or not query.get(name):
            continue
        if name == "gracePeriodSeconds":
            options[name] = whole(query, name)
        elif name == "orphanDependents":
            options[name] = flag(query, name)
        else:
            options[name] = query[name] if name == "propagationPolicy" else [query[name]]
    grace = options.get("gracePeriodSeconds")
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise bad_request(f"gracePeriodSeconds must be a whole number of seconds, not {grace!r}")
    policy = options.get("propagationPolicy") or ""
    orphan = options.get("orphanDependents")
    if policy and orphan is not None:
        raise bad_request("orphanDependents and propagationPolicy cannot both be set; use propagationPolicy")
    if policy not in ("", "Foreground", "Background", "Orphan"):
        raise bad_request(f"propagationPolicy {policy!r} is none of Foreground, Background and Orphan")
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    preconditions = options.get("preconditions") or {}
    if not isinstance(preconditions, dict):
        raise bad_request("preconditions must be an object with uid and resourceVersion")
    dry_run = options.get("dryRun") or []
    return DeleteOptions(
        propagation=policy,
        grace_period_seconds=grace,
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
        dry_run=_dry_run(dry_run if isinstance(dry_run, list) else [dry_run]),
    )


def _dry_run(values: list[str]) -> bool:
    if not values:
        return False
    if values != ["All"]:
        raise bad_request(f"the only supported value of dryRun is All, not {', '.join(map(repr, values))}")
    return True


def unknown_resource() -> StatusError:
    """The answer to a path that nothing is served under."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})
