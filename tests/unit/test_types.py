"""The grammar of attribute types, and the values that each type admits.

What is refused and how values are rounded was established on a server in strict mode.
"""

import datetime as dt
import decimal
import math
import time
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datajoint import types
from datajoint.grammar import parse_type
from datajoint.types import to_datetime

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def type_name(value):
    """Name a case by the type of its value."""
    return type(value).__name__


def same(value, expected):
    """Compare values and their Python types."""
    return type(value) is type(expected) and value == expected


# -- grammar --------------------------------------------------------------------------------------

INTEGER_RANGES = [
    ("tinyint", -128, 127),
    ("tinyint unsigned", 0, 255),
    ("smallint", -32768, 32767),
    ("smallint unsigned", 0, 65535),
    ("mediumint", -8388608, 8388607),
    ("mediumint unsigned", 0, 16777215),
    ("int", -2147483648, 2147483647),
    ("int unsigned", 0, 4294967295),
    ("integer", -2147483648, 2147483647),
    ("integer unsigned", 0, 4294967295),
    ("bigint", -9223372036854775808, 9223372036854775807),
    ("bigint unsigned", 0, 18446744073709551615),
]


@pytest.mark.parametrize(("text", "low", "high"), INTEGER_RANGES)
def test_integers(text, low, high):
    assert parse_type(text) == types.Integer(text, low, high, "unsigned" in text)


@pytest.mark.parametrize(
    ("text", "category", "dtype", "flags"),
    [
        ("int", "integer", "int64", {"numeric"}),
        ("bool", "bool", "int64", {"numeric"}),
        ("year", "year", "O", {"numeric"}),
        ("float", "float", "float64", {"numeric"}),
        ("decimal(5,2)", "decimal", "O", {"numeric"}),
        ("varchar(5)", "string", "O", {"is_string"}),
        ("enum('a')", "enum", "O", {"is_string"}),
        ("date", "date", "O", {"temporal"}),
        ("datetime", "datetime", "O", {"temporal"}),
        ("timestamp", "timestamp", "O", {"temporal"}),
        ("time", "time", "O", {"temporal"}),
        ("uuid", "uuid", "O", set()),
        ("longblob", "blob", "O", {"is_blob"}),
    ],
)
def test_categories(text, category, dtype, flags):
    type_ = parse_type(text)
    assert (type_.category, type_.numpy_dtype) == (category, dtype)
    known = ("numeric", "is_string", "temporal", "is_blob")
    assert {flag for flag in known if getattr(type_, flag)} == flags
    assert type_.in_key_allowed is (category != "blob")


# -- missing values -------------------------------------------------------------------------------

NUMERIC = ["int", "bigint unsigned", "bool", "float", "double", "decimal(5,2)", "year"]
OTHERS = ["varchar(5)", "char(5)", "enum('', 'a')", "date", "datetime", "time", "uuid", "blob"]


@pytest.mark.parametrize("text", NUMERIC + OTHERS)
def test_none_is_missing(text):
    assert parse_type(text).is_missing(None) is True


def test_the_empty_string_is_a_missing_number_only():
    assert [text for text in NUMERIC + OTHERS if parse_type(text).is_missing("")] == NUMERIC


@pytest.mark.parametrize(
    "value", [float("nan"), np.float32("nan"), np.float64("nan"), Decimal("NaN"), pd.NaT]
)
def test_nan_is_missing_everywhere_but_in_a_blob(value):
    missing = [text for text in NUMERIC + OTHERS if parse_type(text).is_missing(value)]
    assert missing == [text for text in NUMERIC + OTHERS if text != "blob"]


@pytest.mark.parametrize("value", [0, 0.0, False, np.int8(0), Decimal(0), "0", "nil", np.bool_(0)])
@pytest.mark.parametrize("text", NUMERIC)
def test_zero_is_not_missing(text, value):
    assert not parse_type(text).is_missing(value)


