"""Statements on the reservations of a schema, and on the leases of the workers that hold them.

All times are those of the server, in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .dialect import Dialect
from .statements import insert_together
from .text import SQL, Param, join, listed

_OWNER = ("host", "pid", "connection_id")
_RESERVED = {"status": "reserved"}


@dataclass(frozen=True)
class Leasing:
    """Writes the statements of one schema.

    Attributes
    ----------
    dialect : Dialect
    jobs, leases : str
        The quoted names of the two tables.
    """

    dialect: Dialect
    jobs: str
    leases: str

    # -- reservations -------------------------------------------------------------------------

    def reserve(
        self, columns: Sequence[str], rest: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> SQL:
        """Insert reservations, but for those of keys that have an entry."""
        key = ("table_name", "key_hash")
        return insert_together(self.dialect, self.jobs, columns, key, rest, "skip", rows)

    def entries(self, table_name: str, addresses: Sequence[str], owner: Mapping[str, Any]) -> SQL:
        """Select the address and the key of entries, and whether it is a reservation of ours."""
        names = ", ".join(map(self.dialect.quote, ("key_hash", "key")))
        ours = SQL("CASE WHEN ", self._equal({**_RESERVED, **owner}), " THEN 1 ELSE 0 END")
        return SQL(
            f"SELECT {names}, ", ours, f" FROM {self.jobs} WHERE ",
            self._at(table_name, addresses),
        )  # fmt: skip

    def release(self, table_name: str, addresses: Sequence[str], owner: Mapping[str, Any]) -> SQL:
        """Delete reservations, if they are still those of an owner."""
        return SQL(
            f"DELETE FROM {self.jobs} WHERE ",
            self._at(table_name, addresses), " AND ", self._equal({**_RESERVED, **owner}),
        )  # fmt: skip

    def release_all(self, owner: Mapping[str, Any]) -> SQL:
        """Delete all reservations of an owner."""
        return SQL(f"DELETE FROM {self.jobs} WHERE ", self._equal({**_RESERVED, **owner}))

    def fail(
        self,
        table_name: str,
        address: str,
        owner: Mapping[str, Any],
        values: Mapping[str, Any],
    ) -> SQL:
        """Make an error of a reservation, if it is still that of an owner."""
        quote = self.dialect.quote
        given = (SQL(quote(name), " = ", Param(value)) for name, value in values.items())
        return SQL(
            f"UPDATE {self.jobs} SET ", join(", ", given),
            f", {quote('timestamp')} = {self.dialect.now} WHERE ",
            self._at(table_name, [address]), " AND ", self._equal({**_RESERVED, **owner}),
        )  # fmt: skip

    def reservations(self) -> SQL:
        """Select all reservations: table, address, owner, account and moment."""
        names = map(self.dialect.quote, ("table_name", "key_hash", *_OWNER, "user"))
        moment = self.dialect.moment(self.dialect.quote("timestamp"))
        return SQL(
            f"SELECT {', '.join(names)}, {moment} FROM {self.jobs} WHERE ", self._equal(_RESERVED)
        )

    # -- leases -------------------------------------------------------------------------------

    def take(self, values: Mapping[str, Any], duration: float) -> SQL:
        """Insert a lease, unless there is one of that owner."""
        clock = self.dialect.clock
        names = ", ".join(map(self.dialect.quote, (*values, "renewed", "expires")))
        before, conflict = self.dialect.inserts["skip"]
        tail = conflict(self.leases, list(map(self.dialect.quote, _OWNER)), ())
        return SQL(
            f"{before} {self.leases} ({names}) VALUES (", join(", ", map(Param, values.values())),
            f", {clock}, {clock} + ", Param(duration), f"){tail}",
        )  # fmt: skip

    def renew(self, owner: Mapping[str, Any], values: Mapping[str, Any], duration: float) -> SQL:
        """Put off the end of a lease, and note which sessions answer for it from now on."""
        quote, clock = self.dialect.quote, self.dialect.clock
        given = [SQL(f"{quote(name)} = ", Param(value)) for name, value in values.items()]
        given += [SQL(f"{quote('renewed')} = {clock}")]
        given += [SQL(f"{quote('expires')} = {clock} + ", Param(duration))]
        return SQL(f"UPDATE {self.leases} SET ", join(", ", given), " WHERE ", self._equal(owner))

    def all_leases(self) -> SQL:
        """Select all leases.

        Owner, account, sessions, last renewal, seconds since then, and whether it is over.
        """
        quote, clock = self.dialect.quote, self.dialect.clock
        names = map(quote, (*_OWNER, "user", "session", "heartbeat", "renewed"))
        age = f"{clock} - {quote('renewed')}"
        over = f"CASE WHEN {quote('expires')} < {clock} THEN 1 ELSE 0 END"
        return SQL(f"SELECT {', '.join(names)}, {age}, {over} FROM {self.leases}")

    def end(self, owner: Mapping[str, Any], renewed: float | None = None) -> SQL:
        """Delete a lease; only if it was not renewed since, where a moment is given."""
        unchanged: SQL | str = ""
        if renewed is not None:
            unchanged = SQL(f" AND {self.dialect.quote('renewed')} <= ", Param(renewed))
        return SQL(f"DELETE FROM {self.leases} WHERE ", self._equal(owner), unchanged)

    # -- conditions ---------------------------------------------------------------------------

    def _at(self, table_name: str, addresses: Sequence[str]) -> SQL:
        """Find entries by the primary key, so that no others are looked at, or locked."""
        hashes = listed(([address] for address in addresses), "{}")
        return SQL(
            self._equal({"table_name": table_name}),
            f" AND {self.dialect.quote('key_hash')} IN (", hashes, ")",
        )  # fmt: skip

    def _equal(self, values: Mapping[str, Any]) -> SQL:
        quote = self.dialect.quote
        return join(" AND ", (SQL(quote(n), " = ", Param(value)) for n, value in values.items()))
