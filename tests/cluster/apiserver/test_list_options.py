"""Which list options exclude one another."""

from typing import Any

import pytest

from headwater.cluster.apiserver.list_options import check_list_options
from headwater.kube.meta.errors import StatusError


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resource_version": "0"},
        {"resource_version": "5", "resource_version_match": "Exact"},
        {"resource_version": "0", "resource_version_match": "NotOlderThan"},
        {"continue_token": "x"},
        {"watch": True, "resource_version": "5"},
        {"watch": True, "send_initial_events": True, "resource_version_match": "NotOlderThan"},
        {"watch": True, "send_initial_events": False, "resource_version_match": "NotOlderThan"},
    ],
)
def test_allowed(options: dict[str, Any]) -> None:
    check_list_options(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resource_version_match": "Exact"}, "forbidden unless resourceVersion is provided"),
        ({"resource_version": "0", "resource_version_match": "Exact"}, 'forbidden for resourceVersion "0"'),
        ({"resource_version": "1", "resource_version_match": "Some"}, "Unsupported value"),
        ({"continue_token": "x", "resource_version_match": "Exact"}, "forbidden when continue is provided"),
        ({"send_initial_events": True}, "sendInitialEvents is forbidden for list"),
        ({"watch": True, "resource_version": "1", "resource_version_match": "Exact"}, "unless sendInitialEvents"),
        ({"watch": True, "send_initial_events": True}, "requires setting resourceVersionMatch to NotOlderThan"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(StatusError) as caught:
        check_list_options(**options)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert message in caught.value.message
    assert 'ListOptions.meta.k8s.io "" is invalid' in caught.value.message
