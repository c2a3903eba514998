"""What was read from the database, so that it can be told later whether it has changed.

An optimistic transaction notes what it reads, and looks at it again before it changes anything;
what a `make` has read is kept beside its result. Only digests of the results are kept.
"""

from __future__ import annotations

import datetime as dt
import marshal
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from .backends.base import Cursor
from .utils import batches

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any]

#: Queries that the user writes, of which it is certain that they change nothing: one statement,
#: without what makes tables or files of its result.
_QUERY = re.compile(r"[\s(]*(select|values|with)\b[^;]*;?\s*", re.IGNORECASE)
_CHANGE = re.compile(r"\b(insert|update|delete|replace|merge|into)\b", re.IGNORECASE)
_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)
_BYTES = 16
#: So many rows are taken in together.
_BATCH = 100
_BEGINNING = 400


def is_query(text: str) -> bool:
    """Tell whether a statement of the user certainly changes nothing."""
    return bool(_QUERY.fullmatch(text)) and not _CHANGE.search(text)


def is_ordered(text: str) -> bool:
    """Tell whether the rows of a statement come in an order that it asks for."""
    orders = list(_ORDER.finditer(text))
    rest = text[orders[-1].end() :] if orders else ")"
    return rest.count(")") <= rest.count("(")  # otherwise the order is that of a subquery


class Digest:
    """A digest of the rows of a result.

    Parameters
    ----------
    ordered : bool
        Whether it depends on the order of the rows.
    """

    def __init__(self, ordered: bool) -> None:
        self._ordered = blake2b(digest_size=_BYTES) if ordered else None
        self._count = self._sum = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Take in more rows."""
        for batch in batches(rows, _BATCH):
            self._count += len(batch)
            packed = _packed(batch)
            if self._ordered is not None:
                for each in packed:
                    self._ordered.update(each)
            else:
                digests = (blake2b(each, digest_size=_BYTES).digest() for each in packed)
                self._sum += sum(int.from_bytes(digest, "big") for digest in digests)

    def __str__(self) -> str:
        if self._ordered is not None:
            return f"{self._count}:{self._ordered.hexdigest()}"
        return f"{self._count}:{self._sum % 2 ** (8 * _BYTES):0{2 * _BYTES}x}"


def _packed(rows: Sequence[Row]) -> list[bytes]:
    """Write each row as bytes, the same ones for the same values in every process."""
    try:
        return [marshal.dumps(row, 2) for row in rows]  # later versions write references, too
    except ValueError:
        return [_packed_row(row) for row in rows]


def _packed_row(row: Row) -> bytes:
    try:
        return marshal.dumps(row, 2)
    except ValueError:  # decimals, dates and the like
        return repr([*map(_plain, row)]).encode(errors="surrogatepass")


def _plain(value: Any) -> Any:
    """Bring a value into a form that is the same in every session, whatever its time zone."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.timezone.utc)
    return value


@dataclass(frozen=True)
class Read:
    """A statement that was run, and the digest of its result.

    Attributes
    ----------
    text : str
        As the driver takes it.
    values : sequence or mapping
        Of its parameters.
    digest : str
    """

    text: str
    values: Values
    digest: str


class Reads:
    """The statements that were run within some time, in their order.

    Attributes
    ----------
    changes : dict
        The beginnings of those that have changed something, as keys.
    """

    def __init__(self) -> None:
        self._reads: list[Read] = []
        self.changes: dict[str, None] = {}

    def add(self, read: Read) -> None:
        """Note one more."""
        self._reads.append(read)

    def add_change(self, text: str) -> None:
        """Note a statement that changes something: what it changes is named in its beginning."""
        self.changes[text[:_BEGINNING]] = None

    def __iter__(self) -> Iterator[Read]:
        return iter(self._reads)

    def __len__(self) -> int:
        return len(self._reads)


class FetchedCursor:
    """A cursor whose rows have been fetched, so that it does not matter what becomes of it.

    Parameters
    ----------
    cursor : Cursor
        The one that has them.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.rowcount = cursor.rowcount
        self.description = cursor.description
        self.rows = cursor.fetchall()
        self._rest = iter(self.rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self._rest, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self._rest)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rest
