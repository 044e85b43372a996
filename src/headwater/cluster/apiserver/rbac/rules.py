"""What an RBAC rule covers: the pure core of authorization.

The matching is that of ``k8s.io/kubernetes/pkg/registry/rbac/validation``: ``*`` stands for everything,
``pods/log`` for a subresource, ``*/scale`` for a subresource of anything, resource names restrict to single
objects, and a URL that ends in ``*`` covers all that begins with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from headwater.kube.meta.objects import Object


@dataclass(frozen=True, slots=True)
class Attributes:
    """One question: may this be done? Either about a resource, or (``path``) about a URL that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    """The plural."""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def combined(self) -> str:
        """The resource as rules name it: ``pods/log``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def denial(self, user: str) -> str:
        """Say who may not do what, and where, in Kubernetes' words."""
        if self.path:
            return f'User "{user}" cannot {self.verb} path "{self.path}"'
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'User "{user}" cannot {self.verb} resource "{self.combined}" in API group "{self.group}" {where}'


@dataclass(frozen=True, slots=True)
class Rule:
    """A ``PolicyRule``, compiled for asking."""

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    @classmethod
    def compile(cls, rule: Object) -> "Rule":
        """Read a rule of a Role or ClusterRole. Absent lists are empty."""

        def texts(field: str) -> frozenset[str]:
            return frozenset(str(text) for text in rule.get(field) or ())

        return cls(
            texts("verbs"), texts("apiGroups"), texts("resources"), texts("resourceNames"), texts("nonResourceURLs")
        )

    def allows(self, asked: Attributes) -> bool:
        """Tell whether this rule alone allows what is asked."""
        if asked.verb not in self.verbs and "*" not in self.verbs:
            return False
        if asked.path:
            return any(_url_matches(url, asked.path) for url in self.urls)
        if asked.group not in self.groups and "*" not in self.groups:
            return False
        if self.names and asked.name not in self.names:
            return False
        resources = self.resources
        if asked.combined in resources or "*" in resources:
            return True
        return bool(asked.subresource) and f"*/{asked.subresource}" in resources

    def covers(self, other: "Rule") -> bool:
        """Tell whether whatever ``other`` allows is allowed by this rule too (``other`` with one entry each)."""
        if not _all_in(other.verbs, self.verbs):
            return False
        if other.urls:
            return all(any(_url_matches(mine, url) for mine in self.urls) for url in other.urls)
        if not _all_in(other.groups, self.groups):
            return False
        if self.names and (not other.names or not other.names <= self.names):
            return False
        return all(self._covers_resource(resource) for resource in other.resources)

    def _covers_resource(self, resource: str) -> bool:
        if resource in self.resources or "*" in self.resources:
            return True
        _, slash, subresource = resource.partition("/")
        return bool(slash) and f"*/{subresource}" in self.resources

    def split(self) -> Iterable["Rule"]:
        """Break the rule into the smallest ones, so that each can be covered by a different rule."""
        for verb in self.verbs:
            for url in self.urls:
                yield Rule(frozenset({verb}), urls=frozenset({url}))
            for group in self.groups:
                for resource in self.resources:
                    for name in self.names or ("",):
                        names = frozenset({name}) if name else frozenset[str]()
                        yield Rule(frozenset({verb}), frozenset({group}), frozenset({resource}), names)

    def dump(self) -> Object:
        """Write the rule as ``SelfSubjectRulesReview`` shows it."""
        if self.urls:
            return {"verbs": sorted(self.verbs), "nonResourceURLs": sorted(self.urls)}
        shown: dict[str, Any] = {
            "verbs": sorted(self.verbs),
            "apiGroups": sorted(self.groups),
            "resources": sorted(self.resources),
        }
        if self.names:
            shown["resourceNames"] = sorted(self.names)
        return shown


def compile_rules(role: Object) -> tuple[Rule, ...]:
    """Compile the rules of a Role or ClusterRole."""
    return tuple(Rule.compile(rule) for rule in role.get("rules") or ())


def uncovered(have: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Return the parts of ``wanted`` that ``have`` does not cover: what granting them would escalate to."""
    held = list(have)
    return [part for rule in wanted for part in rule.split() if not any(mine.covers(part) for mine in held)]


def _all_in(asked: frozenset[str], held: frozenset[str]) -> bool:
    return "*" in held or asked <= held


def _url_matches(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))
