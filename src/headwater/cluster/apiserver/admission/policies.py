"""Validating admission policies: rules of the cluster's owner, as CEL expressions over requests.

Follows ``k8s.io/apiserver/pkg/admission/plugin/policy/validating``: a policy judges where a binding puts it in force;
each binding may bring parameters. Policies are compiled once per revision.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from headwater.cluster.apiserver.admission.expressions import (
    POLICY_SCOPE,
    compile_conditions,
    conditions_hold,
    variables_of,
)
from headwater.cluster.apiserver.admission.matching import GROUP, find_match, rule_matches, selectors_match
from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.registry import Registry
from headwater.cluster.apiserver.users import Authorizer
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import Cause, StatusError, forbidden
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import NAMESPACES
from headwater.kube.meta.selectors import LabelSelector
from headwater.kube.schema.cel.evaluation import Lazy
from headwater.kube.schema.cel.program import CelError, CelSyntaxError, Program, compile_expression

POLICIES = f"validatingadmissionpolicies.{GROUP}"
BINDINGS = f"validatingadmissionpolicybindings.{GROUP}"
_CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


@dataclass(frozen=True, slots=True)
class _Validation:
    program: Program
    message: str
    message_program: Program | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Policy:
    conditions: list[tuple[str, Program]]
    variables: list[tuple[str, Program]]
    validations: list[_Validation]


def _compile(spec: Object) -> _Policy:
    validations = [
        _Validation(
            compile_expression(each.get("expression") or "", POLICY_SCOPE, wanted=("bool",)),
            each.get("message") or "",
            compile_expression(each["messageExpression"], POLICY_SCOPE, wanted=("string",))
            if each.get("messageExpression")
            else None,
            each.get("reason") or "Invalid",
        )
        for each in spec.get("validations") or ()
    ]
    variables = [
        (each["name"], compile_expression(each.get("expression") or "", POLICY_SCOPE))
        for each in spec.get("variables") or ()
    ]
    return _Policy(compile_conditions(spec.get("matchConditions"), POLICY_SCOPE), variables, validations)


def check_policy(policy: Object) -> list[Cause]:
    """Return what is wrong with a policy's expressions, each with its path."""
    spec = policy.get("spec") or {}
    causes: list[Cause] = []
    wanted: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("validations", "expression", ("bool",)),
        ("validations", "messageExpression", ("string",)),
        ("matchConditions", "expression", ("bool",)),
        ("variables", "expression", ()),
        ("auditAnnotations", "valueExpression", ("string", "null_type")),
    )
    for part, key, kinds in wanted:
        for number, each in enumerate(spec.get(part) or ()):
            text = each.get(key)
            path = f"spec.{part}[{number}].{key}"
            if not text:
                if key != "messageExpression":
                    causes.append(Cause(path, "Required value", "FieldValueRequired"))
                continue
            try:
                compile_expression(text, POLICY_SCOPE, wanted=kinds)
            except CelSyntaxError as error:
                causes.append(Cause(path, f'Invalid value: "{text}": compilation failed: {error}'))
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        causes.append(Cause("spec.validations", "Required value: validations or auditAnnotations must be given"))
    if not (spec.get("matchConstraints") or {}).get("resourceRules"):
        causes.append(Cause("spec.matchConstraints.resourceRules", "Required value", "FieldValueRequired"))
    return causes


def check_binding(binding: Object) -> list[Cause]:
    """Return what is wrong with a binding."""
    spec = binding.get("spec") or {}
    causes: list[Cause] = []
    if not spec.get("policyName"):
        causes.append(Cause("spec.policyName", "Required value", "FieldValueRequired"))
    actions = spec.get("validationActions") or []
    if not actions:
        causes.append(Cause("spec.validationActions", "Required value", "FieldValueRequired"))
    causes += [
        Cause(
            f"spec.validationActions[{number}]", f'Unsupported value: "{action}": supported values: Deny, Warn, Audit'
        )
        for number, action in enumerate(actions)
        if action not in ("Deny", "Warn", "Audit")
    ]
    if "Deny" in actions and "Warn" in actions:
        causes.append(Cause("spec.validationActions", "Invalid value: must not contain both Deny and Warn"))
    reference = spec.get("paramRef")
    if reference is not None and bool(reference.get("name")) is (reference.get("selector") is not None):
        causes.append(Cause("spec.paramRef", "Invalid value: exactly one of name and selector must be given"))
    return causes


