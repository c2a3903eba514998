"""What codecs write to and read from: bytes, nested payloads, and what they may cost."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ..errors import DataJointError

Array = npt.NDArray[Any]
Write = Callable[["Writer", Any], None]
Read = Callable[["Reader"], Any]

U16, U32, U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")

CHUNK = 1 << 20  # bytes that are compressed at a time, into as little memory as they need
_MAX_DEPTH = 1000  # levels of nesting; Python's own recursion limit usually comes first
_MAX_NDIM = 64  # what NumPy 2 can; NumPy 1 refuses more than 32 by itself
_COST = 64  # bytes of memory that a value takes beside its data, in a list or dict, about

RAISE_LIMIT = "If you trust where it comes from, raise dj.config['blob_memory_limit']."


@dataclass(frozen=True)
class Codec:
    """The writer and the reader of one code; `native` if its types call for ``dj0``."""

    code: bytes
    types: type | tuple[type, ...]
    write: Write
    read: Read
    native: bool = True


class RefusedError(Exception):
    """The format has no place for a value; the path to it grows while the error rises."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice
        self.path: list[str] = []


def type_name(value: Any) -> str:
    """Name the type of a value as users write it."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


class _Sink(Protocol):
    """Takes what was written."""

    def writelines(self, parts: Iterable[bytes | memoryview], /) -> None: ...

    def write_array(self, array: Array, dtype: np.dtype[Any]) -> None:
        """Take the elements of an array, in column-major order and as the given type."""


class Writer:
    """What is written so far: bytes, and arrays that are copied when all is put into a sink.

    Parameters
    ----------
    codecs : iterable of Codec
        A value is written by the first one that has its type.
    native : bool
        Whether values that MATLAB does not know are accepted.
    """

    def __init__(self, codecs: Iterable[Codec], native: bool) -> None:
        self.is_native = False  # until something native to Python comes along
        self._codecs = codecs
        self._may_be_native = native
        self._parts: list[bytes | memoryview] = []
        self._arrays: list[tuple[int, Array, np.dtype[Any]]] = []  # where among the parts
        self.size = 0
        self._depth = 0
        self._writes: dict[type, Write] = {}

    def put(self, part: bytes | memoryview) -> None:
        """Add bytes."""
        self._parts.append(part)
        self.size += len(part)

    def put_array(self, array: Array, dtype: np.dtype[Any]) -> None:
        """Add the elements of an array, in column-major order and as the given type."""
        self._arrays.append((len(self._parts), array, dtype))
        self.size += array.size * dtype.itemsize

    def write(self, value: Any) -> None:
        """Add the payload of a value."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RecursionError
        write = self._writes.get(type(value)) or self._find_write(value)
        write(self, value)
        self._depth -= 1

    def write_all(self, items: Iterable[Any], step: Callable[[int], str]) -> None:
        """Add payloads, each after its length; `step` names an item in errors."""
        index = 0
        try:
            for item in items:
                slot, start = len(self._parts), self.size
                self._parts.append(b"")
                self.write(item)
                self._parts[slot] = U64.pack(self.size - start)
                self.size += U64.size
                index += 1
        except RefusedError as refusal:
            refusal.path.append(step(index))
            raise

    def require_native(self, value: Any) -> None:
        """Note that the value needs the header of blobs native to Python."""
        if not self._may_be_native:
            raise RefusedError(
                f"{type_name(value)} needs a Python-native blob, and these are disabled",
                "Set dj.config['enable_python_native_blobs'] = True to allow them.",
            )
        self.is_native = True

    def whole(self, header: bytes) -> bytes:
        """Put everything together, in the only copy that is made of the arrays."""
        sink = _Whole(len(header) + self.size)
        self._pour(header, sink)
        return sink.getvalue()  # not a copy: the stream hands out what it holds

    def compressed(self, header: bytes, compress: Callable[[memoryview], bytes]) -> list[bytes]:
        """Compress everything in pieces, each of which is the only copy of a part of the arrays.

        The pieces are those of the whole, whatever the arrays' order in memory, on which what comes
        out would depend: equal values give equal blobs.
        """
        sink = _Compressed(compress)
        self._pour(header, sink)
        return sink.finish()

    def _pour(self, header: bytes, sink: _Sink) -> None:
        sink.writelines([header])
        start = 0
        for stop, array, dtype in self._arrays:
            sink.writelines(self._parts[start:stop])
            sink.write_array(array, dtype)
            start = stop
        sink.writelines(self._parts[start:])

    def _find_write(self, value: Any) -> Write:
        for codec in self._codecs:
            if isinstance(value, codec.types):
                if codec.native:
                    self.require_native(value)
                self._writes[type(value)] = codec.write
                return codec.write
        raise RefusedError(
            f"objects of type {type_name(value)} are not supported",
            "A blob holds None, numbers, strings, bytes, dates, times, Decimal, UUID, NumPy arrays"
            " and lists, tuples, sets and dicts of these: convert it, or use an attribute adapter.",
        )


