"""The SQL of SQLite: how types are stored and enforced, and how fragments are written.

SQLite enforces no column types of its own, so each type is a CHECK constraint. Functions of MySQL
that SQLite lacks keep their names here; the backend registers them on its connections.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import string
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel
from sqlglot.generators.sqlite import SQLiteGenerator

from ..grammar import parse_type
from ..types import (
    AttributeType,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    NotAdmitted,
    String,
    Time,
    time_text,
    to_datetime,
)
from ..types import Decimal as DecimalType
from .dialect import Dialect, Storage, on_conflict_replace, on_conflict_skip
from .inference import infer, is_double
from .json_operators import json_operator, unquoted_operand
from .sqlite_json import json_equals, json_text, json_value
from .text import SQL, Param, literal

# -- types ----------------------------------------------------------------------------------------

_MAX_INTEGER = 2**63 - 1


def _integer_check(type_: Integer, column: str) -> str:
    high = min(type_.high, _MAX_INTEGER)
    return f"typeof({column}) = 'integer' AND {column} BETWEEN {type_.low} AND {high}"


def _encode_integer(value: int, type_: Integer) -> int:
    if value > _MAX_INTEGER:
        raise NotAdmitted(f"is over {_MAX_INTEGER}, the largest integer that SQLite holds")
    return value


def _float_check(type_: Float, column: str) -> str:
    check = f"typeof({column}) = 'real' AND abs({column}) < 9e999"
    return check + (f" AND {column} >= 0" if type_.unsigned else "")


def _decimal_check(type_: DecimalType, column: str) -> str:
    """Digits, exactly ``scale`` of them after the point, in the range of the precision."""
    pattern = "*[^-0-9.]*"
    check = f"typeof({column}) = 'text' AND {column} NOT GLOB '{pattern}'"
    if type_.scale:
        check += f" AND {column} GLOB '*[0-9].{'[0-9]' * type_.scale}'"
    else:
        check += f" AND {column} GLOB '*[0-9]' AND {column} NOT GLOB '*.*'"
    digits = f"length(replace(replace({column}, '-', ''), '.', ''))"
    check += f" AND {digits} <= {max(type_.precision, type_.scale + 1)}"
    check += f" AND {column} NOT GLOB '?*-*' AND {column} NOT GLOB '*.*.*'"
    return check + (f" AND {column} NOT GLOB '-*'" if type_.unsigned else "")


def _string_check(type_: String, column: str) -> str:
    # length() stops at a NUL character
    return (
        f"typeof({column}) = 'text' AND length({column}) <= {type_.length}"
        f" AND instr({column}, char(0)) = 0"
    )


def _enum_check(type_: Enum, column: str) -> str:
    return f"{column} IN ({', '.join(map(literal, type_.members))})"


def _datetime_check(type_: DateTime, column: str) -> str:
    if not type_.digits:
        return f"{column} IS datetime({column})"
    fraction = "." + "[0-9]" * type_.digits
    return (
        f"substr({column}, 1, 19) IS datetime(substr({column}, 1, 19))"
        f" AND substr({column}, 20) GLOB '{fraction}'"
    )


def _time_check(type_: Time, column: str) -> str:
    fraction = "." + "[0-9]" * type_.digits if type_.digits else ""
    patterns = (
        f"{sign}{hours}:[0-5][0-9]:[0-5][0-9]{fraction}"
        for sign in ("", "-")
        for hours in ("[0-9][0-9]", "[1-8][0-9][0-9]")
    )
    return " OR ".join(f"{column} GLOB '{pattern}'" for pattern in patterns)


def _encode_datetime(value: dt.datetime, type_: AttributeType) -> str:
    return _datetime_text(value, getattr(type_, "digits", 0))


def _datetime_text(value: dt.datetime, digits: int) -> str:
    text = value.isoformat(" ", "microseconds")
    return text[: 20 + digits] if digits else text[:19]


def _encode_time(value: dt.timedelta, type_: AttributeType) -> str:
    return time_text(value, getattr(type_, "digits", 0))


def time_value(text: str) -> dt.timedelta:
    """Read a duration that :func:`time_text` wrote."""
    hours, minutes, seconds = text.lstrip("-").split(":")
    value = dt.timedelta(hours=int(hours), minutes=int(minutes)) + dt.timedelta(
        microseconds=int(decimal.Decimal(seconds) * 10**6)
    )
    return -value if text.startswith("-") else value


def _decimal_decoder(type_: DecimalType) -> Callable[[Any], decimal.Decimal]:
    step = decimal.Decimal(1).scaleb(-type_.scale)

    def decode(stored: Any) -> decimal.Decimal:
        if isinstance(stored, str):
            return decimal.Decimal(stored)
        return decimal.Decimal(repr(stored)).quantize(step)  # computed

    return decode


def _decode_date(text: str) -> dt.date:
    return dt.date.fromisoformat(text[:10])


def _decode_datetime(text: str) -> dt.datetime:
    if len(text) < 26 and "." in text:  # Python 3.10 reads 3 or 6 digits only
        text = text.ljust(26, "0")
    return dt.datetime.fromisoformat(text)


_INTEGER = Storage(lambda type_: "INT", _integer_check, _encode_integer)
_TEXT = Storage(lambda type_: "TEXT COLLATE NOCASE", _string_check)
_UUID = Storage(
    lambda type_: "TEXT COLLATE NOCASE",
    lambda type_, column: f"{column} GLOB '{'-'.join('[0-9a-f]' * n for n in (8, 4, 4, 4, 12))}'",
    lambda value, type_: str(value),
    lambda type_: uuid.UUID,
)

STORAGE: Mapping[str, Storage] = {
    "integer": _INTEGER,
    "bool": _INTEGER,
    "year": Storage(
        lambda type_: "INT",
        lambda type_, column: f"{column} = 0 OR {column} BETWEEN 1901 AND 2155",
    ),
    "float": Storage(lambda type_: "REAL", _float_check),
    "decimal": Storage(
        lambda type_: "TEXT COLLATE decimal",
        _decimal_check,
        lambda value, type_: format(value, "f"),
        _decimal_decoder,
    ),
    "string": _TEXT,
    "enum": Storage(lambda type_: "TEXT COLLATE NOCASE", _enum_check),
    "date": Storage(
        lambda type_: "TEXT",
        lambda type_, column: f"{column} IS date({column})",
        lambda value, type_: value.isoformat(),
        lambda type_: _decode_date,
    ),
    "datetime": Storage(
        lambda type_: "TEXT", _datetime_check, _encode_datetime, lambda type_: _decode_datetime
    ),
    "timestamp": Storage(
        lambda type_: "TEXT", _datetime_check, _encode_datetime, lambda type_: _decode_datetime
    ),
    "time": Storage(
        lambda type_: "TEXT COLLATE time", _time_check, _encode_time, lambda type_: time_value
    ),
    "uuid": _UUID,
    "json": Storage(
        lambda type_: "TEXT",
        lambda type_, column: f"json_valid({column})",
        decoder=lambda type_: json.loads,
    ),
    "attachment": Storage(lambda type_: "BLOB", lambda type_, column: f"typeof({column}) = 'blob'"),
    "external": _UUID,
    "blob": Storage(
        lambda type_: "BLOB",
        lambda type_, column: f"typeof({column}) = 'blob' AND length({column}) <= {type_.size}",
    ),
}


# -- fragments ------------------------------------------------------------------------------------

#: Writes a node of a parsed fragment.
Writer = Callable[[SQLiteGenerator, Any], str]


def _call(name: str, *keys: str) -> Writer:
    """Write a node as a call of a registered function with the arguments of these keys."""

    def write(generator: SQLiteGenerator, node: Any) -> str:
        return generator.func(name, *(node.args.get(key) for key in keys or ("this",)))

    return write


def _unit(node: Any) -> exp.Literal:
    unit = node.args.get("unit")
    name = unit.name if isinstance(unit, exp.Expr) else str(unit or "DAY")
    return exp.Literal.string(name.upper().rstrip("S"))


def _timestampdiff(generator: SQLiteGenerator, node: Any) -> str:
    return generator.func("timestampdiff", _unit(node), node.expression, node.this)


def _add_interval(sign: str) -> Writer:
    def write(generator: SQLiteGenerator, node: Any) -> str:
        amount: exp.Expr = node.expression
        unit = _unit(node)
        if isinstance(amount, exp.Interval):
            unit, amount = _unit(amount), amount.this
        return generator.func("add_interval", node.this, exp.Literal.string(sign), amount, unit)

    return write


def _plus_or_minus(
    operator: str,
) -> Writer:
    """Write sums; those with an interval as the function that adds it."""

    def write(generator: SQLiteGenerator, node: Any) -> str:
        left, right = node.args["this"], node.args["expression"]
        if isinstance(left, exp.Interval) and operator == "+":
            left, right = right, left
        if isinstance(right, exp.Interval):
            return generator.func(
                "add_interval", left, exp.Literal.string(operator), right.this, _unit(right)
            )
        if _is_temporal(generator, left) and _is_temporal(generator, right):
            return generator.func("digits_of", left, right, exp.Literal.number(f"{operator}1"))
        return f"{_number(generator, left)} {operator} {_number(generator, right)}"

    return write


def _is_temporal(generator: SQLiteGenerator, node: Any) -> bool:
    type_ = infer(node, _types(generator))
    return type_ is not None and type_.temporal


def _number(generator: SQLiteGenerator, node: Any) -> str:
    """Write an operand of arithmetic; dates and times are the numbers of their digits."""
    return (
        generator.func("digits_of", node) if _is_temporal(generator, node) else generator.sql(node)
    )


def _like(generator: SQLiteGenerator, node: Any) -> str:
    text = generator.binary(node, "NOT LIKE" if node.args.get("negate") else "LIKE")
    return text if isinstance(node.parent, exp.Escape) else f"{text} ESCAPE '\\'"


def _types(generator: SQLiteGenerator) -> Mapping[str, AttributeType | None]:
    types: Mapping[str, AttributeType | None] = getattr(generator, "attribute_types", {})
    return types


#: Functions that give one of their arguments, of which SQLite does not keep the collation.
_CHOICES = (
    exp.Coalesce,
    exp.If,
    exp.Case,
    exp.Greatest,
    exp.Least,
    exp.Nullif,
    exp.Max,
    exp.Min,
    exp.AnyValue,
)


def _column(generator: SQLiteGenerator, node: Any) -> str:
    """Write an attribute; decimals, stored as text, become numbers where functions choose."""
    text = generator.column_sql(node)
    type_ = _types(generator).get(node.name)
    if type_ is not None and type_.category == "decimal" and isinstance(node.parent, _CHOICES):
        return f"CAST({text} AS REAL)"
    return text


def _compare(operator: str) -> Writer:
    """Write a comparison; that of texts is without regard to case, as between columns."""

    def write(generator: SQLiteGenerator, node: Any) -> str:
        left, right = (infer(side, _types(generator)) for side in (node.left, node.right))
        left_text, right_text = generator.sql(node.left), generator.sql(node.right)
        if _is_moment(left) and _is_moment(right) and _digits(left) != _digits(right):
            return f"to_datetime({left_text}) {operator} to_datetime({right_text})"
        if left is not None and left.category == "time" and not isinstance(node.left, exp.Column):
            return f"{left_text} COLLATE time {operator} {right_text}"
        if left is None or not left.is_string:
            return f"{left_text} {operator} {right_text}"
        if right is not None and right.numeric:
            return f"CAST({left_text} AS REAL) {operator} {right_text}"
        if isinstance(node.left, exp.Column):  # which has a collation of its own
            return f"{left_text} {operator} {right_text}"
        return f"{left_text} COLLATE NOCASE {operator} {right_text}"

    return write


def _is_moment(type_: AttributeType | None) -> bool:
    return type_ is not None and type_.category in ("date", "datetime", "timestamp")


def _digits(type_: AttributeType | None) -> int:
    """Tell how many digits the stored text of a moment has after those of a date."""
    return getattr(type_, "digits", -1)


def _sum(generator: SQLiteGenerator, node: Any) -> str:
    """Add decimals exactly; the sum is a text as they are, and of none of them NULL."""
    type_ = infer(node.this, _types(generator))
    if type_ is None or type_.category != "decimal" or isinstance(node.parent, _CHOICES):
        return generator.func("sum", node.this)
    total, number = generator.func("decimal_sum", node.this), generator.func("count", node.this)
    return f"CAST(CASE WHEN {number} THEN {total} END AS TEXT) COLLATE decimal"


def _count(generator: SQLiteGenerator, node: Any) -> str:
    """SQLite counts distinct values of one expression only."""
    argument = node.this
    if isinstance(argument, exp.Distinct) and len(argument.expressions) > 1:
        return f"count(DISTINCT {generator.func('row_text', *argument.expressions)})"
    return generator.func("count", argument)


def _number_or_text(name: str, of_integer: str) -> Writer:
    """Write a function that means something else for integers than for texts."""

    def write(generator: SQLiteGenerator, node: Any) -> str:
        type_ = infer(node.this, _types(generator))
        if type_ is not None and type_.category == "integer":
            return of_integer.format(generator.sql(node.this))
        return generator.func(name, node.this)

    return write


def _extract(generator: SQLiteGenerator, node: Any) -> str:
    return generator.func(node.name.lower(), node.expression)


def _round(generator: SQLiteGenerator, node: Any) -> str:
    return _rounded(generator, node.this, node.args.get("decimals"))


def _rounded(generator: SQLiteGenerator, node: exp.Expr, digits: exp.Expr | None = None) -> str:
    """Round halves of decimals away from zero, and those of floats to even, as MySQL does."""
    type_ = infer(node, _types(generator))
    if digits is None and type_ is not None and type_.category == "integer":
        return f"({generator.sql(node)})"
    name = "round_to_even" if is_double(node, _types(generator)) else "round_to"
    return generator.func(name, node, digits or exp.Literal.number(0))


def _group_concat(generator: SQLiteGenerator, node: Any) -> str:
    """SQLite takes no separator beside DISTINCT, so one aggregate function does it all."""
    argument = node.this
    separator = node.args.get("separator") or exp.Literal.string(",")
    order = ""
    if isinstance(argument, exp.Order):
        order = generator.sql(exp.Order(expressions=argument.expressions))
        argument = argument.this
    if isinstance(argument, exp.Distinct):
        parts = [generator.sql(part) for part in argument.expressions]
        text = parts[0] if len(parts) == 1 else f"concat_values({', '.join(parts)})"
        inner = f"group_concat_distinct({text}, {generator.sql(separator)}{order})"
        return inner
    type_ = infer(argument, _types(generator))
    text = generator.sql(argument)
    if type_ is not None and type_.category == "float":
        text = f"concat_values({text})"
    return f"group_concat({text}, {generator.sql(separator)}{order})"


def _concat(generator: SQLiteGenerator, node: Any) -> str:
    """``||``, unlike SQLite's own ``concat``, gives NULL when an operand is NULL, as MySQL does."""
    types = [infer(part, _types(generator)) for part in node.expressions]
    if all(type_ is not None and type_.category != "float" for type_ in types):
        parts = [f"({generator.sql(part)})" for part in node.expressions]
        return f"({' || '.join(parts)})"
    return generator.func("concat_values", *node.expressions)


