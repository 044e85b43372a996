"""The scheduler: which node a pod runs on."""

from headwater.cluster.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
