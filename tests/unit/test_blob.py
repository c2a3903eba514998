"""The serializer: golden vectors, storage rule, copies, modes and refusals."""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import pathlib
import pickle
import struct
import types
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import datajoint.blob as blob
from datajoint.blob import Blob, MatCell, MatStruct, pack, unpack
from datajoint.errors import DataJointError

from .blob_bytes import array, cell, char, objects, peak_memory, u64

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "blob-vectors.json"
VECTORS = json.loads(GOLDEN.read_text(encoding="utf-8"))
WRITTEN = [v for v in VECTORS if v["mode"] == "write+read"]
COMPRESSED = [v for v in VECTORS if "stored_hex" in v]
NAMESPACE = {
    "numpy": np,
    "datetime": datetime,
    "decimal": decimal,
    "uuid": uuid,
    "collections": collections,
    "datajoint": types.SimpleNamespace(MatCell=MatCell, MatStruct=MatStruct),
}
# read differently from the first client, on purpose: (name, squeeze) → what we read
DIFFERENT = {
    ("matlab_cell_mixed", True): "datajoint.blob.MatCell dtype=object shape=(2,) "
    "value=[1.0, 'abc']",
}
# the first client adds real and imaginary parts, which loses the sign of zero
ZERO_SIGNS = {"matlab_3D_complex_array"}


def named(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """Parametrise a test by vectors."""
    return pytest.mark.parametrize("vector", vectors, ids=[v["name"] for v in vectors])


def evaluate(vector: dict[str, Any]) -> Any:
    """Make the value of a vector."""
    return eval(vector["python"], NAMESPACE)


def describe(value: Any) -> str:
    """Describe a value as the vectors do."""
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, np.ndarray):
        return f"{name} dtype={value.dtype} shape={value.shape} value={value.tolist()}"
    return f"{name}: {value!r}"


def matches(value: Any, description: str) -> bool:
    """Compare a value with a description, which may be cut off at the end."""
    # NumPy 2.2 and older show NaT without its unit
    found, wanted = (text.replace("'NaT','s'", "'NaT'") for text in (describe(value), description))
    if wanted.endswith("..."):
        return found.startswith(wanted.rstrip(". \n"))
    return found == wanted


@pytest.fixture
def dims32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch to 32-bit mode."""
    monkeypatch.setattr(blob, "use_32bit_dims", True)


# ---- golden vectors


def test_vectors_are_complete() -> None:
    """The golden file is the one that this test was written for."""
    assert len(VECTORS) == len({v["name"] for v in VECTORS}) == 195
    assert len(WRITTEN) == 165


@named(WRITTEN)
def test_vector_packs_to_the_byte(vector: dict[str, Any]) -> None:
    """Packing gives the bytes of the first client."""
    assert pack(evaluate(vector), compress=False).hex() == vector["hex"]


@pytest.mark.parametrize("squeeze", [False, True], ids=["plain", "squeeze"])
@named(VECTORS)
def test_vector_unpacks(
    vector: dict[str, Any], squeeze: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacking gives what the first client read, or fails where the blob is malformed."""
    monkeypatch.setattr(blob, "use_32bit_dims", vector.get("dims_bits") == 32)
    data = bytes.fromhex(vector["hex"])
    expected = vector["unpacks_to"]
    if squeeze:
        expected = vector.get("unpacks_to_squeezed", expected)
    expected = DIFFERENT.get((vector["name"], squeeze), expected)
    if vector["python"].startswith("error: "):
        with pytest.raises(DataJointError):
            unpack(data, squeeze)
        return
    value = unpack(data, squeeze)
    if vector["name"] in ZERO_SIGNS:
        np.testing.assert_allclose(value, evaluate(vector), atol=1e-12)
    elif not expected.startswith("(original raises"):
        with np.printoptions(threshold=100):
            assert matches(value, expected)
    if expected.endswith("...") and not squeeze:
        assert pack(value, compress=False) == data or vector["mode"] == "read"


