"""What inserts put into stores: the object that a value becomes, before it is stored.

Manual 5.7; storage formats 3.3.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..blob import pack
from ..hash import uuid_from_buffer, uuid_from_file, uuid_from_stream
from ..settings import config
from ..types import External
from .base import Store
from .objects import Tracked
from .registry import get_store

#: What the tracking table has room for: storage formats 3.3.
_PATH_LENGTH = 1000
#: Size, time of change and identity of a file, which tell that its contents are the same.
_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Outgoing:
    """An object that is to be stored.

    Attributes
    ----------
    type : External
        Of the attribute.
    object : Tracked
        What its row will tell.
    source : bytes or Path
        The contents, or the file that has them.
    """

    type: External
    object: Tracked
    source: bytes | Path = field(repr=False)
    _stamp: _Stamp | None = field(default=None, repr=False)

    @property
    def held_bytes(self) -> int:
        """How much memory the contents take."""
        return len(self.source) if isinstance(self.source, bytes) else 0

    def upload(self, store: Store, path: str) -> None:
        """Write the object.

        Raises
        ------
        ValueError
            When the file has changed since its hash was computed, or is gone.
        """
        if isinstance(self.source, bytes):
            store.put(path, self.source, self.object.metadata)
            return
        try:
            store.put_file(path, self.source, self.object.metadata)
            stamp = _stamp(self.source)
        except OSError as error:
            raise ValueError(
                f"the file `{self.source}` could not be read when it was to be stored: "
                f"{error.strerror or error}"
            ) from error
        if stamp != self._stamp:
            raise ValueError(f"the file `{self.source}` was changed while it was stored")

    def is_stored(self, store: Store, path: str) -> bool:
        """Tell whether the store has the object; it is read only where nothing else tells."""
        info = store.info(path)
        if info is None or info.size != self.object.size:
            return False
        if self.type.kind != "filepath" or self.object.contents_hash is None:
            return True  # of a blob or an attached file, the path is a hash of the contents
        known = store.metadata(path).get("contents_hash")
        if known:
            return known == str(self.object.contents_hash)
        with store.open(path) as stream:
            return uuid_from_stream(stream) == self.object.contents_hash


def outgoing(type_: External, value: Any, *, native_blobs: bool) -> Outgoing:
    """Make the object of a value.

    Parameters
    ----------
    type_ : External
    value
        Anything for a blob; otherwise the path of a file.
    native_blobs : bool
        Whether blobs may hold Python objects.

    Raises
    ------
    ValueError
        When the value is not the path of a file, or of one outside of the store's stage.
    DataJointError
        When a blob cannot hold the value, or the store is not configured as it should be.
    """
    if type_.kind == "blob":
        return outgoing_contents(type_, pack(value, native=native_blobs))
    with readable():
        return _outgoing_file(type_, existing_file(value))


def _outgoing_file(type_: External, file: Path) -> Outgoing:
    stamp = _stamp(file)
    if type_.kind == "attach":
        hash_ = uuid_from_file(file, f"{file.name}\0")
        return Outgoing(type_, Tracked(hash_, stamp[0], file.name), file, stamp)
    path = _path_in_stage(type_, file)
    if len(path) > _PATH_LENGTH:
        raise ValueError(
            f"has a path of {len(path)} characters below the stage, of which {_PATH_LENGTH} are "
            "allowed"
        )
    limit = config["filepath_checksum_size_limit_insert"]
    contents_hash = None if limit is not None and stamp[0] > limit else uuid_from_file(file)
    object_ = Tracked(uuid_from_buffer(b"", path), stamp[0], None, path, contents_hash)
    return Outgoing(type_, object_, file, stamp)


def outgoing_contents(type_: External, contents: bytes, name: str | None = None) -> Outgoing:
    """Make the object of a blob as it is stored, or of the contents of an attached file."""
    hash_ = uuid_from_buffer(contents, "" if name is None else f"{name}\0")
    return Outgoing(type_, Tracked(hash_, len(contents), name), contents)


@contextmanager
def readable() -> Iterator[None]:
    """Say of a file what the system says: that it may not be read, for one.

    Raises
    ------
    ValueError
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise ValueError("has a name that is not UTF-8 text: rename the file") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: of the folder of an unknown user
        raise ValueError(f"cannot be read: {getattr(error, 'strerror', error)}") from error


def existing_file(value: Any) -> Path:
    """Read the path of a file that a user gives, within :func:`readable`.

    Raises
    ------
    ValueError
        When it is no path, or there is no such file.
    OSError, RuntimeError
        When it cannot be looked for.
    """
    if not isinstance(value, (str, Path)):
        raise ValueError(f"is a {type(value).__name__}, not the path of a file")
    file = Path(value).expanduser()
    if not file.is_file():
        raise ValueError("is no file that exists")
    return file


def _path_in_stage(type_: External, file: Path) -> str:
    """Name a file by its path below the stage of a store, with slashes."""
    stage = get_store(type_.store).stage
    for normalized in (os.path.abspath, os.path.realpath):
        path, root = Path(normalized(file)), Path(normalized(stage))
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    raise ValueError(
        f"is no file below `{stage}`, the stage of the store `{type_.store}`: move it there first"
    )


def _stamp(file: Path) -> _Stamp:
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino
