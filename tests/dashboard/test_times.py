"""Times and durations as a person reads them; the page's script says the same."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headwater.dashboard.times import ago, duration_element, exact, lasted, time_element

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STATIC = Path(__file__).parents[2] / "src/headwater/dashboard/static"
AGES = [0, 4.9, 5, 59.9, 60, 3599, 3600, 86399, 86400, 10 * 86400, -30, -7200]
LENGTHS = [0, -1, 0.126, 0.999, 1, 59.9, 59.96, 65, 3599, 3600, 3725, 86399, 86400, 273_600]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3, "just now"),
        (-3, "just now"),
        (12, "12 s ago"),
        (300, "5 min ago"),
        (10_800, "3 h ago"),
        (180_000, "2 d ago"),
        (-90, "in 1 min"),
    ],
)
def test_ago(seconds: float, said: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.126, "0.13 s"),
        (4.21, "4.2 s"),
        (65, "1 min 05 s"),
        (7800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
        (-1, "0.00 s"),
    ],
)
def test_lasted(seconds: float, said: str) -> None:
    assert lasted(seconds) == said


def test_elements_carry_the_exact_time_and_escape() -> None:
    element = time_element(NOW - timedelta(minutes=5), NOW)
    assert 'title="2026-05-01 11:55:00 UTC"' in element
    assert "5 min ago" in element
    assert "–" in time_element(None, NOW)
    assert exact(NOW) == "2026-05-01 12:00:00 UTC"
    running = duration_element(NOW - timedelta(seconds=7), None, NOW)
    assert 'data-since="2026-05-01T11:59:53.000000Z"' in running
    assert "7.0 s" in running
    assert "data-since" not in duration_element(NOW - timedelta(seconds=7), NOW, NOW)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_says_the_same(tmp_path: Path) -> None:
    script = tmp_path / "say.mjs"
    script.write_text(
        f"import {{ ago, lasted }} from {json.dumps(str(STATIC / 'times.js'))};\n"
        f"console.log(JSON.stringify([{AGES}.map(ago), {LENGTHS}.map(lasted)]));\n"
    )
    done = subprocess.run(["node", str(script)], capture_output=True, text=True, check=True)
    ages, lengths = json.loads(done.stdout)
    assert ages == [ago(NOW - timedelta(seconds=one), NOW) for one in AGES]
    assert lengths == [lasted(one) for one in LENGTHS]
