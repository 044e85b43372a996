"""The names of a job's pods, so that creating a pod twice is creating it once.

The n-th pod that a job creates has a name of the usual look (``pi-x7k2p``) that derives from the job's uid and
from n alone. Within one job no two numbers share a name, and the number can be read back from the name.
"""

import hashlib
from functools import lru_cache

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own for generated names: no vowels, so that no word comes out."""
_LENGTH = 5
_COUNT: int = len(_ALPHABET) ** _LENGTH
_STEP = 9_876_547
"""Coprime to ``_COUNT`` (a power of 3), so that numbers spread over the names without a collision."""
_STEP_BACK: int = pow(_STEP, -1, _COUNT)
_LONGEST_BASE = 63 - 1 - _LENGTH


def pod_name(job_name: str, job_uid: str, ordinal: int, index: int | None = None) -> str:
    """Return the name of a job's pod number ``ordinal`` (from 0), with its completion index if it has one."""
    value = (_start(job_uid) + ordinal * _STEP) % _COUNT
    letters = []
    for _ in range(_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    part = "" if index is None else f"-{index}"
    base = job_name[: _LONGEST_BASE - len(part)].rstrip("-.")
    return f"{base}{part}-{''.join(reversed(letters))}"


def ordinal_of(name: str, job_uid: str) -> int | None:
    """Return the number of the pod with this name, or None if no pod of the job can be called so."""
    value = 0
    for letter in name[-_LENGTH:]:
        digit = _ALPHABET.find(letter)
        if digit < 0:
            return None
        value = value * len(_ALPHABET) + digit
    return (value - _start(job_uid)) * _STEP_BACK % _COUNT


@lru_cache(maxsize=1024)
def _start(job_uid: str) -> int:
    return int.from_bytes(hashlib.sha256(job_uid.encode()).digest()[:8], "big") % _COUNT
