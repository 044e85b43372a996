"""Cron schedules: tables of times, changes of the clock, and properties."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.controllers.cronjob.schedule import parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00", "2026-01-01T00:01"),
        ("*/15 * * * *", "2026-01-01T00:15", "2026-01-01T00:30"),
        ("5/20 * * * *", "2026-01-01T00:26", "2026-01-01T00:45"),
        ("0 9-17/4 * * *", "2026-01-01T13:00", "2026-01-01T17:00"),
        ("30 4 1,15 * 5", "2026-01-03T00:00", "2026-01-09T04:30"),
        ("0 0 * * sun", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("0 0 * * 7", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("0 0 * * 5-7", "2026-01-03T00:00", "2026-01-04T00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("0 12 * JAN-Mar MON", "2026-03-30T13:00", "2027-01-04T12:00"),
        ("@hourly", "2026-12-31T23:30", "2027-01-01T00:00"),
        ("@yearly", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("@every 1h30m", "2026-01-01T00:10", "2026-01-01T01:40"),
    ],
)
def test_the_next_time(schedule, after, expected):
    assert parse(schedule).next_after(at(after)) == at(expected)


def test_never():
    assert parse("0 0 30 2 *").next_after(at("2026-01-01T00:00")) is None


def test_summer_and_winter():
    berlin = ZoneInfo("Europe/Berlin")
    daily = parse("30 2 * * *")
    # 02:30 does not exist on 29 March 2026, and exists twice on 25 October
    assert daily.next_after(at("2026-03-28T12:00"), berlin) == at("2026-03-30T00:30")
    first = daily.next_after(at("2026-10-24T12:00"), berlin)
    assert first == at("2026-10-25T00:30")
    assert parse("0 8 * * *").next_after(at("2026-06-01T00:00"), berlin) == at("2026-06-01T06:00")
    assert parse("0 8 * * *").next_after(at("2026-12-01T00:00"), berlin) == at("2026-12-01T07:00")


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "a * * * *",
        "5-1 * * * *",
        "@sometimes",
        "@every soon",
        "TZ=UTC * * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
    ],
)
def test_refused(schedule):
    with pytest.raises(ValueError, match=r"."):
        parse(schedule)


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.integers(1577836800, 1893456000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_the_next_time_is_later_and_fits(minute, hour, moment, zone_name):
    zone = ZoneInfo(zone_name)
    found = parse(f"{minute} {hour} * * *").next_after(moment, zone)
    assert found is not None
    assert moment < found <= moment + timedelta(days=2, hours=2)
    local = found.astimezone(zone)
    assert (local.hour, local.minute, local.second) == (hour, minute, 0)
