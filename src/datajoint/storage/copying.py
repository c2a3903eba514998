"""Copying objects from one store to another, each read back and compared.

Storage formats 3.3 and 3.4.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import UUID

from ..errors import DataJointError
from ..hash import uuid_from_buffer, uuid_from_file, uuid_from_stream
from .base import Store
from .objects import Tracked

#: Larger objects, in bytes, are copied by way of a file.
IN_MEMORY = 8 << 20


def is_there(store: Store, schema: str, tracked: Tracked) -> bool:
    """Tell whether a store has an object, as far as its size tells."""
    info = store.info(tracked.path(schema, store.settings.subfolding))
    return info is not None and info.size == tracked.size


def copy_object(source: Store, target: Store, schema: str, tracked: Tracked) -> None:
    """Copy an object into another store, and compare the copy with it.

    Parameters
    ----------
    source, target : Store
    schema : str
        The schema whose object it is.
    tracked : Tracked

    Raises
    ------
    MissingExternalFile
        When the source does not have it.
    DataJointError
        When it is not what its row says, or the copy is not the same; or when a file of another
        one's contents is in its place.
    """
    path, place = (tracked.path(schema, s.settings.subfolding) for s in (source, target))
    if tracked.filepath is not None and target.info(place) is not None:
        # Its name says nothing of the contents, and others may have put it there.
        _compare_files(source, path, target, place, tracked)
        return
    if tracked.size <= IN_MEMORY:
        data = source.get(path)
        _check(source, path, tracked, len(data), uuid_from_buffer(data, tracked.prefix))
        target.put(place, data, tracked.metadata)
        same = target.get(place) == data
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "object")
            source.get_file(path, file)
            digest = uuid_from_file(file, tracked.prefix)
            _check(source, path, tracked, file.stat().st_size, digest)
            target.put_file(place, file, tracked.metadata)
        same = _digest(target, place, tracked) == digest
    if not same:
        raise DataJointError(
            f"The copy `{target.locate(place)}` is not the same as `{source.locate(path)}`: the "
            f"store `{target.name}` does not keep what is written"
        )


def _compare_files(source: Store, path: str, target: Store, place: str, tracked: Tracked) -> None:
    """Refuse a file that is in the place of another."""
    if not (
        is_there(target, "", tracked)
        and _digest(target, place, tracked) == _digest(source, path, tracked)
    ):
        raise DataJointError(
            f"The store `{target.name}` has another file in the place of `{source.locate(path)}`: "
            f"remove `{target.locate(place)}`, or move it to another name"
        )


def _check(store: Store, path: str, tracked: Tracked, size: int, digest: UUID) -> None:
    """Refuse an object that is not what its row says."""
    expected = tracked.checksum
    if size != tracked.size or expected not in (None, digest):
        raise DataJointError(
            f"The object `{store.locate(path)}` of the store `{store.name}` is damaged: it has "
            f"{size} bytes and the checksum {digest.hex}, its row in the tracking table says "
            f"{tracked.size} and {expected.hex if expected else 'none'}. Restore it from a backup, "
            "or delete the entities that refer to it"
        )


def _digest(store: Store, path: str, tracked: Tracked) -> UUID:
    with store.open(path) as stream:
        return uuid_from_stream(stream, tracked.prefix)
