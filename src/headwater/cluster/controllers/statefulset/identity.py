"""What a StatefulSet's pod number n is called, and the claims that go with it."""

import copy

from headwater.cluster.controllers.workloads.history import HASH_LABEL
from headwater.cluster.controllers.workloads.pods import pod_of
from headwater.kube.meta.objects import Object, name_of, namespace_of
from headwater.kube.meta.owners import owner_reference


def pod_name(stateful_set: Object, number: int) -> str:
    """Return the name of a pod."""
    return f"{name_of(stateful_set)}-{number}"


def numbered_pod(stateful_set: Object, template: Object, revision: str, number: int) -> Object:
    """Return a pod with its name, host name, labels and volumes."""
    name = pod_name(stateful_set, number)
    identity = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(number),
        HASH_LABEL: revision,
    }
    pod = pod_of(stateful_set, template, labels=identity)
    pod["metadata"]["name"] = name
    spec = pod["spec"]
    spec["hostname"] = name
    if stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = stateful_set["spec"]["serviceName"]
    claimed = {
        name_of(claim): {
            "name": name_of(claim),
            "persistentVolumeClaim": {"claimName": claim_name(stateful_set, claim, number)},
        }
        for claim in stateful_set["spec"].get("volumeClaimTemplates") or ()
    }
    if claimed:
        others = [volume for volume in spec.get("volumes") or () if volume.get("name") not in claimed]
        spec["volumes"] = [*others, *claimed.values()]
    return pod


def claim_name(stateful_set: Object, claim: Object, number: int) -> str:
    """Return the name of a pod's claim."""
    return f"{name_of(claim)}-{name_of(stateful_set)}-{number}"


def claim_of(stateful_set: Object, template: Object, number: int) -> Object:
    """Return a pod's claim."""
    claim = copy.deepcopy(template)
    labels = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    before = claim.get("metadata") or {}
    metadata: Object = {
        "name": claim_name(stateful_set, template, number),
        "namespace": namespace_of(stateful_set),
        "labels": {**(before.get("labels") or {}), **labels},
    }
    if before.get("annotations"):
        metadata["annotations"] = before["annotations"]
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim["spec"]}


def claim_owners(stateful_set: Object, pod: Object | None, *, condemned: bool) -> list[Object]:
    """Return the owner references of a claim that the retention policy asks for."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    if condemned and policy.get("whenScaled") == "Delete":
        return [] if pod is None else [owner_reference(pod, controller=False, block=False)]
    if policy.get("whenDeleted") == "Delete":
        return [owner_reference(stateful_set, controller=False, block=False)]
    return []
