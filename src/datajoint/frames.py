"""Arrow tables and data frames of Polars, whose columns have the types of the attributes.

A table is made batch by batch, column by column. Manual 8.3.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal as Number
from typing import Any

import numpy as np

from .decoding import Column, Options
from .errors import DataJointError
from .fetch import Query, fetch_columns, select
from .heading import Attribute
from .types import AttributeType, Decimal, Enum, Float, Integer

Convert = Callable[[Any], Any]
_MAX_DIGITS = 38


def to_arrow(query: Query, attrs: Sequence[Any], options: Options) -> Any:
    """Fetch an Arrow table; see :meth:`QueryExpression.to_arrow`."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise _missing("to_arrow", "pyarrow") from error
    names = select(query.heading, attrs)
    columns = [_column(pa, query.heading[name]) for name in names]
    for _, batch in fetch_columns(query, names, options):
        for column, values in zip(columns, batch, strict=True):
            column.add(values)
    arrays = [column.finish() for column in columns]
    return pa.table(arrays, names=names)


def to_polars(query: Query, attrs: Sequence[Any], options: Options) -> Any:
    """Fetch a data frame of Polars; see :meth:`QueryExpression.to_polars`."""
    try:
        import polars as pl
    except ModuleNotFoundError as error:
        raise _missing("to_polars", "polars") from error
    frame = pl.DataFrame(_narrowed(to_arrow(query, attrs, options)))
    enums = {
        name: attribute.attribute_type.members
        for name, attribute in query.heading.attributes.items()
        if name in frame.columns
        and attribute.expression is None
        and isinstance(attribute.attribute_type, Enum)
    }
    return frame.with_columns(
        pl.col(name).cast(pl.Enum(members)) for name, members in enums.items()
    )


def _narrowed(table: Any) -> Any:
    """Give decimals at most the 38 digits that Polars has."""
    import pyarrow as pa

    for i, field in enumerate(table.schema):
        if pa.types.is_decimal256(field.type):
            narrow = pa.decimal128(_MAX_DIGITS, field.type.scale)
            try:
                table = table.set_column(i, field.name, table.column(i).cast(narrow))
            except pa.ArrowException as error:
                raise DataJointError(
                    f"`{field.name}` has values with more than the {_MAX_DIGITS} digits that "
                    "Polars holds; fetch them by `to_arrow()`"
                ) from error
    return table


def _missing(method: str, package: str) -> DataJointError:
    return DataJointError(
        f"{method} needs {package}, which is not installed; run `pip install 'datajoint[arrow]'`"
    )


def _column(pa: Any, attribute: Attribute) -> _Typed | _Inferred:
    """Choose how the column of an attribute is made."""
    type_ = attribute.attribute_type
    if type_ is None or attribute.expression is not None or type_.is_blob:
        return _Inferred(pa, attribute)
    if type_.category in _TYPES:
        return _Typed(pa, attribute, type_)
    return _Inferred(pa, attribute)


# -- columns whose type is that of the attribute --------------------------------------------------


