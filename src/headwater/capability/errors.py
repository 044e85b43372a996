"""How a program is told that something went wrong, the same at the gateway and in every room's API.

The body is that of Kubeflow Pipelines' JSON gateway, so that the ``kfp`` SDK prints the sentence: ``code`` is a gRPC
code (``google.rpc.Code``), and ``details`` holds the same once more as a ``google.rpc.Status``.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Code(IntEnum):
    """The gRPC codes that are answered."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


_OF_STATUS: Mapping[int, Code] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ALREADY_EXISTS,
    413: Code.RESOURCE_EXHAUSTED,
    422: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    507: Code.UNAVAILABLE,
}


def code_of(status: int) -> Code:
    """Return the gRPC code that says what an HTTP status says."""
    return _OF_STATUS.get(status, Code.INTERNAL)


def error_body(code: Code, message: str) -> dict[str, Any]:
    """Return the JSON of an error."""
    status = {"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": message}
    return {"code": code, "message": message, "details": [status]}
