"""Python environments, the pip that answers in them, and the real kfp executor; PyPI only where marked slow."""

import asyncio
import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.node.conftest import Cluster

from headwater.cluster.node.environments import BuildError, Environments
from headwater.cluster.node.pythons import find_pythons
from headwater.kube.meta.objects import Object

HERE = (sys.version_info[0], sys.version_info[1])
IMAGE = "python:{}.{}".format(*HERE)
INTERPRETER = find_pythons()[HERE]


def wheel(directory: Path, name: str, version: str = "1.0") -> Path:
    """Write a small wheel by hand."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    records = []
    for file, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        records.append(f"{file},sha256={digest},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


@pytest.fixture
def index(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index on disk that uv uses instead of PyPI."""
    links = home / "wheels"
    wheel(links, "hwone")
    wheel(links, "hwtwo")
    for path in (links, *links.iterdir()):
        path.chmod(0o755)
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return links


async def test_an_environment_is_built_once_and_shared_by_content(tmp_path: Path, index: Path) -> None:
    environments = Environments(tmp_path / "e")
    assert environments.find(INTERPRETER, [("hwone",)]) is None
    first, again = await asyncio.gather(*(environments.build(INTERPRETER, [("hwone",)]) for _ in range(2)))
    assert first == again
    other_words = await environments.build(INTERPRETER, [("hwone==1.0", "--quiet")])
    assert other_words.path == first.path
    more = await environments.build(INTERPRETER, [("hwone",), ("hwtwo",)])
    assert more.path != first.path
    assert Environments(tmp_path / "e").find(INTERPRETER, [("hwone",)]) == first
    assert not [p for p in (tmp_path / "e").iterdir() if p.name.startswith(".building")]
    await environments.close()


async def test_what_cannot_be_installed_says_why(tmp_path: Path, index: Path) -> None:
    environments = Environments(tmp_path / "e")
    with pytest.raises(BuildError, match="hwnone"):
        await environments.build(INTERPRETER, [("hwnone",)])
    assert not [p for p in (tmp_path / "e").iterdir() if p.name.startswith(".building")]


async def outcome(cluster: Cluster, script: str, name: str = "p", **container: Any) -> str:
    await cluster.run(name, command=script, container={"image": IMAGE, **container})
    pod = await cluster.ended(name)
    assert pod["status"]["phase"] == "Succeeded", (await cluster.logs(name), await cluster.events(name))
    return await cluster.logs(name)


async def test_a_python_image(cluster: Cluster) -> None:
    script = """
    [ -x "$(command -v pip)" ] && echo pip
    python3 -c 'import sys; print(sys.version_info[:2], sys.prefix != sys.base_prefix)'
    python -c 'import os, tempfile; print(os.path.isdir(tempfile.gettempdir()), os.access(os.environ["HOME"], os.W_OK))'
    python3 -m pip --version
    """
    lines = (await outcome(cluster, script)).splitlines()
    assert lines[:3] == ["pip", f"{HERE} True", "True True"]
    assert lines[3].startswith("pip 25.0 (answered by uv)")
    assert "Built the environment" in await cluster.event("Pulled")
    await cluster.run("again", command="true", container={"image": IMAGE})
    await cluster.ended("again")
    assert "Pulled" not in [reason for reason, _ in await cluster.events("again")]


async def test_a_predicted_line_is_answered_from_the_environment(cluster: Cluster, index: Path) -> None:
    use = "python3 -c 'import hwone; print(hwone.VERSION)'"
    script = f"HEADWATER_UV=/nowhere python3 -m pip install --quiet 'hwone==1.0' && {use}"
    assert await outcome(cluster, script) == "1.0\n"
    script = "HEADWATER_UV=/nowhere pip install hwone hwtwo && python3 -c 'import hwone, hwtwo; print(2)'"
    assert await outcome(cluster, script, "q") == "2\n"


async def test_other_lines_go_to_the_pods_own_layer(cluster: Cluster, home: Path) -> None:
    links = home / "wheels"
    wheel(links, "hwthree")
    wheel(links, "hwthree", "2.0.0")
    links.chmod(0o755)
    cluster.agent._services.volumes._allowed = [links]  # type: ignore[union-attr]
    where = "/wheels" if cluster.isolation == "sandboxed" else str(links)
    from_python = (
        "import subprocess, sys\n"
        "argv = [sys.executable, '-m', 'pip', 'install', '-q', 'x; python_version < \"3\"']\n"
        "print(subprocess.call(argv))"
    )
    script = f"""
    name=hwthree
    pip install --quiet --no-index --find-links {where} $name==1.0 || exit 1
    python3 -c 'import hwthree; print(hwthree.VERSION)'
    python3 -m pip install -q --no-index --find-links={where} -U $name
    python3 -c 'import hwthree; print(hwthree.VERSION)'
    python3 -c "$SCRIPT"
    pip uninstall -y hwthree 2> /dev/null
    python3 -c 'import hwthree' 2> /dev/null || echo gone
    """
    body: dict[str, Any] = {"volumeMounts": [{"name": "w", "mountPath": "/wheels"}]}
    body["env"] = [{"name": "SCRIPT", "value": from_python}]
    await cluster.run(
        command=script, container={"image": IMAGE, **body}, volumes=[{"name": "w", "hostPath": {"path": str(links)}}]
    )
    pod = await cluster.ended()
    assert (await cluster.logs()).splitlines() == ["1.0", "2.0.0", "0", "gone"], pod["status"]
    assert await outcome(cluster, "python3 -c 'import hwthree' 2> /dev/null || echo clean", "q") == "clean\n"


