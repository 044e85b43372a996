"""The configuration of webhooks and policies themselves: defaults, and what makes one valid.

Follows ``pkg/apis/admissionregistration`` (v1).
"""

from typing import Any
from urllib.parse import urlsplit

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.names import is_dns_subdomain
from headwater.kube.meta.objects import Object


def complete(obj: Object) -> None:
    """Fill in the defaults, in place."""
    mutating = obj.get("kind") == "MutatingWebhookConfiguration"
    for webhook in obj.get("webhooks") or ():
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("timeoutSeconds", 10)
        if mutating:
            webhook.setdefault("reinvocationPolicy", "Never")
        _match_defaults(webhook, webhook.get("rules"))
        service = (webhook.get("clientConfig") or {}).get("service")
        if service is not None:
            service.setdefault("port", 443)
    spec = obj.get("spec") or {}
    if obj.get("kind") == "ValidatingAdmissionPolicy":
        spec.setdefault("failurePolicy", "Fail")
        match = spec.get("matchConstraints") or {}
        _match_defaults(match, match.get("resourceRules"))
        generation = obj["metadata"].get("generation", 1)
        obj["status"] = {**(obj.get("status") or {}), "observedGeneration": generation, "typeChecking": {}}
    elif spec.get("matchResources") is not None:
        _match_defaults(spec["matchResources"], spec["matchResources"].get("resourceRules"))


def _match_defaults(match: Object, rules: Any) -> None:
    if not match:
        return
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for rule in rules or ():
        rule.setdefault("scope", "*")


def check(obj: Object) -> list[Cause]:
    """Return what is wrong with a configuration, each with its path."""
    match obj.get("kind"):
        case "ValidatingAdmissionPolicy":
            from headwater.cluster.apiserver.admission.policies import check_policy

            return check_policy(obj)
        case "ValidatingAdmissionPolicyBinding":
            from headwater.cluster.apiserver.admission.policies import check_binding

            return check_binding(obj)
    causes: list[Cause] = []
    names: set[str] = set()
    for number, webhook in enumerate(obj.get("webhooks") or ()):
        at, name = f"webhooks[{number}]", webhook.get("name") or ""
        if wrong := is_dns_subdomain(name):
            causes.append(Cause(f"{at}.name", f'Invalid value: "{name}": {wrong}'))
        elif name.count(".") < 2:
            why = "should be a domain with at least three segments separated by dots"
            causes.append(Cause(f"{at}.name", f'Invalid value: "{name}": {why}'))
        elif name in names:
            causes.append(Cause(f"{at}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate"))
        names.add(name)
        causes += _webhook(webhook, at, mutating="Mutating" in obj["kind"])
    return causes


def _webhook(webhook: Object, at: str, *, mutating: bool) -> list[Cause]:
    causes: list[Cause] = []
    choices = {
        "failurePolicy": ("Fail", "Ignore"),
        "matchPolicy": ("Exact", "Equivalent"),
        "sideEffects": ("None", "NoneOnDryRun"),
    }
    if mutating:
        choices["reinvocationPolicy"] = ("Never", "IfNeeded")
    for key, allowed in choices.items():
        if webhook.get(key) not in allowed:
            listed = ", ".join(f'"{each}"' for each in allowed)
            said = f'Unsupported value: "{webhook.get(key, "")}": supported values: {listed}'
            causes.append(Cause(f"{at}.{key}", said, "FieldValueNotSupported"))
    if "v1" not in (webhook.get("admissionReviewVersions") or ()):
        said = "Invalid value: must include at least one of v1"
        causes.append(Cause(f"{at}.admissionReviewVersions", said))
    if not 1 <= (webhook.get("timeoutSeconds") or 0) <= 30:
        said = f"Invalid value: {webhook.get('timeoutSeconds')}: the timeout value must be between 1 and 30 seconds"
        causes.append(Cause(f"{at}.timeoutSeconds", said))
    causes += _rules(webhook.get("rules") or (), f"{at}.rules")
    causes += check_client(webhook.get("clientConfig") or {}, f"{at}.clientConfig")
    if webhook.get("matchConditions"):
        from headwater.cluster.apiserver.admission.expressions import REQUEST_SCOPE
        from headwater.kube.schema.cel.program import CelSyntaxError, compile_expression

        for number, condition in enumerate(webhook["matchConditions"]):
            try:
                compile_expression(condition.get("expression") or "", REQUEST_SCOPE, wanted=("bool",))
            except CelSyntaxError as error:
                text = f'Invalid value: "{condition.get("expression")}": compilation failed: {error}'
                causes.append(Cause(f"{at}.matchConditions[{number}].expression", text))
    return causes


def _rules(rules: Any, at: str) -> list[Cause]:
    causes: list[Cause] = []
    for number, rule in enumerate(rules):
        causes += [
            Cause(f"{at}[{number}].{key}", "Required value", "FieldValueRequired")
            for key in ("operations", "apiGroups", "apiVersions", "resources")
            if not rule.get(key)
        ]
        if rule.get("scope", "*") not in ("*", "Cluster", "Namespaced"):
            causes.append(Cause(f"{at}[{number}].scope", f'Unsupported value: "{rule["scope"]}"'))
    return causes


def check_client(config: Object, at: str) -> list[Cause]:
    """Return what is wrong with a ``clientConfig``."""
    url, service = config.get("url"), config.get("service")
    if (url is None) is (service is None):
        return [Cause(at, "Required value: exactly one of url or service is required", "FieldValueRequired")]
    if url is None:
        return []
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.netloc:
        return [Cause(f"{at}.url", f"Invalid value: \"{url}\": 'https' is the only allowed URL scheme")]
    if parts.username or parts.query or parts.fragment:
        said = "user information, queries and fragments are not permitted in the URL"
        return [Cause(f"{at}.url", f'Invalid value: "{url}": {said}')]
    return []
