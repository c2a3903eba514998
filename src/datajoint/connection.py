"""The connection: statements, the query cache and the catalog of a session with the database.

Manual 3.1 and 8.12.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from getpass import getpass
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from .alter import Alteration, diff
from .backends.base import Cursor
from .backends.registry import get_backend
from .declare import TableName, TableSpec
from .dependencies import Dependencies
from .errors import (
    AccessError,
    ConflictError,
    DataJointError,
    MissingTableError,
    QueryError,
)
from .logging import logger
from .query_cache import QueryCache, purge
from .reads import FetchedCursor, Row, Values, is_query
from .session import Session
from .settings import choose_backend, config
from .sql.statements import Insert
from .sql.text import SQL
from .streaming import Pace, Stream, read_aside
from .types import Adapted
from .url import resolve
from .utils import is_interactive

#: Statements of the user after which the tables are others.
_DEFINES = re.compile(r"\s*(create|alter|drop|rename)\b", re.IGNORECASE)
#: Those that wait, as the ones above do, until nobody reads the table.
_EMPTIES = re.compile(r"\s*truncate\b", re.IGNORECASE)
#: Those that change no data.
_READS = re.compile(
    r"[\s(]*(select|with|values|table|show|explain|describe|desc|pragma|set)\b", re.IGNORECASE
)
#: Those after which the session is another than a new one would be.
_CONFIGURES = re.compile(
    r"\s*(set|use|begin|start|savepoint|lock|attach|pragma|create\s+temp\w*)\b", re.IGNORECASE
)


class Connection(Session):
    """A session with the database; it is usually made by :func:`conn`.

    Parameters
    ----------
    host, user, password : str, optional
        The server and the account. The host may be ``host:port``, or the path of a unix socket.
    port : int, optional
    init_fun : str, optional
        SQL to run on connecting: setting ``connection.init_function``.
    use_tls : bool or dict, optional
        None encrypts the connection if the server can, True insists, False forbids, and a dict
        gives certificates: ``ca``, ``cert``, ``key`` and ``check_hostname``.
    **options
        Other settings of the section ``database`` that differ from ``dj.config``, such as
        ``backend``, ``path``, ``url`` or ``name``.
    create : bool
        Whether a database file that does not exist is created.

    Attributes
    ----------
    init_fun : str or None
        SQL that is run on connecting.
    schemas : dict
        The activated schemas by name.
    dependencies : Dependencies
        The graph of foreign keys.
    """

    def __init__(
        self,
        host: str | None = None,
        user: str | None = None,
        password: str | None = None,
        port: int | None = None,
        init_fun: str | None = None,
        use_tls: bool | dict[str, Any] | None = None,
        *,
        create: bool = True,
        **options: Any,
    ) -> None:
        options |= {"host": host, "user": user, "password": password, "port": port}
        options |= {"use_tls": use_tls}
        given = {f"database.{name}": value for name, value in options.items() if value is not None}
        if init_fun is not None:
            given["connection.init_function"] = init_fun
        settings = resolve({**config, **given}, given)
        backend = get_backend(choose_backend(settings))
        if backend.has_accounts:
            settings = _with_account(settings)
        # Functions, so that printing what the connection has does not show the password.
        super().__init__(lambda: backend(settings), settings["database.password"] is not None)
        if not (create or self._backend.exists):
            raise DataJointError(
                f"There is no database yet: {self._backend.description} does not exist. It is "
                "created when a schema is; another database is chosen by the settings "
                "`database.host`, `database.url` or `database.path`"
            )
        self._cache: QueryCache | None = None
        self.init_fun: str | None = settings["connection.init_function"]
        self._settings = settings.copy
        self._token = uuid4().hex
        _here[self._token] = self
        self._catalog: dict[str, dict[str, TableSpec]] = {}
        #: Schema, table and attribute → its type, as the code of the table has it.
        self.adapted: dict[tuple[str, str, str], Adapted] = {}
        #: Schemas whose log cannot be written.
        self.unlogged_schemas: set[str] = set()
        self.schemas: dict[str, Any] = {}
        self.dependencies = Dependencies(self._read_dependencies)
        self.connect()

    @property
    def conn_info(self) -> dict[str, Any]:
        """``host``, ``port``, ``user`` and ``passwd`` that the connection was opened with."""
        names = {"host": "host", "port": "port", "user": "user", "passwd": "password"}
        settings = self._settings()
        return {name: settings.get(f"database.{setting}") for name, setting in names.items()}

    # -- in other processes -------------------------------------------------------------------

    def __reduce__(self) -> Any:
        """Travel as settings, the password too; another process opens its own session by them.

        Each process opens one for the same settings. Where this one is the connection that
        everything uses by default, it is so there.
        """
        is_default = conn.connection is self
        state = {"adapted": self.adapted, "schemas": list(self.schemas.values())}
        return _arrive, (self._token, self.elsewhere(), self.init_fun, is_default), state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.adapted.update(state["adapted"])  # the schemas have registered themselves

    def elsewhere(self) -> dict[str, Any]:
        """Give the settings by which another process opens the same database.

        Raises
        ------
        DataJointError
            When no other process can open it, as one in memory.
        """
        settings = self._backend.elsewhere(self._settings())
        return {name: settings[name] for name in settings if name.startswith("database.")}

    # -- statements ---------------------------------------------------------------------------

    def query(
        self,
        query: str,
        args: Sequence[Any] = (),
        *,
        as_dict: bool = False,
        suppress_warnings: bool = True,
        reconnect: bool | None = None,
    ) -> Any:
        """Run SQL of the database's own flavour.

        Parameters
        ----------
        query : str
            With ``%s`` for each value, and ``%%`` for a per cent sign.
        args : sequence
            The values.
        as_dict : bool
            Whether rows are dicts.
        suppress_warnings : bool
            Kept for existing code: warnings of the server are not shown.
        reconnect : bool, optional
            Whether to reconnect after the connection was lost: setting ``database.reconnect``.

        Returns
        -------
        cursor
            With ``fetchone``, ``fetchall`` and ``rowcount``; iterable.
        """
        logger.debug("%s", query)
        if not _READS.match(query):
            self.check_changeable(f"run {query.strip()[:40]!r}")
        defines = _DEFINES.match(query)
        if defines or _EMPTIES.match(query):
            self._beside.set_aside()
        if not is_query(query):
            self._note_change(query)
        run = self._read_written if is_query(query) else self._backend.execute_written
        cursor = self._run(lambda: run(query, args), reconnect, changes=not is_query(query))
        self._is_configured |= bool(_CONFIGURES.match(query))
        if defines:
            self._catalog.clear()
            self.dependencies.clear()
        return _DictCursor(cursor) if as_dict else cursor

    def _read_written(self, query: str, args: Values) -> Cursor:
        """Run a query of the user, and fetch its result: the session is free, whoever reads it."""
        with self._noting(self._backend.own_text(query), args) as note:
            cursor = FetchedCursor(self._backend.execute_written(query, args))
            note(cursor.rows)
        return cursor

    def rows(self, statement: SQL, *, locks: bool = False) -> list[tuple[Any, ...]]:
        """Run a statement and fetch all rows of its result, from the query cache if it is on.

        Parameters
        ----------
        statement : SQL
        locks : bool
            Whether the rows are to stay as they are until the transaction ends.
        """
        text, values = statement.compile(self.dialect.placeholder)

        def read() -> list[tuple[Any, ...]]:
            with self._noting(text, values) as note:
                rows = self._backend.execute(text, values).fetchall()
                note(rows)
            return rows

        def fetch() -> list[tuple[Any, ...]]:
            logger.debug("%s", text)
            return self._run(read, changes=locks)

        return fetch() if self._cache is None else self._cache.rows(text, values, fetch)

    def stream(self, statement: SQL, pace: Pace) -> Iterator[Sequence[Row]]:
        """Run a query and iterate over the batches of its rows, which are of one moment.

        The connection is free meanwhile, for changes of what is read too: see
        :mod:`datajoint.streaming`.

        Parameters
        ----------
        statement : SQL
        pace : Pace
            The size of the batches.

        Raises
        ------
        LostConnectionError
            When the connection is lost after there were rows.
        """
        if self._cache is not None:  # which has the whole result, and lets nothing be changed
            cached, start = self.rows(statement), 0
            while batch := cached[start : start + pace.size]:
                start += len(batch)
                pace.learn(batch)
                yield batch
            return
        text, values = statement.compile(self.dialect.placeholder)
        logger.debug("%s", text)

        def read() -> Stream:
            with self._noting(text, values) as note:
                return read_aside(self._backend, text, values, pace, note)

        stream = None
        if self._can_read_beside():
            stream = self._beside.open(text, values, pace, config["database.reconnect"])
        if stream is None:
            stream = self._run(read)
        try:
            while rows := stream.read():
                yield rows
        finally:
            stream.close()

    def set_streams_aside(self) -> None:
        """Read the rest of all results that are iterated over into temporary files.

        Nothing is kept from forgetting the states that they were begun in, then.
        """
        self._beside.set_aside()

    def _can_read_beside(self) -> bool:
        """Tell whether another session would give the same rows as this one."""
        with self._lock:
            return (
                os.getpid() == self._process
                and not (self._in_transaction or self._is_configured or self._is_recording)
                and self._backend.reads_beside
                and self._is_usable()
            )

    def execute(self, statement: SQL, *, repeat: bool = False) -> int:
        """Run a statement and count the rows that it changes.

        Parameters
        ----------
        statement : SQL
        repeat : bool
            Whether it may be done twice, when the connection was lost meanwhile.
        """
        self.check_changeable("change entities")
        text, values = statement.compile(self.dialect.placeholder)
        logger.debug("%s", text)
        self._note_change(text)
        execute = partial(self._backend.execute, text, values)
        return self._run(lambda: execute().rowcount, repeat=repeat, changes=True)

    def insert(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows of values."""
        self.check_changeable("insert entities")
        logger.debug("%s", statement.text)
        self._note_change(statement.text)
        self._run(partial(self._backend.insert, statement, rows), repeat=False, changes=True)

    # -- query cache --------------------------------------------------------------------------

    def set_query_cache(self, query_cache: str | None = None) -> None:
        """Keep the results of queries in files, and take them from there; or stop doing so.

        The files are in the folder of the setting ``query_cache``. While the cache is on, the
        database cannot be changed, since what is read may be out of date.

        Parameters
        ----------
        query_cache : str, optional
            The namespace of the cache: results are those of the first time that they were fetched
            in the same namespace. None, the default, turns the cache off.

        Raises
        ------
        DataJointError
            When the folder is not configured or does not exist, or inside a transaction.

        Notes
        -----
        Manual 8.12.
        """
        if query_cache is None:
            self._cache = None
            return
        if self.in_transaction:
            raise DataJointError("The query cache cannot be turned on inside a transaction")
        self._cache = QueryCache(query_cache, (*self._backend.identity, self.init_fun or ""))

    def purge_query_cache(self) -> None:
        """Remove all results from the folder of the setting ``query_cache``, and nothing else.

        Raises
        ------
        DataJointError
            When the folder is not configured, does not exist or cannot be written.

        Notes
        -----
        Manual 8.12.
        """
        purge()

    @property
    def is_caching(self) -> bool:
        """Whether results of queries are taken from the query cache."""
        return self._cache is not None

    def check_changeable(self, action: str) -> None:
        """Refuse a change of the database while the query cache is on.

        Raises
        ------
        DataJointError
            Says how to turn it off.
        """
        if self._cache is not None:
            raise DataJointError(
                f"Cannot {action} while query caching is on (namespace {self._cache.namespace!r}): "
                "what was read may be out of date. Turn it off first, with "
                "`connection.set_query_cache()`"
            )

    def start_transaction(self, *, snapshot: bool = True, optimistic: bool = False) -> None:
        self.check_changeable("start a transaction")
        super().start_transaction(snapshot=snapshot, optimistic=optimistic)

    # -- catalog ------------------------------------------------------------------------------

    def register(self, schema: Any) -> None:
        """Note that a schema is activated on this connection."""
        self.schemas[schema.database] = schema
        self.dependencies.clear()

    def forget_catalog(self, schema: str) -> None:
        """Forget what is known of a schema, because its tables have changed."""
        self._catalog.pop(schema, None)
        self.dependencies.clear()

    def tables_in(self, text: str) -> list[str]:
        """Name the tables that a statement names, of the schemas that are in use.

        Parameters
        ----------
        text : str
            In the SQL of the database.

        Returns
        -------
        list of str
            Such as ``"`schema`.`table`"``, in their order in the statement.
        """
        specs = (spec for tables in self._catalog.values() for spec in tables.values())
        places = {
            spec.name.full: text.find(self.dialect.table(spec.name.schema, spec.name.table))
            for spec in specs
        }
        return sorted((name for name in places if places[name] >= 0), key=places.__getitem__)

    def list_schemas(self) -> list[str]:
        """Name the schemas that the user can see."""
        return self._run(self._backend.schemas)

    def tables(self, schema: str) -> Mapping[str, TableSpec]:
        """Specify all tables of a schema, by name in the database; read once."""
        if schema not in self._catalog:
            self._catalog[schema] = self._run(lambda: self._backend.load_schema(schema))
            self.dependencies.clear()  # a schema that they may not include
        return self._catalog[schema]

    def table(self, name: TableName) -> TableSpec:
        """Specify a table.

        Raises
        ------
        MissingTableError
            When it is not declared.
        """
        spec = self.tables(name.schema).get(name.table)
        if spec is None and self._read_again(name):  # another session has declared it
            spec = self.tables(name.schema)[name.table]
        if spec is None:
            raise MissingTableError(f"Table {name} is not declared in the database")
        return spec

    def is_declared(self, name: TableName) -> bool:
        """Tell whether a table is declared; look again if it was not."""
        return name.table in self.tables(name.schema) or self._read_again(name)

    def _read_again(self, name: TableName) -> bool:
        """Bring the catalog up to date with one table, and tell whether it exists."""
        tables = self.tables(name.schema)
        found = self._run(lambda: self._backend.load_schema(name.schema, name.table))
        if found:
            self._catalog[name.schema] = dict(sorted({**tables, **found}.items()))
            self.dependencies.clear()
        return bool(found)

    def create_table(self, spec: TableSpec) -> None:
        """Create a table."""
        self.check_changeable(f"create {spec.name}")
        self._beside.set_aside()
        try:
            with self.requiring("CREATE, or REFERENCES on a parent", "create", spec.name):
                self._run(lambda: self._backend.create_table(spec))
        except AccessError:
            raise
        except QueryError as error:
            raise type(error)(f"Cannot create {spec.name}", *error.args) from error.__cause__
        except ValueError as error:  # of a default
            raise DataJointError(f"Cannot create {spec.name}: the default {error}") from None
        self._read_again(spec.name)

    def plan_alter(self, spec: TableSpec) -> tuple[Alteration, list[str]]:
        """Find what changes when a table becomes what is specified, and the statements for it."""
        alteration = diff(self.table(spec.name), self._backend.catalogued(spec))
        if not alteration:
            return alteration, []
        return alteration, self.alter_statements(alteration)

    def alter_statements(self, alteration: Alteration) -> list[str]:
        """Write the statements that alter a table; nothing is changed yet."""
        return self._run(lambda: self._backend.alter_statements(alteration))

    def alter_table(self, alteration: Alteration, statements: Sequence[str]) -> None:
        """Alter a table by the statements that were planned, all of them or none.

        Raises
        ------
        ConflictError
            When the table is not what it was when they were planned.
        """
        name = alteration.old.name
        self.check_changeable(f"alter {name}")
        self._read_again(name)
        if self.table(name) != alteration.old:
            raise ConflictError(
                f"Table {name} was changed by others meanwhile; nothing was altered. Please look "
                "again and repeat it"
            )
        self._beside.set_aside()
        with self.requiring("ALTER, or is not its owner", "alter", name):
            self._run(lambda: self._backend.alter_table(name, statements), repeat=False)
        self._read_again(name)

    @property
    def undoes_drops(self) -> bool:
        """Whether tables that are dropped in a transaction are back when it is cancelled."""
        return self._backend.undoes_drops

    def drop_table(self, name: TableName) -> None:
        """Drop a table, to which no other refers."""
        self.check_changeable(f"drop {name}")
        self._beside.set_aside()
        with self.requiring("DROP", "drop", name):
            self._run(lambda: self._backend.drop_table(name), changes=True)
        self.forget_catalog(name.schema)

    def create_schema(self, schema: str) -> None:
        """Create a schema, unless it exists; not in a transaction, which MySQL would commit."""
        if self.in_transaction:
            raise DataJointError(
                f"The schema `{schema}` cannot be created inside a transaction: activate it before"
            )
        self.check_changeable(f"create the schema `{schema}`")
        with self.requiring("CREATE", "create the schema", f"`{schema}`"):
            self._run(lambda: self._backend.create_schema(schema))

    def drop_schema(self, schema: str) -> None:
        """Drop a schema, whose tables are dropped."""
        self.check_changeable(f"drop the schema `{schema}`")
        self._beside.set_aside()
        with self.requiring("DROP", "drop the schema", f"`{schema}`"):
            self._run(lambda: self._backend.drop_schema(schema), changes=True)
        self.schemas.pop(schema, None)
        self.forget_catalog(schema)

    def size_on_disk(self, name: TableName) -> int:
        """Count the bytes that a table takes, with its indexes."""
        return self._run(lambda: self._backend.size_on_disk(name))

    def _read_dependencies(self) -> dict[str, TableSpec]:
        """Read the tables of the schemas in use, and of all that they are linked with."""
        known: set[str] = set()
        pending = {*self.schemas, *self._catalog}
        self._catalog.clear()
        while pending:
            known |= pending
            linked = self._run(partial(self._backend.referring_schemas, known))
            for schema in pending:
                for spec in self.tables(schema).values():
                    linked |= {foreign_key.parent.schema for foreign_key in spec.foreign_keys}
            pending = linked - known
        return {
            spec.name.full: spec
            for schema in known
            for spec in self.tables(schema).values()
            if not spec.name.table.startswith("~")
        }


