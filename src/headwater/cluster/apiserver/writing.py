"""Create, update and delete on the store, once a request has been authorized.

A write reads the committed state, decides on it, and is stored only if that state still holds. A caller who names
no revision is not bothered with a conflict: the write is decided anew.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Literal, cast

import orjson

from headwater.cluster.apiserver import crds, ownership
from headwater.cluster.apiserver.admission import Admission, AdmissionRequest
from headwater.cluster.apiserver.answers import DeleteOptions, DocumentList, Warnings, WriteOptions
from headwater.cluster.apiserver.conversion import present, to_storage
from headwater.cluster.apiserver.lifecycle import is_finished, plan_deletion
from headwater.cluster.apiserver.metadata import (
    check_body,
    check_preconditions,
    prepare_create,
    prepare_update,
    take_status,
)
from headwater.cluster.apiserver.reading import find, key_of, list_documents
from headwater.cluster.apiserver.registry import Registry, Served
from headwater.cluster.apiserver.schemas import check_rules, decode
from headwater.cluster.apiserver.selection import Selection
from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import RevisionMismatch, StoreClosed, WriteRefused
from headwater.cluster.store.store import Store
from headwater.kube.client import Propagation
from headwater.kube.meta.errors import (
    Cause,
    StatusError,
    already_exists,
    conflict,
    invalid,
    unavailable,
)
from headwater.kube.meta.names import generate_name
from headwater.kube.meta.objects import Object, name_of, uid_of
from headwater.kube.meta.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES
from headwater.kube.meta.time import Clock, format_time
from headwater.kube.patch.apply import Entry, Writer
from headwater.kube.schema import defaults, rules

_ATTEMPTS = 100
_GENERATED_NAME_ATTEMPTS = 8
_DELETED_AT_ONCE = 256

_ORPHAN_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
    "set propagationPolicy=Orphan to suppress this warning"
)

Change = Callable[[Document], Object]
"""From the current state, in the version that was asked for, to the wanted object, which is the call's own."""

Marks = Callable[[Object], list[Entry]]
"""From the decoded new state to its entries of ``metadata.managedFields``."""

Part = Literal["object", "status", "all"]
"""What of the wanted object is taken: all but the status, the status alone, or everything."""