def _mod(generator: SQLiteGenerator, node: Any) -> str:
    result = infer(node, _types(generator))
    if result is not None and result.category == "integer":
        return generator.binary(node, "%")
    return generator.func("mod", node.this, node.expression)


def _xor(generator: SQLiteGenerator, node: Any) -> str:
    return f"(({generator.sql(node.left)}) IS TRUE) <> (({generator.sql(node.right)}) IS TRUE)"


def _cast(generator: SQLiteGenerator, node: Any) -> str:
    kind = node.args["to"].sql("mysql").upper()
    if kind.startswith(("DATETIME", "TIMESTAMP")):
        return generator.func("to_datetime", node.this)
    if kind.startswith("DATE"):
        return generator.func("to_date", node.this)
    if kind.startswith("TIME"):
        return generator.func("to_time", node.this)
    if kind.startswith(("SIGNED", "UNSIGNED", "BIGINT", "UBIGINT", "INT")):
        type_ = infer(node.this, _types(generator))
        if type_ is not None and type_.is_string:  # which loses its fraction
            return f"CAST({generator.sql(node.this)} AS INTEGER)"
        return f"CAST({_rounded(generator, node.this)} AS INTEGER)"
    if kind.startswith("DECIMAL"):
        scale = node.args["to"].expressions[1:]
        digits = generator.sql(scale[0]) if scale else "0"
        return f"round_to({generator.sql(node.this)}, {digits})"
    if kind.startswith(("DOUBLE", "FLOAT")):
        return f"CAST({generator.sql(node.this)} AS REAL)"
    return f"CAST({generator.sql(node.this)} AS TEXT)"