@named(COMPRESSED)
def test_vector_unpacks_from_its_stored_form(vector: dict[str, Any]) -> None:
    """Streams made by zlib are read."""
    value = unpack(bytes.fromhex(vector["stored_hex"]))
    np.testing.assert_equal(value, unpack(bytes.fromhex(vector["hex"])))


@named(WRITTEN)
def test_vector_is_stored_by_the_rule(vector: dict[str, Any]) -> None:
    """Compressed blobs are readable by zlib and chosen as the first client chose."""
    stored, plain = pack(evaluate(vector)), bytes.fromhex(vector["hex"])
    assert stored.startswith(b"ZL123\0") == vector["compressed_when_stored"]
    if stored != plain:
        assert stored[:14] == b"ZL123\0" + u64(len(plain))
        assert zlib.decompress(stored[14:]) == plain
        assert len(stored) < len(plain)


# ---- what the first client cannot read


def test_cell_of_arrays_is_an_array_of_objects() -> None:
    """Elements of more than one item stay arrays."""
    items = objects(np.array([[1.0]]), np.array([[2.0, 3.0]]), shape=(1, 2))
    result = unpack(pack(items.view(MatCell)))
    assert type(result) is MatCell
    assert result.dtype == object
    np.testing.assert_array_equal(result[0, 0], [[1.0]])
    np.testing.assert_array_equal(result[0, 1], [[2.0, 3.0]])
    squeezed = unpack(pack(items.view(MatCell)), squeeze=True)
    assert squeezed.shape == (2,)
    assert squeezed[0] == 1.0


def test_cell_of_rows_of_equal_length() -> None:
    """Rows are not stacked."""
    rows = [array((1, 2), 6, struct.pack("<2d", i, i)) for i in range(2)]
    result = unpack(cell((1, 2), *rows))
    assert result.shape == (1, 2)
    np.testing.assert_array_equal(result[0, 1], [[1.0, 1.0]])


def test_cell_of_numbers_and_strings() -> None:
    """Numbers stay numbers."""
    data = cell((1, 2), array((1, 1), 6, struct.pack("<d", 1)), char("abc"))
    result = unpack(data)
    assert result[0, 0].tolist() == [[1.0]]
    assert result[0, 1].tolist() == ["abc"]
    assert unpack(data, squeeze=True).tolist() == [1.0, "abc"]
    assert type(unpack(data, squeeze=True)[0]) is float


def test_cell_of_numbers_of_several_types_collapses() -> None:
    """A logical beside a double becomes a double, as for the first client."""
    data = cell((1, 2), array((1, 1), 6, struct.pack("<d", 2)), array((1, 1), 3, b"\1"))
    assert describe(unpack(data)).endswith("dtype=float64 shape=(1, 2) value=[[2.0, 1.0]]")


def test_cell_of_structs() -> None:
    """One-element structs with the same fields make a cell of records, which packs again."""
    dtype = [("a", object)]
    structs = [np.array([[(np.full((1, i), 1.0),)]], dtype).view(MatStruct) for i in (1, 2)]
    data = pack(objects(*structs, shape=(1, 2)).view(MatCell))
    result = unpack(data)
    assert type(result) is MatCell
    assert result[0, 1]["a"].shape == result[0, 1].a.shape == (1, 2)
    assert pack(result) == data
    other = np.array([[(1,)]], [("b", object)]).view(MatStruct)
    mixed = unpack(pack(objects(structs[0], other, shape=(1, 2)).view(MatCell)))
    assert mixed.dtype == object
    assert type(mixed[0, 1]) is MatStruct


def test_long_string_does_not_pad_a_cell() -> None:
    """A cell of strings stays within a multiple of its bytes."""
    data = cell((1, 5001), char("x" * 100_000), *[char("a")] * 5000)
    result, peak = peak_memory(lambda: unpack(data))
    assert result.dtype == object
    assert [result[0, 0][0], result[0, 5000][0]] == ["x" * 100_000, "a"]
    assert peak < 20 * len(data)
    assert unpack(cell((1, 2), char("x" * 9), char("a"))).dtype == "<U9"


