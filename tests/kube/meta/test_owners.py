import pytest

from headwater.kube.meta.owners import controller_of, is_owned_by, owner_reference

OWNER = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "u"}}


def test_a_reference_names_its_owner() -> None:
    reference = owner_reference(OWNER)
    assert reference == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "j",
        "uid": "u",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    child = {"metadata": {"ownerReferences": [reference]}}
    assert controller_of(child) == reference
    assert is_owned_by(child, "u")
    assert not is_owned_by(child, "v")


def test_an_owner_need_not_be_the_controller() -> None:
    child = {"metadata": {"ownerReferences": [owner_reference(OWNER, controller=False, block=False)]}}
    assert controller_of(child) is None
    assert controller_of({"metadata": {}}) is None
    assert is_owned_by(child, "u")


def test_what_was_never_stored_owns_nothing() -> None:
    with pytest.raises(ValueError, match="Job 'j' has no uid"):
        owner_reference({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}})
