"""Each example does what its page says, against a running platform."""

import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")


def test_every_example_is_named_on_the_page():
    page = (EXAMPLES / "README.md").read_text()
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".yaml")}
    assert {name for name in files if f"`{name}`" in page} == files


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["hello.py", "fan_out.py", "container.py"])
def test_a_pipeline_example_succeeds(name: str, running, sdk: Path, tmp_path: Path):
    done = subprocess.run(
        [sdk, EXAMPLES / name], env=running.sdk_environment(), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_kubectl
def test_the_pod_example(running):
    running.kubectl("apply", "-f", str(EXAMPLES / "pod.yaml"))
    running.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/example-pod", "--timeout=60s")
    assert running.kubectl("logs", "example-pod").stdout == "['delta', 'headwater', 'river']\n"
    running.kubectl("delete", "-f", str(EXAMPLES / "pod.yaml"))


@needs_kubectl
def test_the_job_example(running):
    running.kubectl("apply", "-f", str(EXAMPLES / "job.yaml"))
    running.kubectl("wait", "--for=condition=Complete", "job/example-job", "--timeout=60s")
    assert "5/5" in running.kubectl("get", "job", "example-job").stdout
    running.kubectl("delete", "-f", str(EXAMPLES / "job.yaml"))
