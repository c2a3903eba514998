"""The SQL of MySQL and MariaDB: values at places in documents.

What both servers know alike: neither ``->`` nor ``JSON_VALUE(… RETURNING type)`` is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..types import AttributeType, Decimal, Integer, String
from .fragment import Attribute, Template, Token
from .json_path import CLOCK, MOMENT, NUMBER, Steps, path_text
from .text import SQL, Param, fill, literal

# In the templates, {value} is the value as a document, {text} the text that it is.

#: Texts of documents compare exactly, unless told otherwise.
_COLLATE = "COLLATE utf8mb4_general_ci"
_TEXT = (
    "CASE WHEN JSON_TYPE({value}) NOT IN ('ARRAY', 'OBJECT', 'NULL') "
    f"THEN {{text}} {_COLLATE} END"
)
_EXACT = "CAST({text} AS DECIMAL(65,30))"


def _string(type_: String) -> str:
    unlimited = type_.length >= 65535
    size = f"CHAR_LENGTH({_TEXT})"
    return _TEXT if unlimited else f"CASE WHEN {size} <= {type_.length} THEN {_TEXT} END"


def _number(result: str, condition: str = "TRUE") -> str:
    """Write a number as some type; true is 1 and false is 0."""
    return (
        f"CASE WHEN {{text}} REGEXP '{NUMBER}' THEN CASE WHEN {condition} THEN {result} END "
        "WHEN JSON_TYPE({value}) = 'BOOLEAN' THEN {text} = 'true' END"
    )


def _integer(type_: Integer) -> str:
    kind = "UNSIGNED" if type_.unsigned else "SIGNED"
    value = f"ROUND({_EXACT})"
    return f"CAST({_number(value, f'{value} BETWEEN {type_.low} AND {type_.high}')} AS {kind})"


def _decimal(type_: Decimal) -> str:
    value = f"ROUND({_EXACT}, {type_.scale})"
    number = _number(value, f"ABS({value}) < 1e{type_.precision - type_.scale}")
    return f"CAST({number} AS DECIMAL({type_.precision},{type_.scale}))"


def _year(type_: AttributeType) -> str:
    value = f"ROUND({_EXACT})"
    return f"CAST({_number(value, f'{value} = 0 OR {value} BETWEEN 1901 AND 2155')} AS SIGNED)"


# Dates are made of numbers, by functions that depend on no setting of the session, so that they
# can be indexed. A day that its month does not have falls into the next one.

_DAY = (
    "(DATE '2000-01-01' + INTERVAL CAST(SUBSTR({text}, 1, 4) AS SIGNED) - 2000 YEAR "
    "+ INTERVAL CAST(SUBSTR({text}, 6, 2) AS SIGNED) - 1 MONTH "
    "+ INTERVAL CAST(SUBSTR({text}, 9, 2) AS SIGNED) - 1 DAY)"
)


def _clock(start: int, digits: int) -> str:
    size = 3 + digits if digits else 2
    return (
        f"MAKETIME(CAST(SUBSTR({{text}}, {start}, 2) AS SIGNED), "
        f"CAST(SUBSTR({{text}}, {start + 3}, 2) AS SIGNED), "
        f"CAST(SUBSTR({{text}}, {start + 6}, {size}) AS DECIMAL({2 + digits},{digits})))"
    )


def _if_written_as(pattern: str, result: str) -> str:
    return (
        f"CASE WHEN JSON_TYPE({{value}}) = 'STRING' AND {{text}} REGEXP '{pattern}' "
        f"THEN {result} END"
    )


def _if_moment(result: str) -> str:
    month = "CAST(SUBSTR({text}, 6, 2) AS SIGNED)"
    return _if_written_as(MOMENT, f"CASE WHEN MONTH({_DAY}) = {month} THEN {result} END")


def _datetime(type_: Any) -> str:
    clock = (
        f"CASE WHEN LENGTH({{text}}) > 10 THEN {_clock(12, type_.digits)} ELSE TIME '00:00:00' END"
    )
    return _if_moment(f"TIMESTAMP({_DAY}, {clock})")


_TEMPLATES: Mapping[str, Callable[[Any], str]] = {
    "string": _string,
    "integer": _integer,
    "float": lambda type_: _number("({text} + 0e0)"),
    "decimal": _decimal,
    "year": _year,
    "date": lambda type_: _if_moment(_DAY),
    "datetime": _datetime,
    "time": lambda type_: _if_written_as(CLOCK, _clock(1, type_.digits)),
    "json": lambda type_: "CASE WHEN JSON_TYPE({value}) <> 'NULL' THEN {value} END",
}


def _text(text: str) -> str:
    return literal(text.replace("\\", "\\\\"))


def _value(document: SQL, steps: Steps) -> SQL:
    """Write the value at a path; of what is no array, the servers take it for the first member."""
    value = SQL("JSON_EXTRACT(", document, f", {_text(path_text(steps))})")
    conditions = [
        SQL("JSON_TYPE(JSON_EXTRACT(", document, f", {_text(path_text(steps[:i]))})) = 'ARRAY'")
        for i, step in enumerate(steps)
        if step == 0
    ]
    for condition in conditions:
        value = SQL("CASE WHEN ", condition, " THEN ", value, " END")
    return value


def json_value(document: SQL, steps: Steps, type_: AttributeType) -> SQL:
    """Write the value at a path, converted to a type."""
    value = _value(document, steps)
    text = SQL("JSON_UNQUOTE(", value, ")")
    return fill(_TEMPLATES[type_.category](type_), value=value, text=text)


def json_equals(document: SQL, other: str) -> SQL:
    """Write whether documents are equal: MySQL and MariaDB each have a part that the other skips.

    MySQL compares values of its type json; MariaDB has a function since 10.7, which takes NULL to
    be equal to anything. No value stands inside of a comment, which it could end.
    """
    return fill(
        "{document} IS NOT NULL AND /*M!100700 JSON_EQUALS( */ /*!80000 ( */ {document} "
        "/*M!100700 , */ /*!80000 ) = CAST( */ {other} /*!80000 AS JSON) */ /*M!100700 ) */",
        document=document,
        other=Param(other),
    )


def without_arrows(template: Template) -> Template:
    """Write the operators ``->`` and ``->>`` as functions, which MariaDB has as well.

    Their texts are then compared without regard to case, as all others are.
    """
    parts = list(template)
    for i in range(len(parts) - 3, -1, -1):
        document, arrow, path = parts[i : i + 3]
        if isinstance(document, Attribute) and isinstance(path, Token) and isinstance(arrow, str):
            if arrow.strip() == "->":
                parts[i : i + 3] = "JSON_EXTRACT(", document, ", ", path, ")"
            elif arrow.strip() == "->>":
                text = "(JSON_UNQUOTE(JSON_EXTRACT("
                parts[i : i + 3] = text, document, ", ", path, f")) {_COLLATE})"
    return tuple(parts)
