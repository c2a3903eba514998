"""From the stored values of one attribute to those that users see, column by column.

What is in stores is looked up by one statement for a column, each object once, and retrieved
several at a time. Manual 2.5.1 and 8.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from .codec import decoder
from .connection import Connection
from .errors import DataJointError
from .heading import Attribute
from .lineage import holders
from .sql.algebra import Relation
from .storage.handles import (
    AttachedFile,
    Reading,
    StoredBlob,
    StoredObject,
    cached,
    stored_object,
)
from .storage.transfer import transfer
from .tracking import look_up, trackers
from .types import Adapted, Attachment, AttributeType, External

Column = Sequence[Any]
#: Takes stored values, NULL among them, and gives as many.
Decoder = Callable[[Column], list[Any]]


@dataclass(frozen=True)
class Options:
    """How values are decoded.

    Attributes
    ----------
    squeeze : bool
        Whether arrays lose their dimensions of length 1.
    download_path : str or Path
        The folder for attached files.
    lazy : bool
        Whether what is in stores, and attached files, come as handles.
    """

    squeeze: bool = False
    download_path: str | Path = "."
    lazy: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.download_path, (str, Path)):
            raise DataJointError(
                f"`download_path` is the path of a folder, not {self.download_path!r}"
            )


def column_decoder(
    connection: Connection, relation: Relation, attribute: Attribute, options: Options
) -> Decoder | None:
    """Make what decodes the values of an attribute.

    Parameters
    ----------
    connection : Connection
    relation : Relation
        Of which the values are fetched.
    attribute : Attribute
        One of the relation's.
    options : Options

    Returns
    -------
    callable or None
        None when the values need no decoding.
    """
    inner = _inner(attribute.attribute_type)
    if is_in_store(attribute):
        return _Stored(connection, relation, attribute, options)
    if options.lazy and isinstance(inner, Attachment) and attribute.expression is None:
        reading = _reading(relation, attribute, options)
        return _each(lambda stored: AttachedFile(bytes(stored), reading))
    decode = decoder(
        attribute.attribute_type,
        connection.dialect,
        squeeze=options.squeeze,
        download_path=options.download_path,
    )
    if decode is None:
        return None
    return _each(decode if attribute.expression is None else _lenient(decode))


def is_in_store(attribute: Attribute) -> bool:
    """Tell whether what the database has is the hash of what a store has."""
    return attribute.expression is None and isinstance(_inner(attribute.attribute_type), External)


def _inner(type_: AttributeType | None) -> AttributeType | None:
    """Find the type within those of adapters; None when an adapter is not known."""
    while isinstance(type_, Adapted):
        type_ = type_.inner
    return type_


def _reading(relation: Relation, attribute: Attribute, options: Options) -> Reading:
    assert attribute.attribute_type is not None
    origins = list(holders(relation, attribute.name))
    named = " or ".join(f"`{each.attribute}` of {each.table}" for each in origins)
    return Reading(
        attribute.attribute_type,
        options.squeeze,
        options.download_path,
        f"attribute {named or f'`{attribute.name}`'}",
    )


def _each(decode: Callable[[Any], Any]) -> Decoder:
    """Decode value by value; NULL is None."""
    return lambda column: [None if value is None else decode(value) for value in column]


def _lenient(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Decode computed values; one that is not of the inferred type stays as it is."""

    def decode_leniently(stored: Any) -> Any:
        try:
            return decode(stored)
        except (ArithmeticError, TypeError, ValueError):
            return stored

    return decode_leniently


class _Stored:
    """Decodes the hashes of objects in a store.

    Parameters
    ----------
    connection, relation, attribute, options
        See :func:`column_decoder`.
    """

    def __init__(
        self, connection: Connection, relation: Relation, attribute: Attribute, options: Options
    ) -> None:
        type_ = _inner(attribute.attribute_type)
        assert isinstance(type_, External)
        self._type = type_
        self._connection = connection
        self._schemas = [each.table.schema for each in holders(relation, attribute.name)]
        self._reading = _reading(relation, attribute, options)
        self._lazy = options.lazy
        decode = connection.dialect.decoder(type_)
        self._hashes = _each(decode) if decode is not None else list

    def __call__(self, column: Column) -> list[Any]:
        hashes = self._hashes(column)
        different = dict.fromkeys(hash_ for hash_ in hashes if hash_ is not None)
        if self._lazy:
            handles = self._handles(different)
            return [None if hash_ is None else handles[hash_] for hash_ in hashes]
        return self._values(hashes, self._retrieved(different))

    def _values(self, hashes: list[UUID | None], retrieved: dict[UUID, Any]) -> list[Any]:
        """Make the values: of each row its own, since they may be changed."""
        uses = Counter(hashes)
        values: list[Any] = []
        for hash_ in hashes:
            uses[hash_] -= 1
            if hash_ is None:
                values.append(None)
            else:  # what is needed no more takes no memory
                contents = retrieved[hash_] if uses[hash_] else retrieved.pop(hash_)
                values.append(self._reading.value(contents))
        return values

    def _retrieved(self, hashes: Iterable[UUID]) -> dict[UUID, Any]:
        """Read blobs, or save files; what the cache has needs neither the store nor its row."""
        pending = list(hashes)
        if self._type.kind != "blob":
            handles = self._handles(pending)
            return dict(zip(pending, transfer(_retrieve, [handles[each] for each in pending])))
        found = {each: data for each in pending if (data := cached(each)) is not None}
        missing = [each for each in pending if each not in found]
        handles = self._handles(missing)
        return found | dict(zip(missing, transfer(_download, [handles[each] for each in missing])))

    def _handles(self, hashes: Iterable[UUID]) -> dict[UUID, StoredObject]:
        """Look up the rows of objects.

        Raises
        ------
        DataJointError
            When there is no row for one.
        """
        pending = dict.fromkeys(hashes)
        handles: dict[UUID, StoredObject] = {}
        for tracker in trackers(self._connection, self._schemas, self._type.store):
            if not pending:
                break
            for hash_, row in look_up(self._connection, tracker, pending).items():
                handles[hash_] = stored_object(tracker.name.schema, row, self._reading)
                del pending[hash_]
        if pending:
            raise DataJointError(
                f"The store `{self._type.store}` tracks no object with the hash "
                f"{next(iter(pending)).hex}, to which {self._reading.origin} refers"
            )
        return handles


def _retrieve(handle: StoredObject) -> Any:
    return handle.retrieve()


def _download(handle: StoredObject) -> bytes:
    assert isinstance(handle, StoredBlob)
    return handle.download()