# -- integers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "low", "high"), INTEGER_RANGES)
def test_integer_limits(text, low, high):
    type_ = parse_type(text)
    for limit in (low, high):
        for value in (limit, str(limit), Decimal(limit), f" {limit} "):
            assert same(type_.encode(value), limit)
    for beyond in (low - 1, high + 1):
        for value in (beyond, str(beyond), Decimal(beyond)):
            with pytest.raises(ValueError, match=rf"out of range \({low} to {high}\)"):
                type_.encode(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.5, 3),
        (-2.5, -3),
        (0.5, 1),
        (-0.5, -1),
        (1.5, 2),
        (2.4999, 2),
        (0.49999999999999994, 0),
        ("2.5", 3),
        ("-2.5", -3),
        ("1e2", 100),
        ("+7", 7),
        (" 12 ", 12),
        (Decimal("3.5"), 4),
        (Decimal("-3.4"), -3),
        (True, 1),
        (False, 0),
        (np.bool_(True), 1),
        (np.int8(-5), -5),
        (np.uint64(5), 5),
        (np.float32(2.5), 3),
        (np.float64(-2.5), -3),
        (np.str_("6"), 6),
        (np.array(4), 4),
    ],
)
def test_integers_from_any_number(value, expected):
    assert same(parse_type("int").encode(value), expected)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [("tinyint", "127.4", 127), ("tinyint", -128.4, -128), ("tinyint unsigned", -0.4, 0)],
)
def test_integers_are_rounded_before_the_range_is_checked(text, value, expected):
    assert parse_type(text).encode(value) == expected


@pytest.mark.parametrize("value", ["127.5", -128.5, 127.5, Decimal("-128.5")])
def test_integers_that_round_out_of_range(value):
    with pytest.raises(ValueError, match="out of range"):
        parse_type("tinyint").encode(value)


NO_NUMBERS = ["abc", "5abc", "0x10", "1_000", "1 2", "--1", [1], {}, object(), 1j, UUID]


@pytest.mark.parametrize(
    "value", NO_NUMBERS, ids=lambda value: f"{type(value).__name__} {value}".split(" object at ")[0]
)
@pytest.mark.parametrize("text", ["int", "bool", "year", "decimal(8,2)", "float", "double"])
def test_no_numbers(text, value):
    with pytest.raises(ValueError, match="is not a number"):
        parse_type(text).encode(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, "inf", "-Infinity", Decimal("Infinity")])
@pytest.mark.parametrize("text", ["int", "decimal(8,2)", "float", "double"])
def test_infinity_is_refused(text, value):
    with pytest.raises(ValueError, match="is not a finite number"):
        parse_type(text).encode(value)


@pytest.mark.parametrize("text", ["int", "decimal(8,2)", "float", "double"])
def test_nan_as_text_is_refused(text):
    with pytest.raises(ValueError, match="is not a"):
        parse_type(text).encode("nan")


@pytest.mark.parametrize(
    "value", [1e200, "1e200", 10**200, Decimal("1e200"), -1e300], ids=type_name
)
@pytest.mark.parametrize("text", ["int", "bigint unsigned", "decimal(65,30)", "decimal(5)", "year"])
def test_huge_numbers_are_out_of_range(text, value):
    with pytest.raises(ValueError, match=r"is out of range|digits before the point"):
        parse_type(text).encode(value)


@given(st.decimals(-200, 200, allow_nan=False, places=5))
def test_integers_round_as_decimal_does(value):
    expected = int(value.quantize(Decimal(1), decimal.ROUND_HALF_UP))
    assert parse_type("int").encode(value) == parse_type("int").encode(str(value)) == expected


@given(st.integers(-(2**70), 2**70))
def test_integers_are_kept_or_refused(value):
    for text, low, high in INTEGER_RANGES:
        if low <= value <= high:
            assert parse_type(text).encode(value) == value
        else:
            with pytest.raises(ValueError, match="out of range"):
                parse_type(text).encode(value)


