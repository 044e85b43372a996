"""Nobody grants what he does not have."""

from collections.abc import Awaitable, Callable

import pytest

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.rbac.policy import ensure_policy
from headwater.cluster.apiserver.users import User
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, ROLES

GROUP = "rbac.authorization.k8s.io"
PODS_RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
SECRETS_RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}
RBAC_RULE = {
    "verbs": ["create", "update", "patch", "get"],
    "apiGroups": [GROUP],
    "resources": ["roles", "clusterroles", "rolebindings", "clusterrolebindings"],
}


def role(kind: str, name: str, *rules: Object) -> Object:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, "rules": list(rules)}


def binding(kind: str, name: str, role_name: str, user: str = "bob", role_kind: str = "ClusterRole") -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role_name},
        "subjects": [{"kind": "User", "apiGroup": GROUP, "name": user}],
    }


@pytest.fixture
async def ann(api: Api, client: LocalClient) -> LocalClient:
    """May write roles and bindings, and read pods; not secrets."""
    authorizer = RbacAuthorizer()
    api.authorizer = authorizer
    authorizer.follow(api)
    await client.create(CLUSTER_ROLES, role("ClusterRole", "rbac", RBAC_RULE, PODS_RULE))
    await client.create(CLUSTER_ROLES, role("ClusterRole", "pods", PODS_RULE))
    await client.create(CLUSTER_ROLES, role("ClusterRole", "secrets", SECRETS_RULE))
    await client.create(CLUSTER_ROLE_BINDINGS, binding("ClusterRoleBinding", "ann", "rbac", "ann"))
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
    return LocalClient(api, User("ann", ("system:authenticated",)))


async def refused(write: Callable[[], Awaitable[Object]]) -> str:
    with pytest.raises(StatusError) as caught:
        await write()
    assert caught.value.code == 403
    return caught.value.message


async def test_a_role_may_give_what_its_writer_has(ann: LocalClient) -> None:
    await ann.create(ROLES, role("Role", "r", PODS_RULE), "ns")
    message = await refused(lambda: ann.create(ROLES, role("Role", "s", PODS_RULE, SECRETS_RULE), "ns"))
    assert 'user "ann" is attempting to grant RBAC permissions not currently held' in message
    assert "secrets" in message


async def test_a_role_may_not_grow_beyond_its_writer(ann: LocalClient) -> None:
    await ann.create(CLUSTER_ROLES, role("ClusterRole", "r", PODS_RULE))
    patch = {"rules": [SECRETS_RULE]}
    await refused(lambda: ann.patch(CLUSTER_ROLES, "r", patch, PatchType.MERGE))
    # What does not touch the rules is not asked about.
    labels = {"metadata": {"labels": {"a": "b"}}}
    assert await ann.patch(CLUSTER_ROLES, "secrets", labels, PatchType.MERGE)


async def test_a_binding_may_name_a_role_that_its_writer_covers(ann: LocalClient) -> None:
    await ann.create(ROLE_BINDINGS, binding("RoleBinding", "pods", "pods"), "ns")
    await refused(lambda: ann.create(ROLE_BINDINGS, binding("RoleBinding", "s", "secrets"), "ns"))
    await refused(lambda: ann.create(CLUSTER_ROLE_BINDINGS, binding("ClusterRoleBinding", "s", "secrets")))


async def test_a_binding_to_a_role_that_is_not_there_could_give_anything(ann: LocalClient) -> None:
    assert "not found" in await refused(lambda: ann.create(ROLE_BINDINGS, binding("RoleBinding", "s", "later"), "ns"))


async def test_escalate_and_bind_lift_the_check(ann: LocalClient, client: LocalClient) -> None:
    escalate = {"verbs": ["escalate"], "apiGroups": [GROUP], "resources": ["roles"]}
    bind = {"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["secrets"]}
    await client.create(CLUSTER_ROLES, role("ClusterRole", "more", escalate, bind))
    await client.create(CLUSTER_ROLE_BINDINGS, binding("ClusterRoleBinding", "more", "more", "ann"))
    await ann.create(ROLES, role("Role", "s", SECRETS_RULE), "ns")
    await refused(lambda: ann.create(CLUSTER_ROLES, role("ClusterRole", "s", SECRETS_RULE)))
    await ann.create(ROLE_BINDINGS, binding("RoleBinding", "s", "secrets"), "ns")


async def test_masters_may_grant_anything(client: LocalClient, ann: LocalClient) -> None:
    await client.create(
        CLUSTER_ROLES, role("ClusterRole", "root", {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
    )


async def test_applying_is_no_way_around(ann: LocalClient) -> None:
    with pytest.raises(StatusError, match="attempting to grant") as caught:
        await ann.patch(
            ROLES, "s", role("Role", "s", SECRETS_RULE), "ns", patch_type=PatchType.APPLY, field_manager="ann"
        )
    assert caught.value.code == 403


async def test_a_namespace_admin_shares_what_the_bootstrap_roles_give(ann: LocalClient, api: Api) -> None:
    await ensure_policy(api)
    client = LocalClient(api)
    await client.create(ROLE_BINDINGS, binding("RoleBinding", "carol", "admin", "carol"), "ns")
    carol = LocalClient(api, User("carol", ("system:authenticated",)))
    for name in ("view", "edit", "admin"):
        await carol.create(ROLE_BINDINGS, binding("RoleBinding", name, name), "ns")
    await refused(lambda: carol.create(ROLE_BINDINGS, binding("RoleBinding", "root", "cluster-admin"), "ns"))
