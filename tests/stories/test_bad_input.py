"""Bad input gets one clear sentence, with the place where it is wrong."""

import shutil
import sqlite3
from pathlib import Path

import pytest

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")


@needs_kubectl
@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: [unclosed\n", "line"),
        ('{"apiVersion": "v1", "kind": "Pod", ', "unexpected EOF"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers: [{name: a, image: busybox}]\n  nonsense: 1\n",
            'unknown field "spec.nonsense"',
        ),
        (
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec:\n  parallelism: many\n  template:\n    spec:\n"
            "      restartPolicy: Never\n      containers: [{name: a, image: busybox}]\n",
            "spec.parallelism",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}\n", "spec.containers"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_Name}\nspec: {containers: [{name: a, image: b}]}\n",
            "Bad_Name",
        ),
        ("apiVersion: nowhere/v1\nkind: Thing\nmetadata: {name: x}\n", "Thing"),
    ],
)
def test_a_manifest_that_is_wrong(running, tmp_path: Path, manifest: str, expected: str):
    path = tmp_path / "manifest.yaml"
    path.write_text(manifest)
    done = running.kubectl("create", "-f", str(path), check=False)
    assert done.returncode != 0
    assert expected.lower() in done.stderr.lower()


@pytest.mark.parametrize("database", ["cluster/store.db", "headwater.db"])
def test_a_data_directory_of_a_newer_version_is_refused_whole(stopped, database: str):
    stopped.up()
    stopped.run("down")
    connection = sqlite3.connect(stopped.home / database)
    tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
    if database == "headwater.db":
        version_table = next(name for name in tables if name.startswith("alembic_version"))
        connection.execute(f"update {version_table} set version_num = '9999'")
    else:
        connection.execute("update format set version = 9999")
    connection.commit()
    connection.close()

    done = stopped.run("up", check=False)
    assert done.returncode == 1
    assert "newer version" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert stopped.status()["running"] is False
