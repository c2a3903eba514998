"""Fragments that users write, in the SQL of SQLite: conditions and expressions in MySQL's flavour.

Functions of MySQL that SQLite lacks keep their names here; the backend registers them on its
connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel
from sqlglot.generators.sqlite import SQLiteGenerator

from ..types import AttributeType
from .inference import infer, is_double
from .json_operators import json_operator, unquoted_operand
from .sqlite_json import json_text

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
