"""Which form a client gets."""

import pytest

from headwater.cluster.apiserver.http.negotiation import Form, Wanted, negotiate
from headwater.kube.meta.errors import StatusError

OBJECT, TABLE, METADATA = Wanted(), Wanted(Form.TABLE), Wanted(Form.METADATA)
FORMS = frozenset({Form.OBJECT, Form.TABLE, Form.METADATA})
KUBECTL = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)

INFORMER = (
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", OBJECT),
        ("*/*", OBJECT),
        ("application/json, */*", OBJECT),
        (KUBECTL, TABLE),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", OBJECT),
        ("application/vnd.kubernetes.protobuf, application/json", OBJECT),
        (INFORMER, METADATA),
        ("application/yaml", Wanted(Form.OBJECT, yaml=True)),
        ("text/html, application/yaml;q=0.5, application/json;q=0.1", Wanted(Form.OBJECT, yaml=True)),
        ("application/json;q=0, */*;q=0.1", OBJECT),
    ],
)
def test_the_first_clause_that_can_be_met(accept: str, expected: Wanted) -> None:
    assert negotiate(accept, FORMS) == expected


def test_a_form_that_the_answer_does_not_have_is_passed_over() -> None:
    assert negotiate(KUBECTL, frozenset({Form.OBJECT})) == OBJECT


@pytest.mark.parametrize("accept", ["text/html", "application/vnd.kubernetes.protobuf", "application/json;q=0"])
def test_nothing_that_can_be_met(accept: str) -> None:
    with pytest.raises(StatusError) as caught:
        negotiate(accept, FORMS)
    assert caught.value.code == 406