_NOW = "datetime('now', 'localtime')"


def _anonymous(generator: SQLiteGenerator, node: Any) -> str:
    """Write a function that the parser has no class for."""
    if node.name.lower() in ("now", "sysdate"):
        return _NOW
    unquoted = unquoted_operand(node)
    return (
        generator.func(node.name, *node.expressions)
        if unquoted is None
        else _json(generator, unquoted)
    )


def _json(generator: SQLiteGenerator, node: exp.Expr) -> str:
    operator = json_operator(node)
    document = generator.sql(operator.document)
    return f"({json_text(document, operator.steps, unquoted=operator.unquoted)}) COLLATE NOCASE"


def _beside_numbers(generator: SQLiteGenerator, node: exp.Expr, others: Sequence[exp.Expr]) -> str:
    """Write a value; a computed text beside numbers as a number."""
    text, types = generator.sql(node), _types(generator)
    found = infer(node, types)
    compared = [infer(other, types) for other in others]
    if found is None or not found.is_string or isinstance(node, exp.Column) or not compared:
        return text
    numbers = all(type_ is not None and type_.numeric for type_ in compared)
    return f"CAST({text} AS REAL)" if numbers else text


def _between(generator: SQLiteGenerator, node: Any) -> str:
    limits = [node.args["low"], node.args["high"]]
    low, high = map(generator.sql, limits)
    return f"{_beside_numbers(generator, node.this, limits)} BETWEEN {low} AND {high}"