@pytest.mark.parametrize("text", ["éb€", "\U0001f600 smile", "", "x", "lone \ud800"])
def test_utf16_text(text: str) -> None:
    """MATLAB's text is UTF-16, with surrogates."""
    assert unpack(b"mYm\0" + char(text)).tolist() == [text]
    assert unpack(b"mYm\0" + char(text), squeeze=True) == text


def test_char_matrix_is_column_major() -> None:
    """Text in several rows reads as characters in MATLAB's order."""
    data = b"mYm\0" + array((2, 3), 4, "aébc€d".encode("utf-16-le"))
    assert unpack(data).tolist() == [["a", "b", "€"], ["é", "c", "d"]]


def test_complex_integers() -> None:
    """MATLAB's complex integers become complex numbers."""
    result = unpack(b"mYm\0" + array((1, 2), 10, struct.pack("<4h", 1, 2, 3, 4), is_complex=1))
    assert result.tolist() == [[1 + 3j, 2 + 4j]]


def test_frozen_sets_as_keys() -> None:
    """Sets come back hashable where they must be."""
    value = {frozenset({1}): 1, (frozenset({2}),): 2, "s": {frozenset({3})}}
    assert unpack(pack(value)) == value


def test_subarray_fields_beside_plain_ones() -> None:
    """Shapes tell which dimensions belong to a field."""
    value = np.array([([1, 2], 3)], dtype=[("v", "i1", (2,)), ("w", "i2")])
    result = unpack(pack(value))
    assert result.dtype == np.dtype((np.record, value.dtype))
    np.testing.assert_array_equal(result["v"], value["v"])
    np.testing.assert_array_equal(result["w"], value["w"])


# ---- storage and modes


def test_threshold_of_compression() -> None:
    """1000 bytes are never compressed, 1001 are, and only if that helps."""
    empty = len(pack(np.zeros(0, "u1")))
    assert len(pack(np.zeros(1000 - empty, "u1"))) == 1000
    assert len(pack(np.zeros(1001 - empty, "u1"))) < 1000
    assert len(pack(np.zeros(5000, "u1"), compress=False)) == 5000 + empty
    noise = np.random.default_rng(0).integers(0, 256, 5000, "u1")
    assert pack(noise) == pack(noise, compress=False)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_any_zlib_stream_is_read(level: int) -> None:
    """Streams of every level, with and without a dictionary of Huffman codes."""
    data = pack(np.arange(10_000), compress=False)
    stream = zlib.compress(data, level)
    np.testing.assert_array_equal(unpack(b"ZL123\0" + u64(len(data)) + stream), np.arange(10_000))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "?", "c8", "M8[s]", "u2"])
def test_arrays_are_ones_own(compress: bool, dtype: str) -> None:
    """Arrays are writable, aligned, column-major and keep no blob alive."""
    value = np.arange(6000).astype("i8" if dtype[0] == "M" else dtype).astype(dtype)
    matrix = value.reshape(20, 300)
    result = unpack(pack([matrix, "x"], compress))[0]
    assert result.flags.writeable
    assert result.flags.aligned
    assert result.flags.f_contiguous
    assert result.base is None or result.base.base is None
    np.testing.assert_array_equal(result, matrix)
    result[0, 0] = matrix[1, 1]


MEMORY_ORDERS: dict[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    "flat": lambda array: array.ravel(),
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=1)[:, ::2],
    "reversed": lambda array: array[::-1, ::-1],
    "3-D": lambda array: array.reshape(array.shape[0], 100, -1).transpose(1, 0, 2),
}


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "c8", "?", "i2", "M8[us]"])
@pytest.mark.parametrize("layout", MEMORY_ORDERS)
def test_arrays_are_copied_once(layout: str, dtype: str) -> None:
    """Packing takes the memory of the blob, unpacking that of the array, and no more."""
    noise = np.random.default_rng(0).integers(0, 2**16, (200, 2000))
    value = MEMORY_ORDERS[layout](noise.astype("i8" if dtype[0] == "M" else dtype).astype(dtype))
    size, slack = value.nbytes, 20_000
    blob, peak = peak_memory(lambda: pack(value, compress=False))
    assert size < len(blob) < peak < size + slack
    result, peak = peak_memory(lambda: unpack(blob))
    assert size < peak < size + slack
    np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize("dtype", ["f8", "c16", "i2"])
