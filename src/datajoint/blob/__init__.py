"""Serializer of Python and NumPy values into blobs, byte-compatible with DataJoint 0.13 and 0.14.

A blob is a header (``mYm`` for what MATLAB knows, ``dj0`` for anything else) and one payload: a
code byte and what it announces, in which further payloads nest. Blobs of more than 1000 bytes are
stored compressed when that makes them shorter. The format is fixed for ever: other clients read
and write the same tables (storage formats, section 4).
"""

from __future__ import annotations

import reprlib
import struct
from typing import Any, cast

from isal import isal_zlib

from ..errors import DataJointError
from ..settings import config
from .codecs import CODECS, READS, MatCell, MatStruct
from .stream import CHUNK, RAISE_LIMIT, U32, U64, Reader, RefusedError, Writer, type_name

__all__ = ["Blob", "MatCell", "MatStruct", "pack", "unpack"]

bypass_serialization = False
"""When set, `pack` and `unpack` hand serialized bytes through unchanged (to copy tables)."""

use_32bit_dims = False
"""When set, `unpack` reads the blobs that the 32-bit build of mYm made."""

_ZLIB, _MYM, _DJ0 = b"ZL123\0", b"mYm\0", b"dj0\0"
_COMPRESS_ABOVE = 1000  # bytes
_LEVEL = 2  # of isal's: as fast as 1 and often smaller; 3 takes several times as long

_IsalError = cast("type[Exception]", isal_zlib.error)
# what NumPy, datetime, Decimal, str and hash() raise when a malformed blob feeds them nonsense
_MALFORMED = (ArithmeticError, LookupError, TypeError, ValueError, struct.error)


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
        return bytes(_serialized(value))
    writer = _encode(value, native)
    header = _DJ0 if writer.is_native else _MYM
    size = len(header) + writer.size
    if not compress or size <= _COMPRESS_ABOVE:
        return writer.whole(header)
    stream = isal_zlib.compressobj(_LEVEL)
    # A large one is put together only if it is stored so.
    blob = writer.whole(header) if size <= CHUNK else None
    chunks = writer.compressed(header, stream.compress) if blob is None else [stream.compress(blob)]
    stored = [_ZLIB, U64.pack(size), *chunks, stream.flush()]
    if sum(map(len, stored)) < size:
        return b"".join(stored)
    return writer.whole(header) if blob is None else blob


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
        Bytes of memory that the decompressed blob may take, and the value made of it, as well as
        that can be foretold: by default the setting ``blob_memory_limit``.

    Returns
    -------
    object
        The value; None for no bytes and for an unknown header.

    Raises
    ------
    DataJointError
        The bytes are no valid blob, or need more memory than `limit` allows.
    """
    if bypass_serialization:
        return _serialized(blob)
    try:
        return _decode(blob, squeeze, config["blob_memory_limit"] if limit is None else limit)
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
            f"or {_DJ0!r}, not {type_name(blob)} {reprlib.repr(blob)}."
        )
    return blob


def _encode(value: Any, native: bool) -> Writer:
    writer = Writer(CODECS, native)
    try:
        writer.write(value)
    except RefusedError as refusal:
        path = "value" + "".join(reversed(refusal.path))
        raise DataJointError(f"Cannot pack {path}: {refusal}.", refusal.advice) from refusal
    except RecursionError as error:
        raise DataJointError("Cannot pack value: it nests too deep or holds itself.") from error
    return writer


def _decode(blob: bytes | bytearray | memoryview, squeeze: bool, limit: int) -> Any:
    data = blob if isinstance(blob, bytes) else bytes(memoryview(blob))
    if not data:
        return None
    dim = U32 if use_32bit_dims else U64
    if data.startswith(_ZLIB):
        data = _decompress(data, dim, limit)
    header = data[: data.find(b"\0") + 1]
    if not header:
        raise DataJointError("Invalid blob: it has no header.")
    if header not in (_MYM, _DJ0):
        return None
    reader = Reader(data, len(header), READS, squeeze=squeeze, limit=limit, dim=dim)
    value = reader.read()
    reader.check_end()
    return value


def _decompress(blob: bytes, dim: struct.Struct, limit: int) -> bytes:
    (size,) = dim.unpack_from(blob, len(_ZLIB))
    if size > limit:
        raise DataJointError(
            f"The blob claims to decompress to {size} bytes, above {limit}.", RAISE_LIMIT
        )
    stream = isal_zlib.decompressobj()
    try:
        data = stream.decompress(memoryview(blob)[len(_ZLIB) + dim.size :], size + 1)
    except _IsalError as error:
        raise DataJointError(f"Invalid blob: it does not decompress ({error}).") from error
    if len(data) != size or not stream.eof or stream.unused_data:
        raise DataJointError("Blob length check failed! Invalid blob: compressed data do not fit.")
    return data
