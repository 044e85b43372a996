import copy

import pytest

from headwater.kube.meta import resources
from headwater.kube.meta.resources import Resource
from headwater.kube.schema.defaults import default_object, prepare_create
from headwater.kube.schema.rules import validate_create, validate_update

DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments")
STATEFUL_SETS = Resource("apps", "v1", "StatefulSet", "statefulsets")
CRON_JOBS = Resource("batch", "v1", "CronJob", "cronjobs")
CLAIMS = Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
WIDGETS = Resource("example.dev", "v1", "Widget", "widgets")


def made(resource: Resource, **fields) -> dict:
    metadata = {"name": "x", **({"namespace": "n"} if resource.namespaced else {}), "uid": "u"}
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
    obj = default_object(resource.group, resource.kind, obj)
    prepare_create(resource.group, resource.kind, obj)
    return obj


def said(resource: Resource, obj: dict) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in validate_create(resource, obj)]


def pod(**spec) -> dict:
    return made(resources.PODS, spec={"containers": [{"name": "a", "image": "x"}], **spec})


def containers(**fields) -> dict:
    return pod(containers=[{"name": "a", "image": "x", **fields}])


def test_good_objects() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
    never = copy.deepcopy(template)
    never["spec"]["restartPolicy"] = "Never"
    selector = {"matchLabels": {"a": "b"}}
    good = [
        (resources.PODS, pod()),
        (resources.JOBS, made(resources.JOBS, spec={"template": never})),
        (
            CRON_JOBS,
            made(CRON_JOBS, spec={"schedule": "*/5 0 1-3,7 * MON", "jobTemplate": {"spec": {"template": never}}}),
        ),
        (DEPLOYMENTS, made(DEPLOYMENTS, spec={"selector": selector, "template": template})),
        (resources.NAMESPACES, made(resources.NAMESPACES)),
        (resources.CONFIG_MAPS, made(resources.CONFIG_MAPS, data={"a.txt": "x"})),
        (resources.SECRETS, made(resources.SECRETS, stringData={"a": "x"})),
        (resources.SERVICES, made(resources.SERVICES, spec={"ports": [{"port": 80}]})),
        (resources.ROLES, made(resources.ROLES, rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])),
        (
            resources.CLUSTER_ROLE_BINDINGS,
            made(
                resources.CLUSTER_ROLE_BINDINGS,
                roleRef={"kind": "ClusterRole", "name": "admin"},
                subjects=[{"kind": "ServiceAccount", "name": "s", "namespace": "n"}, {"kind": "User", "name": "u"}],
            ),
        ),
        (WIDGETS, made(WIDGETS, anything=1)),
    ]
    assert [(resource.kind, said(resource, obj)) for resource, obj in good if said(resource, obj)] == []


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"name": "X"}, 'metadata.name: Invalid value: "X": a lowercase RFC 1123 subdomain'),
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        ({"namespace": ""}, "metadata.namespace: Required value"),
        ({"labels": {"a b": "c"}}, 'metadata.labels: Invalid value: "a b": name part must consist'),
        ({"labels": {"a": "c d"}}, 'metadata.labels: Invalid value: "c d": a valid label must'),
        ({"annotations": {"a b": ""}}, 'metadata.annotations: Invalid value: "a b"'),
        ({"annotations": {"a": "x" * 300_000}}, "metadata.annotations: Too long"),
        ({"finalizers": ["plain"]}, "neither a standard finalizer name nor is it fully qualified"),
        ({"finalizers": ["a b/c"]}, "metadata.finalizers: Invalid value"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}, "uid must not be empty"),
        (
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in "ab"
                ]
            },
            "Only one reference can have Controller set to true",
        ),
    ],
)
def test_metadata(metadata: dict, expected: str) -> None:
    obj = pod()
    obj["metadata"] |= metadata
    assert expected in said(resources.PODS, obj)[0]


