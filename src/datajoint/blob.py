"""Serializer of Python and NumPy values into blobs, byte-compatible with DataJoint 0.13 and 0.14.

A blob is a header (``mYm`` for what MATLAB knows, ``dj0`` for anything else) and one payload: a
code byte and what it announces, in which further payloads nest. Blobs of more than 1000 bytes are
stored compressed when that makes them shorter. The format is fixed for ever: other clients read
and write the same tables (storage formats, section 4).

The writer and the reader of a code stand side by side; ``_CODECS`` at the end lists them in the
order in which a value looks for its writer. Nothing is ever pickled. What a blob claims is checked
against the bytes that are there before memory is allocated for it.
"""

from __future__ import annotations

import datetime
import math
import reprlib
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from .errors import DataJointError

__all__ = ["Blob", "MatCell", "MatStruct", "pack", "unpack"]

bypass_serialization = False
"""When set, `pack` and `unpack` hand serialized bytes through unchanged (to copy tables)."""

use_32bit_dims = False
"""When set, `unpack` reads the blobs that the 32-bit build of mYm made."""

DECOMPRESSION_LIMIT = 1 << 32
"""Bytes that decompressing one blob may produce by default: what a ``longblob`` holds."""

_COMPRESS_ABOVE = 1000  # bytes
_MAX_DEPTH = 1000  # levels of nesting; Python's own recursion limit usually comes first
_MAX_NDIM = 64  # NumPy's own limit
_MAX_PADDING = 64  # a cell of strings becomes an array of strings in up to this times its bytes,
_PADDING_FREE = 1 << 20  # or this many bytes

_ZLIB, _MYM, _DJ0 = b"ZL123\0", b"mYm\0", b"dj0\0"
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
_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_ARRAY_TYPE = struct.Struct("<II")  # type id, is_complex

_Array = npt.NDArray[Any]
_Function = Callable[..., Any]
_Types = type | tuple[type, ...]
_Writer = Callable[["_Packer", Any], None]
_Reader = Callable[["_Unpacker"], Any]
_IsalError = cast("type[Exception]", isal_zlib.error)
# what NumPy, datetime, Decimal, str and hash() raise when a malformed blob feeds them nonsense
_MALFORMED = (ArithmeticError, LookupError, TypeError, ValueError, struct.error)


class MatCell(np.ndarray[Any, Any]):
    """A MATLAB cell array: usually an array of objects, packed so that MATLAB reads a cell."""


class MatStruct(np.recarray[Any, Any]):
    """A MATLAB struct array: fields are attributes, as in ``blob.a[0, 1]``."""


class Blob:
    """A serializer with its settings.

    Parameters
    ----------
    squeeze : bool
        Remove singleton dimensions when unpacking, see `unpack`.
    """

    def __init__(self, squeeze: bool = False) -> None:
        self.squeeze = squeeze

    def pack(self, obj: Any, compress: bool = True, *, native: bool = True) -> bytes:
        """Serialize a value; see the function `pack`."""
        return pack(obj, compress, native=native)

    def unpack(self, blob: bytes) -> Any:
        """Read a value; see the function `unpack`."""
        return unpack(blob, self.squeeze)


def pack(value: Any, compress: bool = True, *, native: bool = True) -> bytes:
    """Serialize a value.

    Parameters
    ----------
    value : object
        None, numbers, strings, bytes, dates, times, `decimal.Decimal`, `uuid.UUID`, NumPy scalars
        and arrays of any shape, `MatCell`, `MatStruct`, and (nested) sequences, sets and mappings.
    compress : bool
        Whether the blob may be compressed. It is when it has more than 1000 bytes and that makes
        it shorter.
    native : bool
        The setting ``enable_python_native_blobs``. Without it, what MATLAB does not know is
        refused.

    Returns
    -------
    bytes
        The blob as it is stored.

    Raises
    ------
    DataJointError
        The format has no place for something in the value; the message names its type and its
        path, as in ``value['a'][3].x``.
    """
    if bypass_serialization:
        return cast("bytes", _serialized(value))
    blob = _encode(value, native)
    return _compress(blob) if compress and len(blob) > _COMPRESS_ABOVE else blob


