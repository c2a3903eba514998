"""Attached files, saved under their names in a folder of the user: storage formats 3.5."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID

from ..errors import DataJointError
from ..hash import uuid_from_file

#: A file that changed so recently may change again without its times telling.
_SETTLED = 2 * 10**9
_CHUNK = 2**20


def save(
    folder: Path, name: str, is_equal: Callable[[Path], bool], write: Callable[[Path], None]
) -> Path:
    """Save a file in a folder, unless it is there.

    A file of the same name with other contents stays, and the new one gets a number. It appears
    under its name when it is complete, also when several threads or processes save files of one
    name.

    Parameters
    ----------
    folder : Path
    name : str
        Of the file; where it names a folder too, that is left out.
    is_equal : callable
        Tells whether a file that exists has the contents.
    write : callable
        Writes the contents into a file.

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
    if not folder.is_dir():
        raise DataJointError(
            f"Attached files cannot be saved: there is no folder `{folder}` (`download_path`)"
        )
    try:
        for file in _candidates(folder, name):
            if not os.path.lexists(file):
                break
            if is_equal(file):
                return file
        return _write(folder, name, is_equal, write)
    except (OSError, ValueError) as error:  # a name that the system does not take
        raise DataJointError(
            f"The attached file `{name}` cannot be saved in the folder `{folder}`: {error}"
        ) from error


def save_contents(folder: Path, name: str, contents: bytes | memoryview) -> Path:
    """Save an attached file whose contents are in memory; see :func:`save`."""

    def write(file: Path) -> None:
        file.write_bytes(contents)

    return save(folder, name, lambda file: _holds(file, contents), write)


def join_attached(name: str, contents: bytes) -> bytes:
    """Make what a table keeps of an attached file."""
    return name.encode() + b"\0" + contents


def split_attached(stored: bytes) -> tuple[str, memoryview]:
    """Divide what a table keeps of an attached file into its name and its contents."""
    end = stored.find(b"\0")
    if end < 0:
        raise DataJointError("What is stored is no attached file: it does not begin with a name")
    return stored[:end].decode(errors="replace"), memoryview(stored)[end + 1 :]


def checksum(file: Path, prefix: str = "") -> UUID:
    """Hash the contents of a file, after a prefix; a file that has not changed is read once."""
    status = file.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    is_settled = time.time_ns() - status.st_mtime_ns > _SETTLED
    compute = _checksum if is_settled else _checksum.__wrapped__
    return compute(os.path.abspath(file), prefix, stamp)


@lru_cache(maxsize=4096)
def _checksum(file: str, prefix: str, stamp: tuple[int, ...]) -> UUID:
    return uuid_from_file(file, prefix)


def temporary(folder: Path) -> Path:
    """Name a file that is not there yet, to be written and then renamed."""
    return folder / f".datajoint.{secrets.token_hex(4)}.part"


def _file_name(name: str) -> str:
    """Take the last part of a path of any system, so that nothing is saved in other folders."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    if last in ("", ".", ".."):
        raise DataJointError(f"An attached file cannot be saved: `{name}` is no name of a file")
    return last


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    path = Path(name)
    yield folder / name
    for number in itertools.count():
        yield folder / f"{path.stem}_{number:04x}{path.suffix}"


def _write(
    folder: Path, name: str, is_equal: Callable[[Path], bool], write: Callable[[Path], None]
) -> Path:
    """Write a temporary file, and give it the first name that is free, or has its contents."""
    partial = temporary(folder)
    try:
        write(partial)
        return next(
            file for file in _candidates(folder, name) if _renamed(partial, file) or is_equal(file)
        )
    finally:
        partial.unlink(missing_ok=True)


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


def _holds(file: Path, contents: bytes | memoryview) -> bool:
    """Tell whether a file has the contents, reading it as far as it has."""
    with suppress(OSError):
        if file.is_file() and file.stat().st_size == len(contents):
            with file.open("rb") as stream:
                return all(
                    stream.read(_CHUNK) == contents[start : start + _CHUNK]
                    for start in range(0, len(contents), _CHUNK)
                )
    return False