def test_cluster_scoped_objects_have_no_namespace() -> None:
    obj = made(resources.NAMESPACES)
    obj["metadata"]["namespace"] = "n"
    assert said(resources.NAMESPACES, obj) == ["metadata.namespace: Forbidden: not allowed on this type"]


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (pod(containers=[]), "spec.containers: Required value"),
        (pod(containers=[{"name": "A", "image": "x"}]), 'containers[0].name: Invalid value: "A"'),
        (pod(containers=[{"name": "", "image": "x"}]), "spec.containers[0].name: Required value"),
        (pod(containers=[{"name": "a"}]), "spec.containers[0].image: Required value"),
        (pod(containers=[{"name": "a", "image": "x"}] * 2), 'spec.containers[1].name: Duplicate value: "a"'),
        (
            pod(initContainers=[{"name": "a", "image": "x"}]),
            'spec.containers[0].name: Duplicate value: "a"',
        ),
        (
            pod(restartPolicy="Sometimes"),
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        ),
        (containers(imagePullPolicy="Maybe"), 'supported values: "Always", "IfNotPresent", "Never"'),
        (containers(env=[{"name": "a=b"}]), "env[0].name: Invalid value"),
        (
            containers(env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {}}}]),
            "may not be specified when `value`",
        ),
        (containers(env=[{"name": "A", "valueFrom": {}}]), "must specify one of"),
        (
            containers(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]),
            "valueFrom.secretKeyRef.key: Required value",
        ),
        (containers(envFrom=[{}]), "must specify one of: `configMapRef` or `secretRef`"),
        (
            containers(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            'spec.containers[0].volumeMounts[0].name: Not found: "v"',
        ),
        (pod(volumes=[{"name": "v"}, {"name": "v"}]), 'spec.volumes[1].name: Duplicate value: "v"'),
        (
            pod(volumes=[{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]),
            "may not specify more than 1 volume",
        ),
        (pod(volumes=[{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}]), "'..'"),
        (pod(volumes=[{"name": "v", "secret": {}}]), "spec.volumes[0].secret.secretName: Required value"),
        (
            containers(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (containers(resources={"limits": {"cpu": "-1"}}), "must be greater than or equal to 0"),
        (containers(ports=[{"containerPort": 70000}]), "must be between 1 and 65535, inclusive"),
        (containers(ports=[{"containerPort": 1, "name": "a"}] * 2), 'ports[1].name: Duplicate value: "a"'),
        (containers(livenessProbe={"periodSeconds": 1}), "must specify a handler type"),
        (containers(livenessProbe={"exec": {}, "tcpSocket": {"port": 1}}), "may not specify more than 1 handler"),
        (
            containers(livenessProbe={"exec": {}, "successThreshold": 2}),
            "successThreshold: Invalid value: 2: must be 1",
        ),
        (pod(activeDeadlineSeconds=0), "must be greater than or equal to 1"),
    ],
)
def test_pods(obj: dict, expected: str) -> None:
    assert expected in said(resources.PODS, obj)[0]


def job(**spec) -> dict:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}
    return made(resources.JOBS, spec={"template": template, **spec})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"template": {"spec": {"containers": [{"name": "a", "image": "x"}]}}},
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        ),
        ({"template": {"spec": {"restartPolicy": "Never"}}}, "spec.template.spec.containers: Required value"),
        ({"parallelism": -1}, "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        ({"completionMode": "Odd"}, 'Unsupported value: "Odd"'),
        ({"completionMode": "Indexed", "parallelism": 1}, "spec.completions: Required value: when completion mode"),
    ],
)
def test_jobs(spec: dict, expected: str) -> None:
    assert expected in said(resources.JOBS, job(**spec))[0]


def test_what_of_a_job_may_change() -> None:
    old = job()
    new = copy.deepcopy(old)
    new["spec"]["parallelism"] = 3
    new["spec"]["suspend"] = True
    new["metadata"]["labels"] = {"a": "b"}
    assert validate_update(resources.JOBS, old, new) == []
    new["spec"]["completions"] = 5
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
    fields = [cause.field for cause in validate_update(resources.JOBS, old, new)]
    assert fields == ["spec.completions", "spec.template"]


def test_a_suspended_job_that_never_started_may_move() -> None:
    old = job(suspend=True)
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}
    assert validate_update(resources.JOBS, old, new) == []
    old["status"] = {"startTime": "2026-01-01T00:00:00Z"}
    assert validate_update(resources.JOBS, old, new)


def test_what_of_a_pod_may_change() -> None:
    old = pod()
    new = copy.deepcopy(old)
    new["spec"]["containers"][0]["image"] = "y"
    new["spec"]["activeDeadlineSeconds"] = 5
    assert validate_update(resources.PODS, old, new) == []
    new["spec"]["restartPolicy"] = "Never"
    causes = validate_update(resources.PODS, old, new)
    assert causes[0].field == "spec"
    assert causes[0].message.startswith("Forbidden: pod updates may not change fields other than")
    assert causes[0].reason == "FieldValueForbidden"
    new["spec"]["containers"].append({"name": "b", "image": "x"})
    assert "may not add or remove containers" in validate_update(resources.PODS, old, new)[0].message


