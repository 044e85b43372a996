"""CEL over requests: the variables of match conditions and policies, and the authorizer they may ask."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.cluster.apiserver.admission.matching import describe, in_version
from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.apiserver.users import Authorizer, User, service_account_user
from headwater.kube.meta.resources import Resource
from headwater.kube.schema.cel.kubernetes import Askable
from headwater.kube.schema.cel.program import CelError, Program, compile_expression
from headwater.kube.schema.cel.types import DYN

REQUEST_SCOPE = dict.fromkeys(("object", "oldObject", "request", "authorizer"), DYN)
POLICY_SCOPE = {**REQUEST_SCOPE, **dict.fromkeys(("params", "namespaceObject", "variables"), DYN)}


@dataclass(frozen=True, slots=True)
class _Check(Askable):
    """A question put together step by step: ``authorizer.group('').resource('pods').check('get').allowed()``."""

    authorizer: Authorizer
    user: User
    texts: Mapping[str, str] = field(default_factory=dict)
    about: Resource | None = None
    type_name = "kubernetes.authorization"

    def ask(self, method: str, *args: Any) -> Any:
        match method, args:
            case "serviceAccount", (str() as namespace, str() as name):
                return replace(self, user=service_account_user(namespace, name))
            case (("group" | "resource" | "subresource" | "namespace" | "name" | "path"), (str() as text,)):
                return replace(self, texts={**self.texts, method: text})
            case "check", (str() as verb,):
                return _Answer(self._decide(verb))
        raise TypeError(method)

    def select(self, name: str) -> Any:
        if name == "requestResource" and self.about is not None:
            texts = {"group": self.about.group, "resource": self.about.plural, **self.texts}
            return replace(self, texts=texts)
        raise CelError(f"no such key: {name}")

    def _decide(self, verb: str) -> str | None:
        texts = self.texts
        if "path" in texts:
            ask = getattr(self.authorizer, "authorize_path", None)
            answer: str | None = ask(self.user, verb, texts["path"]) if ask else "paths cannot be asked about"
            return answer
        resource = Resource(texts.get("group", ""), "v1", "", texts.get("resource", ""))
        subresource = texts.get("subresource") or None
        namespace, name = texts.get("namespace", ""), texts.get("name", "")
        return self.authorizer.authorize(self.user, verb, resource, subresource, namespace, name)


@dataclass(frozen=True, slots=True)
class _Answer(Askable):
    refusal: str | None
    type_name = "kubernetes.authorization.Decision"

    def ask(self, method: str, *args: Any) -> Any:
        match method:
            case "allowed":
                return self.refusal is None
            case "reason" | "error":
                return "" if method == "error" else self.refusal or ""
            case "errored":
                return False
        raise TypeError(method)


def variables_of(request: AdmissionRequest, served: Served, authorizer: Authorizer) -> dict[str, Any]:
    """Return what expressions see of a request."""
    return {
        "object": in_version(served, request.obj),
        "oldObject": in_version(served, request.old),
        "request": describe(request, served),
        "authorizer": _Check(authorizer, request.user, about=request.served.resource),
    }


def compile_conditions(conditions: Any, scope: Mapping[str, Any]) -> list[tuple[str, Program]]:
    """Compile match conditions. Raises ``CelSyntaxError``."""
    return [
        (each.get("name", ""), compile_expression(each.get("expression") or "", scope, wanted=("bool",)))
        for each in conditions or ()
    ]


def conditions_hold(conditions: list[tuple[str, Program]], variables: Mapping[str, Any]) -> bool:
    """Tell whether all match conditions hold. Raises ``CelError`` when none is false and one has no value."""
    failed: CelError | None = None
    for name, program in conditions:
        try:
            if program.evaluate(variables) is not True:
                return False
        except CelError as error:
            failed = CelError(f"matchCondition {name!r}: {error}")
    if failed is not None:
        raise failed
    return True
