"""Service-account tokens: JSON Web Tokens signed with the cluster's key (ES256), bound to what they are for.

The claims are those of Kubernetes' bound tokens (``kubernetes.io`` with the namespace, the service account and
the pod). A token is good while its signature, its times and its audience hold *and* the service account and the
pod it names still exist with the same uid: deleting either revokes it at once.
"""

import base64
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from headwater.cluster.apiserver.users import SERVICE_ACCOUNT_PREFIX, User, service_account_user
from headwater.cluster.store.documents import Document
from headwater.kube.meta.errors import StatusError, unauthorized
from headwater.kube.meta.objects import Object, uid_of
from headwater.kube.meta.resources import PODS, SECRETS, SERVICE_ACCOUNTS, Resource
from headwater.kube.meta.time import Clock, format_time

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

ISSUER = "https://kubernetes.default.svc.cluster.local"
MINIMUM_LIFETIME = timedelta(minutes=10)
MAXIMUM_LIFETIME = timedelta(days=365)
"""Longer requests are cut to this; the answer says when the token really ends."""

_REMEMBERED = 1024
_KINDS: dict[str, Resource] = {"Pod": PODS, "Secret": SECRETS}

Lookup = Callable[[Resource, str, str], Document | None]
"""Reads one committed object by namespace and name, without waiting: ``Api.peek``."""


@dataclass(frozen=True, slots=True)
class BoundObject:
    """The object that a token ends with: a Pod or a Secret of the service account's namespace."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The bearer of a token that holds, and the audiences it was accepted for."""

    user: User
    audiences: tuple[str, ...]