class Writing:
    """Decides writes and stores them."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        admission: Admission,
        clock: Clock,
        rng: random.Random,
        new_uid: Callable[[], str],
    ) -> None:
        self._store = store
        self._registry = registry
        self._admission = admission
        self._clock = clock
        self._rng = rng
        self._new_uid = new_uid

    async def create(
        self, served: Served, namespace: str, obj: Object, options: WriteOptions, *, applied: bool = False
    ) -> Document:
        """Create an object; an ``applied`` one knows its managers already. Raises ``StatusError``."""
        if served.terminating:
            resource = served.resource
            raise StatusError(405, "MethodNotAllowed", f"{resource.group_resource}: its definition is being deleted")
        obj = check_body(served, obj, namespace)
        prefix = "" if name_of(obj) else obj["metadata"].get("generateName") or ""
        self._admission.check_namespace(served, namespace, name_of(obj))
        prepare_create(served, obj, uid=self._new_uid(), now=self._clock.now())
        if prefix and isinstance(prefix, str):
            obj["metadata"]["name"] = generate_name(prefix, self._rng)
        entries = obj["metadata"].pop("managedFields", None)
        obj = decode(served, obj, options)
        if not applied:
            entries = ownership.of_creation(served, obj, entries, self._writer(served, options))
        if entries:
            obj["metadata"]["managedFields"] = entries
        obj = to_storage(served, obj)
        defaults.prepare_create(served.resource.group, served.resource.kind, obj)
        request = _request(options, "CREATE", served, obj, None)
        await self._admission.mutate(request)
        obj = request.obj or obj
        ownership.mend(obj, entries, options.warnings)
        self._refuse(served, obj, rules.validate_create(served.resource, obj) + check_rules(served, obj, None))
        if served.resource == CUSTOM_RESOURCE_DEFINITIONS:
            self._refuse(served, obj, crds.validate(obj))
            crds.accept(obj, None, self._registry, self._clock.now())
        await self._admission.validate(request)
        for attempt in range(_GENERATED_NAME_ATTEMPTS):
            if attempt:
                obj["metadata"]["name"] = generate_name(prefix, self._rng)
            try:
                return present(served, await self._put(served, obj, None, options))
            except RevisionMismatch:
                if not prefix:
                    break
        raise already_exists(served.resource.group, served.resource.plural, name_of(obj))

    async def change(
        self,
        served: Served,
        namespace: str,
        name: str,
        change: Change,
        options: WriteOptions,
        *,
        part: Part = "object",
        subresource: str = "",
        applied: bool = False,
        needs_revision: bool = False,
    ) -> Document:
        """Replace an object by what ``change`` makes of it. Raises ``StatusError``.

        The manager of what changes is recorded under the ``subresource``, but not with ``part="all"``; what was
        ``applied`` knows its managers already.
        """
        resource = served.resource
        for _ in range(_ATTEMPTS):
            current = find(self._store, served, namespace, name)
            shown = present(served, current)
            new = check_body(served, change(shown), namespace, name)
            revision = new["metadata"].get("resourceVersion") or ""
            if not revision and needs_revision:
                cause = Cause("metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update")
                raise invalid(resource.group, resource.kind, name, [cause])
            if revision and revision != str(current.revision):
                raise conflict(resource.group, resource.plural, name)
            sent = new["metadata"].pop("managedFields", None)
            if part == "status":
                new = take_status(served, shown.object, new)
            elif part == "object" and served.has_status:
                new.pop("status", None)
                if "status" in shown.object:
                    new["status"] = shown.object["status"]
                if resource == NAMESPACES:
                    # Its finalizers go through the subresource of their own.
                    new["spec"] = shown.object.get("spec", {})
            warned = len(options.warnings)
            marks = self._marks(served, shown.object, sent, options, part, subresource, applied)
            document = await self._replace(served, current, new, part, options, marks, subresource)
            if document is not None:
                return present(served, document)
            del options.warnings[warned:]
        raise conflict(resource.group, resource.plural, name)

    async def apply(
        self,
        served: Served,
        namespace: str,
        name: str,
        change: Callable[[Document | None, Writer], Object],
        options: WriteOptions,
        *,
        subresource: str = "",
        allow_create: Callable[[], None],
    ) -> Document:
        """Apply a configuration on the server, making the object if there is none. Raises ``StatusError``.

        ``allow_create`` raises unless the caller may create; subresources are only applied to what there is.
        """
        writer = self._writer(served, options, subresource)
        for _ in range(_ATTEMPTS):
            exists = self._store.get(served.bucket, key_of(served, namespace, name)) is not None
            try:
                if exists or subresource:
                    return await self.change(
                        served,
                        namespace,
                        name,
                        lambda live: change(live, writer),
                        options,
                        part="status" if subresource == "status" else "object",
                        subresource=subresource,
                        applied=True,
                    )
                allow_create()
                obj = check_body(served, change(None, writer), namespace, name)
                document = await self.create(served, namespace, obj, options, applied=True)
            except StatusError as error:
                # Somebody else was faster, to make it or to remove it: what that means is decided anew.
                if subresource or error.reason != ("NotFound" if exists else "AlreadyExists"):
                    raise
                continue
            options.created = True
            return document
        raise conflict(served.resource.group, served.resource.plural, name)

    def _writer(self, served: Served, options: WriteOptions, subresource: str = "") -> Writer:
        manager = options.field_manager or options.agent or "unknown"
        return Writer(manager, served.resource.api_version, format_time(self._clock.now()), subresource)

    def _marks(
        self,
        served: Served,
        old: Object,
        sent: object,
        options: WriteOptions,
        part: Part,
        subresource: str,
        applied: bool,
    ) -> Marks:
        if applied:
            return lambda _: cast(list[Entry], sent)
        if part == "all":
            return lambda _: cast(list[Entry], old["metadata"].get("managedFields"))
        writer = self._writer(served, options, "status" if part == "status" else subresource)
        return lambda new: ownership.of_update(served, old, new, sent, writer)

    async def _replace(
        self,
        served: Served,
        current: Document,
        new: Object,
        part: Part,
        options: WriteOptions,
        marks: Marks,
        subresource: str,
    ) -> Document | None:
        """Store a new state over the current one; ``None`` when somebody else was faster."""
        old = current.object
        new["metadata"].pop("managedFields", None)
        new = decode(served, new, options)
        new = {**new, "metadata": dict(new["metadata"])}
        entries = marks(new)
        if entries:
            new["metadata"]["managedFields"] = entries
        new = to_storage(served, new)
        prepare_update(served, old, new)
        request = _request(options, "UPDATE", served, new, old, "status" if part == "status" else subresource)
        await self._admission.mutate(request)
        new = request.obj or new
        ownership.mend(new, entries, options.warnings)
        if part == "object":
            self._refuse(served, new, rules.validate_update(served.resource, old, new))
        if served.resource == CUSTOM_RESOURCE_DEFINITIONS:
            self._refuse(served, new, crds.validate(new))
            crds.accept(new, old, self._registry, self._clock.now())
        self._refuse(served, new, check_rules(served, new, old))
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        await self._admission.validate(request)
        if _same(new, old):
            return current
        try:
            if is_finished(served, new):
                return await self._remove(served, new, current, options.dry_run)
            return await self._put(served, new, current, options)
        except RevisionMismatch:
            return None

    async def delete(
        self, served: Served, namespace: str, name: str, options: DeleteOptions, warnings: Warnings
    ) -> Document:
        """Delete an object, or ask it to go. Raises ``StatusError``."""
        resource = served.resource
        self._admission.check_deletion(served, name)
        for _ in range(_ATTEMPTS):
            current = find(self._store, served, namespace, name)
            obj = current.object
            check_preconditions(served, obj, uid=options.uid, resource_version=options.resource_version)
            deletion = plan_deletion(served, obj, options, self._clock.now())
            await self._admission.validate(_deletion(options, served, obj, warnings))
            if served.default_propagation is Propagation.ORPHAN and not options.propagation:
                warnings.append(_ORPHAN_WARNING)
            if not deletion.changed:
                return present(served, current)
            wanted = {**deletion.obj, "metadata": dict(deletion.obj["metadata"])}
            if resource == CUSTOM_RESOURCE_DEFINITIONS and not deletion.remove:
                crds.mark_terminating(wanted, self._clock.now())
            try:
                if not deletion.remove:
                    options_of_write = WriteOptions(dry_run=options.dry_run)
                    return present(served, await self._put(served, wanted, current, options_of_write))
                await self._remove(served, wanted, current, options.dry_run)
            except RevisionMismatch:
                continue
            return Document.of(_success(served, obj))
        raise conflict(resource.group, resource.plural, name)

    async def delete_all(
        self, served: Served, namespace: str, selection: Selection, options: DeleteOptions
    ) -> DocumentList:
        """Delete what is selected, many at a time; answers the objects as they were. Raises ``StatusError``."""
        found = list_documents(self._store, served, namespace, selection)

        async def one(document: Document) -> None:
            metadata = document.object["metadata"]
            try:
                await self.delete(served, metadata.get("namespace", ""), metadata["name"], options, [])
            except StatusError as error:
                if error.code != 404:
                    raise

        for start in range(0, len(found.documents), _DELETED_AT_ONCE):
            await asyncio.gather(*(one(document) for document in found.documents[start : start + _DELETED_AT_ONCE]))
        return found

    async def _put(self, served: Served, obj: Object, current: Document | None, options: WriteOptions) -> Document:
        if options.dry_run:
            if current is None and self._store.get(served.bucket, _key(served, obj)) is not None:
                raise RevisionMismatch(0, -1)
            return Document.of(obj)
        try:
            return await self._store.put(served.bucket, _key(served, obj), obj, current.revision if current else 0)
        except (WriteRefused, StoreClosed) as error:
            raise _refused(error) from error

    async def _remove(self, served: Served, last: Object, current: Document, dry_run: bool) -> Document:
        if dry_run:
            return Document.of(last)
        try:
            return await self._store.remove(served.bucket, _key(served, last), last, current.revision)
        except (WriteRefused, StoreClosed) as error:
            raise _refused(error) from error

    @staticmethod
    def _refuse(served: Served, obj: Object, causes: list[Cause]) -> None:
        if causes:
            name = name_of(obj) or obj["metadata"].get("generateName") or ""
            raise invalid(served.resource.group, served.resource.kind, name, causes)


def _key(served: Served, obj: Object) -> str:
    return key_of(served, obj["metadata"].get("namespace", ""), name_of(obj))


def _request(
    options: WriteOptions,
    operation: Literal["CREATE", "UPDATE"],
    served: Served,
    new: Object,
    old: Object | None,
    subresource: str = "",
) -> AdmissionRequest:
    return AdmissionRequest(
        options.user,
        operation,
        served,
        new["metadata"].get("namespace", ""),
        new,
        old,
        subresource,
        options.dry_run,
        options.warnings,
    )


def _deletion(options: DeleteOptions, served: Served, old: Object, warnings: Warnings) -> AdmissionRequest:
    namespace = old["metadata"].get("namespace", "")
    return AdmissionRequest(options.user, "DELETE", served, namespace, None, old, "", options.dry_run, warnings)


def _same(new: Object, old: Object) -> bool:
    """Compare as JSON does: Python alone takes ``1`` and ``true`` for equal."""
    if new != old:
        return False
    return orjson.dumps(new, option=orjson.OPT_SORT_KEYS) == orjson.dumps(old, option=orjson.OPT_SORT_KEYS)


def _success(served: Served, obj: Object) -> Object:
    details = {"name": name_of(obj), "group": served.resource.group, "kind": served.resource.plural, "uid": uid_of(obj)}
    if not served.resource.group:
        del details["group"]
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _refused(error: WriteRefused | StoreClosed) -> StatusError:
    if isinstance(error, StoreClosed):
        return unavailable("the server is stopping")
    return StatusError(507, "InsufficientStorage", str(error))
