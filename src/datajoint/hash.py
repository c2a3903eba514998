"""Hashes: those that are stored must never change (storage formats, section 5)."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, BinaryIO

import numpy as np


def key_hash(mapping: Mapping[str, Any]) -> str:
    """Hash the values of a primary key, ordered by attribute name.

    Distinct keys may share a hash, as ``(1, 12)`` and ``(11, 2)`` do: it is an address in the
    jobs table, never an identity.

    Parameters
    ----------
    mapping : mapping
        A primary key: attribute name → value.

    Returns
    -------
    str
        32 hexadecimal digits.

    Notes
    -----
    Manual 9.5.2, ``dj.key_hash``.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for _, value in sorted(mapping.items()):
        digest.update(str(value).encode())
    return digest.hexdigest()


def uuid_from_stream(stream: BinaryIO, init_string: str = "") -> uuid.UUID:
    """Hash all remaining bytes of a stream into a UUID.

    Parameters
    ----------
    stream : binary file
        Read from its current position to its end.
    init_string : str
        Hashed before the bytes, as UTF-8.

    Returns
    -------
    uuid.UUID
        The MD5 digest as a UUID, without version bits.
    """
    digest = hashlib.md5(init_string.encode(), usedforsecurity=False)
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return uuid.UUID(bytes=digest.digest())


def uuid_from_buffer(buffer: bytes = b"", init_string: str = "") -> uuid.UUID:
    """Hash bytes into a UUID; see :func:`uuid_from_stream`."""
    digest = hashlib.md5(init_string.encode(), usedforsecurity=False)
    digest.update(buffer)
    return uuid.UUID(bytes=digest.digest())


def uuid_from_file(filepath: str | Path, init_string: str = "") -> uuid.UUID:
    """Hash the contents of a file into a UUID; see :func:`uuid_from_stream`."""
    with Path(filepath).open("rb") as stream:
        return uuid_from_stream(stream, init_string)


def deep_hash(value: Any) -> bytes:
    """Hash a value with all that is in it: two that were fetched alike have the same hash.

    It tells whether ``make_fetch`` gives the same twice, and is never stored.

    Parameters
    ----------
    value
        Plain values, arrays, and containers of such; other objects by their classes and state.

    Raises
    ------
    TypeError
        When it holds what has no state to compare, such as a generator or an open file.
    """
    return _hashed(value, {})


def _hashed(value: Any, within: dict[int, int]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value, within)
    return digest.digest()


#: Values whose class and text tell them apart.
_PLAIN = (int, float, complex, str, bytes, Decimal, uuid.UUID, dt.date, dt.time, dt.timedelta)


def _feed(digest: Any, value: Any, within: dict[int, int]) -> None:
    """Feed a value to a digest; what holds it is known by its place, should it hold itself."""
    kind = type(value)
    if value is None or kind in (bool, *_PLAIN, dt.datetime):
        _feed_bytes(digest, kind.__name__, value if kind is bytes else repr(value).encode())
        return
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        _feed_bytes(digest, "name", f"{value.__module__}.{value.__qualname__}".encode())
        return
    if id(value) in within:
        _feed_bytes(digest, "again", str(within[id(value)]).encode())
        return
    within[id(value)] = len(within)
    try:
        _feed_parts(digest, value, within)
    finally:
        del within[id(value)]


def _feed_parts(digest: Any, value: Any, within: dict[int, int]) -> None:
    kind = type(value)
    if kind in (list, tuple):
        _feed_bytes(digest, kind.__name__, str(len(value)).encode())
        for each in value:
            _feed(digest, each, within)
    elif kind in (dict, set, frozenset):  # whatever the order
        members = value.items() if kind is dict else value
        hashes = sorted(_hashed(member, within) for member in members)
        _feed_bytes(digest, kind.__name__, b"".join(hashes))
    elif kind in (bytearray, memoryview):
        _feed_bytes(digest, kind.__name__, bytes(value))
    elif isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        _feed_bytes(digest, kind.__name__, f"{value.dtype.descr}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    elif isinstance(value, np.ndarray):
        _feed_bytes(digest, kind.__name__, f"{value.dtype.descr}{value.shape}".encode())
        _feed(digest, value.tolist(), within)
    else:
        state = value.__reduce_ex__(4)
        _feed(digest, kind, within)
        parts = [state] if isinstance(state, str) else state
        for each in parts:
            _feed(digest, list(each) if isinstance(each, Iterator) else each, within)


def _feed_bytes(digest: Any, kind: str, content: bytes) -> None:
    digest.update(f"{kind}:{len(content)}:".encode())
    digest.update(content)
