"""Label and field selectors, as ``kubectl get -l`` and ``--field-selector`` write them.

Follows ``k8s.io/apimachinery/pkg/labels`` and ``pkg/fields``: a selector is a conjunction of requirements, an
empty selector matches everything, and a missing label satisfies ``!=`` and ``notin``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headwater.kube.meta.names import is_label_key, is_label_value

_TOKEN = re.compile(r"\s*(?:(?P<op>==|!=|[=!,()<>])|(?P<word>[^\s=!,()<>]+))")
_WORDS = {"in", "notin"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    """``in``, ``notin``, ``exists``, ``!``, ``gt`` or ``lt``. Equality is ``in`` with one value."""
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        if value is None:
            return False
        try:
            have, bound = int(value), int(next(iter(self.values)))
        except ValueError:
            return False
        return have > bound if self.operator == "gt" else have < bound

    def __str__(self) -> str:
        """Write the condition as ``parse`` reads it."""
        values = ",".join(sorted(self.values))
        match self.operator:
            case "in" | "notin":
                if len(self.values) == 1:
                    return f"{self.key}{'=' if self.operator == 'in' else '!='}{values}"
                return f"{self.key} {self.operator} ({values})"
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
        return f"{self.key}{'>' if self.operator == 'gt' else '<'}{values}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements on labels."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False
    """Matches no object at all: what an absent selector in an object means."""

    @classmethod
    def parse(cls, text: str) -> "LabelSelector":
        """Read ``a=b,c!=d,e in (x,y),!f,g,h>1``. Raises ``ValueError`` saying what is wrong."""
        return cls(tuple(_Parser(text).selector()))

    @classmethod
    def from_object(cls, selector: Mapping[str, Any] | None) -> "LabelSelector":
        """Read ``matchLabels`` and ``matchExpressions``. ``None`` matches nothing, an empty selector everything.

        Raises ``ValueError`` on an operator or values that Kubernetes does not allow.
        """
        if selector is None:
            return cls(nothing=True)
        requirements = [
            _checked(key, "in", frozenset({value})) for key, value in (selector.get("matchLabels") or {}).items()
        ]
        for expression in selector.get("matchExpressions") or ():
            operator = expression.get("operator")
            if operator not in _OBJECT_OPERATORS:
                raise ValueError(f"{operator!r} is not a valid label selector operator")
            values = frozenset(expression.get("values") or ())
            requirements.append(_checked(expression.get("key", ""), _OBJECT_OPERATORS[operator], values))
        return cls(tuple(requirements))

    @classmethod
    def from_labels(cls, labels: Mapping[str, str] | None) -> "LabelSelector":
        """Match objects that have all these labels (a Service's selector). No labels match nothing."""
        if not labels:
            return cls(nothing=True)
        return cls(tuple(Requirement(key, "in", frozenset({value})) for key, value in labels.items()))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        if self.nothing:
            return False
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        """Whether every object is selected."""
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        """Write the selector as ``parse`` reads it."""
        return ",".join(str(requirement) for requirement in self.requirements)


_OBJECT_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def _checked(key: str, operator: str, values: frozenset[str]) -> Requirement:
    wrong = is_label_key(key)
    if wrong:
        raise ValueError(f'key: Invalid value: "{key}": {wrong}')
    if operator in ("in", "notin") and not values:
        raise ValueError("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    if operator in ("exists", "!") and values:
        raise ValueError("values: Invalid value: values set must be empty for exists and does not exist")
    for value in values:
        if operator in ("gt", "lt"):
            if not re.fullmatch(r"[+-]?[0-9]+", value):
                raise ValueError(
                    f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
                )
            continue
        wrong = is_label_value(value)
        if wrong:
            raise ValueError(f'values[0][{key}]: Invalid value: "{value}": {wrong}')
    return Requirement(key, operator, values)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, bool]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:  # pragma: no cover - the pattern accepts every character
                raise ValueError(f"unable to parse requirement: {text[position:]!r}")
            self._tokens.append((match[match.lastgroup or 0], match.lastgroup == "op"))
            position = match.end()
        self._at = 0

    def _peek(self) -> tuple[str, bool]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", True)

    def _next(self) -> tuple[str, bool]:
        symbol = self._peek()
        self._at += 1
        return symbol

    def _word(self, expected: str) -> str:
        word, is_operator = self._next()
        if is_operator:
            raise ValueError(f"unable to parse requirement: found '{word}', expected: {expected}")
        return word

    def selector(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        if not self._tokens:
            return requirements
        while True:
            requirements.append(self._requirement())
            symbol, is_operator = self._next()
            if is_operator and symbol == "":
                return requirements
            if not (is_operator and symbol == ","):
                raise ValueError(f"unable to parse requirement: found '{symbol}', expected: ',' or 'end of string'")

    def _requirement(self) -> Requirement:
        if self._peek() == ("!", True):
            self._next()
            return _checked(self._word("identifier"), "!", frozenset())
        key = self._word("!, identifier, or 'end of string'")
        symbol, is_operator = self._peek()
        if is_operator and symbol in ("", ","):
            return _checked(key, "exists", frozenset())
        self._next()
        if is_operator and symbol in ("=", "==", "!="):
            return _checked(key, "notin" if symbol == "!=" else "in", frozenset({self._value()}))
        if is_operator and symbol in ("<", ">"):
            return _checked(key, "gt" if symbol == ">" else "lt", frozenset({self._value()}))
        if not is_operator and symbol in _WORDS:
            return _checked(key, symbol, self._set())
        raise ValueError(f"unable to parse requirement: found '{symbol}', expected: in, notin, =, ==, !=, gt, lt")

    def _value(self) -> str:
        symbol, is_operator = self._peek()
        if is_operator and symbol in ("", ","):
            return ""
        return self._word("identifier")

    def _set(self) -> frozenset[str]:
        if self._next() != ("(", True):
            raise ValueError("unable to parse requirement: found no '(' after 'in' or 'notin'")
        values: set[str] = set()
        while True:
            symbol, is_operator = self._peek()
            if is_operator and symbol in (",", ")"):
                values.add("")
            else:
                values.add(self._word("',', ')' or identifier"))
            symbol, is_operator = self._next()
            if is_operator and symbol == ")":
                return frozenset(values)
            if not (is_operator and symbol == ","):
                raise ValueError(f"unable to parse requirement: found '{symbol}', expected: ',' or ')'")


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on one field."""

    field: str
    value: str
    equal: bool = True


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of equalities and inequalities on fields."""

    requirements: tuple[FieldRequirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "FieldSelector":
        r"""Read ``metadata.name=x,status.phase!=Running``; ``\,`` and ``\=`` stand for themselves in a value.

        Raises ``ValueError`` on a term that is not a comparison.
        """
        requirements = []
        for term in re.findall(r"(?:[^,\\]|\\.)+", text, re.DOTALL):
            match = re.fullmatch(r"\s*([^=!\s]+)\s*(==|!=|=)((?:[^\\=]|\\.)*)", term, re.DOTALL)
            if match is None:
                raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
            value = re.sub(r"\\([\\,=])", r"\1", match[3])
            if re.search(r"\\", re.sub(r"\\[\\,=]", "", match[3])):
                raise ValueError(f"invalid selector: '{text}'; only '\\\\', '\\,' and '\\=' are escapes")
            requirements.append(FieldRequirement(match[1], value, match[2] != "!="))
        return cls(tuple(requirements))

    def matches(self, get: Callable[[str], str]) -> bool:
        """Tell whether an object is selected whose fields ``get`` reads (an absent field is empty)."""
        return all((get(term.field) == term.value) is term.equal for term in self.requirements)

    @property
    def empty(self) -> bool:
        """Whether every object is selected."""
        return not self.requirements

    def __str__(self) -> str:
        """Write the selector as ``parse`` reads it."""
        return ",".join(
            f"{term.field}{'=' if term.equal else '!='}" + re.sub(r"([\\,=])", r"\\\1", term.value)
            for term in self.requirements
        )
