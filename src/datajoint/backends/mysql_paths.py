"""MySQL and MariaDB: indexes of values inside documents.

MySQL indexes an expression (storage formats 2.6). MariaDB indexes columns only: there, the value is
a hidden column which the server computes, with the path as its comment.
"""

from __future__ import annotations

import hashlib
import re

from ..declare import TableSpec
from ..grammar import JsonPath, parse_json_path
from ..heading import Index
from ..sql.json_path import value_type
from ..sql.mysql import DIALECT
from ..sql.text import SQL, literal

#: Characters of a text that are indexed; a longer one has no value there.
_TEXT = "char(512)"
_EXPRESSION = re.compile(
    r"""\(?json_value\(`((?:[^`]|``)+)`,\s*_utf8mb4\\?'\$(.*?)\\?'"""
    r"(?:\s+returning\s+([a-z]+(?:\(\d+(?:,\d+)?\))?)[\w\s]*)?\)\)?",
    re.IGNORECASE | re.DOTALL,
)

quote = DIALECT.quote


def paths_of(spec: TableSpec) -> list[str]:
    """List the paths in the indexes of a table, each once."""
    texts = dict.fromkeys(text for i in spec.heading.secondary_indexes for text in i.attributes)
    return [text for text in texts if parse_json_path(text) is not None]


def path_column(text: str) -> str:
    """Write the hidden column for a path."""
    path = parse_json_path(text)
    assert path is not None
    type_ = value_type(path.type or _TEXT)
    value = DIALECT.json_value(SQL(quote(path.attribute)), path.steps, type_)
    declaration = DIALECT.storage[type_.category].declaration(type_)
    return f"{hidden(text)} {declaration} GENERATED ALWAYS AS ({value}) VIRTUAL COMMENT " + literal(
        text.replace("\\", "\\\\")
    )


def hidden(text: str) -> str:
    """Name the hidden column for a path."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return quote(f"_path_{digest}")


def index_clause(index: Index, *, functional: bool) -> str:
    """Write an index; ``functional`` tells whether the server indexes expressions."""
    items = (_item(text, functional=functional) for text in index.attributes)
    return f"{'UNIQUE ' if index.unique else ''}INDEX ({', '.join(items)})"


def _item(text: str, *, functional: bool) -> str:
    path = parse_json_path(text)
    if path is None:
        return quote(text)
    if not functional:
        return hidden(text)
    steps = str(JsonPath("$", path.steps)).replace("\\", "\\\\")
    returning = f" returning {path.type}" if path.type else ""
    return f"(json_value({quote(path.attribute)}, _utf8mb4{literal(steps)}{returning}))"


def path_of_column(name: str, extra: str, comment: str) -> str | None:
    """Tell which path a column of MariaDB is made for; None for all other columns."""
    hidden = name.startswith("_path_") and "VIRTUAL" in extra.upper()
    return comment if hidden else None


def path_of_expression(expression: str) -> str | None:
    """Read the path of an expression that MySQL indexes; None when it is no path."""
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        return None
    attribute, steps, type_ = match.groups()
    path = parse_json_path(attribute + steps + (f":{type_}" if type_ else ""))
    return None if path is None else str(path)
