"""The SQL of PostgreSQL: how types are stored and enforced, and how fragments are written.

Texts have a collation of DataJoint's own, which the backend creates: it compares without regard to
case and accents, as MySQL does. Such a collation serves comparisons and orders, but neither LIKE
nor regular expressions nor searches in texts, which are written with another one.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel
from sqlglot.generators.postgres import PostgresGenerator

from ..types import AttributeType, Blob, Enum, Float, Integer, String, parse_type, to_datetime
from .dialect import Dialect, Storage
from .fragment import COMPARISONS, compared_with, constant_text, infer
from .text import SQL, Param, join, literal

# -- types ----------------------------------------------------------------------------------------

#: The collation of texts, created by the backend: ICU's root collation at its first level, which
#: is not deterministic.
TEXT_COLLATION = '"datajoint"."text"'
TEXT_COLLATION_OPTIONS = "provider = icu, locale = 'und-u-ks-level1', deterministic = false"

_NATIVE_INTEGERS = tuple(
    (name, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for name, bits in (("smallint", 16), ("integer", 32), ("bigint", 64))
)


def _native_integer(type_: Integer) -> tuple[str, int, int]:
    """Find the smallest native type that holds the range, with its own range."""
    for name, low, high in _NATIVE_INTEGERS:
        if low <= type_.low and type_.high <= high:
            return name, low, high
    return "numeric(20)", -(10**20), 10**20


def _integer_check(type_: Integer, column: str) -> str:
    _, low, high = _native_integer(type_)
    exact = (low, high) == (type_.low, type_.high)
    return "" if exact else f"{column} BETWEEN {type_.low} AND {type_.high}"


def _integer_decoder(type_: Integer) -> Callable[[Any], Any] | None:
    """Make integers of decimals, which the widest integers and the sums of bigint come as."""
    return _whole if max(-type_.low, type_.high) > 2**32 else None


def _whole(value: Any) -> Any:
    if type(value) is decimal.Decimal and value == value.to_integral_value():
        return int(value)
    return value


def _float_check(type_: Float, column: str) -> str:
    low = ">= 0" if type_.unsigned else "> '-Infinity'"
    return f"{column} < 'Infinity' AND {column} {low}"  # NaN is the greatest


def _encode_float(value: float, type_: Float) -> float:
    """Give all digits of a number of single precision, so that the stored one equals it."""
    if not type_.single:
        return value
    single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return single


def _string_declaration(type_: String) -> str:
    return f"varchar({max(1, type_.length)}) COLLATE {TEXT_COLLATION}"


def _enum_check(type_: Enum, column: str) -> str:
    return f'{column} COLLATE "C" IN ({", ".join(map(literal, type_.members))})'


def _blob_check(type_: Blob, column: str) -> str:
    unlimited = type_.size >= 2**30  # which is more than a value can have
    return "" if unlimited else f"octet_length({column}) <= {type_.size}"


def _decode_timestamp(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=None)


STORAGE: Mapping[str, Storage] = {
    "integer": Storage(
        lambda type_: _native_integer(type_)[0], _integer_check, decoder=_integer_decoder
    ),
    "bool": Storage(
        lambda type_: "boolean", encode=lambda value, type_: bool(value), decoder=lambda type_: int
    ),
    "year": Storage(
        lambda type_: "smallint",
        lambda type_, column: f"{column} = 0 OR {column} BETWEEN 1901 AND 2155",
    ),
    "float": Storage(
        lambda type_: "real" if type_.single else "double precision", _float_check, _encode_float
    ),
    "decimal": Storage(
        lambda type_: f"numeric({type_.precision},{type_.scale})",
        lambda type_, column: f"{column} >= 0" if type_.unsigned else "",
    ),
    "string": Storage(
        _string_declaration,
        lambda type_, column: "" if type_.length else f"{column} COLLATE \"C\" = ''",
    ),
    "enum": Storage(lambda type_: f"varchar COLLATE {TEXT_COLLATION}", _enum_check),
    "date": Storage(lambda type_: "date"),
    "datetime": Storage(lambda type_: f"timestamp({type_.digits})"),
    "timestamp": Storage(
        lambda type_: f"timestamp({type_.digits}) with time zone",
        decoder=lambda type_: _decode_timestamp,
    ),
    "time": Storage(
        lambda type_: f"interval({type_.digits})",
        lambda type_, column: f"{column} BETWEEN '-838:59:59' AND '838:59:59'",
    ),
    "uuid": Storage(lambda type_: "uuid"),
    "blob": Storage(lambda type_: "bytea", _blob_check),
}


# -- fragments: kinds of values -------------------------------------------------------------------

#: Writes a node of a parsed fragment.
Writer = Callable[["FragmentGenerator", Any], str]

_COLLATE_TEXT = f"COLLATE {TEXT_COLLATION}"
#: For what looks into texts and ignores case.
_COLLATE_ICU = 'COLLATE "und-x-icu"'
_COLLATE_EXACT = 'COLLATE "C"'

_KINDS = {
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


def _type(g: FragmentGenerator, node: exp.Expr) -> AttributeType | None:
    return infer(node, g.attribute_types)


def _kind(g: FragmentGenerator, node: exp.Expr) -> str:
    """Tell what MySQL takes a value for; "" when unknown."""
    type_ = _type(g, node)
    return "" if type_ is None else _KINDS.get(type_.category, "")


def _is_string(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _enclosed(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a node so that an operator can follow."""
    text = g.sql(node)
    return text if isinstance(node, (exp.Column, exp.Literal, exp.Paren)) else f"({text})"


def _leading_number(text: str) -> decimal.Decimal:
    match = re.match(_LEADING_NUMBER, text, re.ASCII | re.DOTALL)
    sign, digits = match.groups() if match else ("", "")
    return decimal.Decimal(f"{sign}0{digits or ''}")


def _read_moment(text: str) -> dt.datetime | None:
    try:
        return to_datetime(text)
    except ValueError:
        return None


def _read_duration(text: str) -> dt.timedelta | None:
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
    return other is not None and _KINDS.get(other.category) in kinds