def _in(generator: SQLiteGenerator, node: Any) -> str:
    if not node.expressions:
        return generator.in_sql(node)
    members = ", ".join(map(generator.sql, node.expressions))
    return f"{_beside_numbers(generator, node.this, node.expressions)} IN ({members})"


def _extreme(name: str) -> Writer:
    """``greatest`` and ``least``: SQLite's ``max`` and ``min`` of several arguments."""

    def write(generator: SQLiteGenerator, node: Any) -> str:
        return generator.func(name, node.this, *node.expressions)

    return write


class FragmentGenerator(SQLiteGenerator):
    """Writes a parsed MySQL expression for SQLite."""

    attribute_types: Mapping[str, AttributeType | None]

    TRANSFORMS: ClassVar[dict[Any, Any]] = {
        **SQLiteGenerator.TRANSFORMS,
        exp.Add: _plus_or_minus("+"),
        exp.Sub: _plus_or_minus("-"),
        exp.Mod: _mod,
        exp.Xor: _xor,
        exp.Cast: _cast,
        exp.Like: _like,
        exp.Column: _column,
        exp.EQ: _compare("="),
        exp.NEQ: _compare("<>"),
        exp.GT: _compare(">"),
        exp.GTE: _compare(">="),
        exp.LT: _compare("<"),
        exp.LTE: _compare("<="),
        exp.Floor: lambda generator, node: f"CAST(floor({generator.sql(node.this)}) AS INTEGER)",
        exp.Ceil: lambda generator, node: f"CAST(ceil({generator.sql(node.this)}) AS INTEGER)",
        exp.Round: _round,
        exp.Count: _count,
        exp.Sum: _sum,
        exp.Extract: _extract,
        exp.UnixToTime: _call("from_unixtime"),
        exp.Trunc: _call("truncate", "this", "decimals"),
        exp.Hex: _number_or_text("hex", "printf('%X', {})"),
        exp.StrPosition: _call("locate", "substr", "this", "position"),
        exp.Concat: _concat,
        exp.GroupConcat: _group_concat,
        exp.Greatest: _extreme("max"),
        exp.Least: _extreme("min"),
        exp.DateDiff: _call("datediff", "this", "expression"),
        exp.TimestampDiff: _timestampdiff,
        exp.DateAdd: _add_interval("+"),
        exp.DateSub: _add_interval("-"),
        exp.TimeToStr: _call("date_format", "this", "format"),
        exp.TsOrDsToDate: _call("to_date"),
        exp.Date: _call("to_date"),
        exp.Timestamp: _call("to_datetime"),
        exp.Time: _call("to_time"),
        exp.CurrentDate: lambda *_: "date('now', 'localtime')",
        exp.CurrentTime: lambda *_: "time('now', 'localtime')",
        exp.CurrentTimestamp: lambda *_: _NOW,
        exp.Anonymous: _anonymous,
        exp.Between: _between,
        exp.In: _in,
        exp.JSONExtract: _json,
        exp.JSONExtractScalar: _json,
        exp.UtcTimestamp: lambda *_: "datetime('now')",
        exp.Rand: lambda *_: "rand()",
        exp.Stddev: _call("std"),
        exp.StddevPop: _call("std"),
        exp.StddevSamp: _call("stddev_samp"),
        exp.Variance: _call("var_samp"),
        exp.VariancePop: _call("variance"),
        exp.Length: lambda generator, node: generator.func(
            "length" if not node.args.get("binary") else "octet_length", node.this
        ),
        exp.IntDiv: lambda generator, node: (
            f"CAST(({generator.sql(node.left)}) * 1.0 / ({generator.sql(node.right)}) AS INTEGER)"
        ),
        **{
            kind: _call(name)
            for kind, name in (
                (exp.Year, "year"),
                (exp.Month, "month"),
                (exp.Day, "day"),
                (exp.DayOfMonth, "day"),
                (exp.DayOfWeek, "dayofweek"),
                (exp.DayOfYear, "dayofyear"),
                (exp.Hour, "hour"),
                (exp.Minute, "minute"),
                (exp.Second, "second"),
                (exp.Quarter, "quarter"),
                (exp.Week, "week"),
            )
        },
    }


