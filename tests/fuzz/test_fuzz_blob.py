"""A short, fixed part of what ``make fuzz`` does at length."""

from __future__ import annotations

import pytest

from datajoint.errors import DataJointError

pytest.importorskip("resource", reason="limits and alarms are those of Unix")

from . import fuzz_blob


@pytest.mark.parametrize("part", range(5))
def test_hostile_blobs(part: int) -> None:
    """Nothing but values and DataJointErrors come of them; there are many of both."""
    numbers = range(part * 1000, (part + 1) * 1000)
    accepted = 0
    for number in numbers:
        try:
            accepted += fuzz_blob.check(fuzz_blob.make(0, number), number % 25 == 0)
        except (Exception, fuzz_blob.Hang) as error:
            raise AssertionError(f"case 0-{number}") from error
    assert 100 < accepted < 900


def test_cases_are_made_from_the_seed_and_the_number_alone() -> None:
    """A failing case can be had again."""
    cases = [fuzz_blob.make(3, number) for number in range(50)]
    assert cases == [fuzz_blob.make(3, number) for number in range(50)]
    assert cases != [fuzz_blob.make(4, number) for number in range(50)]


def test_what_must_not_be_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other errors, warnings, hangs and too much memory fail a case."""
    case = fuzz_blob.Case(b"dj0\0\xff", False, False, 1000, 1000)

    def fails(unpack: object, expected: type[BaseException]) -> None:
        monkeypatch.setattr(fuzz_blob.blob, "unpack", unpack)
        with pytest.raises(expected):
            fuzz_blob.check(case, traced=True)

    def endless(*_: object, **__: object) -> None:
        while True:
            pass

    def short_of_memory(*_: object, **__: object) -> None:
        raise DataJointError("memory") from MemoryError()

    assert fuzz_blob.check(case, traced=True)
    fails(lambda *_, **__: {}["x"], KeyError)
    fails(lambda *_, **__: bytes(10_000_000), fuzz_blob.Failure)
    fails(short_of_memory, fuzz_blob.Failure)
    monkeypatch.setattr(fuzz_blob, "SECONDS", 0.05)
    fails(endless, fuzz_blob.Hang)
