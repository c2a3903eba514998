"""The codes of payloads: each one's writer and reader, side by side (storage formats, 4.2 to 4.5).

``CODECS`` at the end lists them in the order in which a value looks for its writer. Nothing is ever
pickled. What a blob claims is checked against the bytes that are there, and counted against the
limit, before memory is allocated for it.
"""

from __future__ import annotations

import datetime
import math
import reprlib
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence, Set
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn, cast

import numpy as np

from ..errors import DataJointError
from .stream import U16, U32, U64, Array, Codec, Read, Reader, RefusedError, Writer

_MAX_PADDING = 64  # a cell of strings becomes an array of strings in up to this times its bytes,
_PADDING_FREE = 1 << 20  # or this many bytes
_MAX_RECORDS = 32  # levels of records in records; the time NumPy takes grows by the third power
_MAX_COLLISIONS = 1000  # keys with the hash of another one; looking one up goes through them all
_ARRAY_COST, _FIELD_COST, _SET_COST = 256, 512, 192  # bytes of memory, beside those of the data

_CHAR, _OBJECT = 4, 5
_NAMES = {
    **{3: "|b1", 6: "<f8", 7: "<f4", 8: "|i1", 9: "|u1", 10: "<i2", 11: "<u2"},
    **{12: "<i4", 13: "<u4", 14: "<i8", 15: "<u8"},
    **{65536: "<M8[Y]", 65537: "<M8[M]", 65538: "<M8[W]", 65539: "<M8[D]", 65540: "<M8[h]"},
    **{65541: "<M8[m]", 65542: "<M8[s]", 65543: "<M8[ms]", 65544: "<M8[us]", 65545: "<M8[ns]"},
    **{65546: "<M8[ps]", 65547: "<M8[fs]", 65548: "<M8[as]"},
}
_DTYPES = {type_id: np.dtype(name) for type_id, name in _NAMES.items()}
_TYPE_IDS = {name: type_id for type_id, name in _NAMES.items()}
_ARRAY_TYPE = struct.Struct("<II")  # type id, is_complex
_UTF16 = np.dtype("<u2")  # units of text in arrays


class MatCell(np.ndarray[Any, Any]):
    """A MATLAB cell array: usually an array of objects, packed so that MATLAB reads a cell."""

    __module__ = "datajoint.blob"


class MatStruct(np.recarray[Any, Any]):
    """A MATLAB struct array: fields are attributes, as in ``blob.a[0, 1]``."""

    __module__ = "datajoint.blob"  # type: ignore[assignment] # NumPy's own is a Literal


# A: arrays and NumPy scalars


