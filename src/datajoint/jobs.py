"""The jobs table of a schema: which keys are reserved, in error or ignored.

Manual 9.5.1; storage formats 3.2.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from .blob import pack, unpack
from .connection import Connection
from .errors import DataJointError, DuplicateError
from .hash import key_hash
from .references import adapted_spec
from .service import LOG, client, insert_row, service_spec
from .sql import algebra
from .sql.select import Writer
from .table import Table
from .types import Adapted, AttributeType

JOBS = "~jobs"
_DEFINITION = """# job reservation table for `{schema}`
table_name : varchar(255)  # className of the table
key_hash : char(32)  # key hash
---
status : enum('reserved','error','ignore')  # if tuple is missing, the job is available
key = null : blob  # structure containing the key
error_message = "" : varchar(2047)  # error message returned if failed
error_stack = null : mediumblob  # error stack if failed
user = "" : varchar(255)  # database user
host = "" : varchar(255)  # system hostname
pid = 0 : int unsigned  # system process id
connection_id = 0 : bigint unsigned  # connection_id()
timestamp = CURRENT_TIMESTAMP : timestamp  # automatic timestamp
"""
_MESSAGE_LENGTH = 2047
#: Of a stack, the beginning and the end are kept, so many characters of each.
_STACK_HALF = 500_000
_TRUNCATION = "...truncated"


class ServiceTable(Table):
    """A table that DataJoint keeps for itself; it can be queried, and deleted from.

    Parameters
    ----------
    connection : Connection
    schema : str
    table : str
    """

    def __init__(self, connection: Connection, schema: str, table: str) -> None:
        self._connection = connection
        self.database = schema
        self._table_name = table

    def delete(self, *args: Any, **kwargs: Any) -> int:
        """Delete the entries without asking: nothing depends on them."""
        return self.delete_quick(get_count=True) or 0

    def drop(self) -> None:
        """Drop the table without asking: nothing depends on it."""
        self.connection.drop_table(self.name)


class Log(ServiceTable):
    """The log of a schema: who declared, deleted and dropped what, and when.

    Parameters
    ----------
    connection : Connection
    schema : str
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        super().__init__(connection, schema, LOG)


class JobTable(ServiceTable):
    """The jobs of a schema.

    Parameters
    ----------
    connection : Connection
    schema : str
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        super().__init__(connection, schema, JOBS)

    def declare(self, context: object = None) -> None:
        """Create the table, unless it exists.

        Raises
        ------
        AccessError
            When the user may not create it.
        """
        if not self.is_declared and not self.connection.in_transaction:
            self.connection.create_table(service_spec(self.name, _DEFINITION))

    def reserve(self, table_name: str, key: Mapping[str, Any]) -> bool:
        """Reserve a key.

        Parameters
        ----------
        table_name : str
            The name of the table in its schema, such as ``__filtered_image``.
        key : mapping
            The primary key.

        Returns
        -------
        bool
            False when another process has the key, or it is in error or ignored.
        """
        return self._note("reserved", table_name, key)

    def ignore(self, table_name: str, key: Mapping[str, Any]) -> bool:
        """Mark a key so that it is passed over; False when it has an entry already."""
        return self._note("ignore", table_name, key)

    def complete(self, table_name: str, key: Mapping[str, Any]) -> None:
        """Remove the entry of a key."""
        entries, _ = self._addresses(table_name, self.stored_key(table_name, key))
        for address in entries:
            (self & {"table_name": table_name, "key_hash": address}).delete()

    def error(
        self,
        table_name: str,
        key: Mapping[str, Any],
        error_message: str | BaseException,
        error_stack: str | None = None,
    ) -> None:
        """Note that a key failed; it is passed over until the entry is deleted.

        Parameters
        ----------
        table_name, key
            As for :meth:`reserve`.
        error_message : str or exception
            Its first 2,035 characters are kept if it is longer than 2,047.
        error_stack : str, optional
        """
        error_message = shortened(str(error_message))
        key = self.stored_key(table_name, key)
        entries, free = self._addresses(table_name, key)
        row = self.row("error", table_name, key) | {"key_hash": entries[0] if entries else free}
        stack = None if error_stack is None else shortened_stack(error_stack)
        row |= {"error_message": error_message, "error_stack": stack}
        insert_row(self.connection, self.spec, row, "replace")

    def stored_key(self, table_name: str, key: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give a key with the values that the database has, instead of objects of adapters."""
        _check_given(table_name, key)
        spec = self.connection.tables(self.name.schema).get(table_name)
        if spec is None or not spec.heading.has_adapters:
            return key
        heading = adapted_spec(self.connection, spec).heading
        types = {name: heading[name].attribute_type for name in key if name in heading}
        return {name: _put(value, types.get(name)) for name, value in key.items()}

    def taken(self, table_name: str) -> Taken:
        """Collect the keys that have an entry."""
        rows = self.entries(algebra.Equal("table_name", None, table_name))
        return Taken(dict(rows), lambda key: self.stored_key(table_name, key))

    def entries(self, condition: algebra.Condition) -> list[tuple[str, bytes | None]]:
        """Read the addresses and the packed keys of the entries that meet a condition."""
        relation = algebra.Restriction(self.spec.relation, condition)
        statement = Writer(self.connection.dialect).select(relation, ("key_hash", "key"))
        return [(address, packed) for address, packed in self.connection.rows(statement)]

    def row(self, status: str, table_name: str, key: Mapping[str, Any]) -> dict[str, Any]:
        """Make the entry of a key, as it is stored, at the first of its addresses."""
        return {
            "table_name": table_name,
            "key_hash": key_hash(key),
            "status": status,
            "key": _storable(key),
            "user": self.connection.get_user(),
            "host": client(),
            "pid": os.getpid(),
            "connection_id": self.connection.connection_id,
        }

    def _addresses(self, table_name: str, key: Mapping[str, Any]) -> tuple[list[str], str]:
        """Find where a key has entries, and where one would be, to change that."""
        self.connection.check_changeable(f"change {self.name}")
        first, second = key_hash(key), second_address(key)
        hashes = (algebra.Equal("key_hash", None, address) for address in (first, second))
        table = algebra.Equal("table_name", None, table_name)
        found = dict(self.entries(algebra.AllOf((table, algebra.AnyOf(tuple(hashes))))))
        of_key = [a for a in (first, second) if a in found and is_entry_of(found[a], key)]
        return of_key, second if first in found else first

    def _note(self, status: str, table_name: str, key: Mapping[str, Any]) -> bool:
        """Insert an entry, unless the key has one."""
        key = self.stored_key(table_name, key)
        entries, free = self._addresses(table_name, key)
        if entries:
            return False
        try:
            row = self.row(status, table_name, key) | {"key_hash": free}
            insert_row(self.connection, self.spec, row)
        except DuplicateError:
            return False
        return True


