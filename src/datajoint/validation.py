"""What would be refused of rows, all at once and before anything is inserted.

Manual 7.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .connection import Connection
from .declare import TableName, TableSpec
from .errors import DataJointError
from .insertion import EncodedRow, Fault, RowEncoder, rows_of
from .placing import refused_files
from .refusals import Checker
from .utils import batches

#: How many errors are shown.
_SHOWN = 20


@dataclass(frozen=True)
class Validation:
    """What ``Table.validate`` finds: true when all rows can be inserted.

    Attributes
    ----------
    table : TableName
    count : int
        How many rows were looked at.
    errors : tuple of Fault
        Each has ``row``, the position of the row from 0; ``attributes``, the names of those
        concerned; ``value``, what they were given (a tuple where there are several); and
        ``message``.
    """

    table: TableName
    count: int
    errors: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return not self.errors

    def __str__(self) -> str:
        rows = f"{self.count} row{'s'[: self.count != 1]}"
        if not self.errors:
            return f"{rows} can be inserted into {self.table}"
        bad = len({fault.row for fault in self.errors})
        lines = [f"{bad} of {rows} cannot be inserted into {self.table}:"]
        lines += [f"    row {fault.row}: {fault.message}" for fault in self.errors[:_SHOWN]]
        if len(self.errors) > _SHOWN:
            lines.append(f"    and {len(self.errors) - _SHOWN} errors more")
        return "\n".join(lines)

    def raise_if_invalid(self) -> None:
        """Raise an error that lists what is wrong, if anything is.

        Raises
        ------
        DataJointError
            Of the class of the error that the insert would raise, where all are of one class.
        """
        if self.errors:
            kinds = {fault.kind for fault in self.errors}
            kind = kinds.pop() if len(kinds) == 1 else DataJointError
            advice = dict.fromkeys(text for fault in self.errors for text in fault.advice)
            raise kind(str(self), *advice)


def validate(
    connection: Connection,
    spec: TableSpec,
    rows: Any,
    mode: str,
    ignore_extra_fields: bool,
    chunk_size: int,
) -> Validation:
    """Find all that an insert would refuse, without inserting.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table.
    rows
        Anything that ``Table.insert`` takes; a query is fetched.
    mode : {"insert", "replace", "skip"}
        What would happen when the primary key exists.
    ignore_extra_fields : bool
        Whether fields that are no attributes are passed over.
    chunk_size : int
        How many rows are held at once; each chunk takes one query for each unique key and one for
        each foreign key.
    """
    if isinstance(rows, Mapping):  # one entity
        rows = (rows,)
    encoder = RowEncoder(spec, connection.dialect, ignore_extra_fields)
    checker = Checker(connection, spec, mode)
    numbered = enumerate(rows_of(rows))
    errors: list[Fault] = []
    count = 0
    for chunk in batches(numbered, chunk_size):
        count += len(chunk)
        encoded, faults = _encoded(chunk, encoder)
        faults += checker.faults(encoded)
        faults += refused_files(connection, spec, encoded)
        errors += sorted(faults, key=lambda fault: fault.row or 0)
    return Validation(spec.name, count, tuple(errors))


def _encoded(
    chunk: Iterable[tuple[int, Any]], encoder: RowEncoder
) -> tuple[list[tuple[int | None, EncodedRow]], list[Fault]]:
    """Check each value; the rows whose values are right are to be checked further."""
    faults: list[Fault] = []
    encoded: list[tuple[int | None, EncodedRow]] = []
    for number, row in chunk:
        values, found = encoder.check(row, number)
        faults += found
        if not found:
            encoded.append((number, values))
    return encoded, faults
