"""The build step that puts the schemas in place."""

import gzip
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "hatch_build.py"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("hatch_build", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.locate() is None:
        pytest.skip("kubernetes-validate is not installed, it is needed to build only")
    return module


def test_the_result_is_gzip_of_json_lines_and_the_same_each_time(build) -> None:
    content = build.extract()
    lines = gzip.decompress(content).splitlines()
    index = json.loads(lines[0])
    assert index["kubernetes"] == build.KUBERNETES_VERSION
    assert len(lines) == 1 + len(index["blocks"])
    assert content == build.extract()


def test_what_is_shipped_is_what_the_script_makes(build) -> None:
    assert (SCRIPT.parent / build.TARGET).read_bytes() == build.extract()


def test_a_missing_source_is_said() -> None:
    alone = [sys.executable, "-I", "-S", SCRIPT]  # without site-packages, hence without kubernetes-validate
    done = subprocess.run(alone, capture_output=True, text=True)
    assert done.returncode == 1
    assert "install kubernetes-validate" in done.stderr
    assert "Traceback" not in done.stderr
