"""Leases: what a worker has reserved is its own for as long as it lives.

A worker has one row in the table ``~lease`` of a schema, which its heartbeat renews; what it has
reserved are rows of ``~jobs``, in the form that all versions share. Who is dead is found by the
clock of the server and by what the server knows of sessions, and what they had reserved is free for
others. A worker that was taken for dead cannot commit: its last statement in the transaction
deletes the reservation, which must still be there. Manual 9.5.1; storage formats 3.2.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from .backends.base import Seen
from .connection import Connection
from .declare import TableName
from .errors import AccessError, ConflictError, DataJointError, ReservationLostError
from .hash import key_hash
from .heartbeat import Heartbeat
from .insertion import RowEncoder
from .jobs import (
    JobTable,
    Taken,
    identity,
    is_entry_of,
    packed_key,
    second_address,
    shortened,
    shortened_stack,
)
from .logging import logger
from .service import client, service_spec
from .settings import config
from .sql.leasing import Leasing
from .sql.text import SQL
from .utils import batches

LEASES = "~lease"
_DEFINITION = """# workers that make entities of `{schema}`
host : varchar(255)  # system hostname
pid : int unsigned  # system process id
connection_id : bigint unsigned  # connection_id() when it began
---
user = "" : varchar(255)  # database user
session : bigint unsigned  # of the session that makes them now
heartbeat : bigint unsigned  # of the session that renews the lease
renewed : double  # seconds since 1970
expires : double  # seconds since 1970
"""
#: So many reservations are made, or ended, by one statement.
BATCH = 100
#: Seconds by which it is known when the server was started.
STARTING = 2.0
#: How many times a statement is repeated that others are in the way of, and the longest pause.
ATTEMPTS, PAUSE = 10, 0.2

_Result = TypeVar("_Result")
#: Tells a table and a key apart.
_Place = tuple[str, object]


@dataclass(frozen=True)
class Owner:
    """A worker: a session of a process on a computer; the names are those of its rows."""

    host: str
    pid: int
    connection_id: int

    @cached_property
    def values(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"process {self.pid} at {self.host}"


@dataclass(frozen=True)
class _Reservation:
    table_name: str
    address: str
    owner: Owner
    user: str
    moment: float


@dataclass(frozen=True)
class _LeaseRow:
    owner: Owner
    user: str
    session: int
    heartbeat: int
    renewed: float
    age: float
    is_over: bool

    @property
    def sessions(self) -> set[Seen]:
        """The sessions of the worker: that which makes, and that which renews."""
        return {
            Seen(id_, self.user, self.owner.host, self.renewed)
            for id_ in (self.session, self.heartbeat)
        }


def _addresses(held: Mapping[_Place, str]) -> set[tuple[str, str]]:
    return {(table_name, address) for (table_name, _), address in held.items()}


class _Entry(NamedTuple):
    packed: bytes | None
    is_ours: bool


class Lease:
    """The lease of one worker in one schema; :func:`lease` makes it.

    Parameters
    ----------
    connection : Connection
        The session that makes; not in a transaction.
    schema : str
    duration : float
        Seconds for which a renewal counts.
    """

    def __init__(self, connection: Connection, schema: str, duration: float) -> None:
        self._connection = connection
        self._jobs = JobTable(connection, schema)
        self._duration = duration
        self.owner = Owner(client(), os.getpid(), connection.connection_id)
        dialect = connection.dialect
        name = TableName(schema, LEASES)
        self._sql = Leasing(
            dialect, *(dialect.table(n.schema, n.table) for n in (self._jobs.name, name))
        )
        self._name = name
        self._session = 0
        #: Table and key → the address of what is reserved.
        self._held: dict[_Place, str] = {}
        #: Tables and addresses at which it is not known what was reserved, after an interruption.
        self._begun: set[tuple[str, str]] = set()
        #: What the transaction in progress, or the last one, completes.
        self._verified: tuple[_Place, str] | None = None
        #: Whether others may have taken over what was reserved last.
        self._in_doubt = False
        self._heartbeat: Heartbeat | None = None

    # -- beginning and end ----------------------------------------------------------------------

    def begin(self) -> None:
        """Take the lease, and begin to renew it."""
        self._jobs.declare()
        if not self._declare():
            return
        self._session = self._connection.connection_id
        needed = "SELECT, INSERT, UPDATE or DELETE"
        with self._connection.requiring(needed, "hold a lease in", self._name):
            if not self._change(self._take(self._session), repeat=True):
                # Of one who had the same numbers before, and is gone.
                self._change(self._sql.release_all(self.owner.values), repeat=True)
                self._change(self._renew(self._session, self._session), repeat=True)
        self._heartbeat = Heartbeat(
            self._connection.new_backend,
            self._connection.backend.place,
            lambda session: self._renew(None, session),
            self._take_again,
            self._duration,
            str(self.owner),
        )
        self._heartbeat.start()

    def _take(self, heartbeat: int) -> SQL:
        session, user = self._connection.connection_id, self._connection.get_user()
        values = {"user": user, "session": session, "heartbeat": heartbeat}
        return self._sql.take({**self.owner.values, **values}, self._duration)

    def _take_again(self, heartbeat: int) -> SQL:
        """Take the lease after it ran out."""
        self._in_doubt = True
        return self._take(heartbeat)

    def _renew(self, session: int | None, heartbeat: int | None) -> SQL:
        ids = {"session": session, "heartbeat": heartbeat}
        known = {name: id_ for name, id_ in ids.items() if id_ is not None}
        return self._sql.renew(self.owner.values, known, self._duration)

    def _note_session(self) -> None:
        """Let the new session answer for the lease, if the connection was lost and is back."""
        session = self._connection.connection_id
        if self._heartbeat is not None and session != self._session:
            self._in_doubt = True
            if not self._change(self._renew(session, None), repeat=True):
                self._change(self._take(session), repeat=True)
            self._session = session

    def _declare(self) -> bool:
        """Create the table of leases, unless it exists; tell whether it does."""
        if self._connection.is_declared(self._name):
            return True
        try:
            self._connection.create_table(service_spec(self._name, _DEFINITION))
        except AccessError as error:
            logger.warning(
                "There is no table %s, and it cannot be created, so that reservations last as long "
                "as this session with the database does: %s",
                self._name,
                error,
            )
            return False
        return True

    def end(self, kept: Container[_Place] = (), *, is_last: bool = True) -> None:
        """Release what is still reserved, but for what an outer use of the lease has.

        Errors are logged only: what is left behind is released by others, when they notice.
        """
        if os.getpid() != self.owner.pid:  # a fork of the worker
            return
        if is_last and self._heartbeat is not None:
            self._heartbeat.stop()
        try:
            self._restore()
            stays = {place: address for place, address in self._held.items() if place in kept}
            left = self._begun | _addresses(self._held)
            by_table: dict[str, list[str]] = {}
            for table_name, address in left - _addresses(stays):
                by_table.setdefault(table_name, []).append(address)
            for table_name, addresses in by_table.items():
                self._release(self.owner, table_name, addresses)
            self._held, self._begun = stays, set()
            if is_last and self._heartbeat is not None:
                self._change(self._sql.end(self.owner.values), repeat=True)
        except DataJointError as error:
            logger.warning("The lease of %s could not be ended: %s", self.owner, error)

    @property
    def held(self) -> frozenset[_Place]:
        """The tables and keys that are reserved."""
        return frozenset(self._held)

    # -- reservations ---------------------------------------------------------------------------

    def reserve(self, table_name: str, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Reserve keys, those that have no entry in the jobs.

        Parameters
        ----------
        table_name : str
            The name of the table in its schema, such as ``__filtered_image``.
        keys : sequence of mapping
            Primary keys.

        Returns
        -------
        list of dict
            Those that are ours now and were not before, in their order.
        """
        self._note_session()
        self._verified, self._in_doubt = None, False
        stored = [self._jobs.stored_key(table_name, key) for key in keys]
        places = [(table_name, identity(key)) for key in stored]
        wanted = {place: key for place, key in zip(places, stored) if place not in self._held}
        earlier, found = set(self._begun), {}
        for part in batches(wanted.items(), BATCH):
            found.update(self._reserve(table_name, dict(part)))
        self._held.update(found)
        self._begun = earlier
        ours = set(found)
        chosen = []
        for place, key in zip(places, keys):
            if place in ours:
                ours.discard(place)
                chosen.append(dict(key))
        return chosen

    def _reserve(
        self, table_name: str, wanted: Mapping[_Place, Mapping[str, Any]]
    ) -> dict[_Place, str]:
        """Reserve keys, at their second addresses those whose first one another key has.

        It is looked at both after a reservation: an entry of a key stays where it is when that of
        the other key has gone.
        """
        seconds = {place: second_address(key) for place, key in wanted.items()}
        at = {place: key_hash(key) for place, key in wanted.items()}
        found = {}
        for _ in range(2):
            self._insert(table_name, {at[place]: key for place, key in wanted.items()})
            addresses = {*at.values(), *map(key_hash, wanted.values()), *seconds.values()}
            entries = self._entries(table_name, sorted(addresses))
            others, surplus = {}, []
            for place, key in wanted.items():
                of_key = {
                    address: entries[address].is_ours
                    for address in (key_hash(key), seconds[place])
                    if address in entries and is_entry_of(entries[address].packed, key)
                }
                if not all(of_key.values()):
                    surplus += [address for address, is_ours in of_key.items() if is_ours]
                elif at[place] in of_key:
                    found[place] = at[place]
                elif at[place] in entries and at[place] != seconds[place]:
                    others[place] = key
            self._release(self.owner, table_name, surplus)
            if not others:
                break
            wanted, at = others, {place: seconds[place] for place in others}
        return found

    def taken(self, table_name: str) -> Taken:
        """Collect the keys of a table that have an entry in the jobs, whoever's."""
        return self._jobs.taken(table_name)

    def verify(self, table_name: str, key: Mapping[str, Any]) -> None:
        """Complete a key in the transaction that makes it, as its last statement.

        Raises
        ------
        ReservationLostError
            When the reservation is not ours any more: the transaction must be cancelled.
        ConflictError
            When others have removed it while the transaction was in progress.
        """
        place = self._place(table_name, key)
        address = self._held.get(place)
        released = 0
        if address is not None:
            statement = self._sql.release(table_name, [address], self.owner.values)
            released = self._connection.execute(statement)
        if address is None or released != 1:
            self._in_doubt = True
            raise ReservationLostError(
                f"The key {dict(key)} of `{self._name.schema}`.`{table_name}` is not reserved by "
                f"{self.owner} any more, and nothing of it was kept: another worker has taken it "
                "over, or its entry in the jobs was deleted"
            )
        self._verified = place, address
        del self._held[place]

    def may_have_lost(self) -> bool:
        """Tell whether others may have taken over what was reserved last: then see what it holds.

        Either the lease ran out, as when the process was halted, or the session is another, which
        is opened here if the last one has ended: not amid a transaction.
        """
        self._connection.revive()
        self._note_session()
        return self._in_doubt

    def holds(self, table_name: str, key: Mapping[str, Any]) -> bool:
        """Tell, outside of a transaction, whether the reservation of a key is still ours."""
        place = self._place(table_name, key)
        address = self._held.get(place)
        entry = None if address is None else self._entries(table_name, [address]).get(address)
        self._note_session()
        if address is None:
            return False
        if entry is not None and entry.is_ours:
            return True
        self._held.pop(place)
        self._in_doubt = True
        return False

    def release(self, table_name: str, keys: Iterable[Mapping[str, Any]]) -> None:
        """Give up the reservations of keys, those that are still ours."""
        places = {self._place(table_name, key) for key in keys} & self._held.keys()
        self._release(self.owner, table_name, [self._held[place] for place in places])
        for place in places:  # only now: after a loss of the connection it is done again
            del self._held[place]

    def fail(self, table_name: str, key: Mapping[str, Any], message: str, stack: str) -> bool:
        """Make an error of the reservation of a key.

        Returns
        -------
        bool
            False when the reservation was not ours any more; nothing is noted then.
        """
        place = self._place(table_name, key)
        address = self._held.get(place)
        if address is None:
            return False
        values = self._encoded(
            {
                "table_name": table_name,
                "key_hash": address,
                "status": "error",
                "error_message": shortened(message),
                "error_stack": shortened_stack(stack),
            }
        )
        statement = self._sql.fail(
            table_name,
            address,
            self.owner.values,
            {name: values[name] for name in ("status", "error_message", "error_stack")},
        )
        count = self._change(statement)
        del self._held[place]
        return count == 1

    # -- others -----------------------------------------------------------------------------------

    def sweep(self, table_name: str) -> int:
        """Release what workers have reserved in the schema that are dead.

        Returns
        -------
        int
            How many keys of the table became free, by this worker or another at the same time.
        """
        reservations = self._reservations()  # first: who reserves has a lease before
        leases = self._leases() if self._heartbeat is not None else {}
        if not reservations and not leases:
            return 0
        dead, over = self._dead(reservations, leases)
        self._end_sessions(over)
        freed = 0
        by_owner: dict[tuple[Owner, str], list[str]] = {}
        for each in dead:
            by_owner.setdefault((each.owner, each.table_name), []).append(each.address)
        for (owner, table), addresses in sorted(by_owner.items(), key=lambda item: item[0][1]):
            count = self._release(owner, table, addresses)
            # Those that others have released at the same time are counted by all of them.
            freed += len(addresses) if table == table_name else 0
            logger.info("%d keys of %s were released, which %s had reserved", count, table, owner)
        for row in over:
            self._change(self._sql.end(row.owner.values, row.renewed), repeat=True)
        return freed

    def end_frozen(self) -> None:
        """End what workers have begun whose leases ran out; what they reserved is not looked at."""
        if self._heartbeat is not None:
            self._end_sessions(self._leases().values())

    def _end_sessions(self, rows: Iterable[_LeaseRow]) -> None:
        """End the sessions of leases that ran out: who is only frozen keeps rows locked."""
        for row in rows:
            if row.is_over:
                self._connection.end_lost(row.session, row.age)

    def _dead(
        self, reservations: Sequence[_Reservation], leases: Mapping[Owner, _LeaseRow]
    ) -> tuple[list[_Reservation], list[_LeaseRow]]:
        """Find the reservations and the leases of the dead."""
        seen = {
            Seen(each.owner.connection_id, each.user, each.owner.host, each.moment): each
            for each in reservations
            if each.owner not in leases
        }
        running = [row for row in leases.values() if not row.is_over]
        sessions = set(seen).union(*(row.sessions for row in running))
        ended, started = self._connection.ended(sessions) if sessions else (set(), 0.0)
        # A server that was started since has ended all sessions: whoever lives will be back.
        over = [
            row
            for row in leases.values()
            if row.is_over or (row.renewed >= started + STARTING and row.sessions <= ended)
        ]
        gone = {row.owner for row in over}
        return [
            each
            for each in reservations
            if each.owner in gone
            or Seen(each.owner.connection_id, each.user, each.owner.host, each.moment) in ended
        ], over

    def _reservations(self) -> list[_Reservation]:
        """Read the reservations of others."""
        rows = self._read(self._sql.reservations())
        found = (
            _Reservation(table, address, Owner(host, int(pid), int(id_)), user, float(moment or 0))
            for table, address, host, pid, id_, user, moment in rows
        )
        return [each for each in found if each.owner != self.owner]

    def _leases(self) -> dict[Owner, _LeaseRow]:
        """Read the leases of others."""
        rows = self._read(self._sql.all_leases())
        found = (
            _LeaseRow(
                Owner(host, int(pid), int(id_)),
                user,
                int(session),
                int(heartbeat),
                float(renewed),
                float(age),
                bool(is_over),
            )
            for host, pid, id_, user, session, heartbeat, renewed, age, is_over in rows
        )
        return {row.owner: row for row in found if row.owner != self.owner}

    # -- statements -------------------------------------------------------------------------------

    def _place(self, table_name: str, key: Mapping[str, Any]) -> _Place:
        """Tell a key apart; if the transaction that completed it failed, it is still reserved."""
        place = (table_name, identity(self._jobs.stored_key(table_name, key)))
        if self._verified is not None and self._verified[0] == place:
            self._restore()
        return place

    def _restore(self) -> None:
        """Take what was completed last for reserved, since it may have been undone."""
        if self._verified is not None:
            place, address = self._verified
            self._held[place] = address
            self._verified = None

    @cached_property
    def _encoder(self) -> RowEncoder:
        return RowEncoder(self._jobs.spec, self._connection.dialect, False, native_blobs=True)

    def _encoded(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Encode attributes of an entry."""
        columns, values = self._encoder.encode(row)
        return dict(zip(columns, values, strict=True))

    def _insert(self, table_name: str, keys: Mapping[str, Mapping[str, Any]]) -> None:
        """Insert reservations at some addresses, where there is no entry."""
        dialect, heading = self._connection.dialect, self._jobs.heading
        blob = heading["key"].attribute_type
        common = self._encoded(self._jobs.row("reserved", table_name, {}) | self.owner.values)
        columns = list(common)
        rows = []
        # In an order that is the same for all, so that two who wait for each other are rare.
        for address, key in sorted(keys.items(), key=lambda item: item[0]):
            own = {"key_hash": address, "key": dialect.encode(packed_key(key), blob)}
            rows.append(list((common | own).values()))
        rest = [name for name in heading.stored_rest if name in columns]
        self._begun.update((table_name, address) for address in keys)
        self._change(self._sql.reserve(columns, rest, rows), repeat=True)

    def _entries(self, table_name: str, addresses: Sequence[str]) -> dict[str, _Entry]:
        """Read what is at some addresses."""
        rows = self._read(self._sql.entries(table_name, addresses, self.owner.values))
        return {address: _Entry(packed, bool(is_ours)) for address, packed, is_ours in rows}

    def _release(self, owner: Owner, table_name: str, addresses: Iterable[str]) -> int:
        """Delete reservations that are still those of an owner, and count them."""
        count = 0
        for part in batches(sorted(addresses), BATCH):
            statement = self._sql.release(table_name, part, owner.values)
            count += self._change(statement, repeat=True)
        return count

    def _change(self, statement: SQL, *, repeat: bool = False) -> int:
        return self._insist(lambda: self._connection.execute(statement, repeat=repeat))

    def _read(self, statement: SQL) -> list[tuple[Any, ...]]:
        return self._insist(lambda: self._connection.rows(statement))

    def _insist(self, operation: Callable[[], _Result]) -> _Result:
        """Run a statement of its own again when others are in its way."""
        for attempt in range(1, ATTEMPTS):
            try:
                return operation()
            except ConflictError as error:
                if self._connection.in_transaction:
                    raise
                logger.debug("Attempt %d at the jobs of %s: %s", attempt, self._name.schema, error)
                time.sleep(random.uniform(0, min(PAUSE, 0.01 * 2**attempt)))
        return operation()


#: The leases in use, by process and schema.
_LEASES: WeakKeyDictionary[Connection, dict[tuple[int, str], Lease]] = WeakKeyDictionary()


@contextmanager
def lease(connection: Connection, schema: str, duration: float | None = None) -> Iterator[Lease]:
    """Hold a lease, that in use if there is one; at the end, what is still reserved is released.

    Parameters
    ----------
    connection : Connection
        Not in a transaction of this thread; those of others are waited for.
    schema : str
    duration : float, optional
        Seconds: setting ``populate.lease``.

    Raises
    ------
    AccessError
        When the user may not create the jobs of the schema.
    """
    leases = _LEASES.setdefault(connection, {})
    place = (os.getpid(), schema)
    outer = leases.get(place)
    if outer is not None:
        kept = outer.held
        try:
            yield outer
        finally:
            outer.end(kept, is_last=False)
        return
    with ExitStack() as beginning:
        beginning.enter_context(connection.alone())
        if connection.in_transaction:
            raise DataJointError(
                f"Keys of the schema `{schema}` cannot be reserved inside a transaction, which "
                "would hide it from others"
            )
        connection.revive()  # the owner is named after the session
        seconds = config["populate.lease"] if duration is None else duration
        found = Lease(connection, schema, seconds)
        try:
            leases[place] = found
            found.begin()
            beginning.close()
            yield found
        finally:
            leases.pop(place, None)
            found.end()
