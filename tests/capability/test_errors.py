"""The one shape of errors that programs are told."""

import pytest

from headwater.capability.errors import Code, code_of, error_body


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INVALID_ARGUMENT),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (404, Code.NOT_FOUND),
        (409, Code.ALREADY_EXISTS),
        (413, Code.RESOURCE_EXHAUSTED),
        (422, Code.INVALID_ARGUMENT),
        (429, Code.RESOURCE_EXHAUSTED),
        (501, Code.UNIMPLEMENTED),
        (503, Code.UNAVAILABLE),
        (507, Code.UNAVAILABLE),
        (500, Code.INTERNAL),
        (418, Code.INTERNAL),
    ],
)
def test_code_of_a_status(status, code):
    assert code_of(status) is code


def test_the_body_is_that_of_the_json_gateway_of_kubeflow_pipelines():
    status = {"@type": "type.googleapis.com/google.rpc.Status", "code": 5, "message": "There is none."}
    assert error_body(Code.NOT_FOUND, "There is none.") == {
        "code": 5,
        "message": "There is none.",
        "details": [status],
    }