def _write_array(out: Writer, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise RefusedError("a masked array would lose its mask", "Call .filled(...) on it.")
    array = np.asarray(value)
    kind, is_char = array.dtype.kind, array.dtype.str == "|S1"
    if kind in "OUM" or array.dtype.names or (array.ndim == 0 and not is_char):
        out.require_native(value)
    if array.dtype.names:
        _write_records(out, array)
    elif kind in "OU":
        out.put(b"A" + _shape(array) + _ARRAY_TYPE.pack(_OBJECT, 0))
        out.write_all(array.ravel("F").tolist(), partial(_index, array.shape))
    elif is_char:
        out.put(b"A" + _shape(array) + _ARRAY_TYPE.pack(_CHAR, 0))
        # in C order, unlike all else: a quirk of the format's first writer
        out.put_array(array.view(np.uint8).T, _UTF16)
    else:
        parts = [array.real, array.imag] if kind == "c" else [array]
        out.put(b"A" + _shape(array) + _ARRAY_TYPE.pack(_type_id(parts[0]), kind == "c"))
        for part in parts:
            out.put_array(part, part.dtype)


def _read_array(src: Reader) -> Any:
    array = _read_plain_array(src)
    if array.dtype.kind == "U" and (array.ndim == 1 or (array.ndim == 2 and len(array) == 1)):
        units = array.ravel("F").view("<u4").astype("<u2")
        text = units.tobytes().decode("utf-16-le", "surrogatepass")
        return text if src.squeeze else np.array([text])
    if src.squeeze:
        array = array.squeeze()
        if array.ndim == 0:
            return array.item()
    elif array.ndim == 0 and array.dtype.kind not in "OU":
        return array[()]
    return array if array.flags.writeable else array.copy(order="F")


def _read_plain_array(src: Reader) -> Array:
    """Read an array in the shape that it was stored in, if possible as a view of the blob."""
    src.spend(_ARRAY_COST)
    shape = src.shape()
    count = math.prod(shape)
    type_id, is_complex = src.unpack(_ARRAY_TYPE)
    if type_id == _OBJECT:
        return _object_array(src.read_all(count), shape)
    dtype = _UTF16 if type_id == _CHAR else _DTYPES.get(type_id)
    if dtype is None:
        raise DataJointError(f"Invalid blob: unknown array type {type_id} at byte {src.pos - 8}.")
    flat = src.numbers(dtype, count)
    if type_id == _CHAR:
        flat = flat.astype("<u4").view("<U1")
    elif is_complex:
        real, imag = flat, src.numbers(dtype, count)
        complex_ = np.result_type(dtype, np.complex64)
        src.spend(count * complex_.itemsize - real.nbytes - imag.nbytes)  # integers grow
        flat = np.empty(count, complex_)
        flat.real, flat.imag = real, imag
    elif dtype.kind == "b":
        flat = flat.view(np.uint8) != 0  # bytes other than 0 and 1 make NumPy misbehave
    return flat.reshape(shape, order="F")


def _shape(array: Array) -> bytes:
    return struct.pack(f"<{1 + array.ndim}Q", array.ndim, *array.shape)


def _type_id(array: Array) -> int:
    try:
        return _TYPE_IDS[array.dtype.str]
    except KeyError:
        raise RefusedError(
            f"NumPy type {array.dtype} is ambiguous or unknown",
            "Convert it with .astype(...) to a little-endian float32, float64, complex64, "
            "complex128, integer, boolean, object or datetime64[unit] type.",
        ) from None


def _index(shape: tuple[int, ...], position: int) -> str:
    index = map(str, np.unravel_index(position, shape, order="F"))
    return f"[{', '.join(index) or '()'}]"


def _object_array(items: list[Any], shape: tuple[int, ...]) -> Array:
    return np.fromiter(items, dtype=object, count=len(items)).reshape(shape, order="F")


# F: structured arrays


def _write_records(out: Writer, array: Array) -> None:
    if _levels(array.dtype) > _MAX_RECORDS:
        raise RefusedError(f"its type nests more than {_MAX_RECORDS} deep", "Store a dict.")
    names = array.dtype.names or ()
    out.put(b"F" + _names(names))
    for name in names:
        try:
            out.write(array[name])
        except RefusedError as refusal:
            refusal.path.append(f".{name}")
            raise


def _levels(dtype: np.dtype[Any]) -> int:
    """Count how deep types of records are in each other."""
    if not dtype.names:
        return 0
    return 1 + max(_levels(dtype[name].base) for name in dtype.names)


def _read_records(src: Reader) -> Any:
    records = _read_plain_records(src)
    return records.squeeze() if src.squeeze and records.size != 1 else records


def _read_plain_records(src: Reader, level: int = 1) -> Array:
    if level > _MAX_RECORDS:
        raise DataJointError(f"Invalid blob: records in records, more than {_MAX_RECORDS} deep.")
    names = _read_names(src)
    if not names:
        return np.array(None)
    inner = partial(_read_plain_records, level=level + 1)
    reads: dict[int, Read] = {ord("A"): _read_plain_array, ord("F"): inner}
    fields = [src.read(reads) for _ in names]
    shape = min((field.shape for field in fields), key=len)  # what is beyond are subarrays
    layout = [(n, f.dtype, f.shape[len(shape) :]) for n, f in zip(names, fields, strict=True)]
    if any(field.shape[: len(shape)] != shape for field in fields):
        raise DataJointError("Invalid blob: the fields of a structured array differ in shape.")
    dtype = np.dtype(layout)
    src.spend(math.prod(shape) * dtype.itemsize)
    records = np.recarray(shape, dtype)
    for name, field in zip(records.dtype.names or (), fields, strict=True):
        records[name] = field
    return records


def _names(names: Sequence[str]) -> bytes:
    if any("\0" in name for name in names):
        raise RefusedError("a field name contains a null character", "Rename the field.")
    return U32.pack(len(names)) + b"".join(_utf8(name) + b"\0" for name in names)


def _read_names(src: Reader) -> list[str]:
    (count,) = src.unpack(U32)
    src.expect(count, 1)
    src.spend(count * _FIELD_COST)
    names = []
    for _ in range(count):
        stop = src.data.index(b"\0", src.pos, src.end)
        names.append(src.take(stop + 1 - src.pos)[:-1].decode())
    return names


# C, S and P: MATLAB's cells, structs and sparse arrays


def _write_cell(out: Writer, value: MatCell) -> None:
    array = np.asarray(value)
    flat = array.ravel("F")
    if array.dtype.names:  # a cell of structs
        items = [flat[i : i + 1].reshape(1, 1).view(MatStruct) for i in range(len(flat))]
    else:
        items = list(flat)
    out.put(b"C" + _shape(array))
    out.write_all(items, partial(_index, array.shape))


def _read_cell(src: Reader) -> Any:
    src.spend(_ARRAY_COST)
    start = src.pos
    shape = src.shape()
    items = src.read_all(math.prod(shape))
    merged = _merge(src, items, room=max(_PADDING_FREE, _MAX_PADDING * (src.pos - start)))
    array = _object_array(items, shape) if merged is None else merged.reshape(shape, order="F")
    cell = array.view(MatCell)
    return cell.squeeze() if src.squeeze else cell


def _merge(src: Reader, items: list[Any], room: int) -> Array | None:
    """Make one array, of up to `room` bytes, of items that have one element each and are alike.

    This is what the format's first reader made of such cells, and what its users count on.
    """
    if not items:
        return np.empty(0)
    if not all(isinstance(x, (np.ndarray, np.generic, str, int, float, complex)) for x in items):
        return None
    arrays = [np.asarray(x) for x in items]
    if any(a.size != 1 or a.shape != arrays[0].shape for a in arrays):
        return None
    dtypes = {a.dtype for a in arrays}
    kinds = {dtype.kind for dtype in dtypes}
    alike = kinds <= set("biufc") or kinds == {"U"} or (kinds <= set("MV") and len(dtypes) == 1)
    size = len(items) * max(dtype.itemsize for dtype in dtypes)
    if not alike or size > room:
        return None
    src.spend(size)
    merged = np.concatenate([a.reshape(1) for a in arrays])
    return merged.view(np.dtype((np.record, merged.dtype))) if merged.dtype.names else merged


def _write_struct(out: Writer, value: MatStruct) -> None:
    array = np.asarray(value)
    names = array.dtype.names
    if names is None:
        raise RefusedError("a MatStruct without fields", "Store None, or an array with fields.")
    flat, count = array.ravel("F"), len(names)
    out.put(b"S" + _shape(array) + _names(names))
    out.write_all(
        (item for row in zip(*(list(flat[name]) for name in names), strict=True) for item in row),
        lambda i: f"{_index(array.shape, i // count)}.{names[i % count]}",
    )


def _read_struct(src: Reader) -> Any:
    shape = src.shape()
    names = _read_names(src)
    if not names:
        return np.array(None)
    items = src.read_all(math.prod(shape) * len(names))
    structs = np.recarray(shape, dtype=[(name, object) for name in names]).view(MatStruct)
    for i, name in enumerate(structs.dtype.names or ()):
        structs[name] = _object_array(items[i :: len(names)], shape)
    return structs.squeeze() if src.squeeze else structs


def _read_sparse(src: Reader) -> NoReturn:
    raise DataJointError("MATLAB sparse arrays are not supported: store the full array instead.")


# str, int, dict, and dates and times


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(f"invalid Unicode ({error.reason})", "Store bytes.") from error


def _write_int(out: Writer, value: int) -> None:
    size = value.bit_length() // 8 + 1
    if size > 0xFFFF:
        raise RefusedError("an int of more than 65535 bytes", "Store it as bytes.")
    out.put(b"\x0a" + U16.pack(size) + value.to_bytes(size, "little", signed=True))


def _read_int(src: Reader) -> int:
    return int.from_bytes(src.take(src.unpack(U16)[0]), "little", signed=True)


def _write_dict(out: Writer, value: Mapping[Any, Any]) -> None:
    pairs = list(value.items())

    def step(i: int) -> str:
        try:
            return f"[{reprlib.repr(pairs[i // 2][0])}]" if i % 2 else f".keys()[{i // 2}]"
        except ValueError:  # an int with more digits than Python prints
            return f".values()[{i // 2}]"

    out.put(b"\x04" + U64.pack(len(pairs)))
    out.write_all((item for pair in pairs for item in pair), step)


def _read_dict(src: Reader) -> dict[Any, Any]:
    items = src.read_all(2 * src.dim())
    return dict(zip(_keys(items[::2]), items[1::2], strict=True))


def _keys(items: list[Any]) -> list[Any]:
    """Make items what sets and dicts take; refuse what is made to keep these busy for hours."""
    keys = list(map(_hashable, items))
    if len(keys) > _MAX_COLLISIONS and len(keys) - len(set(map(hash, keys))) > _MAX_COLLISIONS:
        raise DataJointError("Invalid blob: the keys of a dict, or items of a set, collide.")
    return keys


def _hashable(key: Any) -> Any:
    """Turn sets, at any depth of tuples, into the frozen sets that they must have been."""
    if isinstance(key, set):
        return frozenset(key)
    return tuple(map(_hashable, key)) if isinstance(key, tuple) else key


def _from_datetime(value: datetime.date | datetime.time) -> tuple[int, int]:
    if value != value:
        raise RefusedError("pandas.NaT has no date and no time", "Store None instead.")
    day = clock = -1
    if isinstance(value, datetime.date):
        day = value.year * 10000 + value.month * 100 + value.day
    if isinstance(value, (datetime.time, datetime.datetime)):
        clock = value.hour * 10000 + value.minute * 100 + value.second
        clock = clock * 1000000 + value.microsecond
    return day, clock


def _to_datetime(day: int, clock: int) -> datetime.date | datetime.time:
    if clock == -1:
        return datetime.date(day // 10000, day // 100 % 100, day % 100)
    seconds, microseconds = divmod(clock, 1000000)
    time = datetime.time(seconds // 10000, seconds // 100 % 100, seconds % 100, microseconds)
    if day == -1:
        return time
    return datetime.datetime.combine(cast("datetime.date", _to_datetime(day, -1)), time)


# the registry


_Function = Callable[..., Any]
_Types = type | tuple[type, ...]


def _fixed(code: bytes, types: _Types, layout: str, encode: _Function, decode: _Function) -> Codec:
    """Make the codec of a value that is a fixed number of numbers."""
    record = struct.Struct("<" + layout)

    def write(out: Writer, value: Any) -> None:
        out.put(code + record.pack(*encode(value)))

    return Codec(code, types, write, lambda src: decode(*src.unpack(record)))


def _sized(code: bytes, types: _Types, encode: _Function, decode: _Function) -> Codec:
    """Make the codec of a value that is some bytes after their number."""

    def write(out: Writer, value: Any) -> None:
        data = encode(value)
        out.put(code + U64.pack(len(data)))
        out.put(data)

    return Codec(code, types, write, lambda src: decode(src.take(src.dim())))


def _items(code: bytes, types: _Types, decode: _Function, cost: int = 0) -> Codec:
    """Make the codec of a collection of values; `cost` is that of an empty one, above average."""

    def write(out: Writer, value: Iterable[Any]) -> None:
        items = list(value)
        out.put(code + U64.pack(len(items)))
        out.write_all(items, "[{}]".format)

    def read(src: Reader) -> Any:
        src.spend(cost)
        return decode(src.read_all(src.dim()))

    return Codec(code, types, write, read)


# A value is written by the first codec that has its type. Arrays with fields go from A on to F;
# NumPy's scalars come before the Python numbers that some of them are, too.
_NUMPY = (np.ndarray, np.number, np.bool_, np.datetime64)
CODECS = (
    Codec(b"C", MatCell, _write_cell, _read_cell, native=False),
    Codec(b"S", MatStruct, _write_struct, _read_struct, native=False),
    Codec(b"A", _NUMPY, _write_array, _read_array, native=False),
    Codec(b"F", (), _write_records, _read_records),
    _fixed(b"\x0b", bool, "?", lambda x: (x,), bool),
    Codec(b"\x0a", int, _write_int, _read_int),
    _fixed(b"\x0c", complex, "dd", lambda x: (x.real, x.imag), complex),
    _fixed(b"\x0d", float, "d", lambda x: (x,), float),
    _fixed(b"t", (datetime.date, datetime.time), "iq", _from_datetime, _to_datetime),
    _sized(b"d", Decimal, lambda x: str(x).encode(), lambda x: Decimal(x.decode("ascii"))),
    _fixed(b"u", uuid.UUID, "16s", lambda x: (x.bytes,), lambda x: uuid.UUID(bytes=x)),
    Codec(b"\x04", Mapping, _write_dict, _read_dict),
    _sized(b"\x05", str, _utf8, bytes.decode),
    _sized(b"\x06", (bytes, bytearray), memoryview, bytes),
    _items(b"\x02", MutableSequence, list),
    _items(b"\x01", Sequence, tuple),
    _items(b"\x03", Set, lambda items: set(_keys(items)), cost=_SET_COST),
    _fixed(b"\xff", type(None), "", lambda x: (), lambda: None),
)
READS = {ord(codec.code): codec.read for codec in CODECS} | {ord("P"): _read_sparse}
