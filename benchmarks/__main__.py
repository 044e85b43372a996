"""Run every benchmark once: ``make bench``, or ``python -m benchmarks steps``."""

import sys

from benchmarks import api, start, steps
from benchmarks.target import platform

ROUNDS = 5


def main(chosen: list[str]) -> None:
    """Run the chosen benchmarks, or all."""
    parts = {
        "start": lambda target: start.measure(target, ROUNDS),
        "api": api.measure,
        "steps": lambda target: steps.measure(target, ROUNDS),
    }
    unknown = [name for name in chosen if name not in parts]
    if unknown:
        sys.exit(f"There is no benchmark {unknown[0]!r}; there are {', '.join(parts)}.")
    with platform() as target:
        for name in chosen or parts:
            print(f"\n{name}\n" + "-" * len(name), flush=True)
            parts[name](target)


if __name__ == "__main__":
    main(sys.argv[1:])
