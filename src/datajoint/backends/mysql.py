"""MySQL and MariaDB: a schema is a database of the server.

Tables are made and read as DataJoint 0.13 and 0.14 do, so that all can work on the same ones:
storage formats 2 and 6.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pymysql
from pymysql.constants import CR, ER

from ..alter import Alteration
from ..declare import TableName, TableSpec, written_default
from ..errors import (
    AccessError,
    ConflictError,
    DataJointError,
    DuplicateError,
    IntegrityError,
    LostConnectionError,
    MissingAttributeError,
    MissingTableError,
    QueryError,
    QuerySyntaxError,
    UnknownAttributeError,
)
from ..grammar import column_type, parse_type, unquote
from ..heading import Attribute, Index
from ..sql.mysql import DIALECT
from ..sql.statements import Insert
from ..types import AttributeType, Other, time_text
from . import mysql_drivers as drivers
from .base import Backend, Cursor, Seen
from .catalog import Belongings, assemble, counters, is_readable, marked_type
from .mysql_ddl import alter_statement, create_statement, read_comment
from .mysql_paths import hidden, path_of_column, path_of_expression, paths_of

SQL_MODE = (
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,STRICT_ALL_TABLES,"
    "NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)
#: MariaDB 10.11 gives wrong results where it splits a grouped subquery inside of EXISTS: of what
#: A - B.aggr(…) * C leaves out, it keeps some.
SESSION = f"SET sql_mode = '{SQL_MODE}' /*M!100300 , optimizer_switch = 'split_materialized=off' */"
SYSTEM_SCHEMAS = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
#: Bytes of a statement that inserts many rows: larger ones are not faster.
BATCH = 2**21
#: Bytes of a packet besides the statement.
OVERHEAD = 64
#: Seconds that the server waits for a program that reads the rows of a result one by one.
PATIENCE = 7 * 86400

#: Seconds by which the beginning of the server is known, and moments of whole seconds differ.
MARGIN = 2.0

quote = DIALECT.quote


class _MySQLSource:
    """The result of a query that the server sends as it is read."""

    def __init__(self, backend: MySQLBackend, cursor: Any) -> None:
        self._backend = backend
        self._cursor = cursor
        self._is_read = False

    def fetchmany(self, size: int) -> Sequence[tuple[Any, ...]]:
        rows: Sequence[tuple[Any, ...]] = self._cursor.fetchmany(size)
        self._is_read = len(rows) < size
        return rows

    def close(self) -> None:
        if self._is_read:
            self._cursor.close()
        else:
            self._backend.hang_up(self._cursor)


class MySQLBackend(Backend):
    """A session with a MySQL or MariaDB server."""

    name = "mysql"
    reserved_schemas = SYSTEM_SCHEMAS
    dialect = DIALECT
    undoes_drops = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        host = settings["database.host"] or "localhost"
        self._user: str = settings["database.user"]
        self._place = host if host.startswith("/") else f"{host}:{settings['database.port']}"
        self._options = {
            "user": self._user,
            "password": settings["database.password"] or "",
            "charset": settings["connection.charset"] or "utf8mb4",
            "init_command": SESSION,
            "autocommit": True,
            "use_tls": settings["database.use_tls"],
            **_place(host, settings["database.port"]),
        }
        self._init_function: str | None = settings["connection.init_function"]
        self._connection: Any = None
        self._server = "MySQL"
        self._is_mariadb = False
        self._max_packet = 2**24
        self._user_at_host = ""
        self._session_id = 0
        self._is_patient = False
        #: The cursor of the last result that was read in parts.
        self._unbuffered: Any = None

    # -- the session --------------------------------------------------------------------------

    @property
    def description(self) -> str:
        return f"{self._server} as {self._user} at {self._place}"

    @property
    def place(self) -> str:
        return self._place

    @property
    def user(self) -> str:
        return self._user_at_host

    @property
    def session_id(self) -> int:
        return self._session_id

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and bool(self._connection.open)

    @property
    def has_ended(self) -> bool:
        return self.is_connected and is_readable(drivers.socket_of(self._connection))

    def connect(self) -> None:
        try:
            self._connection = drivers.connect(**self._options)
        except drivers.ERRORS as error:
            raise self._connect_error(error) from error
        ((version, self._max_packet, self._user_at_host, self._session_id),) = self.execute(
            "SELECT @@version, @@max_allowed_packet, user(), connection_id()"
        ).fetchall()
        self._is_patient, self._unbuffered = False, None
        number = re.match(r"[\d.]*", version)
        self._is_mariadb = "MariaDB" in version
        self._server = f"{'MariaDB' if self._is_mariadb else 'MySQL'} {number and number[0]}"
        self._isolate()
        if self._init_function:
            self._send(self._encoded(self._init_function))

    def _isolate(self) -> None:
        """Let transactions fail that would overwrite what others have changed, if the server can.

        MySQL and older MariaDB cannot: there, the last of two changes stays.
        """
        if self._is_mariadb:
            try:
                self._send(b"SET SESSION innodb_snapshot_isolation = ON")
            except drivers.ERRORS as error:
                if error.args[0] != ER.UNKNOWN_SYSTEM_VARIABLE:
                    raise

    def close(self) -> None:
        if self._connection is not None:
            with suppress(*drivers.ERRORS):  # closed, or lost
                self._connection.close()
            self._connection = None

    def abandon(self) -> None:
        if self._connection is not None:
            drivers.abandon(self._connection, self._unbuffered)
            self._connection = None

    # -- statements ---------------------------------------------------------------------------

    def _send(self, statement: bytes, cursor: Any = None) -> Cursor:
        if self._connection is None:
            raise pymysql.InterfaceError(0, "The connection is closed")
        if len(statement) + OVERHEAD > self._max_packet:  # it would end the session
            raise DataJointError(
                f"The statement has {len(statement):,} bytes; {_limit(self._max_packet)}"
            )
        if cursor is None:
            cursor = self._connection.cursor()
        cursor.execute(statement)
        return cast(Cursor, cursor)

    def stream(self, text: str, values: Sequence[Any] = ()) -> _MySQLSource:
        if self._connection is None or not self._is_patient:
            self._send(b"SET SESSION net_write_timeout = %d" % PATIENCE)
            self._is_patient = True
        statement = self._encoded(text) % tuple(map(self._literal, values))
        self._unbuffered = drivers.unbuffered(self._connection)
        return _MySQLSource(self, self._send(statement, self._unbuffered))

    def hang_up(self, cursor: Any) -> None:
        """Close the session in the middle of a result."""
        drivers.hang_up(self._connection, cursor)
        self._connection = None

    def _encoded(self, text: str) -> bytes:
        encoding: str = getattr(self._connection, "encoding", "utf8")
        return text.encode(encoding)

    def execute(self, text: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Cursor:
        if isinstance(values, Mapping):
            by_name = {name.encode(): self._literal(value) for name, value in values.items()}
            return self._send(self._encoded(text) % by_name)
        return self._send(self._encoded(text) % tuple(map(self._literal, values)))

    def insert(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
        for batch in self._batches(statement, rows):
            self._send(batch)

    def _batches(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
        """Write an insert as statements that fit into the packets of the server."""
        head, tail = self._encoded(statement.head), self._encoded(statement.tail)
        if not statement.columns:
            yield from (head + self._encoded(statement.values) + tail for _ in rows)
            return
        largest = self._max_packet - len(head) - len(tail) - OVERHEAD
        batch: list[bytes] = []
        size = 0
        for row in rows:
            values = self._values(statement, row, largest)
            if batch and size + len(values) > min(largest, BATCH):
                yield b"".join((head, b"(", b"),(".join(batch), b")", tail))
                batch, size = [], 0
            batch.append(values)
            size += len(values) + len("(),")
            del values  # may be large, as all that is copied here
        if batch:
            written = b"".join((head, b"(", b"),(".join(batch), b")", tail))
            batch.clear()
            yield written

    def _values(self, statement: Insert, row: Sequence[Any], largest: int) -> bytes:
        """Write the values of a row."""
        literals = list(map(self._literal, row))
        values = b",".join(literals)
        if len(values) + len("()") > largest:
            raise self._too_large(statement, row, literals)
        return values

    def _too_large(
        self, statement: Insert, row: Sequence[Any], literals: list[bytes]
    ) -> DataJointError:
        position = max(range(len(literals)), key=lambda i: len(literals[i]))
        size = len(row[position]) if isinstance(row[position], (str, bytes)) else 0
        return DataJointError(
            f"The value of attribute `{statement.columns[position]}` has {size:,} bytes, and its "
            f"row {sum(map(len, literals)):,} as it is sent; {_limit(self._max_packet)}"
        )

    def _literal(self, value: Any) -> bytes:
        """Write a value as a literal; bytes are copied, not encoded."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            escaped = bytes(value).replace(b"\\", b"\\\\").replace(b"'", b"\\'")
            return b"_binary'%b'" % escaped
        if isinstance(value, str):
            return self._encoded("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'")
        write = _LITERALS.get(type(value))
        if write is None:
            return self._literal(_plain(value))
        return write(value).encode()

    def map_error(self, error: Exception) -> DataJointError | None:
        if not isinstance(error, drivers.ERRORS):
            return None
        code, text = error.args if len(error.args) == 2 else (-1, str(error))
        if code in _LOST:
            return LostConnectionError(f"The connection to {self.description} was lost: {text}")
        if code in (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.CHECKREAD):
            return ConflictError(f"Others hold or changed rows that the statement needs: {text}")
        return _ERRORS.get(code, QueryError)(text or str(error))

    def _connect_error(self, error: Exception) -> DataJointError:
        code, text = error.args if len(error.args) == 2 else (-1, str(error))
        if code in _DENIED:
            return AccessError(
                f"The server at {self._place} refuses the user {self._user!r}: the password or "
                f"the name is wrong, or the account asks for TLS or another host ({text})"
            )
        if code == _INSECURE_TRANSPORT:
            return AccessError(
                f"The server at {self._place} requires TLS: leave database.use_tls unset, or set "
                f"it to True ({text})"
            )
        if code == CR.CR_SSL_CONNECTION_ERROR and not _CUT.search(text):
            return DataJointError(
                f"TLS is required by database.use_tls, but the server at {self._place} does not "
                f"offer it ({text})"
            )
        cause = getattr(error, "original_exception", error)
        is_cut = isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        if isinstance(cause, ssl.SSLError) and not is_cut:
            tls = self._options["use_tls"]
            trusted = [tls[name] for name in ("ca", "capath") if name in tls] if tls else []
            return DataJointError(
                f"TLS with the server at {self._place} fails"
                + (f", with the authorities in {' and '.join(map(repr, trusted))}" * bool(trusted))
                + f" ({text})"
            )
        if code in _TOO_MANY:
            return LostConnectionError(
                f"The server at {self._place} has too many connections ({text})"
            )
        if code in (CR.CR_CONN_HOST_ERROR, CR.CR_CONNECTION_ERROR, CR.CR_UNKNOWN_HOST):
            return LostConnectionError(
                f"There is no database server at {self._place}. Check database.host and "
                f"database.port, and that the server runs ({text})"
            )
        return self.map_error(error) or DataJointError(f"{self._place}: {text}")

    # -- transactions -------------------------------------------------------------------------

    def begin(self, *, snapshot: bool = True, optimistic: bool = False) -> None:
        if snapshot:
            self._send(b"START TRANSACTION WITH CONSISTENT SNAPSHOT")
        else:
            self._send(b"SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            self._send(b"START TRANSACTION")

    def commit(self) -> None:
        self._send(b"COMMIT")

    def rollback(self) -> None:
        if self.is_connected:
            self._send(b"ROLLBACK")

    # -- schemas ------------------------------------------------------------------------------

    def schemas(self) -> list[str]:
        rows = self.execute("SELECT schema_name FROM information_schema.schemata ORDER BY 1")
        return [name for (name,) in rows if name not in SYSTEM_SCHEMAS]

    def create_schema(self, schema: str) -> None:
        self._send(self._encoded(f"CREATE DATABASE IF NOT EXISTS {quote(schema)}"))

    def drop_schema(self, schema: str) -> None:
        self._send(self._encoded(f"DROP DATABASE {quote(schema)}"))

    def load_schema(self, schema: str, table: str | None = None) -> dict[str, TableSpec]:
        where = "table_schema = %s"
        values: tuple[str, ...] = (schema,)
        if table is not None:
            where, values = f"{where} AND table_name = %s", (*values, table)
        columns = self.execute(
            "SELECT table_name, column_name, column_type, column_key, is_nullable, "
            "column_default, extra, column_comment FROM information_schema.columns "
            f"WHERE {where} ORDER BY table_name, ordinal_position",
            values,
        ).fetchall()
        if not columns:
            return {}
        documents = self._documents(columns, schema, table)
        paths = {
            (table, name): path
            for table, name, *_, extra, comment in columns
            if (path := path_of_column(name, extra, comment)) is not None
        }
        # MariaDB, which indexes columns only, does not know this one.
        expression = "NULL" if self._is_mariadb else "expression"
        indexes = self.execute(
            f"SELECT table_name, index_name, non_unique, column_name, {expression} "
            "FROM information_schema.statistics "
            f"WHERE {where} AND index_name <> 'PRIMARY' "
            "ORDER BY table_name, non_unique, index_name, seq_in_index",
            values,
        ).fetchall()
        foreign_keys = self.execute(
            "SELECT table_name, constraint_name, referenced_table_schema, referenced_table_name, "
            "column_name, referenced_column_name FROM information_schema.key_column_usage "
            f"WHERE {where} AND referenced_table_name IS NOT NULL "
            "ORDER BY table_name, LENGTH(constraint_name), constraint_name, ordinal_position",
            values,
        ).fetchall()
        comments = self.execute(
            f"SELECT table_name, table_comment FROM information_schema.tables WHERE {where}", values
        ).fetchall()
        specs = assemble(
            schema,
            (
                (table, _attribute(name, "json" if (table, name) in documents else type_, *rest))
                for table, name, type_, *rest in columns
                if (table, name) not in paths
            ),
            (
                (table, index, not other, paths.get((table, column), column) or path)
                for table, index, other, column, expression in indexes
                if (path := column or path_of_expression(expression or ""))
            ),
            (
                (table, constraint, TableName(parent_schema, parent), child, key)
                for table, constraint, parent_schema, parent, child, key in foreign_keys
            ),
            {name: read_comment(comment) for name, comment in comments},
        )
        return {name: _without_own_indexes(spec) for name, spec in specs.items()}

    def _documents(
        self, columns: Iterable[Sequence[Any]], schema: str, table: str | None
    ) -> set[tuple[str, str]]:
        """Find the columns of type json that are a longtext with a check: those of MariaDB."""
        if not (self._is_mariadb and any(column[2] == "longtext" for column in columns)):
            return set()
        where, values = "constraint_schema = %s", [schema]
        if table is not None:
            where, values = f"{where} AND table_name = %s", [schema, table]
        checks = self.execute(
            "SELECT table_name, check_clause FROM information_schema.check_constraints "
            f"WHERE {where}",
            values,
        )
        matches = ((table, _JSON_CHECK.fullmatch(clause)) for table, clause in checks)
        return {(table, match[1].replace("``", "`")) for table, match in matches if match}

    def referring_schemas(self, schemas: Iterable[str]) -> set[str]:
        wanted = tuple(schemas)
        if not wanted:
            return set()
        rows = self.execute(
            "SELECT DISTINCT table_schema FROM information_schema.key_column_usage "
            f"WHERE referenced_table_schema IN ({', '.join(['%s'] * len(wanted))})",
            wanted,
        )
        return {schema for (schema,) in rows}

    # -- tables -------------------------------------------------------------------------------

    def create_table(self, spec: TableSpec) -> None:
        self._send(self._encoded(create_statement(spec, functional_keys=not self._is_mariadb)))

    def catalogued(self, spec: TableSpec) -> TableSpec:
        implied = (Index((name,), unique=True) for name in counters(spec))
        indexes = (*implied, *spec.heading.secondary_indexes)
        heading = replace(spec.heading, secondary_indexes=indexes)
        return _without_own_indexes(replace(spec, heading=heading))

    def alter_statements(self, alteration: Alteration) -> list[str]:
        name = alteration.old.name
        where = "table_schema = %s AND table_name = %s"
        expression = "NULL" if self._is_mariadb else "expression"
        indexes = self.execute(
            f"SELECT index_name, non_unique = 0, FALSE, column_name, {expression} "
            f"FROM information_schema.statistics WHERE {where} AND index_name <> 'PRIMARY' "
            "ORDER BY index_name, seq_in_index",
            (name.schema, name.table),
        ).fetchall()
        foreign_keys = self.execute(
            "SELECT constraint_name, referenced_table_schema, referenced_table_name, column_name, "
            f"referenced_column_name FROM information_schema.key_column_usage WHERE {where} "
            "AND referenced_table_name IS NOT NULL ORDER BY constraint_name, ordinal_position",
            (name.schema, name.table),
        ).fetchall()
        paths = {hidden(text): text for text in paths_of(alteration.old)}
        terms = (
            (*row, paths.get(quote(column or ""), column) or path_of_expression(expression or ""))
            for *row, column, expression in indexes
        )
        belongings = Belongings.of(terms, foreign_keys)
        return [alter_statement(alteration, belongings, functional_keys=not self._is_mariadb)]

    def alter_table(self, name: TableName, statements: Sequence[str]) -> None:
        # MariaDB would cut off fractions of seconds, where MySQL rounds them.
        mode = "SET STATEMENT sql_mode = CONCAT(@@sql_mode, ',TIME_ROUND_FRACTIONAL') FOR "
        for statement in statements:  # there is one, which the server does or undoes as a whole
            self._send(self._encoded(f"{mode if self._is_mariadb else ''}{statement}"))

    def drop_table(self, name: TableName) -> None:
        table = DIALECT.table(name.schema, name.table)
        try:
            self._send(self._encoded(f"DROP TABLE {table}"))
        except drivers.ERRORS as error:
            if error.args[0] not in (_IS_A_VIEW, ER.WRONG_OBJECT, ER.BAD_TABLE_ERROR):
                raise
            self._send(self._encoded(f"DROP VIEW {table}"))

    def size_on_disk(self, name: TableName) -> int:
        rows = self.execute(
            "SELECT data_length + index_length FROM information_schema.tables "
            "WHERE table_schema = %s AND table_name = %s",
            (name.schema, name.table),
        )
        return sum(int(size or 0) for (size,) in rows)

    # -- administration -----------------------------------------------------------------------

    def sessions(self) -> str:
        return (
            "SELECT id, user, host, db, command, time, state, info "
            "FROM information_schema.processlist WHERE id <> connection_id()"
        )

    def ended(self, sessions: Collection[Seen]) -> tuple[set[Seen], float]:
        ((account, now),) = self.execute("SELECT current_user(), UNIX_TIMESTAMP()").fetchall()
        ((_, uptime),) = self.execute("SHOW GLOBAL STATUS LIKE 'Uptime'").fetchall()
        started = float(now) - float(uptime)
        own, _, host = account.rpartition("@")
        # Those of other users are listed for whoever has this privilege.
        sees_all = self.execute(
            "SELECT 1 FROM information_schema.user_privileges "
            "WHERE privilege_type = 'PROCESS' AND grantee = %s",
            (f"'{own}'@'{host}'",),
        ).fetchall()
        listed = self.execute("SELECT id FROM information_schema.processlist").fetchall()
        running = {int(id_) for (id_,) in listed}
        return {
            each
            for each in sessions
            if each.moment + MARGIN < started
            or (each.id not in running and (sees_all or each.user.rpartition("@")[0] == own))
        }, started

    def kill(self, session: int) -> None:
        try:
            self.execute("KILL %s", (session,))
        except drivers.ERRORS as error:
            if error.args[0] != ER.NO_SUCH_THREAD:  # it has ended by itself
                raise

    def end_lost(self, session: int, age: float) -> None:
        ((_, uptime),) = self.execute("SHOW GLOBAL STATUS LIKE 'Uptime'").fetchall()
        if float(uptime) <= age:  # it ended with the server, whose ids begin anew
            return
        own = self._user_at_host.rpartition("@")[0]
        found = self.execute(
            "SELECT id FROM information_schema.processlist "
            "WHERE id = %s AND user = %s AND id <> connection_id()",
            (session, own),
        ).fetchall()
        if found:
            self.kill(session)

    def set_password(self, password: str) -> None:
        value = "PASSWORD(%s)" if self._is_mariadb else "%s"
        self.execute(f"SET PASSWORD = {value}", (password,))
        self._options["password"] = password  # for when the connection is lost


# -- connecting -----------------------------------------------------------------------------------


def _place(host: str, port: int) -> dict[str, Any]:
    return {"unix_socket": host} if host.startswith("/") else {"host": host, "port": port}


# -- values ---------------------------------------------------------------------------------------


def _float_literal(value: float) -> str:
    text = repr(value)  # an exponent makes it a double and not a decimal
    return text if "e" in text or "n" in text else f"{text}e0"


_LITERALS: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda value: "NULL",
    bool: lambda value: str(int(value)),
    int: str,
    float: _float_literal,
    decimal.Decimal: lambda value: format(value, "f"),
    dt.date: lambda value: f"'{value.isoformat()}'",
    dt.datetime: lambda value: f"'{value.replace(tzinfo=None).isoformat(' ')}'",
    dt.time: lambda value: f"'{value.isoformat()}'",
    dt.timedelta: lambda value: f"'{time_text(value, 6)}'",
}