def unpack(blob: bytes, squeeze: bool = False, *, limit: int | None = None) -> Any:
    """Read a value from a blob.

    Arrays come back writable, in Fortran order and in memory of their own.

    Parameters
    ----------
    blob : bytes
        A blob as it is stored.
    squeeze : bool
        Remove singleton dimensions from arrays, cells and structs at every level; arrays of one
        element become Python scalars, MATLAB strings become ``str``.
    limit : int, optional
        Bytes that decompression may produce, `DECOMPRESSION_LIMIT` by default.

    Returns
    -------
    object
        The value; None for no bytes and for an unknown header.

    Raises
    ------
    DataJointError
        The bytes are no valid blob, or hold more than `limit` allows.
    """
    if bypass_serialization:
        return _serialized(blob)
    try:
        return _decode(blob, squeeze, DECOMPRESSION_LIMIT if limit is None else limit)
    except RecursionError as error:
        raise DataJointError("Invalid blob: it is nested too deeply.") from error
    except MemoryError as error:
        raise DataJointError(f"A blob of {len(blob)} bytes needs too much memory.") from error
    except _MALFORMED as error:
        raise DataJointError(f"Invalid blob: {error}") from error


def _serialized(blob: Any) -> Any:
    try:
        start = bytes(memoryview(blob)[:6])
    except TypeError:
        start = b""
    if not start.startswith((_ZLIB, _MYM, _DJ0)):
        raise DataJointError(
            f"With bypass_serialization on, a blob is bytes that start with {_ZLIB!r}, {_MYM!r} "
            f"or {_DJ0!r}, not {_type_name(blob)} {reprlib.repr(blob)}."
        )
    return blob


def _encode(value: Any, native: bool) -> bytes:
    packer = _Packer(native)
    try:
        packer.write(value)
    except _RefusedError as refusal:
        path = "value" + "".join(reversed(refusal.path))
        raise DataJointError(f"Cannot pack {path}: {refusal}.", refusal.advice) from refusal
    except RecursionError as error:
        raise DataJointError("Cannot pack value: it nests too deep or holds itself.") from error
    return b"".join([packer.header, *packer.parts])


def _compress(blob: bytes) -> bytes:
    # at isal's default level, 2: as fast as 1 and often smaller; 3 takes twice the time for nothing
    stored = b"".join([_ZLIB, _U64.pack(len(blob)), isal_zlib.compress(blob)])
    return stored if len(stored) < len(blob) else blob


def _decode(blob: bytes | bytearray | memoryview, squeeze: bool, limit: int) -> Any:
    data = blob if isinstance(blob, bytes) else bytes(memoryview(blob))
    if not data:
        return None
    if data.startswith(_ZLIB):
        data = _decompress(data, limit)
    header = data[: data.find(b"\0") + 1]
    if not header:
        raise DataJointError("Invalid blob: it has no header.")
    if header not in (_MYM, _DJ0):
        return None
    unpacker = _Unpacker(data, len(header), squeeze)
    value = unpacker.read()
    unpacker.check_end()
    return value


def _decompress(blob: bytes, limit: int) -> bytes:
    dim = _U32 if use_32bit_dims else _U64
    (size,) = dim.unpack_from(blob, len(_ZLIB))
    if size > limit:
        raise DataJointError(f"The blob claims to decompress to {size} bytes, above {limit}.")
    stream = isal_zlib.decompressobj()
    try:
        data = stream.decompress(memoryview(blob)[len(_ZLIB) + dim.size :], size + 1)
    except _IsalError as error:
        raise DataJointError(f"Invalid blob: it does not decompress ({error}).") from error
    if len(data) != size or not stream.eof or stream.unused_data:
        raise DataJointError("Blob length check failed! Invalid blob: compressed data do not fit.")
    return data