class Taken:
    """The keys of a table that have an entry in the jobs: ``key in taken``.

    Parameters
    ----------
    entries : mapping
        Address → packed key.
    stored : callable
        Gives a key with the values that the database has.
    """

    def __init__(
        self,
        entries: Mapping[str, bytes | None],
        stored: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        self._entries = entries
        self._stored = stored
        self._has_second = any(address.startswith(_SECOND) for address in entries)

    def __contains__(self, key: Any) -> bool:
        if not self._entries:
            return False
        key = self._stored(key)
        addresses = [key_hash(key)]
        if self._has_second:
            addresses.append(second_address(key))
        return any(a in self._entries and is_entry_of(self._entries[a], key) for a in addresses)

    def __len__(self) -> int:
        return len(self._entries)


#: What the second address of a key begins with, as no hash does.
_SECOND = "x"


def second_address(key: Mapping[str, Any]) -> str:
    """Give the address of a key at whose hash another key has its entry."""
    digest = hashlib.md5(key_hash(key).encode(), usedforsecurity=False)
    digest.update(repr(identity(key)).encode())
    return _SECOND + digest.hexdigest()[len(_SECOND) :]


def identity(key: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Tell a key apart from all others, by what its hash is made of."""
    return tuple(sorted((name, str(value)) for name, value in key.items()))


def is_entry_of(packed: bytes | None, key: Mapping[str, Any]) -> bool:
    """Tell whether an entry at an address of a key is that of the key, so far as is known."""
    if packed is None:
        return True
    try:
        found = unpack(packed)
    except DataJointError:
        return True
    return not isinstance(found, Mapping) or identity(found) == identity(key)


def _escaped(text: str) -> str:
    """Write out characters that not every database can hold."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def shortened_stack(stack: str) -> str:
    """Leave out the middle of a stack that is so long that the database would refuse it."""
    if len(stack) > 2 * _STACK_HALF:
        stack = f"{stack[:_STACK_HALF]}\n{_TRUNCATION}\n{stack[-_STACK_HALF:]}"
    return _escaped(stack)


def shortened(message: str) -> str:
    """Cut a message off so that it fits into its attribute, and say so."""
    message = _escaped(message[: _MESSAGE_LENGTH + 1])
    if len(message) <= _MESSAGE_LENGTH:
        return message
    return message[: _MESSAGE_LENGTH - len(_TRUNCATION)] + _TRUNCATION


def _check_given(table_name: object, key: object) -> None:
    if not isinstance(table_name, str) or not isinstance(key, Mapping):
        raise TypeError(
            "Jobs are those of a table, given by its name in the schema as its `table_name` has "
            f"it, and of a key, a dict; not of {table_name!r} and {key!r}"
        )


def _put(value: Any, type_: AttributeType | None) -> Any:
    while isinstance(type_, Adapted):
        value, type_ = type_.put(value), type_.inner
    return value


def packed_key(key: Mapping[str, Any]) -> bytes | None:
    """Pack a key for its entry; None if it has a value that blobs cannot hold, as a time."""
    try:
        return pack(dict(key))
    except DataJointError:
        return None


def _storable(key: Mapping[str, Any]) -> dict[str, Any] | None:
    return None if packed_key(key) is None else dict(key)
