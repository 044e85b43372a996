"""From credentials to a user, and acting as another."""

from typing import Any

import pytest

from headwater.cluster.apiserver.authn.authenticator import impersonated, user_of_certificate
from headwater.cluster.apiserver.users import User
from headwater.kube.meta.errors import StatusError


def test_a_certificate_names_user_and_groups() -> None:
    subject = ((("organizationName", "data"),), (("organizationName", "science"),), (("commonName", "ann"),))
    assert user_of_certificate({"subject": subject}) == User("ann", ("data", "science", "system:authenticated"))
    with pytest.raises(StatusError, match="no common name"):
        user_of_certificate({"subject": subject[:1]})


class Granting:
    """Allows impersonating what it lists."""

    def __init__(self, *granted: tuple[str, str]) -> None:
        self.granted = granted

    def impersonate(self, user: User, group: str, resource: str, namespace: str, name: str) -> str | None:
        return None if (resource, name) in self.granted else "no"


ROOT = User("root", ("system:authenticated",))
ANN, GROUP = ("users", "ann"), ("groups", "science")
CASES: list[tuple[list[tuple[str, str]], list[tuple[str, str]], Any]] = [
    ([], [], ROOT),
    ([("Impersonate-User", "ann")], [ANN], User("ann", ("system:authenticated",))),
    ([("Impersonate-User", "ann")], [], 403),
    (
        [("impersonate-user", "ann"), ("Impersonate-Group", "science")],
        [ANN, GROUP],
        User("ann", ("science", "system:authenticated")),
    ),
    ([("Impersonate-User", "ann"), ("Impersonate-Group", "science")], [ANN], 403),
    ([("Impersonate-Group", "science")], [GROUP], 400),
    ([("Impersonate-User", "ann"), ("Impersonate-Else", "x")], [ANN], 400),
    ([("Impersonate-User", "ann"), ("Impersonate-Uid", "7")], [ANN], 403),
    (
        [("Impersonate-User", "ann"), ("Impersonate-Extra-scopes", "view")],
        [ANN, ("userextras/scopes", "view")],
        User("ann", ("system:authenticated",), "", {"scopes": ("view",)}),
    ),
    (
        [("Impersonate-User", "system:serviceaccount:team:robot")],
        [("serviceaccounts", "robot")],
        User(
            "system:serviceaccount:team:robot",
            ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated"),
        ),
    ),
    # A service account does not bring in a group that may not be impersonated.
    (
        [("Impersonate-User", "system:serviceaccount:team:robot"), ("Impersonate-Group", "system:masters")],
        [("serviceaccounts", "robot")],
        403,
    ),
    (
        [("Impersonate-User", "system:anonymous")],
        [("users", "system:anonymous")],
        User("system:anonymous", ("system:unauthenticated",)),
    ),
]


@pytest.mark.parametrize(("headers", "granted", "expected"), CASES)
def test_impersonation(headers: list[tuple[str, str]], granted: list[tuple[str, str]], expected: Any) -> None:
    if isinstance(expected, int):
        with pytest.raises(StatusError) as caught:
            impersonated(ROOT, headers, Granting(*granted))
        assert caught.value.code == expected
    else:
        assert impersonated(ROOT, headers, Granting(*granted)) == expected