def _type_name(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


class _RefusedError(Exception):
    """The format has no place for a value; the path to it grows while the error rises."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice
        self.path: list[str] = []


class _Packer:
    """What is written so far: a list of buffers, to be joined once."""

    def __init__(self, native: bool) -> None:
        self.header = _MYM  # until something native to Python comes along
        self.parts: list[bytes | memoryview] = []
        self.size = 0  # bytes in parts
        self._native = native
        self._depth = 0
        self._writers: dict[type, _Writer] = {}

    def put(self, part: bytes | memoryview) -> None:
        """Add bytes."""
        self.parts.append(part)
        self.size += len(part)

    def write(self, value: Any) -> None:
        """Add the payload of a value."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RecursionError
        writer = self._writers.get(type(value)) or self._find_writer(value)
        writer(self, value)
        self._depth -= 1

    def write_all(self, items: Iterable[Any], step: Callable[[int], str]) -> None:
        """Add payloads, each after its length; `step` names an item in errors."""
        index = 0
        try:
            for item in items:
                slot, start = len(self.parts), self.size
                self.parts.append(b"")
                self.write(item)
                self.parts[slot] = _U64.pack(self.size - start)
                self.size += _U64.size
                index += 1
        except _RefusedError as refusal:
            refusal.path.append(step(index))
            raise

    def require_native(self, value: Any) -> None:
        """Note that the value needs the ``dj0`` header."""
        if not self._native:
            raise _RefusedError(
                f"{_type_name(value)} needs a Python-native blob, and these are disabled",
                "Set dj.config['enable_python_native_blobs'] = True to allow them.",
            )
        self.header = _DJ0

    def _find_writer(self, value: Any) -> _Writer:
        for codec in _CODECS:
            if isinstance(value, codec.types):
                if codec.native:
                    self.require_native(value)
                self._writers[type(value)] = codec.write
                return codec.write
        raise _RefusedError(
            f"objects of type {_type_name(value)} are not supported",
            "A blob holds None, numbers, strings, bytes, dates, times, Decimal, UUID, NumPy arrays"
            " and lists, tuples, sets and dicts of these: convert it, or use an attribute adapter.",
        )


class _Unpacker:
    """A position in an uncompressed blob, and the end of the payload that is being read."""

    def __init__(self, data: bytes, pos: int, squeeze: bool) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data)
        self.squeeze = squeeze
        self._dim = _U32 if use_32bit_dims else _U64
        self._depth = 0

    def claim(self, size: int) -> int:
        """Move past `size` bytes if the payload has them; return where they start."""
        start, left = self.pos, self.end - self.pos
        if size > left:
            raise DataJointError(f"Invalid blob: {size} bytes at {start}, but {left} are left.")
        self.pos = start + size
        return start

    def check_end(self) -> None:
        """Check that the payload was read to its end."""
        if self.pos != self.end:
            raise DataJointError(
                "Blob length check failed! Invalid blob: "
                f"a value ends at byte {self.pos}, not at {self.end}."
            )

    def take(self, size: int) -> bytes:
        """Read bytes."""
        start = self.claim(size)
        return self.data[start : self.pos]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Read numbers."""
        return layout.unpack_from(self.data, self.claim(layout.size))

    def numbers(self, dtype: np.dtype[Any], count: int) -> _Array:
        """Read an array of one dimension, as a view of the blob."""
        return np.frombuffer(self.data, dtype, count, self.claim(count * dtype.itemsize))

    def dim(self) -> int:
        """Read a dimension, count or length."""
        return cast("int", self.unpack(self._dim)[0])

    def shape(self) -> tuple[int, ...]:
        """Read the number of dimensions and the dimensions."""
        ndim = self.dim()
        if ndim > _MAX_NDIM:
            raise DataJointError(f"Invalid blob: an array of {ndim} dimensions.")
        return tuple(self.dim() for _ in range(ndim))

    def read(self, readers: Mapping[int, _Reader] | None = None) -> Any:
        """Read a payload, by default of any code."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RecursionError
        code = self.data[self.claim(1)]
        reader = (_READERS if readers is None else readers).get(code)
        if reader is None:
            raise DataJointError(
                f"Invalid blob: unknown data structure code {code:#x} at byte {self.pos - 1}."
            )
        value = reader(self)
        self._depth -= 1
        return value

    def read_all(self, count: int) -> list[Any]:
        """Read payloads, each after its length."""
        outer = self.end
        if count * (self._dim.size + 1) > outer - self.pos:
            raise DataJointError(f"Invalid blob: {count} elements are claimed at byte {self.pos}.")
        items = []
        for _ in range(count):
            (size,) = self.unpack(self._dim)
            self.pos = self.claim(size)
            self.end = self.pos + size
            items.append(self.read())
            self.check_end()
            self.end = outer
        return items