class _DictCursor:
    """A cursor whose rows are dicts."""

    def __init__(self, cursor: Cursor) -> None:
        self._names = [str(column[0]) for column in cursor.description or ()]
        self._cursor = cursor
        self.rowcount = cursor.rowcount

    def _dict(self, row: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self._names, row, strict=True))

    def fetchone(self) -> dict[str, Any] | None:
        row = self._cursor.fetchone()
        return None if row is None else self._dict(row)

    def fetchall(self) -> list[dict[str, Any]]:
        return [self._dict(row) for row in self._cursor.fetchall()]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._dict, self._cursor)


class _Conn:
    """``dj.conn``: the connection that everything uses unless it is given another."""

    connection: Connection | None = None

    def __call__(
        self,
        host: str | None = None,
        user: str | None = None,
        password: str | None = None,
        *,
        init_fun: str | None = None,
        reset: bool = False,
        use_tls: bool | dict[str, Any] | None = None,
        port: int | None = None,
        **options: Any,
    ) -> Connection:
        """Return the connection, opening it when it is first needed.

        Parameters
        ----------
        host, user, password, init_fun, use_tls, port
            For a new connection, instead of the settings: see :class:`Connection`.
        reset : bool
            Close the connection and open a new one, with the present settings.
        **options
            Other arguments of :class:`Connection`, such as ``path``, for a new connection.

        Returns
        -------
        Connection

        Raises
        ------
        DataJointError
            When the database cannot be opened.
        """
        if reset and self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.connection is None:
            self.connection = Connection(host, user, password, port, init_fun, use_tls, **options)
        return self.connection


