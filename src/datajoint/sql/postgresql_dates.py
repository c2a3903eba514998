"""The SQL of PostgreSQL: what fragments compute of dates and times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from .fragment import constant_text
from .postgresql_values import (
    FragmentGenerator,
    Writer,
    as_duration,
    as_integer,
    as_moment,
    as_number,
    as_text,
    enclosed,
    from_template,
    is_duration,
    kind_of,
)
from .text import literal

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


def unit_of(node: Any) -> str:
    """Find the unit of an interval, in the singular."""
    unit = node.args.get("unit")
    name = unit.name if isinstance(unit, exp.Expr) else str(unit or "DAY")
    return name.upper().removesuffix("S")


def _interval(g: FragmentGenerator, amount: exp.Expr, unit: str) -> str:
    if unit not in _UNITS:  # such as DAY_HOUR
        return f"CAST({as_text(g, amount)} AS interval {unit.replace('_', ' TO ')})"
    argument, factor = _UNITS[unit]
    count = as_number(g, amount) if argument == "secs" else as_integer(g, amount)
    return f"make_interval({argument} => {count}{factor})"


def shifted(
    g: FragmentGenerator, start: exp.Expr, operator: str, amount: exp.Expr, unit: str
) -> str:
    """Add an interval, or subtract it."""
    change = f"{operator} {_interval(g, amount, unit)}"
    kind = kind_of(g, start)
    if kind == "date" and unit in _DAYS:
        return f"CAST({enclosed(g, start)} {change} AS date)"
    if kind != "text":
        return f"({enclosed(g, start)} {change})"
    form = "'YYYY-MM-DD HH24:MI:SS'"
    if unit in _DAYS:
        form = f"CASE WHEN length({g.sql(start)}) > 10 THEN {form} ELSE 'YYYY-MM-DD' END"
    return f"to_char({as_moment(g, start)} {change}, {form})"


def _date_add(operator: str) -> Writer:
    """Write functions that add an interval: with its unit, as one argument, or in days."""

    def write(g: FragmentGenerator, node: Any) -> str:
        start, amount = node.expressions or (node.this, node.expression)
        if isinstance(amount, exp.Interval):
            return shifted(g, start, operator, amount.this, unit_of(amount))
        return shifted(g, start, operator, amount, unit_of(node))

    return write


def _timestampdiff(g: FragmentGenerator, node: Any) -> str:
    start, end, unit = as_moment(g, node.expression), as_moment(g, node.this), unit_of(node)
    if unit in _MONTHS:
        age = f"age({end}, {start})"
        months = f"EXTRACT(YEAR FROM {age}) * 12 + EXTRACT(MONTH FROM {age})"
        return f"CAST(trunc(({months}) / {_MONTHS[unit]}) AS bigint)"
    seconds = f"EXTRACT(EPOCH FROM {end} - {start})"
    if unit == "MICROSECOND":
        return f"CAST({seconds} * 1000000 AS bigint)"
    return f"CAST(trunc({seconds} / {_SECONDS[unit]}) AS bigint)"


def _timediff(g: FragmentGenerator, node: Any) -> str:
    durations = all(is_duration(g, argument) for argument in node.expressions)
    left, right = ((as_duration if durations else as_moment)(g, a) for a in node.expressions)
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
    if part in _PARTS_OF_DURATION and is_duration(g, node):
        return f"CAST({_PARTS_OF_DURATION[part].format(as_duration(g, node))} AS integer)"
    template = _PARTS.get(part, f"EXTRACT({part} FROM {{0}})")
    return f"CAST({template.format(as_moment(g, node))} AS integer)"


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
    return _formatted(as_moment(g, node.this), form)


def _str_to_date(g: FragmentGenerator, node: Any) -> str:
    form = node.args["format"].name
    kind = "timestamp" if re.search("%-?[HIMSfTr]", form) else "date"
    return f"CAST(to_timestamp({as_text(g, node.this)}, {_format(form)}) AS {kind})"


def _from_unixtime(g: FragmentGenerator, node: Any) -> str:
    moment = f"CAST(to_timestamp({as_number(g, node.this)}) AS timestamp)"
    form = node.args.get("format")
    return moment if form is None else _formatted(moment, form.name)


def _unix_timestamp(g: FragmentGenerator, node: Any) -> str:
    moment = as_moment(g, node.expressions[0]) if node.expressions else "statement_timestamp()"
    return f"CAST(floor(EXTRACT(EPOCH FROM CAST({moment} AS timestamptz))) AS bigint)"


def _now(clock: str) -> Writer:
    """Write a clock's time; MySQL's has whole seconds unless digits are asked for."""

    def write(g: FragmentGenerator, node: Any) -> str:
        digits = node.expressions[0] if node.expressions else node.this
        if isinstance(digits, exp.Expr):
            return f"CAST({clock} AS timestamp({digits.name}))"
        return f"date_trunc('second', CAST({clock} AS timestamp))"

    return write


# -- the tables -----------------------------------------------------------------------------------

_UTC = "date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')"

#: Functions that the parser has no class for.
NAMED: Mapping[str, Writer | str] = {
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
}

_TEMPLATES = {
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

TRANSFORMS: Mapping[Any, Writer] = {
    **{kind: from_template(text) for kind, text in _TEMPLATES.items()},
    **{kind: _part(kind.__name__.upper()) for kind in _PART_FUNCTIONS},
    exp.Week: _week,
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
}