def _limit(size: int) -> str:
    return (
        f"the server takes no more than {size:,} (its variable max_allowed_packet, up to 1 GB). "
        "Raise it, or keep large values in a store"
    )


def _plain(value: Any) -> Any:
    """Make a value that a user gave for raw SQL one that has a literal."""
    if isinstance(value, (list, tuple, set, frozenset, Mapping)):
        raise DataJointError(f"{value!r} is no value for SQL; give a placeholder for each member")
    if hasattr(value, "item"):  # NumPy's
        return value.item()
    for type_ in (int, float):  # of derived classes, such as enumerations
        if isinstance(value, type_):
            return type_(value)
    return str(value)


# -- errors ---------------------------------------------------------------------------------------

_LOST = (
    0,
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    CR.CR_SSL_CONNECTION_ERROR,  # how mysqlclient tells it where the connection is encrypted
    ER.SERVER_SHUTDOWN,
    1927,  # the session was killed
    4031,  # it was idle for too long
)
#: What mysqlclient says when the connection is lost before it is encrypted.
_CUT = re.compile("eof|reset|closed|Broken pipe", re.IGNORECASE)
_DENIED = (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, 1698)
_INSECURE_TRANSPORT = 3159
_IS_A_VIEW = 1965
_TOO_MANY = (ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED)