# -- bool -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1),
        (False, 0),
        (np.bool_(True), 1),
        (np.bool_(False), 0),
        (1, 1),
        (0, 0),
        ("1", 1),
        ("true", 1),
        ("TRUE", 1),
        ("False", 0),
        (1.0, 1),
    ],
)
def test_bool(value, expected):
    assert same(parse_type("bool").encode(value), expected)


@pytest.mark.parametrize("value", [2, -1, "2"])
def test_bool_is_0_or_1(value):
    with pytest.raises(ValueError, match=r"out of range \(0 to 1\)"):
        parse_type("bool").encode(value)


# -- floats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, 0.1),
        (np.float32(0.1), 0.1),
        (1 / 3, 0.33333334),
        (3.14159265358979, 3.1415927),
        (16777217, 16777216.0),
        (123456.789, 123456.79),
        (-2.5, -2.5),
        (5, 5.0),
        ("1e3", 1000.0),
        (" 2.5 ", 2.5),
        (Decimal("0.1"), 0.1),
        (True, 1.0),
        (np.int16(7), 7.0),
        (3.4028234663852886e38, 3.4028235e38),
        (1e-50, 0.0),
        (0.0, 0.0),
    ],
)
def test_float_is_the_shortest_name_of_a_single(value, expected):
    assert same(parse_type("float").encode(value), expected)


@pytest.mark.parametrize("value", [1e39, -3.5e38, "1e300", Decimal("1e39")])
def test_float_out_of_range(value):
    with pytest.raises(ValueError, match="out of the range of single precision"):
        parse_type("float").encode(value)


@pytest.mark.parametrize("value", [10**400, Decimal("1e400"), "1e400"], ids=type_name)
@pytest.mark.parametrize("text", ["float", "double"])
def test_number_beyond_double_precision(text, value):
    with pytest.raises(ValueError, match="is "):
        parse_type(text).encode(value)


@pytest.mark.parametrize("text", ["float unsigned", "double unsigned"])
def test_unsigned_floats(text):
    type_ = parse_type(text)
    assert (type_.encode(0), type_.encode(1.5)) == (0.0, 1.5)
    with pytest.raises(ValueError, match="is negative"):
        type_.encode(-0.5)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float_keeps_every_single(value):
    encoded = parse_type("float").encode(value)
    assert np.float32(encoded) == np.float32(value)
    assert math.copysign(1, encoded) == math.copysign(1, value)
    assert parse_type("float").encode(encoded) == encoded
    if abs(value) >= np.finfo(np.float32).tiny:
        assert encoded == float(np.format_float_scientific(np.float32(value)))


@given(st.floats(-3.4e38, 3.4e38))
def test_float_rounds_to_single_precision(value):
    encoded = parse_type("float").encode(value)
    assert np.float32(encoded) == np.float32(value)
    assert parse_type("float").encode(encoded) == encoded


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_is_kept(value):
    assert same(parse_type("double").encode(value), value)
    assert same(parse_type("double").encode(np.float64(value)), value)
    assert same(parse_type("double").encode(repr(value)), value)


# -- decimals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.005", "1.01"),
        ("-1.005", "-1.01"),
        (1.005, "1.01"),
        (2.675, "2.68"),
        (0.1, "0.10"),
        (np.float32(0.1), "0.10"),
        (np.float64(-0.125), "-0.13"),
        (np.int64(3), "3.00"),
        (5, "5.00"),
        (True, "1.00"),
        (np.bool_(False), "0.00"),
        ("1e2", "100.00"),
        (".5", "0.50"),
        ("5.", "5.00"),
        ("+5", "5.00"),
        (" 5 ", "5.00"),
        ("999.994", "999.99"),
        ("-999.994", "-999.99"),
        ("-0", "0.00"),
        ("-0.001", "0.00"),
        (Decimal("1.10000"), "1.10"),
    ],
)
def test_decimal_is_exact_with_all_its_digits(value, expected):
    encoded = parse_type("decimal(5,2)").encode(value)
    assert (type(encoded), str(encoded)) == (Decimal, expected)


