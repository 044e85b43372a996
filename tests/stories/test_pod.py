"""A bare pod, as its author would bring it, with the stock kubectl."""

import shutil
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: myapp-pod
  labels:
    app: myapp
spec:
  containers:
  - name: myapp-container
    image: busybox
    command: ['sh', '-c', 'echo Hello Kubernetes! && sleep 3600']
"""

JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  name: count
spec:
  completions: 3
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: busybox
        command: ['sh', '-c', 'echo one of three']
"""


def wait_for(condition, what: str, seconds: float = 20):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return value


def test_a_pod_runs_says_hello_and_goes(running, tmp_path: Path):
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(POD)
    assert "created" in running.kubectl("apply", "-f", str(manifest)).stdout
    running.kubectl("wait", "--for=condition=Ready", "pod/myapp-pod", "--timeout=20s")
    wait_for(lambda: "Hello Kubernetes!" in running.kubectl("logs", "myapp-pod").stdout, "the pod's words")
    described = running.kubectl("describe", "pod", "myapp-pod").stdout
    assert "busybox" in described
    assert "Scheduled" in described
    assert "Running" in running.kubectl("get", "pods").stdout
    assert running.kubectl("exec", "myapp-pod", "--", "sh", "-c", "echo from $HOSTNAME").stdout == "from myapp-pod\n"
    assert running.kubectl("exec", "myapp-pod", "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert "unchanged" in running.kubectl("apply", "-f", str(manifest)).stdout
    running.kubectl("delete", "-f", str(manifest), "--timeout=45s")
    assert "NotFound" in running.kubectl("get", "pod", "myapp-pod", check=False).stderr


def test_a_job_completes_and_takes_its_pods_along(running, tmp_path: Path):
    manifest = tmp_path / "job.yaml"
    manifest.write_text(JOB)
    running.kubectl("apply", "-f", str(manifest))
    running.kubectl("wait", "--for=condition=Complete", "job/count", "--timeout=30s")
    assert "3/3" in running.kubectl("get", "job", "count").stdout
    assert "one of three" in running.kubectl("logs", "job/count").stdout
    running.kubectl("delete", "job", "count")
    wait_for(
        lambda: "No resources" in running.kubectl("get", "pods", "-l", "job-name=count").stderr, "the job's pods to go"
    )


def test_an_unknown_image_says_which_line_to_add(running):
    running.kubectl("run", "mystery", "--image=example.com/nobody/knows:1.0", "--restart=Never")
    try:
        events = wait_for(
            lambda: (text := running.kubectl("describe", "pod", "mystery").stdout) and "images.yaml" in text and text,
            "an event that names the image map",
        )
        assert "example.com/nobody/knows:1.0" in events
        assert "ImagePull" in running.kubectl("get", "pod", "mystery").stdout
    finally:
        running.kubectl("delete", "pod", "mystery", "--now")


def test_logs_follow_until_the_end(running):
    script = "for i in 1 2 3; do echo line $i; sleep 0.2; done"
    running.kubectl("run", "talker", "--image=busybox", "--restart=Never", "--command", "--", "sh", "-c", script)
    wait_for(lambda: running.kubectl("logs", "talker", check=False).returncode == 0, "the first line")
    assert running.kubectl("logs", "-f", "talker").stdout == "line 1\nline 2\nline 3\n"
    running.kubectl("delete", "pod", "talker", "--now")
