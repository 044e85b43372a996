"""The controllers of the embedded cluster: what makes built-in kinds do something.

They know the API only through a ``Client`` and informers, and could run outside the server's process.
"""

from headwater.cluster.controllers.cronjob.reconciler import cron_job_controller
from headwater.cluster.controllers.daemonset import daemon_set_controller
from headwater.cluster.controllers.deployment.reconciler import deployment_controller
from headwater.cluster.controllers.disruption import disruption_controller
from headwater.cluster.controllers.endpoints import endpoints_controller
from headwater.cluster.controllers.garbage import garbage_controller
from headwater.cluster.controllers.graph import OwnerGraph
from headwater.cluster.controllers.job.reconciler import job_controller
from headwater.cluster.controllers.kinds import Kinds
from headwater.cluster.controllers.namespace import namespace_controller
from headwater.cluster.controllers.podgc import pod_collector
from headwater.cluster.controllers.provisions import provision_controllers
from headwater.cluster.controllers.quota import quota_controller
from headwater.cluster.controllers.replicaset import replica_set_controller
from headwater.cluster.controllers.statefulset.reconciler import stateful_set_controller
from headwater.kube.client import Client
from headwater.kube.controller import Controller, EventRecorder, Informers
from headwater.kube.meta.time import Clock

__all__ = ["Kinds", "build"]


def build(
    client: Client, informers: Informers, clock: Clock, recorder: EventRecorder, ca_pem: str, *, kinds: Kinds
) -> list[Controller]:
    """Return every controller of the embedded cluster, for a ``Manager`` to run.

    ``ca_pem`` is the certificate of the authority that signed the API server's. ``kinds`` answers every stored
    kind that is served at the moment; the garbage collector and the namespace controller look after all of them.
    """
    graph = OwnerGraph(informers, kinds)
    return [
        namespace_controller(client, informers, graph, clock),
        *provision_controllers(client, informers, ca_pem),
        job_controller(client, informers, recorder.named("job-controller"), clock),
        cron_job_controller(client, informers, recorder.named("cronjob-controller"), clock),
        replica_set_controller(client, informers, recorder.named("replicaset-controller"), clock),
        deployment_controller(client, informers, recorder.named("deployment-controller"), clock),
        stateful_set_controller(client, informers, recorder.named("statefulset-controller"), clock),
        daemon_set_controller(client, informers, recorder.named("daemonset-controller"), clock),
        endpoints_controller(client, informers),
        disruption_controller(client, informers, clock),
        garbage_controller(client, graph, recorder.named("garbage-collector-controller")),
        pod_collector(client, informers, clock),
        quota_controller(client, informers, graph, clock),
    ]