async def test_packages_that_cannot_be_prebuilt_are_the_containers_affair(cluster: Cluster, index: Path) -> None:
    await cluster.run(command="pip install --quiet hwnone || exit 9", container={"image": IMAGE})
    pod = await cluster.ended()
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 9
    assert "hwnone" in await cluster.event("RequirementsNotPrebuilt")
    assert "hwnone" in await cluster.logs()


async def test_requirements_of_the_image_map_must_be_there(cluster: Cluster, index: Path) -> None:
    path = cluster.home / "config" / "images.yaml"
    path.parent.mkdir()
    mine = {
        "python": "{}.{}".format(*HERE),
        "requirements": ["hwone"],
        "command": ["python3", "-c", "import hwone; print(1)"],
    }
    text = json.dumps({"images": {"mine": mine}})
    path.write_text(text)
    await cluster.run(container={"image": "mine:latest"})
    await cluster.ended()
    assert await cluster.logs() == "1\n"
    path.write_text(text.replace('["hwone"]', '["hwnone"]'))
    await cluster.run("q", container={"image": "mine"})
    waiting = await cluster.waiting("q")
    assert waiting["reason"] == "ErrImagePull"
    assert "hwnone" in waiting["message"]


async def test_a_python_that_is_not_there(cluster: Cluster) -> None:
    await cluster.run("old", command="true", container={"image": "python:2.7"})
    assert "no Python 2.7" in (await cluster.waiting("old"))["message"]
    newest = max(find_pythons())
    await cluster.run("new", command="python3 -V", container={"image": "python:3.99"})
    await cluster.ended("new")
    assert "Python 3.99 is not on this machine" in await cluster.event("PythonSubstituted", "new")
    assert (await cluster.logs("new")).startswith("Python {}.{}".format(*newest))


@pytest.mark.slow
async def test_the_kfp_executor(cluster: Cluster) -> None:
    """A component as kfp 2.17 compiles it, run unchanged."""

    class Artifacts:
        async def publish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> Path:
            path = cluster.home / "artifacts" / attributes["uri"].replace("://", "/")
            path.mkdir(parents=True, exist_ok=True)
            return path

        async def unpublish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> None:
            pass

    cluster.drivers["artifacts.headwater.dev"] = Artifacts()
    here = cluster.home / "artifacts" / "minio/mlpipeline/task"
    seen = "/minio/mlpipeline/task" if cluster.isolation == "sandboxed" else str(here)
    outputs = {"outputFile": f"{seen}/executor_output.json", "parameters": {"Output": {"outputFile": f"{seen}/Output"}}}
    executor_input = {"inputs": {"parameterValues": {"x": 3}}, "outputs": outputs}
    install = (
        '\nif ! [ -x "$(command -v pip)" ]; then\n    python3 -m ensurepip || exit 1\nfi\n\n'
        "PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --no-warn-script-location 'kfp==2.17.0' "
        '\'--no-deps\' \'typing-extensions>=3.7.4,<5; python_version<"3.9"\' && "$0" "$@"\n'
    )
    execute = (
        'program_path=$(mktemp -d)\n\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
        "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main                         --component_module_path"
        '                         "$program_path/ephemeral_component.py"                         "$@"\n'
    )
    source = "\nimport kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\n\ndef a(x:int)->int: return x * 2\n"
    attributes = {"uri": "minio://mlpipeline/task"}
    command = ["sh", "-c", install, "sh", "-ec", execute, source]
    await cluster.run(
        container={
            "image": IMAGE,
            "command": command,
            "args": ["--executor_input", json.dumps(executor_input), "--function_to_execute", "a"],
            "volumeMounts": [{"name": "a", "mountPath": "/minio/mlpipeline/task"}],
        },
        volumes=[{"name": "a", "csi": {"driver": "artifacts.headwater.dev", "volumeAttributes": attributes}}],
    )
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Succeeded", await cluster.logs()
    assert json.loads((here / "executor_output.json").read_text()) == {"parameterValues": {"Output": 6}}
