"""Functions of MySQL that SQLite lacks, registered on every connection.

They take and return stored values (see :mod:`datajoint.sql.sqlite`): dates and times are text.
Wrong input gives NULL, as in MySQL.
"""

from __future__ import annotations

import calendar
import datetime as dt
import decimal
import json
import math
import random
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import apsw
import apsw.sqlite_extra

from ..alter import brought
from ..errors import DataJointError
from ..grammar import parse_type
from ..sql.sqlite import DIALECT, leading_number, time_value
from ..types import time_text, to_datetime

Function = Callable[..., Any]


def _strict(function: Function) -> Function:
    """Give NULL for NULL, and for what the function cannot take."""

    def wrapper(*values: Any) -> Any:
        if None in values:
            return None
        try:
            return function(*values)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None

    return wrapper


def _write_moment(moment: dt.datetime) -> str:
    text = moment.isoformat(" ", "microseconds")
    return text if moment.microsecond else text[:19]


def _has_time(text: str) -> bool:
    return ":" in text


#: The first day of a year that Python has not; what the parser makes of TO_DAYS refers to it.
_YEAR_0 = "0000-01-01"

# -- dates and times ------------------------------------------------------------------------------


def _to_date(value: str) -> str:
    return value if value == _YEAR_0 else to_datetime(value).date().isoformat()


def _to_datetime(value: str) -> str:
    return _write_moment(to_datetime(value))


def _to_time(value: str) -> str:
    if "-" in value[1:]:
        moment = to_datetime(value)
        return _write_moment(moment)[11:]
    duration = time_value(value)
    return time_text(duration, 6 if duration.microseconds else 0)


def _datediff(later: str, earlier: str) -> int:
    return _day_number(later) - _day_number(earlier)


def _day_number(value: str) -> int:
    """Count days."""
    return -364 if value == _YEAR_0 else to_datetime(value).toordinal()


