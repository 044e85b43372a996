"""The rules of custom resources: ``x-kubernetes-validations`` in a structural schema.

Follows ``apiextensions-apiserver/pkg/apiserver/schema/cel``: a rule sees the value where it stands as ``self``; one
that names ``oldSelf`` is asked on updates only, of values whose former state can be told. A value that an update
did not change is not judged anew.
"""

from collections.abc import Iterator
from typing import Any

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.objects import Object
from headwater.kube.schema.builtin import Schema
from headwater.kube.schema.cel.program import CelError, CelSyntaxError, CostError, Meter, Program, compile_expression
from headwater.kube.schema.cel.types import DYN, REQUEST_BYTES, Type, type_of_schema, value_of
from headwater.kube.schema.cel.values import NONE, Optional, equal

RULES = "x-kubernetes-validations"
_RULE_BUDGET = 10_000_000
_TOTAL_BUDGET = 100_000_000
_REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")
_MISSING: Any = object()


class _Rule:
    __slots__ = ("field", "message", "message_program", "optional_old", "path", "program", "reason", "transition")

    def __init__(self, rule: dict[str, Any], self_type: Type) -> None:
        self.optional_old = bool(rule.get("optionalOldSelf"))
        scope = {"self": self_type, "oldSelf": DYN if self.optional_old else self_type}
        self.program = compile_expression(rule.get("rule") or "", scope, wanted=("bool",))
        self.transition = "oldSelf" in self.program.names
        self.message = rule.get("message") or ""
        self.message_program: Program | None = None
        if rule.get("messageExpression"):
            self.message_program = compile_expression(rule["messageExpression"], scope, wanted=("string",))
        self.reason = rule.get("reason") or "FieldValueInvalid"
        self.field = rule.get("fieldPath") or ""


def has_rules(schema: Any) -> bool:
    """Tell whether a rule stands anywhere in a schema."""
    return next(_nodes(schema, "", 1, 1), None) is not None


def check_rules(schema: Schema, path: str) -> list[Cause]:
    """Return what is wrong with the rules of a custom resource's schema, each with the rule's path."""
    causes: list[Cause] = []
    total = 0.0
    for node, at, count, depth in _nodes(schema, path, 1, 0):
        rules = node[RULES]
        if not isinstance(rules, list):
            causes.append(Cause(f"{at}.{RULES}", "Invalid value: must be a list", "FieldValueTypeInvalid"))
            continue
        for number, rule in enumerate(rules):
            where = f"{at}.{RULES}[{number}]"
            found, cost = _check_rule(rule, node, where, depth == 0, count)
            causes += found
            total += cost
    if total > _TOTAL_BUDGET and not causes:
        causes.append(Cause(path, _too_costly("CEL rule", total, _TOTAL_BUDGET), "FieldValueForbidden"))
    return causes


