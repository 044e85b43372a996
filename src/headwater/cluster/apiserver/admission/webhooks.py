"""Mutating and validating webhooks: who is asked about a request, in which order, and what the answer means.

Follows ``k8s.io/apiserver/pkg/admission/plugin/webhook``: configurations by name, their webhooks in order; mutating
ones after another, and once more where they ask for it and a later one changed the object; validating ones at the
same time.
"""

import asyncio
import base64
import binascii
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from headwater.cluster.apiserver.admission.calling import WebhookCaller, WebhookCallError, gather_first_error
from headwater.cluster.apiserver.admission.matching import GROUP, describe, find_match, in_version, selectors_match
from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.answers import WriteOptions
from headwater.cluster.apiserver.conversion import to_storage
from headwater.cluster.apiserver.metadata import prepare_update
from headwater.cluster.apiserver.registry import Registry, Served
from headwater.cluster.apiserver.schemas import decode
from headwater.cluster.apiserver.users import Authorizer
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import StatusError, internal
from headwater.kube.meta.objects import Object
from headwater.kube.patch.errors import PatchError
from headwater.kube.patch.json import json_patch

MUTATING = f"mutatingwebhookconfigurations.{GROUP}"
VALIDATING = f"validatingwebhookconfigurations.{GROUP}"
_KEPT = (
    *("name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"),
)


