"""Reading a request's body: JSON, YAML, or the few protobuf messages that kubectl insists on.

What cannot be read is answered with one sentence that says what is wrong and on which line. YAML is read as
``sigs.k8s.io/yaml`` does, by what JSON can say: dates stay text, keys become text, and aliases are expanded within
a limit, so that a small body cannot grow into a large object.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from headwater.cluster.apiserver.http.protobuf import MAGIC, UnknownMessageError, decode
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError, bad_request, unsupported_media_type
from headwater.kube.meta.nesting import is_deeper_than
from headwater.kube.meta.objects import Object

MAXIMUM = 3 * 1024 * 1024
"""The largest body that is read, in bytes; upstream's limit."""

PROTOBUF = "application/vnd.kubernetes.protobuf"
_JSON = frozenset({"", "application/json", "text/json", "application/octet-stream"})
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
_LARGEST_TREE = 500_000
_DEEPEST = 200
_PATCHES = {patch_type.value: patch_type for patch_type in PatchType}


def too_large(limit: int = MAXIMUM) -> StatusError:
    """The answer to a body that is larger than the limit (413)."""
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit} bytes")


def media_type(content_type: str) -> str:
    """Return the media type of a ``Content-Type`` header, without its parameters."""
    return content_type.split(";", 1)[0].strip().lower()


def read_object(body: bytes, content_type: str) -> Object:
    """Decode a body that must be an object. Raises ``StatusError`` 400 or 415."""
    value = read_value(body, content_type)
    if not isinstance(value, dict):
        raise bad_request(f"the body must be an object, not {_kind(value)}")
    return value


def read_value(body: bytes, content_type: str) -> Any:
    """Decode a body. Raises ``StatusError`` 400 for one that is malformed, 415 for a media type that is not read."""
    media = media_type(content_type)
    if media in _JSON:
        if body.startswith(MAGIC):
            return _read_protobuf(body)
        return read_json(body)
    if media in _YAML:
        return read_yaml(body)
    if media == PROTOBUF:
        return _read_protobuf(body)
    raise unsupported_media_type(
        f"the body is sent as {media!r}; the media types that are read are application/json and application/yaml"
    )


def read_patch(body: bytes, content_type: str, *, custom: bool) -> tuple[PatchType, Any]:
    """Decode the body of a PATCH. ``custom`` resources have no strategic merge. Raises ``StatusError`` 400 or 415."""
    patch_type = _PATCHES.get(media_type(content_type))
    if patch_type is None or (custom and patch_type is PatchType.STRATEGIC):
        accepted = [name for name in _PATCHES if not (custom and name == PatchType.STRATEGIC.value)]
        raise unsupported_media_type(
            f"the body of the request was in an unknown format ({media_type(content_type)!r}) - "
            f"accepted media types include: {', '.join(accepted)}"
        )
    value = read_yaml(body) if patch_type is PatchType.APPLY else read_json(body)
    if patch_type is PatchType.JSON:
        if not isinstance(value, list):
            raise bad_request(f"a JSON patch must be a list of operations, not {_kind(value)}")
    elif not isinstance(value, dict):
        raise bad_request(f"the patch must be an object, not {_kind(value)}")
    return patch_type, value


def read_json(body: bytes) -> Any:
    """Decode JSON. Raises ``StatusError`` 400 with line and column."""
    if not body.strip():
        raise bad_request("the body is empty; it must be a JSON document")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(
            f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error


def read_yaml(body: bytes) -> Any:
    """Decode one YAML document. Raises ``StatusError`` 400 with line and column."""
    import yaml

    from headwater.cluster.apiserver.http.yamlish import PlainLoader

    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not valid YAML: it is not UTF-8 (byte {error.start})") from error
    if text.lstrip().startswith("{"):
        # Clients send JSON as YAML, which it is; reading it as JSON is much faster.
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
    if is_deeper_than(text, _DEEPEST):
        raise bad_request(f"the body is nested more than {_DEEPEST} levels deep")
    try:
        documents = [document for document in yaml.load_all(text, PlainLoader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise bad_request(f"the body is not valid YAML: {error.problem or error.context}{where}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad_request(f"the body is not valid YAML: {' '.join(str(error).split())}") from error
    if not documents:
        raise bad_request("the body is empty; it must be a YAML document")
    if len(documents) > 1:
        raise bad_request(f"the body holds {len(documents)} YAML documents; send one request for each")
    return _plain(documents[0], "", 0, iter(range(_LARGEST_TREE)))


def _plain(value: Any, path: str, depth: int, budget: Iterator[int]) -> Any:
    """Copy what YAML gave as what JSON can say."""
    if next(budget, None) is None:
        raise bad_request("the body is too large once its YAML aliases are expanded")
    if depth > _DEEPEST:
        raise bad_request(f"the body is nested more than {_DEEPEST} levels deep (or a YAML alias contains itself)")
    if isinstance(value, dict):
        return {_key(key, path): _plain(item, f"{path}.{key}", depth + 1, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]", depth + 1, budget) for index, item in enumerate(value)]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        # As JSON's numbers are read: what no integer holds is a floating-point number.
        value = float(value) if abs(value) < 10**308 else float("inf")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return value
    raise bad_request(f"the value at {path.lstrip('.') or 'the top'} cannot be written as JSON: {value!r}")


def _key(key: Any, path: str) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    raise bad_request(f"a key at {path.lstrip('.') or 'the top'} is neither text nor a number: {key!r}")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _read_protobuf(body: bytes) -> Any:
    try:
        return decode(body)
    except UnknownMessageError as error:
        raise unsupported_media_type(
            f"a protobuf body with {error} is not read yet; send JSON or YAML, for example: "
            "kubectl apply -f, or kubectl create --dry-run=client -o yaml | kubectl create -f -"
        ) from error
    except ValueError as error:
        raise bad_request(f"the body is not a valid protobuf message: {error}") from error