def _check_rule(rule: Any, node: Schema, where: str, root: bool, count: float) -> tuple[list[Cause], float]:
    if not isinstance(rule, dict):
        return [Cause(where, "Invalid value: must be an object", "FieldValueTypeInvalid")], 0
    text = rule.get("rule")
    if not isinstance(text, str) or not text.strip():
        return [Cause(f"{where}.rule", "Required value: rule is not specified", "FieldValueRequired")], 0
    causes = [
        Cause(f"{where}.{key}", "Invalid value: must be a string", "FieldValueTypeInvalid")
        for key in ("message", "messageExpression", "fieldPath", "reason")
        if rule.get(key) is not None and not isinstance(rule[key], str)
    ]
    if causes:
        return causes, 0
    message = rule.get("message")
    if message is not None and not message.strip():
        text_of = "Invalid value: message must be non-empty if specified"
        causes.append(Cause(f"{where}.message", text_of))
    elif message and ("\n" in message or "\r" in message):
        causes.append(Cause(f"{where}.message", "Invalid value: message must not contain line breaks"))
    elif not message and ("\n" in text) and not rule.get("messageExpression"):
        needed = "Required value: message must be specified if rule contains line breaks"
        causes.append(Cause(f"{where}.message", needed, "FieldValueRequired"))
    reason = rule.get("reason")
    if reason and reason not in _REASONS:
        listed = ", ".join(f'"{each}"' for each in sorted(_REASONS))
        text_of = f'Unsupported value: "{reason}": supported values: {listed}'
        causes.append(Cause(f"{where}.reason", text_of, "FieldValueNotSupported"))
    if rule.get("fieldPath") and _at_path(node, rule["fieldPath"]) is None:
        text_of = f'Invalid value: "{rule["fieldPath"]}": fieldPath must be a valid path to a field of the schema'
        causes.append(Cause(f"{where}.fieldPath", text_of))
    self_type = type_of_schema(node, root=root)
    try:
        compiled = _Rule({**rule, "messageExpression": ""}, self_type)
    except CelSyntaxError as error:
        causes.append(Cause(f"{where}.rule", f"Invalid value: {text!r}: compilation failed: {error}"))
        return causes, 0
    if rule.get("messageExpression"):
        try:
            _Rule(rule, self_type)
        except CelSyntaxError as error:
            shown = f"Invalid value: {rule['messageExpression']!r}: messageExpression compilation failed: {error}"
            causes.append(Cause(f"{where}.messageExpression", shown))
    if rule.get("optionalOldSelf") is not None and not compiled.transition:
        causes.append(Cause(f"{where}.optionalOldSelf", "Invalid value: may not be set if oldSelf is not used in rule"))
    if compiled.transition and not compiled.optional_old and count == float("inf"):
        causes.append(Cause(f"{where}.rule", "Invalid value: oldSelf cannot be used on the uncorrelatable portion"))
    cost = compiled.program.cost * (count if count != float("inf") else 1)
    if cost > _RULE_BUDGET:
        causes.append(Cause(f"{where}.rule", _too_costly("estimated rule", cost, _RULE_BUDGET), "FieldValueForbidden"))
    return causes, cost


def _too_costly(what: str, cost: float, budget: int) -> str:
    factor = cost / budget
    shown = "more than 100x" if factor > 100 else f"{factor:.1f}x"
    return (
        f"Forbidden: {what} cost {'exceeds budget' if what.startswith('estimated') else 'total exceeds budget'} by "
        f"factor of {shown} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, "
        "maps, and strings are declared)"
    )


def _at_path(schema: Schema, path: str) -> Schema | None:
    import re

    found: Any = schema
    if not re.fullmatch(r"(?:\.[A-Za-z0-9_-]+|\['[^']+'\])+", path):
        return None
    for name, quoted in re.findall(r"\.([A-Za-z0-9_-]+)|\['([^']+)'\]", path):
        key = name or quoted
        child = (found.get("properties") or {}).get(key)
        if child is None and isinstance(found.get("additionalProperties"), dict):
            child = found["additionalProperties"]
        if not isinstance(child, dict):
            return None
        found = child
    return found  # type: ignore[no-any-return]


def _nodes(schema: Any, path: str, count: float, depth: int) -> Iterator[tuple[Schema, str, float, int]]:
    """Yield each part of a schema that has rules, its path, and how many values of it an object can have."""
    if not isinstance(schema, dict) or depth > 60:
        return
    if schema.get(RULES):
        yield schema, path, count, depth
    for name, child in (schema.get("properties") or {}).items():
        yield from _nodes(child, f"{path}.properties[{name}]", count, depth + 1)
    most = min(type_of_schema(schema).size if schema.get("type") in ("object", "array") else 1, REQUEST_BYTES)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _nodes(schema["additionalProperties"], f"{path}.additionalProperties", count * most, depth + 1)
    if isinstance(schema.get("items"), dict):
        yield from _nodes(schema["items"], f"{path}.items", count * most, depth + 1)


