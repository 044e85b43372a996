"""The reconcile loop that every controller of the platform runs in, embedded or out of process.

Five nouns explain it: an ``Informer`` watches a kind, a ``Watch`` maps a change to ``Request``s, a ``WorkQueue``
holds them, a ``Controller`` binds them to a ``Reconciler``, and a ``Manager`` runs controllers.
"""

from headwater.kube.controller.events import EventRecorder
from headwater.kube.controller.informer import Informer, Informers
from headwater.kube.controller.leader import LeaderElection, LeadershipLostError
from headwater.kube.controller.manager import Manager
from headwater.kube.controller.queue import QueueClosedError, WorkQueue
from headwater.kube.controller.reconcile import Controller, Enqueue, Reconciler, Request, Result, Source, Watch

__all__ = [
    "Controller",
    "Enqueue",
    "EventRecorder",
    "Informer",
    "Informers",
    "LeaderElection",
    "LeadershipLostError",
    "Manager",
    "QueueClosedError",
    "Reconciler",
    "Request",
    "Result",
    "Source",
    "Watch",
    "WorkQueue",
]
