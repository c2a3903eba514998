"""SQL text that travels together with the values of its parameters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Param:
    """A value bound to a statement, in the form that the driver takes."""

    value: Any


Chunk = str | Param


class SQL:
    """An immutable piece of SQL: text and bound values in their order.

    Values can enter only as :class:`Param`, so that no value is ever spliced into text.

    Parameters
    ----------
    *parts
        Text (trusted: keywords, operators and identifiers already quoted), :class:`Param`, or SQL.
    """

    __slots__ = ("chunks",)
    chunks: tuple[Chunk, ...]

    def __init__(self, *parts: Chunk | SQL) -> None:
        chunks: list[Chunk] = []
        for part in parts:
            if isinstance(part, SQL):
                chunks.extend(part.chunks)
            else:
                chunks.append(part)
        self.chunks = tuple(chunks)

    def __add__(self, other: Chunk | SQL) -> SQL:
        return SQL(self, other)

    def __bool__(self) -> bool:
        return bool(self.chunks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SQL) and self.compile() == other.compile()

    def __hash__(self) -> int:
        return hash(self.compile()[0])

    def compile(self, placeholder: str = "?") -> tuple[str, tuple[Any, ...]]:
        """Make the text and the values that a driver takes.

        Parameters
        ----------
        placeholder : str
            What stands for a value: ``?`` or ``%s``; with the latter, a literal ``%`` is doubled.

        Returns
        -------
        text : str
        values : tuple
        """
        double = "%" in placeholder
        values: list[Any] = []
        text: list[str] = []
        for chunk in self.chunks:
            if isinstance(chunk, Param):
                values.append(chunk.value)
                text.append(placeholder)
            else:
                text.append(chunk.replace("%", "%%") if double else chunk)
        return "".join(text), tuple(values)

    def __str__(self) -> str:
        """Show the statement with its values in place, for people to read."""
        return self.filled(literal)

    def filled(self, literal: Callable[[Any], str]) -> str:
        """Write the statement with its values in place, as literals of a dialect."""
        return "".join(
            literal(chunk.value) if isinstance(chunk, Param) else chunk for chunk in self.chunks
        )

    def __repr__(self) -> str:
        return f"SQL({str(self)!r})"


def literal(value: Any) -> str:
    """Write a value as a SQL literal, for display and for DDL.

    Parameters
    ----------
    value
        None, a number, a string, bytes or a list of them; anything else is written as its string.
    """
    if value is None:
        return "NULL"
    if isinstance(value, (bool, int, float)):
        return str(int(value)) if isinstance(value, bool) else repr(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"X'{bytes(value).hex()}'"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"


def folded(text: str) -> str:
    """Bring texts that differ in case and accents only into one form."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def join(separator: str, parts: Iterable[Chunk | SQL]) -> SQL:
    """Join pieces of SQL with a separator between them."""
    joined: list[Chunk | SQL] = []
    for part in parts:
        if joined:
            joined.append(separator)
        joined.append(part)
    return SQL(*joined)


def fill(template: str, **parts: Chunk | SQL) -> SQL:
    """Put pieces of SQL into the places of a template that have their names, as ``{column}``."""
    pieces = re.split(r"\{([a-z]+)\}", template)
    return SQL(*(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces)))


def listed(rows: Iterable[Sequence[Any]], form: str) -> SQL:
    """List rows of values between commas, each in a form such as ``({})``."""
    before, after = form.split("{}")
    chunks: list[Chunk] = []
    for row in rows:
        chunks.append(f", {before}" if chunks else before)
        for i, value in enumerate(row):
            if i:
                chunks.append(", ")
            chunks.append(Param(value))
        chunks.append(after)
    return SQL(*chunks)


def parenthesized(part: SQL) -> SQL:
    """Put a piece of SQL between parentheses."""
    return SQL("(", part, ")")


#: How many conditions are joined without parentheses: databases nest one level for each.
_WIDTH = 100


def conjunction(parts: Iterable[SQL], operator: str = "AND") -> SQL:
    """Join conditions with AND (or OR), each between parentheses where there are several."""
    conditions = list(parts)
    if len(conditions) == 1:
        return conditions[0]
    while len(conditions) > _WIDTH:
        conditions = [
            conjunction(conditions[i : i + _WIDTH], operator)
            for i in range(0, len(conditions), _WIDTH)
        ]
    return join(f" {operator} ", (parenthesized(part) for part in conditions))
