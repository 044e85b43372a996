import re

from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.controllers.job.names import ordinal_of, pod_name
from headwater.kube.meta.names import is_dns_label

UID = "3f1c1a52-4a90-4f3c-9d0c-6a1f3c0a9f11"


def test_looks_like_a_generated_name():
    assert re.fullmatch(r"pi-[bcdfghjklmnpqrstvwxz2456789]{5}", pod_name("pi", UID, 0))


def test_is_the_same_every_time_and_another_for_another_job():
    assert pod_name("pi", UID, 3) == pod_name("pi", UID, 3)
    assert pod_name("pi", UID, 3) != pod_name("pi", "another", 3)


def test_no_two_pods_of_a_job_share_a_name():
    assert len({pod_name("pi", UID, ordinal) for ordinal in range(100_000)}) == 100_000


@given(st.integers(0, 14_000_000), st.uuids(), st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,70}[a-z0-9])?", fullmatch=True))
def test_the_number_can_be_read_back_and_the_name_is_valid(ordinal, uid, job):
    name = pod_name(job, str(uid), ordinal)
    assert ordinal_of(name, str(uid)) == ordinal
    assert is_dns_label(name.replace(".", "")) is None
    assert len(name) <= 63


def test_a_foreign_name_has_no_number():
    assert ordinal_of("pi-aeiou", UID) is None
