"""The SQL of PostgreSQL: kinds of values in fragments, and how one is written as another.

Texts have a collation of DataJoint's own, which the backend creates: it compares without regard to
case and accents, as MySQL does. Such a collation serves comparisons and orders, but neither LIKE
nor regular expressions nor searches in texts, which are written with another one.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.generators.postgres import PostgresGenerator

from ..grammar import parse_type
from ..types import AttributeType, Float, to_datetime
from .fragment import compared_with, constant_text
from .inference import infer

#: The collation of texts, created by the backend: ICU's root collation at its first level, which
#: is not deterministic.
TEXT_COLLATION = '"datajoint"."text"'
TEXT_COLLATION_OPTIONS = "provider = icu, locale = 'und-u-ks-level1', deterministic = false"


class FragmentGenerator(PostgresGenerator):
    """What writes a parsed fragment, with what is known of its attributes and its place."""

    attribute_types: Mapping[str, AttributeType | None]
    condition: bool


#: Writes a node of a parsed fragment.
Writer = Callable[[FragmentGenerator, Any], str]

COLLATE_TEXT = f"COLLATE {TEXT_COLLATION}"
#: For what looks into texts and ignores case.
_COLLATE_ICU = 'COLLATE "und-x-icu"'
_COLLATE_EXACT = 'COLLATE "C"'

KINDS = {
    **dict.fromkeys(("integer", "bool", "year", "float", "decimal"), "number"),
    **dict.fromkeys(("string", "enum"), "text"),
    **dict.fromkeys(("datetime", "timestamp"), "moment"),
    "date": "date",
    "time": "time",
}
#: Sign and digits of the number that a text begins with; PostgreSQL reads the pattern alike.
_LEADING_NUMBER = r"^\s*([-+]?)((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)?.*$"
_DATE_AT_START = r"^\s*\d{4}-\d{1,2}-\d{1,2}(?:[ T]\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?)?"
_TIME_AT_START = r"^\s*(?:\d{4}-\d{1,2}-\d{1,2}[ T])?(-?\d{1,3}:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?)"
_TIME = parse_type("time(6)")


def type_of(g: FragmentGenerator, node: exp.Expr) -> AttributeType | None:
    """Infer the type of a value."""
    return infer(node, g.attribute_types)


def kind_of(g: FragmentGenerator, node: exp.Expr) -> str:
    """Tell what MySQL takes a value for; "" when unknown."""
    type_ = type_of(g, node)
    return "" if type_ is None else KINDS.get(type_.category, "")


def is_string(node: exp.Expr) -> bool:
    """Tell whether a node is a text between quotes."""
    return isinstance(node, exp.Literal) and bool(node.is_string)


def enclosed(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a node so that an operator can follow."""
    text = g.sql(node)
    return text if isinstance(node, (exp.Column, exp.Literal, exp.Paren)) else f"({text})"


def leading_number(text: str) -> decimal.Decimal:
    """Read the number that a text begins with, or zero."""
    match = re.match(_LEADING_NUMBER, text, re.ASCII | re.DOTALL)
    sign, digits = match.groups() if match else ("", "")
    return decimal.Decimal(f"{sign}0{digits or ''}")


def read_moment(text: str) -> dt.datetime | None:
    """Read a date or a datetime; None when a text is neither."""
    try:
        return to_datetime(text)
    except ValueError:
        return None


def read_duration(text: str) -> dt.timedelta | None:
    """Read a time; None when a text is none."""
    try:
        duration: dt.timedelta = _TIME.encode(text)
    except ValueError:
        return None
    return duration


def _moment_literal(moment: dt.datetime | None) -> str:
    return "CAST(NULL AS timestamp)" if moment is None else f"TIMESTAMP '{moment}'"


def _duration_literal(duration: dt.timedelta | None) -> str:
    if duration is None:
        return "CAST(NULL AS interval)"
    return f"INTERVAL '{duration // dt.timedelta(microseconds=1)} microseconds'"


def _is_encoded(g: FragmentGenerator, node: exp.Expr, *kinds: str) -> bool:
    """Tell whether a string is bound as a value of another kind: of what it is compared with."""
    if not isinstance(node, exp.Literal):
        return False
    other = compared_with(node, g.attribute_types)
    return other is not None and KINDS.get(other.category) in kinds


