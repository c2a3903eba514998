"""From the rows of a statement to dicts, arrays and data frames of pandas.

Values are decoded column by column, and only the columns that need it. Manual 8.3 and 8.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .connection import Connection
from .decoding import Column, Decoder, Options, column_decoder, is_in_store
from .errors import DataJointError
from .heading import Heading
from .settings import config
from .sql.algebra import Relation, Slice
from .sql.select import Writer
from .sql.text import SQL
from .streaming import Pace


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


#: The databases take no larger number at once.
_LARGEST_BATCH = 2**31 - 1
_PLAIN = Options()

Row = tuple[Any, ...]


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
            return fetch_dicts(query, (), options)
        to = fetch_frame if format_ == "frame" else fetch_arrays
        return to(query, (), options)
    names = sorted(select(heading, attrs), key=heading.names.index)
    rows = fetch_rows(query, names, options)
    if as_dict:
        return _dicts(_nulls_as_nan(rows, heading, names), names)
    if as_dict is False and all(map(is_key, attrs)) and len(attrs) == 1:
        return list(_structured(rows, heading, names))
    results = [_variable(rows, names, heading, attr) for attr in attrs]
    return results[0] if len(results) == 1 else results


def fetch_dicts(query: Query, attrs: Sequence[Any], options: Options) -> list[dict[str, Any]]:
    """Fetch a list of dicts; see :meth:`QueryExpression.to_dicts`."""
    names = select(query.heading, attrs)
    return _dicts(fetch_rows(query, names, options), names)


def fetch_arrays(query: Query, attrs: Sequence[Any], options: Options) -> Any:
    """Fetch arrays; see :meth:`QueryExpression.to_arrays`."""
    heading = query.heading
    names = select(heading, attrs)
    rows = fetch_rows(query, names, options)
    if not attrs:
        return _structured(rows, heading, names)
    arrays = []
    for attr in attrs:
        wanted = heading.primary_key if is_key(attr) else [attr]
        positions = [names.index(name) for name in wanted]
        part = [tuple(row[i] for i in positions) for row in rows]
        array = _structured(part, heading, wanted)
        arrays.append(array if is_key(attr) else array[attr])
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def fetch_frame(query: Query, attrs: Sequence[Any], options: Options) -> Any:
    """Fetch a data frame of pandas; see :meth:`QueryExpression.to_pandas`."""
    import pandas as pd

    heading = query.heading
    names = select(heading, ["KEY", *attrs] if attrs else ())
    array = _structured(fetch_rows(query, names, options), heading, names)
    # by arrays: of a list, pandas would make floats of integers among which one is missing
    data = pd.DataFrame({name: pd.Series(array[name]) for name in names}, columns=names)
    return data.set_index(heading.primary_key) if heading.primary_key else data


def fetch1(query: Query, attrs: Sequence[Any], as_dict: bool, options: Options) -> Any:
    """Fetch the only entity of a query; see :meth:`QueryExpression.fetch1`."""
    heading = query.heading
    names = select(heading, attrs)
    # The second one tells that there are several; all of them may be more than memory holds.
    few = query.connection.rows(_statement(query, names, Slice(query.relation, (), limit=2)))
    if len(few) != 1:
        raise DataJointError(
            f"fetch1 requires exactly one entity in the query; it has "
            f"{len(query) if few else 'none'}"
        )
    rows = _decoded_rows(few if names else [()], _decoders(query, names, options))
    if as_dict or not attrs:
        return dict(zip(names, rows[0], strict=True))
    values = tuple(_variable(rows, names, heading, attr)[0] for attr in attrs)
    return values[0] if len(values) == 1 else values


def iterate(query: Query) -> Iterator[dict[str, Any]]:
    """Iterate over the entities of a query as dicts.

    Blobs are unpacked, and files saved, one entity at a time; those of stores for as many as are
    read from stores at the same time.
    """
    names = query.heading.names
    decoders = _decoders(query, names, _PLAIN)
    size = _portion(query.heading, names)
    for rows in _stream(query, names, None):
        step = size or len(rows)
        for start in range(0, len(rows), step):
            yield from _dicts(_decoded_rows(rows[start : start + step], decoders), names)


def fetch_batches(
    query: Query, attrs: Sequence[Any], options: Options, size: int | None
) -> Iterator[list[dict[str, Any]]]:
    """Iterate over batches of entities; see :meth:`QueryExpression.fetch_batches`."""
    if size is not None and (isinstance(size, bool) or not isinstance(size, (int, np.integer))):
        raise TypeError(f"fetch_batches: size must be an integer, not {size!r}")
    if size is not None and size < 1:
        raise DataJointError(f"fetch_batches: size must be 1 or more, not {size}")
    names = select(query.heading, attrs)
    decoders = _decoders(query, names, options)
    if size is None and not options.lazy and _is_in_stores(query.heading, names):
        size = _together()  # the database does not tell how large the objects are
    return (
        _dicts(_decoded_rows(rows, decoders), names)
        for rows in _stream(query, names, None if size is None else min(int(size), _LARGEST_BATCH))
    )


def fetch_columns(
    query: Query, names: Sequence[str], options: Options
) -> Iterator[tuple[int, list[Column]]]:
    """Iterate over batches of decoded columns, each with the number of its rows."""
    decoders = _decoders(query, names, options)
    for rows in _stream(query, names, None):
        yield len(rows), _decoded_columns(rows, decoders)


def fetch_rows(query: Query, names: Sequence[str], options: Options = _PLAIN) -> list[Row]:
    """Fetch and decode attributes of a query as a list of tuples."""
    rows = query.connection.rows(_statement(query, names))
    rows = rows if names else [() for _ in rows]
    return _decoded_rows(rows, _decoders(query, names, options))


def _statement(query: Query, names: Sequence[str], relation: Relation | None = None) -> SQL:
    writer = Writer(query.connection.dialect)
    return writer.select(relation or query.relation, names, query.heading.types)


def _stream(query: Query, names: Sequence[str], size: int | None) -> Iterator[Sequence[Row]]:
    """Read a result batch by batch; values are as the database has them."""
    pace = Pace(size, first=1 if _is_heavy(query.heading, names) else 256)
    for rows in query.connection.stream(_statement(query, names), pace):
        yield rows if names else [() for _ in rows]


def _portion(heading: Heading, names: Sequence[str]) -> int | None:
    """Choose how many entities are decoded at once; None for as many as there are."""
    if _is_in_stores(heading, names):
        return _together()
    return 1 if _is_heavy(heading, names) else None


def _together() -> int:
    """Tell how many objects are read from stores at the same time."""
    return int(config["external.transfers"])


def _is_in_stores(heading: Heading, names: Iterable[str]) -> bool:
    return any(is_in_store(heading[name]) for name in names)


def _is_heavy(heading: Heading, names: Iterable[str]) -> bool:
    """Tell whether one entity may be as large as thousands of others."""
    types = (heading[name].attribute_type for name in names)
    return any(
        type_ is not None and (type_.is_opaque or type_.category == "json") for type_ in types
    )


def _decoded_rows(rows: Sequence[Row], decoders: Sequence[Decoder | None]) -> list[Row]:
    if not rows or not any(decoders):
        return rows if isinstance(rows, list) else list(rows)
    return list(zip(*_decoded_columns(rows, decoders), strict=True))


def _decoded_columns(rows: Sequence[Row], decoders: Sequence[Decoder | None]) -> list[Column]:
    return [
        column if decode is None else decode(column)
        for column, decode in zip(zip(*rows, strict=True), decoders, strict=True)
    ]


def _decoders(query: Query, names: Iterable[str], options: Options) -> list[Decoder | None]:
    return [
        column_decoder(query.connection, query.relation, query.heading[name], options)
        for name in names
    ]


def select(heading: Heading, attrs: Sequence[Any]) -> list[str]:
    """List the attributes to select, in the order of the arguments, each once; without any, all.

    Raises
    ------
    UnknownAttributeError
        When one is not in the heading.
    """
    if not attrs:
        return heading.names
    _check_names(heading, attrs)
    names = (heading.primary_key if is_key(attr) else (attr,) for attr in attrs)
    return list(dict.fromkeys(name for group in names for name in group))


def _check_names(heading: Heading, attrs: Iterable[Any]) -> None:
    for attr in attrs:
        if not is_key(attr) and not isinstance(attr, str):
            raise DataJointError(f"`fetch` takes names of attributes, not {attr!r}")
        if not is_key(attr) and attr not in heading:
            raise heading.unknown(str(attr), " of the query that is fetched")


def _nulls_as_nan(rows: list[Row], heading: Heading, names: Sequence[str]) -> list[Row]:
    """Replace the NULLs of floating-point attributes: existing code calculates with them."""
    floats = [i for i, name in enumerate(names) if heading[name].dtype == "float64"]
    if not any(row[i] is None for row in rows for i in floats):
        return rows
    columns = list(zip(*rows, strict=True))
    for i in floats:
        columns[i] = tuple(math.nan if value is None else value for value in columns[i])
    return list(zip(*columns, strict=True))


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
    return as_array([row[position] for row in rows], heading[attr].dtype)


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
        name: as_array(list(column), heading[name].dtype)
        for name, column in zip(names, values, strict=True)
    }
    array = np.empty(len(rows), dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        array[name] = column
    return array
