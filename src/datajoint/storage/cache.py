"""The local cache of blobs that are kept in stores: storage formats 3.6."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from ..hash import uuid_from_buffer
from ..logging import logger
from ..settings import config
from .files import replacing

_FOLDER = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"(?P<hash>[0-9a-f]{32})(?P<left>\.[0-9a-f]{8}\.part)?")
#: What part of its limit a cache gives up when it is full, and may grow by unseen.
_PART = 0.1
#: After so many seconds, a file that was not completed is taken to be left over.
_ABANDONED = 3600.0


class _Entry(NamedTuple):
    used: float
    size: int
    path: str
    left: bool


class Cache:
    """Blobs in a folder, as they are in their stores, by their hashes.

    Several processes may use one folder. What fails is as if there were no cache, with a warning.

    Parameters
    ----------
    folder : Path
        Is made if the folder that it is in exists.
    limit : int or None
        The size in bytes that it may have: then what was not used for longest is removed. With
        several processes it may become larger by a tenth for each. None: no limit.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder = folder
        self.limit = limit
        self._size: int | None = None  # at the last look; not known before
        self._added = 0  # by this process since then
        self._warned = False

    def get(self, hash_: UUID) -> bytes | None:
        """Read a blob; None when it is not there, or damaged.

        A blob that is read counts as used: the time of its last change says when.
        """
        path = self._path(hash_)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(error)
            return None
        if uuid_from_buffer(data) != hash_:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):  # a file of another user
            os.utime(path)
        return data

    def put(self, hash_: UUID, data: bytes) -> None:
        """Keep a blob, unless it is larger than the cache may be."""
        if self.limit is not None and len(data) > self.limit:
            return
        path = self._path(hash_)
        try:
            if not path.parent.is_dir():
                self.folder.mkdir(exist_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(data)
            if self.limit is not None:
                self._bound(len(data), self.limit)
        except OSError as error:
            self._warn(error)

    def _path(self, hash_: UUID) -> Path:
        name = hash_.hex
        return self.folder / name[:2] / name[2:4] / name

    def _bound(self, added: int, limit: int) -> None:
        """Look at the folder only when it may be too large: at first, and as it grows."""
        self._added += added
        grown = self._size is None or self._size + self._added > limit
        if not grown and self._added <= limit * _PART:
            return
        entries = sorted(self._entries())
        self._size, self._added = sum(entry.size for entry in entries), 0
        excess = self._size - limit
        if excess > 0:
            self._size -= _remove(entries, excess + limit * _PART)

    def _entries(self) -> Iterator[_Entry]:
        """Find the files of the cache; all others that lie there are left alone."""
        for outer in _folders(self.folder):
            for inner in _folders(outer):
                with suppress(FileNotFoundError), os.scandir(inner) as files:
                    for file in files:
                        match = _FILE.fullmatch(file.name)
                        if match is None or match["hash"][:4] != outer.name + inner.name:
                            continue
                        with suppress(FileNotFoundError):  # removed meanwhile
                            if file.is_file(follow_symlinks=False):
                                status, left = file.stat(), match["left"] is not None
                                yield _Entry(status.st_mtime, status.st_size, file.path, left)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "The cache %s is not used (%s): make the folder, or set dj.config['cache']",
                self.folder,
                error.strerror or error,
            )


def _folders(folder: str | Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [
            entry
            for entry in entries
            if _FOLDER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return []


def _remove(entries: list[_Entry], excess: float) -> int:
    """Remove what was used longest ago; return how much that was."""
    now, removed = time.time(), 0
    for entry in entries:
        if removed >= excess:
            break
        if entry.left and now - entry.used < _ABANDONED:
            continue
        with suppress(FileNotFoundError):
            os.unlink(entry.path)
        removed += entry.size
    return removed


_caches: dict[tuple[str, int | None], Cache] = {}


def configured_cache() -> Cache | None:
    """Give the cache that the settings ``cache`` and ``cache_limit`` describe; None for none."""
    folder = config.get("cache")
    if not folder:
        return None
    key = (folder, config["cache_limit"])
    if key not in _caches:
        _caches[key] = Cache(Path(folder).expanduser().absolute(), key[1])
    return _caches[key]