@pytest.mark.parametrize("layout", MEMORY_ORDERS)
def test_compressed_arrays_are_copied_once(layout: str, dtype: str) -> None:
    """Beside the array there are pieces of a copy, and what is compressed."""
    value = MEMORY_ORDERS[layout]((np.arange(4_000_000) // 9999).reshape(200, 20000).astype(dtype))
    size, slack = value.nbytes, 500_000  # what the compressor needs for itself
    stored, peak = peak_memory(lambda: pack(value))
    assert peak < 2 * 2**20 + 2 * len(stored) + slack < size
    result, peak = peak_memory(lambda: unpack(stored))
    assert 2 * size < peak < 2 * size + slack  # decompressed, and in an array
    np.testing.assert_array_equal(result, value)


def test_characters_are_copied_once() -> None:
    """Their two bytes go straight to the blob, in the order of C."""
    value = np.asfortranarray(np.array([b"a", b"b", b"c"] * 100_000, "c").reshape(3, -1))
    blob, peak = peak_memory(lambda: pack(value, compress=False))
    assert peak < 2 * value.size + 20_000
    assert blob.endswith("".join(value.astype(str).ravel()).encode("utf-16-le"))


def test_squeeze_reaches_into_containers() -> None:
    """Every level is squeezed."""
    value = {"a": [np.ones((1, 3)), np.float32(2)], "b": (objects(np.zeros((1, 1))),)}
    result = Blob(squeeze=True).unpack(Blob().pack(value))
    assert result["a"][0].shape == (3,)
    assert type(result["a"][1]) is float
    assert result["b"] == (0.0,)


def test_squeezed_records() -> None:
    """Records lose singleton dimensions but never become scalars."""
    value = np.array([[(1, 2.0)], [(3, 4.0)]], dtype=[("a", "i4"), ("b", "f8")])
    assert unpack(pack(value), squeeze=True).shape == (2,)
    assert unpack(pack(value[:1]), squeeze=True).shape == (1, 1)


def test_32bit_mode_is_for_reading(dims32: None) -> None:
    """Packing always writes 64 bits."""
    assert pack([1]).hex() == "646a300002" + u64(1, 4).hex() + "0a010001"
    assert unpack(b"dj0\0\x02" + struct.pack("<II", 1, 1) + b"\xff") == [None]


def test_bypass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serialized bytes pass unchanged, anything else is refused."""
    stored = [pack(np.zeros(1000)), pack(np.zeros(3)), pack("x")]
    monkeypatch.setattr(blob, "bypass_serialization", True)
    assert [pack(x) for x in stored] == [unpack(x) for x in stored] == stored
    for bad in (b"abc", b"", "mYm\0", None, np.zeros(3)):
        with pytest.raises(DataJointError, match="bypass_serialization"):
            pack(bad)
    with pytest.raises(DataJointError, match="bypass_serialization"):
        unpack(b"xyz\0")


@pytest.mark.parametrize(
    "value",
    [np.zeros((2, 2)), np.array(["a"], "c"), objects(np.ones(1)).view(MatCell)],
    ids=["array", "char", "cell"],
)
def test_without_native_blobs_matlab_values_pack(value: Any) -> None:
    """What MATLAB knows needs no native blob."""
    assert pack(value, native=False).startswith(b"mYm\0")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([1], "value"),
        ("x", "value"),
        (np.float64(1), "value"),
        (np.zeros(2, "M8[s]"), "value"),
        (np.zeros(2, [("a", "i4")]), "value"),
        (objects(np.ones(1), 1).view(MatCell), r"value\[1\]"),
    ],
    ids=str,
)
def test_without_native_blobs_the_rest_is_refused(value: Any, path: str) -> None:
    """The message says which setting to change."""
    with pytest.raises(DataJointError, match=f"Cannot pack {path}: .*\n.*enable_python_native"):
        pack(value, native=False)
    assert Blob().pack(value).startswith(b"dj0\0")


def test_matlab_types_pickle() -> None:
    """Worker processes can pass them on."""
    value = objects(1, 2).view(MatCell)
    assert type(pickle.loads(pickle.dumps(value))) is MatCell


def test_empty_and_foreign_blobs() -> None:
    """No bytes and unknown headers read as None; what is not bytes does not."""
    assert unpack(b"") is None
    assert unpack(b"xyz\0\xff") is None
    assert unpack(memoryview(pack([1]))) == unpack(bytearray(pack([1]))) == [1]  # type: ignore[arg-type]
    for bad in (None, "dj0\0", 5):
        with pytest.raises(DataJointError, match="bytes"):
            unpack(bad)  # type: ignore[arg-type]


# ---- refusals

RECORD = np.zeros(1, [("x", "f2"), ("y", "i4")])
LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0, 1, 2, RECORD]}, "value['a'][3].x: NumPy type float16"),
        ({"p": (pathlib.PurePosixPath("."),)}, "value['p'][0]: objects of type pathlib"),
        ({pathlib.PurePosixPath("."): 1}, "value.keys()[0]: objects of type pathlib"),
        ([{10**9999: object()}], "value[0].values()[0]: objects of type object"),
        (objects(1, 2, 3, len, shape=(2, 2)), "value[1, 1]: objects of type builtin"),
        (np.array(len, object), "value[()]: objects"),
        (objects(1, len).view(MatCell), "value[1]: objects"),
        (np.array([(1, len)], [("a", "O"), ("b", "O")]).view(MatStruct), "value[0].b: objects"),
        (np.zeros(2).view(MatStruct), "value: a MatStruct without fields"),
        (RECORD[0], "value: objects of type numpy.void"),
        (datetime.timedelta(1), "value: objects of type datetime.timedelta"),
        (np.timedelta64(1, "s"), "value: NumPy type timedelta64[s] is ambiguous"),
        (np.zeros(1, ">f8"), "value: NumPy type >f8 is ambiguous"),
        (np.zeros(1, "S2"), "value: NumPy type |S2 is ambiguous"),
        (np.longdouble(1), "value: NumPy type"),
        (np.zeros(1, "M8"), "value: NumPy type datetime64 is ambiguous"),
        (np.zeros(1, "M8[5s]"), "value: NumPy type datetime64[5s] is ambiguous"),
        (np.zeros(1, [("a\0b", "f8")]), "value: a field name contains"),
        (np.ma.masked_array([1, 2], [False, True]), "value: a masked array would lose its mask"),
        ({"s": "\ud800"}, "value['s']: invalid Unicode"),
        (np.zeros(1, [("\ud800", "f8")]), "value: invalid Unicode"),
        (1 << (8 * 65535), "value: an int of more than 65535 bytes"),
        (LOOP, "value: it nests too deep or holds itself"),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_refusals_say_what_and_where(value: Any, message: str) -> None:
    """Messages name the type and the path."""
    with pytest.raises(DataJointError) as error:
        pack(value)
    assert str(error.value).startswith(f"Cannot pack {message}")


def test_nat_is_refused() -> None:
    """The NaT of pandas claims to be a datetime."""
    nat = pytest.importorskip("pandas").NaT
    with pytest.raises(DataJointError, match=r"value\[0\]: pandas.NaT"):
        pack([nat])


def test_unmasked_array_is_an_array() -> None:
    """A mask that hides nothing is no loss."""
    assert unpack(pack(np.ma.masked_array([1, 2]))).tolist() == [1, 2]
