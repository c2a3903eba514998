"""From what users insert to rows of stored values, every value checked.

Manual 7.2; storage formats 2.11.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .codec import encoder
from .condition import is_mapping_record
from .declare import SINGLETON, TableSpec
from .errors import DataJointError, MissingAttributeError
from .grammar import unquote
from .heading import Attribute
from .settings import config
from .sql.dialect import Dialect

#: The attributes that are given values, and the values as they are stored.
EncodedRow = tuple[tuple[str, ...], tuple[Any, ...]]


def rows_of(source: Any) -> Iterable[Any]:
    """List the rows of what was given to ``insert``.

    Parameters
    ----------
    source
        An iterable of rows, a pandas data frame, a structured array, or the path of a CSV file
        with a header.
    """
    if type(source).__name__ == "DataFrame" and not len(source):
        return []
    if type(source).__name__ == "DataFrame":
        named_index = any(name is not None for name in source.index.names)
        records: Iterable[Any] = source.to_records(index=named_index)
        return records
    if isinstance(source, Path):
        return _csv_rows(source)
    if isinstance(source, (str, bytes, Mapping)) or not isinstance(source, Iterable):
        raise DataJointError(
            f"`insert` takes a list of rows, not a {type(source).__name__}; "
            "for one row, use `insert1`"
        )
    return source


def _csv_rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file)


class RowEncoder:
    """Encodes rows for a table.

    Parameters
    ----------
    spec : TableSpec
    dialect : Dialect
    ignore_extra_fields : bool
        Whether fields that are no attributes are passed over.
    native_blobs : bool, optional
        Whether blobs may hold Python objects: setting ``enable_python_native_blobs``.
    """

    def __init__(
        self,
        spec: TableSpec,
        dialect: Dialect,
        ignore_extra_fields: bool,
        native_blobs: bool | None = None,
    ) -> None:
        native = config["enable_python_native_blobs"] if native_blobs is None else native_blobs
        self._spec = spec
        self._heading = spec.heading
        self._names = tuple(spec.heading.names)
        self._ignore = ignore_extra_fields
        self._encoders = {
            name: encoder(attribute.attribute_type, dialect, native_blobs=native)
            for name, attribute in spec.heading.attributes.items()
        }

    def encode(self, row: Any, number: int | None = None) -> EncodedRow:
        """Encode a row.

        Parameters
        ----------
        row : mapping, record or sequence
            A sequence has a value for every attribute, in the order of the heading.
        number : int, optional
            Its position among the rows, from 0, for errors.

        Raises
        ------
        UnknownAttributeError
            When a field is no attribute.
        MissingAttributeError
            When an attribute without a default has no value.
        DataJointError
            When a value does not fit the type of its attribute.
        """
        fields = self._fields(row, number)
        columns: list[str] = []
        values: list[Any] = []
        for name in self._names:
            attribute = self._heading.attributes[name]
            value = fields.get(name)
            if _is_missing(attribute, value):
                if attribute.nullable:
                    columns.append(name)
                    values.append(None)
                elif attribute.default is None and not attribute.autoincrement:
                    raise MissingAttributeError(
                        f"{self._place(number)}: attribute `{name}` has no value, and no default"
                    )
                continue
            try:
                values.append(self._encoders[name](value))
            except DataJointError as error:  # of a serializer, or of an adapter
                raise DataJointError(
                    f"{self._place(number)}: attribute `{name}`: {error}"
                ) from error.__cause__
            except ValueError as error:
                raise DataJointError(
                    f"{self._place(number)}: {_shown(value)} cannot be the value of attribute "
                    f"`{name}` of type `{attribute.type}`: it {error}"
                ) from None
            columns.append(name)
        if not columns and any(a.name == SINGLETON for a in self._heading.all_attributes):
            return (SINGLETON,), ("1",)  # what identifies the only entity
        return tuple(columns), tuple(values)

    def encode_value(self, name: str, value: Any) -> Any:
        """Encode the value of one attribute; None and its like become the default."""
        attribute = self._heading[name]
        if _is_missing(attribute, value):
            if attribute.nullable:
                return None
            if attribute.default is None:
                raise MissingAttributeError(
                    f"{self._spec.name}: attribute `{name}` has no default to be reset to"
                )
            value = unquote(attribute.default)
            if value.startswith("CURRENT_TIMESTAMP"):
                value = np.datetime64("now").astype(object).astimezone()
        try:
            return self._encoders[name](value)
        except ValueError as error:
            raise DataJointError(
                f"{self._spec.name}: {_shown(value)} cannot be the value of attribute `{name}` "
                f"of type `{attribute.type}`: it {error}"
            ) from None

    def _place(self, number: int | None) -> str:
        place = f"Cannot insert into {self._spec.name}"
        return place if number is None else f"{place} (row {number})"

    def _fields(self, row: Any, number: int | None) -> Mapping[str, Any]:
        if is_mapping_record(row):
            row = {name: row[name] for name in row.dtype.names}
        if isinstance(row, Mapping):
            if not self._ignore:
                for name in row:
                    if name not in self._encoders:
                        raise self._heading.unknown(str(name), f" of {self._spec.name}").suggest(
                            f"{self._place(number)}; to pass over fields that are no attributes, "
                            "set ignore_extra_fields=True"
                        )
            return row
        if isinstance(row, (Sequence, np.ndarray)) and not isinstance(row, (str, bytes)):
            if len(row) != len(self._names):
                raise DataJointError(
                    f"{self._place(number)}: the row has {len(row)} values for the "
                    f"{len(self._names)} attributes {', '.join(self._names)}"
                )
            return dict(zip(self._names, row, strict=True))
        raise DataJointError(
            f"{self._place(number)}: a row is a mapping, a record or a sequence, not {_shown(row)} "
            f"of type `{type(row).__name__}`"
        )


def _is_missing(attribute: Attribute, value: Any) -> bool:
    type_ = attribute.attribute_type
    return value is None if type_ is None else type_.is_missing(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