_ERRORS: Mapping[int, type[DataJointError]] = {
    **dict.fromkeys(
        (
            ER.DBACCESS_DENIED_ERROR,
            ER.ACCESS_DENIED_ERROR,
            ER.TABLEACCESS_DENIED_ERROR,
            ER.COLUMNACCESS_DENIED_ERROR,
            ER.SPECIFIC_ACCESS_DENIED_ERROR,
            ER.PROCACCESS_DENIED_ERROR,
            ER.KILL_DENIED_ERROR,
            ER.OPTION_PREVENTS_STATEMENT,  # the server only reads
        ),
        AccessError,
    ),
    # 1242 is raised by the clause that skips duplicates: see sql.mysql
    **dict.fromkeys((ER.DUP_ENTRY, 1586, ER.SUBQUERY_NO_1_ROW), DuplicateError),
    **dict.fromkeys(
        (
            ER.NO_REFERENCED_ROW,
            ER.NO_REFERENCED_ROW_2,
            ER.ROW_IS_REFERENCED,
            ER.ROW_IS_REFERENCED_2,
        ),
        IntegrityError,
    ),
    **dict.fromkeys((ER.PARSE_ERROR, ER.SP_DOES_NOT_EXIST), QuerySyntaxError),
    ER.NO_SUCH_TABLE: MissingTableError,
    **dict.fromkeys((ER.NO_DEFAULT_FOR_FIELD, ER.BAD_NULL_ERROR), MissingAttributeError),
    ER.BAD_FIELD_ERROR: UnknownAttributeError,
}


