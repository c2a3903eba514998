"""Local files that appear completely or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

#: So that the temporary name of the longest possible name is possible too (255 bytes everywhere).
_NAME_BYTES = 200


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place at the end of the block.

    Until then it is a temporary one beside that place, see
    :func:`datajoint.storage.paths.is_temporary`; an error in the block removes it.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    durable : bool
        Whether the file must be there after a loss of power too.

    Yields
    ------
    BinaryIO

    Raises
    ------
    OSError
    """
    stem = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES])
    temporary = path.with_name(f"{stem}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def make_folders(folder: Path, root: Path) -> None:
    """Make a folder and those above it, but not the root that they are in.

    The folder of a disk that is not mounted must not be filled in its place.

    Raises
    ------
    FileNotFoundError
        When there is no root.
    """
    if folder == root:
        os.stat(root)
        return
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folders(folder.parent, root)
        folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Write to disk which files a folder has; only Unix can and needs to."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