class _FragmentDialect(SQLite):
    Generator = FragmentGenerator


def translate(tree: exp.Expr, types: Mapping[str, AttributeType | None], condition: bool) -> str:
    """Write a parsed fragment for SQLite, where truth is a number."""
    generator = FragmentGenerator(dialect=_FragmentDialect(), unsupported_level=ErrorLevel.IGNORE)
    generator.attribute_types = types
    return generator.generate(tree, copy=False)


# -- the dialect ----------------------------------------------------------------------------------


def _encode_literal(value: Any, compared_with: AttributeType | None) -> Any:
    """Bring a literal into the stored form of what it is compared with.

    No digit is rounded away and a string of another form stays as it is, so that a comparison
    never means something else.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)  # which is compared as well
    if compared_with is None or isinstance(value, float):
        return value
    category = compared_with.category
    given = value
    if isinstance(value, int):  # of dates, as in 20200131
        if category not in ("date", "datetime", "timestamp"):
            return value
        value = str(value)
    try:
        if category in ("integer", "float", "bool", "year") or (
            category == "decimal" and len(value) <= 15
        ):
            number = float(leading_number(value))
            return int(number) if number.is_integer() else number
        if category == "date":
            moment = to_datetime(value)
            midnight = moment.time() == dt.time()
            return moment.date().isoformat() if midnight else _datetime_text(moment, 6)
        if category in ("datetime", "timestamp"):
            moment = to_datetime(value)
            digits: int = compared_with.digits  # type: ignore[attr-defined]
            fits = moment.microsecond % 10 ** (6 - digits) == 0
            return _datetime_text(moment, digits if fits else 6)
        if category == "time":
            duration = parse_type("time(6)").encode(value)
            return time_text(duration, 6 if duration.microseconds else compared_with.digits)  # type: ignore[attr-defined]
    except ValueError:
        pass
    return given


_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


def leading_number(text: str) -> str:
    """Read the number with which a text begins, which is 0 where there is none, as MySQL does."""
    match = _NUMBER.match(text)
    return match[0] if match else "0"


def _computed(expression: SQL, type_: AttributeType | None) -> SQL:
    """Give computed texts the collation of stored ones."""
    if type_ is not None and type_.is_string:
        return SQL("(", expression, ") COLLATE NOCASE")
    return expression


#: NOCASE knows the letters of ASCII only.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _key_set(rows: Sequence[tuple[Any, ...]], types: Sequence[AttributeType | None]) -> SQL:
    if len(types) == 1:
        values = json.dumps([row[0] for row in rows])
        return SQL("SELECT value FROM json_each(", Param(values), ")")
    columns = ", ".join(f"value ->> {i}" for i in range(len(types)))
    return SQL(f"SELECT {columns} FROM json_each(", Param(json.dumps(rows)), ")")


def _assigned(column: str, source: AttributeType | None, type_: AttributeType | None) -> str:
    """Write a value in the form that is stored; what has none stays as it is, and is refused."""
    if isinstance(type_, String) and type_.fixed:
        return f"rtrim({column}, ' ')"
    if isinstance(type_, Enum):
        cases = " ".join(f"WHEN {literal(m)} THEN {literal(m)}" for m in type_.members)
        return f"CASE {column} COLLATE NOCASE {cases} ELSE {column} END"
    if isinstance(type_, DecimalType):
        digits = f"printf('%.{type_.scale}f', {column})"
        return f"CASE WHEN typeof({column}) IN ('real', 'integer') THEN {digits} ELSE {column} END"
    if isinstance(type_, Date):
        return f"coalesce(date({column}), {column})"
    if isinstance(type_, DateTime):
        midnight = " 00:00:00" + ("." + "0" * type_.digits if type_.digits else "")
        return f"CASE WHEN length({column}) = 10 THEN {column} || '{midnight}' ELSE {column} END"
    return column


DIALECT = Dialect(
    quote_mark='"',
    placeholder="?",
    qualify=lambda quote, schema, table: quote(f"{schema}.{table}"),
    translate=translate,
    storage=STORAGE,
    encode_literal=_encode_literal,
    folded=lambda text: text.translate(_LOWER),
    key_set=_key_set,
    json_value=json_value,
    json_equals=json_equals,
    inserts={
        "insert": ("INSERT INTO", lambda table, key, rest: ""),
        "replace": ("INSERT INTO", on_conflict_replace),
        "skip": ("INSERT INTO", on_conflict_skip),
    },
    computed=_computed,
    assigned=_assigned,
    plans_exists=False,
)
