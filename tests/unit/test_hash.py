"""Hashes of values with all that is in them."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections import Counter, OrderedDict
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datajoint.hash import deep_hash


class Thing:
    def __init__(self, content: Any) -> None:
        self.content = content


def itself() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def values() -> list[Any]:
    """Make values of which no two are alike, anew each time."""
    return [
        *(None, True, False, 0, 1, 1.0, 1.5, float("nan"), 1j, "", "1", b"", b"1", "None"),
        *(Decimal("1"), Decimal("1.0"), uuid.UUID(int=1)),
        *(dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), dt.time(1), dt.timedelta(1)),
        *([], (), [1], (1,), [[1], 2], [[1, 2]], [1, [2]], {}, {"a": 1}, {"a": 2}, {1: "a"}),
        *(set(), {1}, frozenset({1}), bytearray(b"1"), OrderedDict(a=1), Counter(a=1)),
        *(np.int64(1), np.int32(1), np.float64(1), np.datetime64("2020-01-01")),
        *(np.array(1), np.array([1]), np.array([[1]]), np.zeros((0, 3)), np.zeros((3, 0))),
        *(np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2), np.arange(6).reshape(3, 2).T),
        *(np.array([1, "a", None], object), np.array(["a"]), np.array(["b"]), np.array([True])),
        np.array([(1, 2.0)], [("x", "i8"), ("y", "f8")]),
        np.array([(1, "a")], [("x", "i8"), ("y", "O")]),
        np.array([([1],)], [("x", "O")]),
        [np.array([1, 2]), np.array([3])],
        [np.array([1]), np.array([2, 3])],
        pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}),
        pd.DataFrame({"x": [1, 3], "y": ["a", "b"]}),
        *(Thing(1), Thing([1]), Thing, deep_hash, len, itself()),
    ]


def test_equal_values_have_the_same_hash() -> None:
    for first, second in zip(values(), values(), strict=True):
        assert deep_hash(first) == deep_hash(second), first


def test_different_values_have_different_hashes() -> None:
    hashes: dict[bytes, Any] = {}
    for value in values():
        assert hashes.setdefault(deep_hash(value), value) is value


def test_the_order_of_what_has_none_and_the_memory_do_not_count() -> None:
    assert deep_hash({"a": 1, "b": 2}) == deep_hash({"b": 2, "a": 1})
    assert deep_hash({"a", "b", "c"}) == deep_hash({"c", "b", "a"})
    array = np.arange(24).reshape(4, 6)
    assert deep_hash(array[::2, 1::2]) == deep_hash(array[::2, 1::2].copy())
    assert deep_hash(np.asfortranarray(array)) == deep_hash(array)


def test_what_cannot_be_compared() -> None:
    for value in ((i for i in range(3)), threading.Lock()):
        with pytest.raises(TypeError):
            deep_hash([value])
