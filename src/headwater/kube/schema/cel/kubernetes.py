"""Kubernetes' own types and functions: quantities, URLs, addresses, semantic versions, named formats.

Follows ``k8s.io/apiserver/pkg/cel/library``. A function that a standard one shares its name with (``contains``)
falls through to it.
"""

import ipaddress
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from headwater.kube.meta.names import is_dns_1035_label, is_dns_label, is_dns_subdomain, is_label_key
from headwater.kube.meta.quantities import format_quantity, parse_quantity
from headwater.kube.schema.cel.values import NONE, CelError, Opaque, Optional

Entry = tuple[Callable[..., Any], str, int, int]


@dataclass(frozen=True, slots=True)
class Quantity(Opaque):
    """An amount."""

    amount: Decimal
    type_name = "kubernetes.Quantity"

    def __str__(self) -> str:
        return format_quantity(self.amount)


@dataclass(frozen=True, slots=True)
class Url(Opaque):
    """A parsed URL."""

    text: str
    parts: SplitResult
    type_name = "kubernetes.URL"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Ip(Opaque):
    """An address."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    type_name = "net.IP"

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class Cidr(Opaque):
    """An address with a prefix length."""

    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    type_name = "net.CIDR"

    def __str__(self) -> str:
        return str(self.interface)


@dataclass(frozen=True, slots=True)
class Semver(Opaque):
    """A semantic version; ``order`` is what it is compared by."""

    text: str
    order: tuple[Any, ...]
    type_name = "kubernetes.Semver"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class NamedFormat(Opaque):
    """A format with a name: ``format.dns1123Label()``."""

    name: str
    check: Callable[[str], str | None]
    type_name = "kubernetes.NamedFormat"


def _needs_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _quantity(value: str) -> Quantity:
    try:
        return Quantity(parse_quantity(_needs_text(value)))
    except ValueError as error:
        raise CelError(str(error)) from None


def _url(value: str) -> Url:
    try:
        parts = urlsplit(_needs_text(value))
        _ = parts.port
    except ValueError as error:
        raise CelError(f"URL parse error during conversion from string: {error}") from None
    if not (parts.scheme or value.startswith("/")) or any(ord(letter) < 33 for letter in value):
        raise CelError(f'URL parse error during conversion from string: parse "{value}": invalid URI for request')
    return Url(value, parts)


def _host(url: Url) -> str:
    return url.parts.netloc.rpartition("@")[2]


def _hostname(url: Url) -> str:
    host = _host(url)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _ip(value: Any) -> Ip:
    if isinstance(value, Cidr):
        return Ip(value.interface.ip)
    try:
        address = ipaddress.ip_address(_needs_text(value))
    except ValueError:
        raise CelError(f'IP Address "{value}" parse error during conversion from string') from None
    if (isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id)) or "%" in value:
        raise CelError(f'IP Address "{value}" parse error: IPv4-mapped addresses and zones are not allowed')
    return Ip(address)


def _cidr(value: str) -> Cidr:
    if "/" not in _needs_text(value) or not value.rpartition("/")[2].isdigit():
        raise CelError(f'network address parse error during conversion from string: "{value}"')
    try:
        return Cidr(ipaddress.ip_interface(value))
    except ValueError as error:
        raise CelError(f"network address parse error during conversion from string: {error}") from None


_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:[0-9A-Za-z-]+)(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
)


def _semver(value: str, normalize: bool = False) -> Semver:
    text = _needs_text(value)
    if normalize:
        numbers, mark, rest = re.sub(r"^v", "", text).partition("-")
        fields = [str(int(part)) if part.isdigit() else part for part in numbers.split(".")]
        text = ".".join([*fields, "0", "0"][: max(3, len(fields))]) + mark + rest
    match = _SEMVER.fullmatch(text)
    if match is None:
        raise CelError(f'"{value}" is not a semantic version')
    release = tuple(int(match[number]) for number in (1, 2, 3))
    pre = match[4]
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")) if pre else ()
    return Semver(text, (*release, 0 if pre else 1, parts))


def _can(make: Callable[..., Any]) -> Callable[..., bool]:
    def check(*values: Any) -> bool:
        try:
            make(*values)
        except CelError:
            return False
        return True

    return check


def _order(value: Any) -> Any:
    if isinstance(value, Quantity):
        return value.amount
    if isinstance(value, Semver):
        return value.order
    raise TypeError


def _compare(left: Any, right: Any) -> int:
    if type(left) is not type(right):
        raise TypeError
    mine, other = _order(left), _order(right)
    return int(mine > other) - int(mine < other)


def _shifted(sign: int) -> Callable[[Any, Any], Quantity]:
    def shift(left: Quantity, right: Any) -> Quantity:
        amount = right.amount if isinstance(right, Quantity) else Decimal(right)
        return Quantity(left.amount + sign * amount)

    return shift


def _as_integer(value: Quantity) -> int:
    if value.amount != value.amount.to_integral_value() or not -(2**63) <= value.amount < 2**63:
        raise CelError("cannot convert value to integer")
    return int(value.amount)


def _contains_ip(cidr: Cidr, address: Any) -> bool:
    wanted = address if isinstance(address, Ip) else _ip(address)
    return wanted.address in cidr.interface.network


def _contains_cidr(cidr: Cidr, other: Any) -> bool:
    inner, outer = (other if isinstance(other, Cidr) else _cidr(other)).interface.network, cidr.interface.network
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _masked(cidr: Cidr) -> Cidr:
    return Cidr(ipaddress.ip_interface(str(cidr.interface.network)))


def _label_value(text: str) -> str | None:
    fits = len(text) <= 63 and re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?", text)
    return (
        None if fits else "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
    )


def _uuid(text: str) -> str | None:
    try:
        return None if str(uuid.UUID(text)) == text.lower() else "does not match the UUID format"
    except ValueError:
        return "does not match the UUID format"


def _looks(pattern: str, what: str) -> Callable[[str], str | None]:
    compiled = re.compile(pattern)
    return lambda text: None if compiled.fullmatch(text) else f"invalid {what}"


def _prefix(check: Callable[[str], str | None]) -> Callable[[str], str | None]:
    return lambda text: check(text + "a" if text.endswith("-") else text)


_FORMATS: dict[str, Callable[[str], str | None]] = {
    "dns1123Label": is_dns_label,
    "dns1123Subdomain": is_dns_subdomain,
    "dns1035Label": is_dns_1035_label,
    "qualifiedName": is_label_key,
    "dns1123LabelPrefix": _prefix(is_dns_label),
    "dns1123SubdomainPrefix": _prefix(is_dns_subdomain),
    "dns1035LabelPrefix": _prefix(is_dns_1035_label),
    "labelValue": _label_value,
    "uri": lambda text: None if _can(_url)(text) else "invalid URI",
    "uuid": _uuid,
    "byte": _looks(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", "base64"),
    "date": _looks(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", "date"),
    "datetime": _looks(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", "date-time"),
}


def _named(name: str) -> Optional:
    return Optional(NamedFormat(name, _FORMATS[name]), True) if name in _FORMATS else NONE


def _validate(named: NamedFormat, text: str) -> Optional:
    wrong = named.check(_needs_text(text))
    return NONE if wrong is None else Optional([wrong], True)


def functions(contains: Callable[..., bool], value_of: Callable[[Any], Any]) -> dict[str, Entry]:
    """Return Kubernetes' functions: implementation, type of the result, fewest and most arguments."""
    return {
        "contains": (contains, "bool", 2, 2),
        "value": (value_of, "dyn", 1, 1),
        "quantity": (_quantity, "quantity", 1, 1),
        "isQuantity": (_can(_quantity), "bool", 1, 1),
        "isInteger": (_can(_as_integer), "bool", 1, 1),
        "asInteger": (_as_integer, "int", 1, 1),
        "asApproximateFloat": (lambda value: float(value.amount), "double", 1, 1),
        "isGreaterThan": (lambda left, right: _compare(left, right) > 0, "bool", 2, 2),
        "isLessThan": (lambda left, right: _compare(left, right) < 0, "bool", 2, 2),
        "compareTo": (_compare, "int", 2, 2),
        "add": (_shifted(1), "quantity", 2, 2),
        "sub": (_shifted(-1), "quantity", 2, 2),
        "sign": (lambda value: int(value.amount > 0) - int(value.amount < 0), "int", 1, 1),
        "url": (_url, "url", 1, 1),
        "isURL": (_can(_url), "bool", 1, 1),
        "getScheme": (lambda url: url.parts.scheme, "string", 1, 1),
        "getHost": (_host, "string", 1, 1),
        "getHostname": (_hostname, "string", 1, 1),
        "getPort": (lambda url: str(url.parts.port) if url.parts.port is not None else "", "string", 1, 1),
        "getEscapedPath": (lambda url: url.parts.path, "string", 1, 1),
        "getQuery": (lambda url: parse_qs(url.parts.query, keep_blank_values=True), "map", 1, 1),
        "ip": (_ip, "ip", 1, 1),
        "isIP": (_can(_ip), "bool", 1, 1),
        "ip.isCanonical": (lambda text: str(_ip(text)) == text, "bool", 1, 1),
        "family": (lambda ip: ip.address.version, "int", 1, 1),
        "isUnspecified": (lambda ip: ip.address.is_unspecified, "bool", 1, 1),
        "isLoopback": (lambda ip: ip.address.is_loopback, "bool", 1, 1),
        "isLinkLocalMulticast": (lambda ip: ip.address.is_multicast and _link_local(ip), "bool", 1, 1),
        "isLinkLocalUnicast": (lambda ip: ip.address.is_link_local, "bool", 1, 1),
        "isGlobalUnicast": (_is_global_unicast, "bool", 1, 1),
        "cidr": (_cidr, "cidr", 1, 1),
        "isCIDR": (_can(_cidr), "bool", 1, 1),
        "containsIP": (_contains_ip, "bool", 2, 2),
        "containsCIDR": (_contains_cidr, "bool", 2, 2),
        "masked": (_masked, "cidr", 1, 1),
        "prefixLength": (lambda cidr: cidr.interface.network.prefixlen, "int", 1, 1),
        "semver": (_semver, "semver", 1, 2),
        "isSemver": (_can(_semver), "bool", 1, 2),
        "major": (lambda version: version.order[0], "int", 1, 1),
        "minor": (lambda version: version.order[1], "int", 1, 1),
        "patch": (lambda version: version.order[2], "int", 1, 1),
        "validate": (_validate, "dyn", 2, 2),
        "format.named": (_named, "dyn", 1, 1),
        **{f"format.{name}": (_format_maker(name), "dyn", 0, 0) for name in _FORMATS},
        # The authorizer of admission policies answers these itself.
        **{
            name: (_ask(name), result, least, most)
            for name, (result, least, most) in {
                "path": ("dyn", 2, 2),
                "group": ("dyn", 2, 2),
                "resource": ("dyn", 2, 2),
                "subresource": ("dyn", 2, 2),
                "namespace": ("dyn", 2, 2),
                "name": ("dyn", 2, 2),
                "serviceAccount": ("dyn", 3, 3),
                "check": ("dyn", 2, 2),
                "allowed": ("bool", 1, 1),
                "reason": ("string", 1, 1),
                "errored": ("bool", 1, 1),
                "error": ("string", 1, 1),
            }.items()
        },
    }


def _link_local(ip: Ip) -> bool:
    packed = ip.address.packed
    return packed[:3] == b"\xe0\x00\x00" if ip.address.version == 4 else packed[1] & 0x0F == 2


def _is_global_unicast(ip: Ip) -> bool:
    address = ip.address
    excluded = (address.is_unspecified, address.is_loopback, address.is_multicast, address.is_link_local)
    return not any(excluded) and str(address) != "255.255.255.255"


def _format_maker(name: str) -> Callable[[], NamedFormat]:
    return lambda: NamedFormat(name, _FORMATS[name])


class Askable(Opaque):
    """A value whose methods answer by themselves, such as the authorizer of admission policies."""

    def ask(self, method: str, *args: Any) -> Any:
        """Call a method. Raises ``TypeError`` for one that is not there."""
        raise TypeError(method)

    def select(self, name: str) -> Any:
        """Return a field. Raises ``CelError`` for one that is not there."""
        raise CelError(f"no such key: {name}")


def _ask(method: str) -> Callable[..., Any]:
    def call(target: Any, *args: Any) -> Any:
        if not isinstance(target, Askable):
            raise TypeError
        return target.ask(method, *args)

    return call
