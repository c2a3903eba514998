"""Hashes that are stored and must therefore never change (storage formats, section 5)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO


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
