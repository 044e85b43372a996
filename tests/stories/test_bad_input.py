"""Bad input gets one clear sentence, with the place where it is wrong."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from headwater.cli.home import Home
from headwater.cli.people import issue_token

JOB_WITH_A_WRONG_TYPE = """
apiVersion: batch/v1
kind: Job
metadata: {name: x}
spec:
  parallelism: many
  template:
    spec:
      restartPolicy: Never
      containers: [{name: a, image: busybox}]
"""

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")


@needs_kubectl
@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: [unclosed\n", "line"),
        ('{"apiVersion": "v1", "kind": "Pod", ', "unexpected EOF"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers: [{name: a, image: b}]\n  odd: 1\n",
            'unknown field "spec.odd"',
        ),
        (
            JOB_WITH_A_WRONG_TYPE,
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


def ask(running, path: str, token: str) -> tuple[int, dict]:
    request = urllib.request.Request(f"{running.gateway_url}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_an_expired_token_says_so_and_what_to_do(running):
    token = issue_token(Home(running.home), "admin", hours=0.2 / 3600)
    time.sleep(0.3)
    code, said = ask(running, "/apis/v2beta1/runs", token)
    assert code == 401
    assert "expired at" in said["message"]
    assert "headwater token" in said["message"]


PIPELINE = """
import os, sys, warnings
warnings.filterwarnings("ignore")
from kfp import Client, dsl

@dsl.component
def greet(name: str, times: int) -> str:
    return name * times

@dsl.pipeline
def hello(name: str, times: int = 1):
    greet(name=name, times=times)

client = Client(host=os.environ["HOST"], existing_token=os.environ["TOKEN"])
try:
    client.create_run_from_pipeline_func(hello, arguments=eval(sys.argv[1]))
except Exception as error:
    print(error.body)
"""


@pytest.mark.parametrize(
    ("arguments", "field"), [("{}", "name"), ("{'name': 'x', 'times': 'many'}", "times"), ("{'nmae': 'x'}", "nmae")]
)
def test_a_run_with_wrong_inputs_is_refused_by_name(running, sdk: Path, tmp_path: Path, arguments: str, field: str):
    environment = {**running.environment, "HOST": running.gateway_url, "TOKEN": running.token()}
    environment.pop("PYTHONPATH", None)
    script = tmp_path / "hello.py"
    script.write_text(PIPELINE)
    done = subprocess.run([sdk, script, arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip(), done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert said["code"] == 3, said  # INVALID_ARGUMENT
    assert f'"{field}"' in said["message"] or f"'{field}'" in said["message"]


@needs_kubectl
@pytest.mark.skipif(os.getuid() != 0, reason="a small file system can only be mounted as root")
def test_a_full_disk_is_said_clearly_and_survived(platform_in, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not permitted here")
    platform = platform_in(disk)
    try:
        platform.up()
        platform.kubectl("create", "configmap", "before", "--from-literal=a=b")
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        big = tmp_path / "big.txt"
        big.write_text("x" * 200_000)
        refused = [
            done.stderr
            for number in range(5)
            if (
                done := platform.kubectl("create", "configmap", f"big-{number}", f"--from-file={big}", check=False)
            ).returncode
        ]
        assert refused
        assert "disk" in refused[-1].lower()
        assert "before" in platform.kubectl("get", "configmaps").stdout
        filler.unlink()
        platform.kubectl("create", "configmap", "after", "--from-literal=a=b")
        platform.run("down")
        platform.up()
        names = platform.kubectl("get", "configmaps").stdout
        assert "before" in names
        assert "after" in names
    finally:
        platform.run("down", check=False)
        subprocess.run(["umount", "--lazy", disk], check=False)
