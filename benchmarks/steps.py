"""What a step costs: no-op components through Headwater and through ``kfp.local``."""

import json
from pathlib import Path
from statistics import median

from benchmarks.target import Platform


def measure(target: Platform, rounds: int) -> None:
    """Print medians and ratios."""
    answer = json.loads(target.sdk(Path(__file__).with_name("steps_client.py"), str(rounds)))
    print(f"{'pipeline':<14}{'headwater':>12}{'kfp.local':>12}{'ratio':>9}   (medians of {rounds}, seconds)")
    for name, seconds in answer.items():
        ours, theirs = median(seconds["headwater"]), median(seconds["kfp.local"])
        print(f"{name:<14}{ours:>12.2f}{theirs:>12.2f}{theirs / ours:>8.1f}x")
