"""PostgreSQL: a DataJoint schema is a schema of one database.

The schema ``datajoint`` has what all others share: the collation of texts, and the function that
lets ``auto_increment`` go on after values that were given.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format, TransactionStatus

from ..alter import Alteration
from ..declare import TableName, TableSpec
from ..errors import AccessError, DataJointError, LostConnectionError, QueryError
from ..sql.postgresql import DIALECT
from ..sql.statements import Insert
from ..sql.text import literal
from ..types import shortest_single
from .base import Backend, Cursor, Seen
from .catalog import Belongings, assemble, is_readable
from .postgresql_alter import OWN_FOREIGN_KEYS, OWN_INDEXES, alter_statements
from .postgresql_catalog import COLUMNS, FOREIGN_KEYS, INDEXES, read_attribute
from .postgresql_ddl import SHARED, check_name, create_statements
from .postgresql_errors import connect_explanation, statement_error

#: The port of the configuration's default, which is MySQL's.
OTHER_PORT, PORT = 3306, 5432
CONNECT_SECONDS = 10
#: Bytes in a value above which it is sent in binary form, which costs less for large ones only.
LARGE = 2**11
#: Bytes that a row can have, with some space for what the protocol adds.
LARGEST = 2**30 - 2**16

#: Seconds by which a moment may be earlier than what it is of.
MARGIN = 1.0

quote = DIALECT.quote
#: The cursor of a result that is read in parts.
_CURSOR = quote("datajoint stream")
#: All rows of it are wanted, not the first ones soon; and the program may take its time.
_PATIENCE = "SET cursor_tuple_fraction = 1; SET idle_in_transaction_session_timeout = 0"
#: The server looks after a minute whether a silent client is still there; by itself it would after
#: hours, and what the client has changed is locked as long. It has no effect on Unix sockets.
_KEEPALIVE = ", ".join(
    f"set_config('tcp_keepalives_{name}', '{value}', false)"
    for name, value in (("idle", 60), ("interval", 10), ("count", 6))
)
#: A transaction waits for rows that others have locked as long as on MariaDB and MySQL, unless the
#: user or the server says how long.
_LOCK_TIMEOUT = (
    "SELECT set_config('lock_timeout', '50s', true) WHERE current_setting('lock_timeout') = '0'"
)
_Values = Sequence[Any] | Mapping[str, Any]


class _PostgreSQLSource:
    """The result of a query that a cursor on the server has, in a transaction."""

    def __init__(self, backend: PostgreSQLBackend, text: str, values: Sequence[Any]) -> None:
        self._backend = backend
        self._query: tuple[str, Sequence[Any]] | None = (text, values)
        self._is_alone = not backend.in_transaction

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        query, self._query = self._query, None
        fetch = f"FETCH {size} FROM {_CURSOR}"
        if query is None:
            return self._backend.execute(fetch).fetchall()
        text, values = query
        declare = f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR {text}"
        return self._backend.execute_together((declare, values), (fetch, ())).fetchall()

    def close(self) -> None:
        if self._is_alone:
            self._backend.rollback()
        elif self._query is None and self._backend.in_transaction:
            self._backend.execute(f"CLOSE {_CURSOR}")


class PostgreSQLBackend(Backend):
    """A session with a PostgreSQL server."""

    name = "postgresql"
    dialect = DIALECT
    reserved_schemas = frozenset({"information_schema", "datajoint"})

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._options = connection_options(settings)
        self._use_tls = settings["database.use_tls"]
        self._init_function: str | None = settings["connection.init_function"]
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._server = "PostgreSQL"
        self._database: str = settings["database.name"] or settings["database.user"] or ""
        self._user_at_host = ""
        self._session_id = 0
        self._prepared = False
        self._is_patient = False

    # -- the session --------------------------------------------------------------------------

    @property
    def _place(self) -> str:
        host, port = self._options["host"], self._options["port"]
        return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"

    @property
    def description(self) -> str:
        user = self._options["user"]
        return f"{self._server} as {user} at {self.place}"

    @property
    def place(self) -> str:
        return f"{self._place}/{self._database}"

    @property
    def user(self) -> str:
        return self._user_at_host

    @property
    def session_id(self) -> int:
        return self._session_id

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and not self._connection.closed

    @property
    def has_ended(self) -> bool:
        return self.is_connected and is_readable(self._open.fileno())

    def connect(self) -> None:
        if not psycopg.Pipeline.is_supported():
            raise DataJointError(
                "libpq is older than version 14: run `pip install 'datajoint[postgresql]'`"
            )
        try:
            connection = psycopg.connect(**self._options)
        except psycopg.Error as error:
            raise self._connect_error(error) from error
        connection.prepare_threshold = None  # poolers give each transaction another session
        connection.adapters.register_loader("float4", _SingleLoader)
        connection.adapters.register_loader("jsonb", _JsonLoader)
        connection.adapters.register_loader(0, _UnknownLoader)
        self._connection, self._is_patient = connection, False
        version = connection.info.server_version
        self._server = f"PostgreSQL {version // 10000}.{version % 10000}"
        if version < 120000:
            self.close()
            raise DataJointError(f"{self._server} at {self._place} is too old: 12 is the oldest")
        connection.execute("SET DateStyle = ISO; SET IntervalStyle = postgres")
        ((self._user_at_host, self._database, self._session_id, *_),) = self.execute(
            "SELECT concat(session_user, '@', coalesce(host(inet_client_addr()), 'localhost')), "
            f"current_database()::text, pg_backend_pid(), {_KEEPALIVE}"
        ).fetchall()
        if self._init_function:
            connection.execute(self._init_function.encode())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abandon(self) -> None:
        # Kept, since to collect it is to complain; libpq's own part closes only what it opened.
        _ABANDONED.append(self._connection)
        self._connection = None

    # -- statements ---------------------------------------------------------------------------

    @property
    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            raise psycopg.InterfaceError("the connection is closed")
        return self._connection

    @property
    def in_transaction(self) -> bool:
        """Whether the server has a transaction in progress."""
        if self._connection is None:
            return False
        status = self._connection.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def execute(self, text: str, values: _Values = ()) -> Cursor:
        if _CONTROL.match(text):
            return self._send(text, values)
        with self._statement():
            return self._send(text, values)

    def execute_together(self, *statements: tuple[str, Sequence[Any]]) -> Cursor:
        """Run statements with their values in a transaction, in one round trip.

        A transaction that reads is begun if none is in progress. Returns the last result.
        """
        alone = not self.in_transaction
        if alone and not self._is_patient:
            self._open.execute(_PATIENCE)
            self._is_patient = True
        with _pipeline(self._open) if alone else self._statement():
            if alone:
                self._open.execute("BEGIN READ ONLY")
            cursors = [self._send(text, values) for text, values in statements]
        return cursors[-1]

    def _send(self, text: str, values: _Values) -> psycopg.Cursor[tuple[Any, ...]]:
        cursor = self._open.cursor()
        given = values.values() if isinstance(values, Mapping) else values
        sizes = [len(v) for v in given if isinstance(v, (bytes, bytearray, memoryview))]
        if sum(sizes) > LARGEST:
            raise DataJointError(_too_large(f"The values have {sum(sizes):,} bytes"))
        bound: _Values | None = values
        if not sizes or max(sizes) <= LARGE:
            # As literals: the types of parameters would have to be told to the server.
            text, bound = psycopg.ClientCursor(self._open).mogrify(text.encode(), values), None
        return cursor.execute(text.encode(), bound, binary=True)

    @contextmanager
    def _statement(self, pipeline: bool = True) -> Iterator[None]:
        """Let a transaction go on after a failed statement, in the same round trip."""
        if not self.in_transaction:
            yield
            return
        connection = self._open
        try:
            with _pipeline(connection) if pipeline else nullcontext():
                connection.execute("SAVEPOINT statement")
                yield
                connection.execute("RELEASE SAVEPOINT statement")
        except BaseException:
            if not connection.closed and self.in_transaction:
                with suppress(psycopg.Error):  # the error is what matters
                    connection.execute(
                        "ROLLBACK TO SAVEPOINT statement; RELEASE SAVEPOINT statement"
                    )
            raise

    def stream(self, text: str, values: Sequence[Any] = ()) -> _PostgreSQLSource:
        return _PostgreSQLSource(self, text, values)

    def insert(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
        largest = max((len(v) for row in rows for v in row if isinstance(v, bytes)), default=0)
        if largest * max(1, len(statement.columns)) > LARGEST:
            _check_sizes(statement, rows)
        into = "INSERT INTO "
        if len(rows) > 1 and largest <= LARGE and statement.columns and not statement.tail:
            target = statement.head.removeprefix(into).removesuffix(" VALUES ")
            try:
                return self._copy(f"COPY {target} FROM STDIN", rows)
            except psycopg.errors.FeatureNotSupported:  # policies for rows forbid it
                pass
        head, tail = (part.replace("%", "%%") for part in (statement.head, statement.tail))
        text = head + statement.values + tail
        if len(rows) == 1:
            self.execute(text, rows[0])
            return None
        with self._statement(), self._open.cursor() as cursor:
            cursor.executemany(text.encode(), rows)
        return None

    def _copy(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        with (
            self._statement(pipeline=False),
            self._open.cursor() as cursor,
            cursor.copy(text.encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def map_error(self, error: Exception) -> DataJointError | None:
        if not isinstance(error, psycopg.Error):
            return None
        code = error.sqlstate
        lost = code is None and isinstance(
            error, (psycopg.OperationalError, psycopg.InterfaceError)
        )
        if lost or (code or "").startswith(("08", "57P")):
            return LostConnectionError(f"The connection to {self.description} was lost: {error}")
        return statement_error(code or "", error)

    def _connect_error(self, error: psycopg.Error) -> DataJointError:
        """Explain a failure to connect: the driver gives no code, but only the server's words."""
        text = str(error).strip()
        password = error.pgconn is not None and error.pgconn.used_password
        class_, explanation = connect_explanation(text, password)
        explanation = explanation.format(
            server=f"server at {self._place}",
            user=self._options["user"],
            database=self._database,
            tls=self._use_tls,
        )
        return class_(f"{explanation} ({text})")

    # -- transactions -------------------------------------------------------------------------

    def begin(self, *, snapshot: bool = True, optimistic: bool = False) -> None:
        # What it reads is the state at its first query: this makes that its beginning.
        self._open.execute(
            f"BEGIN ISOLATION LEVEL REPEATABLE READ; {_LOCK_TIMEOUT}"
            if snapshot
            else "BEGIN ISOLATION LEVEL READ COMMITTED"
        )

    def commit(self) -> None:
        if self._open.execute("COMMIT").statusmessage == "ROLLBACK":
            raise QueryError("The transaction was rolled back after an error in it")

    def rollback(self) -> None:
        if self.is_connected and self.in_transaction:
            self._open.execute("ROLLBACK")

    # -- schemas ------------------------------------------------------------------------------

    def schemas(self) -> list[str]:
        rows = self.execute(
            "SELECT nspname::text FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE') "
            "AND nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'datajoint') "
            # which every database has, and few use
            "AND (nspname <> 'public' OR EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = "
            "pg_namespace.oid AND relkind IN ('r', 'p', 'f'))) "
            'ORDER BY nspname COLLATE "C"'
        )
        return [name for (name,) in rows]

    def _run(self, *statements: str) -> None:
        """Run statements without values, in one round trip, all or none."""
        with self._statement(pipeline=False):
            self._open.execute(";\n".join(statements).encode())

    def _create(self, what: str, *statements: str) -> None:
        """Create something while no other session creates it."""
        key = literal(f"datajoint {what}")
        self._run(f"SELECT pg_advisory_xact_lock(hashtextextended({key}, 0))", *statements)

    def is_reserved(self, schema: str) -> bool:
        return super().is_reserved(schema) or schema.lower().startswith("pg_")

    def create_schema(self, schema: str) -> None:
        check_name(schema, "schema")
        self._prepare_database()
        self._create(schema, f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")

    def _prepare_database(self) -> None:
        """Create what all schemas share, once for each database."""
        if self._prepared:
            return
        query = (
            "SELECT 1 FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
            "WHERE n.nspname = 'datajoint' AND p.proname = 'continue_sequence'"
        )
        try:
            if not self.execute(query).fetchall():
                self._create("", *SHARED)
        except psycopg.errors.InsufficientPrivilege as error:
            raise AccessError(
                f"The user {self._options['user']!r} may not prepare the database "
                f"{self._database!r} for DataJoint: let its owner create the first schema"
            ) from error
        except psycopg.errors.FeatureNotSupported as error:
            raise DataJointError(
                f"{self._server} at {self._place} is built without ICU, which compares texts as "
                f"DataJoint does: use another build of PostgreSQL ({error})"
            ) from error
        self._prepared = True

    def drop_schema(self, schema: str) -> None:
        self._run(f"DROP SCHEMA {quote(schema)}")

    def load_schema(self, schema: str, table: str | None = None) -> dict[str, TableSpec]:
        # As text: a name would be cut off to what a name can be.
        where, values = "n.nspname = %s::text AND c.relkind IN ('r', 'p', 'f')", [schema]
        if table is not None:
            where, values = f"{where} AND c.relname = %s::text", [schema, table]
        columns = self.execute(COLUMNS.format(where), values).fetchall()
        if not columns:
            return {}
        indexes = self.execute(INDEXES.format(where), values).fetchall()
        foreign_keys = self.execute(FOREIGN_KEYS.format(where), values).fetchall()
        return assemble(
            schema,
            ((table, read_attribute(*column)) for table, _, *column in columns),
            indexes,
            (
                (table, str(number), TableName(parent_schema, parent), child, key)
                for table, number, parent_schema, parent, child, key in foreign_keys
            ),
            {table: comment for table, comment, *_ in columns},
        )

    def referring_schemas(self, schemas: Iterable[str]) -> set[str]:
        rows = self.execute(
            "SELECT DISTINCT n.nspname::text FROM pg_constraint AS k "
            "JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n "
            "ON n.oid = c.relnamespace JOIN pg_class AS r ON r.oid = k.confrelid "
            "JOIN pg_namespace AS m ON m.oid = r.relnamespace "
            "WHERE k.contype = 'f' AND m.nspname = ANY (%s::text[])",
            (list(schemas),),
        )
        return {schema for (schema,) in rows}

    # -- tables -------------------------------------------------------------------------------

    def create_table(self, spec: TableSpec) -> None:
        statements = create_statements(spec)
        self._prepare_database()
        with suppress(psycopg.errors.DuplicateTable):  # all else that it has is in its own names
            self._create(spec.name.full, *statements)

    def alter_statements(self, alteration: Alteration) -> list[str]:
        name = (alteration.old.name.schema, alteration.old.name.table)
        indexes = self.execute(OWN_INDEXES, name).fetchall()
        foreign_keys = self.execute(OWN_FOREIGN_KEYS, name).fetchall()
        return alter_statements(alteration, Belongings.of(indexes, foreign_keys))

    def alter_table(self, name: TableName, statements: Sequence[str]) -> None:
        self._run(*statements)

    def drop_table(self, name: TableName) -> None:
        self._run(f"DROP TABLE {DIALECT.table(name.schema, name.table)}")

    def size_on_disk(self, name: TableName) -> int:
        table = DIALECT.table(name.schema, name.table)
        ((size,),) = self.execute("SELECT pg_total_relation_size(%s)", (table,)).fetchall()
        return int(size)

    # -- administration -----------------------------------------------------------------------

    def sessions(self) -> str:
        return (
            "SELECT pid AS id, usename::text AS user, "
            "coalesce(host(client_addr), 'localhost') AS host, datname::text AS db, "
            "CASE WHEN state = 'active' THEN 'Query' ELSE 'Sleep' END AS command, "
            "CAST(extract(epoch FROM now() - state_change) AS integer) AS time, "
            "state, query AS info FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def ended(self, sessions: Collection[Seen]) -> tuple[set[Seen], float]:
        # Of the sessions of others it may show no more than that they are there.
        rows = self.execute(
            "SELECT 0, CAST(extract(epoch FROM pg_postmaster_start_time()) AS double precision) "
            "UNION ALL SELECT pid, CAST(extract(epoch FROM backend_start) AS double precision) "
            "FROM pg_stat_activity WHERE coalesce(backend_type, 'client backend') = "
            "'client backend' AND pid = ANY (%s::bigint[])",
            (sorted({each.id for each in sessions}),),
        ).fetchall()
        running = dict(rows)
        started = float(running.pop(0))
        return {
            each
            for each in sessions
            if each.id not in running or (running[each.id] or 0) > each.moment + MARGIN
        }, started

    def kill(self, session: int) -> None:
        self.execute("SELECT pg_terminate_backend(%s)", (session,))

    def end_lost(self, session: int, age: float) -> None:
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid = %s AND pid <> pg_backend_pid() AND usename = session_user "
            "AND extract(epoch FROM clock_timestamp() - backend_start) > %s",
            (session, age - MARGIN),
        )

    def set_password(self, password: str) -> None:
        # Encrypted here, so that no log of the server has it.
        connection = self._open
        ((user,),) = self.execute("SELECT current_user::text").fetchall()
        encrypted = connection.pgconn.encrypt_password(password.encode(), user.encode())
        self.execute("ALTER ROLE CURRENT_USER PASSWORD %s", (encrypted.decode(),))
        self._options["password"] = password  # for when the connection is lost


@contextmanager
def _pipeline(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Send statements together; of their errors, raise the first, which the others follow from."""
    first: psycopg.Error | None = None
    try:
        with connection.pipeline():
            try:
                yield
            except psycopg.Error as error:  # outside, the driver would log those that follow
                first = error
    except psycopg.Error as error:
        first = first or error
    if first is not None:
        raise first


_ABANDONED: list[psycopg.Connection[Any] | None] = []

#: What is no statement of its own for the transaction: it begins, ends or divides it.
_CONTROL = re.compile(
    r"\s*(SAVEPOINT|ROLLBACK|RELEASE|COMMIT|BEGIN|START|END|ABORT|SET\s+TRANSACTION)\b",
    re.IGNORECASE,
)


# -- connecting -----------------------------------------------------------------------------------


def connection_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Make the options of libpq."""
    host = settings["database.host"] or "localhost"
    port = settings["database.port"]
    port = PORT if port == OTHER_PORT else port
    folder, name = os.path.split(host)
    if host.startswith("/") and name.startswith(".s.PGSQL."):
        host, port = folder, int(name.removeprefix(".s.PGSQL."))
    return {
        "host": host,
        "port": port,
        "user": settings["database.user"],
        "password": settings["database.password"],
        "dbname": settings["database.name"],
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "datajoint",
        "client_encoding": "UTF8",
        "autocommit": True,
        **_tls_options(settings["database.use_tls"]),
    }


def _tls_options(use_tls: bool | Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(use_tls, Mapping):
        return {"sslmode": {None: "prefer", True: "require", False: "disable"}[use_tls]}
    options = {"ca": "sslrootcert", "cert": "sslcert", "key": "sslkey"}
    unknown = set(use_tls) - {*options, "check_hostname"}
    if unknown:
        raise DataJointError(
            f"`{min(unknown)}` is no option of database.use_tls; there are ca, cert, key, "
            "check_hostname"
        )
    files = {options[key]: str(use_tls[key]) for key in options if use_tls.get(key)}
    if use_tls.get("check_hostname"):
        return {"sslmode": "verify-full", "sslrootcert": "system", **files}
    return {"sslmode": "verify-ca" if "sslrootcert" in files else "require", **files}


# -- values ---------------------------------------------------------------------------------------


class _SingleLoader(Loader):
    """Reads a number of single precision as the shortest decimal that names it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> float:
        (number,) = struct.unpack("!f", data)
        return shortest_single(number)


class _JsonLoader(Loader):
    """Reads a document as text, which follows the number of the format."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data)[1:].decode()


class _UnknownLoader(Loader):
    """Reads the types that the driver does not know, most of which are sent as text."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str | bytes:
        try:
            return bytes(data).decode()
        except UnicodeDecodeError:
            return bytes(data)


def _check_sizes(statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
    """Refuse rows that are larger than the server takes, before they are sent."""
    for row in rows:
        sizes = [len(value) if isinstance(value, bytes) else 0 for value in row]
        if sum(sizes) > LARGEST:
            name = statement.columns[sizes.index(max(sizes))]
            raise DataJointError(
                _too_large(
                    f"The value of attribute `{name}` has {max(sizes):,} bytes, and its row "
                    f"{sum(sizes):,}"
                )
            )


def _too_large(what: str) -> str:
    return f"{what}; PostgreSQL takes up to {LARGEST:,}. Keep large values in a store"
