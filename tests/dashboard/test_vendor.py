"""The scripts that are carried are the ones that the manifest names, with their licences."""

import json
import re
from pathlib import Path

import pytest
from tools.vendor import MANIFEST, TARGET, TESTS, check, with_global_vega, without_source_map


@pytest.mark.parametrize("folder", [TARGET, TESTS])
def test_what_is_committed_is_what_is_named(folder: Path) -> None:
    assert check(folder) == []


def test_nothing_is_fetched_from_elsewhere_at_run_time() -> None:
    for file in TARGET.parent.glob("*.js"):
        assert not re.search(r"https?://", file.read_text()), file.name
    for file in TARGET.parent.glob("*.css"):
        assert "url(" not in file.read_text()
        assert "@import" not in file.read_text()


def test_licences_are_free() -> None:
    manifest = json.loads((TARGET / MANIFEST).read_text())
    assert {about["licence"] for about in manifest.values()} <= {"0BSD", "BSD-3-Clause", "MIT", "BSD-2-Clause"}


def test_changes_are_small_and_known() -> None:
    assert without_source_map("code;\n//# sourceMappingURL=x.map\n") == "code;\n"
    assert with_global_vega("import { a } from 'vega-util';\ncode") == "const { a } = globalThis.vega;\ncode"
