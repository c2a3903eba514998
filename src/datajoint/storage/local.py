"""Stores of protocol ``file``: plain files below a folder. Storage formats 3.4."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..errors import DataJointError, MissingExternalFile
from .base import NO_METADATA, Metadata, ObjectInfo, Store, StoreSettings
from .files import make_folders, replacing
from .paths import check_path


class LocalStore(Store):
    """Files below the folder that ``location`` names, on this computer or a mounted disk.

    A file is on disk before its name appears: a loss of power leaves no object empty.
    """

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self._root = Path(settings.location).expanduser().absolute()

    @property
    def whereabouts(self) -> object:
        return type(self), os.path.realpath(self._root)

    def check(self) -> None:
        if not self._root.is_dir():
            raise DataJointError(
                f"Inaccessible local directory {self._root}: store `{self.name}` has no such "
                f'folder; create it, mount its disk, or correct "location" in '
                f'dj.config["stores"]["{self.name}"]'
            )
        if not os.access(self._root, os.R_OK | os.X_OK):
            raise DataJointError(
                f"Inaccessible local directory {self._root}: this user may not read the folder of "
                f"store `{self.name}`; change its permissions"
            )

    def put(self, path: str, data: bytes, metadata: Metadata = NO_METADATA) -> None:
        with self._writing(path) as file:
            file.write(data)

    def put_file(self, path: str, file: Path, metadata: Metadata = NO_METADATA) -> None:
        """Copy a file, unless it is the object itself: one in a stage that is the location."""
        with suppress(OSError):
            if self._place(path).samefile(file):
                return
        with file.open("rb") as source, self._writing(path) as target:
            size = os.fstat(source.fileno()).st_size
            shutil.copyfileobj(source, target, 1 << 20)
            if target.tell() != size:
                raise DataJointError(
                    f"{file} changed while it was copied to store `{self.name}`: "
                    f"it had {size} bytes, {target.tell()} came; repeat when it is complete"
                )

    def get(self, path: str) -> bytes:
        with self._reading(path) as place:
            return place.read_bytes()

    def get_file(self, path: str, file: Path) -> None:
        with self.open(path) as source, replacing(file) as target:
            size = os.fstat(source.fileno()).st_size
            shutil.copyfileobj(source, target, 1 << 20)
            if target.tell() != size:
                raise DataJointError(
                    f"Store `{self.name}`: {self.locate(path)} has {size} bytes, of which "
                    f"{target.tell()} came; repeat"
                )

    def open(self, path: str) -> BinaryIO:
        with self._reading(path) as place:
            return place.open("rb")

    def info(self, path: str) -> ObjectInfo | None:
        try:
            with self._reading(path) as place:
                status = place.stat()
        except MissingExternalFile:
            return None
        return _info(path, status) if stat.S_ISREG(status.st_mode) else None

    def metadata(self, path: str) -> Metadata:
        return NO_METADATA

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """List the files below a folder; links to other folders are not followed."""
        if not folder:
            self.check()
        pending = [folder.rstrip("/")]
        while pending:
            inside = pending.pop()
            entries, folders = self._scan(inside)
            pending += folders
            yield from entries

    def _scan(self, folder: str) -> tuple[Sequence[ObjectInfo], Sequence[str]]:
        place = self._place(folder) if folder else self._root
        prefix = f"{folder}/" if folder else ""
        files, folders = [], []
        with self._explained("list", str(place)):
            try:
                scan = os.scandir(place)
            except (FileNotFoundError, NotADirectoryError):
                return [], []
            with scan:
                for entry in scan:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(prefix + entry.name)
                        elif entry.is_file():
                            files.append(_info(prefix + entry.name, entry.stat()))
                    except FileNotFoundError:  # removed meanwhile
                        continue
        return files, folders

    def delete(self, paths: Iterable[str]) -> dict[str, Exception]:
        failures: dict[str, Exception] = {}
        for path in paths:
            try:
                with self._explained("remove", self.locate(path)):
                    self._place(path).unlink(missing_ok=True)
            except DataJointError as error:
                failures[path] = error
        return failures

    def locate(self, path: str) -> str:
        return str(self._place(path))

    def place(self, path: str) -> PurePosixPath:
        return PurePosixPath(self._place(path).as_posix())

    # -- places and errors

    def _place(self, path: str) -> Path:
        return self._root.joinpath(*check_path(path, self.name).split("/"))

    @contextmanager
    def _explained(self, action: str, place: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataJointError(
                f"Store `{self.name}` could not {action} {place}: {error.strerror or error}"
            ) from error

    @contextmanager
    def _reading(self, path: str) -> Iterator[Path]:
        place = self._place(path)
        with self._explained("read", str(place)):
            try:
                yield place
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                self.check()
                raise MissingExternalFile(
                    f"Missing external file {place} (store `{self.name}`)"
                ) from error

    @contextmanager
    def _writing(self, path: str) -> Iterator[BinaryIO]:
        place = self._place(path)
        with self._explained("write", str(place)):
            if not place.parent.is_dir():
                try:
                    make_folders(place.parent, self._root)
                except FileNotFoundError:
                    self.check()
                    raise
            with replacing(place, durable=True) as file:
                yield file


def _info(path: str, status: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    return ObjectInfo(path, status.st_size, modified)