class Rules:
    """The rules of one schema, compiled when they are first asked."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._compiled: dict[int, list[_Rule]] = {}
        self._relevant: dict[int, bool] = {}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what the rules refuse in an object; ``old`` is its former state on an update."""
        walk = _Walk(self)
        walk.visit(self._schema, obj, _MISSING if old is None else old, "", root=True)
        return walk.causes

    def of(self, schema: Schema, root: bool) -> list[_Rule]:
        """Return the compiled rules that stand at one part of the schema."""
        found = self._compiled.get(id(schema))
        if found is None:
            found = []
            for rule in schema.get(RULES) or ():
                try:
                    found.append(_Rule(rule, type_of_schema(schema, root=root)))
                except CelSyntaxError:
                    # Refused when a definition is written; one that was stored before rules were checked stays silent.
                    continue
            self._compiled[id(schema)] = found
        return found

    def relevant(self, schema: Schema) -> bool:
        """Tell whether a part of the schema has rules in it."""
        found = self._relevant.get(id(schema))
        if found is None:
            found = self._relevant[id(schema)] = has_rules(schema)
        return found


class _Walk:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.causes: list[Cause] = []
        self.total = Meter(_TOTAL_BUDGET)

    def visit(self, schema: Schema, value: Any, old: Any, path: str, *, root: bool = False) -> None:
        if not self.rules.relevant(schema) or value is None:
            return
        for rule in self.rules.of(schema, root):
            self.ask(rule, schema, value, old, path)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
            for key, item in value.items():
                child = properties.get(key, additional)
                if isinstance(child, dict):
                    where = f"{path}[{key}]" if key not in properties else f"{path}.{key}" if path else key
                    self.visit(child, item, before.get(key, _MISSING), where)
        elif isinstance(value, list) and isinstance(schema.get("items"), dict):
            former = _by_key(schema, old)
            keys = schema.get("x-kubernetes-list-map-keys") or ()
            for index, item in enumerate(value):
                was = former.get(_key(keys, item), _MISSING) if former else _MISSING
                self.visit(schema["items"], item, was, f"{path}[{index}]")

    def ask(self, rule: _Rule, schema: Schema, value: Any, old: Any, path: str) -> None:
        variables: dict[str, Any] = {"self": value_of(schema, value)}
        if rule.transition:
            if rule.optional_old:
                variables["oldSelf"] = NONE if old is _MISSING else Optional(value_of(schema, old), True)
            elif old is _MISSING:
                return
            else:
                variables["oldSelf"] = value_of(schema, old)
        elif old is not _MISSING and equal(value, old):
            return
        meter = Meter(min(_RULE_BUDGET, self.total.left))
        kind = schema.get("type") or "object"
        try:
            holds = rule.program.evaluate(variables, meter)
            if holds is True:
                return
            self.refuse(rule, path, kind, self.message(rule, variables))
        except CostError:
            text = "no further validation rules will be run due to call cost exceeds limit for rule: "
            self.causes.append(Cause(path, f'Invalid value: "{kind}": {text}{rule.program.text}'))
        except CelError as error:
            message = f"{error} evaluating rule: {rule.message or rule.program.text}"
            self.causes.append(Cause(path, f'Invalid value: "{kind}": {message}'))
        finally:
            self.total.left -= meter.used

    @staticmethod
    def message(rule: _Rule, variables: dict[str, Any]) -> str:
        if rule.message_program is not None:
            try:
                text = rule.message_program.evaluate(variables)
            except CelError:
                text = ""
            if isinstance(text, str) and text.strip() and "\n" not in text:
                return text[:5120]
        return rule.message or f"failed rule: {rule.program.text}"

    def refuse(self, rule: _Rule, path: str, kind: str, message: str) -> None:
        where = f"{path}{rule.field}" if path else rule.field.removeprefix(".")
        said = {
            "FieldValueForbidden": f"Forbidden: {message}",
            "FieldValueRequired": f"Required value: {message}",
            "FieldValueDuplicate": f'Duplicate value: "{kind}": {message}',
        }.get(rule.reason, f'Invalid value: "{kind}": {message}')
        self.causes.append(Cause(where, said, rule.reason))


def _key(keys: Any, item: Any) -> tuple[Any, ...]:
    return tuple(repr(item.get(key)) for key in keys) if isinstance(item, dict) else ()


def _by_key(schema: Schema, old: Any) -> dict[tuple[Any, ...], Any]:
    """Return the former items of a list whose items have keys; those of other lists cannot be told apart."""
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return {}
    return {_key(keys, item): item for item in old}
