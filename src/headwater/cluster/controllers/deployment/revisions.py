"""Which replica set belongs to which revision of a Deployment, and what each is called.

A revision's number stands in an annotation of the replica set, where ``kubectl rollout`` reads it. The replica set
of a template is found by comparing templates; its name derives from the template, so that creating it twice is
creating it once.
"""

import copy
import hashlib
from collections.abc import Iterable, Sequence

import orjson

from headwater.kube.meta.objects import Object, annotations_of, name_of, namespace_of
from headwater.kube.meta.owners import owner_reference

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
_OUR_ANNOTATIONS = frozenset(
    {
        *(REVISION, REVISION_HISTORY, DESIRED, MAXIMUM),
        *("kubectl.kubernetes.io/last-applied-configuration", "deprecated.deployment.rollback.to"),
    }
)
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LENGTH = 10


def template_hash(template: Object, collisions: int = 0) -> str:
    """Return the label value that tells this template's pods from those of another."""
    text = orjson.dumps(_plain(template), option=orjson.OPT_SORT_KEYS)
    value = int.from_bytes(hashlib.sha256(text + b"/%d" % collisions).digest()[:12], "big")
    letters = []
    for _ in range(_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def same_template(one: Object, other: Object) -> bool:
    """Tell whether two templates are the same but for the hash label."""
    return _plain(one) == _plain(other)


def by_age(replica_sets: Iterable[Object]) -> list[Object]:
    """Return the sets, the oldest first."""
    return sorted(replica_sets, key=lambda one: (one["metadata"].get("creationTimestamp") or "", name_of(one)))


def newest(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """Return the set of the deployment's present template (of several the oldest), or None."""
    template = deployment["spec"]["template"]
    return next((one for one in by_age(replica_sets) if same_template(one["spec"]["template"], template)), None)


def revision_of(obj: Object) -> int:
    """Return the revision that the object carries, 0 if none."""
    try:
        return int(annotations_of(obj).get(REVISION) or 0)
    except ValueError:
        return 0


def set_name(deployment: Object) -> str:
    """Return the name of the set for the deployment's present template."""
    return f"{name_of(deployment)[: 253 - 1 - _LENGTH]}-{_hash_of(deployment)}"


def new_set(deployment: Object, replicas: int, annotations: dict[str, str]) -> Object:
    """Return the set for the deployment's present template."""
    template = copy.deepcopy(deployment["spec"]["template"])
    digest = _hash_of(deployment)
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: digest}
    selector = copy.deepcopy(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    spec: Object = {"replicas": replicas, "selector": selector, "template": template}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": set_name(deployment),
            "namespace": namespace_of(deployment),
            "labels": dict(metadata["labels"]),
            "annotations": annotations,
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": spec,
    }


def set_annotations(deployment: Object, existing: Object | None, revision: int) -> dict[str, str]:
    """Return the annotations of the present template's set: the deployment's, and its revision."""
    before = annotations_of(existing) if existing is not None else {}
    wanted = {key: value for key, value in annotations_of(deployment).items() if key not in _OUR_ANNOTATIONS}
    result = {**before, **wanted}
    old = revision_of(existing) if existing is not None else 0
    if revision > old:
        result[REVISION] = str(revision)
        if old:
            history = [text for text in before.get(REVISION_HISTORY, "").split(",") if text]
            result[REVISION_HISTORY] = ",".join([*history, str(old)])
    return result


def _hash_of(deployment: Object) -> str:
    collisions = int((deployment.get("status") or {}).get("collisionCount") or 0)
    return template_hash(deployment["spec"]["template"], collisions)


def _plain(template: Object) -> Object:
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if value}
    labels = {key: value for key, value in (metadata.pop("labels", None) or {}).items() if key != HASH_LABEL}
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": {**metadata, "labels": labels}}