_MICROSECONDS = {
    "MICROSECOND": 1,
    "SECOND": 10**6,
    "MINUTE": 60 * 10**6,
    "HOUR": 3600 * 10**6,
    "DAY": 86400 * 10**6,
    "WEEK": 7 * 86400 * 10**6,
}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def _timestampdiff(unit: str, earlier: str, later: str) -> int:
    start, end = to_datetime(earlier), to_datetime(later)
    if unit in _MICROSECONDS:
        return math.trunc((end - start) / dt.timedelta(microseconds=_MICROSECONDS[unit]))
    sign = 1 if end >= start else -1
    start, end = min(start, end), max(start, end)
    months = (end.year - start.year) * 12 + end.month - start.month
    if (end.day, end.time()) < (start.day, start.time()):
        months -= 1
    return sign * (months // _MONTHS[unit])


def _add_months(moment: dt.datetime, months: int) -> dt.datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _add_interval(start: str, sign: str, amount: float, unit: str) -> str:
    number = float(amount) * (-1 if sign == "-" else 1)
    if "-" not in start[1:]:  # a time of day or a duration
        total = time_value(start) + dt.timedelta(microseconds=number * _MICROSECONDS[unit])
        return time_text(total, 6 if total.microseconds else 0)
    moment = to_datetime(start)
    if unit in _MONTHS:
        moment = _add_months(moment, round(number) * _MONTHS[unit])
    else:
        moment += dt.timedelta(microseconds=number * _MICROSECONDS[unit])
    whole_days = unit in _MONTHS or unit in ("DAY", "WEEK")
    return (
        moment.date().isoformat() if whole_days and not _has_time(start) else _write_moment(moment)
    )


def _timediff(left: str, right: str) -> str:
    if "-" in left[1:]:
        difference = to_datetime(left) - to_datetime(right)
    else:
        difference = time_value(left) - time_value(right)
    return time_text(difference, 6 if difference.microseconds else 0)


def _digits_of(value: str, other: str = "0", sign: int = 1) -> int | float:
    """Read a date, a time or both as the number that its digits make; add another one."""
    first, second = (text[:1] + re.sub("[-: ]", "", text[1:]) for text in (value, other))
    total = decimal.Decimal(first) + sign * decimal.Decimal(second)
    return int(total) if total == total.to_integral_value() else float(total)


def _part(get: Callable[[dt.datetime], int]) -> Function:
    return lambda value: get(to_datetime(value))


def _time_part(get: Callable[[int], int]) -> Function:
    def part(value: str) -> int:
        if "-" in value[1:]:
            moment = to_datetime(value)
            return get(moment.hour * 3600 + moment.minute * 60 + moment.second)
        return get(abs(time_value(value)) // dt.timedelta(seconds=1))

    return part


def _time_to_sec(value: str) -> int:
    return time_value(_to_time(value)) // dt.timedelta(seconds=1)


def _last_day(value: str) -> str:
    day = to_datetime(value).date()
    return day.replace(day=calendar.monthrange(day.year, day.month)[1]).isoformat()


_FORMATS: dict[str, Callable[[dt.datetime], str]] = {
    "a": lambda m: calendar.day_abbr[m.weekday()],
    "b": lambda m: calendar.month_abbr[m.month],
    "c": lambda m: str(m.month),
    "d": lambda m: f"{m.day:02d}",
    "e": lambda m: str(m.day),
    "f": lambda m: f"{m.microsecond:06d}",
    "H": lambda m: f"{m.hour:02d}",
    "h": lambda m: f"{(m.hour - 1) % 12 + 1:02d}",
    "I": lambda m: f"{(m.hour - 1) % 12 + 1:02d}",
    "i": lambda m: f"{m.minute:02d}",
    "j": lambda m: f"{m.timetuple().tm_yday:03d}",
    "k": lambda m: str(m.hour),
    "l": lambda m: str((m.hour - 1) % 12 + 1),
    "M": lambda m: calendar.month_name[m.month],
    "m": lambda m: f"{m.month:02d}",
    "p": lambda m: "AM" if m.hour < 12 else "PM",
    "S": lambda m: f"{m.second:02d}",
    "s": lambda m: f"{m.second:02d}",
    "T": lambda m: f"{m:%H:%M:%S}",
    "W": lambda m: calendar.day_name[m.weekday()],
    "w": lambda m: str((m.weekday() + 1) % 7),
    "Y": lambda m: f"{m.year:04d}",
    "y": lambda m: f"{m.year % 100:02d}",
    "%": lambda m: "%",
}
# The parser has brought the format to Python's letters where they differ from MySQL's.
_PYTHON_FORMATS = _FORMATS | {"M": _FORMATS["i"], "B": _FORMATS["M"], "A": _FORMATS["W"]}


def _date_format(value: str, pattern: str) -> str:
    moment = to_datetime(value)

    def write(match: re.Match[str]) -> str:
        letter = _PYTHON_FORMATS.get(match[2])
        text = letter(moment) if letter else match[2]
        return text.lstrip("0") or "0" if match[1] else text

    return re.sub(r"%(-?)(.)", write, pattern)


def _unix_timestamp(*value: str) -> float:
    moment = to_datetime(value[0]) if value else dt.datetime.now().replace(microsecond=0)
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _from_unixtime(seconds: float) -> str:
    return _write_moment(dt.datetime.fromtimestamp(float(seconds)))


def _week(value: str) -> int:
    """Weeks begin on Sunday and count from 0, MySQL's default mode."""
    return int(to_datetime(value).strftime("%U"))


# -- text and numbers -----------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def _regexp(pattern: str, value: Any) -> bool:
    return _pattern(pattern).search(str(value)) is not None


def _substring_index(text: str, separator: str, count: int) -> str:
    parts = text.split(separator)
    return separator.join(parts[:count] if count >= 0 else parts[count:])


def _truncate(value: Any, digits: int) -> float:
    step = decimal.Decimal(1).scaleb(-digits)
    return float(decimal.Decimal(str(value)).quantize(step, decimal.ROUND_DOWN))


def _round_to(value: Any, digits: int) -> float:
    number = decimal.Decimal(leading_number(str(value)))
    if number.as_tuple().exponent >= -digits:  # type: ignore[operator]  # it is finite
        return float(number)
    step = decimal.Decimal(1).scaleb(-digits)
    return float(number.quantize(step, decimal.ROUND_HALF_UP, _WIDE))


def _round_to_even(value: Any, digits: int) -> float:
    number, power = float(leading_number(str(value))), 10.0 ** abs(digits)
    scaled = number * power if digits >= 0 else number / power
    if not math.isfinite(scaled):
        return number
    return round(scaled) / power if digits >= 0 else round(scaled) * power


#: Decimals of MySQL have 65 digits; numbers of double precision have up to 309.
_WIDE = decimal.Context(prec=400)


def _text_of(value: Any) -> str:
    """Write a value as MySQL does: no fraction where a number is whole."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _concat(*values: Any) -> str:
    return "".join(map(_text_of, values))


def _locate(part: Any, text: Any, start: int = 1) -> int:
    return str(text).casefold().find(str(part).casefold(), start - 1) + 1


def _pad(text: Any, size: int, pad: str, *, left: bool) -> str:
    filling = (pad * size)[: max(size - len(str(text)), 0)]
    return filling + str(text)[:size] if left else str(text)[:size] + filling


def _field(*values: Any) -> int:
    """Find a value among others; they are compared as texts if all are, and else as numbers."""
    value, *members = values
    texts = all(isinstance(v, (str, type(None))) for v in values)

    def comparand(value: Any) -> Any:
        return value.casefold() if texts else float(leading_number(str(value)))

    found = (
        i
        for i, member in enumerate(members, 1)
        if None not in (value, member) and comparand(member) == comparand(value)
    )
    return next(found, 0)


def _json_equals(document: str, other: str) -> bool:
    return bool(_comparable(json.loads(document)) == _comparable(json.loads(other)))


def _comparable(value: Any) -> Any:
    """Tell true from 1 and false from 0, which are equal in Python, inside of a document."""
    if isinstance(value, bool):
        return str(value), bool
    if isinstance(value, dict):
        return {key: _comparable(member) for key, member in value.items()}
    return [_comparable(member) for member in value] if isinstance(value, list) else value


_FUNCTIONS: dict[str, tuple[Function, int]] = {
    "digits_of": (_digits_of, -1),
    "to_date": (_to_date, 1),
    "to_datetime": (_to_datetime, 1),
    "to_time": (_to_time, 1),
    "datediff": (_datediff, 2),
    "timestampdiff": (_timestampdiff, 3),
    "add_interval": (_add_interval, 4),
    "timediff": (_timediff, 2),
    "date_format": (_date_format, 2),
    "from_unixtime": (_from_unixtime, 1),
    "year": (_part(lambda m: m.year), 1),
    "month": (_part(lambda m: m.month), 1),
    "day": (_part(lambda m: m.day), 1),
    "quarter": (_part(lambda m: (m.month + 2) // 3), 1),
    "weekday": (_part(lambda m: m.weekday()), 1),
    "dayofweek": (_part(lambda m: (m.weekday() + 1) % 7 + 1), 1),
    "dayofyear": (_part(lambda m: m.timetuple().tm_yday), 1),
    "week": (_week, 1),
    "hour": (_time_part(lambda seconds: seconds // 3600), 1),
    "minute": (_time_part(lambda seconds: seconds // 60 % 60), 1),
    "second": (_time_part(lambda seconds: seconds % 60), 1),
    "time_to_sec": (_time_to_sec, 1),
    "dayname": (lambda value: calendar.day_name[to_datetime(value).weekday()], 1),
    "monthname": (lambda value: calendar.month_name[to_datetime(value).month], 1),
    "last_day": (_last_day, 1),
    "upper": (lambda text: str(text).upper(), 1),
    "lower": (lambda text: str(text).lower(), 1),
    "regexp": (_regexp, 2),
    "substring_index": (_substring_index, 3),
    "truncate": (_truncate, 2),
    "left": (lambda text, size: str(text)[: max(size, 0)], 2),
    "right": (lambda text, size: str(text)[len(str(text)) - min(size, len(str(text))) :], 2),
    "lpad": (partial(_pad, left=True), 3),
    "rpad": (partial(_pad, left=False), 3),
    "round_to": (_round_to, 2),
    "round_to_even": (_round_to_even, 2),
    "concat_values": (_concat, -1),
    "json_equals": (_json_equals, 2),
    "row_text": (lambda *values: json.dumps(values), -1),
    "locate": (_locate, -1),
    "repeat": (lambda text, count: str(text) * count, 2),
    "reverse": (lambda text: str(text)[::-1], 1),
}


# -- aggregates -----------------------------------------------------------------------------------


class _Variance:
    """Population variance and what follows from it, in one pass (Welford's algorithm)."""

    def __init__(self, result: Callable[[float, int], float | None]) -> None:
        self._result = result
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def step(self, *values: Any) -> None:
        (value,) = values
        if value is None:
            return
        self._count += 1
        delta = float(value) - self._mean
        self._mean += delta / self._count
        self._squares += delta * (float(value) - self._mean)

    def final(self) -> float | None:
        return self._result(self._squares, self._count) if self._count else None


class _GroupConcatDistinct:
    """``GROUP_CONCAT(DISTINCT … SEPARATOR …)``, which SQLite has with commas only."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._separator = ","

    def step(self, *values: Any) -> None:
        value, separator = values
        if value is not None:
            self._separator = separator
            self._values.setdefault(str(value).casefold(), str(value))

    def final(self) -> str | None:
        return self._separator.join(self._values.values()) if self._values else None


_VARIANCES: dict[str, Callable[[float, int], float | None]] = {
    "variance": lambda squares, count: squares / count,
    "std": lambda squares, count: math.sqrt(squares / count),
    "var_samp": lambda squares, count: squares / (count - 1) if count > 1 else None,
    "stddev_samp": lambda squares, count: math.sqrt(squares / (count - 1)) if count > 1 else None,
}


def _compare_times(left: str, right: str) -> int:
    try:
        first, second = time_value(left), time_value(right)
    except ValueError:
        return (left > right) - (left < right)
    return (first > second) - (first < second)


def _retyped(*arguments: Any) -> Any:
    """Bring a stored value, the first argument, from one attribute type to another."""
    value, old, new = arguments
    if value is None:
        return None
    old_type, new_type = parse_type(old), parse_type(new)
    decode = DIALECT.decoder(old_type)
    try:
        given = brought(value if decode is None else decode(value), old_type, new_type)
        return DIALECT.encode(given, new_type)
    except ValueError as error:
        raise DataJointError(f"{value!r} cannot be of type `{new}`: it {error}") from None


def register(connection: apsw.Connection) -> None:
    """Register the functions and collations on a connection."""
    apsw.sqlite_extra.load(connection, "decimal")
    connection.create_collation("time", _compare_times)
    connection.create_scalar_function("rand", lambda *_: random.random(), 0)
    connection.create_scalar_function("unix_timestamp", _strict(_unix_timestamp), -1)
    for name, (function, arguments) in _FUNCTIONS.items():
        connection.create_scalar_function(name, _strict(function), arguments, deterministic=True)
    connection.create_scalar_function("field", _field, -1, deterministic=True)
    connection.create_scalar_function("retyped", _retyped, 3, deterministic=True)
    for name, result in _VARIANCES.items():
        connection.create_aggregate_function(name, partial(_Variance, result), 1)
    connection.create_aggregate_function("group_concat_distinct", _GroupConcatDistinct, 2)