# A: arrays and NumPy scalars


def _write_array(out: _Packer, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise _RefusedError("a masked array would lose its mask", "Call .filled(...) on it.")
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
        out.put(_buffer(array.ravel("C").view(np.uint8).astype("<u2")))
    else:
        parts = [array.real, array.imag] if kind == "c" else [array]
        out.put(b"A" + _shape(array) + _ARRAY_TYPE.pack(_type_id(parts[0]), kind == "c"))
        for part in parts:
            out.put(_buffer(part))


def _read_array(src: _Unpacker) -> Any:
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


def _read_plain_array(src: _Unpacker) -> _Array:
    """Read an array in the shape that it was stored in, if possible as a view of the blob."""
    shape = src.shape()
    count = math.prod(shape)
    type_id, is_complex = src.unpack(_ARRAY_TYPE)
    if type_id == _OBJECT:
        return _object_array(src.read_all(count), shape)
    if type_id == _CHAR:  # UTF-16 code units
        flat = src.numbers(np.dtype("<u2"), count).astype("<u4").view("<U1")
        return flat.reshape(shape, order="F")
    dtype = _DTYPES.get(type_id)
    if dtype is None:
        raise DataJointError(f"Invalid blob: unknown array type {type_id} at byte {src.pos - 8}.")
    flat = src.numbers(dtype, count)
    if is_complex:
        real, imag = flat, src.numbers(dtype, count)
        flat = np.empty(count, np.result_type(dtype, np.complex64))
        flat.real, flat.imag = real, imag
    elif dtype.kind == "b":
        flat = flat.view(np.uint8) != 0  # bytes other than 0 and 1 make NumPy misbehave
    return flat.reshape(shape, order="F")


def _shape(array: _Array) -> bytes:
    return struct.pack(f"<{1 + array.ndim}Q", array.ndim, *array.shape)


def _type_id(array: _Array) -> int:
    try:
        return _TYPE_IDS[array.dtype.str]
    except KeyError:
        raise _RefusedError(
            f"NumPy type {array.dtype} is ambiguous or unknown",
            "Convert it with .astype(...) to a little-endian float32, float64, complex64, "
            "complex128, integer, boolean, object or datetime64[unit] type.",
        ) from None


def _buffer(array: _Array) -> memoryview:
    """Return the elements in column-major order, without a copy if memory has them so."""
    return array.ravel("F").view(np.uint8).data


def _index(shape: tuple[int, ...], position: int) -> str:
    index = map(str, np.unravel_index(position, shape, order="F"))
    return f"[{', '.join(index) or '()'}]"


def _object_array(items: list[Any], shape: tuple[int, ...]) -> _Array:
    return np.fromiter(items, dtype=object, count=len(items)).reshape(shape, order="F")


# F: structured arrays


def _write_records(out: _Packer, array: _Array) -> None:
    names = array.dtype.names or ()
    out.put(b"F" + _names(names))
    for name in names:
        try:
            out.write(array[name])
        except _RefusedError as refusal:
            refusal.path.append(f".{name}")
            raise


def _read_records(src: _Unpacker) -> Any:
    records = _read_plain_records(src)
    return records.squeeze() if src.squeeze and records.size != 1 else records


def _read_plain_records(src: _Unpacker) -> _Array:
    names = _read_names(src)
    if not names:
        return np.array(None)
    readers = {ord("A"): _read_plain_array, ord("F"): _read_plain_records}
    fields = [src.read(readers) for _ in names]
    shape = min((field.shape for field in fields), key=len)  # what is beyond are subarrays
    layout = [(n, f.dtype, f.shape[len(shape) :]) for n, f in zip(names, fields, strict=True)]
    if any(field.shape[: len(shape)] != shape for field in fields):
        raise DataJointError("Invalid blob: the fields of a structured array differ in shape.")
    records = np.recarray(shape, dtype=layout)
    for name, field in zip(records.dtype.names or (), fields, strict=True):
        records[name] = field
    return records


def _names(names: Sequence[str]) -> bytes:
    if any("\0" in name for name in names):
        raise _RefusedError("a field name contains a null character", "Rename the field.")
    return _U32.pack(len(names)) + b"".join(_utf8(name) + b"\0" for name in names)


def _read_names(src: _Unpacker) -> list[str]:
    names = []
    for _ in range(src.unpack(_U32)[0]):
        stop = src.data.index(b"\0", src.pos, src.end)
        names.append(src.take(stop + 1 - src.pos)[:-1].decode())
    return names


# C, S and P: MATLAB's cells, structs and sparse arrays


def _write_cell(out: _Packer, value: MatCell) -> None:
    array = np.asarray(value)
    flat = array.ravel("F")
    if array.dtype.names:  # a cell of structs
        items = [flat[i : i + 1].reshape(1, 1).view(MatStruct) for i in range(len(flat))]
    else:
        items = list(flat)
    out.put(b"C" + _shape(array))
    out.write_all(items, partial(_index, array.shape))


def _read_cell(src: _Unpacker) -> Any:
    start = src.pos
    shape = src.shape()
    items = src.read_all(math.prod(shape))
    simple = _merge(items, room=max(_PADDING_FREE, _MAX_PADDING * (src.pos - start)))
    array = _object_array(items, shape) if simple is None else simple.reshape(shape, order="F")
    cell = array.view(MatCell)
    return cell.squeeze() if src.squeeze else cell


def _merge(items: list[Any], room: int) -> _Array | None:
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
    if not alike or len(items) * max(dtype.itemsize for dtype in dtypes) > room:
        return None
    merged = np.concatenate([a.reshape(1) for a in arrays])
    return merged.view(np.dtype((np.record, merged.dtype))) if merged.dtype.names else merged


def _write_struct(out: _Packer, value: MatStruct) -> None:
    array = np.asarray(value)
    names = array.dtype.names
    if names is None:
        raise _RefusedError("a MatStruct without fields", "Store None, or an array with fields.")
    flat, count = array.ravel("F"), len(names)
    out.put(b"S" + _shape(array) + _names(names))
    out.write_all(
        (item for row in zip(*(list(flat[name]) for name in names), strict=True) for item in row),
        lambda i: f"{_index(array.shape, i // count)}.{names[i % count]}",
    )


def _read_struct(src: _Unpacker) -> Any:
    shape = src.shape()
    names = _read_names(src)
    if not names:
        return np.array(None)
    items = src.read_all(math.prod(shape) * len(names))
    structs = np.recarray(shape, dtype=[(name, object) for name in names]).view(MatStruct)
    for i, name in enumerate(structs.dtype.names or ()):
        structs[name] = _object_array(items[i :: len(names)], shape)
    return structs.squeeze() if src.squeeze else structs


def _read_sparse(src: _Unpacker) -> NoReturn:
    raise DataJointError("MATLAB sparse arrays are not supported: store the full array instead.")


# str, int, dict, and dates and times


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _RefusedError(f"invalid Unicode ({error.reason})", "Store bytes.") from error


def _write_int(out: _Packer, value: int) -> None:
    size = value.bit_length() // 8 + 1
    if size > 0xFFFF:
        raise _RefusedError("an int of more than 65535 bytes", "Store it as bytes.")
    out.put(b"\x0a" + _U16.pack(size) + value.to_bytes(size, "little", signed=True))


def _read_int(src: _Unpacker) -> int:
    return int.from_bytes(src.take(src.unpack(_U16)[0]), "little", signed=True)


def _write_dict(out: _Packer, value: Mapping[Any, Any]) -> None:
    pairs = list(value.items())

    def step(i: int) -> str:
        try:
            return f"[{reprlib.repr(pairs[i // 2][0])}]" if i % 2 else f".keys()[{i // 2}]"
        except ValueError:  # an int with more digits than Python prints
            return f".values()[{i // 2}]"

    out.put(b"\x04" + _U64.pack(len(pairs)))
    out.write_all((item for pair in pairs for item in pair), step)


def _read_dict(src: _Unpacker) -> dict[Any, Any]:
    items = src.read_all(2 * src.dim())
    return dict(zip(map(_hashable, items[::2]), items[1::2], strict=True))


def _hashable(key: Any) -> Any:
    """Turn sets, at any depth of tuples, into the frozen sets that they must have been."""
    if isinstance(key, set):
        return frozenset(key)
    return tuple(map(_hashable, key)) if isinstance(key, tuple) else key


def _from_datetime(value: datetime.date | datetime.time) -> tuple[int, int]:
    if value != value:
        raise _RefusedError("pandas.NaT has no date and no time", "Store None instead.")
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


@dataclass(frozen=True)
class _Codec:
    """The writer and the reader of one code; `native` if its types call for ``dj0``."""

    code: bytes
    types: _Types
    write: _Writer
    read: _Reader
    native: bool = True


def _fixed(code: bytes, types: _Types, layout: str, encode: _Function, decode: _Function) -> _Codec:
    """Make the codec of a value that is a fixed number of numbers."""
    record = struct.Struct("<" + layout)

    def write(out: _Packer, value: Any) -> None:
        out.put(code + record.pack(*encode(value)))

    return _Codec(code, types, write, lambda src: decode(*src.unpack(record)))


def _sized(code: bytes, types: _Types, encode: _Function, decode: _Function) -> _Codec:
    """Make the codec of a value that is some bytes after their number."""

    def write(out: _Packer, value: Any) -> None:
        data = encode(value)
        out.put(code + _U64.pack(len(data)))
        out.put(data)

    return _Codec(code, types, write, lambda src: decode(src.take(src.dim())))


def _items(code: bytes, types: _Types, decode: _Function) -> _Codec:
    """Make the codec of a collection of values."""

    def write(out: _Packer, value: Iterable[Any]) -> None:
        items = list(value)
        out.put(code + _U64.pack(len(items)))
        out.write_all(items, "[{}]".format)

    return _Codec(code, types, write, lambda src: decode(src.read_all(src.dim())))


# A value is written by the first codec that has its type. Arrays with fields go from A on to F;
# NumPy's scalars come before the Python numbers that some of them are, too.
_NUMPY = (np.ndarray, np.number, np.bool_, np.datetime64)
_CODECS = (
    _Codec(b"C", MatCell, _write_cell, _read_cell, native=False),
    _Codec(b"S", MatStruct, _write_struct, _read_struct, native=False),
    _Codec(b"A", _NUMPY, _write_array, _read_array, native=False),
    _Codec(b"F", (), _write_records, _read_records),
    _fixed(b"\x0b", bool, "?", lambda x: (x,), bool),
    _Codec(b"\x0a", int, _write_int, _read_int),
    _fixed(b"\x0c", complex, "dd", lambda x: (x.real, x.imag), complex),
    _fixed(b"\x0d", float, "d", lambda x: (x,), float),
    _fixed(b"t", (datetime.date, datetime.time), "iq", _from_datetime, _to_datetime),
    _sized(b"d", Decimal, lambda x: str(x).encode(), lambda x: Decimal(x.decode("ascii"))),
    _fixed(b"u", uuid.UUID, "16s", lambda x: (x.bytes,), lambda x: uuid.UUID(bytes=x)),
    _Codec(b"\x04", Mapping, _write_dict, _read_dict),
    _sized(b"\x05", str, _utf8, bytes.decode),
    _sized(b"\x06", (bytes, bytearray), memoryview, bytes),
    _items(b"\x02", MutableSequence, list),
    _items(b"\x01", Sequence, tuple),
    _items(b"\x03", Set, lambda items: set(map(_hashable, items))),
    _fixed(b"\xff", type(None), "", lambda x: (), lambda: None),
)
_READERS = {ord(codec.code): codec.read for codec in _CODECS} | {ord("P"): _read_sparse}
