"""Certificates: made once, private, renewed in time, and good enough for a real TLS handshake."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from headwater.cluster.pki import SERVER_NAMES, Pki, PkiError


class FixedClock:
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("certificates wait for nothing")


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_everything_is_made_once_and_is_private(tmp_path: Path) -> None:
    directory = tmp_path / "pki"
    Pki.open(directory)
    before = files(directory)
    assert sorted(before) == [
        "admin.crt", "admin.key", "ca.crt", "ca.key", "server.crt", "server.key", "service-account.key",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    Pki.open(directory)
    assert files(directory) == before


def test_certificates_that_are_about_to_end_are_issued_again(tmp_path: Path) -> None:
    clock = FixedClock(datetime.now(UTC))
    Pki.open(tmp_path, clock=clock)
    before = files(tmp_path)
    clock.moment += timedelta(days=330)
    Pki.open(tmp_path, clock=clock)
    changed = {name for name, data in files(tmp_path).items() if before[name] != data}
    assert changed == {"server.crt", "server.key", "admin.crt", "admin.key"}


def test_a_new_name_of_the_server_is_added(tmp_path: Path) -> None:
    Pki.open(tmp_path)
    Pki.open(tmp_path, names=["host.example"])
    certificate = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    assert found == {*SERVER_NAMES, "host.example"}


def test_certificates_of_another_authority_are_replaced(tmp_path: Path) -> None:
    Pki.open(tmp_path)
    before = files(tmp_path)
    (tmp_path / "ca.crt").unlink()
    (tmp_path / "ca.key").unlink()
    Pki.open(tmp_path)
    after = files(tmp_path)
    assert after["server.crt"] != before["server.crt"]
    assert after["service-account.key"] == before["service-account.key"]


@pytest.mark.parametrize("name", ["ca.crt", "server.crt", "admin.key"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    Pki.open(tmp_path)
    (tmp_path / name).write_bytes(b"not pem at all")
    with pytest.raises(PkiError, match=name):
        Pki.open(tmp_path)


def test_a_certificate_without_its_key_is_named(tmp_path: Path) -> None:
    Pki.open(tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(PkiError, match=r"ca\.key is missing"):
        Pki.open(tmp_path)


def test_a_client_is_recognised_in_a_real_handshake(tmp_path: Path) -> None:
    pki = Pki.open(tmp_path)
    pair = pki.issue_client("ann", ["data", "science"])
    (tmp_path / "ann.pem").write_bytes(pair.certificate + pair.key)
    client = ssl.create_default_context(cadata=pki.ca_certificate.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(tmp_path / "ann.pem")
    subject = shake_hands(pki.server_context(), client, "kubernetes.default.svc")
    assert (("commonName", "ann"),) in subject
    assert (("organizationName", "data"),) in subject
    assert (("organizationName", "science"),) in subject


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Run a handshake in memory and return the client's subject as the server sees it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    peer = there.getpeercert()
    assert peer is not None
    return peer["subject"]  # type: ignore[return-value]


def test_the_kubeconfig_is_private_and_names_the_server(tmp_path: Path) -> None:
    pki = Pki.open(tmp_path / "pki")
    path = tmp_path / "out" / "kubeconfig"
    pki.write_kubeconfig(path, "https://127.0.0.1:6443")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert config["current-context"] == config["contexts"][0]["name"]