class _Whole(io.BytesIO):
    """A sink that gives all that is put into it; its size is known beforehand."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.seek(size - 1)
        self.write(b"\0")  # all the memory at once
        self.seek(0)

    def write_array(self, array: Array, dtype: np.dtype[Any]) -> None:
        start = self.tell()
        self.seek(start + _copy(array, dtype, self.getbuffer(), start))


class _Compressed:
    """A sink that compresses what is put into it, piece by piece.

    Parameters
    ----------
    compress : callable
        Takes bytes and gives what of the compressed form is ready.
    """

    def __init__(self, compress: Callable[[memoryview], bytes]) -> None:
        self._compress = compress
        self._chunks: list[bytes] = []
        self._pending = memoryview(bytearray(2 * CHUNK))
        self._filled = 0

    def writelines(self, parts: Iterable[bytes | memoryview], /) -> None:
        data = b"".join(parts)
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            self._pending[self._filled : self._filled + len(piece)] = piece
            self._advance(len(piece))

    def write_array(self, array: Array, dtype: np.dtype[Any]) -> None:
        for piece in _pieces(array, dtype.itemsize):
            self._advance(_copy(piece, dtype, self._pending, self._filled))

    def finish(self) -> list[bytes]:
        """Give what was compressed; the compressor may hold some of it back."""
        self._chunks.append(self._compress(self._pending[: self._filled]))
        return self._chunks

    def _advance(self, count: int) -> None:
        self._filled += count
        if self._filled >= CHUNK:
            self._chunks.append(self._compress(self._pending[:CHUNK]))
            self._filled -= CHUNK
            self._pending[: self._filled] = self._pending[CHUNK : CHUNK + self._filled]


def _copy(array: Array, dtype: np.dtype[Any], buffer: Any, start: int) -> int:
    """Copy the elements of an array into a buffer, in column-major order; tell how many bytes."""
    place: Array = np.ndarray(array.shape, dtype, buffer, start, order="F")
    place[...] = array
    return place.nbytes


def _pieces(array: Array, itemsize: int) -> Iterator[Array]:
    """Divide an array into small ones, whose elements are in its column-major order."""
    size = array.size * itemsize
    if size <= CHUNK:
        yield array
        return
    count = array.shape[-1]
    step = CHUNK * count // size  # columns that fit
    if step:
        yield from (array[..., start : start + step] for start in range(0, count, step))
    else:
        for column in range(count):
            yield from _pieces(array[..., column], itemsize)


class Reader:
    """A position in an uncompressed blob, and the end of the payload that is being read.

    Parameters
    ----------
    data : bytes
    pos : int
        Where the first payload starts.
    reads : mapping
        The readers, by their codes.
    squeeze : bool
        Whether arrays lose their dimensions of length 1.
    limit : int
        How much memory the value may take.
    dim : struct.Struct
        How lengths, counts and dimensions are stored.
    """

    def __init__(
        self,
        data: bytes,
        pos: int,
        reads: Mapping[int, Read],
        *,
        squeeze: bool,
        limit: int,
        dim: struct.Struct,
    ) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data)
        self.squeeze = squeeze
        self._reads = reads
        self._limit = limit
        self._memory = limit
        self._dim = dim
        self._depth = 0

    def spend(self, size: int) -> None:
        """Note that the value takes that many bytes of memory, more or less."""
        self._memory -= size
        if self._memory < 0:
            raise DataJointError(
                f"The value of a blob takes more than {self._limit} bytes of memory.",
                RAISE_LIMIT,
            )

    def expect(self, count: int, size: int) -> None:
        """Check that so many elements, of no less than `size` bytes, can follow."""
        if count * size > self.end - self.pos:
            raise DataJointError(f"Invalid blob: {count} elements are claimed at byte {self.pos}.")

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
        self.spend(size)
        return self.data[start : self.pos]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Read numbers."""
        return layout.unpack_from(self.data, self.claim(layout.size))

    def numbers(self, dtype: np.dtype[Any], count: int) -> Array:
        """Read an array of one dimension, as a view of the blob."""
        start = self.claim(count * dtype.itemsize)
        self.spend(self.pos - start)
        return np.frombuffer(self.data, dtype, count, start)

    def dim(self) -> int:
        """Read a dimension, count or length."""
        return cast("int", self.unpack(self._dim)[0])

    def shape(self) -> tuple[int, ...]:
        """Read the number of dimensions and the dimensions."""
        ndim = self.dim()
        if ndim > _MAX_NDIM:
            raise DataJointError(f"Invalid blob: an array of {ndim} dimensions.")
        return tuple(self.dim() for _ in range(ndim))

    def read(self, reads: Mapping[int, Read] | None = None) -> Any:
        """Read a payload, by default of any code."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RecursionError
        code = self.data[self.claim(1)]
        read = (self._reads if reads is None else reads).get(code)
        if read is None:
            raise DataJointError(
                f"Invalid blob: unknown data structure code {code:#x} at byte {self.pos - 1}."
            )
        value = read(self)
        self._depth -= 1
        return value

    def read_all(self, count: int) -> list[Any]:
        """Read payloads, each after its length."""
        dim, outer = self._dim, self.end
        self.expect(count, dim.size + 1)
        self.spend(count * _COST)
        items = []
        for _ in range(count):
            (size,) = dim.unpack_from(self.data, self.pos)
            self.pos += dim.size
            self.end = self.pos + size
            if self.end > outer:
                raise DataJointError(
                    f"Invalid blob: {size} bytes claimed at {self.pos} of {outer}."
                )
            items.append(self.read())
            if self.pos != self.end:
                self.check_end()
        self.end = outer
        return items
