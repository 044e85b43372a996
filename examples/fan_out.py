"""A parallel loop whose results are collected, and a condition on what came out."""

import os

from kfp import Client, dsl


@dsl.component
def square(number: int) -> int:
    """Square a number."""
    return number * number


@dsl.component
def total(numbers: list[int]) -> int:
    """Add them up."""
    return sum(numbers)


@dsl.component
def report(value: int, verdict: str, page: dsl.Output[dsl.Markdown]):
    """Write a page for the run."""
    with open(page.path, "w") as file:
        file.write(f"# {value}\n\nThat is {verdict}.\n")


@dsl.pipeline
def fan_out(threshold: int = 20):
    """Square four numbers side by side, add them up, and say whether that is much."""
    with dsl.ParallelFor([1, 2, 3, 4]) as number:
        squared = square(number=number)
    added = total(numbers=dsl.Collected(squared.output))
    with dsl.If(added.output > threshold):
        report(value=added.output, verdict="much")
    with dsl.Else():
        report(value=added.output, verdict="little")


if __name__ == "__main__":
    client = Client(existing_token=os.environ["HEADWATER_TOKEN"])
    run = client.create_run_from_pipeline_func(fan_out, arguments={"threshold": 25})
    state = client.wait_for_run_completion(run.run_id, timeout=120).state
    print(state)
    raise SystemExit(state != "SUCCEEDED")
