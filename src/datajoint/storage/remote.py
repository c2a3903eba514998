"""Stores of all other protocols: the filesystems of fsspec."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import DataJointError, MissingExternalFile
from ..secrecy import secret_texts
from ..utils import did_you_mean
from .base import NO_METADATA, Metadata, ObjectInfo, Store, StoreSettings
from .files import replacing
from .forking import PerProcess
from .paths import check_path

#: Protocols whose objects appear as a whole when they are complete; with any other, an object is
#: written beside its place and moved there.
_WHOLE = frozenset(
    ("abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "memory", "oci", "oss", "s3", "s3a", "tos")
)
#: Modules whose packages are called otherwise.
_PACKAGES = {"smbclient": "smbprotocol", "libarchive": "libarchive-c"}
#: The filesystem in memory has a word of its own for an object that stands in the way of a folder.
_NOT_THERE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
_CHUNK = 4 << 20
_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):[^/\s]*@")
#: What filesystems call the time when an object was written.
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class RemoteStore(Store):
    """Objects in any filesystem that fsspec knows: ``gcs``, ``abfs``, ``sftp``, ``memory``."""

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self._filesystem = PerProcess(self._connect)
        with self._explained("open", settings.location):
            self._root: str = self._fs._strip_protocol(settings.location).rstrip("/")

    def _connect(self) -> Any:
        import fsspec

        ours = {"use_listings_cache": False, "skip_instance_cache": True}
        protocol = self.settings.protocol
        where = f'dj.config["stores"]["{self.name}"]'
        try:
            class_ = fsspec.get_filesystem_class(protocol)
        except ValueError as error:
            known = sorted({"file", "s3", *fsspec.available_protocols()})
            raise DataJointError(
                f"Missing or invalid protocol in {where}: there is no `{protocol}`"
                f"{did_you_mean(protocol, known) or '.'} Known: {', '.join(known)}"
            ) from error
        except ImportError as error:
            module = getattr(error.__cause__, "name", None) or protocol
            package = _PACKAGES.get(module, module)
            raise DataJointError(
                f"Stores of protocol {protocol}, such as `{self.name}`, need the package "
                f"{package}; run `pip install {package}`"
            ) from error
        return class_(**{**ours, **self.settings.options})

    @property
    def _fs(self) -> Any:
        return self._filesystem.get()

    def check(self) -> None:
        with self._explained("list", self.settings.location):
            try:
                self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                # A folder of an object store is there when it has an object; its bucket must be.
                if self.settings.protocol not in _WHOLE:
                    raise
                self._fs.ls(self._root.partition("/")[0], detail=False)

    def put(self, path: str, data: bytes, metadata: Metadata = NO_METADATA) -> None:
        with self._writing(path) as place:
            self._fs.pipe_file(place, data)

    def put_file(self, path: str, file: Path, metadata: Metadata = NO_METADATA) -> None:
        size = file.stat().st_size
        with self._writing(path) as place:
            self._fs.put_file(str(file), place)
            if (came := self._fs.size(place)) != size:
                raise DataJointError(
                    f"Store `{self.name}`: of {file}, which has {size} bytes, {came} came to "
                    f"{self.locate(path)}; repeat when the file is complete"
                )

    def get(self, path: str) -> bytes:
        with self._reading(path) as place:
            data: bytes = self._fs.cat_file(place)
        return data

    def get_file(self, path: str, file: Path) -> None:
        with self.open(path) as source, replacing(file) as target:
            while True:
                with self._explained("read", self.locate(path)):
                    chunk = source.read(_CHUNK)
                if not chunk:
                    break
                target.write(chunk)

    def open(self, path: str) -> BinaryIO:
        with self._reading(path) as place:
            return cast(BinaryIO, self._fs.open(place, "rb"))

    def info(self, path: str) -> ObjectInfo | None:
        try:
            with self._reading(path) as place:
                info = self._fs.info(place)
                return None if info["type"] == "directory" else self._described(path, info)
        except MissingExternalFile:
            return None

    def metadata(self, path: str) -> Metadata:
        return NO_METADATA

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a folder; filesystems give all of them at once."""
        place = self._place(folder.rstrip("/")) if folder else self._root
        with self._explained("list", place):
            try:
                found = self._fs.find(place, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                found = {}
        start = len(self._root) + 1
        for name, info in found.items():
            if name != place:
                with self._explained("list", name):
                    described = self._described(name[start:], info)
                yield described

    def delete(self, paths: Iterable[str]) -> dict[str, Exception]:
        failures: dict[str, Exception] = {}
        for path in paths:
            try:
                with self._explained("remove", self.locate(path)):
                    self._remove(self._place(path))
            except DataJointError as error:
                failures[path] = error
        return failures

    def _remove(self, place: str) -> None:
        try:
            self._fs.rm_file(place)
        except FileNotFoundError:
            pass
        except NotImplementedError:
            self._fs.rm(place)

    def locate(self, path: str) -> str:
        return _without_password(str(self._fs.unstrip_protocol(self._place(path))))

    # -- places and errors

    def _place(self, path: str) -> str:
        return f"{self._root}/{check_path(path, self.name)}"

    def _described(self, path: str, info: dict[str, Any]) -> ObjectInfo:
        times = (info[key] for key in _TIMES if info.get(key) is not None)
        modified = next(times, None)
        if modified is None:
            modified = self._fs.modified(self._place(path))
        return ObjectInfo(path, info["size"], _time(modified))

    @contextmanager
    def _explained(self, action: str, place: str) -> Iterator[None]:
        """Name store and object in whatever the filesystem raises.

        Each filesystem has errors of its own; one that quotes a secret is not kept.
        """
        try:
            yield
        except DataJointError:
            raise
        except Exception as error:
            text = str(error)
            secret = secret_texts(self.settings.options)
            hidden = text != _without_password(text) or any(each in text for each in secret)
            raise DataJointError(
                f"Store `{self.name}` (protocol {self.settings.protocol}) could not {action} "
                f"{_without_password(place)}: {type(error).__name__}"
                f"{'' if hidden else f': {text}'}; look at its "
                f'location and options in dj.config["stores"]["{self.name}"]'
            ) from (None if hidden else error)

    @contextmanager
    def _reading(self, path: str) -> Iterator[str]:
        place = self._place(path)
        with self._explained("read", place):
            try:
                yield place
            except _NOT_THERE as error:
                raise MissingExternalFile(
                    f"Missing external file {self.locate(path)} (store `{self.name}`)"
                ) from error

    @contextmanager
    def _writing(self, path: str) -> Iterator[str]:
        """Give the place to write to, and let the object appear at its own when it is complete."""
        place = self._place(path)
        with self._explained("write", place):
            if self.settings.protocol in _WHOLE:
                yield place
                return
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            temporary = f"{place}.{secrets.token_hex(4)}.part"
            try:
                yield temporary
                self._fs.mv(temporary, place)
            except BaseException:
                if self._fs.exists(temporary):
                    self._fs.rm_file(temporary)
                raise


def _without_password(text: str) -> str:
    """Hide the password in a URL, as filesystems take it in the location."""
    return _PASSWORD.sub(r"\1:***@", text)


def _time(value: Any) -> datetime:
    """Read the time of a filesystem: in seconds, as text, or with no zone, which means UTC."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, timezone.utc)
    time = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