def _number(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as a number: that which a text begins with, the digits of a date."""
    text, kind, type_ = g.sql(node), _kind(g, node), _type(g, node)
    constant = constant_text(node)
    if isinstance(node, exp.Null):
        return "CAST(NULL AS numeric)"
    if constant is not None:
        return format(_leading_number(constant), "f")
    if kind == "text" and not _is_encoded(g, node, "number"):
        digits = f"regexp_replace({_enclosed(g, node)} {_COLLATE_EXACT}, '{_LEADING_NUMBER}', "
        return f"CAST({digits}'\\10\\2') AS double precision)"
    if kind == "date":
        return f"CAST(to_char({text}, 'YYYYMMDD') AS bigint)"
    if kind == "moment":
        if getattr(type_, "digits", 0):
            return f"CAST(to_char({text}, 'YYYYMMDDHH24MISS.US') AS numeric)"
        return f"CAST(to_char({text}, 'YYYYMMDDHH24MISS') AS bigint)"
    if kind == "time":
        return f"CAST(replace({_text(g, node)}, ':', '') AS numeric)"
    if isinstance(node, exp.Column) and isinstance(type_, Float) and type_.single:
        return f"CAST({text} AS double precision)"
    return text


def _integer(g: FragmentGenerator, node: exp.Expr) -> str:
    number = _number(g, node)
    return number if number.isdigit() else f"CAST({number} AS integer)"


def _double(g: FragmentGenerator, node: exp.Expr) -> str:
    return f"CAST({_number(g, node)} AS double precision)"


def _numeric(g: FragmentGenerator, node: exp.Expr) -> str:
    return f"CAST({_number(g, node)} AS numeric)"


def _text(g: FragmentGenerator, node: exp.Expr) -> str:
    """Write a value as MySQL prints it."""
    text, kind = g.sql(node), _kind(g, node)
    digits = getattr(_type(g, node), "digits", 0)
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
        text = _text(g, node)
        simple = isinstance(node, (exp.Column, exp.Literal)) and _kind(g, node) == "text"
        return f"{text} {collate}" if simple else f"({text}) {collate}"

    return write


_comparing = _with_collation(_COLLATE_TEXT)
_searched = _with_collation(_COLLATE_ICU)
_exactly = _with_collation(_COLLATE_EXACT)


def _matched(g: FragmentGenerator, node: exp.Expr, pattern: str) -> str:
    """Take the part of a text that PostgreSQL reads without an error, or NULL."""
    return (
        _text(g, node)
        if isinstance(node, exp.Literal)
        else (f"substring({_exactly(g, node)} FROM '{pattern}')")
    )


def _moment(g: FragmentGenerator, node: exp.Expr) -> str:
    kind, constant = _kind(g, node), constant_text(node)
    if constant is not None:
        return _moment_literal(_read_moment(constant))
    if kind == "moment" or _is_encoded(g, node, "date", "moment"):
        return g.sql(node)
    if kind == "time":
        return f"(CURRENT_DATE + {_enclosed(g, node)})"
    text = _matched(g, node, _DATE_AT_START) if kind == "text" else g.sql(node)
    return f"CAST({f'CAST({text} AS text)' if kind == 'number' else text} AS timestamp)"


def _date(g: FragmentGenerator, node: exp.Expr) -> str:
    if constant_text(node) == "0000-01-01":  # in what the parser makes of to_days()
        return "DATE '0001-01-02 BC'"
    return g.sql(node) if _kind(g, node) == "date" else f"CAST({_moment(g, node)} AS date)"


def _duration(g: FragmentGenerator, node: exp.Expr) -> str:
    kind, constant = _kind(g, node), constant_text(node)
    if constant is not None:
        duration = _read_duration(constant)
        moment = _read_moment(constant) if duration is None else None
        if moment is not None:
            duration = moment - dt.datetime.combine(moment.date(), dt.time())
        return _duration_literal(duration)
    if kind == "time" or _is_encoded(g, node, "time"):
        return g.sql(node)
    if kind in ("date", "moment"):
        return f"CAST(CAST({_moment(g, node)} AS time) AS interval)"
    return f"CAST({_matched(g, node, _TIME_AT_START)} AS interval)"


def _is_duration(g: FragmentGenerator, node: exp.Expr) -> bool:
    constant = constant_text(node)
    if constant is not None:
        return _read_moment(constant) is None
    return _kind(g, node) in ("time", "text")


# -- fragments: truth -----------------------------------------------------------------------------


class _NonZero(exp.Unary, exp.Predicate):
    """The truth of a value that is no boolean."""


_PREDICATES = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean)
_CLAUSES = (exp.Connector, exp.Not, exp.Where, exp.Having, exp.Join)
#: What stands where its content does.
_TRANSPARENT = (exp.Paren, exp.Escape)


def _is_condition(g: FragmentGenerator, node: exp.Expr) -> bool:
    """Tell whether a node stands where PostgreSQL wants a boolean."""
    parent = node.parent
    if isinstance(parent, _TRANSPARENT):
        return _is_condition(g, parent)
    if isinstance(parent, exp.If) and node.arg_key == "this":
        case = parent.parent if parent.arg_key == "ifs" else None
        return case is None or case.args.get("this") is None
    if isinstance(parent, exp.Is):
        return isinstance(parent.expression, exp.Boolean)
    return g.condition if parent is None else isinstance(parent, _CLAUSES)


def _is_boolean(g: FragmentGenerator, node: exp.Expr) -> bool:
    if isinstance(node, exp.Column):
        type_ = g.attribute_types.get(node.name)
        return type_ is not None and type_.category == "bool"
    return isinstance(node, _PREDICATES)


# -- fragments: operators -------------------------------------------------------------------------


def _column(g: FragmentGenerator, node: Any) -> str:
    """Write an attribute; a moment with a time zone stays one only beside literals."""
    text = g.column_sql(node)
    type_ = g.attribute_types.get(node.name)
    if type_ is None or type_.category != "timestamp":
        return text
    parent = node.parent
    if isinstance(parent, COMPARISONS):
        others = [child for child in parent.iter_expressions() if child is not node]
        if all(isinstance(other, exp.Literal) for other in others):
            return text
    return f"CAST({text} AS timestamp)"


def _comparable(g: FragmentGenerator, nodes: Sequence[exp.Expr]) -> list[str]:
    """Write values that are compared with the first of them, as values of one kind."""
    kinds = {_kind(g, node) for node in nodes if not _is_string(node)} or {"text"}
    fixed = {_kind(g, node) for node in nodes if not isinstance(node, exp.Literal)}
    coerce: Writer | None = None
    if "number" in fixed or ("number" in kinds and not fixed & {"date", "moment", "time"}):
        coerce = _number
    elif kinds & {"date", "moment"}:
        coerce = _moment
    elif "time" in kinds:
        coerce = _duration
    elif kinds == {"text"} and not isinstance(nodes[0], exp.Column):  # which has its collation
        return [_comparing(g, nodes[0]), *map(g.sql, nodes[1:])]
    if coerce is None:
        return [g.sql(node) for node in nodes]
    changing = ("text", "date", "moment", "time") if coerce is _number else ("text", "number")
    return [coerce(g, n) if _kind(g, n) in changing else g.sql(n) for n in nodes]


def _compare(operator: str) -> Writer:
    def write(g: FragmentGenerator, node: Any) -> str:
        return f" {operator} ".join(_comparable(g, [node.left, node.right]))

    return write


def _between(g: FragmentGenerator, node: Any) -> str:
    value, low, high = _comparable(g, [node.this, node.args["low"], node.args["high"]])
    return f"{value} BETWEEN {low} AND {high}"


def _in(g: FragmentGenerator, node: Any) -> str:
    if not node.expressions:
        return g.in_sql(node)
    value, *members = _comparable(g, [node.this, *node.expressions])
    return f"{value} IN ({', '.join(members)})"


def _like(g: FragmentGenerator, node: Any) -> str:
    operator = "NOT ILIKE" if node.args.get("negate") else "ILIKE"
    return f"{_searched(g, node.this)} {operator} {_searched(g, node.expression)}"


def _is_integer(g: FragmentGenerator, node: exp.Expr) -> bool:
    """Tell whether all values that a node may give are integers."""
    if isinstance(node, exp.Null):
        return True
    type_ = _type(g, node)
    whole = type_ is not None and type_.category in ("integer", "bool", "year")
    return whole and all(_is_integer(g, operand) for operand in _operands(node))


def _operands(node: exp.Expr) -> list[exp.Expr]:
    """List the nodes that make the value of a node, without the conditions of choices."""
    if isinstance(node, exp.Case):
        branches = [branch.args["true"] for branch in node.args["ifs"]]
        return [*branches, node.args.get("default") or exp.null()]
    if isinstance(node, exp.If):
        return [node.args["true"], node.args.get("false") or exp.null()]
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Mod)):
        return [node.left, node.right]
    if isinstance(node, (exp.Coalesce, exp.Greatest, exp.Least)):
        return [node.this, *node.expressions]
    same = (
        exp.Paren,
        exp.Neg,
        exp.Abs,
        exp.Sum,
        exp.Max,
        exp.Min,
        exp.Nullif,
        exp.Round,
        exp.Trunc,
    )
    return [node.this] if isinstance(node, same) else []


def _arithmetic(operator: str) -> Writer:
    """Write sums and products; integers are of 64 bits, as on MySQL."""

    def write(g: FragmentGenerator, node: Any) -> str:
        left, right = node.left, node.right
        if isinstance(left, exp.Interval):
            left, right = right, left
        if isinstance(right, exp.Interval):
            return _shifted(g, left, operator, right.this, _unit(right))
        first, second = _number(g, left), _number(g, right)
        inner = left.unnest()
        wide = isinstance(inner, (exp.Add, exp.Sub, exp.Mul, exp.Sum, exp.Cast))
        if _is_integer(g, node) and not (wide or _is_wide(_type(g, inner), inner)):
            first = f"CAST({first} AS bigint)"
        return f"{first} {operator} {second}"

    return write


def _is_wide(type_: AttributeType | None, node: exp.Expr) -> bool:
    """Tell whether an attribute has more than 32 bits."""
    return isinstance(node, exp.Column) and isinstance(type_, Integer) and type_.high >= 2**31


def _mod(g: FragmentGenerator, node: Any) -> str:
    coerce = _number if _is_integer(g, node) else _numeric
    return f"mod({coerce(g, node.left)}, NULLIF({coerce(g, node.right)}, 0))"


# -- fragments: choices ---------------------------------------------------------------------------


def _alike(g: FragmentGenerator, node: exp.Expr, options: Sequence[exp.Expr]) -> list[str]:
    """Write options of which a node gives one, as values of one kind: that of the node."""
    kinds = {_kind(g, option) for option in options if not isinstance(option, exp.Null)}
    compares = isinstance(node, (exp.Greatest, exp.Least))
    if len(kinds) < 2:
        first, *rest = options
        return [_comparing(g, first) if compares and kinds == {"text"} else g.sql(first)] + [
            g.sql(option) for option in rest
        ]
    coerce: Writer | None = None
    if "text" in kinds and compares:
        coerce = {"number": _number, "time": _duration}.get(min(kinds - {"text"}), _moment)
        if kinds == {"text", "date"}:
            coerce = _date
    elif "text" in kinds or kinds & {"time", "number"}:
        coerce = _text
    return [coerce(g, option) if coerce else g.sql(option) for option in options]


def _coalesce(g: FragmentGenerator, node: Any) -> str:
    return f"COALESCE({', '.join(_alike(g, node, _operands(node)))})"


def _extreme(name: str) -> Writer:
    """Write ``greatest`` and ``least``, which give NULL when any argument is NULL."""

    def write(g: FragmentGenerator, node: Any) -> str:
        options = ", ".join(_alike(g, node, _operands(node)))
        return f"CASE WHEN num_nulls({options}) = 0 THEN {name}({options}) END"

    return write


def _if(g: FragmentGenerator, node: Any) -> str:
    yes, no = _alike(g, node, _operands(node))
    return f"CASE WHEN {g.sql(node.this)} THEN {yes} ELSE {no} END"


def _case(g: FragmentGenerator, node: Any) -> str:
    *values, rest = _alike(g, node, _operands(node))
    cases = [branch.this for branch in node.args["ifs"]]
    head, tests = "CASE", [g.sql(case) for case in cases]
    if node.this:
        value, *tests = _comparable(g, [node.this, *cases])
        head = f"CASE {value}"
    whens = " ".join(f"WHEN {test} THEN {value}" for test, value in zip(tests, values, strict=True))
    return f"{head} {whens} ELSE {rest} END"


def _nullif(g: FragmentGenerator, node: Any) -> str:
    value, other = _comparable(g, [node.this, node.expression])
    return f"CASE WHEN ({value} = {other}) IS NOT TRUE THEN {g.sql(node.this)} END"


# -- fragments: functions -------------------------------------------------------------------------

#: What a place in a template may ask for.
_COERCIONS: Mapping[str, Writer] = {
    "sql": lambda g, node: g.sql(node),
    "number": _number,
    "integer": _integer,
    "double": _double,
    "numeric": _numeric,
    "text": _text,
    "comparing": _comparing,
    "searched": _searched,
    "exactly": _exactly,
    "moment": _moment,
    "date": _date,
    "duration": _duration,
}


@dataclass(frozen=True)
class _Argument:
    """An argument of a function, formatted as a value of some kind."""

    generator: FragmentGenerator
    node: Any

    def __format__(self, kind: str) -> str:
        return _COERCIONS[kind](self.generator, self.node)


def _template(text: str) -> Writer:
    """Fill a template with the arguments of a node, by position or by key."""

    def write(g: FragmentGenerator, node: Any) -> str:
        named = {key: _Argument(g, argument) for key, argument in node.args.items()}
        return text.format(*(_Argument(g, argument) for argument in node.expressions), **named)

    return write


def _is_float(g: FragmentGenerator, node: exp.Expr) -> bool:
    """Tell whether a number is one of double precision."""
    functions = (exp.Sqrt, exp.Exp, exp.Ln, exp.Log, exp.Pow, exp.Rand, exp.Pi)
    return node.find(*functions) is not None or any(
        isinstance(_type(g, column), Float) for column in node.find_all(exp.Column)
    )


def _approximate(g: FragmentGenerator, node: exp.Expr) -> str:
    return _double(g, node) if _is_float(g, node) else _numeric(g, node)


def _round(g: FragmentGenerator, node: Any) -> str:
    """Round halves of decimals away from zero, and those of floats to even, as MySQL does."""
    digits = node.args.get("decimals")
    if digits is None:
        rounded = f"round({_approximate(g, node.this)})"
        return f"CAST({rounded} AS bigint)" if _is_integer(g, node.this) else rounded
    if _is_float(g, node.this):
        power = f"power(10, {_double(g, digits)})"
        return f"(round({_double(g, node.this)} * {power}) / {power})"
    return f"round({_numeric(g, node.this)}, {_integer(g, digits)})"


def _truncate(g: FragmentGenerator, node: Any) -> str:
    text = f"trunc({_numeric(g, node.this)}, {_integer(g, node.args['decimals'])})"
    return f"CAST({text} AS double precision)" if _is_float(g, node.this) else text


def _cast(g: FragmentGenerator, node: Any) -> str:
    kind, source = node.to.sql("mysql").upper(), node.this
    length = ", ".join(g.sql(parameter) for parameter in node.to.expressions)
    if kind.startswith(("SIGNED", "BIGINT", "INT", "UNSIGNED", "UBIGINT")):
        # Texts lose their fraction, numbers are rounded.
        is_text = _kind(g, source) == "text"
        whole = f"trunc({_numeric(g, source)})" if is_text else f"round({_approximate(g, source)})"
        if node.to.is_type(exp.DataType.Type.UBIGINT):
            return f"mod(CAST({whole} AS numeric) + {2**64}, {2**64})"
        return f"CAST({whole} AS bigint)"
    if kind.startswith("DECIMAL"):
        return f"CAST({_number(g, source)} AS numeric({length or '10, 0'}))"
    if kind.startswith(("DATETIME", "TIMESTAMP")):
        return _moment(g, source) if length else f"date_trunc('second', {_moment(g, source)})"
    for name, write in (
        ("DATE", _date),
        ("TIME", _duration),
        ("DOUBLE", _double),
        ("FLOAT", _double),
        ("BINARY", _exactly),
    ):
        if kind.startswith(name):
            return write(g, source)
    return f"left({_text(g, source)}, {length})" if length else _text(g, source)


def _concat(g: FragmentGenerator, node: Any) -> str:
    """Write with ``||``, which gives NULL when an operand is NULL, as MySQL does."""
    parts = [f"({_text(g, part)})" for part in node.expressions]
    return f"({' || '.join(parts)})" if len(parts) > 1 else f"CAST({parts[0]} AS text)"


def _concat_ws(g: FragmentGenerator, node: Any) -> str:
    return f"(concat_ws({_list(g, _text, node.expressions)}) {_COLLATE_TEXT})"


def _elt(g: FragmentGenerator, node: Any) -> str:
    return f"(ARRAY[{_list(g, _text, node.expressions)}])[{_integer(g, node.this)}]"


def _list(g: FragmentGenerator, coerce: Writer, nodes: Sequence[exp.Expr]) -> str:
    return ", ".join(coerce(g, node) for node in nodes)


def _substring(g: FragmentGenerator, node: Any) -> str:
    """Count a negative start from the end."""
    text, start, length = _text(g, node.this), _integer(g, node.args["start"]), ""
    if node.args.get("length") is not None:
        length = f", greatest({_integer(g, node.args['length'])}, 0)"
    if start.isdigit() and int(start) > 0:
        return f"substr({text}, {start}{length})"
    end = f"length({text}) + 1 + {start}"
    return (
        f"CASE WHEN {start} > 0 THEN substr({text}, {start}{length}) WHEN {start} < 0 AND {end} > 0"
        f" THEN substr({text}, {end}{length}) WHEN {start} IS NOT NULL THEN left({text}, 0) END"
    )


def _mid(g: FragmentGenerator, node: Any) -> str:
    text, start, length = node.expressions
    return _substring(g, exp.Substring(this=text, start=start, length=length))


def _substring_index(g: FragmentGenerator, node: Any) -> str:
    mark, count = _text(g, node.args["delimiter"]), _integer(g, node.args["count"])
    parts = f"string_to_array({_exactly(g, node.this)}, {mark})"
    taken = f"({parts})[:{count}]"
    if not count.isdigit():
        last = f"({parts})[cardinality({parts}) + 1 + {count}:]"
        taken = f"CASE WHEN {count} > 0 THEN {taken} ELSE {last} END"
    return f"(array_to_string({taken}, {mark}) {_COLLATE_TEXT})"


def _locate(g: FragmentGenerator, node: Any) -> str:
    text, part = _searched(g, node.this), _searched(g, node.args["substr"])
    if node.args.get("position") is None:
        return f"strpos(lower({text}), lower({part}))"
    start = _integer(g, node.args["position"])
    found = f"strpos(lower(substr({text}, {start})), lower({part}))"
    return f"CASE WHEN {found} > 0 THEN {found} + {start} - 1 ELSE {found} END"


def _trim(g: FragmentGenerator, node: Any) -> str:
    marks = node.args.get("expression")
    what = f"{_text(g, marks)} " if marks is not None else ""
    return f"TRIM({node.args.get('position') or 'BOTH'} {what}FROM {_text(g, node.this)})"


def _octets(g: FragmentGenerator, node: exp.Expr) -> str:
    type_ = _type(g, node)
    is_blob = type_ is not None and type_.is_blob
    return g.sql(node) if is_blob else f"convert_to({_text(g, node)}, 'UTF8')"


def _hex(g: FragmentGenerator, node: Any) -> str:
    if _kind(g, node.this) == "number":
        return f"upper(to_hex(CAST({_number(g, node.this)} AS bigint)))"
    return f"upper(encode({_octets(g, node.this)}, 'hex'))"


def _length(g: FragmentGenerator, node: Any) -> str:
    if node.args.get("binary"):
        return f"octet_length({_octets(g, node.this)})"
    return f"length({_text(g, node.this)})"


def _number_format(g: FragmentGenerator, node: Any) -> str:
    digits = int(node.args["format"].name)
    form = "FM" + "999," * 6 + "990" + ("." + "0" * digits if digits else "")
    return f"to_char(round({_numeric(g, node.this)}, {digits}), '{form}')"


def _field(g: FragmentGenerator, node: Any) -> str:
    value, *options = _comparable(g, node.expressions)
    whens = " ".join(f"WHEN {value} = {option} THEN {i}" for i, option in enumerate(options, 1))
    return f"CASE {whens} ELSE 0 END"


def _collate(g: FragmentGenerator, node: Any) -> str:
    exact = node.expression.name.lower().endswith(("_bin", "_cs"))
    return (_exactly if exact else _comparing)(g, node.this)


def _anonymous(g: FragmentGenerator, node: Any) -> str:
    """Write a function that the parser has no class for."""
    writer = _NAMED.get(node.name.lower())
    if writer is None:
        return g.func(node.name, *node.expressions)
    return (_template(writer) if isinstance(writer, str) else writer)(g, node)


# -- fragments: aggregates ------------------------------------------------------------------------


def _group_concat(g: FragmentGenerator, node: Any) -> str:
    argument, order = node.this, ""
    separator = g.sql(node.args.get("separator") or exp.Literal.string(","))
    if isinstance(argument, exp.Order):
        order = g.sql(exp.Order(expressions=argument.expressions))
        argument = argument.this
    if not isinstance(argument, exp.Distinct):
        return f"string_agg({_text(g, argument)}, {separator}{order})"
    parts = argument.expressions
    value = _text(g, exp.Concat(expressions=parts)) if len(parts) > 1 else g.sql(parts[0])
    # The values are sorted before they become text.
    values = f"array_agg(DISTINCT {value}{order}) FILTER (WHERE ({value}) IS NOT NULL)"
    return f"array_to_string({values}, {separator})"


def _count(g: FragmentGenerator, node: Any) -> str:
    argument = node.this
    if isinstance(argument, exp.Distinct) and len(argument.expressions) > 1:
        row = f"({', '.join(map(g.sql, argument.expressions))})"
        return f"count(DISTINCT {row}) FILTER (WHERE {row} IS NOT NULL)"
    return f"count({g.sql(argument)})"


def _aggregate(name: str) -> Writer:
    """Write an aggregate of numbers."""

    def write(g: FragmentGenerator, node: Any) -> str:
        if isinstance(node.this, exp.Distinct):
            return f"{name}(DISTINCT {_number(g, node.this.expressions[0])})"
        return f"{name}({_number(g, node.this)})"

    return write


# -- fragments: dates and times -------------------------------------------------------------------

_DAYS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY")
#: Unit → the argument of make_interval, and what divides or multiplies it.
_UNITS = {
    **{unit: (f"{unit.lower()}s", "") for unit in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR")},
    "QUARTER": ("months", " * 3"),
    "MINUTE": ("mins", ""),
    "SECOND": ("secs", ""),
    "MICROSECOND": ("secs", " / 1e6"),
}
#: Unit → how many seconds, or months, it has.
_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def _unit(node: Any) -> str:
    unit = node.args.get("unit")
    name = unit.name if isinstance(unit, exp.Expr) else str(unit or "DAY")
    return name.upper().removesuffix("S")


def _interval(g: FragmentGenerator, amount: exp.Expr, unit: str) -> str:
    if unit not in _UNITS:  # such as DAY_HOUR
        return f"CAST({_text(g, amount)} AS interval {unit.replace('_', ' TO ')})"
    argument, factor = _UNITS[unit]
    count = _number(g, amount) if argument == "secs" else _integer(g, amount)
    return f"make_interval({argument} => {count}{factor})"


def _shifted(
    g: FragmentGenerator, start: exp.Expr, operator: str, amount: exp.Expr, unit: str
) -> str:
    """Add an interval, or subtract it."""
    change = f"{operator} {_interval(g, amount, unit)}"
    kind = _kind(g, start)
    if kind == "date" and unit in _DAYS:
        return f"CAST({_enclosed(g, start)} {change} AS date)"
    if kind != "text":
        return f"({_enclosed(g, start)} {change})"
    form = "'YYYY-MM-DD HH24:MI:SS'"
    if unit in _DAYS:
        form = f"CASE WHEN length({g.sql(start)}) > 10 THEN {form} ELSE 'YYYY-MM-DD' END"
    return f"to_char({_moment(g, start)} {change}, {form})"


def _date_add(operator: str) -> Writer:
    """Write functions that add an interval: with its unit, as one argument, or in days."""

    def write(g: FragmentGenerator, node: Any) -> str:
        start, amount = node.expressions or (node.this, node.expression)
        if isinstance(amount, exp.Interval):
            return _shifted(g, start, operator, amount.this, _unit(amount))
        return _shifted(g, start, operator, amount, _unit(node))

    return write


def _timestampdiff(g: FragmentGenerator, node: Any) -> str:
    start, end, unit = _moment(g, node.expression), _moment(g, node.this), _unit(node)
    if unit in _MONTHS:
        age = f"age({end}, {start})"
        months = f"EXTRACT(YEAR FROM {age}) * 12 + EXTRACT(MONTH FROM {age})"
        return f"CAST(trunc(({months}) / {_MONTHS[unit]}) AS bigint)"
    seconds = f"EXTRACT(EPOCH FROM {end} - {start})"
    if unit == "MICROSECOND":
        return f"CAST({seconds} * 1000000 AS bigint)"
    return f"CAST(trunc({seconds} / {_SECONDS[unit]}) AS bigint)"


def _timediff(g: FragmentGenerator, node: Any) -> str:
    durations = all(_is_duration(g, argument) for argument in node.expressions)
    left, right = ((_duration if durations else _moment)(g, a) for a in node.expressions)
    return f"({left} - {right})"


#: Part of a moment → what computes it.
_PARTS = {
    "SECOND": "floor(EXTRACT(SECOND FROM {0}))",
    "MICROSECOND": "to_char({0}, 'US')",
    "YEAR_MONTH": "to_char({0}, 'YYYYMM')",
    "WEEK": "floor((EXTRACT(DOY FROM {0}) + 6 - EXTRACT(DOW FROM {0})) / 7)",
    "WEEK 1": "floor((EXTRACT(DOY FROM {0}) + 10 - EXTRACT(ISODOW FROM {0})) / 7)",
    "WEEK 3": "EXTRACT(WEEK FROM {0})",
    "WEEK 5": "floor((EXTRACT(DOY FROM {0}) + 7 - EXTRACT(ISODOW FROM {0})) / 7)",
    "WEEKOFYEAR": "EXTRACT(WEEK FROM {0})",
    "DAYOFMONTH": "EXTRACT(DAY FROM {0})",
    "DAYOFYEAR": "EXTRACT(DOY FROM {0})",
    "DAYOFWEEK": "EXTRACT(DOW FROM {0}) + 1",
    "WEEKDAY": "EXTRACT(ISODOW FROM {0}) - 1",
}
_PARTS_OF_DURATION = {
    "HOUR": "floor(abs(EXTRACT(EPOCH FROM {0})) / 3600)",
    "MINUTE": "abs(EXTRACT(MINUTE FROM {0}))",
    "SECOND": "floor(abs(EXTRACT(SECOND FROM {0})))",
    "MICROSECOND": "to_char({0}, 'US')",
}


def _part_of(g: FragmentGenerator, part: str, node: exp.Expr) -> str:
    if part in _PARTS_OF_DURATION and _is_duration(g, node):
        return f"CAST({_PARTS_OF_DURATION[part].format(_duration(g, node))} AS integer)"
    template = _PARTS.get(part, f"EXTRACT({part} FROM {{0}})")
    return f"CAST({template.format(_moment(g, node))} AS integer)"


def _part(part: str) -> Writer:
    return lambda g, node: _part_of(g, part, node.expressions[0] if node.expressions else node.this)


def _week(g: FragmentGenerator, node: Any) -> str:
    mode = node.args.get("mode")
    part = "WEEK" if mode is None or mode.name == "0" else f"WEEK {mode.name}"
    return _part_of(g, part, node.this) if part in _PARTS else g.func("week", node.this, mode)


def _extract(g: FragmentGenerator, node: Any) -> str:
    return _part_of(g, node.name.upper(), node.expression)


#: Letters of the formats of dates, after translation by the parser → those of to_char.
_FORMATS = {
    "Y": "YYYY", "y": "YY", "m": "MM", "-m": "FMMM", "d": "DD", "-d": "FMDD", "e": "FMDD",
    "D": "FMDDth", "H": "HH24", "-H": "FMHH24", "I": "HH12", "-I": "FMHH12", "M": "MI", "S": "SS",
    "f": "US", "p": "AM", "A": "FMDay", "a": "Dy", "B": "FMMonth", "b": "Mon", "j": "DDD",
    "v": "IW", "V": "IW", "W": "IW", "G": "IYYY", "x": "IYYY", "T": "HH24:MI:SS",
    "r": "HH12:MI:SS AM",
}  # fmt: skip


def _format(text: str) -> str:
    """Translate a format of dates; what is no letter of it stands between double quotes."""
    pieces = []
    for letter, other in re.findall(r"%(-?[A-Za-z%])|([^%]+)", text):
        quoted = (other or letter).replace("\\", "\\\\").replace('"', '\\"')
        pieces.append(_FORMATS.get(letter) or f'"{quoted}"')
    return literal("".join(pieces))


def _formatted(moment: str, form: str) -> str:
    """Write a moment in a format, with the numbers of days and weeks that to_char lacks."""
    texts = []
    for piece in filter(None, re.split("(%[wU])", form)):
        if piece == "%w":
            texts.append(f"CAST(EXTRACT(DOW FROM {moment}) AS text)")
        elif piece == "%U":
            texts.append(f"lpad(CAST({_PARTS['WEEK'].format(moment)} AS text), 2, '0')")
        else:
            texts.append(f"to_char({moment}, {_format(piece)})")
    return f"({' || '.join(texts)})" if texts else "''"


def _date_format(g: FragmentGenerator, node: Any) -> str:
    form = constant_text(node.args["format"])
    if form is None:
        return g.func("date_format", node.this, node.args["format"])
    return _formatted(_moment(g, node.this), form)


def _str_to_date(g: FragmentGenerator, node: Any) -> str:
    form = node.args["format"].name
    kind = "timestamp" if re.search("%-?[HIMSfTr]", form) else "date"
    return f"CAST(to_timestamp({_text(g, node.this)}, {_format(form)}) AS {kind})"


def _from_unixtime(g: FragmentGenerator, node: Any) -> str:
    moment = f"CAST(to_timestamp({_number(g, node.this)}) AS timestamp)"
    form = node.args.get("format")
    return moment if form is None else _formatted(moment, form.name)


def _unix_timestamp(g: FragmentGenerator, node: Any) -> str:
    moment = _moment(g, node.expressions[0]) if node.expressions else "statement_timestamp()"
    return f"CAST(floor(EXTRACT(EPOCH FROM CAST({moment} AS timestamptz))) AS bigint)"


def _now(clock: str) -> Writer:
    """Write a clock's time; MySQL's has whole seconds unless digits are asked for."""

    def write(g: FragmentGenerator, node: Any) -> str:
        digits = node.expressions[0] if node.expressions else node.this
        if isinstance(digits, exp.Expr):
            return f"CAST({clock} AS timestamp({digits.name}))"
        return f"date_trunc('second', CAST({clock} AS timestamp))"

    return write


# -- fragments: the tables ------------------------------------------------------------------------

_UTC = "date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')"

#: Functions that the parser has no class for.
_NAMED: Mapping[str, Writer | str] = {
    "now": _now("statement_timestamp()"),
    "sysdate": _now("clock_timestamp()"),
    "weekday": _part("WEEKDAY"),
    "microsecond": _part("MICROSECOND"),
    "time_to_sec": "CAST(trunc(EXTRACT(EPOCH FROM {0:duration})) AS bigint)",
    "sec_to_time": "make_interval(secs => {0:double})",
    "timediff": _timediff,
    "addtime": "({0:sql} + {1:duration})",
    "subtime": "({0:sql} - {1:duration})",
    "adddate": _date_add("+"),
    "subdate": _date_add("-"),
    "from_days": "(DATE '0001-01-01' + ({0:integer} - 366))",
    "makedate": "(make_date({0:integer}, 1, 1) + {1:integer} - 1)",
    "unix_timestamp": _unix_timestamp,
    "field": _field,
    "find_in_set": (
        "CASE WHEN num_nulls({0:text}, {1:text}) = 0 THEN COALESCE(array_position("
        "string_to_array(lower({1:searched}), ','), lower({0:searched})), 0) END"
    ),
    "octet_length": lambda g, node: f"octet_length({_octets(g, node.expressions[0])})",
    "mid": _mid,
    "strcmp": (
        "(CAST({0:comparing} > {1:comparing} AS integer)"
        " - CAST({0:comparing} < {1:comparing} AS integer))"
    ),
    "connection_id": "pg_backend_pid()",
}

_TEMPLATES = {
    _NonZero: "{this:number} <> 0",
    exp.RegexpLike: "{this:searched} ~* {expression:searched}",
    exp.Xor: "({this:sql}) <> ({expression:sql})",
    exp.Neg: "- {this:number}",
    exp.Div: "{this:number} * 1.0 / NULLIF({expression:number}, 0)",
    exp.IntDiv: "CAST(div({this:numeric}, NULLIF({expression:numeric}, 0)) AS bigint)",
    exp.Abs: "abs({this:number})",
    exp.Sign: "CAST(sign({this:number}) AS integer)",
    exp.Floor: "CAST(floor({this:number}) AS bigint)",
    exp.Ceil: "CAST(ceil({this:number}) AS bigint)",
    exp.Sqrt: "CASE WHEN {this:double} >= 0 THEN sqrt({this:double}) END",
    exp.Ln: "CASE WHEN {this:double} > 0 THEN ln({this:double}) END",
    exp.Log: (
        "CASE WHEN {this:double} > 0 AND {expression:double} > 0"
        " THEN ln({expression:double}) / NULLIF(ln({this:double}), 0) END"
    ),
    exp.Exp: "exp({this:double})",
    exp.Pow: "power({this:double}, {expression:double})",
    exp.Rand: "random()",
    exp.Upper: "upper({this:comparing})",
    exp.Lower: "lower({this:comparing})",
    exp.Left: "left({this:text}, greatest({expression:integer}, 0))",
    exp.Right: "right({this:text}, greatest({expression:integer}, 0))",
    exp.Replace: (
        "(replace({this:exactly}, {expression:exactly}, {replacement:exactly})"
        f" {_COLLATE_TEXT})"
    ),
    exp.Repeat: "repeat({this:text}, {times:integer})",
    exp.Reverse: "reverse({this:text})",
    exp.Space: "repeat(' ', {this:integer})",
    exp.Unhex: "decode({this:text}, 'hex')",
    exp.MD5: "md5({this:text})",
    exp.RegexpReplace: (
        "(regexp_replace({this:searched}, {expression:searched}, {replacement:searched}, 'gi')"
        f" {_COLLATE_TEXT})"
    ),
    exp.RegexpSubstr: (
        "(COALESCE((regexp_match({this:searched}, '(' || {expression:text} || ')', 'i'))[1],"
        f" left({{this:text}}, 0)) {_COLLATE_TEXT})"
    ),
    exp.AnyValue: "(array_agg({this:sql}))[1]",
    exp.TsOrDsToDate: "{this:date}",
    exp.Date: "{this:date}",
    exp.TsOrDsToTimestamp: "{this:moment}",
    exp.Timestamp: "{this:moment}",
    exp.Time: "{this:duration}",
    exp.TimeFromParts: (
        "make_interval(hours => {hour:integer}, mins => {min:integer}, secs => {sec:double})"
    ),
    exp.CurrentDate: "CURRENT_DATE",
    exp.CurrentTime: "CAST(date_trunc('second', LOCALTIME) AS interval)",
    exp.UtcTimestamp: _UTC,
    exp.UtcDate: f"CAST({_UTC} AS date)",
    exp.UtcTime: f"CAST(CAST({_UTC} AS time) AS interval)",
    exp.DateDiff: "({this:date} - {expression:date})",
    exp.LastDay: ("CAST(date_trunc('month', {this:moment}) + INTERVAL '1 month - 1 day' AS date)"),
    exp.Dayname: "to_char({this:moment}, 'FMDay')",
}


_PART_FUNCTIONS: tuple[type[exp.Expr], ...] = (
    exp.Year, exp.Quarter, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second,
    exp.DayOfMonth, exp.DayOfWeek, exp.DayOfYear, exp.WeekOfYear,
)  # fmt: skip


class FragmentGenerator(PostgresGenerator):
    """Writes a parsed MySQL expression for PostgreSQL."""

    attribute_types: Mapping[str, AttributeType | None]
    condition: bool

    def sql(
        self, expression: str | exp.Expr | None, key: str | None = None, comment: bool = True
    ) -> str:
        """Write a node; truth is a number where PostgreSQL wants no boolean."""
        text: str = super().sql(expression, key, comment)
        if key or not isinstance(expression, exp.Expr) or not _is_boolean(self, expression):
            return text
        return text if _is_condition(self, expression) else f"CAST({text} AS integer)"

    TRANSFORMS: ClassVar[dict[Any, Any]] = {
        **PostgresGenerator.TRANSFORMS,
        **{kind: _template(text) for kind, text in _TEMPLATES.items()},
        **{kind: _part(kind.__name__.upper()) for kind in _PART_FUNCTIONS},
        exp.Week: _week,
        exp.Column: _column,
        exp.EQ: _compare("="),
        exp.NEQ: _compare("<>"),
        exp.GT: _compare(">"),
        exp.GTE: _compare(">="),
        exp.LT: _compare("<"),
        exp.LTE: _compare("<="),
        exp.NullSafeEQ: _compare("IS NOT DISTINCT FROM"),
        exp.Between: _between,
        exp.In: _in,
        exp.Like: _like,
        exp.Collate: _collate,
        exp.Add: _arithmetic("+"),
        exp.Sub: _arithmetic("-"),
        exp.Mul: _arithmetic("*"),
        exp.Mod: _mod,
        exp.Coalesce: _coalesce,
        exp.Greatest: _extreme("GREATEST"),
        exp.Least: _extreme("LEAST"),
        exp.If: _if,
        exp.Case: _case,
        exp.Nullif: _nullif,
        exp.Round: _round,
        exp.Trunc: _truncate,
        exp.Cast: _cast,
        exp.Concat: _concat,
        exp.ConcatWs: _concat_ws,
        exp.Length: _length,
        exp.Substring: _substring,
        exp.SubstringIndex: _substring_index,
        exp.StrPosition: _locate,
        exp.Trim: _trim,
        exp.Pad: lambda g, node: _template(
            ("lpad" if node.args.get("is_left") else "rpad")
            + "({this:text}, {expression:integer}, {fill_pattern:text})"
        )(g, node),
        exp.Hex: _hex,
        exp.LowerHex: lambda g, node: f"lower({_hex(g, node)})",
        exp.Elt: _elt,
        exp.NumberToStr: _number_format,
        exp.Count: _count,
        exp.Sum: _aggregate("sum"),
        exp.Avg: _aggregate("avg"),
        exp.StddevPop: _aggregate("stddev_pop"),
        exp.StddevSamp: _aggregate("stddev_samp"),
        exp.Variance: _aggregate("var_samp"),
        exp.VariancePop: _aggregate("var_pop"),
        exp.GroupConcat: _group_concat,
        exp.CurrentTimestamp: _now("statement_timestamp()"),
        exp.Localtime: _now("statement_timestamp()"),
        exp.DateAdd: _date_add("+"),
        exp.DateSub: _date_add("-"),
        exp.TimestampAdd: _date_add("+"),
        exp.TimestampDiff: _timestampdiff,
        exp.TimeToStr: _date_format,
        exp.StrToDate: _str_to_date,
        exp.StrToTime: _str_to_date,
        exp.UnixToTime: _from_unixtime,
        exp.Extract: _extract,
        exp.Anonymous: _anonymous,
    }


def _is_bare_constant(node: exp.Expr) -> bool:
    """Tell whether an expression is a constant, of which GROUP BY makes something else."""
    node = node.unnest()
    if isinstance(node, exp.Neg):
        return _is_bare_constant(node.this)
    return isinstance(node, exp.Null) or (isinstance(node, exp.Literal) and not node.is_string)


def translate(tree: exp.Expr, types: Mapping[str, AttributeType | None], condition: bool) -> str:
    """Write a parsed fragment for PostgreSQL, where truth is no number."""
    generator = FragmentGenerator(dialect=Postgres(), unsupported_level=ErrorLevel.IGNORE)
    generator.attribute_types = types
    generator.condition = condition
    if not condition and _is_bare_constant(tree):
        text = generator.generate(tree, copy=False)
        return "CAST(NULL AS text)" if text == "NULL" else f"({text} + 0)"
    for node in list(tree.walk()):
        plain = not isinstance(node, _TRANSPARENT) and not _is_boolean(generator, node)
        if plain and _is_condition(generator, node):
            test = _NonZero()
            tree = test if node is tree else tree
            node.replace(test)
            test.set("this", node)
    return generator.generate(tree, copy=False)


# -- the dialect ----------------------------------------------------------------------------------


def _encode_literal(value: Any, compared_with: AttributeType | None) -> Any:
    """Bring a literal into the form of what it is compared with.

    What is no date is, as on MySQL, one before all others; what is no time is zero.
    """
    kind = None if compared_with is None else _KINDS.get(compared_with.category)
    if kind in ("date", "moment"):
        moment = _read_moment(str(value))
        if moment is None:
            return "-infinity"
        return moment.date() if kind == "date" and moment.time() == dt.time() else moment
    if kind == "time":
        text = value if isinstance(value, str) else _clock_text(value)
        return _read_duration(text) or dt.timedelta()
    if not isinstance(value, str) or compared_with is None:
        return value
    if kind == "number":
        number = _leading_number(value)
        whole = number.adjusted() < 40 and number == number.to_integral_value()
        return int(number) if whole else number
    if compared_with.category == "uuid":
        try:
            return uuid.UUID(value)
        except ValueError:
            return None
    return value


def _clock_text(number: float) -> str:
    """Read a number as the digits of a time."""
    minutes, seconds = divmod(int(number), 100)
    return "{}:{:02d}:{:02d}".format(*divmod(minutes, 100), seconds)


def _computed(expression: SQL, type_: AttributeType | None) -> SQL:
    """Give computed texts the collation of stored ones; make truth of what was a number."""
    if type_ is not None and type_.is_string:
        return SQL("(", expression, f") COLLATE {TEXT_COLLATION}")
    if type_ is not None and type_.category == "bool":
        return SQL("CAST(", expression, " AS boolean)")
    return expression


def _key_set(rows: list[tuple[Any, ...]], width: int) -> SQL:
    listed = (SQL("(", join(", ", map(Param, row)), ")") for row in rows)
    return SQL("VALUES ", join(", ", listed))


def _null(type_: AttributeType | None) -> str:
    if type_ is None:
        return "NULL"
    declaration, collate, collation = (
        STORAGE[type_.category].declaration(type_).partition(" COLLATE ")
    )
    return f"CAST(NULL AS {declaration}){collate}{collation}"


def _replace(table: str, key: Sequence[str], rest: Sequence[str]) -> str:
    """Give every other attribute its value in the rejected row, given or default."""
    if not rest:
        return _skip(table, key, rest)
    assignments = ", ".join(f"{name} = EXCLUDED.{name}" for name in rest)
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {assignments}"


def _skip(table: str, key: Sequence[str], rest: Sequence[str]) -> str:
    return f" ON CONFLICT ({', '.join(key)}) DO NOTHING"


DIALECT = Dialect(
    name="postgresql",
    quote_mark='"',
    placeholder="%s",
    qualify=lambda quote, schema, table: f"{quote(schema)}.{quote(table)}",
    translate=translate,
    storage=STORAGE,
    encode_literal=_encode_literal,
    key_set=_key_set,
    computed=_computed,
    inserts={
        "insert": ("INSERT INTO", lambda table, key, rest: ""),
        "replace": ("INSERT INTO", _replace),
        "skip": ("INSERT INTO", _skip),
    },
    null=_null,
    null_order=(" NULLS FIRST", " NULLS LAST"),
)
