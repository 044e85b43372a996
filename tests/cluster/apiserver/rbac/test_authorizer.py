"""The index of roles and bindings: what it answers, and that it follows each change."""

from collections.abc import Callable

import pytest

from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.rbac.policy import bootstrap_policy, completed
from headwater.cluster.apiserver.users import ANONYMOUS, PLATFORM, User, service_account_user
from headwater.cluster.store.documents import Document
from headwater.kube.meta.objects import Object, name_of, namespace_of
from headwater.kube.meta.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    Resource,
)

Callback = Callable[[Document | None, Document | None], None]
KINDS = {
    "Role": ROLES,
    "RoleBinding": ROLE_BINDINGS,
    "ClusterRole": CLUSTER_ROLES,
    "ClusterRoleBinding": CLUSTER_ROLE_BINDINGS,
}


class Commits:
    """The committed roles and bindings, as the API core would publish them."""

    def __init__(self, *objects: Object) -> None:
        self.documents: dict[tuple[Resource, str, str], Document] = {}
        self.callbacks: dict[Resource, Callback] = {}
        for obj in objects:
            self.put(obj)

    def peek_all(self, resource: Resource, namespace: str = "") -> list[Document]:
        return [document for (its, _, _), document in self.documents.items() if its == resource]

    def subscribe(self, resource: Resource, callback: Callback) -> None:
        self.callbacks[resource] = callback

    def put(self, obj: Object) -> None:
        self._change(obj, Document.of(obj))

    def remove(self, obj: Object) -> None:
        self._change(obj, None)

    def _change(self, obj: Object, new: Document | None) -> None:
        resource = KINDS[obj["kind"]]
        key = (resource, namespace_of(obj), name_of(obj))
        old = self.documents.pop(key, None)
        if new is not None:
            self.documents[key] = new
        if resource in self.callbacks:
            self.callbacks[resource](old, new)


def role(name: str, namespace: str = "", *, verbs: str = "get", resources: str = "pods", **labels: str) -> Object:
    return {
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "rules": [{"verbs": verbs.split(), "apiGroups": [""], "resources": resources.split()}],
    }


def binding(name: str, role_name: str, subject: Object, namespace: str = "", *, kind: str = "ClusterRole") -> Object:
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"kind": kind, "name": role_name},
        "subjects": [subject],
    }


ANN = User("ann", ("science", "system:authenticated"))
ANN_SUBJECT = {"kind": "User", "name": "ann"}


def authorizer_of(*objects: Object) -> tuple[RbacAuthorizer, Commits]:
    commits = Commits(*objects)
    authorizer = RbacAuthorizer()
    authorizer.follow(commits)
    return authorizer, commits


def may(
    authorizer: RbacAuthorizer, user: User, verb: str = "get", resource: Resource = PODS, namespace: str = ""
) -> bool:
    return authorizer.authorize(user, verb, resource, None, namespace, "x") is None


def test_a_cluster_role_binding_holds_everywhere() -> None:
    authorizer, _ = authorizer_of(role("reader"), binding("b", "reader", ANN_SUBJECT))
    assert may(authorizer, ANN, namespace="team")
    assert may(authorizer, ANN)
    assert not may(authorizer, User("bob"), namespace="team")


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_a_role_binding_holds_in_its_namespace(kind: str) -> None:
    authorizer, _ = authorizer_of(
        role("reader", "team" if kind == "Role" else ""), binding("b", "reader", ANN_SUBJECT, "team", kind=kind)
    )
    assert may(authorizer, ANN, namespace="team")
    assert not may(authorizer, ANN, namespace="other")
    assert not may(authorizer, ANN)


def test_a_role_of_another_namespace_grants_nothing() -> None:
    authorizer, _ = authorizer_of(role("reader", "other"), binding("b", "reader", ANN_SUBJECT, "team", kind="Role"))
    assert not may(authorizer, ANN, namespace="team")


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "Group", "name": "science"},
        {"kind": "Group", "name": "system:authenticated"},
        ANN_SUBJECT,
    ],
)
def test_users_and_groups_are_subjects(subject: Object) -> None:
    authorizer, _ = authorizer_of(role("reader"), binding("b", "reader", subject))
    assert may(authorizer, ANN)
    assert not may(authorizer, User("science", ("ann",)))


def test_a_service_account_is_a_subject_of_the_binding_s_namespace() -> None:
    authorizer, _ = authorizer_of(
        role("reader"), binding("b", "reader", {"kind": "ServiceAccount", "name": "default"}, "team")
    )
    assert may(authorizer, service_account_user("team", "default"), namespace="team")
    assert not may(authorizer, service_account_user("other", "default"), namespace="team")


