"""Blobs of random values: round trips, and refusals."""

from __future__ import annotations

import collections
import datetime
import enum
import fractions
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from datajoint.blob import MatCell, MatStruct, pack, unpack
from datajoint.errors import DataJointError

from .blob_bytes import objects

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")

DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="<"),
    hnp.unsigned_integer_dtypes(endianness="<"),
    hnp.floating_dtypes(endianness="<", sizes=(32, 64)),
    hnp.complex_number_dtypes(endianness="<", sizes=(64, 128)),
    st.sampled_from("YMWDhms").map(lambda unit: np.dtype(f"<M8[{unit}]")),
    st.sampled_from(["ms", "us", "ns", "ps", "fs", "as"]).map(lambda u: np.dtype(f"<M8[{u}]")),
)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
LAYOUTS = st.sampled_from(
    [lambda a: a, np.asfortranarray, np.transpose, lambda a: a[::-1], lambda a: a[..., ::2]]
)
ARRAYS = st.builds(lambda a, layout: layout(a), hnp.arrays(DTYPES, SHAPES), LAYOUTS)
RECORDS = hnp.arrays(
    st.builds(lambda a, b: np.dtype([("a", a), ("b", [("é", b)])]), DTYPES, DTYPES), SHAPES
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    TEXT,
    st.binary(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.times(),
    st.datetimes(),
)
NUMPY_SCALARS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, ())).map(lambda a: a[()])
SCALARS = KEYS | st.just(float("nan")) | NUMPY_SCALARS
VALUES = st.recursive(
    SCALARS | ARRAYS | RECORDS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.sets(KEYS | st.tuples(KEYS, KEYS)),
        st.dictionaries(KEYS | st.frozensets(KEYS), inner),
        st.lists(inner, min_size=4, max_size=4).map(lambda x: objects(*x, shape=(2, 2))),
    ),
    max_leaves=12,
)


def same(one: Any, two: Any) -> bool:
    """Compare values and types deeply; NaN equals NaN, records equal their recarray."""
    if isinstance(one, np.ndarray):
        if not isinstance(two, np.ndarray) or one.shape != two.shape:
            return False
        if one.dtype.names:
            return two.dtype.names == one.dtype.names and all(
                same(np.asarray(one[n]), np.asarray(two[n])) for n in one.dtype.names
            )
        if one.dtype != two.dtype:
            return False
        if one.dtype == object:
            return all(map(same, one.ravel(), two.ravel()))
        return bool(one.tobytes() == two.tobytes())
    if type(one) is not type(two):
        return False
    if isinstance(one, np.generic):
        return bool(one.tobytes() == two.tobytes())
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict):
        return list(one) == list(two) and all(map(same, one.values(), two.values()))
    return bool(one == two) or (one != one and two != two)


@settings(deadline=None, max_examples=300)
@given(VALUES, st.booleans())
def test_round_trip(value: Any, compress: bool) -> None:
    """Values come back the same, of the same types, and pack to the same bytes."""
    data = pack(value, compress)
    result = unpack(data)
    assert same(value, result)
    if not isinstance(result, set):
        assert len(pack(result, compress=False)) == len(pack(value, compress=False))


@settings(deadline=None, max_examples=100)
@given(VALUES)
def test_squeezing_reads_everything(value: Any) -> None:
    """Whatever packs can be read with squeeze."""
    unpack(pack(value), squeeze=True)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(ARRAYS | TEXT | st.floats(), min_size=6, max_size=6),
    st.sampled_from([(6,), (2, 3), (1, 6), (3, 1, 2)]),
)
def test_matlab_containers_round_trip(items: list[Any], shape: tuple[int, ...]) -> None:
    """Cells and structs keep the shape and the places of their elements."""
    value = objects(*items, shape=shape)
    result = unpack(pack(value.view(MatCell)))
    assert type(result) is MatCell
    assert result.shape == shape
    if result.dtype == object:
        assert same(value, np.asarray(result))
    structs = np.zeros(shape, [("a", object), ("b", object)])
    structs["a"], structs["b"] = value, 7
    result = unpack(pack(structs.view(MatStruct)))
    assert type(result) is MatStruct
    assert same(value, result.a)
    assert set(result.b.ravel()) == {7}


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        hnp.unicode_string_dtypes(endianness="<"),
        SHAPES,
        elements=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=1),
    )
)
def test_unicode_arrays_become_objects(value: np.ndarray[Any, Any]) -> None:
    """Arrays of strings come back as arrays of str."""
    assert same(value.astype(object), unpack(pack(value)))


class Side(enum.Enum):
    """An enumeration whose members no blob holds."""

    LEFT = 1


Pair = collections.namedtuple("Pair", "a b")
ODD = st.sampled_from(
    [
        object(),
        len,
        ...,
        Side.LEFT,
        fractions.Fraction(1, 3),
        datetime.timedelta(1),
        range(3),
        Pair(1, None),
        collections.deque([1]),
        collections.Counter("ab"),
        {1: 2}.items(),
        bytearray(b"ab"),
        memoryview(b"ab"),
        "lone \ud800",
        datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),
        np.float16(1),
        np.longdouble(1),
        np.timedelta64(1, "s"),
        np.datetime64("NaT"),
        np.zeros(1, [("x", "i4")])[0],
        np.zeros(3, ">f8"),
        np.zeros((2, 2), "S3"),
        np.zeros(3, [("a", "f2"), ("b", "O")]),
        np.zeros(2, [("v", "i1", (2, 3))]),
        np.zeros(2, []),
        np.ma.masked_array([1, 2], [True, False]),
        np.broadcast_to(1.5, (3, 2)),
        np.zeros(2).view(MatStruct),
        np.zeros((1, 2), [("a", object)]).view(MatStruct),
        objects(1, len).view(MatCell),
        type("Odd", (list,), {})([1]),
    ]
)
ANYTHING = st.recursive(
    SCALARS | ARRAYS | RECORDS | ODD,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS, inner),
        st.lists(inner, min_size=4, max_size=4).map(lambda x: objects(*x, shape=(2, 2))),
        st.lists(inner).map(lambda x: objects(*x).view(MatCell)),
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(ANYTHING, st.booleans())
def test_whatever_comes_is_stored_or_refused(value: Any, native: bool) -> None:
    """A value packs, to what reads as a value of its own; or the error tells where it cannot."""
    try:
        data = pack(value, native=native)
    except DataJointError as error:
        assert str(error).startswith("Cannot pack value")  # noqa: PT017
        return
    result = unpack(data)
    assert same(result, unpack(pack(result)))
