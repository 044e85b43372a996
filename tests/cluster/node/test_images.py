"""What image names stand for."""

from pathlib import Path

import pytest

from headwater.cluster.node.images import ImageError, ImageMap, split, well_known
from headwater.cluster.node.pythons import find_pythons, nearest


def test_split() -> None:
    assert split("docker.io/library/python:3.11@sha256:00") == ("docker.io/library/python", "3.11")
    assert split("localhost:5000/x/y") == ("localhost:5000/x/y", "latest")
    assert split("busybox") == ("busybox", "latest")


@pytest.mark.parametrize(
    ("name", "kind", "python"),
    [
        ("busybox", "shell", None),
        ("docker.io/library/alpine:3.20", "shell", None),
        ("registry.k8s.io/e2e-test-images/busybox:1.29", "shell", None),
        ("python", "python", (3, 12)),
        ("python:3", "python", (3, 12)),
        ("python:3.11", "python", (3, 11)),
        ("python:3.9.18-slim-bookworm", "python", (3, 9)),
        ("python:3.13rc1-alpine", "python", (3, 13)),
        ("python:slim", "python", (3, 12)),
        ("docker.io/library/python:3.10", "python", (3, 10)),
        ("mirror.gcr.io/library/python:3.10@sha256:abc", "python", (3, 10)),
    ],
)
def test_well_known_images(name: str, kind: str, python: tuple[int, int] | None) -> None:
    image = well_known(name)
    assert image is not None
    assert image.kind == kind
    if python:
        assert image.python == python
        assert image.arguments == ("python3",)


@pytest.mark.parametrize("name", ["me/python:3.11", "example.com/python-app", "tensorflow/tensorflow:2.1", "nginx"])
def test_other_images_are_not_known(name: str) -> None:
    assert well_known(name) is None


def test_the_image_map(tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    images = ImageMap(path)
    with pytest.raises(ImageError, match=f"add to {path}"):
        images.resolve("me/x:1")
    path.write_text(
        """
images:
  me/x:1: {python: "3.11", requirements: [numpy, "pandas<3"], env: {A: 1}, workingDir: /w}
  me/tool: {shell: true, command: [echo, hi]}
  "me/all/*": {python: "3.12"}
"""
    )
    image = images.resolve("me/x:1")
    assert (image.kind, image.python, image.requirements) == ("python", (3, 11), ("numpy", "pandas<3"))
    assert image.environment == (("A", "1"),)
    assert images.resolve("me/tool:anything").command == ("echo", "hi")
    assert images.resolve("me/tool:anything").arguments == ()
    assert images.resolve("me/all/of:them").kind == "python"
    with pytest.raises(ImageError, match="me/x:2"):
        images.resolve("me/x:2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: {x: {pyton: '3.1'}}", "unknown key 'pyton'"),
        ("images: {x: {python: 3.1x}}", "python must be a version in quotes"),
        ("images: {x: [1]}", "must be a mapping"),
        ("images: [1]", "must map image names"),
        ("images: {x: {python: '3.12', requirements: numpy}}", "requirements must be a list"),
        ("images: {x: ", "not valid YAML"),
    ],
)
def test_a_wrong_image_map_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "images.yaml"
    path.write_text(text)
    with pytest.raises(ImageError, match=message) as caught:
        ImageMap(path).resolve("x")
    assert str(path) in str(caught.value)


def test_the_nearest_python() -> None:
    have = {(3, 9): Path("a"), (3, 11): Path("b"), (3, 13): Path("c")}
    assert nearest((3, 11), have) == (3, 11)
    assert nearest((3, 10), have) == (3, 11)
    assert nearest((3, 14), have) == (3, 13)
    assert nearest((2, 7), have) is None


def test_this_machine_has_a_python() -> None:
    found = find_pythons()
    assert found
    assert all(path.is_absolute() and path.exists() for path in found.values())
