"""The official Python client's streams: exec by v4 channels, with input, errors and exit codes."""
# ruff: noqa: PT017 - there is no pytest in the client's environment

from kubernetes import client, config
from kubernetes.stream import stream

config.load_kube_config()
core = client.CoreV1Api()
core.create_namespaced_pod(
    "default", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "m", "image": "busybox"}]}}
)
core.patch_namespaced_pod_status("p", "default", {"status": {"phase": "Running"}})
connect = core.connect_get_namespaced_pod_exec
plain = {"stderr": True, "stdin": False, "stdout": True, "tty": False}
assert stream(connect, "p", "default", command=["echo", "hello"], **plain) == "hello\n"
open_one = stream(
    connect, "p", "default", command=["sh"], stderr=True, stdin=True, stdout=True, tty=False, _preload_content=False
)
open_one.write_stdin("echo out; echo err >&2; exit 3\n")
open_one.run_forever(timeout=10)
assert open_one.read_stdout() == "out\n"
assert open_one.read_stderr() == "err\n"
assert open_one.returncode == 3
open_one.close()
big = stream(connect, "p", "default", command=["head", "-c", "3000000", "/dev/zero"], **plain)
assert len(big) == 3_000_000
try:
    stream(connect, "none", "default", command=["true"], **plain)
except client.ApiException as error:
    assert "404" in str(error), error
print("done")