@pytest.mark.parametrize("value", ["999.995", "-999.995", 1000, -1000, "1e5"])
def test_decimal_out_of_range(value):
    with pytest.raises(ValueError, match="more than 3 digits before the point"):
        parse_type("decimal(5,2)").encode(value)


def test_decimal_without_whole_digits():
    type_ = parse_type("decimal(3,3)")
    assert str(type_.encode("0.9994")) == "0.999"
    with pytest.raises(ValueError, match="more than 0 digits before the point"):
        type_.encode("0.9995")


def test_decimal_of_65_digits():
    digits = "9" * 35 + "." + "9" * 30
    assert str(parse_type("decimal(65,30)").encode(digits)) == digits


def test_unsigned_decimal():
    type_ = parse_type("decimal(5,2) unsigned")
    assert [str(type_.encode(value)) for value in ("0", "999.99")] == ["0.00", "999.99"]
    with pytest.raises(ValueError, match="is negative"):
        type_.encode("-0.01")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**6), max_value=10**6))
def test_decimal_rounds_as_quantize(value):
    with decimal.localcontext() as context:
        context.prec = 100
        expected = value.quantize(Decimal("0.001"), decimal.ROUND_HALF_UP)
    type_ = parse_type("decimal(8,3)")
    if abs(expected) >= 10**5:
        with pytest.raises(ValueError, match="digits before the point"):
            type_.encode(value)
    else:
        encoded = type_.encode(value)
        assert encoded == expected
        assert encoded.as_tuple().exponent == -3
        assert not (encoded.is_zero() and encoded.is_signed())
        assert str(type_.encode(encoded)) == str(encoded)


# -- strings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("abc", "abc"),
        ("  abc ", "  abc "),
        ("Ωé😀", "Ωé😀"),
        (np.str_("abc"), "abc"),
        (b"caf\xc3\xa9", "café"),
        (bytearray(b"abc"), "abc"),
        (5, "5"),
        (1.5, "1.5"),
        (True, "1"),
        (np.bool_(False), "0"),
        (np.int64(7), "7"),
        (np.float64(1.5), "1.5"),
        (Decimal("1.50"), "1.50"),
        (UUID, "12345678-1234-5678-1234-567812345678"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (dt.datetime(2020, 1, 2, 3, 4, 5), "2020-01-02 03:04:05"),
        (dt.time(3, 4, 5), "03:04:05"),
    ],
)
def test_varchar(value, expected):
    assert same(parse_type("varchar(50)").encode(value), expected)


def test_length_counts_characters():
    assert parse_type("varchar(4)").encode("😀éΩx") == "😀éΩx"
    with pytest.raises(ValueError, match="has 5 characters, of which 4 are allowed"):
        parse_type("varchar(4)").encode("😀éΩxy")


def test_char_loses_its_trailing_blanks_only():
    type_ = parse_type("char(3)")
    assert [type_.encode(value) for value in ("ab", "ab ", "abc   ", " ab", "a\t", "   ")] == [
        "ab",
        "ab",
        "abc",
        " ab",
        "a\t",
        "",
    ]
    with pytest.raises(ValueError, match="has 4 characters"):
        type_.encode("abcd")


@pytest.mark.parametrize("value", [[1], {"a": 1}, ("a",), {1}, object(), np.array(["a", "b"])])
@pytest.mark.parametrize("text", ["varchar(50)", "char(50)", "enum('a')"])
def test_no_strings(text, value):
    with pytest.raises(ValueError, match=f"is a {type(value).__name__}, not a string"):
        parse_type(text).encode(value)


def test_bytes_that_are_no_text():
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        parse_type("varchar(9)").encode(b"\xff\xfe")


