"""The clients of the field, unchanged, each by a story of what its users do with it."""

from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("package", "story"),
    [
        ("kubernetes", "story_kubernetes.py"),
        ("kubernetes", "story_kubernetes_streams.py"),
        ("kubernetes", "story_kubernetes_leader.py"),
        ("kubernetes_asyncio", "story_kubernetes_asyncio.py"),
        ("kr8s", "story_kr8s.py"),
        ("lightkube", "story_lightkube.py"),
        ("pykube-ng", "story_pykube.py"),
    ],
)
async def test_client(tell: Any, package: str, story: str) -> None:
    assert (await tell(package, story)).endswith("done\n")


@pytest.mark.parametrize("peering", ["standalone", "peered"])
async def test_a_kopf_operator(tell: Any, peering: str) -> None:
    assert (await tell("kopf", "story_kopf.py", peering)).endswith("done\n")
