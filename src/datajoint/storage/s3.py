"""Stores of protocol ``s3``: objects in a bucket, through obstore. Storage formats 3.4.

obstore takes a third of the time of the libraries in Python for many small objects. It says what
went wrong by the class of its errors; their texts end in pages of Rust, which are cut off.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import module_from_spec
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from ..errors import BucketInaccessible, DataJointError, MissingExternalFile
from .base import NO_METADATA, Metadata, ObjectInfo, Store, StoreSettings
from .files import replacing
from .forking import PerProcess
from .paths import check_path, key_prefix

_MIB = 1 << 20
#: Objects larger than this are sent in parts of this size, of which each must come through within
#: the timeout.
_PART = 8 * _MIB
_PARTS_AT_ONCE = 2
_BATCH = 1000
#: What a server tells about objects beside their metadata.
_HEADERS = frozenset(
    (
        "Cache-Control",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Type",
        "Storage-Class",
    )
)
#: Comes after all keys.
_LAST = "\U0010ffff"

#: A server that hangs is noticed by no part of an answer coming; the whole may take long.
_WORK: tuple[dict[str, Any], dict[str, Any]] = (
    {
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=120),
        "timeout": timedelta(days=7),
    },
    {"max_retries": 4, "retry_timeout": timedelta(seconds=120)},
)
_CHECK: tuple[dict[str, Any], dict[str, Any]] = (
    {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=10)},
    {"max_retries": 0},
)


# -- the library ------------------------------------------------------------------------------


def _load() -> Any:
    """Load the library; another copy of it in a process forked from one that has used it.

    Its threads do not come along into a forked process, where it would wait for them for ever, and
    it would disturb those of the parent.
    """
    import obstore

    library: Any = obstore._obstore
    if not _library.made:
        return library
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(library.__file__, folder)
        loader = ExtensionFileLoader("obstore._obstore", copy)
        try:
            another = module_from_spec(ModuleSpec(loader.name, loader, origin=copy))
        except ImportError as error:  # no program may run from that folder
            raise DataJointError(
                f"A store of protocol s3 cannot be used in this forked process ({error}): set "
                "TMPDIR to a folder that may have programs, or start processes by `spawn`"
            ) from error
        loader.exec_module(another)
    return another


_library: PerProcess[Any] = PerProcess(_load)


# -- the store --------------------------------------------------------------------------------


class S3Store(Store):
    """Objects in a bucket of a server that speaks S3: AWS, MinIO, Ceph and others."""

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self._bucket: str = settings.options["bucket"]
        self._prefix = key_prefix(settings.location)
        self._client = PerProcess(lambda: self._make(*_WORK))
        _library.get()

    def _make(self, client: dict[str, Any], retry: dict[str, Any], **more: Any) -> Any:
        """Make a client; what it would take from variables of the environment is overridden."""
        given = self.settings.options
        secure = bool(given.get("secure"))
        endpoint = f"{'https' if secure else 'http'}://{given['endpoint']}"
        client = {**client, "allow_http": not secure}
        if proxy := given.get("proxy_server"):
            client["proxy_url"] = proxy if "://" in proxy else f"http://{proxy}"
        options = {"region": given["region"], "virtual_hosted_style_request": False}
        if "access_key" in given:
            credentials = {
                "access_key_id": given["access_key"],
                "secret_access_key": given["secret_key"],
                "token": None,
                "expires_at": None,
            }
            options["credential_provider"] = lambda: credentials
        with self._explained("open", ""):
            return _library.get()._store.S3Store(
                self._bucket,
                endpoint=endpoint,
                aws_endpoint_url_s3=endpoint,
                client_options=client,
                retry_config=retry,
                **options,
                **more,
            )

    def check(self) -> None:
        # That there is no such object is what the server should say first; it says the same when
        # there is no such bucket, and only a list tells.
        client, library = self._make(*_CHECK), _library.get()
        try:
            with self._explained("read", "~"):
                library.head(client, self._key("~"))
        except MissingExternalFile:
            pass
        try:
            prefix = self._prefix or None
            next(iter(library.list(client, prefix, offset=_LAST)), None)
        except library.exceptions.BaseError as error:
            raise self._no_bucket() from self._brief(error)

    def put(self, path: str, data: bytes, metadata: Metadata = NO_METADATA) -> None:
        self._put(path, data, metadata)

    def put_file(self, path: str, file: Path, metadata: Metadata = NO_METADATA) -> None:
        with file.open("rb") as source:
            self._put(path, source, metadata)

    def _put(self, path: str, data: bytes | BinaryIO, metadata: Metadata) -> None:
        key = self._key(path)
        with self._explained("write", path):
            _library.get().put(
                self._client.get(),
                key,
                data,
                attributes={"Content-Type": "application/octet-stream", **metadata},
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def get(self, path: str) -> bytes:
        result = self._get(path)
        with self._explained("read", path):
            data: bytes = result.bytes().to_bytes()
        return data

    def get_file(self, path: str, file: Path) -> None:
        result = self._get(path)
        with replacing(file) as target:
            self._download(path, result, target)

    def _get(self, path: str, **options: Any) -> Any:
        key = self._key(path)
        with self._explained("read", path):
            return _library.get().get(self._client.get(), key, options=options)

    def _download(self, path: str, result: Any, target: BinaryIO) -> None:
        chunks = iter(result.stream(min_chunk_size=_MIB))
        while True:
            with self._explained("read", path):
                chunk = next(chunks, None)
            if chunk is None:
                break
            target.write(chunk)
        if target.tell() != (size := result.meta["size"]):
            raise DataJointError(
                f"Store `{self.name}`: {self.locate(path)} has {size} bytes, of which "
                f"{target.tell()} came; repeat"
            )

    def open(self, path: str) -> BinaryIO:
        with self._explained("read", path):
            meta = _library.get().head(self._client.get(), self._key(path))
        if not meta["size"]:
            return io.BytesIO()
        library = _library.get()
        try:
            library.get_range(self._client.get(), self._key(path), start=0, length=1)
        except library.exceptions.GenericError:
            return self._open_copy(path)  # the server does not know ranges
        return io.BufferedReader(_Ranges(self, path, meta), _MIB)

    def _open_copy(self, path: str) -> BinaryIO:
        with ExitStack() as stack:
            file: Any = stack.enter_context(tempfile.TemporaryFile())
            self._download(path, self._get(path), file)
            file.seek(0)
            stack.pop_all()
        return cast(BinaryIO, file)

    def read_range(self, path: str, start: int, end: int, e_tag: str | None) -> bytes:
        """Read a part of an object that is still the one with that tag.

        Raises
        ------
        DataJointError
            When it is another.
        """
        condition = {} if e_tag is None else {"if_match": e_tag}
        result = self._get(path, range=(start, end), **condition)
        with self._explained("read", path):
            data: bytes = result.bytes().to_bytes()
        return data

    def info(self, path: str) -> ObjectInfo | None:
        key = self._key(path)
        try:
            with self._explained("read", path):
                meta = _library.get().head(self._client.get(), key)
        except MissingExternalFile:
            return None
        return ObjectInfo(path, meta["size"], meta["last_modified"])

    def metadata(self, path: str) -> Metadata:
        try:
            attributes = self._get(path, head=True).attributes
        except MissingExternalFile:
            return NO_METADATA
        return {name: text for name, text in attributes.items() if name not in _HEADERS}

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        folder = folder.rstrip("/")
        prefix = self._key(folder) if folder else self._prefix
        skip = len(self._prefix) + 1 if self._prefix else 0
        with self._explained("list", folder):
            pages = iter(_library.get().list(self._client.get(), prefix or None))
        while True:
            with self._explained("list", folder):
                page = next(pages, None)
            if page is None:
                return
            for meta in page:
                yield ObjectInfo(meta["path"][skip:], meta["size"], meta["last_modified"])

    def delete(self, paths: Iterable[str]) -> dict[str, Exception]:
        keys = {path: self._key(path) for path in paths}
        failures: dict[str, Exception] = {}
        remaining = iter(keys)
        library = _library.get()
        while batch := list(islice(remaining, _BATCH)):
            try:
                library.delete(self._client.get(), [keys[path] for path in batch])
            except (library.exceptions.BaseError, OSError):
                failures |= self._delete_singly(batch)
        return failures

    def _delete_singly(self, paths: Iterable[str]) -> dict[str, Exception]:
        """Remove what could not be removed together: some servers cannot, or one object stays."""
        client = self._make(*_WORK, disable_bulk_delete=True)
        failures: dict[str, Exception] = {}
        for path in paths:
            try:
                with self._explained("remove", path):
                    _library.get().delete(client, self._key(path))
            except MissingExternalFile:
                continue
            except DataJointError as error:
                failures[path] = error
        return failures

    def locate(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._key(path)}"

    def place(self, path: str) -> PurePosixPath:
        return PurePosixPath(self._key(path))

    # -- names and errors

    def _key(self, path: str) -> str:
        check_path(path, self.name)
        return f"{self._prefix}/{path}" if self._prefix else path

    @property
    def _entry(self) -> str:
        return f'dj.config["stores"]["{self.name}"]'

    @property
    def _server(self) -> str:
        return f"the server {self.settings.options['endpoint']} of store `{self.name}`"

    @contextmanager
    def _explained(self, action: str, path: str) -> Iterator[None]:
        known = _library.get().exceptions
        place = self.locate(path) if path else self._bucket
        try:
            yield
        except FileNotFoundError as error:
            if action == "write":
                raise self._no_bucket() from self._brief(error)
            raise MissingExternalFile(
                f"Missing s3 key {self._key(path)} in bucket {self._bucket} (store `{self.name}`)"
            ) from self._brief(error)
        except (known.PermissionDeniedError, known.UnauthenticatedError) as error:
            raise BucketInaccessible(
                f"Inaccessible s3 bucket {self._bucket}: {self._server} denied to {action} {place};"
                f' look at "access_key", "secret_key" and "bucket" in {self._entry}'
            ) from self._brief(error)
        except known.PreconditionError as error:
            raise DataJointError(
                f"Store `{self.name}`: {place} was replaced while it was read; open it again"
            ) from self._brief(error)
        except (known.BaseError, ValueError) as error:
            brief = self._brief(error)
            advice = f'look at "endpoint", "secure" and "region" in {self._entry}'
            if "access_key" not in self.settings.options:
                advice += ', and give "access_key" and "secret_key" there or in the environment'
            raise DataJointError(
                f"Store `{self.name}` could not {action} {place}, or the server "
                f"{self.settings.options['endpoint']} does not answer: {advice} ({brief})"
            ) from brief

    def _no_bucket(self) -> BucketInaccessible:
        return BucketInaccessible(
            f"Inaccessible s3 bucket {self._bucket}: {self._server} has no such bucket or does "
            f'not let it be listed; look at "bucket" in {self._entry}'
        )

    def _brief(self, error: Exception) -> Exception:
        """Cut off what an error of the library says about its inside, and hide secrets."""
        text = str(error).partition("\n\nDebug source:")[0]
        for key in ("secret_key", "proxy_server"):
            text = text.replace(self.settings.options.get(key) or "\0", "***")
        error.args = (text,)
        return error


class _Ranges(io.RawIOBase):
    """Reads an object part by part."""

    def __init__(self, store: S3Store, path: str, meta: dict[str, Any]) -> None:
        self._read = store.read_range
        self._path = path
        self._size: int = meta["size"]
        self._tag: str | None = meta["e_tag"]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"negative position {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        buffer[:count] = self._read(self._path, self._at, self._at + count, self._tag)
        self._at += count
        return count