# -- enum -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Left", "Left"),
        ("LEFT", "Left"),
        ("left", "Left"),
        ("Right", "right"),
        ("ÜBER", "über"),
        (np.str_("left"), "Left"),
        (b"left", "Left"),
        (1, "1"),
        ("", ""),
    ],
)
def test_enum_in_any_case(value, expected):
    type_ = parse_type("enum('Left', 'right', 'über', '1', '')")
    assert same(type_.encode(value), expected)


@pytest.mark.parametrize("value", ["lef", "left,right", "", "0", "None"])
def test_no_member_of_the_enum(value):
    with pytest.raises(ValueError, match="is none of 'Left', 'right'"):
        parse_type("enum('Left', 'right')").encode(value)


# -- dates ----------------------------------------------------------------------------------------

MOMENTS = [
    ("2020-01-02", dt.datetime(2020, 1, 2)),
    ("2020-1-2", dt.datetime(2020, 1, 2)),
    ("2020/01/02", dt.datetime(2020, 1, 2)),
    ("2020.01.02", dt.datetime(2020, 1, 2)),
    (" 2020-01-02 ", dt.datetime(2020, 1, 2)),
    ("2020-02-29", dt.datetime(2020, 2, 29)),
    ("2020-01-02 03:04:05", dt.datetime(2020, 1, 2, 3, 4, 5)),
    ("2020-01-02T03:04:05", dt.datetime(2020, 1, 2, 3, 4, 5)),
    ("2020-01-02 03:04", dt.datetime(2020, 1, 2, 3, 4)),
    ("2020/1/2 3:4:5", dt.datetime(2020, 1, 2, 3, 4, 5)),
    ("2020-01-02 03:04:05.25", dt.datetime(2020, 1, 2, 3, 4, 5, 250000)),
    ("2020-01-02 03:04:05.678901", dt.datetime(2020, 1, 2, 3, 4, 5, 678901)),
    (np.str_("2020-01-02"), dt.datetime(2020, 1, 2)),
    (dt.date(2020, 1, 2), dt.datetime(2020, 1, 2)),
    (dt.datetime(2020, 1, 2, 3, 4, 5, 6), dt.datetime(2020, 1, 2, 3, 4, 5, 6)),
    (pd.Timestamp("2020-01-02 03:04:05.000006789"), dt.datetime(2020, 1, 2, 3, 4, 5, 6)),
    (np.datetime64("2020-01-02"), dt.datetime(2020, 1, 2)),
    (np.datetime64("2020-01-02T03:04:05.000006"), dt.datetime(2020, 1, 2, 3, 4, 5, 6)),
    (np.datetime64("2020-01-02T03:04:05.000006789"), dt.datetime(2020, 1, 2, 3, 4, 5, 6)),
]


@pytest.mark.parametrize(("value", "expected"), MOMENTS)
def test_moments(value, expected):
    assert same(to_datetime(value), expected)
    assert same(parse_type("date").encode(value), expected.date())
    assert same(parse_type("datetime(6)").encode(value), expected)
    assert same(parse_type("timestamp(6)").encode(value), expected)


NO_MOMENTS = [
    "",
    "abc",
    "today",
    "2020",
    "2020-01",
    "20-01-02",
    "02-01-2020",
    "2020-01-02x",
    "2020-01-02 03",
    "2020-01-02 03:04:05 x",
    "2020-01-02; drop table subject",
    5,
    2020.5,
    True,
    b"2020-01-02",
    [2020, 1, 2],
    dt.time(3),
    dt.timedelta(1),
    pd.NaT,
    np.datetime64("NaT"),
]
NO_SUCH_MOMENTS = [
    "2020-02-30",
    "2019-02-29",
    "2020-13-01",
    "2020-00-01",
    "2020-01-00",
    "0000-00-00",
    "2020-01-02 24:00:00",
    "2020-01-02 25:00:00",
    "2020-01-02 03:60:00",
    "2020-01-02 03:04:60",
]


