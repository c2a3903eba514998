"""What is kept in stores, and files that tables keep, as handles that read on demand.

Fetching goes through the same handles: it loads them. Manual 2.5.1 and 5.7; storage formats 3.3 to
3.6.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar
from uuid import UUID

from ..blob import unpack
from ..errors import DataJointError, MissingExternalFile
from ..hash import uuid_from_buffer
from ..settings import config
from ..types import Adapted, AttributeType, External
from .base import Store
from .cache import configured_cache
from .objects import Tracked
from .registry import get_store
from .saving import checksum, save, save_contents, split_attached, temporary


@dataclass(frozen=True)
class Reading:
    """How the values of one attribute are made of what is kept.

    Attributes
    ----------
    type : AttributeType
        Of the attribute: External or Attachment, perhaps within Adapted.
    squeeze : bool
        Whether arrays in blobs lose their dimensions of length 1.
    download_path : str or Path
        The folder for attached files.
    origin : str
        Names the attribute, and its table where there is only one.
    """

    type: AttributeType
    squeeze: bool = False
    download_path: str | Path = "."
    origin: str = "an attribute"

    def value(self, retrieved: Any) -> Any:
        """Make a value of the bytes of a blob, or of the path of a file."""
        return _value(self.type, retrieved, self.squeeze)


def _value(type_: AttributeType | None, retrieved: Any, squeeze: bool) -> Any:
    if isinstance(type_, Adapted):
        return type_.get(_value(type_.inner, retrieved, squeeze))
    return unpack(retrieved, squeeze) if type_ is not None and type_.is_blob else retrieved


class Handle(ABC):
    """A value that is not read before it is asked for.

    Handles of the same contents, under the same name if they have one, are equal.

    Attributes
    ----------
    kind : str
        ``blob``, ``attach`` or ``filepath``.
    reading : Reading
    """

    kind: ClassVar[str]
    reading: Reading

    @property
    def store(self) -> str | None:
        """The name of the store; None where the table has the contents."""
        return None

    @property
    @abstractmethod
    def hash(self) -> UUID:
        """The hash by which the tracking table knows it: storage formats 3.3."""

    @property
    def contents_hash(self) -> UUID | None:
        """The hash of a file's contents, if it is known; it is none of ``hash``."""
        return None

    @property
    @abstractmethod
    def size(self) -> int:
        """In bytes, as it is stored."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the file; of a blob, its hash."""

    @property
    def url(self) -> str | None:
        """The place of the object; None where the table has the contents."""
        return None

    @abstractmethod
    def open(self) -> BinaryIO:
        """Open the stored bytes for reading, without reading all of them.

        Raises
        ------
        MissingExternalFile
            When the store does not have the object.
        DataJointError
            When the store cannot be read.
        """

    @abstractmethod
    def read(self) -> bytes:
        """Read the stored bytes, and check them.

        Raises
        ------
        MissingExternalFile
            When the store does not have the object.
        DataJointError
            When the object is damaged, or the store cannot be read.
        """

    @abstractmethod
    def save(self, folder: str | Path = ".") -> Path:
        """Save the file in a folder under its name, with a number if another file has that.

        Returns
        -------
        Path

        Raises
        ------
        MissingExternalFile
            When the store does not have the object.
        DataJointError
            When it is a blob, which is no file; when the folder does not exist or cannot be
            written, the object is damaged, or the store cannot be read.
        """

    @abstractmethod
    def retrieve(self) -> Any:
        """Retrieve the bytes of a blob, or save a file and name its path."""

    def load(self) -> Any:
        """Give the value that fetching gives.

        Returns
        -------
        object
            The unpacked value of a blob, or the path of a file, which is saved where the arguments
            of the fetch said; for an adapted attribute, what the adapter makes of it.

        Raises
        ------
        MissingExternalFile
            When the store does not have the object.
        DataJointError
            When it is damaged, cannot be read or saved, or the adapter fails.
        """
        return self.reading.value(self.retrieve())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self.kind, self.hash, self.contents_hash

    def __repr__(self) -> str:
        kind = self.kind if self.store is None else f"{self.kind}@{self.store}"
        return f"<{kind} {self.name}, {self.size:,} bytes>"


