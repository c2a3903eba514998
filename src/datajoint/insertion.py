"""From what users insert to rows of stored values, every value checked.

Manual 7.2; storage formats 2.11.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .codec import encoder
from .condition import is_mapping_record
from .declare import TableName, TableSpec
from .errors import DataJointError, MissingAttributeError
from .grammar import unquote
from .heading import Attribute
from .settings import config
from .sql.dialect import Dialect

#: The attributes that are given values, and the values as they are stored.
EncodedRow = tuple[tuple[str, ...], tuple[Any, ...]]


@dataclass(frozen=True)
class Fault:
    """Why a row cannot be inserted.

    Attributes
    ----------
    row : int or None
        The position of the row among those given, from 0; None when it is the only one.
    attributes : tuple of str
        The attributes, or the fields that are none.
    value
        The value that is refused; a tuple of values where there are several attributes.
    message : str
        What is wrong with it.
    kind : type
        The class of the error.
    advice : tuple of str
    cause : BaseException, optional
        Of the error.
    """

    row: int | None
    attributes: tuple[str, ...]
    value: Any
    message: str
    kind: type[DataJointError] = DataJointError
    advice: tuple[str, ...] = ()
    cause: BaseException | None = None

    def error(self, name: TableName, action: str = "insert into") -> DataJointError:
        """Make the error of a single row."""
        place = f"Cannot {action} {name}" + ("" if self.row is None else f" (row {self.row})")
        return self.kind(f"{place}: {self.message}", *self.advice)

    def throw(self, name: TableName) -> NoReturn:
        """Raise the error of a single row."""
        raise self.error(name) from self.cause


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
    if hasattr(source, "to_records"):  # of pandas
        unnamed = [level for level, name in enumerate(source.index.names) if name is None]
        if 0 < len(unnamed) < source.index.nlevels:
            source = source.reset_index(level=unnamed, drop=True)
            unnamed = []
        if not source.columns.is_unique:
            twice = source.columns[source.columns.duplicated()][0]
            raise DataJointError(f"The data frame cannot be inserted: it has two columns `{twice}`")
        records: Iterable[Any] = source.to_records(index=not unnamed)
        return records
    if hasattr(source, "iter_rows"):  # of polars
        named: Iterable[Any] = source.iter_rows(named=True)
        return named
    if hasattr(source, "to_batches"):  # of Arrow
        return (row for batch in source.to_batches() for row in batch.to_pylist())
    if isinstance(source, Path):
        return _csv_rows(source)
    if isinstance(source, np.ndarray):
        return np.atleast_1d(source)
    if isinstance(source, (str, bytes, Mapping)) or not isinstance(source, Iterable):
        raise DataJointError(
            f"`insert` takes a list of rows, not a {type(source).__name__}; "
            "for one row, use `insert1`, and for a CSV file, give its pathlib.Path"
        )
    return source


def _csv_rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        file = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise DataJointError(f"The CSV file cannot be read: {error}") from error
    with file:
        reader = csv.DictReader(file)
        try:
            header = reader.fieldnames or ()
            twice = [name for i, name in enumerate(header) if name in header[:i]]
            if twice:
                raise DataJointError(f"{path}: `{twice[0]}` stands twice in the header")
            for row in reader:
                if None in row:
                    raise DataJointError(
                        f"{path}, line {reader.line_num}: there are more values than the "
                        f"{len(header)} attributes of the header"
                    )
                yield row
        except csv.Error as error:
            raise DataJointError(f"{path}, line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise DataJointError(
                f"{path}, after line {reader.line_num}: it is not UTF-8 text ({error}); save it "
                "as CSV in UTF-8"
            ) from error


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
        self._dialect = dialect
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
        return self._encode(row, number, self._throw, self._names)

    def encode_key(self, row: Any, number: int | None = None) -> EncodedRow:
        """Encode the primary key of a row; errors are those of `encode`."""
        return self._encode(row, number, self._throw, tuple(self._heading.primary_key))

    def check(self, row: Any, number: int) -> tuple[EncodedRow, list[Fault]]:
        """Encode a row as far as that is possible, and list all that is wrong with it."""
        faults: list[Fault] = []
        return self._encode(row, number, faults.append, self._names), faults

    def _throw(self, fault: Fault) -> None:
        fault.throw(self._spec.name)

    def _encode(
        self,
        row: Any,
        number: int | None,
        report: Callable[[Fault], None],
        names: tuple[str, ...],
    ) -> EncodedRow:
        fields = self._fields(row, number, report)
        if fields is None:
            return (), ()
        columns: list[str] = []
        values: list[Any] = []
        for name in names:
            attribute = self._heading.attributes[name]
            value = fields.get(name)
            if _is_missing(attribute, value):
                if attribute.nullable:
                    columns.append(name)
                    values.append(None)
                elif attribute.default is None and not attribute.autoincrement:
                    message = f"attribute `{name}` has no value, and no default"
                    report(Fault(number, (name,), value, message, MissingAttributeError))
                continue
            try:
                values.append(self._encoders[name](value))
            except (DataJointError, ValueError) as error:
                report(self._refused(attribute, value, error, number))
            else:
                columns.append(name)
        if not columns:  # what identifies the entity
            key = self._heading.stored_key
            known = {name: value for name, value in self._defaults.items() if name in key}
            return tuple(known), tuple(known.values())
        return tuple(columns), tuple(values)

    def _refused(
        self, attribute: Attribute, value: Any, error: Exception, number: int | None
    ) -> Fault:
        """Say why the type of an attribute does not admit a value."""
        name = attribute.name
        if isinstance(error, DataJointError):  # of a serializer, or of an adapter
            message = f"attribute `{name}`: {error}"
            return Fault(number, (name,), value, message, cause=error.__cause__)
        return Fault(
            number,
            (name,),
            value,
            f"{_shown(value)} cannot be the value of attribute `{name}` of type "
            f"`{attribute.type}`: it {error}",
        )

    def encode_value(self, name: str, value: Any) -> Any:
        """Encode the new value of one attribute for an update; None becomes the default.

        Raises
        ------
        MissingAttributeError
            When there is no default.
        DataJointError
            When the value does not fit the type of the attribute.
        """
        attribute = self._heading[name]
        try:
            if not _is_missing(attribute, value):
                return self._encoders[name](value)
            if attribute.nullable:
                return None
            if attribute.default is not None:
                return self._default(attribute)
            message = f"attribute `{name}` has no default to be reset to"
            fault = Fault(None, (name,), value, message, MissingAttributeError)
        except (DataJointError, ValueError) as error:
            fault = self._refused(attribute, value, error, None)
        raise fault.error(self._spec.name, "update") from fault.cause

    def _default(self, attribute: Attribute) -> Any:
        """Encode a default, which is one of the stored type."""
        default = unquote(attribute.default or "")
        if default.startswith("CURRENT_TIMESTAMP"):
            now = np.datetime64("now").astype(object).astimezone()
            return self._dialect.encode(now, attribute.stored_type)
        return self._dialect.encode(default, attribute.stored_type)

    def complete(self, row: EncodedRow) -> dict[str, Any]:
        """Add the defaults that are known beforehand to the values of a row."""
        return self._defaults | dict(zip(*row, strict=True))

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return {
            attribute.name: unquote(attribute.default)
            if attribute.is_hidden
            else self._default(attribute)
            for attribute in self._heading.all_attributes
            if attribute.default is not None
            and not attribute.nullable
            and not attribute.default.startswith("CURRENT_TIMESTAMP")
        }

    def _fields(
        self, row: Any, number: int | None, report: Callable[[Fault], None]
    ) -> Mapping[str, Any] | None:
        """Give the values of a row by the names of its fields; None when it is no row."""
        if is_mapping_record(row):
            row = {name: row[name] for name in row.dtype.names}
        elif type(row).__name__ == "Series":  # a row of a data frame
            row = dict(row.items())
        elif isinstance(row, np.ndarray) and row.dtype.names is not None and row.size == 1:
            row = {name: row[name].item() for name in row.dtype.names}
        if isinstance(row, Mapping):
            if not self._ignore:
                for name in row:
                    if name not in self._encoders:
                        report(self._unknown(number, name, row[name]))
            return row
        if not isinstance(row, (Sequence, np.ndarray)) or isinstance(row, (str, bytes)):
            report(
                Fault(
                    number,
                    (),
                    row,
                    f"a row is a mapping, a record or a sequence, not {_shown(row)} of type "
                    f"`{type(row).__name__}`",
                )
            )
            return None
        if len(row) != len(self._names):
            message = (
                f"the row {_shown(row)} has {len(row)} values for the {len(self._names)} "
                f"attributes {', '.join(self._names)}"
            )
            report(Fault(number, (), row, message))
            return None
        return dict(zip(self._names, row, strict=True))

    def _unknown(self, number: int | None, name: Any, value: Any) -> Fault:
        unknown = self._heading.unknown(str(name))
        return Fault(
            number,
            (str(name),),
            value,
            f"{unknown}; the value given is {_shown(value)}",
            type(unknown),
            ("To pass over fields that are no attributes, set ignore_extra_fields=True",),
        )


def _is_missing(attribute: Attribute, value: Any) -> bool:
    type_ = attribute.attribute_type
    return value is None if type_ is None else type_.is_missing(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
