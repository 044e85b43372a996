"""The official Python client's leader election, on a lease."""

import os
import threading
import uuid

from kubernetes import client, config
from kubernetes.leaderelection import electionconfig, leaderelection

config.load_kube_config()
led = threading.Event()
try:
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock as Lock
except ImportError:
    from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock as Lock


def compete():
    lock = Lock("elected", "default", uuid.uuid4().hex)
    election = electionconfig.Config(
        lock, lease_duration=4, renew_deadline=3, retry_period=1, onstarted_leading=led.set, onstopped_leading=None
    )
    leaderelection.LeaderElection(election).run()


threading.Thread(target=compete, daemon=True).start()
assert led.wait(20)
if Lock.__name__ == "LeaseLock":
    assert client.CoordinationV1Api().read_namespaced_lease("elected", "default").spec.holder_identity
print("done", flush=True)
os._exit(0)  # the competing thread never ends, and would disturb an orderly exit
