"""The contract of stores: objects by their paths, each there completely or not at all.

A path is relative to the location of the store, with slashes, as in ``schema/47/45/4745e06b…``.
What the objects mean, and which of them are in use, is not known here. Manual 2.5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, BinaryIO

from ..errors import DataJointError

Metadata = Mapping[str, str]
NO_METADATA: Metadata = MappingProxyType({})


@dataclass(frozen=True)
class StoreSettings:
    """One entry of ``dj.config['stores']``, checked.

    Attributes
    ----------
    name : str
    protocol : str
    location : str
        The folder, or the prefix in the bucket, that has the objects.
    subfolding : tuple of int
        How many digits of an object's hash name each folder, see :mod:`datajoint.storage.paths`.
    stage : Path or None
        The local folder for files of type ``filepath@store``.
    options : mapping
        All else, secrets among it; they are not shown.
    """

    name: str
    protocol: str
    location: str
    subfolding: tuple[int, ...] = (2, 2)
    stage: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ObjectInfo:
    """An object of a store.

    Attributes
    ----------
    path : str
        Relative to the location of the store.
    size : int
        In bytes.
    modified : datetime
        When it was written, with a time zone, by the clock of the store.
    """

    path: str
    size: int
    modified: datetime


class Store(ABC):
    """Objects by their paths, below the location of one store.

    Methods may be called by several threads at once. An object that exists is replaced as a
    whole: whoever reads meanwhile has the old or the new one. A process that is killed while it
    writes leaves nothing at the path, but may leave a temporary object beside it, see
    :func:`datajoint.storage.paths.is_temporary`.

    Parameters
    ----------
    settings : StoreSettings

    Raises
    ------
    DataJointError
        From all methods, when the store cannot be reached or denies access: names the store, the
        object, and what to look at.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        """The name in ``dj.config['stores']``."""
        return self.settings.name

    @property
    def whereabouts(self) -> object:
        """Where the objects are: stores that are equal in it have the same."""
        return type(self), self.settings.options.get("endpoint"), self.locate("object")

    @property
    def stage(self) -> Path:
        """The local folder for files of type ``filepath@store``.

        Raises
        ------
        DataJointError
            When none is configured.
        """
        if self.settings.stage is None:
            raise DataJointError(
                f'dj.config["stores"]["{self.name}"] is missing "stage", the local folder for '
                f"files of type filepath@{self.name}"
            )
        return self.settings.stage

    @abstractmethod
    def check(self) -> None:
        """Check that the store is there and may be used, without writing anything.

        Raises
        ------
        BucketInaccessible
            When there is no such bucket, or it denies access.
        DataJointError
            When the location does not exist, or the server does not answer.
        """

    @abstractmethod
    def put(self, path: str, data: bytes, metadata: Metadata = NO_METADATA) -> None:
        """Write an object, in place of another if there is one.

        Parameters
        ----------
        path : str
        data : bytes
        metadata : mapping
            Kept with the object by stores that can.
        """

    @abstractmethod
    def put_file(self, path: str, file: Path, metadata: Metadata = NO_METADATA) -> None:
        """Write an object with the contents of a file, which need not fit into memory."""

    @abstractmethod
    def get(self, path: str) -> bytes:
        """Read an object.

        Raises
        ------
        MissingExternalFile
            When there is none.
        """

    @abstractmethod
    def get_file(self, path: str, file: Path) -> None:
        """Copy an object into a file, in place of another: completely or not at all.

        Raises
        ------
        MissingExternalFile
            When there is none.
        """

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Open an object for reading, seekable, without reading all of it.

        Raises
        ------
        MissingExternalFile
            When there is none.
        """

    @abstractmethod
    def info(self, path: str) -> ObjectInfo | None:
        """Describe an object; None when there is none."""

    @abstractmethod
    def metadata(self, path: str) -> Metadata:
        """Give what was kept with an object; empty when nothing was, or there is no object."""

    @abstractmethod
    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a folder, at any depth, as they come: nothing for no folder."""

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> dict[str, Exception]:
        """Remove objects; one that is not there counts as removed.

        Returns
        -------
        dict
            For each object that is still there, why.
        """

    @abstractmethod
    def locate(self, path: str) -> str:
        """Name the place of an object for people: the file, or ``s3://bucket/key``."""

    def place(self, path: str) -> PurePosixPath:
        """Give the path of an object in the file system or the bucket."""
        return PurePosixPath(self.settings.location) / path
