"""What a request to the Kubernetes API costs: create, get, list and watch, against a bare server on the same stack.

No other Kubernetes API runs on a machine without a container engine, so the peer is the floor: an aiohttp server over
the same TLS that answers a fixed object and stores nothing. The ratio says what being Kubernetes costs.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from statistics import median

from aiohttp import ClientSession, TCPConnector, web

from benchmarks.target import Platform, free_port
from headwater.kube.client.http import HttpClient
from headwater.kube.meta.resources import CONFIG_MAPS

REQUESTS = 300
FILLER = {f"key-{number}": "x" * 50 for number in range(15)}


def measure(target: Platform) -> None:
    """Print medians in milliseconds and ratios."""
    asyncio.run(_measure(target))


async def _measure(target: Platform) -> None:
    client = HttpClient.from_kubeconfig(target.home.kubeconfig)
    try:
        created = [await _timed(lambda n=n: client.create(CONFIG_MAPS, _config_map(n))) for n in range(REQUESTS)]
        got = [await _timed(lambda n=n: client.get(CONFIG_MAPS, f"bench-{n}", "default")) for n in range(REQUESTS)]
        listed = [await _timed(lambda: client.list(CONFIG_MAPS, "default")) for _ in range(20)]
        watched = await _watch_latency(client)
    finally:
        await client.close()
    floor = median(await _floor(target))
    print(f"{'request':<22}{'ms':>9}{'ratio to a bare GET':>24}   (medians of {REQUESTS}, one at a time, over TLS)")
    print(f"{'bare aiohttp GET':<22}{floor:>9.2f}")
    rows = {"get": got, "create (on disk)": created, f"list of {REQUESTS}": listed, "create to watch event": watched}
    for name, samples in rows.items():
        print(f"{name:<22}{median(samples):>9.2f}{median(samples) / floor:>23.1f}x")


def _config_map(number: int) -> dict[str, object]:
    metadata = {"name": f"bench-{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": FILLER}


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await call()
    return (time.perf_counter() - started) * 1e3


async def _watch_latency(client: HttpClient) -> list[float]:
    """Return the milliseconds from sending a create to seeing it on a watch."""
    start = (await client.list(CONFIG_MAPS, "default")).resource_version
    events = client.watch(CONFIG_MAPS, "default", resource_version=start)
    samples = []
    for number in range(REQUESTS, REQUESTS + 100):
        started = time.perf_counter()
        pending = asyncio.ensure_future(client.create(CONFIG_MAPS, _config_map(number)))
        async for event in events:
            if event.object["metadata"]["name"] == f"bench-{number}":
                samples.append((time.perf_counter() - started) * 1e3)
                break
        await pending
    return samples


async def _floor(target: Platform) -> list[float]:
    """Return the milliseconds of a GET on a server that does nothing but answer."""
    pki = target.home.pki
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(next(pki.glob("*server*.crt")), next(pki.glob("*server*.key")))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": FILLER}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_get("/x", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=serving).start()
    samples = []
    async with ClientSession(connector=TCPConnector(ssl=False)) as session:
        for _ in range(REQUESTS):
            started = time.perf_counter()
            async with session.get(f"https://127.0.0.1:{port}/x") as response:
                await response.json()
            samples.append((time.perf_counter() - started) * 1e3)
    await runner.cleanup()
    return samples