@pytest.mark.parametrize("value", NO_MOMENTS, ids=repr)
@pytest.mark.parametrize("text", ["date", "datetime", "timestamp"])
def test_no_moments(text, value):
    with pytest.raises(ValueError, match="is not a date"):
        parse_type(text).encode(value)


@pytest.mark.parametrize("value", NO_SUCH_MOMENTS)
@pytest.mark.parametrize("text", ["date", "datetime", "timestamp"])
def test_no_such_moments(text, value):
    with pytest.raises(ValueError, match="is not a date that exists"):
        parse_type(text).encode(value)


@pytest.mark.parametrize(
    ("digits", "seconds", "expected"),
    [
        (0, "05.5", "06"),
        (0, "05.499999", "05"),
        (3, "05.0005", "05.001"),
        (3, "05.000499", "05"),
        (1, "05.25", "05.3"),
        (6, "05.0000004", "05"),
        (6, "05.0000005", "05.000001"),
        (6, "05.0000025", "05.000003"),
        (6, "05.123456", "05.123456"),
    ],
)
def test_seconds_are_rounded_half_up(digits, seconds, expected):
    text = f"({digits})" if digits else ""
    moment = dt.datetime.fromisoformat("2020-01-02 03:04:05") + dt.timedelta(
        seconds=int(expected[:2]) - 5, microseconds=int(expected[3:].ljust(6, "0"))
    )
    for base in ("datetime", "timestamp"):
        assert parse_type(base + text).encode(f"2020-01-02 03:04:{seconds}") == moment
    assert parse_type("time" + text).encode(f"03:04:{seconds}") == moment - dt.datetime(2020, 1, 2)


def test_rounding_seconds_carries():
    type_ = parse_type("datetime")
    assert type_.encode(dt.datetime(2019, 12, 31, 23, 59, 59, 500000)) == dt.datetime(2020, 1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("datetime", dt.datetime(9999, 12, 31, 23, 59, 59, 500000)),
        ("datetime", "9999-12-31 23:59:59.5"),
        ("datetime(6)", "9999-12-31 23:59:59.9999999"),
    ],
)
def test_rounding_past_the_last_moment(text, value):
    with pytest.raises(ValueError, match="is "):
        parse_type(text).encode(value)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs time.tzset")
@pytest.mark.parametrize(
    "aware",
    [
        dt.datetime(2020, 1, 1, 12, tzinfo=dt.timezone.utc),
        dt.datetime(2020, 1, 1, 9, tzinfo=dt.timezone(dt.timedelta(hours=-3))),
        pd.Timestamp("2020-01-01 12:00", tz="UTC"),
    ],
)
def test_timestamp_in_local_time(aware, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-02:00")
        time.tzset()
        encoded = parse_type("timestamp").encode(aware)
    time.tzset()
    assert same(encoded, dt.datetime(2020, 1, 1, 14))


@given(st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31)), st.integers(0, 6))
def test_datetime_is_the_nearest_of_its_digits(value, digits):
    encoded = parse_type(f"datetime({digits})").encode(value)
    step = 10 ** (6 - digits)
    assert encoded.microsecond % step == 0
    off = (encoded - value) // dt.timedelta(microseconds=1)
    assert -step / 2 < off <= step / 2
    assert parse_type(f"datetime({digits})").encode(str(value)) == encoded


# -- time -----------------------------------------------------------------------------------------

