"""An API server on a free port, as the composition root puts it together but without controllers and node."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from headwater.cluster.apiserver.authn.authenticator import Authenticator
from headwater.cluster.apiserver.authn.reviews import register_authentication_reviews
from headwater.cluster.apiserver.authn.tokens import TokenIssuer
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.http.server import ApiServer
from headwater.cluster.apiserver.nodes import NodeAccess
from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.rbac.policy import ensure_policy
from headwater.cluster.apiserver.rbac.reviews import register_access_reviews
from headwater.cluster.pki import Pki
from headwater.cluster.store.store import Store
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import Clock, SystemClock


@dataclass(frozen=True)
class Serving:
    """A running API server and what it is made of."""

    home: Path
    api: Api
    server: ApiServer
    pki: Pki
    tokens: TokenIssuer
    authorizer: RbacAuthorizer

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.home / "kubeconfig"

    def kubeconfig_of(self, user: str, groups: Sequence[str] = ()) -> Object:
        """Return a kubeconfig with a client certificate of this user."""
        return self.pki.kubeconfig(self.url, self.pki.issue_client(user, groups), user)


@asynccontextmanager
async def serving(home: Path, *, node: Any = None, clock: Clock | None = None) -> AsyncIterator[Serving]:
    clock = clock or SystemClock()
    pki = Pki.open(home / "pki")
    store = await Store.open(home / "objects.db")
    api = Api(store, clock=clock)
    tokens = TokenIssuer(pki.service_account_key, api.peek, clock)
    authorizer = RbacAuthorizer()
    api.authorizer = authorizer
    api.node = cast(NodeAccess, node)
    register_authentication_reviews(api, tokens)
    register_access_reviews(api, authorizer)
    await api.start()
    authorizer.follow(api)
    await ensure_policy(api)
    server = ApiServer(
        api, Authenticator(tokens), authorizer, cast(NodeAccess, node), host="127.0.0.1", port=0, pki=pki
    )
    await server.start()
    pki.write_kubeconfig(home / "kubeconfig", server.url)
    try:
        yield Serving(home, api, server, pki, tokens, authorizer)
    finally:
        await server.stop()
        await api.stop()
        await store.close()
