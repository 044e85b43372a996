"""Workloads as kubectl's users see them, on a whole platform with real pods."""

import json
from pathlib import Path

SLEEPER = """
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: busybox, command: [sleep, "1000"]}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:""" + SLEEPER.replace("NAME", "web")
STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:""" + SLEEPER.replace("NAME", "db")
DAEMON_SET = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:""" + SLEEPER.replace("NAME", "agent")
INDEXED = """
apiVersion: batch/v1
kind: Job
metadata: {name: shards}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: busybox, command: [sh, -c, 'echo "$JOB_COMPLETION_INDEX at $HOSTNAME"']}]
"""
CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "0 0 1 1 *"
  timeZone: Europe/Berlin
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: main, image: busybox, command: ["true"]}]
"""


def apply(platform, tmp_path: Path, manifest: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(manifest)
    platform.kubectl("apply", "-f", str(path))


def test_a_deployment_is_rolled_out_undone_paused_and_scaled(running, tmp_path):
    apply(running, tmp_path, DEPLOYMENT)
    assert "successfully rolled out" in running.kubectl("rollout", "status", "deploy/web", "--timeout=60s").stdout
    running.kubectl("set", "env", "deploy/web", "COLOUR=blue")
    running.kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    history = running.kubectl("rollout", "history", "deploy/web").stdout
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    running.kubectl("rollout", "undo", "deploy/web")
    running.kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    deployment = json.loads(running.kubectl("get", "deploy", "web", "-o", "json").stdout)
    assert "env" not in deployment["spec"]["template"]["spec"]["containers"][0]
    assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    running.kubectl("rollout", "pause", "deploy/web")
    running.kubectl("scale", "deploy/web", "--replicas=1")
    running.kubectl("wait", "deploy/web", "--for=jsonpath={.status.replicas}=1", "--timeout=60s")
    described = running.kubectl("describe", "deploy", "web").stdout
    assert "ScalingReplicaSet" in described
    assert "DeploymentPaused" in described
    running.kubectl("delete", "deploy", "web", "--wait")
    running.kubectl("wait", "pod", "-l", "app=web", "--for=delete", "--timeout=60s")


def test_a_stateful_set_and_a_daemon_set(running, tmp_path):
    apply(running, tmp_path, STATEFUL_SET + "---" + DAEMON_SET)
    running.kubectl("rollout", "status", "sts/db", "--timeout=60s")
    running.kubectl("rollout", "status", "ds/agent", "--timeout=60s")
    assert running.kubectl("get", "pods", "-l", "app=db", "-o", "name").stdout.split() == ["pod/db-0", "pod/db-1"]
    running.kubectl("set", "env", "sts/db", "COLOUR=blue")
    running.kubectl("rollout", "status", "sts/db", "--timeout=60s")
    running.kubectl("rollout", "undo", "sts/db")
    running.kubectl("rollout", "status", "sts/db", "--timeout=60s")
    running.kubectl("delete", "sts/db", "ds/agent")


def test_an_indexed_job_and_a_cron_job_by_hand(running, tmp_path):
    apply(running, tmp_path, INDEXED + "---" + CRON_JOB)
    running.kubectl("wait", "job/shards", "--for=condition=Complete", "--timeout=60s")
    logs = running.kubectl("logs", "-l", "job-name=shards", "--tail=-1").stdout
    assert sorted(logs.splitlines()) == ["0 at shards-0", "1 at shards-1", "2 at shards-2"]
    running.kubectl("create", "job", "now", "--from=cronjob/tick")
    running.kubectl("wait", "job/now", "--for=condition=Complete", "--timeout=60s")
    assert "tick" in running.kubectl("get", "cronjob").stdout
    running.kubectl("delete", "job/shards", "job/now", "cronjob/tick", "--cascade=foreground")
