"""What a name may be, and how names are made.

The checks are those of ``k8s.io/apimachinery/pkg/util/validation`` and give its messages; they return the text of
what is wrong, or ``None``. ``child_name`` is the rule by which reconcilers name what they create: the same owner,
role and attempt always give the same name, so that creating a child twice is creating it once.
"""

import hashlib
import random
import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENV_NAME = re.compile(r"[ -<>-~]+")
_UNSAFE = re.compile(r"[^a-z0-9]+")

_GENERATED_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own: no vowels and no look-alikes, so that no word comes out."""

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def is_dns_label(text: str) -> str | None:
    """Check an RFC 1123 label (namespaces, container names, ports): at most 63 characters."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    return None if _LABEL.fullmatch(text) else _LABEL_TEXT


def is_dns_1035_label(text: str) -> str | None:
    """Check an RFC 1035 label (services): a DNS label that starts with a letter."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    return None if _LABEL_1035.fullmatch(text) else _LABEL_1035_TEXT


def is_dns_subdomain(text: str) -> str | None:
    """Check an RFC 1123 subdomain, the rule for most object names: at most 253 characters."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    return None if _SUBDOMAIN.fullmatch(text) else _SUBDOMAIN_TEXT


def is_path_segment(text: str) -> str | None:
    """Check a name that only needs to be one segment of a URL path (RBAC objects)."""
    if text in (".", ".."):
        return f"may not be '{text}'"
    for character in "/%":
        if character in text:
            return f"may not contain '{character}'"
    return None


def is_label_key(text: str) -> str | None:
    """Check the key of a label, an annotation or a finalizer: ``[subdomain/]name``."""
    prefix, slash, name = text.rpartition("/")
    if slash:
        if not prefix:
            return "prefix part must be non-empty"
        if "/" in prefix:
            return (
                "a qualified name must consist of alphanumeric characters, '-', '_' or '.', with an optional DNS "
                "subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )
        wrong = is_dns_subdomain(prefix)
        if wrong:
            return f"prefix part {wrong}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return None if _QUALIFIED.fullmatch(name) else _QUALIFIED_TEXT


def is_label_value(text: str) -> str | None:
    """Check the value of a label: at most 63 characters, may be empty."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    return None if _LABEL_VALUE.fullmatch(text) else _LABEL_VALUE_TEXT


def is_config_key(text: str) -> str | None:
    """Check a key of a ConfigMap or a Secret, which becomes a file name."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    if not _CONFIG_KEY.fullmatch(text):
        return (
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )
    if text == ".":
        return "must not be '.'"
    if text == "..":
        return "must not be '..'"
    if text.startswith(".."):
        return "must not start with '..'"
    return None


def is_environment_name(text: str) -> str | None:
    """Check the name of an environment variable: printable ASCII without ``=``, as Kubernetes 1.34 allows."""
    if _ENV_NAME.fullmatch(text):
        return None
    return (
        "a valid environment variable name must consist only of printable ASCII characters other than '=' "
        "(regex used for validation is '[ -<>-~]+')"
    )


def generate_name(prefix: str, random: random.Random) -> str:
    """Append five random characters to ``metadata.generateName``, cutting the prefix so that 63 suffice."""
    suffix = "".join(random.choice(_GENERATED_ALPHABET) for _ in range(5))
    return prefix[:58] + suffix


def child_name(owner_name: str, *parts: str | int, max_length: int = 63) -> str:
    """Return the name of what ``owner_name`` creates for the role and attempt in ``parts``.

    A function of its arguments and a DNS label. When the joined text is one already, it is the name; else it is
    lowered, replaced and cut, and ends in a hash of the arguments, so that what was cut still tells names apart.
    """
    pieces = [owner_name, *(str(part) for part in parts)]
    text = "-".join(pieces)
    if len(text) <= max_length and _LABEL.fullmatch(text):
        return text
    digest = hashlib.sha256("\0".join(pieces).encode()).hexdigest()[:10]
    readable = _UNSAFE.sub("-", text.lower()).strip("-")[: max_length - 11].rstrip("-")
    return f"{readable}-{digest}" if readable else digest