class TokenIssuer:
    """Signs and verifies the service-account tokens of one cluster."""

    def __init__(
        self,
        key: bytes,
        lookup: Lookup,
        clock: Clock,
        *,
        issuer: str = ISSUER,
        audiences: Sequence[str] = (ISSUER, "https://kubernetes.default.svc", "kubernetes"),
    ) -> None:
        """``key`` is the private key as PEM; ``audiences`` are the API server's own names for itself."""
        self._pem = key
        self._lookup = lookup
        self._clock = clock
        self.issuer = issuer
        self.audiences = tuple(audiences)
        # Signatures that were checked once: the costly part of a request, and the part that never changes.
        self._checked: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def issue(
        self,
        service_account: str,
        namespace: str,
        uid: str,
        audiences: Sequence[str] = (),
        expires_in: float = 3600,
        pod: BoundObject | None = None,
    ) -> tuple[str, datetime]:
        """Sign a token for a service account (by name, namespace and uid) and return it with its end.

        ``expires_in`` is in seconds. No audience means the API server's own. ``pod`` binds the token to an object.
        """
        now = self._clock.now().replace(microsecond=0)
        lifetime = min(max(timedelta(seconds=expires_in), MINIMUM_LIFETIME), MAXIMUM_LIFETIME)
        expiry = now + lifetime
        about: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": service_account, "uid": uid}}
        if pod is not None:
            about[pod.kind.lower()] = {"name": pod.name, "uid": pod.uid}
        claims = {
            "aud": list(audiences) or list(self.audiences[:1]),
            "exp": int(expiry.timestamp()),
            "iat": int(now.timestamp()),
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": about,
            "nbf": int(now.timestamp()),
            "sub": f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{service_account}",
        }
        header = {"alg": "ES256", "kid": self.key_id, "typ": "JWT"}
        signed = f"{_encode(orjson.dumps(header))}.{_encode(orjson.dumps(claims))}"
        return f"{signed}.{_encode(self._sign(signed.encode()))}", expiry

    def verify(self, token: str, audiences: Sequence[str] = ()) -> User:
        """Return the service account that bears the token. Raises ``StatusError`` 401 that says what is wrong."""
        return self.authenticate(token, audiences).user

    def authenticate(self, token: str, audiences: Sequence[str] = ()) -> Verified:
        """As ``verify``, and also which of the wanted audiences (default: the API server's) the token is for."""
        claims = self._claims(token)
        now = self._clock.now()
        subject = str(claims.get("sub", ""))
        if claims.get("iss") != self.issuer or not subject.startswith(SERVICE_ACCOUNT_PREFIX):
            raise unauthorized("the bearer token was not issued by this cluster")
        namespace, _, name = subject.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
        expiry = datetime.fromtimestamp(float(claims.get("exp") or 0), UTC)
        if now >= expiry:
            raise unauthorized(
                f"the token of service account {namespace}/{name} expired at {format_time(expiry)}; "
                f"get a new one, for example with: kubectl create token {name} --namespace {namespace}"
            )
        if now + timedelta(seconds=60) < datetime.fromtimestamp(float(claims.get("nbf") or 0), UTC):
            raise unauthorized("the bearer token is not valid yet; check the clocks of both machines")
        wanted = tuple(audiences) or self.audiences
        accepted = tuple(audience for audience in wanted if audience in claims.get("aud", ()))
        if not accepted:
            raise unauthorized(f"the bearer token is for the audience {claims.get('aud')}, not for {list(wanted)}")
        about = claims.get("kubernetes.io", {})
        uid = str(about.get("serviceaccount", {}).get("uid", ""))
        account = self._lookup(SERVICE_ACCOUNTS, namespace, name)
        if account is None or uid_of(account.object) != uid:
            raise unauthorized(f"the service account {namespace}/{name} of the bearer token has been deleted")
        extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims.get('jti', '')}",)}
        for kind, resource in _KINDS.items():
            bound = about.get(kind.lower())
            if bound is None:
                continue
            found = self._lookup(resource, namespace, str(bound.get("name", "")))
            if found is None or uid_of(found.object) != bound.get("uid"):
                raise unauthorized(f"the {kind} {namespace}/{bound.get('name')} of the bearer token has been deleted")
            if kind == "Pod":
                extra["authentication.kubernetes.io/pod-name"] = (str(bound.get("name")),)
                extra["authentication.kubernetes.io/pod-uid"] = (str(bound.get("uid")),)
        return Verified(replace(service_account_user(namespace, name, uid), extra=extra), accepted)

    @cached_property
    def key_id(self) -> str:
        """The name of the signing key: a hash of its public half."""
        from cryptography.hazmat.primitives import serialization

        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return _encode(hashlib.sha256(der).digest())

    def key_set(self) -> Object:
        """The public key as a JSON Web Key Set (``/openid/v1/jwks``), for others who verify tokens."""
        numbers = self._public.public_numbers()
        key = {
            "use": "sig",
            "kty": "EC",
            "kid": self.key_id,
            "crv": "P-256",
            "alg": "ES256",
            "x": _encode(numbers.x.to_bytes(32, "big")),
            "y": _encode(numbers.y.to_bytes(32, "big")),
        }
        return {"keys": [key]}

    def _claims(self, token: str) -> dict[str, Any]:
        known = self._checked.get(token)
        if known is not None:
            self._checked.move_to_end(token)
            return known
        try:
            claims = self._check(token)
        except (ValueError, TypeError) as error:
            raise unauthorized("the bearer token is not one that this cluster issued") from error
        self._checked[token] = claims
        if len(self._checked) > _REMEMBERED:
            self._checked.popitem(last=False)
        return claims

    def _check(self, token: str) -> dict[str, Any]:
        """Return the claims of a token whose signature is ours. Raises ``ValueError``."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        head, body, signature = token.split(".")
        # The algorithm is ours to choose, never the token's.
        header = orjson.loads(_decode(head))
        if not isinstance(header, dict) or header.get("alg") != "ES256":
            raise ValueError("another algorithm")
        raw = _decode(signature)
        if len(raw) != 64:
            raise ValueError("a signature of another length")
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        try:
            self._public.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise ValueError("signed by another key") from error
        claims = orjson.loads(_decode(body))
        if not isinstance(claims, dict):
            raise ValueError("claims that are no object")
        return claims

    def _sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        r, s = decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    @cached_property
    def _private(self) -> "EllipticCurvePrivateKey":
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = serialization.load_pem_private_key(self._pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StatusError(500, "InternalError", "the key for service-account tokens is not an elliptic-curve key")
        return key

    @cached_property
    def _public(self) -> "EllipticCurvePublicKey":
        return self._private.public_key()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    # b64decode skips what is not of its alphabet, so that many texts would mean one token; only one is ours.
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(data) != text:
        raise ValueError("not base64url")
    return data
