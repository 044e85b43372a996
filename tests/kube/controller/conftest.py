from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.store.store import Store


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LocalClient]:
    store = await Store.open(tmp_path / "objects.db")
    api = Api(store)
    await api.start()
    yield LocalClient(api)
    await api.stop()
    await store.close()
