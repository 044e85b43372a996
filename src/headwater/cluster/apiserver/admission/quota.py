"""The ResourceQuota plugin: a new object must fit into what its namespace may use.

As upstream: what fits is first written into the quota's status, under its revision, so that of two writers who race
for the last place one is refused. The quota controller corrects the count later, also for what was not created
after all.
"""

from decimal import Decimal

from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.admission.usage import (
    SCOPES,
    Usage,
    covers,
    kinds_counted,
    shown,
    unspecified,
    usage_of,
)
from headwater.cluster.apiserver.registry import Registry
from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import RevisionMismatch, StoreClosed, WriteRefused
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import Cause, StatusError, conflict, forbidden, invalid, unavailable
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.quantities import parse_quantity
from headwater.kube.meta.resources import PODS, SERVICES

BUCKET = "resourcequotas"
_ATTEMPTS = 100


def check_scopes(wanted: Object) -> None:
    """Refuse a quota with scopes that are none, or that what it counts does not have (422)."""
    spec = wanted.get("spec") or {}
    listed = [(f"spec.scopes[{number}]", scope) for number, scope in enumerate(spec.get("scopes") or ())]
    listed += [
        (f"spec.scopeSelector.matchExpressions[{number}].scopeName", each.get("scopeName"))
        for number, each in enumerate((spec.get("scopeSelector") or {}).get("matchExpressions") or ())
    ]
    causes = [Cause(at, f'Invalid value: "{scope}": unsupported scope') for at, scope in listed if scope not in SCOPES]
    if listed and not causes:
        causes = [
            Cause(listed[0][0], f'Invalid value: "{listed[0][1]}": unsupported scope applied to resource {name}')
            for name in spec.get("hard") or {}
            if [kind.plural for kind in kinds_counted([name], [PODS])] != ["pods"]
        ]
    if causes:
        raise invalid("", "ResourceQuota", name_of(wanted), causes)


class Quotas:
    """Holds namespaces to their quotas."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    async def check(self, request: AdmissionRequest) -> None:
        """Charge the quotas of the request's namespace. Raises ``StatusError`` 403."""
        resource, obj = request.served.resource, request.obj
        if obj is None or request.subresource or (resource.plural == BUCKET and resource.group == ""):
            return
        if request.operation == "UPDATE" and resource.plural not in ("persistentvolumeclaims", SERVICES.plural):
            return
        delta = usage_of(resource, obj)
        if request.old is not None:
            before = usage_of(resource, request.old)
            delta = {name: amount - before.get(name, Decimal(0)) for name, amount in delta.items()}
        charged = [
            name_of(document.object)
            for _, document in list(self._store.scan(BUCKET, f"{request.namespace}/"))
            if covers(document.object, resource, obj) and self._share(document.object, delta, request)
        ]
        if request.dry_run:
            return
        for name in charged:
            await self._charge(request, name, delta)

    def _share(self, quota: Object, delta: Usage, request: AdmissionRequest) -> Usage:
        """Return what of a change a quota counts. Raises ``StatusError`` 403 when it does not fit."""
        hard = (quota.get("spec") or {}).get("hard") or {}
        resource = request.served.resource
        refusal = ""
        if resource == PODS and request.obj is not None:
            silent = unspecified(hard, request.obj["spec"])
            if silent:
                said = "; ".join(f"{name} for: {','.join(silent[name])}" for name in sorted(silent))
                refusal = f"failed quota: {name_of(quota)}: must specify {said}"
        share = {name: amount for name, amount in delta.items() if name in hard and amount > 0}
        if share and not refusal:
            used = self._used(quota)
            over = sorted(name for name in share if used[name] + share[name] > parse_quantity(hard[name]))
            if over:
                requested = ",".join(f"{name}={shown(name, share[name])}" for name in over)
                before = ",".join(f"{name}={shown(name, used[name])}" for name in over)
                limited = ",".join(f"{name}={hard[name]}" for name in over)
                refusal = (
                    f"exceeded quota: {name_of(quota)}, requested: {requested}, used: {before}, limited: {limited}"
                )
        if refusal:
            raise forbidden(resource.group, resource.plural, request.name, refusal)
        return share

    def _used(self, quota: Object) -> Usage:
        """Return what is used by the quota's own count, or, before there is one, by counting here."""
        hard = (quota.get("spec") or {}).get("hard") or {}
        used = (quota.get("status") or {}).get("used") or {}
        if hard.keys() <= used.keys():
            return {name: parse_quantity(used[name]) for name in hard}
        total = dict.fromkeys(hard, Decimal(0))
        kinds = {served.resource: served.bucket for served in self._registry.all() if not served.virtual}
        for resource in kinds_counted(hard, kinds):
            for _, document in self._store.scan(kinds[resource], f"{quota['metadata']['namespace']}/"):
                if covers(quota, resource, document.object):
                    for name, amount in usage_of(resource, document.object).items():
                        if name in total:
                            total[name] += amount
        return total

    async def _charge(self, request: AdmissionRequest, name: str, delta: Usage) -> None:
        key = f"{request.namespace}/{name}"
        for _ in range(_ATTEMPTS):
            current: Document | None = self._store.get(BUCKET, key)
            if current is None:
                return
            share = self._share(current.object, delta, request)
            used = self._used(current.object)
            quota = current.copy()
            hard = quota["spec"]["hard"]
            total = {each: used[each] + share.get(each, Decimal(0)) for each in hard}
            quota["status"] = {"hard": hard, "used": {each: shown(each, amount) for each, amount in total.items()}}
            try:
                await self._store.put(BUCKET, key, quota, current.revision)
            except RevisionMismatch:
                continue
            except StoreClosed as error:
                raise unavailable("the server is stopping") from error
            except WriteRefused as error:
                raise StatusError(507, "InsufficientStorage", str(error)) from error
            return
        raise conflict("", BUCKET, name)
