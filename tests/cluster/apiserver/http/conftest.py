"""A server, and a plain HTTP session for each kind of caller."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.cluster.apiserver.http.processes import ProcessNode
from tests.cluster.apiserver.http.serving import Serving, serving

from headwater.cluster.apiserver.users import PLATFORM
from headwater.kube.client.kubeconfig import load
from headwater.kube.meta.resources import SERVICE_ACCOUNTS


class Caller:
    """Makes requests as somebody."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return the status code and the decoded answer (text when it is no JSON)."""
        async with self.session.request(method, path, **options) as response:
            if "json" in response.content_type:
                return response.status, await response.json(content_type=None)
            return response.status, await response.text()


class Callers:
    """The server and its callers."""

    def __init__(self, running: Serving, node: ProcessNode, stack: AsyncExitStack) -> None:
        self.running = running
        self.node = node
        self._stack = stack
        self.admin: Caller
        self.stranger: Caller
        self.anonymous: Caller

    async def caller(self, config: Any = None, **options: Any) -> Caller:
        """Return a caller with the credentials of a kubeconfig; by default with none at all."""
        nobody = {**self.running.pki.kubeconfig(self.running.url), "users": [{"name": "x", "user": {}}]}
        nobody["contexts"] = [{"name": "headwater", "context": {"cluster": "headwater", "user": "x"}}]
        access = load(config or nobody, "")
        connector = aiohttp.TCPConnector(ssl=access.ssl_context())
        session = aiohttp.ClientSession(self.running.url, connector=connector, **options)
        return Caller(await self._stack.enter_async_context(session))


@pytest.fixture
async def callers(tmp_path: Path) -> AsyncIterator[Callers]:
    node = ProcessNode()
    async with serving(tmp_path, node=node) as running, AsyncExitStack() as stack:
        opened = Callers(running, node, stack)
        opened.admin = await opened.caller(running.pki.kubeconfig(running.url))
        opened.stranger = await opened.caller(running.kubeconfig_of("stranger"))
        opened.anonymous = await opened.caller()
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await running.api.create(PLATFORM, SERVICE_ACCOUNTS, "default", account)
        yield opened


@pytest.fixture
def admin(callers: Callers) -> Caller:
    return callers.admin
