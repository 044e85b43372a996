"""The official Python client against the server: what operators and notebooks use."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.cluster.apiserver.http.processes import ProcessNode
from tests.cluster.apiserver.http.serving import serving

from headwater.cluster.apiserver.users import PLATFORM
from headwater.kube.meta.resources import SERVICE_ACCOUNTS

kubernetes = pytest.importorskip("kubernetes")

T = TypeVar("T")


async def with_client(home: Path, story: Callable[[Any], T]) -> T:
    """Tell a story with the blocking client in a thread of its own."""
    async with serving(home, node=ProcessNode()) as running:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await running.api.create(PLATFORM, SERVICE_ACCOUNTS, "default", account)

        def tell() -> T:
            with kubernetes.config.new_client_from_config(str(running.kubeconfig)) as client:
                return story(client)

        return await asyncio.to_thread(tell)


async def test_objects_and_watches(tmp_path: Path) -> None:
    def story(client: Any) -> list[tuple[str, str]]:
        core = kubernetes.client.CoreV1Api(client)
        spec = {"containers": [{"name": "main", "image": "busybox"}]}
        # As the documentation does it: neither apiVersion nor kind in the body.
        core.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": spec})
        model = kubernetes.client.V1ConfigMap(metadata=kubernetes.client.V1ObjectMeta(name="c"), data={"a": "1"})
        core.create_namespaced_config_map("default", model)
        core.patch_namespaced_config_map("c", "default", {"data": {"b": "2"}})
        found = core.read_namespaced_config_map("c", "default")
        assert found.data == {"a": "1", "b": "2"}
        found.data = {"d": "4"}
        core.replace_namespaced_config_map("c", "default", found)
        listed = core.list_pod_for_all_namespaces()
        assert [item.metadata.name for item in listed.items] == ["p"]
        core.delete_namespaced_config_map("c", "default")
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.read_namespaced_config_map("c", "default")
        assert caught.value.status == 404
        watch = kubernetes.watch.Watch()
        stream = watch.stream(core.list_namespaced_config_map, "default", resource_version="1", timeout_seconds=1)
        return [(event["type"], event["object"].metadata.name) for event in stream]

    events = await with_client(tmp_path, story)
    assert [kind for kind, name in events if name == "c"] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]


async def test_exec_and_logs(tmp_path: Path) -> None:
    def story(client: Any) -> str:
        from kubernetes.stream import stream

        core = kubernetes.client.CoreV1Api(client)
        spec = {"containers": [{"name": "main", "image": "busybox"}]}
        core.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": spec})
        assert core.read_namespaced_pod_log("p", "default") == ""
        command = ["sh", "-c", "echo hello; exit 2"]
        options = {"command": command, "stdout": True, "stderr": True, "stdin": False, "tty": False}
        process = stream(core.connect_get_namespaced_pod_exec, "p", "default", **options, _preload_content=False)
        process.run_forever(timeout=10)
        assert process.returncode == 2
        return str(process.read_stdout())

    assert await with_client(tmp_path, story) == "hello\n"


async def test_discovery_and_reviews(tmp_path: Path) -> None:
    def story(client: Any) -> None:
        names = {group.name for group in kubernetes.client.ApisApi(client).get_api_versions().groups}
        assert "batch" in names
        attributes = kubernetes.client.V1ResourceAttributes(verb="get", resource="pods", namespace="default")
        review = kubernetes.client.V1SubjectAccessReview(
            spec=kubernetes.client.V1SubjectAccessReviewSpec(resource_attributes=attributes, user="ann")
        )
        answer = kubernetes.client.AuthorizationV1Api(client).create_subject_access_review(review)
        assert answer.status.allowed is False
        request = kubernetes.client.AuthenticationV1TokenRequest(
            spec=kubernetes.client.V1TokenRequestSpec(audiences=["me"], expiration_seconds=900)
        )
        core = kubernetes.client.CoreV1Api(client)
        token = core.create_namespaced_service_account_token("default", "default", request).status.token
        review = kubernetes.client.V1TokenReview(
            spec=kubernetes.client.V1TokenReviewSpec(token=token, audiences=["me"])
        )
        status = kubernetes.client.AuthenticationV1Api(client).create_token_review(review).status
        assert (status.authenticated, status.audiences) == (True, ["me"])
        assert status.user.username == "system:serviceaccount:default:default"
        review.spec.audiences = ["you"]
        status = kubernetes.client.AuthenticationV1Api(client).create_token_review(review).status
        assert not status.authenticated
        assert "is for the audience" in status.error

    await with_client(tmp_path, story)


async def test_the_dynamic_client(tmp_path: Path) -> None:
    def story(client: Any) -> None:
        dynamic = kubernetes.dynamic.DynamicClient(client)
        maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
        maps.create(body={"metadata": {"name": "c"}, "data": {"a": "1"}}, namespace="default")
        assert maps.get(name="c", namespace="default").data.a == "1"
        assert len(maps.get(namespace="default").items) == 1

    await with_client(tmp_path, story)
