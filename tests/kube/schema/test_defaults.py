import base64
import copy

import pytest

from headwater.kube.schema.defaults import default_object, prepare_create
from headwater.kube.schema.pod_defaults import image_tag, quality_of_service


def pod(**spec) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def defaulted(obj: dict, group: str = "") -> dict:
    before = copy.deepcopy(obj)
    once = default_object(group, obj["kind"], obj)
    assert obj == before
    assert default_object(group, obj["kind"], once) == once
    return once


def test_a_pod() -> None:
    spec = defaulted(pod(containers=[{"name": "a", "image": "x", "ports": [{"containerPort": 1}]}]))["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["securityContext"] == {}
    container = spec["containers"][0]
    assert container["imagePullPolicy"] == "Always"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["ports"][0]["protocol"] == "TCP"
    assert container["resources"] == {}


def test_what_is_set_stays() -> None:
    spec = defaulted(pod(restartPolicy="Never", terminationGracePeriodSeconds=0, containers=[]))["spec"]
    assert spec["restartPolicy"] == "Never"
    assert spec["terminationGracePeriodSeconds"] == 0


def test_limits_are_requests() -> None:
    resources = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}
    spec = defaulted(pod(containers=[{"name": "a", "image": "x:1", "resources": resources}]))["spec"]
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_volumes_and_probes() -> None:
    volumes = [
        {"name": "a"},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "c", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "d", "downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    container = {"name": "a", "image": "x", "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1}}
    spec = defaulted(pod(containers=[container], volumes=volumes))["spec"]
    assert spec["volumes"][0]["emptyDir"] == {}
    assert spec["volumes"][1]["secret"]["defaultMode"] == 0o644
    assert spec["volumes"][2]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600
    assert spec["volumes"][3]["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] == "v1"
    probe = spec["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    assert (probe["periodSeconds"], probe["timeoutSeconds"], probe["failureThreshold"]) == (1, 1, 3)


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("x", "latest"),
        ("x:1", "1"),
        ("host:5000/x", "latest"),
        ("host:5000/x:2", "2"),
        ("x@sha256:abc", ""),
        ("x:3@sha256:abc", "3"),
    ],
)
def test_image_tags(image: str, tag: str) -> None:
    assert image_tag(image) == tag


def resources(requests: dict | None = None, limits: dict | None = None) -> dict:
    return {"resources": {"requests": requests or {}, "limits": limits or {}}}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([{}], "BestEffort"),
        ([resources({"cpu": "1"})], "Burstable"),
        ([resources(limits={"cpu": "1", "memory": "1Gi"})], "Guaranteed"),
        ([resources({"cpu": "1000m", "memory": "1Gi"}, {"cpu": "1", "memory": "1024Mi"})], "Guaranteed"),
        ([resources({"cpu": "1"}, {"cpu": "2", "memory": "1Gi"})], "Burstable"),
        ([resources(limits={"cpu": "1", "memory": "1Gi"}), {}], "Burstable"),
    ],
)
def test_quality_of_service(containers: list[dict], expected: str) -> None:
    assert quality_of_service({"containers": containers}) == expected


JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "j", "uid": "u-1"},
    "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}},
}


def test_a_job() -> None:
    job = defaulted(JOB, "batch")
    assert job["metadata"]["labels"] == {"a": "b"}
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 1
    assert job["spec"]["backoffLimit"] == 6
    assert job["spec"]["podReplacementPolicy"] == "TerminatingOrFailed"


def test_a_job_with_parallelism_only_is_a_work_queue() -> None:
    job = defaulted({**JOB, "spec": {**JOB["spec"], "parallelism": 2}}, "batch")
    assert "completions" not in job["spec"]


def test_a_new_job_gets_its_selector() -> None:
    job = defaulted(JOB, "batch")
    prepare_create("batch", "Job", job)
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["job-name"] == labels["batch.kubernetes.io/job-name"] == "j"
    assert labels["a"] == "b"
    assert job["metadata"]["labels"] == {"a": "b"}


def test_a_manual_selector_is_left_alone() -> None:
    job = copy.deepcopy(JOB)
    job["spec"] |= {"manualSelector": True, "selector": {"matchLabels": {"x": "y"}}}
    prepare_create("batch", "Job", job)
    assert job["spec"]["selector"] == {"matchLabels": {"x": "y"}}


def test_a_new_pod_is_pending_and_a_new_namespace_active() -> None:
    new = pod(containers=[{"name": "a"}])
    prepare_create("", "Pod", new)
    assert new["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    namespace = defaulted({"kind": "Namespace", "metadata": {"name": "n"}})
    prepare_create("", "Namespace", namespace)
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}


def test_the_text_of_a_secret_becomes_data() -> None:
    secret = defaulted({"kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "y"}})
    assert secret["type"] == "Opaque"
    assert "stringData" not in secret
    assert base64.b64decode(secret["data"]["b"]) == b"y"
    assert secret["data"]["a"] == "eA=="


def test_a_service() -> None:
    spec = defaulted({"kind": "Service", "spec": {"ports": [{"port": 80}]}})["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert spec["ipFamilies"] == ["IPv4"]


def test_a_deployment() -> None:
    spec = defaulted({"kind": "Deployment", "spec": {"template": {"spec": {"containers": []}}}}, "apps")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


def test_roles_and_kinds_without_defaults() -> None:
    group = "rbac.authorization.k8s.io"
    binding = {"kind": "RoleBinding", "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User"}]}
    made = defaulted(binding, group)
    assert made["roleRef"]["apiGroup"] == made["subjects"][0]["apiGroup"] == group
    config = {"kind": "ConfigMap"}
    assert default_object("", "ConfigMap", config) is config
