"""What type the result of a parsed expression has, as far as the types of its attributes tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from ..grammar import parse_type
from ..types import AttributeType, Decimal, Float

_BIGINT = parse_type("bigint")
_DOUBLE = parse_type("double")
_DATE = parse_type("date")
_DATETIME = parse_type("datetime")
_TIME = parse_type("time")
_TEXT = parse_type("varchar(65535)")

_RESULTS: tuple[tuple[tuple[type[exp.Expr], ...], AttributeType], ...] = (
    (
        (
            exp.Count,
            exp.Predicate,
            exp.Connector,
            exp.Not,
            exp.Boolean,
            exp.IntDiv,
            exp.DateDiff,
            exp.TimestampDiff,
            exp.Year,
            exp.Month,
            exp.Day,
            exp.Hour,
            exp.Minute,
            exp.Second,
            exp.DayOfWeek,
            exp.DayOfMonth,
            exp.DayOfYear,
            exp.Week,
            exp.Quarter,
            exp.Length,
            exp.Floor,
            exp.Ceil,
            exp.Extract,
            exp.StrPosition,
            exp.Sign,
            exp.WeekOfYear,
        ),
        _BIGINT,
    ),
    ((exp.Avg, exp.Div, exp.Stddev, exp.StddevPop, exp.Variance, exp.VariancePop), _DOUBLE),
    ((exp.Rand, exp.Sqrt, exp.Exp, exp.Ln, exp.Log, exp.Pow), _DOUBLE),
    ((exp.CurrentDate, exp.UtcDate, exp.TsOrDsToDate, exp.Date, exp.LastDay), _DATE),
    ((exp.CurrentTimestamp, exp.Localtime, exp.UtcTimestamp, exp.Timestamp), _DATETIME),
    ((exp.TsOrDsToTimestamp, exp.UnixToTime), _DATETIME),
    ((exp.Time, exp.TimeFromParts, exp.CurrentTime, exp.UtcTime), _TIME),
    (
        (
            exp.Concat,
            exp.ConcatWs,
            exp.Upper,
            exp.Lower,
            exp.Substring,
            exp.Trim,
            exp.GroupConcat,
            exp.Left,
            exp.Right,
            exp.Replace,
            exp.TimeToStr,
            exp.SubstringIndex,
            exp.Pad,
            exp.Repeat,
            exp.Reverse,
            exp.Space,
            exp.Hex,
            exp.MD5,
            exp.Dayname,
            exp.Elt,
            exp.NumberToStr,
            exp.RegexpReplace,
            exp.RegexpSubstr,
            exp.JSONExtract,
            exp.JSONExtractScalar,
        ),
        _TEXT,
    ),
)
#: Functions that the parser has no class for.
_NAMED_RESULTS = {
    "now": _DATETIME,
    "sysdate": _DATETIME,
    "timediff": _TIME,
    "weekday": _BIGINT,
    "unix_timestamp": _BIGINT,
    "from_unixtime": _DATETIME,
    "time_to_sec": _BIGINT,
    "sec_to_time": _TIME,
    "makedate": _DATE,
    "from_days": _DATE,
    "microsecond": _BIGINT,
    "field": _BIGINT,
    "find_in_set": _BIGINT,
    "octet_length": _BIGINT,
    "strcmp": _BIGINT,
    "mid": _TEXT,
    "json_unquote": _TEXT,
}
_SAME_AS_ARGUMENT = (
    exp.Max,
    exp.Min,
    exp.AnyValue,
    exp.Paren,
    exp.Distinct,
    exp.Nullif,
)


_DOUBLE_FUNCTIONS = (
    exp.Sqrt,
    exp.Exp,
    exp.Ln,
    exp.Log,
    exp.Pow,
    exp.Rand,
    exp.Pi,
)


def infer(node: exp.Expr, types: Mapping[str, AttributeType | None]) -> AttributeType | None:
    """Infer the type of an expression from the types of its attributes.

    Parameters
    ----------
    node : sqlglot expression
    types : mapping
        Attribute name → type.

    Returns
    -------
    AttributeType or None
        None when the type is not known.
    """
    if isinstance(node, exp.Column):
        return types.get(node.name)
    if isinstance(node, exp.Literal):
        return _TEXT if node.is_string else _number_type(node.name)
    if isinstance(node, (exp.If, exp.Case)):
        branches = [b for b in (node.args.get("true"), node.args.get("false")) if b is not None]
        branches += [case.args["true"] for case in node.args.get("ifs", ())]
        branches += [node.args["default"]] if node.args.get("default") is not None else []
        return _common_type(branches, types)
    if isinstance(node, exp.Cast):
        return _cast_type(node.to.sql("mysql"))
    if isinstance(node, (exp.Add, exp.Sub)):
        interval = next((n for n in (node.right, node.left) if isinstance(n, exp.Interval)), None)
        if interval is not None:
            start = node.left if interval is node.right else node.right
            return _interval_sum_type(infer(start, types), str(interval.args.get("unit", "")))
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Mod)):
        return _arithmetic_type(infer(node.left, types), infer(node.right, types))
    if isinstance(node, exp.Sum):
        return _sum_type(infer(node.this, types))
    if isinstance(node, exp.Coalesce):
        return _common_type([node.this, *node.expressions], types)
    if isinstance(node, (exp.Neg, exp.Abs)):
        argument = infer(node.this, types)
        if _is_bool(argument):
            return _BIGINT
        return argument if argument is None or argument.numeric else _DOUBLE
    if isinstance(node, (exp.Greatest, exp.Least)):
        return _compared_type([node.this, *node.expressions], types)
    if isinstance(node, _SAME_AS_ARGUMENT):
        return _first_known([node.this, *node.expressions], types)
    if isinstance(node, (exp.DateAdd, exp.DateSub, exp.TimestampAdd)):
        return _interval_sum_type(infer(node.this, types), str(node.args.get("unit", "")))
    if isinstance(node, exp.UnixToTime) and node.args.get("format") is not None:
        return _TEXT
    if isinstance(node, exp.Anonymous):
        return _NAMED_RESULTS.get(node.name.lower())
    for classes, result in _RESULTS:
        if isinstance(node, classes):
            return result
    if isinstance(node, (exp.Round, exp.Trunc)):
        argument = infer(node.this, types)
        return argument if argument is not None and argument.category == "integer" else _DOUBLE
    return None


def is_double(node: exp.Expr, types: Mapping[str, AttributeType | None]) -> bool:
    """Tell whether MySQL calculates a number in double precision, and so rounds halves to even.

    Parameters are those of :func:`infer`.
    """
    return node.find(*_DOUBLE_FUNCTIONS) is not None or any(
        isinstance(infer(column, types), Float) for column in node.find_all(exp.Column)
    )


def _number_type(text: str) -> AttributeType:
    return _DOUBLE if set(text) & set(".eEf") else _BIGINT


def _first_known(
    nodes: list[Any], types: Mapping[str, AttributeType | None]
) -> AttributeType | None:
    """Infer the type of the first node of which it is known; a number beside a bool wins."""
    first = None
    for node in nodes:
        found = infer(node, types) if isinstance(node, exp.Expr) else None
        if found is not None and not _is_bool(found):
            return found
        first = first or found
    return first


def _common_type(
    nodes: list[exp.Expr], types: Mapping[str, AttributeType | None]
) -> AttributeType | None:
    """Infer the type of one of several values: a text if only some of them are texts."""
    found = [type_ for node in nodes if (type_ := infer(node, types)) is not None]
    if any(type_.is_string for type_ in found) and not all(type_.is_string for type_ in found):
        return _TEXT
    first = _first_known(nodes, types)
    if first is not None and first.category == "date":  # unless another has hours
        return next((t for t in found if t.category in ("datetime", "timestamp")), first)
    return first


def _compared_type(
    nodes: list[exp.Expr], types: Mapping[str, AttributeType | None]
) -> AttributeType | None:
    """Infer the type of the greatest of several values; texts become what the others are."""
    common = _common_type(nodes, types)
    if common is not _TEXT:
        return common
    others = [node for node in nodes if not ((t := infer(node, types)) and t.is_string)]
    found = _first_known(others, types)
    return _DOUBLE if found is not None and found.numeric else found or _TEXT


def _is_bool(type_: AttributeType | None) -> bool:
    return type_ is not None and type_.category == "bool"


def _arithmetic_type(left: AttributeType | None, right: AttributeType | None) -> AttributeType:
    whole = ("integer", "bool", "year")
    both = all(side is not None and side.category in whole for side in (left, right))
    return _BIGINT if both else _DOUBLE


def _sum_type(argument: AttributeType | None) -> AttributeType:
    """Give a sum of decimals as many digits after the point as they have."""
    if isinstance(argument, Decimal):
        return parse_type(f"decimal(65,{argument.scale})")
    return _arithmetic_type(argument, _BIGINT)


def _interval_sum_type(start: AttributeType | None, unit: str) -> AttributeType | None:
    if start is not None and start.category == "date":
        days = unit.strip("'\"").upper().rstrip("S") in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
        return _DATE if days else _DATETIME
    if start is not None and start.category in ("datetime", "timestamp"):
        return _DATETIME
    return start


def _cast_type(text: str) -> AttributeType | None:
    name = text.lower()
    if name.startswith(("signed", "unsigned", "bigint", "int", "ubigint")):
        return _BIGINT
    if name.startswith(("char", "varchar", "text", "nchar")):
        return _TEXT
    if name.startswith("timestamp"):
        return _DATETIME
    if name.startswith(("double", "float", "date", "decimal", "time")):
        return parse_type(name)
    return None