class Webhooks:
    """Asks the webhooks."""

    def __init__(
        self, store: Store, registry: Registry, authorizer: Callable[[], Authorizer], caller: WebhookCaller
    ) -> None:
        self._store = store
        self._registry = registry
        self._authorizer = authorizer
        self._caller = caller
        self._conditions: dict[bytes, Any] = {}

    async def mutate(self, request: AdmissionRequest) -> None:
        """Let mutating webhooks change the wanted object. Raises ``StatusError``."""
        again: list[tuple[Object, Served]] = []
        for webhook in self._configured(MUTATING):
            served = self._match(webhook, request)
            if served is None:
                continue
            changed = await self._apply(webhook, served, request)
            if changed:
                # Those that were asked before see the object once more, if they want to.
                for earlier, its in [each for each in again if each[0].get("reinvocationPolicy") == "IfNeeded"]:
                    again.remove((earlier, its))
                    again.append(({**earlier, "@again": True}, its))
            again.append((webhook, served))
        for webhook, _ in again:
            if webhook.get("@again"):
                repeated = self._match(webhook, request)
                if repeated is not None:
                    await self._apply(webhook, repeated, request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Put the request to validating webhooks, all at once. Raises ``StatusError``."""
        asked = [(webhook, self._match(webhook, request)) for webhook in self._configured(VALIDATING)]
        calls = [self._call(webhook, served, request) for webhook, served in asked if served is not None]
        if calls:
            await gather_first_error(calls)

    def _configured(self, bucket: str) -> Iterator[Object]:
        for _, document in list(self._store.scan(bucket)):
            yield from document.object.get("webhooks") or ()

    def _match(self, webhook: Object, request: AdmissionRequest) -> Served | None:
        """Return the version in which a webhook wants to see the request, or ``None``. Raises ``StatusError``."""
        policy = webhook.get("matchPolicy") or "Equivalent"
        served = find_match(self._registry, webhook.get("rules") or [], policy, request)
        if served is None or not selectors_match(self._store, webhook, request):
            return None
        if not webhook.get("matchConditions"):
            return served
        from headwater.cluster.apiserver.admission.expressions import conditions_hold, variables_of
        from headwater.kube.schema.cel.program import CelError

        try:
            variables = variables_of(request, served, self._authorizer())
            return served if conditions_hold(self._compiled(webhook["matchConditions"]), variables) else None
        except CelError as error:
            if webhook.get("failurePolicy") == "Ignore":
                return None
            resource = request.served.resource
            why = f'{resource.group_resource} "{request.name}" is forbidden: webhook "{webhook["name"]}": {error}'
            raise StatusError(403, "Forbidden", why) from None

    def _compiled(self, conditions: Any) -> Any:
        from headwater.cluster.apiserver.admission.expressions import REQUEST_SCOPE, compile_conditions

        key = orjson.dumps(conditions)
        found = self._conditions.get(key)
        if found is None:
            if len(self._conditions) > 200:
                self._conditions.clear()
            found = self._conditions[key] = compile_conditions(conditions, REQUEST_SCOPE)
        return found

    async def _apply(self, webhook: Object, served: Served, request: AdmissionRequest) -> bool:
        """Ask a mutating webhook and take its changes over; tells whether there were any."""
        response = await self._call(webhook, served, request)
        if response is None or not response.get("patch") or request.obj is None:
            return False
        try:
            return self._patch(response, served, request)
        except WebhookCallError as error:
            self._failed(webhook, error)
            return False

    @staticmethod
    def _patch(response: Object, served: Served, request: AdmissionRequest) -> bool:
        if response.get("patchType") != "JSONPatch":
            raise WebhookCallError(f"the patchType {response.get('patchType')!r} is not JSONPatch")
        before = request.obj or {}
        shown = in_version(served, before) or {}
        try:
            operations = orjson.loads(base64.b64decode(response["patch"]))
            patched = json_patch(shown, operations)
        except (binascii.Error, TypeError, orjson.JSONDecodeError, PatchError) as error:
            raise WebhookCallError(f"the patch cannot be applied: {error}") from None
        metadata = patched.get("metadata")
        if not isinstance(metadata, dict) or patched.get("kind") != shown.get("kind"):
            raise WebhookCallError("the patch makes another kind of object")
        if patched == shown:
            return False
        patched = orjson.loads(orjson.dumps(patched))
        new = to_storage(served, decode(served, patched, WriteOptions(field_validation="Ignore")))
        new["metadata"] = dict(new["metadata"])
        if request.old is not None:
            prepare_update(request.served, request.old, new)
        for key in _KEPT:
            if key == "generation" and request.old is not None:
                continue
            if key in before["metadata"]:
                new["metadata"][key] = before["metadata"][key]
            else:
                new["metadata"].pop(key, None)
        request.obj = new
        return True

    async def _call(self, webhook: Object, served: Served, request: AdmissionRequest) -> Object | None:
        """Return a webhook's answer if it allows the request; ``None`` when its failure is to be ignored."""
        uid = str(uuid.uuid4())
        described = describe(request, served, uid)
        described["object"] = in_version(served, request.obj)
        described["oldObject"] = in_version(served, request.old)
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": described}
        try:
            seconds = float(webhook.get("timeoutSeconds") or 10)
            # Whatever happens inside, a write never waits longer than the configuration says.
            async with asyncio.timeout(seconds + 0.5):
                answer = await self._caller.post(webhook.get("clientConfig") or {}, review, seconds)
            if answer.get("apiVersion") != "admission.k8s.io/v1" or answer.get("kind") != "AdmissionReview":
                raise WebhookCallError("expected a response of admission.k8s.io/v1, Kind=AdmissionReview")
            response: Object = answer["response"]
            if response.get("uid") != uid:
                raise WebhookCallError(f"expected response.uid={uid!r}, got {response.get('uid')!r}")
        except WebhookCallError as error:
            self._failed(webhook, error)
            return None
        except TimeoutError:
            self._failed(webhook, WebhookCallError("context deadline exceeded"))
            return None
        request.warnings.extend(str(text) for text in response.get("warnings") or ())
        if response.get("allowed") is not True:
            raise _denied(webhook["name"], response.get("status") or response.get("result") or {})
        return response

    @staticmethod
    def _failed(webhook: Object, error: WebhookCallError) -> None:
        if webhook.get("failurePolicy") != "Ignore":
            raise internal(f'failed calling webhook "{webhook["name"]}": failed to call webhook: {error}') from None


def _denied(name: str, status: Object) -> StatusError:
    why = f'admission webhook "{name}" denied the request'
    said = status.get("message") or status.get("reason")
    message = f"{why}: {said}" if said else f"{why} without explanation"
    code = status.get("code")
    code = code if isinstance(code, int) and 400 <= code < 600 else 400
    return StatusError(code, status.get("reason") or "", message, status.get("details"))
