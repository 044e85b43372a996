"""The official Python client's streams: exec by v4 channels, with input, errors and exit codes."""
# ruff: noqa: PT017 - there is no pytest in the client's environment

import os
import socket
import threading

from kubernetes import client, config
from kubernetes.stream import portforward, stream

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

# Port-forward, as the client's own documentation shows it.
listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]


def answer():
    while True:
        taken, _ = listening.accept()
        taken.sendall(b"you said " + taken.recv(100))
        taken.close()


threading.Thread(target=answer, daemon=True).start()
forward = portforward(core.connect_get_namespaced_pod_portforward, "p", "default", ports=str(port))
connection = forward.socket(port)
connection.setblocking(True)
connection.sendall(b"hello")
assert connection.recv(100) == b"you said hello"
connection.close()
assert forward.error(port) is None
print("done", flush=True)
os._exit(0)  # the client's own threads may outlive an orderly exit
