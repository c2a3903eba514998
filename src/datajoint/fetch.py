"""From the rows of a statement to dicts, arrays and data frames.

Values are decoded column by column, and only the columns that need it. Manual 8.3 and 8.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .codec import decoder
from .connection import Connection
from .errors import DataJointError
from .heading import Attribute, Heading
from .sql.algebra import Relation
from .sql.select import Writer


class Query(Protocol):
    """What is needed of a query expression to fetch and show its result."""

    @property
    def connection(self) -> Connection: ...

    @property
    def heading(self) -> Heading: ...

    @property
    def relation(self) -> Relation: ...

    def __len__(self) -> int: ...

    def __and__(self, restriction: Any, /) -> Query: ...


Row = tuple[Any, ...]
Decoder = Callable[[Any], Any]


@dataclass(frozen=True)
class Options:
    """How values are decoded.

    Attributes
    ----------
    squeeze : bool
        Whether arrays lose their dimensions of length 1.
    download_path : str or Path
        The folder for attached files.
    """

    squeeze: bool = False
    download_path: str | Path = "."


class key:
    """Stands for the primary key among the attributes to fetch; the same as ``"KEY"``."""


def is_key(attr: Any) -> bool:
    """Tell whether an argument of ``fetch`` stands for the primary key."""
    return attr is key or (isinstance(attr, str) and attr == "KEY")


def fetch(
    query: Query,
    attrs: Sequence[Any],
    format_: str | None,
    as_dict: bool | None,
    options: Options,
) -> Any:
    """Fetch the result of a query; see :meth:`QueryExpression.fetch`."""
    if format_ is not None:
        if as_dict or attrs:
            raise DataJointError(
                "`format` cannot be combined with `as_dict` or with attributes to fetch"
            )
        if format_ not in ("array", "frame"):
            raise DataJointError(f'`format` must be "array" or "frame", not {format_!r}')
    heading = query.heading
    if not attrs:
        if as_dict:
            return _dicts(fetch_rows(query, heading.names, options), heading.names)
        return _whole(query, options, frame=format_ == "frame")
    _check_names(heading, attrs)
    names = _names(heading, attrs)
    rows = fetch_rows(query, names, options)
    if as_dict:
        return _dicts(rows, names)
    if as_dict is False and all(map(is_key, attrs)) and len(attrs) == 1:
        return list(_structured(rows, heading, names))
    results = [_variable(rows, names, heading, attr) for attr in attrs]
    return results[0] if len(results) == 1 else results


def fetch1(query: Query, attrs: Sequence[Any], options: Options) -> Any:
    """Fetch the only entity of a query; see :meth:`QueryExpression.fetch1`."""
    heading = query.heading
    _check_names(heading, attrs)
    names = _names(heading, attrs) if attrs else heading.names
    rows = fetch_rows(query, names, options)
    if len(rows) != 1:
        raise DataJointError(
            f"fetch1 requires exactly one entity in the query; it has {len(rows) or 'none'}"
        )
    if not attrs:
        return dict(zip(names, rows[0], strict=True))
    values = tuple(_variable(rows, names, heading, attr)[0] for attr in attrs)
    return values[0] if len(values) == 1 else values


def iterate(query: Query) -> Iterator[dict[str, Any]]:
    """Iterate over the entities of a query as dicts, decoding one at a time."""
    names = query.heading.names
    decoders = [(i, d) for i, d in enumerate(_decoders(query, names, Options())) if d]
    for row in _select(query, names):
        values = list(row)
        for i, decode in decoders:
            if values[i] is not None:
                values[i] = decode(values[i])
        yield dict(zip(names, values, strict=True))


def fetch_rows(query: Query, names: Sequence[str], options: Options = Options()) -> list[Row]:
    """Fetch and decode attributes of a query as a list of tuples."""
    rows = _select(query, names)
    decoders = _decoders(query, names, options)
    if not rows or not any(decoders):
        return rows
    columns = [
        column if decode is None else _decoded(column, decode)
        for column, decode in zip(zip(*rows, strict=True), decoders, strict=True)
    ]
    return list(zip(*columns, strict=True))


def _select(query: Query, names: Sequence[str]) -> list[Row]:
    types = query.heading.types
    statement = Writer(query.connection.dialect).select(query.relation, names, types)
    rows = query.connection.rows(statement)
    return rows if names else [() for _ in rows]


def _decoded(column: Iterable[Any], decode: Decoder) -> list[Any]:
    return [None if value is None else decode(value) for value in column]


def _decoders(query: Query, names: Iterable[str], options: Options) -> list[Decoder | None]:
    return [_decoder(query, query.heading[name], options) for name in names]


def _decoder(query: Query, attribute: Attribute, options: Options) -> Decoder | None:
    decode = decoder(
        attribute.attribute_type,
        query.connection.dialect,
        squeeze=options.squeeze,
        download_path=options.download_path,
    )
    if decode is None or attribute.expression is None:
        return decode
    return lambda stored: _leniently(decode, stored)


def _leniently(decode: Decoder, stored: Any) -> Any:
    """Decode a computed value; one that is not of the inferred type stays as it is."""
    try:
        return decode(stored)
    except (ArithmeticError, TypeError, ValueError):
        return stored


def _check_names(heading: Heading, attrs: Iterable[Any]) -> None:
    for attr in attrs:
        if not is_key(attr) and not isinstance(attr, str):
            raise DataJointError(f"`fetch` takes names of attributes, not {attr!r}")
        if not is_key(attr) and attr not in heading:
            raise heading.unknown(str(attr), " of the query that is fetched")


def _names(heading: Heading, attrs: Sequence[Any]) -> list[str]:
    """List the attributes to select, in the order of the heading, each once."""
    wanted = {attr for attr in attrs if not is_key(attr)}
    if any(map(is_key, attrs)):
        wanted |= set(heading.primary_key)
    return [name for name in heading.names if name in wanted]


def _dicts(rows: list[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def _variable(rows: list[Row], names: list[str], heading: Heading, attr: Any) -> Any:
    """Gather what one argument of ``fetch`` asks for."""
    if is_key(attr):
        positions = [names.index(name) for name in heading.primary_key]
        return [
            dict(zip(heading.primary_key, (row[position] for position in positions), strict=True))
            for row in rows
        ]
    position = names.index(attr)
    return as_array([row[position] for row in rows], _dtype(heading[attr]))


def _dtype(attribute: Attribute) -> str:
    """Choose the dtype of an attribute: integers that may be missing have none of their own."""
    if attribute.expression is not None or (attribute.nullable and attribute.dtype == "int64"):
        return "O"
    return attribute.dtype


def as_array(values: list[Any], dtype: str) -> npt.NDArray[Any]:
    """Make a 1-D array; objects, arrays among them, become its elements as they are."""
    if dtype != "O":
        try:
            return np.array(values, dtype=dtype)  # None becomes nan in float64
        except OverflowError:  # large unsigned integers stay those of Python
            pass
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def _structured(rows: list[Row], heading: Heading, names: Sequence[str]) -> npt.NDArray[Any]:
    values = zip(*rows, strict=True) if rows else ((),) * len(names)
    columns = {
        name: as_array(list(column), _dtype(heading[name]))
        for name, column in zip(names, values, strict=True)
    }
    array = np.empty(len(rows), dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        array[name] = column
    return array


def _whole(query: Query, options: Options, *, frame: bool) -> Any:
    heading = query.heading
    array = _structured(fetch_rows(query, heading.names, options), heading, heading.names)
    if not frame:
        return array
    import pandas as pd

    columns = {}
    for name, attribute in heading.attributes.items():
        column = array[name]
        # pandas would make floats of integers among which one is missing
        keep = column.dtype != object or attribute.dtype == "int64"
        columns[name] = pd.Series(column) if keep else list(column)
    data = pd.DataFrame(columns, columns=heading.names)
    return data.set_index(heading.primary_key) if heading.primary_key else data
