"""What a pod can see and do from the inside of a sandbox."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.node.conftest import Cluster, children

from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, PODS, SECRETS

ROOT = os.getuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="needs root: pods have user ids of their own only then")


async def output(cluster: Cluster, script: str, name: str = "p", **spec: Any) -> str:
    await cluster.run(name, command=script, **spec)
    pod = await cluster.ended(name)
    assert pod["status"]["phase"] == "Succeeded", (await cluster.logs(name), pod["status"])
    return await cluster.logs(name)


async def test_the_platforms_files_are_out_of_sight(sandbox: Cluster) -> None:
    secret = sandbox.home / "pki" / "key"
    secret.parent.mkdir()
    secret.write_text("secret")
    secret.chmod(0o666)
    secret.parent.chmod(0o777)
    await sandbox.run("other", command="sleep 1000")
    await sandbox.running("other")
    text = await output(sandbox, f"ls -a {sandbox.home} 2>&1; cat {secret} 2>&1; ls -A /tmp /home /mnt /srv /run; true")
    assert "secret" not in text.replace(str(secret), "")
    assert "No such file or directory" in text
    assert "\nnode" not in text


@as_root
async def test_roots_files_are_out_of_sight(sandbox: Cluster) -> None:
    text = await output(sandbox, "ls -A /root; cat /etc/shadow 2>&1; ls -la /root/.ssh /root/.bashrc 2>&1; true")
    assert "Permission denied" in text
    assert "No such file or directory" in text
    assert "root:" not in text


async def test_other_processes_are_out_of_sight(sandbox: Cluster) -> None:
    await sandbox.run("other", command="sleep 987")
    await sandbox.running("other")
    text = await output(sandbox, "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done")
    assert "sleep 987" not in text
    assert len(text.splitlines()) <= 4
    text = await output(sandbox, f"kill -0 {os.getpid()} 2>&1 && echo reached; true", "q")
    assert "reached" not in text


async def test_init_keeps_its_secrets(sandbox: Cluster) -> None:
    script = "cat /proc/1/environ /proc/1/maps 2>&1; ls -l /proc/1/fd /proc/1/root/ 2>&1; kill -9 1; echo alive"
    text = await output(sandbox, script)
    assert text.count("ermission denied") >= 3
    assert "alive" in text


async def test_the_system_cannot_be_changed(sandbox: Cluster) -> None:
    script = """
    for d in /usr /etc /usr/bin /opt /sys /proc/sys/kernel; do
        touch $d/x 2>/dev/null && echo "$d can be written"
    done
    mount -o remount,rw /usr 2>/dev/null && echo remounted
    umount /usr 2>/dev/null && echo unmounted
    umount /proc 2>/dev/null && echo unmounted
    unshare -rm true 2>/dev/null && mount -o remount,rw,bind /usr 2>/dev/null && echo remounted
    (echo b > /proc/sysrq-trigger) 2>/dev/null && echo sysrq
    hostname evil 2>/dev/null && echo renamed
    hostname
    """
    assert await output(sandbox, script) == "p\n"


@as_root
async def test_a_user_namespace_inside_uncovers_nothing(sandbox: Cluster) -> None:
    inside = "umount -l / /proc /usr; umount -R /; ls -A /root /home; cat /etc/shadow; ls -A /work"
    text = await output(sandbox, f"unshare -Urmp --fork sh -c '{inside}' 2>&1; true")
    assert "/etc/shadow: Permission denied" in text
    assert ":0:99999:" not in text


@as_root
async def test_the_host_sees_somebody_without_rights(sandbox: Cluster) -> None:
    await sandbox.run(command="id -u; touch /tmp/x; sleep 1000")
    pod = await sandbox.running()
    await sandbox.run("elsewhere", command="sleep 1000", metadata={"namespace": "other"})
    other = await sandbox.running("elsewhere", "other")
    owners = []
    for each in (pod, other):
        shim = sandbox.agent._workers[each["metadata"]["uid"]].process.pid  # type: ignore[union-attr]
        init = children(shim)[0]
        owners.append(os.stat(f"/proc/{children(init)[0]}").st_uid)
    assert min(owners) >= 0x70000000
    assert owners[0] != owners[1]
    assert await sandbox.logs() == "0\n"
    status = Path(f"/proc/{init}/status").read_text()
    assert "CapEff" in status


async def test_own_directories_are_writable(sandbox: Cluster) -> None:
    script = "for d in / /tmp /root /home /run /var/tmp /var/log /mnt /dev/shm; do echo x > $d/f && cat $d/f; done"
    assert await output(sandbox, script) == "x\n" * 9


async def test_devices(sandbox: Cluster) -> None:
    script = (
        "head -c 4 /dev/urandom | wc -c; echo x > /dev/null; readlink /dev/fd; ls /dev/disk /dev/mem 2>/dev/null; true"
    )
    assert await output(sandbox, script) == "4\n/proc/self/fd\n"


async def test_volumes_are_where_the_container_wants_them(sandbox: Cluster) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "one", "b": "two"}}
    await sandbox.client.create(CONFIG_MAPS, config, "default")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hush"}}
    await sandbox.client.create(SECRETS, secret, "default")
    volumes = [
        {"name": "c", "configMap": {"name": "c", "items": [{"key": "a", "path": "deep/a.txt"}]}},
        {"name": "whole", "configMap": {"name": "c"}},
        {"name": "s", "secret": {"secretName": "s", "defaultMode": 0o400}},
        {"name": "e", "emptyDir": {}},
        {
            "name": "p",
            "projected": {
                "sources": [
                    {"configMap": {"name": "c", "items": [{"key": "b", "path": "b"}]}},
                    {"serviceAccountToken": {"path": "token"}},
                    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                ]
            },
        },
    ]
    mounts = [
        {"name": "c", "mountPath": "/etc/config"},
        {"name": "whole", "mountPath": "/usr/share/headwater.conf", "subPath": "b"},
        {"name": "s", "mountPath": "/secrets"},
        {"name": "e", "mountPath": "/minio/mlpipeline/v2"},
        {"name": "e", "mountPath": "/part", "subPath": "x/y"},
        {"name": "p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
    ]
    script = """
    cat /etc/config/deep/a.txt /usr/share/headwater.conf /secrets/k; echo
    ls -L /etc/passwd /usr/share/doc > /dev/null && echo still
    echo mine > /minio/mlpipeline/v2/f && echo sub > /part/g && cat /minio/mlpipeline/v2/f /minio/mlpipeline/v2/x/y/g
    touch /etc/config/no 2>/dev/null && echo written
    cd /var/run/secrets/kubernetes.io/serviceaccount && cat b token labels
    """
    text = await output(
        sandbox, script, metadata={"labels": {"app": "x"}}, volumes=volumes, container={"volumeMounts": mounts}
    )
    assert text == 'onetwohush\nstill\nmine\nsub\ntwotoken of default/defaultapp="x"\n'.rstrip("\n")


async def test_a_sub_path_cannot_leave_its_volume(sandbox: Cluster) -> None:
    volume = {"name": "v", "mountPath": "/v"}
    init = {
        "name": "i",
        "image": "busybox",
        "command": ["sh", "-c", "ln -s /etc /v/out; ln -s ../../.. /v/up"],
        "volumeMounts": [volume],
    }
    for name, sub_path in (("a", "out"), ("b", "up/x")):
        await sandbox.run(
            name,
            command="ls -A /m",
            initContainers=[init],
            volumes=[{"name": "v", "emptyDir": {}}],
            container={"volumeMounts": [{"name": "v", "mountPath": "/m", "subPath": sub_path}]},
        )
        pod = await sandbox.ended(name)
        state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert state["reason"] == "CreateContainerError"
        assert "leads out of its volume" in state["message"]


async def test_a_volume_whose_source_vanished(sandbox: Cluster) -> None:
    class Vanishing:
        async def publish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> Path:
            return sandbox.home / "not-there"

        async def unpublish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> None:
            pass

    sandbox.drivers["vanishing"] = Vanishing()
    await sandbox.run(
        command="true",
        volumes=[{"name": "v", "csi": {"driver": "vanishing", "readOnly": True}}],
        container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
    )
    assert "not-there" in await sandbox.event("FailedMount")


async def test_the_security_context(sandbox: Cluster) -> None:
    if not ROOT:
        await sandbox.run(command="true", securityContext={"runAsUser": 1000})
        assert "does not run as root" in await sandbox.event("NotHonoured")
        return
    context = {"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000}
    text = await output(sandbox, "id -u; id -g; id -G; touch /tmp/x && echo ok", securityContext=context)
    assert text == "1000\n2000\n2000 3000\nok\n"
    text = await output(
        sandbox, "touch /x 2>/dev/null || echo no; touch /tmp/x 2>/dev/null || echo no", "ro",
        container={"securityContext": {"readOnlyRootFilesystem": True}},
    )  # fmt: skip
    assert text == "no\nno\n"
    await sandbox.run("never", command="true", container={"securityContext": {"runAsNonRoot": True}})
    assert (await sandbox.waiting("never"))["reason"] == "CreateContainerConfigError"


async def test_rights_are_few(sandbox: Cluster) -> None:
    text = await output(sandbox, "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")
    values = dict(line.split(":\t") for line in text.splitlines())
    assert values["NoNewPrivs"] == "1"
    assert int(values["CapEff"], 16) == int(values["CapBnd"], 16) == 0xA80425FB
    await sandbox.run(
        "none",
        command="grep CapEff /proc/self/status",
        container={"securityContext": {"capabilities": {"drop": ["ALL"]}}},
    )
    await sandbox.ended("none")
    assert int((await sandbox.logs("none")).split(":\t")[1], 16) == 0


async def test_nothing_is_mounted_afterwards(sandbox: Cluster) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    await output(sandbox, "true", volumes=[{"name": "e", "emptyDir": {}}])
    await sandbox.run("long", command="sleep 1000")
    await sandbox.running("long")
    assert Path("/proc/self/mountinfo").read_text() == before


async def test_a_working_directory_is_made(sandbox: Cluster) -> None:
    assert await output(sandbox, "pwd; touch x && ls", container={"workingDir": "/work/dir"}) == "/work/dir\nx\n"


async def test_the_disk_is_given_back_at_the_end(sandbox: Cluster) -> None:
    await output(sandbox, "head -c 100000 /dev/zero > /big; mkdir /closed; touch /closed/x; chmod 0 /closed")
    pod = await sandbox.get()
    directory = sandbox.directory(pod) / "containers" / "main" / "0"
    async with asyncio.timeout(5):
        while (directory / "root").exists():
            await asyncio.sleep(0.01)
    assert (directory / "log").exists()
    await sandbox.client.delete(PODS, "p", "default")
    await sandbox.gone()


READ_ONLY = {"readOnly": True}


async def test_no_link_on_the_way_to_a_driver_s_volume_is_followed(sandbox: Cluster) -> None:
    secret = sandbox.home / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (sandbox.home / "link").symlink_to(secret)

    class Linked:
        async def publish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> Path:
            return sandbox.home / "link" / attributes["below"]

        async def unpublish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> None:
            pass

    sandbox.drivers["linked"] = Linked()
    for name, below, mount in (("top", "", {}), ("below", "key", {}), ("sub", "", {"subPath": "key"})):
        await sandbox.run(
            name,
            command="cat /v /v/*",
            volumes=[{"name": "v", "csi": {"driver": "linked", "volumeAttributes": {"below": below}} | READ_ONLY}],
            container={"volumeMounts": [{"name": "v", "mountPath": "/v", **mount}]},
        )
        state = (await sandbox.ended(name))["status"]["containerStatuses"][0]["state"]["terminated"]
        assert state["reason"] == "CreateContainerError"
        assert "leads through a symbolic link" in state["message"]
