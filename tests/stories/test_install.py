"""The default install stays small and free of what belongs to users' environments."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_MEGABYTES = 150
MOST_DISTRIBUTIONS = 45
FOREIGN = {"kfp", "kubernetes", "torch", "tensorflow", "scikit-learn", "numpy", "pandas"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_default_install_is_small(tmp_path: Path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = tmp_path / "venv" / "lib"
    before = set(_distributions(python))
    base = _megabytes(site)
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--constraint",
        ROOT / "requirements.lock",
        ROOT,
    ]
    subprocess.run(command, check=True)
    installed = set(_distributions(python)) - before
    assert len(installed) <= MOST_DISTRIBUTIONS, sorted(installed)
    assert not installed & FOREIGN
    assert _megabytes(tmp_path / "venv") - base < MOST_MEGABYTES


def _distributions(python: Path) -> list[str]:
    code = "import importlib.metadata as m; print('\\n'.join(d.metadata['Name'].lower() for d in m.distributions()))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def _megabytes(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
