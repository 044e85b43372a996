"""pykube-ng: queries, updates by patch, watches."""

import os

import pykube

api = pykube.HTTPClient(pykube.KubeConfig.from_file(os.environ["KUBECONFIG"]))
pykube.Namespace(api, {"metadata": {"name": "team"}}).create()
obj = {
    "metadata": {"name": "p", "namespace": "team", "labels": {"a": "b"}},
    "spec": {"containers": [{"name": "m", "image": "busybox"}]},
}
pod = pykube.Pod(api, obj)
pod.create()
pod.reload()
pod.annotations["x"] = "y"
pod.update()
assert pykube.Pod.objects(api, namespace="team").get(name="p").annotations == {"x": "y"}
assert len(pykube.Pod.objects(api, namespace=pykube.all).filter(selector={"a": "b"})) == 1
for event in pykube.Pod.objects(api, namespace="team").watch():
    assert event.type == "ADDED"
    break
pod.delete()
assert api.version[0] == "1"
print("done")
