"""Submit the demo's pipeline and follow it; runs in the environment that has the ``kfp`` SDK.

Everything here goes through ``kfp.Client``, as a user's own script would. The gateway's address and a token come in
the environment (``KF_PIPELINES_ENDPOINT`` is the SDK's own name; ``HEADWATER_TOKEN``), so that no secret is in the
process list.
"""

import contextlib
import io
import logging
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import pipeline  # noqa: E402
import requests  # noqa: E402
from kfp import Client  # noqa: E402

EXPERIMENT = "Demo"
POLL_SECONDS = 0.2
END_STATES = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"}


def steps_of(run) -> list:
    """Return the details of the steps that run a container, oldest first."""
    details = (run.run_details and run.run_details.task_details) or []
    return sorted((task for task in details if task.pod_name or task.state == "SKIPPED"), key=lambda t: t.create_time)


def follow(client: Client, run_id: str):
    """Print each step as it ends, until the run has ended; return the run."""
    printed: set[str] = set()
    started = time.monotonic()
    while True:
        run = client.get_run(run_id)
        for task in steps_of(run):
            if task.task_id in printed or task.state not in END_STATES:
                continue
            printed.add(task.task_id)
            print(f"  {time.monotonic() - started:6.1f} s  {task.display_name:<14} {outcome_of(task)}", flush=True)
        if run.state in END_STATES:
            return run
        time.sleep(POLL_SECONDS)


def is_cached(task) -> bool:
    """Tell a step that was taken from cache from one that was not run: the API says SKIPPED of both."""
    return task.state == "SKIPPED" and bool(task.outputs)


def outcome_of(task) -> str:
    """Say in words how a step ended."""
    if is_cached(task):
        return "taken from cache"
    if task.state == "SKIPPED":
        return "not run, since an earlier step failed"
    if task.state == "FAILED":
        return f"failed: {task.error.message if task.error else 'see its log'}"
    return "done"


def quietly() -> contextlib.AbstractContextManager:
    """Keep the links that the SDK prints for each thing it makes; the demo prints the ones that matter at its end."""
    return contextlib.redirect_stdout(io.StringIO())


def run_once(client: Client, experiment_id: str, pipeline_id: str, version_id: str, name: str):
    """Start a run, follow it to its end, and return it with the seconds it took."""
    started = time.monotonic()
    with quietly():
        run = client.run_pipeline(experiment_id, name, pipeline_id=pipeline_id, version_id=version_id)
    print(f"\n{name} ({run.run_id})", flush=True)
    ended = follow(client, run.run_id)
    return ended, time.monotonic() - started


def upload(client: Client) -> tuple[str, str]:
    """Upload the pipeline, or a new version of it when it is there; return the ids of both."""
    from kfp import compiler

    package = os.path.join(os.environ["HEADWATER_DEMO_DIRECTORY"], "breast-cancer.yaml")
    compiler.Compiler().compile(pipeline.breast_cancer, package)
    pipeline_id = client.get_pipeline_id("breast-cancer")
    if pipeline_id is None:
        pipeline_id = client.upload_pipeline(package, "breast-cancer").pipeline_id
        version = client.list_pipeline_versions(pipeline_id).pipeline_versions[0]
    else:
        name = time.strftime("%Y-%m-%d %H:%M:%S")
        version = client.upload_pipeline_version(package, name, pipeline_id=pipeline_id)
    return pipeline_id, version.pipeline_version_id


def print_results(host: str, run_id: str) -> None:
    """Print what the models reached and which one was kept, as the run's record has it."""
    answer = requests.get(
        f"{host}/apis/v2beta1/runs/{run_id}/tasks",
        params={"page_size": 100},
        headers={"Authorization": f"Bearer {os.environ['HEADWATER_TOKEN']}"},
        timeout=30,
    )
    answer.raise_for_status()
    rows = []
    for task in answer.json()["tasks"]:
        if task["name"] == "evaluate":
            by_key = {
                part: artifact_metadata(task, part, key) for part, key in (("inputs", "model"), ("outputs", "metrics"))
            }
            rows.append((by_key["inputs"]["algorithm"], by_key["outputs"]))
    rows.sort(key=lambda row: -row[1]["accuracy"])
    print(f"{'model':<24}{'accuracy':>10}{'f1':>10}{'ROC AUC':>10}")
    for place, (algorithm, values) in enumerate(rows):
        best = "   best, kept" if place == 0 else ""
        print(f"{algorithm:<24}{values['accuracy']:>10.4f}{values['f1']:>10.4f}{values['roc_auc']:>10.4f}{best}")


def artifact_metadata(task: dict, part: str, key: str) -> dict:
    """Return the metadata of a task's first artifact of a key; ``part`` is ``inputs`` or ``outputs``."""
    return next(entry["artifacts"][0] for entry in task[part]["artifacts"] if entry["artifact_key"] == key)["metadata"]


def main() -> int:
    """Run the pipeline twice and say what came of it."""
    host = os.environ["KF_PIPELINES_ENDPOINT"]
    client = Client(host=host, existing_token=os.environ["HEADWATER_TOKEN"])
    with quietly():
        experiment = client.create_experiment(EXPERIMENT)
        pipeline_id, version_id = upload(client)

    first, first_seconds = run_once(client, experiment.experiment_id, pipeline_id, version_id, "breast-cancer")
    if first.state != "SUCCEEDED":
        print(f"\nThe run ended {first.state}: {first.error.message if first.error else ''}", file=sys.stderr)
        print(f"See {host}/#/runs/details/{first.run_id}", file=sys.stderr)
        return 1
    again, again_seconds = run_once(client, experiment.experiment_id, pipeline_id, version_id, "breast-cancer, again")
    steps = steps_of(again)
    cached = sum(is_cached(task) for task in steps)

    print()
    print_results(host, first.run_id)
    print(f"\nThe first run took {first_seconds:.1f} s, the second {again_seconds:.1f} s:", end=" ")
    print(f"{cached} of its {len(steps)} steps were taken from cache.")
    print("\nWhere to look")
    print(f"  The run      {host}/#/runs/details/{first.run_id}")
    print(f"  The second   {host}/#/runs/details/{again.run_id}")
    return 0 if again.state == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
