"""kubernetes_asyncio: objects, watches, exec and dynamic resources."""
# ruff: noqa: PT017 - there is no pytest in the client's environment

import asyncio

from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.dynamic import DynamicClient
from kubernetes_asyncio.stream import WsApiClient


async def main():
    await config.load_kube_config()
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        await core.create_namespace({"metadata": {"name": "team"}})
        pod = {"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "m", "image": "busybox"}]}}
        created = await core.create_namespaced_pod("team", pod)
        name = created.metadata.name
        assert name.startswith("p-")
        patched = await core.patch_namespaced_pod(name, "team", {"metadata": {"labels": {"x": "y"}}})
        assert patched.metadata.labels == {"x": "y"}
        assert len((await core.list_pod_for_all_namespaces(label_selector="x=y")).items) == 1
        apps = client.AppsV1Api(api)
        spec = {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod["spec"]},
        }
        await apps.create_namespaced_deployment("team", {"metadata": {"name": "web"}, "spec": spec})
        scaled = await apps.patch_namespaced_deployment_scale("web", "team", {"spec": {"replicas": 4}})
        assert scaled.spec.replicas == 4
        seen = []
        async with watch.Watch() as watching:

            async def write():
                await asyncio.sleep(0.2)
                for number in range(3):
                    await core.create_namespaced_config_map("team", {"metadata": {"name": f"c{number}"}})

            task = asyncio.ensure_future(write())
            async for event in watching.stream(core.list_namespaced_config_map, "team", timeout_seconds=10):
                if event["object"].metadata.name.startswith("c"):
                    seen.append(event["object"].metadata.name)
                if len(seen) == 3:
                    break
            await task
        assert seen == ["c0", "c1", "c2"], seen
        dynamic = await DynamicClient(api)
        maps = await dynamic.resources.get(api_version="v1", kind="ConfigMap")
        assert (await maps.get(name="c0", namespace="team")).metadata.name == "c0"
        try:
            await core.read_namespaced_secret("none", "team")
        except client.ApiException as error:
            assert error.status == 404
        await core.patch_namespaced_pod_status(name, "team", {"status": {"phase": "Running"}})
    async with WsApiClient() as streaming:
        said = await client.CoreV1Api(streaming).connect_get_namespaced_pod_exec(
            name, "team", command=["echo", "hi"], stdout=True, stderr=True, stdin=False, tty=False
        )
        assert said == "hi\n", said


asyncio.run(main())
print("done")