# -- files that tables keep -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class AttachedFile(Handle):
    """A file that came with its row."""

    stored: bytes
    reading: Reading

    kind = "attach"

    @cached_property
    def hash(self) -> UUID:
        return uuid_from_buffer(self.stored)

    @property
    def size(self) -> int:
        return len(split_attached(self.stored)[1])

    @property
    def name(self) -> str:
        return split_attached(self.stored)[0]

    def open(self) -> BinaryIO:
        return io.BytesIO(self.read())

    def read(self) -> bytes:
        return bytes(split_attached(self.stored)[1])

    def save(self, folder: str | Path = ".") -> Path:
        return save_contents(Path(folder), *split_attached(self.stored))

    def retrieve(self) -> str:
        return str(self.save(self.reading.download_path))


# -- objects in stores ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class StoredObject(Handle):
    """An object in a store.

    Attributes
    ----------
    schema : str
        The schema that tracks it.
    tracked : Tracked
        Its row.
    reading : Reading
    """

    schema: str
    tracked: Tracked
    reading: Reading = field(repr=False)

    @property
    def store(self) -> str:
        type_ = self.reading.type.stored
        assert isinstance(type_, External)
        return type_.store

    @property
    def hash(self) -> UUID:
        return self.tracked.hash

    @property
    def contents_hash(self) -> UUID | None:
        return self.tracked.contents_hash

    @property
    def size(self) -> int:
        return self.tracked.size

    @property
    def name(self) -> str:
        return self.hash.hex

    @property
    def url(self) -> str:
        return self._store.locate(self._path)

    def open(self) -> BinaryIO:
        with self._explained():
            return self._store.open(self._path)

    def read(self) -> bytes:
        with self._explained():
            contents = self._store.get(self._path)
        if len(contents) != self.size or not self._is_whole(contents):
            raise self._damaged()
        return contents

    def _is_whole(self, contents: bytes) -> bool:
        """Tell whether the checksum of bytes of the right number is the right one."""
        raise NotImplementedError

    @property
    def _store(self) -> Store:
        return get_store(self.store)

    @property
    def _path(self) -> str:
        return self.tracked.path(self.schema, self._store.settings.subfolding)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what refers to an object that is missing."""
        try:
            yield
        except MissingExternalFile as error:
            raise MissingExternalFile(
                f"The store `{self.store}` has no object {self.url}, to which "
                f"{self.reading.origin} refers. Bring it back from a backup, or delete the "
                "entities that refer to it"
            ) from error

    def _damaged(self) -> DataJointError:
        return DataJointError(
            f"The object {self.url} in the store `{self.store}`, to which {self.reading.origin} "
            "refers, is damaged: it is not what was stored. Bring it back from a backup, or "
            "delete the entities that refer to it and insert them again"
        )


class StoredBlob(StoredObject):
    """A blob in a store, which is kept in the cache too once it was read."""

    kind = "blob"

    def open(self) -> BinaryIO:
        contents = cached(self.hash)
        return super().open() if contents is None else io.BytesIO(contents)

    def read(self) -> bytes:
        contents = cached(self.hash)
        return self.download() if contents is None else contents

    def download(self) -> bytes:
        """Read the blob from its store, and keep it in the cache."""
        contents = super().read()
        cache = configured_cache()
        if cache is not None and self.tracked.filepath is None:
            cache.put(self.hash, contents)
        return contents

    def retrieve(self) -> bytes:
        return self.read()

    def save(self, folder: str | Path = ".") -> Path:
        raise DataJointError(
            f"{self!r} is no file that can be saved: `load()` gives its value, and `read()` the "
            "bytes that are stored"
        )

    def _is_whole(self, contents: bytes) -> bool:
        # the hashes of blobs that DataJoint 0.11 stored are others
        return self.tracked.filepath is not None or uuid_from_buffer(contents) == self.hash


def cached(hash_: UUID) -> bytes | None:
    """Read a blob from the cache; None when it does not have it."""
    cache = configured_cache()
    return None if cache is None else cache.get(hash_)


class StoredFile(StoredObject):
    """A file in a store."""

    def _download(self, file: Path) -> None:
        """Copy the object into a file, and check that."""
        with self._explained():
            self._store.get_file(self._path, file)
        if not self._is_in(file):
            raise self._damaged()

    def _is_in(self, file: Path) -> bool:
        """Tell whether a file has the contents."""
        try:
            return file.stat().st_size == self.size and self._has_checksum(file)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False

    def _has_checksum(self, file: Path) -> bool:
        raise NotImplementedError


class StoredAttachment(StoredFile):
    """An attached file in a store."""

    kind = "attach"

    @property
    def name(self) -> str:
        return self.tracked.attachment_name or self.hash.hex

    def retrieve(self) -> str:
        return str(self.save(self.reading.download_path))

    def save(self, folder: str | Path = ".") -> Path:
        return save(Path(folder), self.name, self._is_in, self._download)

    def _is_whole(self, contents: bytes) -> bool:
        return uuid_from_buffer(contents, f"{self.name}\0") == self.hash

    def _has_checksum(self, file: Path) -> bool:
        return checksum(file, f"{self.name}\0") == self.hash


class StagedFile(StoredFile):
    """A file in a store, of which users work with the copy in the stage of the store."""

    kind = "filepath"

    @property
    def name(self) -> str:
        return PurePosixPath(self._relative).name

    def retrieve(self) -> str:
        """Bring the file into the stage, unless it is there."""
        file = self._staged
        if self._is_in(file):
            return str(file)
        if _is_same(file, self.url):
            raise DataJointError(
                f"The file `{file}`, to which {self.reading.origin} refers, was changed since it "
                "was inserted. Bring it back as it was; or to change it, delete the entities that "
                "refer to it, change it, and insert them again"
            )
        partial = temporary(file.parent)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._download(partial)
            os.replace(partial, file)
        except OSError as error:
            raise DataJointError(
                f"The file `{file}`, to which {self.reading.origin} refers, cannot be written "
                f"into the stage of the store `{self.store}`: {error}"
            ) from error
        finally:
            with suppress(OSError):  # it is not there, as a rule
                partial.unlink()
        return str(file)

    def save(self, folder: str | Path = ".") -> Path:
        return save(Path(folder), self.name, self._is_surely_in, self._download)

    def _is_surely_in(self, file: Path) -> bool:
        """Tell whether a file of whatever origin has the contents."""
        return self.contents_hash is not None and (
            file.is_file()
            and file.stat().st_size == self.size
            and checksum(file) == self.contents_hash
        )

    @property
    def _relative(self) -> str:
        return self.tracked.filepath or self.hash.hex

    @property
    def _staged(self) -> Path:
        """The path of the copy, which is never outside of the stage."""
        path = PurePosixPath(self._relative)
        if path.is_absolute() or ".." in path.parts or Path(path).drive:
            raise DataJointError(
                f"{self.reading.origin} refers to `{path}`, which is not inside of the stage of "
                f"the store `{self.store}`: such a file is not fetched"
            )
        return Path(os.path.abspath(self._store.stage / path))

    @property
    def _checked_hash(self) -> UUID | None:
        """The checksum of the contents; None where only their size is looked at."""
        limit = config["filepath_checksum_size_limit"]
        return None if limit is not None and self.size >= limit else self.contents_hash

    def _is_whole(self, contents: bytes) -> bool:
        return self._checked_hash in (None, uuid_from_buffer(contents))

    def _has_checksum(self, file: Path) -> bool:
        hash_ = self._checked_hash
        return hash_ is None or checksum(file) == hash_


def _is_same(file: Path, url: str) -> bool:
    """Tell whether an object is itself the file that users work with."""
    try:
        return os.path.samefile(file, url)
    except (OSError, ValueError):
        return False


_KINDS: dict[str, type[StoredObject]] = {
    kind.kind: kind for kind in (StoredBlob, StoredAttachment, StagedFile)
}


def stored_object(schema: str, tracked: Tracked, reading: Reading) -> StoredObject:
    """Make the handle of an object.

    Parameters
    ----------
    schema : str
        The schema that tracks it.
    tracked : Tracked
        Its row.
    reading : Reading
    """
    type_ = reading.type.stored
    assert isinstance(type_, External)
    return _KINDS[type_.kind](schema, tracked, reading)
