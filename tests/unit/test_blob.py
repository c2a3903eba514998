"""The serializer: golden vectors, storage rule, modes, refusals, round trips and hostile input."""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import pathlib
import pickle
import struct
import sys
import tracemalloc
import types
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import datajoint as dj
import datajoint.blob as blob
from datajoint.blob import Blob, MatCell, MatStruct, pack, unpack
from datajoint.errors import DataJointError

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


def u64(*numbers: int) -> bytes:
    """Encode lengths, counts and dimensions."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def element(payload: bytes) -> bytes:
    """Put its length before a payload."""
    return u64(len(payload)) + payload


def array(shape: tuple[int, ...], type_id: int, data: bytes, is_complex: int = 0) -> bytes:
    """Encode an array by hand."""
    return b"A" + u64(len(shape), *shape) + struct.pack("<II", type_id, is_complex) + data


def char(text: str) -> bytes:
    """Encode a MATLAB string by hand."""
    data = text.encode("utf-16-le", "surrogatepass")
    return array((1, len(data) // 2), 4, data)


def cell(shape: tuple[int, ...], *payloads: bytes) -> bytes:
    """Encode a MATLAB cell by hand."""
    return b"mYm\0C" + u64(len(shape), *shape) + b"".join(map(element, payloads))


def objects(*items: Any, shape: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """Make an array of objects."""
    return np.fromiter(items, object, len(items)).reshape(shape or len(items), order="F")


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


def peak_memory(act: Callable[[], Any]) -> tuple[Any, int]:
    """Tell what comes out, and the most memory that was taken on the way."""
    tracemalloc.start()
    try:
        return act(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
    """Beside the array there is one copy as it was packed, and what is compressed."""
    value = MEMORY_ORDERS[layout]((np.arange(400_000) // 9999).reshape(200, 2000).astype(dtype))
    size, slack = value.nbytes, 500_000  # what the compressor needs for itself
    stored, peak = peak_memory(lambda: pack(value))
    assert size < peak < size + 2 * len(stored) + slack
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


# ---- round trips

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


# ---- hostile input


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
    tracemalloc.start()
    try:
        with pytest.raises(DataJointError):
            unpack(HOSTILE[name], squeeze)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_limit_of_decompression() -> None:
    """The caller may allow less, of what is decompressed; the message says what to do."""
    data = pack(np.zeros(1000))
    size = 4 + 25 + 8000
    assert len(unpack(data, limit=size + 1000)) == 1000
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


NUMBERS = st.sampled_from([0, 1, 2, 255, 2**31, 2**32, 2**40, 2**63, 2**64 - 1]).map(u64)
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.one_of(
            st.integers(1, 255),  # flip bits
            NUMBERS,  # overwrite a length
            st.binary(max_size=9),  # overwrite
            st.none(),  # cut off
        ),
    ),
    max_size=4,
)


def edited(data: bytes, edits: list[tuple[float, int | bytes | None]]) -> bytes:
    """Damage a blob."""
    result = bytearray(data)
    for where, what in edits:
        at = int(where * len(result))
        if what is None:
            del result[at:]
        elif isinstance(what, bytes):
            result[at : at + len(what)] = what
        elif at < len(result):
            result[at] ^= what
    return bytes(result)


def unpack_or_refuse(data: bytes, squeeze: bool) -> None:
    """Unpack; nothing but a DataJointError may come out, nor much memory go in."""
    tracemalloc.start()
    try:
        unpack(data, squeeze, limit=1_000_000)
    except DataJointError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4_000_000 + 1000 * len(data)


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from([bytes.fromhex(v.get("stored_hex", v["hex"])) for v in VECTORS]),
    EDITS,
    st.booleans(),
)
def test_damaged_vectors(data: bytes, edits: Any, squeeze: bool) -> None:
    """Bit flips, cuts and lying lengths."""
    unpack_or_refuse(edited(data, edits), squeeze)


@settings(deadline=None, max_examples=200)
@given(VALUES, EDITS, st.booleans(), st.booleans())
def test_damaged_values(value: Any, edits: Any, squeeze: bool, compress: bool) -> None:
    """Damage below the compression, where no checksum guards."""
    data = edited(pack(value, compress=False), edits)
    unpack_or_refuse(stored(data) if compress else data, squeeze)


CODES = st.sampled_from([bytes([c]) for c in b"AFCSP\xff\1\2\3\4\5\6\x0a\x0b\x0c\x0ddtu"])


@settings(deadline=None, max_examples=300)
@given(st.lists(CODES | NUMBERS | st.binary(max_size=4), max_size=20), st.booleans())
def test_random_bytes(parts: list[bytes], squeeze: bool) -> None:
    """Plausible beginnings of nothing."""
    assume(parts)
    unpack_or_refuse(b"dj0\0" + b"".join(parts), squeeze)
