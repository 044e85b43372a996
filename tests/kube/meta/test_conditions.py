from datetime import UTC, datetime, timedelta

from headwater.kube.meta.conditions import condition_is, find_condition, set_condition

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def test_a_new_condition_is_added() -> None:
    conditions: list[dict] = []
    assert set_condition(conditions, "Ready", "True", "Fine", "All is well", NOW)
    assert conditions == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Fine",
            "message": "All is well",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
    ]


def test_the_same_condition_again_changes_nothing() -> None:
    conditions: list[dict] = []
    set_condition(conditions, "Ready", "True", "Fine", "", NOW)
    assert not set_condition(conditions, "Ready", "True", "Fine", "", LATER)


def test_a_transition_is_a_change_of_status_only() -> None:
    conditions: list[dict] = []
    set_condition(conditions, "Ready", "True", "Fine", "", NOW)
    assert set_condition(conditions, "Ready", "True", "StillFine", "", LATER, observed_generation=2)
    assert conditions[0]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert conditions[0]["observedGeneration"] == 2
    assert set_condition(conditions, "Ready", "False", "Broken", "", LATER)
    assert conditions[0]["lastTransitionTime"] == "2026-01-02T03:05:05Z"
    assert len(conditions) == 1


def test_an_absent_condition_is_unknown() -> None:
    assert condition_is({}, "Ready", "Unknown")
    assert condition_is({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "Ready")
    assert find_condition({"status": {"conditions": None}}, "Ready") is None