def as_number(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as a number: that which a text begins with, the digits of a date."""
    text, kind, type_ = g.sql(node), kind_of(g, node), type_of(g, node)
    constant = constant_text(node)
    if isinstance(node, exp.Null):
        return "CAST(NULL AS numeric)"
    if constant is not None:
        return format(leading_number(constant), "f")
    if kind == "text" and not _is_encoded(g, node, "number"):
        digits = f"regexp_replace({enclosed(g, node)} {_COLLATE_EXACT}, '{_LEADING_NUMBER}', "
        return f"CAST({digits}'\\10\\2') AS double precision)"
    if kind == "date":
        return f"CAST(to_char({text}, 'YYYYMMDD') AS bigint)"
    if kind == "moment":
        if getattr(type_, "digits", 0):
            return f"CAST(to_char({text}, 'YYYYMMDDHH24MISS.US') AS numeric)"
        return f"CAST(to_char({text}, 'YYYYMMDDHH24MISS') AS bigint)"
    if kind == "time":
        return f"CAST(replace({as_text(g, node)}, ':', '') AS numeric)"
    if isinstance(node, exp.Column) and isinstance(type_, Float) and type_.single:
        return f"CAST({text} AS double precision)"
    return text


def as_integer(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as an integer."""
    number = as_number(g, node)
    return number if number.isdigit() else f"CAST({number} AS integer)"


def as_double(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as a number of double precision."""
    return f"CAST({as_number(g, node)} AS double precision)"


def as_numeric(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as a decimal."""
    return f"CAST({as_number(g, node)} AS numeric)"


def as_text(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as MySQL prints it."""
    text, kind = g.sql(node), kind_of(g, node)
    digits = getattr(type_of(g, node), "digits", 0)
    if kind == "text" or isinstance(node, exp.Null):
        return text
    if kind == "moment" and digits:
        return f"left(to_char({text}, 'YYYY-MM-DD HH24:MI:SS.US'), {20 + digits})"
    if kind == "time":
        seconds = f"CAST(EXTRACT(EPOCH FROM {text}) AS double precision)"
        return f"CAST(make_interval(secs => {seconds}) AS text)"
    return f"CAST({text} AS text)"


def _with_collation(collate: str) -> Writer:
    def write(g: FragmentGenerator, node: exp.Expr) -> str:
        text = as_text(g, node)
        simple = isinstance(node, (exp.Column, exp.Literal)) and kind_of(g, node) == "text"
        return f"{text} {collate}" if simple else f"({text}) {collate}"

    return write


comparing = _with_collation(COLLATE_TEXT)
searched = _with_collation(_COLLATE_ICU)
exactly = _with_collation(_COLLATE_EXACT)


def _matched(g: FragmentGenerator, node: exp.Expr, pattern: str) -> str:
    """Take the part of a text that PostgreSQL reads without an error, or NULL."""
    return (
        as_text(g, node)
        if isinstance(node, exp.Literal)
        else (f"substring({exactly(g, node)} FROM '{pattern}')")
    )


def as_moment(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as a date with a time."""
    kind, constant = kind_of(g, node), constant_text(node)
    if constant is not None:
        return _moment_literal(read_moment(constant))
    if kind == "moment" or _is_encoded(g, node, "date", "moment"):
        return g.sql(node)
    if kind == "time":
        return f"(CURRENT_DATE + {enclosed(g, node)})"
    text = _matched(g, node, _DATE_AT_START) if kind == "text" else g.sql(node)
    return f"CAST({f'CAST({text} AS text)' if kind == 'number' else text} AS timestamp)"


def as_date(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as a date."""
    if constant_text(node) == "0000-01-01":  # in what the parser makes of to_days()
        return "DATE '0001-01-02 BC'"
    return g.sql(node) if kind_of(g, node) == "date" else f"CAST({as_moment(g, node)} AS date)"


def as_duration(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as a time, which on MySQL is a duration."""
    kind, constant = kind_of(g, node), constant_text(node)
    if constant is not None:
        duration = read_duration(constant)
        moment = read_moment(constant) if duration is None else None
        if moment is not None:
            duration = moment - dt.datetime.combine(moment.date(), dt.time())
        return _duration_literal(duration)
    if kind == "time" or _is_encoded(g, node, "time"):
        return g.sql(node)
    if kind in ("date", "moment"):
        return f"CAST(CAST({as_moment(g, node)} AS time) AS interval)"
    return f"CAST({_matched(g, node, _TIME_AT_START)} AS interval)"


def is_duration(g: FragmentGenerator, node: exp.Expr) -> bool:
    """Tell whether a value is a time, or a text that may be one."""
    constant = constant_text(node)
    if constant is not None:
        return read_moment(constant) is None
    return kind_of(g, node) in ("time", "text")


# -- templates ------------------------------------------------------------------------------------

#: What a place in a template may ask for.
_COERCIONS: Mapping[str, Writer] = {
    "sql": lambda g, node: g.sql(node),
    "number": as_number,
    "integer": as_integer,
    "double": as_double,
    "numeric": as_numeric,
    "text": as_text,
    "comparing": comparing,
    "searched": searched,
    "exactly": exactly,
    "moment": as_moment,
    "date": as_date,
    "duration": as_duration,
}


@dataclass(frozen=True)
class _Argument:
    """An argument of a function, formatted as a value of some kind."""

    generator: FragmentGenerator
    node: Any

    def __format__(self, kind: str) -> str:
        return _COERCIONS[kind](self.generator, self.node)


def from_template(text: str) -> Writer:
    """Fill a template with the arguments of a node, by position or by key."""

    def write(g: FragmentGenerator, node: Any) -> str:
        named = {key: _Argument(g, argument) for key, argument in node.args.items()}
        return text.format(*(_Argument(g, argument) for argument in node.expressions), **named)

    return write