def test_identity_does_not_change() -> None:
    old = pod()
    new = copy.deepcopy(old)
    new["metadata"] |= {"name": "y", "uid": "v"}
    assert [cause.field for cause in validate_update(resources.PODS, old, new)] == ["metadata.name", "metadata.uid"]


def test_no_finalizer_comes_after_deletion() -> None:
    old = pod()
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a.b/c"]}
    new = copy.deepcopy(old)
    new["metadata"]["finalizers"] = []
    assert validate_update(resources.PODS, old, new) == []
    new["metadata"]["finalizers"] = ["a.b/c", "a.b/d"]
    assert "no new finalizers can be added" in validate_update(resources.PODS, old, new)[0].message


def deployment(**spec) -> dict:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
    return made(DEPLOYMENTS, spec={"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"selector": {}}, "empty selector is invalid for deployment"),
        ({"selector": {"matchLabels": {"a": "c"}}}, "`selector` does not match template `labels`"),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "X"}]}}, "not a valid label selector operator"),
        ({"replicas": -1}, "spec.replicas: Invalid value: -1"),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {}}}, "may not be specified when strategy `type`"),
        (
            {
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]},
                }
            },
            'restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
    ],
)
def test_deployments(spec: dict, expected: str) -> None:
    assert expected in said(DEPLOYMENTS, deployment(**spec))[0]


def test_a_selector_stays() -> None:
    old = deployment()
    new = copy.deepcopy(old)
    new["spec"]["selector"]["matchLabels"]["c"] = "d"
    new["spec"]["template"]["metadata"]["labels"]["c"] = "d"
    assert validate_update(DEPLOYMENTS, old, new)[0].message.endswith("field is immutable")


def test_a_stateful_set_changes_in_few_places() -> None:
    old = made(STATEFUL_SETS, spec=deployment()["spec"] | {"serviceName": "s"})
    del old["spec"]["strategy"], old["spec"]["progressDeadlineSeconds"]
    new = copy.deepcopy(old)
    new["spec"]["replicas"] = 5
    assert validate_update(STATEFUL_SETS, old, new) == []
    new["spec"]["serviceName"] = "t"
    assert "updates to statefulset spec" in validate_update(STATEFUL_SETS, old, new)[0].message


@pytest.mark.parametrize("schedule", ["", "* * * *", "TZ=UTC * * * * *", "x", "@sometimes"])
def test_schedules(schedule: str) -> None:
    obj = made(CRON_JOBS, spec={"schedule": schedule, "jobTemplate": {"spec": job()["spec"]}})
    assert said(CRON_JOBS, obj)[0].startswith("spec.schedule: ")


@pytest.mark.parametrize(
    ("resource", "fields", "expected"),
    [
        (resources.CONFIG_MAPS, {"data": {"a/b": ""}}, "data[a/b]: Invalid value"),
        (resources.CONFIG_MAPS, {"data": {"a": ""}, "binaryData": {"a": ""}}, "duplicate of key present in binaryData"),
        (resources.CONFIG_MAPS, {"data": {"a": "x" * 1_100_000}}, "Too long: may not be more than 1048576 bytes"),
        (resources.SECRETS, {"type": "kubernetes.io/tls"}, "data[tls.crt]: Required value"),
        (resources.SERVICES, {"spec": {}}, "spec.ports: Required value"),
        (resources.SERVICES, {"spec": {"ports": [{"port": 0}]}}, "spec.ports[0].port: Invalid value: 0"),
        (resources.SERVICES, {"spec": {"ports": [{"port": 1}, {"port": 2}]}}, "spec.ports[0].name: Required value"),
        (resources.SERVICES, {"spec": {"type": "Odd", "ports": [{"port": 1}]}}, 'Unsupported value: "Odd"'),
        (resources.ROLES, {"rules": [{"apiGroups": [""], "resources": ["pods"]}]}, "rules[0].verbs: Required value"),
        (
            resources.ROLES,
            {"rules": [{"nonResourceURLs": ["/"], "verbs": ["get"]}]},
            "cannot apply to non-resource URLs",
        ),
        (resources.ROLE_BINDINGS, {"roleRef": {"kind": "Thing", "name": "x"}}, "roleRef.kind: Unsupported value"),
        (
            resources.CLUSTER_ROLE_BINDINGS,
            {"roleRef": {"kind": "ClusterRole", "name": "x"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]},
            "subjects[0].namespace: Required value",
        ),
        (CLAIMS, {"spec": {}}, "spec.accessModes: Required value: at least 1 access mode is required"),
    ],
)
def test_configuration(resource: Resource, fields: dict, expected: str) -> None:
    assert expected in said(resource, made(resource, **fields))[0]


