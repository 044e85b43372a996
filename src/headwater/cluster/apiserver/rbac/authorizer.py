"""Answers whether a user may, from roles and bindings that are kept in memory.

The rules are those of the Kubernetes RBAC authorizer: cluster role bindings hold everywhere, role bindings in their
namespace; a binding whose role is missing grants nothing; ``system:masters`` may do everything. The index follows
the store in the same step that publishes a commit: once a write of a role or binding is answered, it is in force.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

from headwater.cluster.apiserver.rbac.rules import Attributes, Rule, compile_rules, uncovered
from headwater.cluster.apiserver.users import MASTERS, SERVICE_ACCOUNT_PREFIX, User
from headwater.cluster.store.documents import Document
from headwater.kube.meta.objects import Object, labels_of, name_of, namespace_of
from headwater.kube.meta.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)
from headwater.kube.meta.selectors import LabelSelector

_REMEMBERED = 5_000

RoleKey = tuple[str, str]
"""A role by namespace and name; a cluster role has no namespace."""


class CommitSource(Protocol):
    """The part of ``Api`` that the index follows."""

    def peek_all(self, resource: Resource, namespace: str = "") -> list[Document]:
        """Return every committed object of a kind."""
        ...

    def subscribe(self, resource: Resource, callback: "Follower") -> None:
        """Call back for each committed change, before its writer is answered."""
        ...


class Follower(Protocol):
    """Takes a committed change."""

    def __call__(self, old: Document | None, new: Document | None, /) -> None:
        """``old`` is ``None`` for a creation, ``new`` for a removal."""
        ...


class RbacAuthorizer:
    """The index of roles and bindings, and the question asked of it on every request."""

    def __init__(self) -> None:
        self._rules: dict[RoleKey, tuple[Rule, ...]] = {}
        self._cluster_roles: dict[str, Object] = {}
        self._aggregating: set[str] = set()
        # Subject (``u:name`` or ``g:name``) to its bindings: each the namespace it holds in, and the role.
        self._bound: dict[str, dict[tuple[str, str], tuple[str, RoleKey]]] = defaultdict(dict)
        self._decisions: dict[tuple[str, tuple[str, ...], Attributes], bool] = {}

    def follow(self, source: CommitSource) -> None:
        """Read all roles and bindings, and from then on every change of them."""
        for resource in (CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS):
            for document in source.peek_all(resource):
                if resource in (ROLES, CLUSTER_ROLES):
                    self._apply_role(None, document.object)
                else:
                    self._apply_binding(None, document.object)
        self._aggregate_all()
        for resource in (CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS):
            source.subscribe(resource, self._follower(resource))

    # --- questions ----------------------------------------------------------------------------------------------

    def authorize(
        self, user: User, verb: str, resource: Resource, subresource: str | None, namespace: str, name: str
    ) -> str | None:
        """Return ``None`` when allowed, else an empty reason: that nothing allows it is all there is to say."""
        asked = Attributes(verb, resource.group, resource.plural, subresource or "", namespace, name)
        return None if self.decide(user, asked) is None else ""

    def authorize_path(self, user: User, verb: str, path: str) -> str | None:
        """Return ``None`` when a URL that is not a resource may be used, else who may not do what.

        The verb is the method in lower case.
        """
        return self.decide(user, Attributes(verb, path=path))

    def impersonate(self, user: User, group: str, resource: str, namespace: str, name: str) -> str | None:
        """Return ``None`` when the user may act as another, else who may not do what.

        The resource is ``users``, ``groups``, ``serviceaccounts``, ``uids`` or ``userextras/<key>``.
        """
        plural, _, subresource = resource.partition("/")
        return self.decide(user, Attributes("impersonate", group, plural, subresource, namespace, name))

    def decide(self, user: User, asked: Attributes) -> str | None:
        """Return ``None`` when allowed, else who may not do what, and where."""
        if MASTERS in user.groups:
            return None
        key = (user.name, user.groups, asked)
        allowed = self._decisions.get(key)
        if allowed is None:
            allowed = any(rule.allows(asked) for rule in self._rules_of(user, asked.namespace))
            if len(self._decisions) >= _REMEMBERED:
                self._decisions.clear()
            self._decisions[key] = allowed
        return None if allowed else asked.denial(user.name)

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """Return every rule that holds for the user in the namespace, cluster-wide ones included."""
        if MASTERS in user.groups:
            everything = frozenset({"*"})
            return [Rule(everything, everything, everything), Rule(everything, urls=everything)]
        return list(dict.fromkeys(self._rules_of(user, namespace)))

    def escalation(self, user: User, obj: Object) -> str | None:
        """Say why a role or binding would give more than the user has, or ``None`` when it does not.

        The caller has already been allowed the write itself. ``escalate`` on roles and ``bind`` on the role that a
        binding names lift the check, as upstream.
        """
        if MASTERS in user.groups:
            return None
        namespace, kind = namespace_of(obj), str(obj.get("kind", ""))
        group = ROLES.group
        if kind in ("Role", "ClusterRole"):
            plural = "roles" if kind == "Role" else "clusterroles"
            if self.decide(user, Attributes("escalate", group, plural, "", namespace, name_of(obj))) is None:
                return None
            wanted: Iterable[Rule] = compile_rules(obj)
            if obj.get("aggregationRule"):
                wanted = [*wanted, *self.aggregate(obj)]
        else:
            reference = obj.get("roleRef") or {}
            plural = "roles" if reference.get("kind") == "Role" else "clusterroles"
            role = str(reference.get("name", ""))
            if self.decide(user, Attributes("bind", group, plural, "", namespace, role)) is None:
                return None
            found = self._rules.get((namespace if plural == "roles" else "", role))
            if found is None:
                return f'{plural}.{group} "{role}" not found'
            wanted = found
        missing = uncovered(self._rules_of(user, namespace), wanted)
        if not missing:
            return None
        first = missing[0].dump()
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f'user "{user.name}" is attempting to grant RBAC permissions not currently held: {first}{more}'

    # --- the index ----------------------------------------------------------------------------------------------

    def _rules_of(self, user: User, namespace: str) -> Iterator[Rule]:
        for subject in (f"u:{user.name}", *(f"g:{group}" for group in user.groups)):
            for where, role in self._bound.get(subject, {}).values():
                if not where or where == namespace:
                    yield from self._rules.get(role, ())

    def _follower(self, resource: Resource) -> Follower:
        def changed(old: Document | None, new: Document | None, /) -> None:
            self._apply(resource, old.object if old else None, new.object if new else None)

        return changed

    def _apply(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        self._decisions.clear()
        if resource in (ROLES, CLUSTER_ROLES):
            self._apply_role(old, new)
            if resource == CLUSTER_ROLES:
                self._aggregate_all()
        else:
            self._apply_binding(old, new)

    def _apply_role(self, old: Object | None, new: Object | None) -> None:
        role = new or old or {}
        key = (namespace_of(role), name_of(role))
        self._rules.pop(key, None)
        if not key[0]:
            self._cluster_roles.pop(key[1], None)
            self._aggregating.discard(key[1])
        if new is not None:
            self._rules[key] = compile_rules(new)
            if not key[0]:
                self._cluster_roles[key[1]] = new
                if new.get("aggregationRule"):
                    self._aggregating.add(key[1])

    def _aggregate_all(self) -> None:
        # Roles that aggregate may be aggregated again; the standard chain is view, edit, admin.
        for _ in range(3):
            for name in self._aggregating:
                self._rules[("", name)] = self.aggregate(self._cluster_roles[name])

    def aggregate(self, role: Object) -> tuple[Rule, ...]:
        """Collect the rules of every cluster role that an aggregation rule selects."""
        found: dict[Rule, None] = {}
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            matches = LabelSelector.from_object(selector)
            for name, other in self._cluster_roles.items():
                if name != name_of(role) and matches.matches(labels_of(other)):
                    found.update(dict.fromkeys(self._rules.get(("", name), ())))
        return tuple(found)

    def _apply_binding(self, old: Object | None, new: Object | None) -> None:
        for binding, present in ((old, False), (new, True)):
            if binding is None:
                continue
            namespace = namespace_of(binding)
            identity = (namespace, name_of(binding))
            reference = binding.get("roleRef") or {}
            role = (namespace if reference.get("kind") == "Role" else "", str(reference.get("name", "")))
            for subject in binding.get("subjects") or ():
                key = _subject(subject, namespace)
                if present:
                    self._bound[key][identity] = (namespace, role)
                else:
                    self._bound[key].pop(identity, None)


def _subject(subject: Object, namespace: str) -> str:
    kind, name = subject.get("kind"), str(subject.get("name", ""))
    if kind == "ServiceAccount":
        return f"u:{SERVICE_ACCOUNT_PREFIX}{subject.get('namespace') or namespace}:{name}"
    return f"g:{name}" if kind == "Group" else f"u:{name}"
