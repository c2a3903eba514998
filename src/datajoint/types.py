"""Attribute types, and the values that they admit.

A type text such as ``decimal(5,1) unsigned`` is parsed (:mod:`datajoint.grammar`) into an immutable
:class:`AttributeType`, which brings every value that a user may give into one canonical Python
value or says why it cannot. How canonical values are stored is the business of each database's
dialect.

Manual 5.6; storage formats 2.3 and 2.11.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import numbers
import re
import struct
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from .errors import DataJointError


class NotAdmitted(ValueError):
    """A value is of the right kind but not one that the type admits; no entity can have it."""


@dataclass(frozen=True)
class AttributeType:
    """The type of an attribute: one subclass for each category of types.

    Attributes
    ----------
    text : str
        The type as written in the definition.
    """

    text: str

    category: ClassVar[str] = ""
    numeric: ClassVar[bool] = False
    is_string: ClassVar[bool] = False
    is_blob: ClassVar[bool] = False
    #: Whether values are known to the database as bytes only, by which nothing is found.
    is_opaque: ClassVar[bool] = False
    temporal: ClassVar[bool] = False
    in_key_allowed: ClassVar[bool] = True
    numpy_dtype: ClassVar[str] = "O"

    def encode(self, value: Any) -> Any:
        """Bring a value into the canonical form that is stored.

        Parameters
        ----------
        value
            Neither None nor an empty value of a numeric type: those stand for the default.

        Raises
        ------
        ValueError
            Says why the type does not admit the value.
        """
        raise NotImplementedError

    def holds(self, value: Any) -> bool:
        """Tell whether nothing of a value is rounded or cut off when it is encoded."""
        return True

    def is_missing(self, value: Any) -> bool:
        """Tell whether a value stands for the default: None, NaN, NaT; '' for numbers."""
        return value is None or is_nan(value)

    @property
    def stored(self) -> AttributeType:
        """The type of what the database has."""
        return self

    def same_as(self, other: AttributeType) -> bool:
        """Tell whether another type, perhaps written in another way, is the same."""
        return replace(self, text="") == replace(other, text="")

    def __str__(self) -> str:
        return self.text


_NUMBER = re.compile(
    r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*|\s*[-+]?inf(?:inity)?\s*",
    re.ASCII | re.IGNORECASE,
)


def _round_half_up(value: decimal.Decimal, digits: int) -> decimal.Decimal:
    """Round as the database servers do: halves away from zero."""
    if value.adjusted() > 99:
        raise NotAdmitted("is out of range")
    with decimal.localcontext() as context:
        context.prec = 200
        return value.quantize(decimal.Decimal(1).scaleb(-digits), decimal.ROUND_HALF_UP)


def _check_number(value: Any) -> None:
    """Refuse what Python, but no database, takes for a number."""
    if isinstance(value, (bytes, bytearray)) or (
        isinstance(value, str) and not _NUMBER.fullmatch(value)
    ):
        raise ValueError("is not a number")


def _is_bool(value: Any) -> bool:
    """Tell whether a value is a bool of Python or NumPy."""
    return type(value).__name__ in ("bool", "bool_")


def _to_decimal(value: Any) -> decimal.Decimal:
    """Read any number or numeric string exactly as it prints."""
    _check_number(value)
    if _is_bool(value):
        value = int(value)
    try:
        number = value if isinstance(value, decimal.Decimal) else decimal.Decimal(str(value))
    except decimal.InvalidOperation:
        raise ValueError("is not a number") from None
    if not number.is_finite():
        raise NotAdmitted("is not a finite number")
    return number


def _to_int(value: Any) -> int:
    if isinstance(value, numbers.Integral) or _is_bool(value):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)  # exactly, where its digits are fewer
    return int(_round_half_up(_to_decimal(value), 0))


def shortest_single(number: float) -> float:
    """Round to single precision, as the shortest decimal that names that number.

    Raises
    ------
    OverflowError
        When the number is too large.
    """
    (single,) = struct.unpack("<f", struct.pack("<f", number))
    normal = abs(single) >= 2**-126  # six digits of a normal number are never too many
    for digits in range(6 if normal else 1, 10):
        shortest = float(f"{single:.{digits}g}")
        if struct.unpack("<f", struct.pack("<f", shortest))[0] == single:
            return shortest
    return float(single)


class _Numeric(AttributeType):
    numeric = True

    def is_missing(self, value: Any) -> bool:
        return super().is_missing(value) or (isinstance(value, str) and not value.strip())


@dataclass(frozen=True)
class Integer(_Numeric):
    """Integers of 8 to 64 bits; fractions are rounded, halves away from zero."""

    low: int = 0
    high: int = 0
    unsigned: bool = False

    category = "integer"
    numpy_dtype = "int64"

    def encode(self, value: Any) -> int:
        integer = value if type(value) is int else _to_int(value)
        if not self.low <= integer <= self.high:
            raise NotAdmitted(f"is out of range ({self.low} to {self.high})")
        return integer


@dataclass(frozen=True)
class Bool(Integer):
    """``bool``: stored and fetched as 0 or 1."""

    category = "bool"

    def encode(self, value: Any) -> int:
        words = {"true": 1, "false": 0}
        return super().encode(words.get(value.lower(), value) if isinstance(value, str) else value)


@dataclass(frozen=True)
class Float(_Numeric):
    """Single (``float``) or double precision; infinities are refused as on a server."""

    single: bool = True
    unsigned: bool = False

    category = "float"
    numpy_dtype = "float64"

    def encode(self, value: Any) -> float:
        _check_number(value)
        try:
            number = float(value)
        except OverflowError:
            raise NotAdmitted("is out of range") from None
        except (TypeError, ValueError):
            raise ValueError("is not a number") from None
        if math.isinf(number):
            raise NotAdmitted("is not a finite number")
        if self.unsigned and number < 0:
            raise NotAdmitted("is negative")
        if not self.single:
            return number
        try:
            return shortest_single(number)
        except OverflowError:
            raise NotAdmitted("is out of the range of single precision") from None


@dataclass(frozen=True)
class Decimal(_Numeric):
    """``decimal(precision, scale)``: exact, with exactly ``scale`` fractional digits."""

    precision: int = 10
    scale: int = 0
    unsigned: bool = False

    category = "decimal"

    def encode(self, value: Any) -> decimal.Decimal:
        number = _round_half_up(_to_decimal(value), self.scale)
        if number.copy_abs() >= decimal.Decimal(10) ** (self.precision - self.scale):
            raise NotAdmitted(
                f"has more than {self.precision - self.scale} digits before the point"
            )
        if self.unsigned and number < 0:
            raise NotAdmitted("is negative")
        return number if number else number.copy_abs()  # no negative zero

    def holds(self, value: Any) -> bool:
        number = _to_decimal(value)
        return number == _round_half_up(number, self.scale)


@dataclass(frozen=True)
class String(AttributeType):
    """``char(length)``, without its trailing blanks, and ``varchar(length)``."""

    length: int = 0
    fixed: bool = False

    category = "string"
    is_string = True

    def encode(self, value: Any) -> str:
        text = _to_text(value)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError("contains half of a surrogate pair, which is no text") from None
        if "\0" in text:
            raise ValueError("contains a NUL character, which not every database can hold")
        if self.fixed:
            text = text.rstrip(" ")
        if len(text) > self.length:
            raise NotAdmitted(f"has {len(text)} characters, of which {self.length} are allowed")
        return text


def is_nan(value: Any) -> bool:
    """Tell whether a value is one that differs from itself: NaN or NaT, of any library."""
    if type(value).__name__ == "NAType":  # of pandas, which is equal to nothing, not even False
        return True
    return isinstance(value, (float, np.generic, dt.datetime, decimal.Decimal)) and bool(
        value != value
    )


def _to_text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8 text") from None
    if _is_bool(value):
        return str(int(value))
    if isinstance(value, (numbers.Number, uuid.UUID, dt.date, dt.time)):
        return str(value)
    raise ValueError(f"is a {type(value).__name__}, not a string")


@dataclass(frozen=True)
class Enum(AttributeType):
    """``enum('a', 'b', …)``: one of the members, in any case."""

    members: tuple[str, ...] = ()

    category = "enum"
    is_string = True

    def encode(self, value: Any) -> str:
        text = _to_text(value)
        if text in self.members:
            return text
        folded = text.casefold()
        for member in self.members:
            if member.casefold() == folded:
                return member
        raise NotAdmitted(f"is none of {', '.join(map(repr, self.members))}")


@dataclass(frozen=True)
class Date(AttributeType):
    """``date``."""

    category = "date"
    temporal = True

    def encode(self, value: Any) -> dt.date:
        return to_datetime(value).date()

    def holds(self, value: Any) -> bool:
        return to_datetime(value).time() == dt.time()


@dataclass(frozen=True)
class DateTime(AttributeType):
    """``datetime`` and ``timestamp``, with 0 to 6 fractional digits of the second."""

    digits: int = 0

    category = "datetime"
    temporal = True

    def encode(self, value: Any) -> dt.datetime:
        return _round_seconds(to_datetime(value), self.digits)

    def holds(self, value: Any) -> bool:
        return not to_datetime(value).microsecond % 10 ** (6 - self.digits)


@dataclass(frozen=True)
class Timestamp(DateTime):
    """``timestamp``: a ``datetime`` in the local time zone; aware values are converted to it."""

    category = "timestamp"

    def encode(self, value: Any) -> dt.datetime:
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            value = _to_datetime_of(value, value.tzinfo).astimezone().replace(tzinfo=None)
        return super().encode(value)


@dataclass(frozen=True)
class Time(AttributeType):
    """``time``: a signed duration below 839 hours, fetched as ``datetime.timedelta``."""

    digits: int = 0

    category = "time"
    temporal = True

    def encode(self, value: Any) -> dt.timedelta:
        duration = _to_duration(value)
        step = 10 ** (6 - self.digits)
        microseconds = abs(duration) // dt.timedelta(microseconds=1)
        rounded = dt.timedelta(microseconds=(microseconds + step // 2) // step * step)
        if rounded > dt.timedelta(hours=838, minutes=59, seconds=59):
            raise NotAdmitted("is out of range (-838:59:59 to 838:59:59)")
        return -rounded if duration < dt.timedelta(0) else rounded

    def holds(self, value: Any) -> bool:
        return not _to_duration(value).microseconds % 10 ** (6 - self.digits)


@dataclass(frozen=True)
class Year(_Numeric):
    """``year``: 1901 to 2155."""

    category = "year"

    def encode(self, value: Any) -> int:
        year = _to_int(value)
        two_digits = isinstance(value, str) and len(value.strip()) <= 2
        if 0 < year < 100 or (year == 0 and two_digits):
            year += 2000 if year < 70 else 1900
        if year and not 1901 <= year <= 2155:
            raise NotAdmitted("is out of range (1901 to 2155)")
        return year


@dataclass(frozen=True)
class UUID(AttributeType):
    """``uuid``."""

    category = "uuid"

    def encode(self, value: Any) -> uuid.UUID:
        if isinstance(value, uuid.UUID):
            return value
        try:
            return uuid.UUID(bytes=value) if isinstance(value, bytes) else uuid.UUID(value)
        except (AttributeError, TypeError, ValueError):
            raise ValueError("is not a UUID") from None


@dataclass(frozen=True)
class Blob(AttributeType):
    """``tinyblob`` to ``longblob``: the serialized form of a value, up to ``size`` bytes."""

    size: int = 0

    category = "blob"
    is_blob = True
    is_opaque = True
    in_key_allowed = False

    def is_missing(self, value: Any) -> bool:
        return value is None

    def encode(self, value: Any) -> bytes:
        """Check serialized bytes; what serializes values is :mod:`datajoint.blob`."""
        if len(value) > self.size:
            raise NotAdmitted(f"takes {len(value)} bytes, of which {self.size} are allowed")
        return bytes(value)


@dataclass(frozen=True)
class Json(AttributeType):
    """``json``: what JSON can say, given and fetched as dicts, lists, strings, numbers and None."""

    category = "json"
    in_key_allowed = False

    def is_missing(self, value: Any) -> bool:
        return value is None

    def encode(self, value: Any) -> str:
        try:
            text = json.dumps(value, allow_nan=False, ensure_ascii=False)
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(
                "is no JSON document: it contains half of a surrogate pair, which is no text"
            ) from None
        except ValueError:
            raise ValueError(f"is no JSON document: {_fault(value)}") from None
        except (TypeError, RecursionError) as error:
            raise ValueError(
                f"is no JSON document: {str(error)[:1].lower()}{str(error)[1:]}"
            ) from None
        if _NUL.search(text):
            raise ValueError("contains a NUL character, which not every database can hold")
        return _NUMBER_OR_STRING.sub(_without_exponent, text) if _EXPONENT.search(text) else text


def _fault(value: Any) -> str:
    """Say what is wrong with a value of which all parts are of types that JSON has."""
    try:
        json.dumps(value)
    except ValueError:
        return "it contains itself"
    return "it contains a number that is not finite"


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_EXPONENT = re.compile(r"\de[-+]\d")
_NUMBER_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.]*e[-+]\d+')


def _without_exponent(match: re.Match[str]) -> str:
    """Write a number with all its digits, so that it stays no integer on every database."""
    text = match[0]
    if text[0] == '"':
        return text
    digits = format(decimal.Decimal(text), "f")
    return digits if "." in digits else f"{digits}.0"


@dataclass(frozen=True)
class Attachment(AttributeType):
    """``attach``: a file with its name, kept in the table."""

    category = "attachment"
    is_opaque = True
    in_key_allowed = False

    def encode(self, value: Any) -> bytes:
        """Check the bytes that are stored; what reads files is :mod:`datajoint.codec`."""
        return bytes(value)


@dataclass(frozen=True)
class External(AttributeType):
    """``blob@store``, ``attach@store`` and ``filepath@store``: kept in a store, by a hash.

    Attributes
    ----------
    kind : str
        ``blob``, ``attach`` or ``filepath``.
    store : str
    """

    kind: str = ""
    store: str = ""

    category = "external"
    is_opaque = True
    in_key_allowed = False

    @property
    def is_blob(self) -> bool:  # type: ignore[override]
        return self.kind == "blob"

    def encode(self, value: Any) -> uuid.UUID:
        """Check the hash that is stored; what puts values into stores is :mod:`.placing`."""
        if not isinstance(value, uuid.UUID):
            raise ValueError("is not the hash of an object in a store")
        return value


class Adapter(Protocol):
    """What converts the values of an adapted type: see :mod:`datajoint.attribute_adapter`."""

    @property
    def attribute_type(self) -> str: ...

    def put(self, obj: Any) -> Any: ...

    def get(self, value: Any) -> Any: ...


@dataclass(frozen=True)
class Adapted(AttributeType):
    """``<name>``: values of the user's own kind, which an adapter makes of those of another type.

    Attributes
    ----------
    name : str
    inner : AttributeType or None
        What is stored; None until the adapter is found.
    adapter : Adapter or None
        None until it is found.
    """

    name: str = ""
    inner: AttributeType | None = field(default=None, compare=False)
    adapter: Adapter | None = field(default=None, compare=False)

    category = "adapted"

    @property
    def stored(self) -> AttributeType:
        if self.inner is None:
            raise self.unknown
        return self.inner.stored

    @property
    def is_blob(self) -> bool:  # type: ignore[override]
        return self.inner is not None and self.inner.is_blob

    @property
    def is_opaque(self) -> bool:  # type: ignore[override]
        return self.inner is not None and self.inner.is_opaque

    @property
    def in_key_allowed(self) -> bool:  # type: ignore[override]
        return self.inner is None or self.inner.in_key_allowed

    @property
    def unknown(self) -> DataJointError:
        """The error for an adapter that was not found."""
        return DataJointError(
            f"The adapter of type `{self.text}` is not known: define an instance of "
            f"dj.AttributeAdapter with the name `{self.name}` where the class of the table is "
            "defined, give it as add_objects to the schema or virtual module, or install the "
            "package that provides it"
        )

    def is_missing(self, value: Any) -> bool:
        return value is None

    def put(self, value: Any) -> Any:
        """Make a value of the inner type.

        Raises
        ------
        DataJointError
            When the adapter is not known, or fails.
        """
        what = f"the adapter of `{self.text}` cannot put a value of type `{type(value).__name__}`"
        return self._adapted("put", value, what)

    def get(self, value: Any) -> Any:
        """Make the user's value of one of the inner type.

        Raises
        ------
        DataJointError
            When the adapter is not known, or fails.
        """
        what = f"The adapter of `{self.text}` cannot get a value from what is stored"
        return self._adapted("get", value, what)

    def _adapted(self, method: str, value: Any, what: str) -> Any:
        if self.adapter is None:
            raise self.unknown
        try:
            return getattr(self.adapter, method)(value)
        except Exception as error:
            raise DataJointError(f"{what} ({type(error).__name__}: {error})") from error

    def encode(self, value: Any) -> Any:
        put = self.put(value)
        assert self.inner is not None
        return self.inner.encode(put)


@dataclass(frozen=True)
class Other(AttributeType):
    """A type of a column that this version does not know: values are what the driver gives."""

    category = "other"
    in_key_allowed = False

    def encode(self, value: Any) -> Any:
        raise ValueError("cannot be written: this version does not know the type")


_DATE_TIME = re.compile(
    r"\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
    r"(?:[ T]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?\s*"
)
_COMPACT = re.compile(r"\s*(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?)?\s*")
_DURATION = re.compile(r"\s*(-?)(?:(\d+) +)?(\d{1,3}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?\s*")


def to_datetime(value: Any) -> dt.datetime:
    """Read a moment given as text or as any of the date types.

    Raises
    ------
    ValueError
        When the value names no moment.
    """
    if isinstance(value, dt.datetime):  # covers pandas.Timestamp
        if value != value:
            raise ValueError("is not a date")
        return _to_datetime_of(value, None)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    if type(value).__name__ == "datetime64":
        converted = value.astype("datetime64[us]").item()
        if converted is None:
            raise ValueError("is not a date")
        return to_datetime(converted)
    match = None
    if isinstance(value, str):
        match = _DATE_TIME.fullmatch(value) or _COMPACT.fullmatch(value)
    if match is None:
        raise ValueError("is not a date of the form YYYY-MM-DD[ HH:MM:SS]")
    *fields, fraction = match.groups()
    try:
        moment = dt.datetime(*(int(field or 0) for field in fields))  # type: ignore[arg-type]
    except ValueError:
        raise ValueError("is not a date that exists") from None
    try:
        return moment + _fraction(fraction)
    except OverflowError:
        raise NotAdmitted("is out of range") from None


def _to_datetime_of(value: dt.datetime, zone: dt.tzinfo | None) -> dt.datetime:
    """Make a plain datetime of one of a derived class, such as pandas.Timestamp."""
    return dt.datetime(*value.timetuple()[:6], value.microsecond, zone)


def _fraction(digits: str | None) -> dt.timedelta:
    tenths = int((digits or "").ljust(7, "0")[:7])
    return dt.timedelta(microseconds=(tenths + 5) // 10)


def _round_seconds(moment: dt.datetime, digits: int) -> dt.datetime:
    step = 10 ** (6 - digits)
    excess = moment.microsecond % step
    if not excess:
        return moment
    try:
        return moment + dt.timedelta(microseconds=step - excess if 2 * excess >= step else -excess)
    except OverflowError:
        raise NotAdmitted("is out of range") from None


def _to_duration(value: Any) -> dt.timedelta:
    if isinstance(value, dt.timedelta):  # covers pandas.Timedelta
        return dt.timedelta(value.days, value.seconds, value.microseconds)
    if isinstance(value, dt.time):
        return dt.timedelta(
            hours=value.hour,
            minutes=value.minute,
            seconds=value.second,
            microseconds=value.microsecond,
        )
    if type(value).__name__ == "timedelta64":
        return _to_duration(value.astype("timedelta64[us]").item())
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a time of the form HH:MM:SS")
    sign, days, hours, minutes, seconds, fraction = match.groups()
    if int(minutes) > 59 or int(seconds or 0) > 59:
        raise ValueError("is not a time that exists")
    duration = dt.timedelta(
        days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0)
    ) + _fraction(fraction)
    return -duration if sign else duration


def time_text(value: dt.timedelta, digits: int) -> str:
    """Write a duration as ``[-]HH:MM:SS[.ffffff]``."""
    seconds, microseconds = divmod(abs(value) // dt.timedelta(microseconds=1), 10**6)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{microseconds:06d}"[: digits + 1] if digits else ""
    sign = "-" if value < dt.timedelta(0) else ""
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"