class Policies:
    """Puts requests to the policies in force."""

    def __init__(self, store: Store, registry: Registry, authorizer: Callable[[], Authorizer]) -> None:
        self._store = store
        self._registry = registry
        self._authorizer = authorizer
        self._compiled: dict[str, tuple[int, _Policy]] = {}

    def check(self, request: AdmissionRequest) -> None:
        """Raise ``StatusError`` for what a policy refuses; add the warnings of those that only warn."""
        bindings: dict[str, list[Object]] = {}
        for _, document in self._store.scan(BINDINGS):
            bindings.setdefault((document.object.get("spec") or {}).get("policyName", ""), []).append(document.object)
        for name, document in list(self._store.scan(POLICIES)):
            if name in bindings:
                self._ask(document.object, document.revision, bindings[name], request)

    def _ask(self, policy: Object, revision: int, bindings: list[Object], request: AdmissionRequest) -> None:
        spec = policy["spec"]
        served = self._match(spec.get("matchConstraints") or {}, request)
        bindings = [each for each in bindings if served and self._match(each["spec"].get("matchResources"), request)]
        if served is None or not bindings:
            return
        fails = spec.get("failurePolicy", "Fail") == "Fail"
        try:
            compiled = self._policy(name_of(policy), revision, spec)
        except CelSyntaxError as error:
            if fails:
                raise self._refusal(request, policy, bindings[0], f"compilation error: {error}", "Invalid") from None
            return
        variables = variables_of(request, served, self._authorizer())
        home = self._store.get(NAMESPACES.group_resource, request.namespace) if request.namespace else None
        variables["namespaceObject"] = home.object if home else None
        for binding in bindings:
            for params in self._params(spec, binding, request, fails, policy):
                self._judge(compiled, policy, binding, request, {**variables, "params": params}, fails)

    def _match(self, match: Object | None, request: AdmissionRequest) -> Any:
        """Return the version by which a request matches; for a binding that says nothing, any."""
        if match is None:
            return request.served
        if any(rule_matches(rule, request, request.served) for rule in match.get("excludeResourceRules") or ()):
            return None
        if not selectors_match(self._store, match, request):
            return None
        rules = match.get("resourceRules")
        if not rules:
            return request.served
        return find_match(self._registry, rules, match.get("matchPolicy") or "Equivalent", request)

    def _policy(self, name: str, revision: int, spec: Object) -> _Policy:
        cached = self._compiled.get(name)
        if cached is None or cached[0] != revision:
            cached = self._compiled[name] = (revision, _compile(spec))
        return cached[1]

    def _params(
        self, spec: Object, binding: Object, request: AdmissionRequest, fails: bool, policy: Object
    ) -> list[Object | None]:
        kind, reference = spec.get("paramKind"), binding["spec"].get("paramRef")
        if not kind or not reference:
            return [None]
        group, _, version = (kind.get("apiVersion") or "").rpartition("/")
        served = self._registry.of_kind(group, version, kind.get("kind", ""))
        if served is None:
            if not fails:
                return []
            why = f"failed to find resource for param kind {kind.get('apiVersion')}, Kind={kind.get('kind')}"
            raise self._refusal(request, policy, binding, f"failed to configure policy: {why}", "Invalid")
        prefix = ""
        if served.resource.namespaced:
            prefix = f"{reference.get('namespace') or request.namespace}/"
        if reference.get("name"):
            one = self._store.get(served.bucket, prefix + reference["name"])
            found: list[Object | None] = [one.object] if one is not None else []
        else:
            selector = LabelSelector.from_object(reference.get("selector") or {})
            documents = [document for _, document in self._store.scan(served.bucket, prefix)]
            found = [document.object for document in documents if selector.matches(document.labels)]
        if not found and reference.get("parameterNotFoundAction") == "Deny" and fails:
            why = "no params found for policy binding with `Deny` parameterNotFoundAction"
            raise self._refusal(request, policy, binding, f"failed to configure binding: {why}", "Invalid")
        return found

    def _judge(
        self,
        compiled: _Policy,
        policy: Object,
        binding: Object,
        request: AdmissionRequest,
        variables: dict[str, Any],
        fails: bool,
    ) -> None:
        composed: dict[str, Any] = {}
        variables["variables"] = composed
        for name, program in compiled.variables:
            composed[name] = Lazy(partial(program.evaluate, variables))
        try:
            if not conditions_hold(compiled.conditions, variables):
                return
        except CelError as error:
            if fails:
                raise self._refusal(request, policy, binding, str(error), "Invalid") from None
            return
        for validation in compiled.validations:
            try:
                if validation.program.evaluate(variables) is True:
                    continue
                message = self._message(validation, variables)
            except CelError as error:
                if not fails:
                    continue
                message = f"expression '{validation.program.text}' resulted in error: {error}"
            self._act(policy, binding, request, message, validation.reason)

    @staticmethod
    def _message(validation: _Validation, variables: dict[str, Any]) -> str:
        if validation.message_program is not None:
            try:
                text = validation.message_program.evaluate(variables)
            except CelError:
                text = ""
            if isinstance(text, str) and text.strip() and "\n" not in text:
                return text.strip()
        return validation.message.strip() or f"failed expression: {validation.program.text.strip()}"

    def _act(self, policy: Object, binding: Object, request: AdmissionRequest, message: str, reason: str) -> None:
        actions = binding["spec"].get("validationActions") or ()
        if "Deny" in actions:
            raise self._refusal(request, policy, binding, message, reason)
        if "Warn" in actions:
            who = f"ValidatingAdmissionPolicy '{name_of(policy)}' with binding '{name_of(binding)}'"
            request.warnings.append(f"Validation failed for {who}: {message}")

    @staticmethod
    def _refusal(request: AdmissionRequest, policy: Object, binding: Object, message: str, reason: str) -> StatusError:
        resource = request.served.resource
        who = f"ValidatingAdmissionPolicy '{name_of(policy)}' with binding '{name_of(binding)}'"
        error = forbidden(resource.group, resource.plural, request.name, f"{who} denied request: {message}")
        error.reason = reason
        error.code = _CODES.get(reason, 422)
        error.details["causes"] = [{"message": f"{who} denied request: {message}"}]
        return error
