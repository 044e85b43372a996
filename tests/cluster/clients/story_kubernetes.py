"""The official Python client: typed and dynamic, all patches, watches, paging, custom objects."""
# ruff: noqa: PT017 - there is no pytest in the client's environment

import threading

from kubernetes import client, config, dynamic, utils, watch

config.load_kube_config()
core, apps, batch = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api()
custom, extensions = client.CustomObjectsApi(), client.ApiextensionsV1Api()

# Typed objects, every verb.
core.create_namespace({"metadata": {"name": "team", "labels": {"a": "b"}}})
labels = {"app": "web"}
container = client.V1Container(
    name="main",
    image="busybox",
    command=["sleep", "9"],
    env=[client.V1EnvVar(name="A", value="1")],
    ports=[client.V1ContainerPort(container_port=80)],
    resources=client.V1ResourceRequirements(requests={"cpu": "100m"}),
)
template = client.V1PodTemplateSpec(
    metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
)
spec = client.V1DeploymentSpec(replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template)
apps.create_namespaced_deployment(
    "team", client.V1Deployment(metadata=client.V1ObjectMeta(name="web", labels=labels), spec=spec)
)
changed = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "two"}]}}}}
patched = apps.patch_namespaced_deployment("web", "team", changed)
assert patched.spec.template.spec.containers[0].image == "two"
assert patched.spec.template.spec.containers[0].env[0].name == "A", "a strategic merge keeps what it does not name"
scale = apps.read_namespaced_deployment_scale("web", "team")
scale.spec.replicas = 5
scale.metadata.resource_version = None  # the controller writes at the same time
apps.replace_namespaced_deployment_scale("web", "team", scale)
assert apps.patch_namespaced_deployment_scale("web", "team", {"spec": {"replicas": 6}}).spec.replicas == 6
status = apps.read_namespaced_deployment_status("web", "team")
status.status.replicas = 6
status.metadata.resource_version = None
assert apps.replace_namespaced_deployment_status("web", "team", status).status.replicas == 6
operations = [{"op": "replace", "path": "/spec/replicas", "value": 1}]
assert apps.patch_namespaced_deployment("web", "team", operations).spec.replicas == 1

# Pages, selectors, collections.
for number in range(25):
    core.create_namespaced_config_map("team", {"metadata": {"name": f"c{number:02}", "labels": {"n": str(number % 2)}}})
seen, page = [], core.list_namespaced_config_map("team", limit=10)
seen += page.items
while page.metadata._continue:
    assert page.metadata.remaining_item_count is not None
    page = core.list_namespaced_config_map("team", limit=10, _continue=page.metadata._continue)
    seen += page.items
assert len([item for item in seen if item.metadata.name.startswith("c")]) >= 25
assert len(core.list_namespaced_config_map("team", label_selector="n=1").items) == 12
assert [i.metadata.name for i in core.list_namespaced_config_map("team", field_selector="metadata.name=c03").items] == [
    "c03"
]
core.delete_collection_namespaced_config_map("team", label_selector="n=0")
assert not core.list_namespaced_config_map("team", label_selector="n=0").items
preview = core.create_namespaced_config_map("team", {"metadata": {"name": "dry"}}, dry_run="All")
assert preview.metadata.uid
assert preview.metadata.name == "dry"
try:
    core.read_namespaced_config_map("dry", "team")
except client.ApiException as error:
    assert error.status == 404
else:
    raise AssertionError("a dry run stored something")
# Watches.
watching = watch.Watch()
names = []


def write():
    for number in range(3):
        core.create_namespaced_secret("team", {"metadata": {"name": f"s{number}"}, "stringData": {"k": "v"}})


threading.Timer(0.2, write).start()
for event in watching.stream(core.list_namespaced_secret, "team", timeout_seconds=10):
    names.append((event["type"], event["object"].metadata.name))
    if len(names) == 3:
        watching.stop()
assert names == [("ADDED", f"s{number}") for number in range(3)], names

# Jobs, pods, evictions, tokens, reviews.
job = {
    "metadata": {"name": "j"},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "busybox"}]}}},
}
batch.create_namespaced_job("team", job)
batch.delete_namespaced_job("j", "team", propagation_policy="Background")
core.create_namespaced_service_account("team", {"metadata": {"name": "robot"}})
token = core.create_namespaced_service_account_token(
    "robot", "team", {"spec": {"audiences": [], "expirationSeconds": 600}}
)
assert token.status.token.count(".") == 2
review = client.AuthorizationV1Api().create_self_subject_access_review(
    {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
)
assert review.status.allowed
assert client.AuthenticationV1Api().create_self_subject_review({}).status.user_info.username
assert client.VersionApi().get_code().major == "1"
assert [group for group in client.ApisApi().get_api_versions().groups if group.name == "apps"]
utils.create_from_dict(
    client.ApiClient(), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "u", "namespace": "team"}}
)

# Custom resources, typed and dynamic.
schema = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]}
version = {
    "name": "v1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": schema},
    "subresources": {"status": {}},
}
definition = {
    "metadata": {"name": "widgets.example.org"},
    "spec": {"group": "example.org", "scope": "Namespaced", "names": names, "versions": [version]},
}
extensions.create_custom_resource_definition(definition)
place = ("example.org", "v1", "team", "widgets")
widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {}}
assert custom.create_namespaced_custom_object(*place, widget)["spec"]["size"] == 3
custom.patch_namespaced_custom_object_status(*place, "w", {"status": {"phase": "Ready"}})
custom.patch_namespaced_custom_object(*place, "w", {"spec": {"size": 5}})
found = custom.get_namespaced_custom_object(*place, "w")
assert (found["spec"], found["status"], found["metadata"]["generation"]) == ({"size": 5}, {"phase": "Ready"}, 2)

every = dynamic.DynamicClient(client.ApiClient())
widgets = every.resources.get(api_version="example.org/v1", kind="Widget")
assert widgets.get(namespace="team").items[0].spec.size == 5
widgets.create(
    {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "v"}, "spec": {"size": 1}}, "team"
)
widgets.patch({"spec": {"size": 2}}, name="v", namespace="team", content_type="application/merge-patch+json")
assert widgets.get("v", "team").spec.size == 2
assert widgets.status.get("w", "team").status.phase == "Ready"
for event in widgets.watch(namespace="team", timeout=2):
    assert event["type"] == "ADDED"
    break
widgets.delete("v", "team")
pods = every.resources.get(api_version="v1", kind="Pod")
pods.create({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "m", "image": "busybox"}]}}, "team")
assert pods.get("p", "team").status.phase == "Pending"
assert every.resources.get(kind="Deployment").group == "apps"
shorts = [one.short_names for one in every.resources.search(kind="Widget") if one.kind == "Widget"]
assert shorts == [["wd"]], shorts
core.create_namespaced_pod_eviction("p", "team", {"metadata": {"name": "p", "namespace": "team"}})
print("done")
