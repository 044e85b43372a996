"""What is shown of an artifact's content, and how it is kept in its box."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.artifacts.directory import DirectoryStore
from headwater.pipelines.pages.preview import READ, SANDBOX, look, preview_of


@pytest.mark.parametrize(
    ("data", "artifact_type", "kind"),
    [
        (b"", "system.Artifact", "empty"),
        (b"\x89PNG\r\n\x1a\n...", "system.Artifact", "image"),
        (b"\xff\xd8\xff\xe0", "system.Artifact", "image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "system.Artifact", "image"),
        (b"\x80\x04\x95\x00", "system.Model", "binary"),
        (b"<b>bold</b>", "system.HTML", "html"),
        (b"\n <!DOCTYPE html><p>", "system.Artifact", "html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "system.Artifact", "text"),
        (b"a,b\n1,2\n3,4\n", "system.Dataset", "table"),
        (b"a\tb\n1\t2\n", "system.Dataset", "table"),
        (b"a,b\n1,2,3\n", "system.Dataset", "text"),
        (b"one line", "system.Artifact", "text"),
        (b'{"a": [1, 2]}', "system.Artifact", "text"),
        ("grüß".encode(), "system.Markdown", "text"),
        (b"\xff\xfe\x00", "system.Artifact", "binary"),
    ],
)
def test_kinds(data: bytes, artifact_type: str, kind: str) -> None:
    assert preview_of(data, len(data), artifact_type).kind == kind


def test_tables_are_cut() -> None:
    row = ",".join(f"c{i}" for i in range(40))
    preview = preview_of("\n".join([row] * 100).encode(), 100 * len(row), "system.Dataset")
    assert (preview.kind, len(preview.header), len(preview.rows), preview.cut) == ("table", 12, 12, True)


def test_a_character_cut_in_two_is_no_reason_to_call_it_binary() -> None:
    data = ("x" * (READ - 1) + "ü").encode()[:READ]
    assert preview_of(data, READ + 1, "system.Artifact").kind == "text"


def test_json_is_indented() -> None:
    assert preview_of(b'{"a":1}', 7, "system.Artifact").text == '{\n  "a": 1\n}'


@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_content_breaks_a_page(data: bytes, more: int) -> None:
    preview_of(data, len(data) + more, "system.Artifact")


async def test_looking_into_the_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    await store.write("minio://b/one", b"a,b\n1,2\n")
    await store.write("minio://b/folder/x", b"1")
    await store.write("minio://b/folder/y", b"22")
    assert (await look(store, "minio://b/one", "system.Dataset")).kind == "table"
    folder = await look(store, "minio://b/folder", "system.Model")
    assert (folder.kind, folder.size, len(folder.entries)) == ("folder", 3, 2)
    for uri in ("minio://b/none", "minio://b/../../etc/passwd", "https://elsewhere/x", ""):
        assert (await look(store, uri, "system.Artifact")).kind == "missing"


def test_html_may_compute_but_reach_nothing() -> None:
    assert SANDBOX.startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in SANDBOX
    assert "default-src 'none'" in SANDBOX
    assert "connect-src" not in SANDBOX
