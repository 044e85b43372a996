"""What makes an object valid beyond its schema: names, references inside the object, what may change later.

Hand-written after Kubernetes' ``pkg/apis/*/validation``, with its messages. Expects an object that has passed
``validate.check`` and has its defaults. Kinds without an entry (custom resources too) get the rules that hold for
every object's metadata.
"""

from collections.abc import Callable
from typing import TypeAlias

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource
from headwater.kube.schema.rules.config import CREATE as CONFIG_CREATE
from headwater.kube.schema.rules.config import UPDATE as CONFIG_UPDATE
from headwater.kube.schema.rules.crds import CREATE as CRD_CREATE
from headwater.kube.schema.rules.crds import UPDATE as CRD_UPDATE
from headwater.kube.schema.rules.metadata import check_metadata, check_metadata_update
from headwater.kube.schema.rules.pods import CREATE as POD_CREATE
from headwater.kube.schema.rules.pods import UPDATE as POD_UPDATE
from headwater.kube.schema.rules.workloads import CREATE as WORKLOAD_CREATE
from headwater.kube.schema.rules.workloads import UPDATE as WORKLOAD_UPDATE

CreateRule: TypeAlias = Callable[[Object], list[Cause]]
UpdateRule: TypeAlias = Callable[[Object, Object], list[Cause]]

_CREATE: dict[tuple[str, str], CreateRule] = {**POD_CREATE, **WORKLOAD_CREATE, **CONFIG_CREATE, **CRD_CREATE}
_UPDATE: dict[tuple[str, str], UpdateRule] = {**POD_UPDATE, **WORKLOAD_UPDATE, **CONFIG_UPDATE, **CRD_UPDATE}


def validate_create(resource: Resource, obj: Object) -> list[Cause]:
    """Return what is wrong with a new object; an empty list when nothing is."""
    causes = check_metadata(resource, obj)
    rule = _CREATE.get((resource.group, resource.kind))
    return causes + rule(obj) if rule else causes


def validate_update(resource: Resource, old: Object, new: Object) -> list[Cause]:
    """Return what is wrong with a changed object; an empty list when nothing is.

    For writes to the object itself: a write to ``status`` or another subresource changes what these rules forbid.
    """
    causes = check_metadata_update(resource, old, new)
    key = (resource.group, resource.kind)
    if (key in _CREATE and old.get("spec") != new.get("spec")) or (key in _CREATE and "spec" not in new):
        causes += _CREATE[key](new)
    if key in _UPDATE:
        causes += _UPDATE[key](old, new)
    return causes
