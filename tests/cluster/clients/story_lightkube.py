"""lightkube: models, patches of three types, watches, generic resources."""
# ruff: noqa: PT017 - there is no pytest in the client's environment

from lightkube import ApiError, Client
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod
from lightkube.types import PatchType

client = Client()
client.create(Namespace(metadata=ObjectMeta(name="team")))
client.create(
    Pod(
        metadata=ObjectMeta(name="p", labels={"a": "b"}),
        spec=PodSpec(containers=[Container(name="m", image="busybox")]),
    ),
    namespace="team",
)
pod = client.get(Pod, "p", namespace="team")
assert pod.status.phase == "Pending"
client.patch(Pod, "p", {"metadata": {"labels": {"c": "d"}}}, namespace="team")
client.patch(Pod, "p", {"metadata": {"labels": {"e": "f"}}}, namespace="team", patch_type=PatchType.MERGE)
client.patch(Pod, "p", [{"op": "remove", "path": "/metadata/labels/a"}], namespace="team", patch_type=PatchType.JSON)
assert client.get(Pod, "p", namespace="team").metadata.labels == {"c": "d", "e": "f"}
web = {
    "metadata": {"name": "web", "namespace": "team"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "m", "image": "busybox"}]}},
    },
}
client.create(Deployment.from_dict(web))
scale = client.get(Deployment.Scale, "web", namespace="team")
scale.spec = ScaleSpec(replicas=4)
scale.metadata.resourceVersion = None  # the controller writes at the same time
assert client.replace(scale, name="web", namespace="team").spec.replicas == 4
client.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="team"), data={"a": "1"}))
held = client.get(ConfigMap, "c", namespace="team")
held.data = {"b": "2"}
assert client.replace(held).data == {"b": "2"}
assert [one.metadata.name for one in client.list(ConfigMap, namespace="team", chunk_size=1)]
assert [one.metadata.name for one in client.list(Pod, namespace="*", labels={"c": "d"})] == ["p"]
for kind, obj in client.watch(ConfigMap, namespace="team", server_timeout=3):
    assert kind == "ADDED"
    assert obj.metadata.name
    break
assert list(client.list(Node)) == []
try:
    client.get(ConfigMap, "none", namespace="team")
except ApiError as error:
    assert error.status.code == 404
    assert error.status.reason == "NotFound"
definition = create_namespaced_resource("rbac.authorization.k8s.io", "v1", "Role", "roles")
client.create(definition(metadata=ObjectMeta(name="r", namespace="team"), rules=[]))
client.delete(Pod, "p", namespace="team")
client.deletecollection(ConfigMap, namespace="team")
assert "c" not in [one.metadata.name for one in client.list(ConfigMap, namespace="team")]
print("done")
