"""Validating admission policies, as a writer meets them."""

from typing import Any

import pytest

from headwater.cluster.apiserver.answers import WriteOptions
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.users import PLATFORM
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, NAMESPACES, Resource

GROUP = "admissionregistration.k8s.io"
POLICIES = Resource(GROUP, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", False)
BINDINGS = Resource(GROUP, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", False)
RULE = {"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}


def policy(*validations: Object, **spec: Any) -> Object:
    spec = {"matchConstraints": {"resourceRules": [RULE]}, "validations": list(validations), **spec}
    return {"apiVersion": f"{GROUP}/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": spec}


def binding(*actions: str, **spec: Any) -> Object:
    spec = {"policyName": "p", "validationActions": list(actions or ("Deny",)), **spec}
    kind = "ValidatingAdmissionPolicyBinding"
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": "b"}, "spec": spec}


def config(name: str = "c", /, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.fixture(autouse=True)
async def _namespace(client: LocalClient) -> None:
    metadata = {"name": "ns", "labels": {"env": "test"}}
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


async def refused(client: LocalClient, obj: Object) -> StatusError:
    with pytest.raises(StatusError) as caught:
        await client.create(CONFIG_MAPS, obj, "ns")
    return caught.value


async def test_a_bound_policy_refuses(client: LocalClient) -> None:
    await client.create(POLICIES, policy({"expression": "object.data.size() < 2"}))
    await client.create(CONFIG_MAPS, config("unbound", a="1", b="2"), "ns")
    await client.create(BINDINGS, binding())
    error = await refused(client, config(a="1", b="2"))
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message == (
        "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
        "failed expression: object.data.size() < 2"
    )
    await client.create(CONFIG_MAPS, config(a="1"), "ns")


async def test_messages_reasons_and_variables(client: LocalClient) -> None:
    variables = [
        {"name": "count", "expression": "object.data.size()"},
        {"name": "double", "expression": "variables.count * 2"},
    ]
    validation = {
        "expression": "variables.double < 4",
        "messageExpression": "'found ' + string(variables.count) + ' in ' + namespaceObject.metadata.name",
        "reason": "Forbidden",
    }
    await client.create(POLICIES, policy(validation, variables=variables))
    await client.create(BINDINGS, binding())
    error = await refused(client, config(a="1", b="2"))
    assert (error.code, error.message.endswith("denied request: found 2 in ns")) == (403, True)


async def test_warnings(api: Api, client: LocalClient) -> None:
    await client.create(POLICIES, policy({"expression": "false", "message": "beware"}))
    await client.create(BINDINGS, binding("Warn"))
    options = WriteOptions()
    await api.create(PLATFORM, CONFIG_MAPS, "ns", config(), options=options)
    assert options.warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': beware"]


async def test_parameters(client: LocalClient) -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    validation = {"expression": "object.metadata.name == 'limits' || object.data.size() <= int(params.data.most)"}
    await client.create(POLICIES, policy(validation, paramKind=kind))
    await client.create(BINDINGS, binding(paramRef={"name": "limits", "parameterNotFoundAction": "Deny"}))
    assert "no params found" in (await refused(client, config(a="1"))).message
    await client.delete(BINDINGS, "b")
    await client.create(CONFIG_MAPS, config("limits", most="1"), "ns")
    await client.create(BINDINGS, binding(paramRef={"name": "limits", "parameterNotFoundAction": "Deny"}))
    await client.create(CONFIG_MAPS, config(a="1"), "ns")
    await refused(client, config("d", a="1", b="2"))


@pytest.mark.parametrize(
    ("spec", "bound", "asked"),
    [
        ({}, {}, True),
        ({"matchConditions": [{"name": "m", "expression": "object.metadata.name != 'c'"}]}, {}, False),
        ({"matchConditions": [{"name": "m", "expression": "request.operation == 'CREATE'"}]}, {}, True),
        ({}, {"matchResources": {"namespaceSelector": {"matchLabels": {"env": "prod"}}}}, False),
        ({}, {"matchResources": {"namespaceSelector": {"matchLabels": {"env": "test"}}}}, True),
        ({}, {"matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}}}, False),
        ({"matchConstraints": {"resourceRules": [{**RULE, "resources": ["secrets"]}]}}, {}, False),
        ({"matchConstraints": {"resourceRules": [{**RULE, "operations": ["DELETE"]}]}}, {}, False),
    ],
)
async def test_where_a_policy_is_in_force(client: LocalClient, spec: Object, bound: Object, asked: bool) -> None:
    await client.create(POLICIES, policy({"expression": "false"}, **spec))
    await client.create(BINDINGS, binding(**bound))
    if asked:
        await refused(client, config())
    else:
        await client.create(CONFIG_MAPS, config(), "ns")


@pytest.mark.parametrize("failure_policy", ["Fail", "Ignore"])
async def test_an_expression_without_a_value(client: LocalClient, failure_policy: str) -> None:
    await client.create(POLICIES, policy({"expression": "object.nope == 1"}, failurePolicy=failure_policy))
    await client.create(BINDINGS, binding())
    if failure_policy == "Fail":
        assert "resulted in error: no such key: nope" in (await refused(client, config())).message
    else:
        await client.create(CONFIG_MAPS, config(), "ns")


async def test_the_authorizer_can_be_asked(client: LocalClient) -> None:
    allowed = "authorizer.group('').resource('pods').namespace('ns').check('create').allowed()"
    account = "authorizer.serviceAccount('ns', 'x').requestResource.check('create').allowed()"
    await client.create(POLICIES, policy({"expression": allowed}, {"expression": account}))
    await client.create(BINDINGS, binding())
    assert account in (await refused(client, config())).message


async def test_a_policy_that_cannot_be_read_is_refused(client: LocalClient) -> None:
    with pytest.raises(StatusError, match=r"spec.validations\[0\].expression: Invalid value") as caught:
        await client.create(POLICIES, policy({"expression": "objekt.x == 1"}))
    assert "undeclared reference to 'objekt'" in caught.value.message


async def test_a_policy_against_everything_can_be_removed(client: LocalClient) -> None:
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    await client.create(POLICIES, policy({"expression": "false"}, matchConstraints={"resourceRules": [rule]}))
    await client.create(BINDINGS, binding())
    with pytest.raises(StatusError):
        await client.delete(NAMESPACES, "ns")
    await client.delete(BINDINGS, "b")
    await client.delete(NAMESPACES, "ns")