LONGEST = dt.timedelta(hours=838, minutes=59, seconds=59)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("03:04:05", dt.timedelta(hours=3, minutes=4, seconds=5)),
        ("3:4:5", dt.timedelta(hours=3, minutes=4, seconds=5)),
        ("10:30", dt.timedelta(hours=10, minutes=30)),
        (" 10:30:00 ", dt.timedelta(hours=10, minutes=30)),
        ("-10:30:00", -dt.timedelta(hours=10, minutes=30)),
        ("25:00:00", dt.timedelta(hours=25)),
        ("1 10:00:00", dt.timedelta(hours=34)),
        ("-1 10:00:00", -dt.timedelta(hours=34)),
        ("838:59:59", LONGEST),
        ("-838:59:59", -LONGEST),
        ("34 22:59:59", LONGEST),
        ("00:00:00.25", dt.timedelta(microseconds=250000)),
        ("-00:00:00.25", -dt.timedelta(microseconds=250000)),
        (dt.time(3, 4, 5, 6), dt.timedelta(hours=3, minutes=4, seconds=5, microseconds=6)),
        (dt.timedelta(hours=-5, microseconds=7), dt.timedelta(hours=-5, microseconds=7)),
        (pd.Timedelta("1h 2min"), dt.timedelta(hours=1, minutes=2)),
        (np.timedelta64(90, "m"), dt.timedelta(minutes=90)),
        (np.timedelta64(-1500, "ms"), dt.timedelta(seconds=-1.5)),
    ],
)
def test_times(value, expected):
    assert same(parse_type("time(6)").encode(value), expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("00:00:00.5", 1),
        ("-00:00:00.5", -1),
        ("00:00:00.499999", 0),
        ("-00:00:00.499999", 0),
        (dt.timedelta(seconds=-1, microseconds=-500000), -2),
    ],
)
def test_times_round_away_from_zero(value, expected):
    assert parse_type("time").encode(value) == dt.timedelta(seconds=expected)


@pytest.mark.parametrize(
    "value", ["839:00:00", "-839:00:00", "838:59:59.5", "35 00:00:00", dt.timedelta(days=35)]
)
def test_time_out_of_range(value):
    with pytest.raises(ValueError, match=r"is out of range \(-838:59:59 to 838:59:59\)"):
        parse_type("time").encode(value)


@pytest.mark.parametrize(
    "value",
    ["", "abc", "2020-01-02", "1:2:3:4", "10:30:00x", 5, 5.5, pd.NaT, np.timedelta64("NaT")],
)
def test_no_times(value):
    with pytest.raises(ValueError, match="is not a time of the form HH:MM:SS"):
        parse_type("time").encode(value)


@pytest.mark.parametrize("value", ["10:60:00", "10:00:60", "10:99"])
def test_no_such_times(value):
    with pytest.raises(ValueError, match="is not a time that exists"):
        parse_type("time").encode(value)


# -- year -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        ("0", 2000),
        ("00", 2000),
        (1, 2001),
        ("5", 2005),
        (69, 2069),
        ("69", 2069),
        (70, 1970),
        ("70", 1970),
        (99, 1999),
        (1901, 1901),
        (2155, 2155),
        ("2020", 2020),
        (np.int16(2020), 2020),
        (np.int8(70), 1970),
        (2020.0, 2020),
    ],
)
def test_year(value, expected):
    assert same(parse_type("year").encode(value), expected)


@pytest.mark.parametrize("value", [100, "100", 1900, "1900", 2156, "2156", -1, "-5"])
def test_year_out_of_range(value):
    with pytest.raises(ValueError, match=r"out of range \(1901 to 2155\)"):
        parse_type("year").encode(value)


# -- uuid and blobs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        UUID,
        str(UUID),
        str(UUID).upper(),
        UUID.hex,
        f"{{{UUID}}}",
        UUID.urn,
        UUID.bytes,
        np.str_(UUID),
    ],
    ids=repr,
)
def test_uuid(value):
    assert same(parse_type("uuid").encode(value), UUID)


@pytest.mark.parametrize("value", ["", "abc", UUID.hex[:-1], UUID.bytes[:-1], 5, [UUID], object()])
def test_no_uuid(value):
    with pytest.raises(ValueError, match="is not a UUID"):
        parse_type("uuid").encode(value)


def test_blob_size():
    type_ = parse_type("tinyblob")
    assert same(type_.encode(bytearray(255)), bytes(255))
    with pytest.raises(ValueError, match="takes 256 bytes, of which 255 are allowed"):
        type_.encode(bytes(256))
