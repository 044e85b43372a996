"""The lines of Python and shell that do what a page shows, and a pipeline as YAML."""

from collections.abc import Mapping
from typing import Any

import yaml

from headwater.pipelines.records.models import PipelineRow, RunRow


def spec_as_yaml(spec: Mapping[str, Any] | None, platform: Mapping[str, Any] | None) -> str:
    """Write a pipeline as ``kfp`` compiles it: one document, or two with the platform's."""
    documents = [dict(document) for document in (spec, platform) if document]
    dumper: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump_all(documents, Dumper=dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def run_snippets(run: RunRow, host: str) -> list[tuple[str, str]]:
    """Return how to read this run, and how to start it again, from Python and from a shell."""
    again = [f'    "{run.display_name}, again",', f"    params={dict(run.parameters)!r},"]
    if run.pipeline_version_id:
        again.insert(1, f'    pipeline_id="{run.pipeline_id}", version_id="{run.pipeline_version_id}",')
    else:
        again.insert(1, '    pipeline_package_path="pipeline.yaml",  # the YAML tab has it')
    python = [
        "from kfp import Client",
        "",
        f'client = Client(host="{host}", existing_token="…")  # `headwater token` prints one',
        f'run = client.get_run("{run.run_id}")',
        "print(run.state, run.error)",
        "",
        "again = client.run_pipeline(",
        f'    "{run.experiment_id}",',
        *again,
        ")",
        "client.wait_for_run_completion(again.run_id, timeout=3600)",
    ]
    shell = [
        f"kubectl get runs.pipelines.headwater.dev {run.run_id} -n {run.namespace} -o yaml",
        f"kubectl get pods -n {run.namespace}",
        f'curl -H "Authorization: Bearer $(headwater token)" {host}/apis/v2beta1/runs/{run.run_id}',
    ]
    return [("Python", "\n".join(python)), ("Shell", "\n".join(shell))]


def pipeline_snippets(pipeline: PipelineRow, version_id: str, host: str) -> list[tuple[str, str]]:
    """Return how to run a pipeline from Python."""
    python = [
        "from kfp import Client",
        "",
        f'client = Client(host="{host}", existing_token="…")  # `headwater token` prints one',
        'experiment = client.create_experiment("Default")',
        "run = client.run_pipeline(",
        f'    experiment.experiment_id, "{pipeline.display_name}",',
        f'    pipeline_id="{pipeline.pipeline_id}", version_id="{version_id}",',
        "    params={},",
        ")",
        "client.wait_for_run_completion(run.run_id, timeout=3600)",
    ]
    return [("Python", "\n".join(python))]


FIRST_PIPELINE = """from kfp import Client, dsl

@dsl.component(base_image="python:3.11")
def add(a: float, b: float) -> float:
    return a + b

@dsl.pipeline
def addition(a: float = 1.0, b: float = 2.0):
    first = add(a=a, b=b)
    add(a=first.output, b=10.0)

client = Client(host="{host}", existing_token="…")  # `headwater token` prints one
client.create_run_from_pipeline_func(addition, arguments={{"a": 3.0}})
"""
"""What an empty list teaches; ``{host}`` is this platform's address."""
