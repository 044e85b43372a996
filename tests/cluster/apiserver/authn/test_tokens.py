"""Service-account tokens: what holds, what does not, and what the refusal says."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headwater.cluster.apiserver.authn.tokens import ISSUER, BoundObject, TokenIssuer
from headwater.cluster.pki import Pki
from headwater.cluster.store.documents import Document
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import PODS, SERVICE_ACCOUNTS, Resource


class Moving:
    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


class Cluster:
    def __init__(self, key: bytes) -> None:
        self.objects: dict[tuple[Resource, str, str], Object] = {
            (SERVICE_ACCOUNTS, "team", "robot"): {"metadata": {"uid": "u1"}},
            (PODS, "team", "pod"): {"metadata": {"uid": "p1"}},
        }
        self.clock = Moving()
        self.tokens = TokenIssuer(key, self.peek, self.clock)

    def peek(self, resource: Resource, namespace: str, name: str) -> Document | None:
        found = self.objects.get((resource, namespace, name))
        return Document.of(found) if found else None

    def issue(self, pod: BoundObject | None = None, audiences: tuple[str, ...] = (), seconds: float = 3600) -> str:
        return self.tokens.issue("robot", "team", "u1", audiences, seconds, pod)[0]

    def refusal(self, token: str, *audiences: str) -> str:
        with pytest.raises(StatusError) as caught:
            self.tokens.verify(token, audiences)
        assert caught.value.code == 401
        return caught.value.message


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Pki.open(Path(tmp_path_factory.mktemp("pki"))).service_account_key


@pytest.fixture
def cluster(key: bytes) -> Cluster:
    return Cluster(key)


def test_a_token_names_its_service_account(cluster: Cluster) -> None:
    user = cluster.tokens.verify(cluster.issue())
    assert user.name == "system:serviceaccount:team:robot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated")
    assert user.uid == "u1"


def test_a_bound_token_names_its_pod(cluster: Cluster) -> None:
    user = cluster.tokens.verify(cluster.issue(BoundObject("Pod", "pod", "p1")))
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("pod",)


def test_an_expired_token_says_when_and_what_to_do(cluster: Cluster) -> None:
    token = cluster.issue()
    cluster.clock.moment += timedelta(seconds=3599)
    cluster.tokens.verify(token)
    cluster.clock.moment += timedelta(seconds=1)
    assert cluster.refusal(token) == (
        "the token of service account team/robot expired at 2026-01-01T01:00:00Z; "
        "get a new one, for example with: kubectl create token robot --namespace team"
    )


def test_audiences_must_meet(cluster: Cluster) -> None:
    token = cluster.issue(audiences=("pipelines.kubeflow.org",))
    assert "is for the audience" in cluster.refusal(token)
    verified = cluster.tokens.authenticate(token, ["other", "pipelines.kubeflow.org"])
    assert verified.audiences == ("pipelines.kubeflow.org",)
    assert cluster.tokens.authenticate(cluster.issue()).audiences == (ISSUER,)


def test_deleting_the_account_or_the_pod_revokes(cluster: Cluster) -> None:
    free, bound = cluster.issue(), cluster.issue(BoundObject("Pod", "pod", "p1"))
    cluster.objects[(PODS, "team", "pod")] = {"metadata": {"uid": "p2"}}
    assert "Pod team/pod of the bearer token has been deleted" in cluster.refusal(bound)
    cluster.tokens.verify(free)
    del cluster.objects[(SERVICE_ACCOUNTS, "team", "robot")]
    assert "service account team/robot of the bearer token has been deleted" in cluster.refusal(free)


def part(token: str, index: int) -> dict[str, object]:
    text = token.split(".")[index]
    value: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value


def encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forgeries(token: str) -> dict[str, str]:
    head, body, signature = token.split(".")
    claims = part(token, 1)
    return {
        "empty": "",
        "words": "hello",
        "two parts": f"{head}.{body}",
        "no signature": f"{head}.{body}.",
        "algorithm none": f"{encode({'alg': 'none'})}.{body}.",
        "algorithm none, signed": f"{encode({'alg': 'none'})}.{body}.{signature}",
        "hmac": f"{encode({'alg': 'HS256'})}.{body}.{signature}",
        "other subject": f"{head}.{encode({**claims, 'sub': 'system:serviceaccount:team:root'})}.{signature}",
        "later end": f"{head}.{encode({**claims, 'exp': 99999999999})}.{signature}",
        "padded": f"{head}.{body}.{signature}==",
        "spaced": f"{head}.{body}.{signature[:10]} {signature[10:]}",
        "not ascii": f"{head}.{body}.é",
        "list": f"{encode([])}.{encode([])}.{signature}",
        "zero signature": f"{head}.{body}.{encode('')}",
        "zeros": f"{head}.{body}." + base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode(),
    }


@pytest.mark.parametrize("how", sorted(forgeries("a.e30.c")))
def test_forgeries_are_refused(cluster: Cluster, how: str) -> None:
    forged = forgeries(cluster.issue())[how]
    assert cluster.refusal(forged) == "the bearer token is not one that this cluster issued"


def test_a_token_of_another_cluster_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    other = Cluster(Pki.open(tmp_path).service_account_key)
    assert "not one that this cluster issued" in cluster.refusal(other.issue())


def test_the_public_key_verifies_tokens_elsewhere(cluster: Cluster) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    def number(text: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")

    token = cluster.issue()
    (shown,) = cluster.tokens.key_set()["keys"]
    assert part(token, 0)["kid"] == shown["kid"]
    public = ec.EllipticCurvePublicNumbers(number(shown["x"]), number(shown["y"]), ec.SECP256R1()).public_key()
    head, body, signature = token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