def _with_account(settings: dict[str, Any]) -> dict[str, Any]:
    """Ask for the user and the password that the settings lack, if there is somebody to ask."""
    if settings["database.user"] is None:
        if not is_interactive():
            raise DataJointError(
                "No user is configured for the database server: set dj.config['database.user'], "
                "or DJ_USER in the environment"
            )
        settings["database.user"] = input("Please enter DataJoint username: ")
    if settings["database.password"] is None and is_interactive():
        settings["database.password"] = getpass("Please enter DataJoint password: ")
    return settings


conn = _Conn()

#: The connections of this process, and of one that it was forked from.
_here: WeakValueDictionary[str, Connection] = WeakValueDictionary()
#: Those that came from other processes, by what they were opened with.
_arrived: dict[Any, Connection] = {}
_arriving = threading.Lock()


def _arrive(
    token: str, settings: dict[str, Any], init_fun: str | None, is_default: bool
) -> Connection:
    """Find the connection that another process has sent, or open one like it."""
    with _arriving:
        found = _here.get(token)
        if found is None and is_default and _is_at(conn.connection, settings):
            found = conn.connection
        if found is None:
            key = (init_fun, *(repr(settings[name]) for name in sorted(settings)))
            if key not in _arrived:
                options = {name.partition(".")[2]: value for name, value in settings.items()}
                _arrived[key] = Connection(init_fun=init_fun, **options)
            found = _arrived[key]
        if is_default:
            conn.connection = found
        return found


#: What tells whether two connections are with one database, by one account.
_PLACE = tuple(f"database.{name}" for name in ("backend", "host", "port", "name", "path", "user"))


def _is_at(connection: Connection | None, settings: Mapping[str, Any]) -> bool:
    """Tell whether a connection is with the database of some settings, by the same account."""
    try:
        here = None if connection is None else connection.elsewhere()
    except DataJointError:  # it is in memory
        return False
    return here is not None and all(here[name] == settings[name] for name in _PLACE)


__all__ = ["Connection", "conn"]
