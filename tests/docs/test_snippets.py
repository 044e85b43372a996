"""Every command and snippet of the README and the docs is run, so that they cannot lie for long.

The blocks of a page run in order, in one directory, against a running platform. ``sh`` and ``python`` blocks are run;
a ``yaml`` block whose first line is ``# file: NAME`` is written to that file. A block that is not to be run has a line
``<!-- not run: why -->`` before it. On a machine without a program of ``OPTIONAL`` the blocks that use it are left out,
and the page's test says so by being skipped after the others have run.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>.+?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
OPTIONAL = ("kubectl", "curl")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(match["language"], match["text"], text.count("\n", 0, match.start("language")) + 1)
        for match in FENCE.finditer(text)
        if not match["why"]
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=lambda page: page.name)
def test_the_snippets_of_a_page_run(page: Path, running, sdk: Path, tmp_path: Path):
    environment = {
        **{name: value for name, value in running.environment.items() if not name.startswith("PYTHON")},
        "HEADWATER_HOME": str(running.home),
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{running.environment['PATH']}",
    }
    left_out = []
    for block in blocks_of(page):
        where = f"{page.name}:{block.line}"
        if block.language in ("yaml", "python", "toml") and (name := re.match(r"# file: (\S+)\n", block.text)):
            (tmp_path / name[1]).write_text(block.text)
        if block.language == "sh":
            missing = [name for name in OPTIONAL if name in block.text.split() and shutil.which(name) is None]
            if missing:
                left_out.append(f"{where} needs {' and '.join(missing)}")
                continue
            command = ["bash", "-euo", "pipefail", "-c", block.text]
        elif block.language == "python":
            code = block.text.replace("http://127.0.0.1:8080", running.gateway_url)
            script = tmp_path / f"block_{block.line}.py"
            script.write_text(code.replace('existing_token="…"', f'existing_token="{running.token()}"'))
            command = [str(sdk), str(script)]
        else:
            continue
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{where} exited {done.returncode}:\n{done.stdout}{done.stderr}"
    if left_out:
        pytest.skip(f"the rest of the page runs; {', '.join(left_out)}, not on this machine")
