"""A pipeline of two steps: the second greets whom the first has found."""

import os

from kfp import Client, dsl


@dsl.component
def find(names: list[str]) -> str:
    """Return the longest name."""
    return max(names, key=len)


@dsl.component
def greet(name: str, greeting: str) -> str:
    """Say it."""
    print(f"{greeting}, {name}!")
    return f"{greeting}, {name}!"


@dsl.pipeline
def hello(names: list[str] = ["Ann", "Beatrice"], greeting: str = "Hello"):  # noqa: B006
    """Find somebody and greet them."""
    greet(name=find(names=names).output, greeting=greeting)


if __name__ == "__main__":
    client = Client(existing_token=os.environ["HEADWATER_TOKEN"])
    run = client.create_run_from_pipeline_func(hello, arguments={"greeting": "Good morning"})
    state = client.wait_for_run_completion(run.run_id, timeout=120).state
    print(state)
    raise SystemExit(state != "SUCCEEDED")
