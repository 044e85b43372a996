"""A step that is a command of this machine, with a file that it writes and another step reads."""

import os

from kfp import Client, dsl


@dsl.container_component
def count_words(text: str, words: dsl.OutputPath(int), listing: dsl.Output[dsl.Artifact]):
    """Count the words of a text with the tools of the shell."""
    script = 'mkdir -p "$(dirname "$1")" "$(dirname "$2")"; echo "$0" | tr " " "\\n" >"$2"; wc -l <"$2" >"$1"'
    return dsl.ContainerSpec(image="busybox", command=["sh", "-c", script], args=[text, words, listing.path])


@dsl.component
def check(words: int, listing: dsl.Input[dsl.Artifact]):
    """Compare the two outputs of the command."""
    with open(listing.path) as file:
        assert len(file.readlines()) == words, words


@dsl.pipeline
def container(text: str = "a river begins at its headwater"):
    """Count with the shell, check with Python."""
    counted = count_words(text=text)
    check(words=counted.outputs["words"], listing=counted.outputs["listing"])


if __name__ == "__main__":
    client = Client(existing_token=os.environ["HEADWATER_TOKEN"])
    run = client.create_run_from_pipeline_func(container, arguments={})
    state = client.wait_for_run_completion(run.run_id, timeout=120).state
    print(state)
    raise SystemExit(state != "SUCCEEDED")
