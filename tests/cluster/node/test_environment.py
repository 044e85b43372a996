"""Variables by Kubernetes' rules, and the files of a projection."""

from pathlib import Path
from typing import Any

import pytest

from headwater.cluster.node.environment import ConfigError, Facts, expand, service_variables
from headwater.cluster.node.projection import File, ProjectionError, object_files, write_files
from headwater.cluster.node.status import qos_class


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("$(A)$(B)-$(A)", "12-1"),
        ("$(C)", "$(C)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("a$$b", "a$b"),
        ("$()", "$()"),
    ],
)
def test_references(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


def test_services() -> None:
    found = service_variables("https://127.0.0.1:7443")
    assert found["KUBERNETES_SERVICE_HOST"] == "127.0.0.1"
    assert found["KUBERNETES_SERVICE_PORT"] == "7443"


def test_the_downward_api() -> None:
    facts = Facts(address="10.0.0.1", allocatable={"cpu": "4", "memory": "8Gi"})
    pod: Any = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "annotations": {"a": 'x"y'}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"memory": "100Mi"}}}]},
    }
    container = pod["spec"]["containers"][0]
    assert facts.field(pod, "status.hostIP") == "10.0.0.1"
    assert facts.field(pod, "metadata.annotations") == 'a="x\\"y"'
    assert facts.resource(pod, container, {"resource": "limits.cpu"}) == "4"
    assert facts.resource(pod, container, {"resource": "requests.memory", "divisor": "1Mi"}) == "100"
    assert facts.resource(pod, container, {"resource": "requests.memory", "divisor": "1Gi"}) == "1"
    with pytest.raises(ConfigError, match=r"unsupported fieldPath: spec\.x"):
        facts.field(pod, "spec.x")


def test_files_are_replaced_as_a_whole(tmp_path: Path) -> None:
    assert write_files(tmp_path, {"a": File(b"1"), "d/b": File(b"2", 0o600)}, None)
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o600
    assert not write_files(tmp_path, {"a": File(b"1"), "d/b": File(b"2", 0o600)}, None)
    before = (tmp_path / "..data").readlink()
    assert write_files(tmp_path, {"a": File(b"3")}, None)
    assert (tmp_path / "a").read_bytes() == b"3"
    assert not (tmp_path / "d").exists()
    assert not (tmp_path / before).exists()


def test_paths_stay_inside() -> None:
    data = {"k": b"v"}
    for path in ("/etc/x", "../x", "a/../../x", "..x"):
        with pytest.raises(ProjectionError, match="invalid path"):
            object_files(data, [{"key": "k", "path": path}], 0o644, what="ConfigMap n/c", optional=False)
    with pytest.raises(ProjectionError, match="ConfigMap n/c has no key 'z'"):
        object_files(data, [{"key": "z", "path": "z"}], 0o644, what="ConfigMap n/c", optional=False)
    assert object_files(data, [{"key": "z", "path": "z"}], 0o644, what="", optional=True) == {}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: Any, expected: str) -> None:
    assert qos_class({"containers": [{"name": "a", "resources": resources}]}) == expected


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "..", "..data", ".", "", "a/.."])
def test_no_file_of_a_volume_lies_outside_it(tmp_path: Path, name: str) -> None:
    volume = tmp_path / "deep" / "volume"
    volume.mkdir(parents=True)
    with pytest.raises(ProjectionError, match="stay inside the volume"):
        write_files(volume, {"fine": File(b"1"), name: File(b"2")}, None)
    assert list(volume.iterdir()) == []
