import copy
import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.patch import PatchError, json_patch

DOCUMENT = {"a": [1, 2, 3], "b": {"c/d": 1, "e~f": 2}, "t": True, "n": None}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([], DOCUMENT),
        ([{"op": "add", "path": "/a/-", "value": 4}], {**DOCUMENT, "a": [1, 2, 3, 4]}),
        ([{"op": "add", "path": "/a/0", "value": 0}], {**DOCUMENT, "a": [0, 1, 2, 3]}),
        ([{"op": "add", "path": "/a/3", "value": 4}], {**DOCUMENT, "a": [1, 2, 3, 4]}),
        ([{"op": "replace", "path": "/a/1", "value": 9}], {**DOCUMENT, "a": [1, 9, 3]}),
        ([{"op": "remove", "path": "/a/1"}], {**DOCUMENT, "a": [1, 3]}),
        ([{"op": "remove", "path": "/b/c~1d"}], {**DOCUMENT, "b": {"e~f": 2}}),
        ([{"op": "replace", "path": "/b/e~0f", "value": 3}], {**DOCUMENT, "b": {"c/d": 1, "e~f": 3}}),
        ([{"op": "copy", "from": "/a/0", "path": "/x"}], {**DOCUMENT, "x": 1}),
        ([{"op": "move", "from": "/a", "path": "/x"}], {"b": DOCUMENT["b"], "t": True, "n": None, "x": [1, 2, 3]}),
        ([{"op": "test", "path": "/n", "value": None}, {"op": "remove", "path": "/n"}], {**DOCUMENT} | {"n": ...}),
        ([{"op": "add", "path": "", "value": {"z": 1}}], {"z": 1}),
    ],
)
def test_operations(operations: list, expected: dict) -> None:
    before = copy.deepcopy(DOCUMENT)
    expected = {key: value for key, value in expected.items() if value is not ...}
    assert json_patch(DOCUMENT, operations) == expected
    assert before == DOCUMENT


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ({}, "must be a list"),
        ([1], "operation 0: an operation must be an object"),
        ([{"op": "grow", "path": "/a"}], "unknown op 'grow'"),
        ([{"op": "add", "path": "/x"}], "has no 'value'"),
        ([{"op": "add", "path": "x", "value": 1}], "must start with '/'"),
        ([{"op": "add", "path": 1, "value": 1}], "must be a JSON pointer"),
        ([{"op": "remove", "path": "/x"}], "nothing at '/x'"),
        ([{"op": "replace", "path": "/b/x", "value": 1}], "nothing at '/b/x'"),
        ([{"op": "add", "path": "/x/y", "value": 1}], "nothing at '/x'"),
        ([{"op": "add", "path": "/a/4", "value": 1}], "out of bounds"),
        ([{"op": "remove", "path": "/a/-"}], "not an index"),
        ([{"op": "remove", "path": "/a/01"}], "not an index"),
        ([{"op": "remove", "path": ""}], "whole document"),
        ([{"op": "move", "from": "/b", "path": "/b/x"}], "into itself"),
        ([{"op": "test", "path": "/t", "value": 1}], "testing path '/t' failed"),
        ([{"op": "add", "path": "", "value": 1}], "not an object any more"),
        ([{"op": "test", "path": "/t", "value": True}] * 10_001, "at most 10000"),
    ],
)
def test_what_is_refused(operations, message: str) -> None:
    with pytest.raises(PatchError, match=message):
        json_patch(DOCUMENT, operations)


def test_copies_of_copies_end() -> None:
    doubling = [{"op": "copy", "from": "", "path": "/x"}] * 300
    with pytest.raises(PatchError, match="levels deep"):
        json_patch({"a": "x"}, doubling)
    wide = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
    with pytest.raises(PatchError, match="may copy at most 3145728 bytes"):
        json_patch({"a": ["x" * 100]}, wide)


def test_depth_is_bounded() -> None:
    deep: dict = {}
    for _ in range(900):
        deep = {"a": deep}
    with pytest.raises(PatchError, match="levels deep"):
        json_patch({}, [{"op": "add", "path": "/a", "value": deep}])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)
POINTERS = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~1", ""]), max_size=3).map(
    lambda parts: "".join("/" + part for part in parts)
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": POINTERS},
        optional={"value": VALUES, "from": POINTERS},
    ),
    max_size=4,
)


@given(st.dictionaries(st.text("ab", max_size=2), VALUES, max_size=4), OPERATIONS)
def test_it_either_works_or_says_why_and_never_changes_the_document(document: dict, operations: list) -> None:
    before = copy.deepcopy(document)
    try:
        patched = json_patch(document, operations)
    except PatchError:
        patched = {}
    assert isinstance(patched, dict)
    assert document == before


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: nothing to compare with")
@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "add", "path": "/data/x~1y", "value": "1"}, {"op": "remove", "path": "/data/a"}],
        [{"op": "move", "from": "/data/a", "path": "/data/b"}, {"op": "copy", "from": "/data/b", "path": "/data/c"}],
        [{"op": "remove", "path": "/data/nothing"}],
        [{"op": "test", "path": "/data/a", "value": "2"}],
        [{"op": "add", "path": "/metadata/labels/a", "value": "2"}],
    ],
)
def test_as_kubectl_does(operations: list, tmp_path) -> None:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}}
    file = tmp_path / "object.json"
    file.write_text(json.dumps(document))
    command = ["kubectl", "patch", "--local", "-f", file, "--type", "json", "-p", json.dumps(operations), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        assert json_patch(document, operations) == json.loads(done.stdout)
    else:
        with pytest.raises(PatchError):
            json_patch(document, operations)
