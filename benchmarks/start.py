"""How long ``headwater up`` takes, and what the platform weighs when nothing happens."""

import subprocess
import time
from statistics import median

from benchmarks.target import HEADWATER, Platform
from headwater.cli.daemon import resident_bytes

SETTLE_SECONDS = 3.0


def measure(target: Platform, rounds: int) -> None:
    """Stop and start the platform a few times; print the median and the idle memory."""
    home = str(target.home.path)
    samples = []
    for _ in range(rounds):
        subprocess.run([HEADWATER, "down", "--home", home], check=True, stdout=subprocess.DEVNULL)
        started = time.perf_counter()
        subprocess.run([HEADWATER, "up", "--home", home], check=True, stdout=subprocess.DEVNULL)
        samples.append(time.perf_counter() - started)
    time.sleep(SETTLE_SECONDS)
    state = target.home.running()
    memory = resident_bytes(state.pid) if state else None
    print(f"up: ready in {median(samples):.2f} s (median of {rounds}; the goal is 2 s)")
    print(f"idle: {(memory or 0) / 2**20:.0f} MiB resident (the goal is 200 MB)")