# -- tables as the server knows them --------------------------------------------------------------

_JSON_CHECK = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)")
_MARKER = re.compile(r":([^:]+):(.*)", re.DOTALL)


def _attribute(
    name: str,
    sql_type: str,
    key: str,
    is_nullable: str,
    default: str | None,
    extra: str,
    comment: str,
) -> Attribute:
    marker = _MARKER.fullmatch(read_comment(comment))
    nullable = is_nullable == "YES"
    native = _type_of(sql_type)
    type_ = marked_type(marker[1], native) if marker else native
    return Attribute(
        name,
        type_,
        key == "PRI",
        nullable,
        "null" if nullable else _default_of(default, type_),
        marker[2] if marker else read_comment(comment),
        "auto_increment" in extra.lower(),
    )


def _type_of(sql_type: str) -> AttributeType:
    """Read the type of a column; the width for display of a number is no part of it."""
    if sql_type == "tinyint(1)":
        return parse_type("bool")
    if sql_type == "uuid":  # MariaDB's own, which is a text for clients
        return Other(sql_type)
    if re.match(r"(tiny|small|medium|big)?int\b|float\b|double\b|year\b", sql_type):
        sql_type = re.sub(r"\(\d+\)", "", sql_type, count=1)
    return column_type(sql_type)


def _default_of(default: str | None, type_: AttributeType) -> str | None:
    if default is None:
        return None
    if re.match(r"current_timestamp", default, re.IGNORECASE):
        return default.upper().replace("()", "")
    return written_default(unquote(default), type_)


def _without_own_indexes(spec: TableSpec) -> TableSpec:
    """Leave out the indexes that foreign keys and counters bring."""
    own = {foreign_key.child_attributes for foreign_key in spec.foreign_keys}
    indexes = [
        index
        for index in spec.heading.secondary_indexes
        if index.unique or index.attributes not in own
    ]
    for name in counters(spec):
        index = Index((name,), unique=True)
        if index in indexes:
            indexes.remove(index)
    heading = replace(spec.heading, secondary_indexes=tuple(indexes))
    return replace(spec, heading=heading)