def test_what_of_configuration_may_change() -> None:
    old = made(resources.CONFIG_MAPS, data={"a": "1"}, immutable=True)
    new = copy.deepcopy(old) | {"data": {"a": "2"}}
    assert "field is immutable when `immutable` is set" in validate_update(resources.CONFIG_MAPS, old, new)[0].message
    old = made(resources.ROLE_BINDINGS, roleRef={"kind": "Role", "name": "a"})
    new = copy.deepcopy(old)
    new["roleRef"]["name"] = "b"
    assert "cannot change roleRef" in validate_update(resources.ROLE_BINDINGS, old, new)[0].message


def definition(schema: dict | None = None, **spec) -> dict:
    version = {"name": "v1", "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": schema or {"type": "object"}}
    spec = {
        "group": "example.dev",
        "names": {"kind": "Widget", "plural": "widgets"},
        "scope": "Namespaced",
        "versions": [version],
        **spec,
    }
    obj = made(resources.CUSTOM_RESOURCE_DEFINITIONS, spec=spec)
    obj["metadata"]["name"] = "widgets.example.dev"
    return obj


def field(**schema) -> dict:
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (
            definition(group="other.dev"),
            'metadata.name: Invalid value: "widgets.example.dev": must be spec.names.plural',
        ),
        (definition(scope="Global"), 'spec.scope: Unsupported value: "Global"'),
        (definition({"type": "string"}), "must be object at the root"),
        (definition({"properties": {}}), "type: Required value: must not be empty at the root"),
        (definition(field()), "properties[a].type: Required value: must not be empty for specified object fields"),
        (definition(field(type="array")), "properties[a].items: Required value"),
        (definition(field(type="thing")), 'Unsupported value: "thing"'),
        (definition(field(type="string", pattern="(")), "must be a valid regular expression"),
        (definition(field(type="string", default=1)), "properties[a].default: Invalid value"),
        (definition(field(type="object", default={"b": 1})), "default.b: Invalid value"),
        (definition(field(type="string", anyOf=[{"type": "string"}])), "must be empty to be structural"),
        (
            definition(field(type="array", items={"type": "string"}, **{"x-kubernetes-list-type": "map"})),
            "list-map-keys: Required",
        ),
        (definition(versions=[]), "must have exactly one version marked as storage version"),
        (
            definition(versions=[{"name": "v1", "storage": True}]),
            "openAPIV3Schema: Required value: schemas are required",
        ),
        (definition(names={"kind": "Widget", "plural": "Widgets"}), "spec.names.plural"),
    ],
)
def test_definitions(obj: dict, expected: str) -> None:
    assert any(expected in text for text in said(resources.CUSTOM_RESOURCE_DEFINITIONS, obj))


def test_a_definition_stays_what_it_defines() -> None:
    assert said(resources.CUSTOM_RESOURCE_DEFINITIONS, definition()) == []
    new = definition(scope="Cluster")
    causes = validate_update(resources.CUSTOM_RESOURCE_DEFINITIONS, definition(), new)
    assert [cause.field for cause in causes] == ["spec.scope"]


@pytest.mark.parametrize("path", ["/etc/cron.d/x", "../x", "a/../../x"])
@pytest.mark.parametrize("kind", ["secret", "configMap", "downwardAPI", "serviceAccountToken"])
def test_no_projected_file_leads_out_of_its_volume(kind: str, path: str) -> None:
    source = {"path": path} if kind == "serviceAccountToken" else {"name": "n", "items": [{"key": "k", "path": path}]}
    volume = {"name": "v", "projected": {"sources": [{kind: source}]}}
    (cause,) = said(resources.PODS, pod(containers=[{"name": "a", "image": "x"}], volumes=[volume]))
    assert cause.startswith(f"spec.volumes[0].projected.sources[0].{kind}")
