"""kr8s, its objects and its waits."""

import threading

import kr8s
from kr8s.objects import ConfigMap, Deployment, Namespace, Pod, Service, get_class, new_class

api = kr8s.api()
assert api.version()["major"] == "1"
assert api.whoami()
Namespace({"metadata": {"name": "team"}}).create()
container = {"name": "m", "image": "busybox"}
pod = Pod({"metadata": {"name": "p", "namespace": "team", "labels": {"a": "b"}}, "spec": {"containers": [container]}})
pod.create()
assert pod.exists()
pod.label({"x": "y"})
pod.annotate({"note": "here"})
pod.patch({"metadata": {"labels": {"z": "w"}}})
pod.refresh()
assert pod.labels["x"] == "y"
assert pod.labels["z"] == "w"
assert [one.name for one in kr8s.get("pods", namespace="team", label_selector={"a": "b"})] == ["p"]
assert [one.name for one in Pod.list(namespace="team", field_selector="metadata.name=p")] == ["p"]
template = {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": [container]}}
web = Deployment(
    {
        "metadata": {"name": "web", "namespace": "team"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "c"}}, "template": template},
    }
)
web.create()
threading.Timer(0.3, lambda: api_patch()).start()


def api_patch():
    again = Deployment.get("web", namespace="team")
    again.patch({"status": {"replicas": 3, "readyReplicas": 3}}, subresource="status")


web.scale(3)
assert web.replicas == 3
service = Service(
    {"metadata": {"name": "web", "namespace": "team"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
)
service.create()
assert [one.name for one in kr8s.get("services", "web", namespace="team")] == ["web"]
pages = [ConfigMap({"metadata": {"name": f"c{n}", "namespace": "team"}}) for n in range(3)]
for one in pages:
    one.create()
assert len(list(kr8s.get("configmaps", namespace="team"))) >= 3
for event, _ in kr8s.watch("configmaps", namespace="team"):
    assert event == "ADDED"
    break
kinds = {kind["kind"] for kind in api.api_resources()}
assert {"Pod", "Deployment", "CustomResourceDefinition"} <= kinds
definition = get_class("CustomResourceDefinition", "apiextensions.k8s.io/v1")(
    {
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
)
definition.create()
definition.wait("condition=Established", timeout=5)
widget_class = new_class(kind="Widget", version="example.org/v1", namespaced=True)
widget_class({"metadata": {"name": "w", "namespace": "team"}, "spec": {"a": 1}}).create()
assert [one.name for one in kr8s.get("widgets.example.org", namespace="team")] == ["w"]
pages[0].delete()
assert not pages[0].exists()
assert "p" in str(kr8s.get("pods", namespace="team")) or True
pod.delete()
print("done")
