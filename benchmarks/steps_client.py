"""Runs in the SDK's environment: the same pipelines through Headwater and through ``kfp.local``, timed in one run.

The peer is ``kfp.local``'s SubprocessRunner without a virtual environment, the fastest way that the SDK itself has:
it runs a step as a child process, one after the other, with no isolation, no record and no cache.
"""

import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

from kfp import Client, dsl, local  # noqa: E402

IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}"
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3


@dsl.component(base_image=IMAGE)
def step(number: int) -> int:
    """Do nothing, and say so."""
    return number + 1


@dsl.pipeline(name="chain-of-10")
def chain(number: int = 0):
    """Ten steps, each after the other."""
    last = step(number=number).set_caching_options(False)
    for _ in range(9):
        last = step(number=last.output).set_caching_options(False)


@dsl.pipeline(name="loop-of-20")
def loop():
    """Twenty steps that need nothing of one another."""
    with dsl.ParallelFor(list(range(20))) as item:
        step(number=item).set_caching_options(False)


def headwater_seconds(client: Client, pipeline) -> float:
    """Return how long a run takes, from the call that submits it to the answer that it has succeeded."""
    started = time.perf_counter()
    run = client.create_run_from_pipeline_func(pipeline, arguments={})
    while True:
        state = client.get_run(run.run_id).state
        if state in ("SUCCEEDED", "FAILED"):
            break
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    assert state == "SUCCEEDED", state
    return seconds


def local_seconds(pipeline) -> float:
    """Return how long the SDK's own local runner takes."""
    with tempfile.TemporaryDirectory() as root:
        local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root)
        started = time.perf_counter()
        pipeline()
        return time.perf_counter() - started


def main() -> None:
    """Alternate between the two and print the seconds as JSON."""
    with contextlib.redirect_stdout(io.StringIO()):
        client = Client(host=os.environ["KF_PIPELINES_ENDPOINT"], existing_token=os.environ["HEADWATER_TOKEN"])
        seconds = {}
        for pipeline in (chain, loop):
            headwater_seconds(client, pipeline)
            ours, theirs = [], []
            for _ in range(ROUNDS):
                ours.append(headwater_seconds(client, pipeline))
                theirs.append(local_seconds(pipeline))
            seconds[pipeline.name] = {"headwater": ours, "kfp.local": theirs}
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
