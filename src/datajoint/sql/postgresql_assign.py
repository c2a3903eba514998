"""The SQL of PostgreSQL: values brought from one attribute type to another.

What Python makes of a value (:func:`datajoint.alter.brought`) is what comes out. What a type does
not admit is an error: a text that is too long is never cut off, as an explicit cast would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..types import AttributeType, Bool, DateTime, Enum, Float, Integer, String, Time, Year
from .dialect import Storage
from .text import literal

_EXACT = 'COLLATE "C"'
_UNICODE = 'COLLATE "und-x-icu"'
#: A moment before all others: what is counted from it is rounded upwards, as everywhere.
_FIRST = "TIMESTAMP '0001-01-01'"
_IN_UTC = " AT TIME ZONE 'UTC'"
_NUMBERS = ("integer", "bool", "year", "float", "decimal")


def assigned(
    column: str,
    source: AttributeType | None,
    type_: AttributeType | None,
    storage: Mapping[str, Storage],
) -> str:
    """Write a value of one type, or of an unknown one, as one of another.

    Parameters
    ----------
    column : str
        The SQL of the value.
    source, type_ : AttributeType or None
        What it is, and what it is to be.
    storage : mapping
        How types are declared.
    """
    if type_ is None or type_.category in ("blob", "attachment", "other"):
        return column
    category = "" if source is None else source.category
    if isinstance(type_, Enum):
        return _member(_text(column, source), type_)
    if isinstance(type_, String):
        text = _text(column, source)
        return f"rtrim({text}, ' ')" if type_.fixed else text
    declaration = storage[type_.category].declaration(type_)
    if type_.category in _NUMBERS and (category in _NUMBERS or _is_text(source)):
        return _NUMBER_WRITERS.get(type_.category, _cast)(column, source, type_, declaration)
    if isinstance(type_, Bool):
        return f"CAST(CAST({column} AS integer) AS boolean)"
    if category == "bool":
        column = f"CAST({column} AS integer)"
    if _is_text(source) and type_.category == "time":
        return f"CAST({_duration(column)} AS {declaration})"
    if _is_text(source) and type_.temporal:
        column = _moment(column)
    if isinstance(type_, DateTime):
        return _rounded(column, source, type_, declaration)
    if isinstance(source, Time) and isinstance(type_, Time):
        column = _since_midnight(column)
    return f"CAST({column} AS {declaration})"


def _is_text(source: AttributeType | None) -> bool:
    return source is not None and source.is_string


# -- texts ----------------------------------------------------------------------------------------


def _text(column: str, source: AttributeType | None) -> str:
    """Write a value as a text."""
    digits: int = getattr(source, "digits", 0)
    write = _TEXT_WRITERS.get("" if source is None else source.category)
    return f"CAST({column} AS text)" if write is None else write(column, digits)


def _float_text(column: str, digits: int) -> str:
    """Write a number with an exponent where Python does."""
    text = f"CAST({column} AS text)"
    plain = f"abs({column}) >= 1e-4 AND abs({column}) < 1e16"
    return (
        f"CASE WHEN {column} = 0 THEN '0' "  # no negative one
        f"WHEN {plain} THEN CAST(CAST({text} AS numeric) AS text) ELSE {text} END"
    )


def _moment_text(column: str, digits: int) -> str:
    fraction = f".FF{digits}" if digits else ""
    return f"to_char(CAST({column} AS timestamp), 'YYYY-MM-DD HH24:MI:SS{fraction}')"


def _duration_text(column: str, digits: int) -> str:
    """Write hours, of which there can be more than a day has, minutes and seconds."""
    negative = f"{column} < CAST('0' AS interval)"
    positive = _since_midnight(f"CASE WHEN {negative} THEN -{column} ELSE {column} END")
    fraction = f".FF{digits}" if digits else ""
    return (
        f"CASE WHEN {negative} THEN '-' ELSE '' END || to_char({positive}, 'HH24:MI:SS{fraction}')"
    )


_TEXT_WRITERS: Mapping[str, Callable[[str, int], str]] = {
    "bool": lambda column, digits: f"CAST(CAST({column} AS integer) AS text)",
    "float": _float_text,
    "year": lambda column, digits: f"to_char({column}, 'FM0000')",
    "date": lambda column, digits: f"to_char(CAST({column} AS date), 'YYYY-MM-DD')",
    "datetime": _moment_text,
    "timestamp": _moment_text,
    "time": _duration_text,
}


def _member(text: str, type_: Enum) -> str:
    """Spell a member of an enum as that does; what is none stays as it is, and is refused."""
    folded = f"lower({text} {_UNICODE}) {_EXACT}"
    cases = " ".join(
        f"WHEN {literal(member.lower())} THEN {literal(member)}" for member in type_.members
    )
    return f"CASE {folded} {cases} ELSE {text} END"


# -- numbers --------------------------------------------------------------------------------------


def _number(column: str, source: AttributeType | None) -> str:
    """Write a number, or a text that is one, so that it is rounded by its decimal digits."""
    if source is not None and (source.is_string or source.category == "float"):
        return f"CAST(CAST({column} AS text) AS numeric)"
    return f"CAST({column} AS integer)" if isinstance(source, Bool) else column


def _whole(column: str, source: AttributeType | None) -> str:
    """Write a number that is rounded to an integer; large ones have none but binary digits."""
    number = f"round({_number(column, source)}, 0)"
    if not isinstance(source, Float):
        return number
    double = f"CAST(CAST({column} AS text) AS double precision)"  # of no other digits
    large = f"CAST(CAST({double} / 2 AS bigint) AS numeric) * 2"
    return f"CASE WHEN abs({column}) < {2**53} THEN {number} ELSE {large} END"


def _integer(column: str, source: AttributeType | None, type_: AttributeType, sql: str) -> str:
    if isinstance(source, Integer):
        return f"CAST({_number(column, source)} AS {sql})"
    return f"CAST({_whole(column, source)} AS {sql})"


def _bool(column: str, source: AttributeType | None, type_: AttributeType, sql: str) -> str:
    """Make truth of 0 and 1, which as texts are read so; all else is an error."""
    if isinstance(source, Bool):
        return f"CAST(CAST({column} AS integer) AS boolean)"
    number = f"CAST({_whole(column, source)} AS text)"
    if _is_text(source):
        word = f"lower(CAST({column} AS text) {_UNICODE}) {_EXACT}"
        number = f"CASE WHEN {word} IN ('true', 'false') THEN {word} ELSE {number} END"
    return f"CAST({number} AS boolean)"


def _year(column: str, source: AttributeType | None, type_: AttributeType, sql: str) -> str:
    """Add the century to a year of two digits."""
    if isinstance(source, Year):
        return column
    year = f"CAST({_whole(column, source)} AS smallint)"
    cases = f"WHEN {year} BETWEEN 1 AND 69 THEN 2000 WHEN {year} BETWEEN 70 AND 99 THEN 1900"
    if _is_text(source):
        short = f"length(btrim(CAST({column} AS text), E' \\t\\n\\r')) <= 2"
        cases += f" WHEN {year} = 0 AND {short} THEN 2000"
    return f"CAST({year} + CASE {cases} ELSE 0 END AS {sql})"


def _float(column: str, source: AttributeType | None, type_: AttributeType, sql: str) -> str:
    number = f"CAST({_number(column, source)} AS double precision)"
    return number if sql == "double precision" else f"CAST({number} AS {sql})"


def _cast(column: str, source: AttributeType | None, type_: AttributeType, sql: str) -> str:
    return f"CAST({_number(column, source)} AS {sql})"


_NUMBER_WRITERS = {"integer": _integer, "bool": _bool, "year": _year, "float": _float}


# -- dates and times ------------------------------------------------------------------------------


def _moment(column: str) -> str:
    """Write a text with a date so that PostgreSQL reads it, whatever stands between its parts."""
    dashed = (
        f"regexp_replace(CAST({column} AS text) {_EXACT}, "
        r"'^\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ T]\s*)?', '\1-\2-\3 ')"
    )
    spaced = (
        f"regexp_replace({dashed}, "
        r"'^\s*(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)', '\1-\2-\3 \4:\5:\6')"
    )
    return f"CAST({spaced} AS timestamp)"


def _duration(column: str) -> str:
    """Write a text as a time: a sign before it is that of its days and its hours."""
    text = f"CAST({column} AS text) {_EXACT}"
    positive = f"CAST(ltrim({text}, E' \\t\\n\\r-') AS interval)"
    return f"CASE WHEN {text} ~ '^\\s*-' THEN -{positive} ELSE {positive} END"


def _since_midnight(column: str) -> str:
    """Write a time without days, whose hours could have another sign."""
    return f"make_interval(secs => CAST(EXTRACT(EPOCH FROM {column}) AS double precision))"


def _rounded(column: str, source: AttributeType | None, type_: DateTime, sql: str) -> str:
    """Write a moment with so many digits of the second, halves rounded upwards."""
    digits = 6 if _is_text(source) else getattr(source, "digits", 0)
    if digits <= type_.digits:
        return f"CAST({column} AS {sql})"
    zoned = source is not None and source.category == "timestamp"
    if zoned:  # without the hours that a change of the clocks adds or takes
        column = f"CAST({column} AS timestamp with time zone){_IN_UTC}"
    rounded = f"{_FIRST} + CAST({column} - {_FIRST} AS interval({type_.digits}))"
    return f"CAST(({rounded}){_IN_UTC if zoned else ''} AS {sql})"