def test_every_change_is_in_force_at_once() -> None:
    authorizer, commits = authorizer_of()
    reader, bound = role("reader"), binding("b", "reader", ANN_SUBJECT)
    assert not may(authorizer, ANN)
    commits.put(bound)
    assert not may(authorizer, ANN)  # a binding without its role grants nothing
    commits.put(reader)
    assert may(authorizer, ANN)
    commits.put(role("reader", verbs="list"))
    assert not may(authorizer, ANN)
    assert may(authorizer, ANN, "list")
    commits.put(binding("b", "reader", {"kind": "User", "name": "bob"}))
    assert not may(authorizer, ANN, "list")
    assert may(authorizer, User("bob"), "list")
    commits.remove(bound)
    assert not may(authorizer, User("bob"), "list")
    commits.put(bound)
    commits.remove(reader)
    assert not may(authorizer, ANN, "list")


def test_the_master_s_group_may_do_everything() -> None:
    authorizer, _ = authorizer_of()
    assert may(authorizer, PLATFORM, "delete", NODES)
    assert authorizer.authorize_path(PLATFORM, "post", "/metrics") is None


def test_aggregated_roles_follow_what_they_select() -> None:
    authorizer, commits = authorizer_of(*bootstrap_policy(), binding("b", "admin", ANN_SUBJECT, "team"))
    widgets = Resource("example.com", "v1", "Widget", "widgets")
    assert not may(authorizer, ANN, "get", widgets, "team")
    custom = role("widgets", resources="widgets")
    custom["rules"][0]["apiGroups"] = ["example.com"]
    custom["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    commits.put(custom)
    assert may(authorizer, ANN, "get", widgets, "team")  # view is part of edit, edit of admin
    assert not may(authorizer, ANN, "create", widgets, "team")
    commits.remove(custom)
    assert not may(authorizer, ANN, "get", widgets, "team")


@pytest.mark.parametrize(
    ("granted", "verb", "resource", "allowed"),
    [
        ("view", "list", PODS, True),
        ("view", "create", PODS, False),
        ("view", "get", SECRETS, False),
        ("edit", "create", PODS, True),
        ("edit", "get", SECRETS, True),
        ("edit", "create", ROLE_BINDINGS, False),
        ("admin", "create", ROLE_BINDINGS, True),
        ("admin", "delete", NODES, False),
        ("cluster-admin", "create", ROLE_BINDINGS, True),
    ],
)
def test_the_standard_roles(granted: str, verb: str, resource: Resource, allowed: bool) -> None:
    authorizer, _ = authorizer_of(*bootstrap_policy(), binding("b", granted, ANN_SUBJECT, "team"))
    assert may(authorizer, ANN, verb, resource, "team") is allowed
    assert not may(authorizer, ANN, verb, resource, "other")


def test_what_everybody_and_nobody_may_do() -> None:
    authorizer, _ = authorizer_of(*bootstrap_policy())
    assert authorizer.authorize_path(ANONYMOUS, "get", "/version") is None
    assert authorizer.authorize_path(ANONYMOUS, "get", "/apis") is not None
    assert authorizer.authorize_path(ANN, "get", "/apis") is None
    assert authorizer.authorize_path(ANN, "get", "/apis/batch/v1") is None
    assert authorizer.authorize_path(ANN, "get", "/metrics") is not None
    assert not may(authorizer, ANONYMOUS)
    assert not may(authorizer, ANN)


def test_nobody_grants_more_than_he_has() -> None:
    authorizer, commits = authorizer_of(*bootstrap_policy(), binding("b", "admin", ANN_SUBJECT, "team"))
    assert authorizer.escalation(ANN, role("mine", "team", verbs="get create", resources="pods secrets")) is None
    grown = role("mine", "team", verbs="*", resources="*")
    assert "not currently held" in (authorizer.escalation(ANN, grown) or "")
    assert authorizer.escalation(ANN, binding("c", "edit", {"kind": "User", "name": "bob"}, "team")) is None
    granting = binding("c", "cluster-admin", {"kind": "User", "name": "bob"}, "team")
    assert "not currently held" in (authorizer.escalation(ANN, granting) or "")
    assert authorizer.escalation(PLATFORM, granting) is None
    allowed = role("binder", verbs="bind", resources="clusterroles")
    allowed["rules"][0]["apiGroups"] = ["rbac.authorization.k8s.io"]
    commits.put(allowed)
    commits.put(binding("d", "binder", ANN_SUBJECT, "team"))
    assert authorizer.escalation(ANN, granting) is None


def test_the_policy_is_completed_and_nothing_is_taken_away() -> None:
    for wanted in bootstrap_policy():
        assert completed(wanted, wanted) is None
    view = next(obj for obj in bootstrap_policy() if name_of(obj) == "system:aggregate-to-view")
    own = {"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"]}
    found = {**view, "rules": [own, *view["rules"][1:]]}
    result = completed(found, view)
    assert result is not None
    assert own in result["rules"]
    assert view["rules"][0] in result["rules"]
    kept = {
        **found,
        "metadata": {**view["metadata"], "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}},
    }
    assert completed(kept, view) is None
