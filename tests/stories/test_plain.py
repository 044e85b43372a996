"""Where the system allows no sandboxes, everything works the same, and it is said what that means."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.timeout(240)
def test_a_pipeline_runs_on_the_plain_tier(platform_in, sdk: Path, tmp_path: Path):
    platform = platform_in(tmp_path)
    platform = dataclasses.replace(platform, environment={**platform.environment, "HEADWATER_ISOLATION": "plain"})
    try:
        assert "not isolated" in platform.up()
        assert platform.status()["isolation"] == "plain"
        for name in ("container.py", "fan_out.py"):
            done = subprocess.run(
                [sdk, EXAMPLES / name],
                env=platform.sdk_environment(),
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        platform.run("down", check=False)
    assert platform.processes() == []
