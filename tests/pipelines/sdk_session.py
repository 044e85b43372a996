"""What a user does with ``kfp.Client``: every method that the first cut serves. Run by the SDK's own interpreter.

Arguments: the API's URL, a compiled pipeline. The records of one finished run with the id in the third argument exist.
"""

import json
import sys
import warnings
import zipfile
from pathlib import Path

import kfp_server_api
from kfp import client as kfp_client
from kfp import dsl

warnings.simplefilter("ignore")
url, package, finished = sys.argv[1], Path(sys.argv[2]), sys.argv[3]


def refused(status, call, *arguments, **options):
    """Return the error's body of a call that must fail with this status."""
    try:
        call(*arguments, **options)
    except kfp_server_api.ApiException as error:
        failure = error
    else:
        raise AssertionError(f"{call.__name__} was not refused")
    assert failure.status == status, (failure.status, failure.body)
    return json.loads(failure.body)


client = kfp_client.Client(host=url, existing_token="ann")
assert client.get_kfp_healthz().multi_user is False

# Experiments
experiment = client.create_experiment("first", description="words")
assert client.create_experiment("first").experiment_id == experiment.experiment_id
assert client.get_experiment(experiment_name="first").description == "words"
assert client.get_experiment(experiment_id=experiment.experiment_id).storage_state == "AVAILABLE"
for name in ("b", "a", "c"):
    client.create_experiment(name)
page = client.list_experiments(page_size=2, sort_by="display_name desc")
assert [one.display_name for one in page.experiments] == ["first", "c"], page
page = client.list_experiments(page_size=2, sort_by="display_name desc", page_token=page.next_page_token)
assert page.experiments[0].display_name == "b", page
client.archive_experiment(experiment.experiment_id)
assert client.get_experiment(experiment_id=experiment.experiment_id).storage_state == "ARCHIVED"
client.unarchive_experiment(experiment.experiment_id)
client.delete_experiment(client.get_experiment(experiment_name="c").experiment_id)
remaining = client.list_experiments(page_size=100).experiments
assert "c" not in [one.display_name for one in remaining]
assert refused(404, client.get_experiment, experiment_id="nowhere")["code"] == 5

# Pipelines and versions
pipeline = client.upload_pipeline(str(package), "uploaded", description="a pipeline")
assert pipeline.display_name == "uploaded"
assert client.get_pipeline(pipeline.pipeline_id).description == "a pipeline"
assert client.get_pipeline_id("uploaded") == pipeline.pipeline_id
assert client.get_pipeline_id("nothing") is None
body = refused(409, client.upload_pipeline, str(package), "uploaded")
assert "exists already" in body["error_message"], body
archive = package.with_suffix(".zip")
with zipfile.ZipFile(archive, "w") as zipped:
    zipped.write(package, "pipeline.yaml")
version = client.upload_pipeline_version(str(archive), "v2", pipeline_id=pipeline.pipeline_id, description="zipped")
by_name = client.upload_pipeline_version(str(package), "v3", pipeline_name="uploaded")
assert by_name.pipeline_id == version.pipeline_id == pipeline.pipeline_id
assert "root" in version.pipeline_spec
found = client.list_pipeline_versions(pipeline.pipeline_id, sort_by="created_at desc").pipeline_versions
assert [one.display_name for one in found] == ["v3", "v2", "uploaded"], found
read = client.get_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
assert read.description == "zipped"
assert read.created_at.tzinfo is not None
client.delete_pipeline_version(pipeline.pipeline_id, by_name.pipeline_version_id)
assert client.list_pipelines(namespace="team-a").total_size == 1


@dsl.component
def shout(text: str) -> str:
    return text.upper()


@dsl.pipeline(name="made-here")
def made_here(text: str = "hello"):
    shout(text=text)


from_function = client.upload_pipeline_from_pipeline_func(made_here)
assert from_function.display_name == "made-here"
client.upload_pipeline_version_from_pipeline_func(made_here, "again", pipeline_name="made-here")
assert refused(400, client.delete_pipeline, from_function.pipeline_id)["code"] == 9
client.pipelines.pipeline_service_delete_pipeline(from_function.pipeline_id, cascade=True)

# Runs
run = client.run_pipeline(
    experiment.experiment_id, "by reference", pipeline_id=pipeline.pipeline_id, version_id=version.pipeline_version_id
)
assert run.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
assert run.state == "PENDING"
made = client.create_run_from_pipeline_func(
    made_here, arguments={"text": "hi"}, run_name="from a function", enable_caching=False
)
got = client.get_run(made.run_id)
assert got.runtime_config.parameters == {"text": "hi"}
assert got.pipeline_spec["root"]["dag"]["tasks"]["shout"]["cachingOptions"] == {}, got.pipeline_spec["root"]
assert client.get_experiment(experiment_id=got.experiment_id).display_name == "Default"
packaged = client.create_run_from_pipeline_package(str(package), experiment_name="first", run_name="from a file")
runs = client.list_runs(experiment_id=experiment.experiment_id, sort_by="created_at desc")
assert [one.display_name for one in runs.runs] == ["from a file", "by reference"], runs
named = json.dumps({"predicates": [{"operation": 9, "key": "display_name", "stringValue": "from"}]})
assert client.list_runs(filter=named, page_size=1).total_size == 2
listed = client.list_runs(namespace="team-a", page_size=100).runs
assert {made.run_id, run.run_id, finished} <= {one.run_id for one in listed}
body = refused(400, client.create_run_from_pipeline_func, made_here, arguments={"tempo": 1})
assert "tempo" in body["message"], body

client.archive_run(run.run_id)
assert client.get_run(run.run_id).storage_state == "ARCHIVED"
client.unarchive_run(run.run_id)
client.terminate_run(run.run_id)
stopped = client.get_run(run.run_id)
assert stopped.state == "CANCELING"
assert [one.state for one in stopped.state_history] == ["PENDING", "CANCELING"]
client.delete_run(made.run_id)
assert "no run" in refused(404, client.get_run, made.run_id)["message"]

over = client.wait_for_run_completion(finished, timeout=30)
assert over.state == "FAILED"
assert over.error.message == "train failed"
tasks = {task.display_name: task for task in over.run_details.task_details}
assert tasks["train"].state == "FAILED"
assert tasks["load"].state == "SKIPPED"
assert tasks["train"].parent_task_id == tasks["root"].task_id
artifact_id = tasks["load"].outputs["data"].artifact_ids[0]
assert tasks["train"].inputs["data"].artifact_ids == [artifact_id]
assert refused(400, client.terminate_run, finished)["code"] == 9
retry = client.runs.run_service_retry_run
assert "not built yet" in refused(501, retry, finished)["message"]

# What is not built
assert client.list_recurring_runs().recurring_runs is None
nightly = {"experiment_id": experiment.experiment_id, "job_name": "nightly", "cron_expression": "0 0 9 ? * 2-6"}
body = refused(501, client.create_recurring_run, pipeline_package_path=str(package), **nightly)
assert "not built yet" in body["message"]

# Another user
other = kfp_client.Client(host=url, existing_token="bob")
assert other.list_runs().runs is None
assert "bob" in refused(403, other.get_run, finished)["message"]
assert refused(403, other.list_runs, namespace="team-a")["code"] == 7
assert refused(403, other.upload_pipeline, str(package), "x", namespace="team-a")["error_message"]
client.delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
print("done")
