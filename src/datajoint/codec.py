"""From the values of users to those that the database stores, and back.

A value passes through the adapter of its attribute if there is one, is checked and brought into
the canonical form of its type, serialized if it is a blob or a file, and encoded for the driver of
the database. Storage formats 2.11 and 3.5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .blob import pack, unpack
from .sql.dialect import Dialect
from .storage.handles import AttachedFile, Handle, Reading
from .storage.outgoing import existing_file, outgoing, outgoing_contents, readable
from .storage.saving import join_attached
from .types import Adapted, Attachment, AttributeType, External

Coder = Callable[[Any], Any]


def encoder(type_: AttributeType | None, dialect: Dialect, *, native_blobs: bool) -> Coder:
    """Make what encodes the values of an attribute; none of them stands for a default.

    A value that is kept in a store becomes an :class:`Outgoing` object, to be stored first.

    Parameters
    ----------
    type_ : AttributeType or None
        None: values are taken as they are.
    dialect : Dialect
    native_blobs : bool
        Whether blobs may hold Python objects.

    Returns
    -------
    callable
        Raises ValueError or DataJointError for a value that the type does not admit.
    """
    if isinstance(type_, Adapted):
        adapted, inner = type_, encoder(type_.inner, dialect, native_blobs=native_blobs)
        # a handle has what the adapter made already
        return lambda value: inner(value if isinstance(value, Handle) else adapted.put(value))
    encode = _encoder(type_, dialect, native_blobs=native_blobs)
    if type_ is None or not type_.is_opaque:
        return encode
    copy = partial(_copied, type_, dialect, native_blobs)
    return lambda value: copy(value) if isinstance(value, Handle) else encode(value)


def _encoder(type_: AttributeType | None, dialect: Dialect, *, native_blobs: bool) -> Coder:
    """Make what encodes the values of any type but those of adapters."""
    if isinstance(type_, Attachment):
        return lambda value: dialect.encode(_read_file(value), type_)
    if isinstance(type_, External):
        external = type_
        return lambda value: outgoing(external, value, native_blobs=native_blobs)
    if type_ is not None and type_.is_blob:
        return lambda value: dialect.encode(pack(value, native=native_blobs), type_)
    return lambda value: dialect.encode(value, type_)


def _copied(type_: AttributeType, dialect: Dialect, native_blobs: bool, handle: Handle) -> Any:
    """Encode what a handle stands for, which need not be unpacked or saved."""
    external = type_ if isinstance(type_, External) else None
    kind = external.kind if external is not None else "blob" if type_.is_blob else "attach"
    if handle.kind != kind:
        raise ValueError(f"is a handle of kind `{handle.kind}`, not `{kind}`")
    if external is not None and kind == "filepath":
        return outgoing(external, handle.retrieve(), native_blobs=native_blobs)
    contents, name = handle.read(), handle.name if kind == "attach" else None
    if external is not None:
        return outgoing_contents(external, contents, name)
    return dialect.encode(contents if name is None else join_attached(name, contents), type_)


def decoder(
    type_: AttributeType | None,
    dialect: Dialect,
    *,
    squeeze: bool = False,
    download_path: str | Path = ".",
) -> Coder | None:
    """Make what decodes the stored values of an attribute, none of them NULL.

    Parameters
    ----------
    type_ : AttributeType or None
    dialect : Dialect
    squeeze : bool
        Whether arrays in blobs lose their dimensions of length 1.
    download_path : str or Path
        The folder for attached files.

    Returns
    -------
    callable or None
        None when the values need no decoding.
    """
    if isinstance(type_, Adapted):
        adapted = type_
        inner = decoder(type_.inner, dialect, squeeze=squeeze, download_path=download_path)
        return lambda stored: adapted.get(inner(stored) if inner else stored)
    if isinstance(type_, Attachment):
        reading = Reading(type_, download_path=download_path)
        return lambda stored: AttachedFile(bytes(stored), reading).load()
    if type_ is not None and type_.is_blob and not isinstance(type_, External):
        return lambda stored: unpack(stored, squeeze=squeeze)
    return dialect.decoder(type_)


# -- attached files -------------------------------------------------------------------------------


def _read_file(path: Any) -> bytes:
    """Read a file, with its name before it."""
    with readable():
        file = existing_file(path)
        return join_attached(file.name, file.read_bytes())
