"""The embedded cluster, put together: store, API server, controllers, scheduler and node agent in one process.

The parts know one another only by what they are given here. They start in the order in which they need one
another and stop in the reverse; whatever was started before a start that fails is stopped again.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from headwater.cluster.apiserver.authn.authenticator import Authenticator
from headwater.cluster.apiserver.authn.reviews import register_authentication_reviews
from headwater.cluster.apiserver.authn.tokens import BoundObject, TokenIssuer
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.http.server import ApiServer
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.rbac.aggregation import aggregation_controller
from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.rbac.policy import ensure_policy
from headwater.cluster.apiserver.rbac.reviews import register_access_reviews
from headwater.cluster.controllers import build
from headwater.cluster.node import NodeAgent, Tier, VolumeDriver
from headwater.cluster.pki import Pki
from headwater.cluster.scheduler import Scheduler
from headwater.cluster.store import Store
from headwater.kube.controller import EventRecorder, Informers, Manager
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, uid_of
from headwater.kube.meta.resources import SERVICE_ACCOUNTS
from headwater.kube.meta.time import Clock


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Where the cluster keeps its things and where it listens."""

    store: Path
    """The database file of the objects."""
    pki: Path
    """The directory of keys and certificates."""
    home: Path
    """The platform's data directory. The node keeps its pods and environments in it, and hides it from them."""
    kubeconfig: Path
    """Where the administrator's kubeconfig is written."""
    port: int
    host: str = "127.0.0.1"
    node_name: str = "headwater"


class EmbeddedCluster:
    """A small Kubernetes for one machine."""

    def __init__(self, settings: ClusterSettings, *, drivers: Mapping[str, VolumeDriver], clock: Clock) -> None:
        self.settings = settings
        self.url = f"https://{settings.host}:{settings.port}"
        self._drivers = drivers
        self._clock = clock
        self._parts = AsyncExitStack()
        self._node: NodeAgent | None = None
        self.client: LocalClient
        """Acts as the platform itself. Set by ``start``, as is everything below."""
        self.informers: Informers

    @property
    def tier(self) -> Tier:
        """How pods are isolated from one another."""
        assert self._node is not None, "the cluster is not started"
        return self._node.tier

    async def start(self) -> None:
        """Start everything; returns when the API answers and the node takes pods.

        Raises ``StoreError`` and ``PkiError`` (a sentence each) and ``OSError`` when the port is taken.
        """
        try:
            await self._start()
        except BaseException:
            await self._parts.aclose()
            raise

    async def stop(self) -> None:
        """Stop everything, pods included. Bounded in time by the parts themselves."""
        await self._parts.aclose()

    async def _start(self) -> None:
        settings, clock = self.settings, self._clock
        pki = Pki.open(settings.pki, clock=clock)
        store = await Store.open(settings.store)
        self._parts.push_async_callback(store.close)

        api = Api(store, clock=clock)
        tokens = TokenIssuer(pki.service_account_key, api.peek, clock)
        authorizer = RbacAuthorizer()
        api.authorizer = authorizer
        register_authentication_reviews(api, tokens)
        register_access_reviews(api, authorizer)
        await api.start()
        self._parts.push_async_callback(api.stop)
        authorizer.follow(api)
        await ensure_policy(api)

        self.client = LocalClient(api)
        self.informers = Informers(self.client, clock=clock)
        self.informers.start()
        self._parts.push_async_callback(self.informers.stop)

        recorder = EventRecorder(self.client, "headwater-controllers", clock=clock)
        self._parts.push_async_callback(recorder.close)
        manager = Manager(
            self.client,
            self.informers,
            [
                aggregation_controller(self.client, self.informers),
                *build(
                    self.client,
                    self.informers,
                    clock,
                    recorder,
                    pki.ca_certificate.decode(),
                    kinds=lambda: [served.resource for served in api.registry.all() if not served.virtual],
                ),
            ],
            clock,
        )
        scheduler = Scheduler(self.client, self.informers, recorder, clock)
        self._node = NodeAgent(
            self.client,
            self.informers,
            home=settings.home,
            node_name=settings.node_name,
            ca=pki.ca_certificate,
            api_url=self.url,
            token_source=_PodTokens(api, tokens),
            drivers=self._drivers,
            clock=clock,
        )
        api.node = self._node
        server = ApiServer(
            api, Authenticator(tokens), authorizer, self._node, host=settings.host, port=settings.port, pki=pki
        )
        await server.start()
        self._parts.push_async_callback(server.stop)
        await self._node.start()
        self._parts.push_async_callback(self._node.stop, kill_pods=True)
        await manager.start()
        self._parts.push_async_callback(manager.stop)
        await scheduler.start()
        self._parts.push_async_callback(scheduler.stop)
        pki.write_kubeconfig(settings.kubeconfig, self.url)


class _PodTokens:
    """Issues the tokens that the node puts into pods, as a kubelet asks for them by ``TokenRequest``."""

    def __init__(self, api: Api, tokens: TokenIssuer) -> None:
        self._api = api
        self._tokens = tokens

    async def issue(
        self, namespace: str, service_account: str, audiences: Sequence[str], expires_in: int, pod: Object
    ) -> tuple[str, datetime]:
        """Return a token and when it ends. Raises ``StatusError`` 404 without the service account."""
        account = self._api.peek(SERVICE_ACCOUNTS, namespace, service_account)
        if account is None:
            raise StatusError(404, "NotFound", f'serviceaccounts "{service_account}" not found')
        bound = BoundObject("Pod", name_of(pod), uid_of(pod))
        return self._tokens.issue(
            service_account, namespace, uid_of(account.object), audiences, float(expires_in), pod=bound
        )
