"""The built-in kinds that only these controllers name."""

from headwater.kube.meta.resources import Resource

DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments")
REPLICA_SETS = Resource("apps", "v1", "ReplicaSet", "replicasets")
STATEFUL_SETS = Resource("apps", "v1", "StatefulSet", "statefulsets")
DAEMON_SETS = Resource("apps", "v1", "DaemonSet", "daemonsets")
CONTROLLER_REVISIONS = Resource("apps", "v1", "ControllerRevision", "controllerrevisions")
CRON_JOBS = Resource("batch", "v1", "CronJob", "cronjobs")
CLAIMS = Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
ENDPOINTS = Resource("", "v1", "Endpoints", "endpoints")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
DISRUPTION_BUDGETS = Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
