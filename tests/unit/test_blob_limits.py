"""Blobs that lie, and the memory that blobs may take."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import datajoint as dj
from datajoint.blob import pack, unpack
from datajoint.errors import DataJointError

from .blob_bytes import array, char, element, peak_memory, u64


def nested(levels: int, kind: str = "list") -> bytes:
    """Encode deeply nested lists, or records, without recursion."""
    if kind == "records":
        return b"dj0\0" + b"F\1\0\0\0a\0" * levels + array((), 6, bytes(8))
    parts = [b"\x02" + u64(1, 17 * i + 1) for i in range(levels - 1, -1, -1)]
    return b"dj0\0" + b"".join(parts) + b"\xff"


def stored(data: bytes, size: int | None = None) -> bytes:
    """Compress a blob, perhaps with a lie about its size."""
    return b"ZL123\0" + u64(len(data) if size is None else size) + zlib.compress(data)


GOOD = pack([1.5] * 100, compress=False)
HOSTILE = {
    "no payload": b"dj0\0",
    "no header": b"abcdef",
    "huge list": b"dj0\0\x02" + u64(2**60),
    "huge dict": b"dj0\0\x04" + u64(2**63),
    "huge str": b"dj0\0\x05" + u64(2**40) + b"abc",
    "huge int": b"dj0\0\x0a\xff\xff\x01",
    "huge array": b"mYm\0" + array((2**30, 2**30), 6, bytes(64)),
    "huge object array": b"dj0\0" + array((2**40,), 5, bytes(64)),
    "huge empty array": b"mYm\0" + array((0, 2**64 - 1), 6, b""),
    "huge zero array": b"mYm\0" + array((0, 2**62, 2**62), 6, b""),
    "many dimensions": b"mYm\0A" + u64(2**20) + b"\1" * 2**23,
    "65 dimensions": b"mYm\0" + array((1,) * 65, 9, b"\0"),
    "huge cell": b"mYm\0C" + u64(1, 2**50),
    "huge struct": b"mYm\0S" + u64(1, 2**50) + b"\1\0\0\0a\0",
    "many fields": b"dj0\0F\xff\xff\xff\xff" + bytes(100),
    "same fields": b"dj0\0F\2\0\0\0a\0a\0" + array((1,), 9, b"\1") * 2,
    "field of str": b"dj0\0F\1\0\0\0a\0\x05" + u64(1) + b"a",
    "records in records": nested(33, "records"),
    "field shapes": b"dj0\0F\2\0\0\0a\0b\0" + array((1,), 9, b"1") + array((2,), 9, b"12"),
    "field name": b"dj0\0F\1\0\0\0\xff\0" + array((1,), 9, b"\1"),
    "array type 0": b"mYm\0" + array((1,), 0, bytes(8)),
    "array type 65549": b"dj0\0" + array((1,), 65549, bytes(8)),
    "complex date": b"dj0\0" + array((1,), 65536, bytes(16), is_complex=1),
    "element too long": b"dj0\0\x02" + u64(1, 2) + b"\xff",
    "element too short": b"dj0\0\x02" + u64(1, 1) + b"\x0b\1",
    "element reaches out": b"dj0\0\x02" + u64(2, 3) + b"\x05\1\0" + u64(1) + b"\xff",
    "list as key": b"dj0\0\x04" + u64(1) + element(b"\x02" + u64(0)) + element(b"\xff"),
    "array in set": b"dj0\0\x03" + u64(1) + element(array((2,), 9, b"\1\2")),
    "bad UTF-8": b"dj0\0\x05" + u64(1) + b"\xff",
    "bad Decimal": b"dj0\0d" + u64(3) + b"abc",
    "bad date": b"dj0\0t" + struct.pack("<iq", 20201301, -1),
    "bad time": b"dj0\0t" + struct.pack("<iq", -1, 2**62),
    "no date": b"dj0\0t" + b"\xff" * 12,
    "deep list": nested(100_000),
    "deep records": nested(100_000, "records"),
    "compressed nothing": b"ZL123\0",
    "compressed garbage": b"ZL123\0" + u64(10) + b"garbage",
    "compressed truncated": stored(GOOD)[:-1],
    "compressed trailing": stored(GOOD) + b"x",
    "compressed checksum": stored(GOOD)[:-1] + b"x",
    "compressed shorter": stored(GOOD, len(GOOD) - 1),
    "compressed longer": stored(GOOD, len(GOOD) + 1),
    "compressed huge": stored(GOOD, 2**32),
    "compressed huger": stored(GOOD, 2**64 - 1),
    "compressed twice": stored(stored(GOOD))[:-4] + b"abcd",
    "bomb": stored(bytes(50_000_000), 1000),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("squeeze", [False, True], ids=["plain", "squeeze"])
def test_hostile_blobs_are_refused_cheaply(name: str, squeeze: bool) -> None:
    """Lies are found out before memory is given for them."""

    def refuse() -> None:
        with pytest.raises(DataJointError):
            unpack(HOSTILE[name], squeeze)

    assert peak_memory(refuse)[1] < 2_000_000


@pytest.mark.parametrize(("dtype", "length"), [("f8", 1000), ("c16", 500), ("M8[s]", 1000)])
def test_limit_of_decompression(dtype: str, length: int) -> None:
    """The caller may allow less, of what is decompressed; the message says what to do."""
    data = pack(np.zeros(length, dtype))
    size = 4 + 25 + 8000
    assert len(unpack(data, limit=size + 1000)) == length
    with pytest.raises(DataJointError, match=rf"{size} bytes, above {size - 1}\..*\n.*blob_memory"):
        unpack(data, limit=size - 1)


@pytest.mark.parametrize("compress", [False, True])
def test_limit_of_what_is_built(compress: bool) -> None:
    """Small payloads that become large objects count as what they become."""
    data = pack([{1}, {2}] * 5000, compress)
    assert len(pack([{1}, {2}] * 5000, compress=False)) < 500_000
    assert len(unpack(data)) == 10_000
    with pytest.raises(
        DataJointError, match=r"takes more than 500000 bytes.*\n.*blob_memory_limit"
    ):
        unpack(data, limit=500_000)


def test_limit_is_a_setting() -> None:
    """It holds where none is given."""
    data = pack(np.zeros(1000))
    with dj.config(blob_memory_limit=5000):
        with pytest.raises(DataJointError, match="above 5000"):
            unpack(data)
        assert len(unpack(data, limit=10_000)) == 1000
    assert len(unpack(data)) == 1000


MANY = {
    "None": b"\xff",
    "bool": b"\x0b\1",
    "int": b"\x0a\1\0\1",
    "larger int": b"\x0a\3\0\1\1\1",
    "float": b"\x0d" + bytes(8),
    "complex": b"\x0c" + bytes(16),
    "str": b"\x05" + u64(2) + b"ab",
    "bytes": b"\x06" + u64(2) + b"ab",
    "date": b"t" + struct.pack("<iq", 20200101, -1),
    "Decimal": b"d" + u64(1) + b"1",
    "UUID": b"u" + bytes(16),
    "list": b"\x02" + u64(0),
    "tuple": b"\x01" + u64(1) + element(b"\xff"),
    "set": b"\x03" + u64(0),
    "dict": b"\x04" + u64(0),
    "dict of one": b"\x04" + u64(1) + element(b"\xff") * 2,
    "NumPy scalar": array((), 9, b"\1"),
    "array": array((0,), 9, b""),
    "text": char("a"),
    "array of objects": array((0,), 5, b""),
    "complex integers": array((1, 1), 9, b"\1\1", is_complex=1),
    "cell": b"C" + u64(1, 0),
    "cell of one": b"C" + u64(1, 1) + element(b"\xff"),
    "struct": b"S" + u64(1, 0) + b"\1\0\0\0a\0",
    "struct of many fields": b"S" + u64(1, 0) + b"\x05\0\0\0a\0b\0c\0d\0e\0",
    "records": b"F\1\0\0\0a\0" + array((0,), 9, b""),
    "nested records": b"F\1\0\0\0a\0" * 3 + array((0,), 9, b""),
}


@pytest.mark.parametrize("squeeze", [False, True], ids=["plain", "squeeze"])
@pytest.mark.parametrize("name", MANY)
def test_memory_is_foretold(name: str, squeeze: bool) -> None:
    """No value takes more than twice the memory that it is counted for."""
    count = 2000
    data = b"dj0\0\x02" + u64(count) + element(MANY[name]) * count
    unpack(data, squeeze)  # fills caches
    value, peak = peak_memory(lambda: unpack(data, squeeze))
    assert len(value) == count
    with pytest.raises(DataJointError, match="blob_memory_limit"):
        unpack(data, squeeze, limit=peak // 2)


@pytest.mark.parametrize("code", [3, 4], ids=["set", "dict"])
def test_keys_that_collide_are_refused(code: int) -> None:
    """Thousands of keys with one hash would take Python time by the square of their number."""
    alike = [sys.hash_info.modulus * n for n in range(1, 1200)]
    assert {hash(number) for number in alike} == {0}
    few, many = (
        b"dj0\0"
        + bytes([code])
        + u64(count)
        + b"".join(
            element(pack(number)[4:]) + (b"" if code == 3 else element(b"\xff"))
            for number in [*range(1, 2001), *alike][:count]
        )
        for count in (2900, 3199)
    )
    assert len(unpack(few)) == 2900
    with pytest.raises(DataJointError, match="collide"):
        unpack(many)


@pytest.fixture
def deep_stack() -> Iterator[None]:
    """Raise Python's recursion limit."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(limit)


def test_records_nest_as_deep_in_blobs_as_in_arrays() -> None:
    """What NumPy is slow at is refused both ways."""
    dtype = np.dtype("i4")
    for _ in range(32):
        dtype = np.dtype([("a", dtype)])
    value = np.ones(2, dtype)
    result = unpack(pack(value))
    assert result.tolist() == value.tolist()
    with pytest.raises(DataJointError, match=r"Cannot pack value\[0\]: .* nests more than 32 deep"):
        pack([np.ones(2, [("a", dtype)])])


@pytest.mark.usefixtures("deep_stack")
def test_depth_is_bounded_whatever_python_allows() -> None:
    """Nesting ends at 1000 levels."""
    value: Any = None
    for _ in range(999):
        value = [value]
    data = pack(value)
    assert unpack(data) == value
    for act in (lambda: pack([value]), lambda: unpack(nested(1000)), lambda: unpack(nested(5000))):
        with pytest.raises(DataJointError, match="nest"):
            act()


def test_what_packs_unpacks() -> None:
    """Reading needs no deeper stack than writing."""
    value: Any = None
    for _ in range(2000):
        try:
            data = pack(value)
        except DataJointError:
            break
        value = [value]
    assert unpack(data) == value[0]