class _Typed:
    """The column of an attribute that the table has."""

    def __init__(self, pa: Any, attribute: Attribute, type_: AttributeType) -> None:
        self._pa = pa
        self._attribute = attribute
        make, self._convert = _TYPES[type_.category]
        self._type = make(pa, type_)
        self._members: Any = None
        if isinstance(type_, Enum):
            self._members = pa.array(type_.members, pa.string())
            self._convert = {member: i for i, member in enumerate(type_.members)}.__getitem__
        self._chunks: list[Any] = []

    def add(self, values: Column) -> None:
        if self._convert is not None:
            values = [None if value is None else self._converted(value) for value in values]
        try:
            self._chunks.append(self._array(values))
        except (self._pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise self._unfit(str(error)) from error

    def _array(self, values: Column) -> Any:
        pa = self._pa
        if self._members is None:
            return pa.array(values, self._type)
        return pa.DictionaryArray.from_arrays(
            pa.array(values, self._type.index_type), self._members
        )

    def _converted(self, value: Any) -> Any:
        assert self._convert is not None
        try:
            return self._convert(value)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unfit(f"there is {value!r}") from error

    def _unfit(self, why: str) -> DataJointError:
        return DataJointError(
            f"`{self._attribute.name}` of type `{self._attribute.type}` has values that its type "
            f"does not admit ({why}); fetch them by `to_dicts()`"
        )

    def finish(self) -> Any:
        return self._pa.chunked_array(self._chunks, self._type)


def _integer(pa: Any, type_: Integer) -> Any:
    bits = next(b for b in (8, 16, 32, 64) if type_.high - type_.low < 2**b)
    return getattr(pa, f"{'uint' if type_.low == 0 else 'int'}{bits}")()


def _decimal(pa: Any, type_: Decimal) -> Any:
    make = pa.decimal128 if type_.precision <= _MAX_DIGITS else pa.decimal256
    return make(type_.precision, type_.scale)


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError
    return bool(value)


def _text(pa: Any, type_: AttributeType) -> Any:
    return pa.string()


def _document(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _moment(pa: Any, type_: AttributeType) -> Any:
    return pa.timestamp("us")


#: Category of types → the type of the column, and what makes its values.
_TYPES: dict[str, tuple[Callable[[Any, Any], Any], Convert | None]] = {
    "integer": (_integer, None),
    "bool": (lambda pa, type_: pa.bool_(), _truth),
    "year": (lambda pa, type_: pa.int16(), None),
    "float": (lambda pa, type_: pa.float32() if type_.single else pa.float64(), None),
    "decimal": (_decimal, None),
    "string": (_text, None),
    "enum": (lambda pa, type_: pa.dictionary(pa.int32(), pa.string()), None),
    "date": (lambda pa, type_: pa.date32(), None),
    "datetime": (_moment, None),
    "timestamp": (_moment, None),
    "time": (lambda pa, type_: pa.duration("us"), None),
    "uuid": (_text, str),
    "json": (_text, _document),
    "attachment": (_text, str),
    "external": (_text, str),  # paths of files
}


# -- columns whose type is found from the values --------------------------------------------------


class _Inferred:
    """The column of blobs, of values of an adapter, or of computed values."""

    def __init__(self, pa: Any, attribute: Attribute) -> None:
        self._pa = pa
        self._attribute = attribute
        self._batches: list[Column] = []

    def add(self, values: Column) -> None:
        self._batches.append(values)

    def finish(self) -> Any:
        pa, present = self._pa, [v for batch in self._batches for v in batch if v is not None]
        type_, convert = self._inferred(present)
        try:
            if type_ is None:
                type_ = pa.array(present).type
            chunks = [
                pa.array([None if v is None else convert(v) for v in batch], type_)
                for batch in self._batches
            ]
            return pa.chunked_array(chunks, type_)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise self._unfit(present) from error

    def _inferred(self, present: list[Any]) -> tuple[Any, Convert]:
        """Choose the type of the column, None where Arrow finds it, and what makes its values."""
        pa, attribute = self._pa, self._attribute
        if not present:
            return self._of_nothing(), _same
        if all(isinstance(value, (bytes, bytearray, memoryview)) for value in present):
            return pa.binary(), bytes
        if all(map(_is_vector, present)) and len({value.dtype for value in present}) == 1:
            return pa.list_(pa.from_numpy_dtype(present[0].dtype)), _same
        if attribute.is_blob and attribute.adapter is None:
            raise self._unfit(present)
        if attribute.expression is None:
            return None, _same
        return self._of_computed(present)

    def _of_nothing(self) -> Any:
        pa, type_ = self._pa, self._attribute.attribute_type
        if self._attribute.is_blob:
            return pa.binary()
        if isinstance(type_, Float):
            return pa.float64()
        if isinstance(type_, Integer):
            return pa.int64()
        known = type_ is not None and type_.category in _TYPES and not isinstance(type_, Enum)
        return _TYPES[type_.category][0](pa, type_) if known and type_ else pa.null()

    def _of_computed(self, present: list[Any]) -> tuple[Any, Convert]:
        """Choose the type of computed values: databases differ in what a sum or an average is."""
        pa, type_ = self._pa, self._attribute.attribute_type
        if isinstance(type_, Decimal) and all(isinstance(value, Number) for value in present):
            scale = max(-int(value.as_tuple().exponent) for value in present)
            return pa.decimal128(_MAX_DIGITS, max(scale, type_.scale)), _same
        if all(isinstance(value, (int, float, Number)) for value in present):
            whole = all(isinstance(v, int) or _is_whole(v) for v in present)
            return (pa.int64(), int) if whole else (pa.float64(), float)
        category = type_.category if type_ is not None else ""
        return None, _document if category == "json" else str if category == "uuid" else _same

    def _unfit(self, present: list[Any]) -> DataJointError:
        kinds = ", ".join(dict.fromkeys(map(_kind, present)))
        blobs = ": of blobs it takes bytes alone, or 1-D arrays of numbers of one dtype"
        return DataJointError(
            f"`{self._attribute.name}` has values that no column of a table holds ({kinds})"
            f"{blobs if self._attribute.is_blob else ''}. Leave the attribute out, or fetch by "
            "`to_dicts()`"
        )


def _same(value: Any) -> Any:
    return value


def _is_whole(value: Any) -> bool:
    """Tell whether a decimal is an integer in its form."""
    return isinstance(value, Number) and int(value.as_tuple().exponent) >= 0


def _is_vector(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biuf"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.ndim}-D array of {value.dtype}"
    return type(value).__name__
