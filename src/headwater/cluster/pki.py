"""The cluster's own certificates and keys: made once, kept in one private directory, renewed before they end.

The layout and the rules are kubeadm's, in small: one authority signs the API server's certificate and the
administrator's client certificate (common name: the user, organizations: its groups), and a separate key signs
service-account tokens. All keys are ECDSA P-256. A certificate that is about to end, that another authority
signed or that lacks a name is issued again at the next start; the authority and the token key never change,
since kubeconfigs and running pods depend on them.
"""

import base64
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import Clock, SystemClock

if TYPE_CHECKING:
    import ssl

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, ExtensionType, GeneralName, KeyUsage

ADMIN_USER = "headwater-admin"
ADMIN_GROUPS = ("system:masters",)

SERVER_NAMES = (
    "localhost",
    "127.0.0.1",
    "::1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
"""The names under which every API server answers."""

_AUTHORITY_LIFETIME = timedelta(days=3650)
_LIFETIME = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=60)
_BACKDATE = timedelta(hours=1)  # a client whose clock is a little behind must accept a new certificate


class PkiError(Exception):
    """A file of the directory cannot be read; the message says which, and what to do."""


@dataclass(frozen=True)
class Credentials:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


class Pki:
    """The directory of certificates and keys of one cluster. ``Pki.open`` makes what is missing."""

    def __init__(self, directory: Path, clock: Clock, authority: Credentials, names: tuple[str, ...]) -> None:
        self.directory = directory
        self._clock = clock
        self._authority = authority
        self._names = names

    @classmethod
    def open(cls, directory: Path, *, clock: Clock | None = None, names: Sequence[str] = ()) -> "Pki":
        """Open the directory, creating or renewing what is needed. ``names`` are further names of the server.

        Raises ``PkiError`` for a file that is there but is no certificate or key, ``OSError`` when the directory
        cannot be written.
        """
        clock = clock or SystemClock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = _read(directory, "ca") or _store(directory, "ca", _issue_authority(clock.now()))
        pki = cls(directory, clock, authority, tuple(dict.fromkeys((*SERVER_NAMES, *names))))
        pki._ensure("server", client=False)
        pki._ensure("admin", client=True)
        key = directory / "service-account.key"
        if not key.exists():
            _write(key, _pem_of_key(_new_key()))
        return pki

    @property
    def ca_certificate(self) -> bytes:
        """The authority's certificate, PEM: what every client must trust."""
        return self._authority.certificate

    @property
    def service_account_key(self) -> bytes:
        """The private key that signs service-account tokens, PEM."""
        return (self.directory / "service-account.key").read_bytes()

    @property
    def admin(self) -> Credentials:
        """The administrator's client certificate and key."""
        return _expect(self.directory, "admin")

    def issue_client(self, user: str, groups: Sequence[str] = (), lifetime: timedelta = _LIFETIME) -> Credentials:
        """Sign a client certificate for a user (common name) and its groups (organizations)."""
        return _issue(self._authority, user, groups, (), lifetime, self._clock.now())

    def server_context(self) -> "ssl.SSLContext":
        """TLS for the API server: its certificate, and client certificates of this authority accepted."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.directory / "server.crt", self.directory / "server.key")
        context.load_verify_locations(cadata=self.ca_certificate.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context

    def kubeconfig(self, server: str, credentials: Credentials | None = None, user: str = ADMIN_USER) -> Object:
        """Return a kubeconfig for this cluster at the URL ``server``; by default the administrator's."""
        credentials = credentials or self.admin
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "headwater",
                    "cluster": {"server": server, "certificate-authority-data": _base64(self.ca_certificate)},
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _base64(credentials.certificate),
                        "client-key-data": _base64(credentials.key),
                    },
                }
            ],
            "contexts": [
                {"name": "headwater", "context": {"cluster": "headwater", "user": user, "namespace": "default"}}
            ],
            "current-context": "headwater",
        }

    def write_kubeconfig(self, path: Path, server: str) -> None:
        """Write the administrator's kubeconfig, readable by its owner only, replacing an older one at once."""
        import yaml

        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, yaml.safe_dump(self.kubeconfig(server), sort_keys=False).encode())

    def _ensure(self, name: str, *, client: bool) -> None:
        pair = _read(self.directory, name)
        if pair is not None and self._is_good(pair, name, client=client):
            return
        now = self._clock.now()
        if client:
            pair = _issue(self._authority, ADMIN_USER, ADMIN_GROUPS, (), _LIFETIME, now)
        else:
            pair = _issue(self._authority, "headwater-apiserver", (), self._names, _LIFETIME, now)
        _store(self.directory, name, pair)

    def _is_good(self, pair: Credentials, name: str, *, client: bool) -> bool:
        from cryptography import x509

        certificate = _load_certificate(pair.certificate, self.directory / f"{name}.crt")
        authority = _load_certificate(self.ca_certificate, self.directory / "ca.crt")
        if certificate.not_valid_after_utc - _RENEW_BEFORE < self._clock.now():
            return False
        try:
            certificate.verify_directly_issued_by(authority)
        except Exception:  # any failure means the same: this authority did not sign it
            return False
        if client:
            return True
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        have = {str(name) for name in found.get_values_for_type(x509.DNSName)}
        have |= {str(address) for address in found.get_values_for_type(x509.IPAddress)}
        return set(self._names) <= have


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _write(path: Path, data: bytes) -> None:
    """Put a private file in place whole: no reader and no crash ever sees half a key."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _store(directory: Path, name: str, pair: Credentials) -> Credentials:
    # The certificate last: it is what says that the pair is complete.
    _write(directory / f"{name}.key", pair.key)
    _write(directory / f"{name}.crt", pair.certificate)
    return pair


def _read(directory: Path, name: str) -> Credentials | None:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    if not certificate.exists():
        return None
    if not key.exists():
        raise PkiError(f"{key} is missing although {certificate} exists; restore it from a backup, or delete both")
    pair = Credentials(certificate.read_bytes(), key.read_bytes())
    for path, data in ((certificate, pair.certificate), (key, pair.key)):
        if b"-----BEGIN" not in data:
            raise PkiError(f"{path} is not a PEM file; restore it from a backup, or delete {name}.crt and {name}.key")
    return pair


def _expect(directory: Path, name: str) -> Credentials:
    pair = _read(directory, name)
    if pair is None:
        raise PkiError(f"{directory / name}.crt is missing; start the platform once to have it issued")
    return pair


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem_of_key(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem_of_certificate(certificate: "Certificate") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


def _load_certificate(data: bytes, path: Path) -> "Certificate":
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise PkiError(
            f"{path} is not a certificate ({error}); delete it and its key to have it issued again"
        ) from error


def _load_key(data: bytes) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(data, None)
    except ValueError as error:
        raise PkiError(f"the authority's key cannot be read ({error}); restore ca.key from a backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError("the authority's key is not an elliptic-curve key; restore ca.key from a backup")
    return key


def _issue_authority(now: datetime) -> Credentials:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "headwater-ca")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Credentials(_pem_of_certificate(certificate), _pem_of_key(key))


def _issue(
    authority: Credentials, user: str, groups: Sequence[str], names: Sequence[str], lifetime: timedelta, now: datetime
) -> Credentials:
    """Sign a certificate: for a server when it has ``names``, else for a client."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    issuer = _load_certificate(authority.certificate, Path("ca.crt"))
    issuer_key = _load_key(authority.key)
    key = _new_key()
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    extensions: list[tuple[ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(authority=False), True),
        (x509.ExtendedKeyUsage([purpose]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName([_general_name(name) for name in names]), False))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(min(now + lifetime, issuer.not_valid_after_utc))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Credentials(_pem_of_certificate(builder.sign(issuer_key, hashes.SHA256())), _pem_of_key(key))


def _general_name(name: str) -> "GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, authority: bool) -> "KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
