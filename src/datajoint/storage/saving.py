"""Attached files, saved under their names in a folder of the user: storage formats 3.5."""

from __future__ import annotations

import itertools
import os
import secrets
import stat
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from uuid import UUID

from ..errors import DataJointError
from ..hash import uuid_from_file

#: A file that changed so recently may change again without its times telling: by some clock ticks,
#: where they have fractions of a millisecond, and otherwise by the two seconds of old file systems.
_TICKS, _SECONDS = 10**8, 2 * 10**9


@dataclass(frozen=True)
class Contents:
    """What is to be saved.

    Attributes
    ----------
    size : int
        In bytes.
    prefix : str
        What comes before the contents in their checksum.
    checksum : callable
        Computes the checksum; None if it is not known, so that no file is taken to be equal.
    write : callable
        Writes the contents into a file.
    """

    size: int
    prefix: str
    checksum: Callable[[], UUID | None]
    write: Callable[[Path], None]


class Folder:
    """A folder in which files are saved, each under its name, several of them at a time.

    A file that is there with the same contents is taken for the one to be saved; one with other
    contents stays, and the new one gets a number. Files appear under their names when they are
    complete, also when others save files of the same name.

    What is there is looked at once for each name: for what is saved later, make another one.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._names: dict[tuple[str, str], _Namesakes] = {}
        self._lock = threading.Lock()

    def save(self, name: str, contents: Contents) -> Path:
        """Save a file, unless it is there.

        Parameters
        ----------
        name : str
            Of the file; where it names a folder too, that is left out.
        contents : Contents

        Returns
        -------
        Path
            The folder with the name.

        Raises
        ------
        DataJointError
            When there is no such folder, it cannot be written, or the name is none of a file.
        """
        name = _file_name(name)
        if not self.path.is_dir():
            raise DataJointError(
                f"Attached files cannot be saved: there is no folder `{self.path}` "
                "(`download_path`)"
            )
        try:
            namesakes = self._namesakes(name, contents.prefix)
            return namesakes.find(contents) or self._write(namesakes, contents)
        except (OSError, ValueError) as error:  # a name that the system does not take
            raise DataJointError(
                f"The attached file `{name}` cannot be saved in the folder `{self.path}`: {error}"
            ) from error

    def _namesakes(self, name: str, prefix: str) -> _Namesakes:
        with self._lock:
            if (name, prefix) not in self._names:
                self._names[name, prefix] = _Namesakes(self.path, name, prefix)
            return self._names[name, prefix]

    def _write(self, namesakes: _Namesakes, contents: Contents) -> Path:
        partial = temporary(self.path)
        try:
            contents.write(partial)
            return namesakes.add(partial, contents)
        finally:
            partial.unlink(missing_ok=True)


class _Namesakes:
    """The files of a folder that have a name, or that name with a number.

    Their checksums are computed when a file of the same size is to be saved, each once.
    """

    def __init__(self, folder: Path, name: str, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.RLock()
        #: By size: files that may be equal, and those of which the checksums are known.
        self._others: dict[int, list[Path]] = defaultdict(list)
        self._known: dict[int, dict[UUID, Path]] = defaultdict(dict)
        self._candidates = _candidates(folder, name)
        self._free = next(file for file in self._candidates if not self._note(file))

    def find(self, contents: Contents) -> Path | None:
        """Find a file by its contents; None when there is none."""
        with self._lock:
            others, known = self._others.pop(contents.size, ()), self._known[contents.size]
            for file in others:
                with suppress(OSError):  # removed meanwhile, or it may not be read
                    known.setdefault(file_checksum(file, self._prefix), file)
            hash_ = contents.checksum() if known else None
            return None if hash_ is None else known.get(hash_)

    def add(self, partial: Path, contents: Contents) -> Path:
        """Give a file the first name that is free, unless one that came meanwhile is equal."""
        with self._lock:
            found = self.find(contents)
            while found is None:
                file, self._free = self._free, next(self._candidates)
                if _renamed(partial, file):
                    found = file
                self._note(file)
                found = found or self.find(contents)
            return found

    def _note(self, file: Path) -> bool:
        """Note a file by its size, if there is one of that name."""
        try:
            status = os.lstat(file)
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(status.st_mode):
            with suppress(OSError):
                status = os.stat(file)
        if stat.S_ISREG(status.st_mode):
            self._others[status.st_size].append(file)
        return True


def join_attached(name: str, contents: bytes) -> bytes:
    """Make what a table keeps of an attached file."""
    return name.encode() + b"\0" + contents


def split_attached(stored: bytes) -> tuple[str, memoryview]:
    """Divide what a table keeps of an attached file into its name and its contents."""
    end = stored.find(b"\0")
    if end < 0:
        raise DataJointError("What is stored is no attached file: it does not begin with a name")
    return stored[:end].decode(errors="replace"), memoryview(stored)[end + 1 :]


def file_checksum(file: Path, prefix: str = "") -> UUID:
    """Hash the contents of a file, after a prefix; a file that has not changed is read once."""
    status = file.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    stamp = (status.st_dev, status.st_ino, status.st_size, *times)
    margin = _TICKS if status.st_mtime_ns % 10**6 else _SECONDS
    is_settled = time.time_ns() - status.st_mtime_ns > margin
    compute = _checksum if is_settled else _checksum.__wrapped__
    return compute(str(file), prefix, stamp)


@lru_cache(maxsize=4096)
def _checksum(file: str, prefix: str, stamp: tuple[int, ...]) -> UUID:
    return uuid_from_file(file, prefix)


def temporary(folder: Path) -> Path:
    """Name a file that is not there yet, to be written and then renamed."""
    return folder / f".datajoint.{secrets.token_hex(4)}.part"


def _file_name(name: str) -> str:
    """Take the last part of a path of any system, so that nothing is saved in other folders."""
    last = Path(PurePosixPath(name).name.rpartition("\\")[2]).name
    if last in ("", ".", ".."):
        raise DataJointError(f"An attached file cannot be saved: `{name}` is no name of a file")
    return last


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    path = Path(name)
    yield folder / name
    for number in itertools.count():
        yield folder / f"{path.stem}_{number:04x}{path.suffix}"


def _renamed(partial: Path, file: Path) -> bool:
    """Give a file a name, unless there is another of that name."""
    try:
        os.link(partial, file)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        os.replace(partial, file)
    return True
