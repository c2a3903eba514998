"""SQLite: the embedded database, one file for all schemas.

A table is named ``schema.table``, as one identifier, so that foreign keys can cross schemas.
SQLite keeps neither comments nor the types of DataJoint: three tables of its own do.
"""

from __future__ import annotations

import getpass
import os
import platform
import random
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw

from ..alter import Alteration
from ..declare import TableName, TableSpec
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
from ..grammar import parse_type
from ..heading import Attribute
from ..sql.sqlite import DIALECT
from ..sql.statements import Insert
from ..utils import is_running
from .base import Backend, Seen
from .catalog import Belongings, assemble, marked_type
from .sqlite_ddl import FOREIGN_KEY_INDEX, alter_statements, create_statements, noted_term
from .sqlite_functions import register

_METADATA = """
CREATE TABLE IF NOT EXISTS datajoint_schema (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS datajoint_table (
    name TEXT PRIMARY KEY, -- schema.table
    comment TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS datajoint_attribute (
    table_name TEXT NOT NULL REFERENCES datajoint_table (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    "default" TEXT,
    comment TEXT NOT NULL,
    PRIMARY KEY (table_name, name)
);
"""
quote = DIALECT.quote
#: The id of a session has that of its process above so many bits, which are random.
PROCESS_SHIFT = 31


class SQLiteCursor:
    """The result of a statement on SQLite."""

    def __init__(self, cursor: apsw.Cursor, rowcount: int) -> None:
        self._cursor = cursor
        self.rowcount = rowcount

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        try:
            return self._cursor.get_description()
        except apsw.ExecutionCompleteError:
            return None

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._cursor.fetchone()

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._cursor)


class _SQLiteSource:
    """The result of a query that is read in parts."""

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        return list(islice(self._cursor, size))

    def close(self) -> None:
        self._cursor.close(True)


class SQLiteBackend(Backend):
    """A connection to a SQLite file."""

    name = "sqlite"
    dialect = DIALECT
    has_accounts = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        path = settings["database.path"]
        self.path = path if path == ":memory:" else str(Path(path).expanduser().absolute())
        self._timeout = float(settings["database.timeout"])
        self._nonce = uuid4().hex  # there are many databases in memory
        self._connection: apsw.Connection | None = None
        self._journal: Any = None
        self._session_id = 0
        #: What an optimistic transaction sees: the database with all changes up to this one.
        self._version: Any = None

    # -- the session --------------------------------------------------------------------------

    @property
    def description(self) -> str:
        return f"SQLite file {self.path}" if self.path != ":memory:" else "SQLite in memory"

    @property
    def place(self) -> str:
        return os.path.realpath(self.path) if self.path != ":memory:" else self._nonce

    @property
    def identity(self) -> tuple[str, ...]:
        return (*super().identity, self._nonce if self.path == ":memory:" else "")

    @property
    def exists(self) -> bool:
        return self.path == ":memory:" or Path(self.path).exists()

    def elsewhere(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        if self.path == ":memory:":
            raise DataJointError(
                "A database in memory belongs to one process, and others cannot open it: keep it "
                "in a file, as in dj.config['database.path'] = 'datajoint.db'"
            )
        return {**super().elsewhere(settings), "database.path": self.path}

    @property
    def user(self) -> str:
        return f"{getpass.getuser()}@localhost"

    @property
    def session_id(self) -> int:
        return self._session_id

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def connect(self) -> None:
        try:
            connection = apsw.Connection(self.path)
            connection.set_busy_handler(self._wait)
            self._journal = connection.pragma("journal_mode", "wal")
            connection.execute("PRAGMA foreign_keys = ON").fetchall()
        except (apsw.CantOpenError, apsw.IOError) as error:
            folder = Path(self.path).parent
            reason = f"the folder {folder} does not exist" if not folder.exists() else str(error)
            raise DataJointError(f"Cannot open the database {self.path}: {reason}") from error
        except apsw.NotADBError as error:
            raise DataJointError(f"{self.path} is no SQLite database") from error
        register(connection)
        self._connection = connection
        self._session_id = os.getpid() << PROCESS_SHIFT | secrets.randbits(PROCESS_SHIFT)
        _OPEN.add(self._session_id)

    def _wait(self, calls: int) -> bool:
        """Wait for another process to finish writing, so long as the settings allow."""
        if calls == 0:
            self._deadline = time.monotonic() + self._timeout
        # Often and at random: whoever writes again and again leaves only moments to others.
        time.sleep(random.uniform(0.0005, 0.002 if calls < 5 else 0.01))
        return time.monotonic() < self._deadline

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None
            _OPEN.discard(self._session_id)

    def abandon(self) -> None:
        # Closing a SQLite file in a forked child would drop the parent's locks: keep it open.
        _ABANDONED.append(self._connection)
        self._connection = None

    # -- statements ---------------------------------------------------------------------------

    @property
    def _open(self) -> apsw.Connection:
        if self._connection is None:
            raise apsw.ConnectionClosedError("The connection is closed")
        return self._connection

    def execute(self, text: str, values: Sequence[Any] = ()) -> SQLiteCursor:
        connection = self._open
        before = connection.total_changes()
        cursor = connection.execute(text, values)
        return SQLiteCursor(cursor, connection.total_changes() - before)

    def stream(self, text: str, values: Sequence[Any] = ()) -> _SQLiteSource:
        return _SQLiteSource(self._open.execute(text, values))

    @property
    def reads_beside(self) -> bool:
        # which a database in memory has not, nor one on some file systems
        return bool(self._journal == "wal")

    @property
    def has_one_writer(self) -> bool:
        return True

    @property
    def survives_interrupts(self) -> bool:
        # They wait until a statement is done, or has been undone.
        return True

    def own_text(self, text: str) -> str:
        # A lone % stays as it is, as SQLite's own placeholders do.
        return re.sub(r"%(?:(%)|(s)|\((\w+)\)s)", _own_placeholder, text)

    def execute_written(self, text: str, values: Any = ()) -> SQLiteCursor:
        return self.execute(self.own_text(text), values)

    def insert(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
        self._open.executemany(statement.text, rows)

    def map_error(self, error: Exception) -> DataJointError | None:
        if not isinstance(error, apsw.Error):
            return None
        text = str(error)
        if isinstance(error, apsw.ConstraintError):
            return _constraint_error(error.extendedresult, text)  # type: ignore[attr-defined]
        if isinstance(error, apsw.BusyError) and (
            error.extendedresult == apsw.SQLITE_BUSY_SNAPSHOT  # type: ignore[attr-defined]
        ):
            return ConflictError(
                f"Others have changed the database {self.path} since the transaction began; it can "
                "be repeated"
            )
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return ConflictError(
                f"The database {self.path} has been locked by another process or connection for "
                f"more than {self._timeout:g} s (setting `database.timeout`); nothing was changed, "
                "and the work can be repeated"
            )
        if isinstance(error, apsw.ConnectionClosedError):
            return LostConnectionError("The connection to the database is closed")
        if isinstance(error, (apsw.ReadOnlyError, apsw.PermissionsError)):
            return AccessError(f"The database {self.path} cannot be written: {text}")
        if isinstance(error, apsw.TooBigError):
            return QueryError(f"A value is larger than SQLite holds: {text}")
        if isinstance(error, apsw.SQLError):
            return _sql_error(text)
        return QueryError(f"{self.description}: {text}")

    # -- transactions -------------------------------------------------------------------------

    def begin(self, *, snapshot: bool = True, optimistic: bool = False) -> None:
        if optimistic and self.reads_beside:
            self._open.execute("BEGIN")
            self._version = self._open.pragma("data_version")  # which it sees from now on
        else:
            self._open.execute("BEGIN IMMEDIATE")

    @property
    def in_transaction(self) -> bool:
        return self._connection is not None and self._connection.in_transaction

    def promote(self) -> bool:
        connection = self._open
        if connection.txn_state("main") == apsw.SQLITE_TXN_WRITE:  # as it was all the time
            return False
        self.rollback()
        connection.execute("BEGIN IMMEDIATE")
        return bool(connection.pragma("data_version") != self._version)

    def commit(self) -> None:
        self._open.execute("COMMIT")

    def rollback(self) -> None:
        # Some errors, such as a full disk, have rolled back already.
        if self.in_transaction:
            self._open.execute("ROLLBACK")

    # -- schemas ------------------------------------------------------------------------------

    def _has_metadata(self) -> bool:
        query = "SELECT 1 FROM sqlite_schema WHERE name = 'datajoint_attribute'"
        return bool(self.execute(query).fetchall())

    def schemas(self) -> list[str]:
        if not self._has_metadata():
            return []
        rows = self.execute("SELECT name FROM datajoint_schema ORDER BY name").fetchall()
        return [name for (name,) in rows]

    def create_schema(self, schema: str) -> None:
        self._open.execute(_METADATA)
        self.execute("INSERT OR IGNORE INTO datajoint_schema VALUES (?)", (schema,))

    def drop_schema(self, schema: str) -> None:
        self.execute("DELETE FROM datajoint_schema WHERE name = ?", (schema,))

    def load_schema(self, schema: str, table: str | None = None) -> dict[str, TableSpec]:
        if not self._has_metadata():
            return {}
        # A range, not LIKE: no character of a name has a meaning of its own.
        limits = (f"{schema}.", f"{schema}/")
        if table is not None:
            limits = (f"{schema}.{table}", f"{schema}.{table}\x01")
        tables = (
            "FROM sqlite_schema AS t JOIN {} WHERE t.type = 'table' AND t.name >= ? AND t.name < ?"
        )
        attributes = self.execute(
            'SELECT t.name, c.name, c.type, c.pk, c."notnull", a.type, a."default", a.comment, '
            "d.comment "
            + tables.format(
                "pragma_table_xinfo(t.name) AS c "
                "LEFT JOIN datajoint_attribute AS a ON a.table_name = t.name AND a.name = c.name "
                "LEFT JOIN datajoint_table AS d ON d.name = t.name"
            )
            + " ORDER BY t.name, c.cid",
            limits,
        ).fetchall()
        if not attributes:
            return {}
        indexes = self.execute(
            'SELECT t.name, i.name, i."unique", i.origin, c.seqno, c.name '
            + tables.format("pragma_index_list(t.name) AS i JOIN pragma_index_info(i.name) AS c")
            + " AND i.origin <> 'pk' AND substr(i.name, -length(?)) <> ?"
            " ORDER BY t.name, i.seq DESC, c.seqno",
            (*limits, FOREIGN_KEY_INDEX, FOREIGN_KEY_INDEX),
        ).fetchall()
        foreign_keys = self.execute(
            'SELECT t.name, f.id, f."table", f."from", f."to" '
            + tables.format("pragma_foreign_key_list(t.name) AS f")
            + " ORDER BY t.name, f.id DESC, f.seq",
            limits,
        ).fetchall()
        size = len(schema) + 1
        keys = _primary_keys(attributes, indexes)
        specs = assemble(
            schema,
            (
                (name[size:], _attribute(column, *rest, in_key=(name, column) in keys))
                for name, column, *rest, _ in attributes
            ),
            (
                (name[size:], index, bool(unique), c or noted_term(index, number))
                for name, index, unique, _, number, c in indexes
                if index not in keys.values()
            ),
            (
                (name[size:], str(number), TableName(*_split(parent)), child, key)
                for name, number, parent, child, key in foreign_keys
            ),
            {row[0][size:]: row[-1] or "" for row in attributes},
        )
        return {name: spec for name, spec in specs.items() if "." not in name}

    def referring_schemas(self, schemas: Iterable[str]) -> set[str]:
        wanted = set(schemas)
        pairs = self.execute(
            'SELECT DISTINCT t.name, f."table" FROM sqlite_schema AS t '
            "JOIN pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table'"
        ).fetchall()
        return {
            child.rpartition(".")[0]
            for child, parent in pairs
            if "." in child and parent.rpartition(".")[0] in wanted
        }

    # -- tables -------------------------------------------------------------------------------

    def create_table(self, spec: TableSpec) -> None:
        name = f"{spec.name.schema}.{spec.name.table}"
        self.begin()
        try:
            if spec.name.schema not in self.schemas():
                raise QueryError(f"There is no such schema: `{spec.name.schema}`")
            exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
            if not self.execute(exists, (name,)).fetchall():
                for statement in create_statements(spec):
                    self.execute(statement)
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def alter_statements(self, alteration: Alteration) -> list[str]:
        name = f"{alteration.old.name.schema}.{alteration.old.name.table}"
        indexes = self.execute(
            'SELECT i.name, i."unique", substr(i.name, -length(?)) = ?, c.seqno, c.name '
            "FROM pragma_index_list(?) AS i JOIN pragma_index_info(i.name) AS c "
            "WHERE i.origin = 'c' AND NOT i.partial ORDER BY i.name, c.seqno",
            (FOREIGN_KEY_INDEX, FOREIGN_KEY_INDEX, name),
        ).fetchall()
        triggers = self.execute(
            "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", (name,)
        ).fetchall()
        terms = ((*row, column or noted_term(row[0], n)) for *row, n, column in indexes)
        belongings = Belongings.of(terms, ())
        return alter_statements(alteration, belongings, [sql for (sql,) in triggers])

    def alter_table(self, name: TableName, statements: Sequence[str]) -> None:
        # The old table is dropped, and the new one takes its name: no reference may follow them.
        self.execute("PRAGMA foreign_keys = OFF")
        self.execute("PRAGMA legacy_alter_table = ON")
        try:
            self.begin()
            before = len(self._violations(name))
            for statement in statements:
                self.execute(statement)
            violations = self._violations(name)
            if len(violations) > before:
                raise IntegrityError(
                    f"A foreign key refers to {TableName(*_split(violations[-1][2]))}, which lacks "
                    f"entities for {len(violations) - before} rows"
                )
            self.commit()
        finally:
            self.rollback()
            self.execute("PRAGMA legacy_alter_table = OFF")
            self.execute("PRAGMA foreign_keys = ON")

    def _violations(self, name: TableName) -> list[tuple[Any, ...]]:
        """List the rows of a table, and their foreign keys, whose parents are missing."""
        table = DIALECT.table(name.schema, name.table)
        return self.execute(f"PRAGMA foreign_key_check({table})").fetchall()

    def drop_table(self, name: TableName) -> None:
        self.execute(f"DROP TABLE {DIALECT.table(name.schema, name.table)}")
        full = f"{name.schema}.{name.table}"
        self.execute("DELETE FROM datajoint_table WHERE name = ?", (full,))

    # -- administration -----------------------------------------------------------------------

    def ended(self, sessions: Collection[Seen]) -> tuple[set[Seen], float]:
        here = platform.node()
        return {each for each in sessions if each.host == here and not _is_open(each.id)}, 0.0

    def size_on_disk(self, name: TableName) -> int:
        full = f"{name.schema}.{name.table}"
        ((size,),) = self.execute(
            "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN "
            "(SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
            (full,),
        ).fetchall()
        return int(size)


_ABANDONED: list[apsw.Connection | None] = []
#: The sessions of this process, besides those of its parent.
_OPEN: set[int] = set()


def _is_open(session: int) -> bool:
    """Tell whether a session of a process on this computer is, or may be, open."""
    process = session >> PROCESS_SHIFT
    return session in _OPEN if process == os.getpid() else is_running(process)


def _own_placeholder(match: re.Match[str]) -> str:
    return "%" if match[1] else "?" if match[2] else f":{match[3]}"


# -- tables as the database knows them ------------------------------------------------------------


def _split(name: str) -> tuple[str, str]:
    schema, _, table = name.rpartition(".")
    return schema, table


def _primary_keys(
    attributes: Iterable[Sequence[Any]], indexes: Iterable[Sequence[Any]]
) -> dict[tuple[str, str], str]:
    """Find the attributes of primary keys: table and attribute → the index that makes them one.

    Where an attribute counts, that is the primary key for SQLite; the key of the table is another
    one if there is a constraint for it.
    """
    counting = {name for name, *_, type_, _, _, _ in attributes if _COUNTS.search(type_ or "")}
    named = {
        (table, column): index
        for table, index, _, origin, _, column in indexes
        if origin == "u" and table in counting
    }
    others = {table for table, _ in named}
    return named | {
        (table, column): "" for table, column, _, pk, *_ in attributes if pk and table not in others
    }


_COUNTS = re.compile(r"\s+auto_increment$")


def _attribute(
    name: str,
    sql_type: str,
    pk: int,
    not_null: int,
    type_: str | None,
    default: str | None,
    comment: str | None,
    *,
    in_key: bool,
) -> Attribute:
    text, increments = _COUNTS.subn("", type_ or _guess_type(sql_type))
    nullable = not (not_null or pk or in_key)
    return Attribute(
        name,
        marked_type(text, parse_type(_guess_type(sql_type))),
        in_key,
        nullable,
        "null" if nullable else default,
        comment or "",
        bool(increments),
    )


def _guess_type(sql_type: str) -> str:
    """Choose a type for a column of a table that was not declared by this package."""
    affinity = sql_type.upper()
    if "INT" in affinity:
        return "bigint"
    if any(name in affinity for name in ("REAL", "FLOA", "DOUB", "NUM", "DEC")):
        return "double"
    return "longblob" if "BLOB" in affinity or not affinity else "varchar(65535)"


# -- errors ---------------------------------------------------------------------------------------


def _table_of(text: str) -> str:
    """Write ``schema.table.attribute`` as users know it."""
    return re.sub(r"([^\s,]+)\.([^\s.,]+)\.(\w+)", r"`\3` of `\1`.`\2`", text)


def _constraint_error(code: int, text: str) -> DataJointError:
    detail = text.partition(": ")[2]
    if code in (
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
        apsw.SQLITE_CONSTRAINT_UNIQUE,
        apsw.SQLITE_CONSTRAINT_ROWID,
    ):
        index = re.fullmatch(r"index '(.+)\.(.+?) \d+ \((.*)\)'", detail)  # of an expression
        what = f"`{index[3]}` of `{index[1]}`.`{index[2]}`" if index else _table_of(detail)
        return DuplicateError(f"Duplicate entry for {what}")
    if code == apsw.SQLITE_CONSTRAINT_FOREIGNKEY:
        return IntegrityError(
            "A foreign key fails: an entity refers to one that does not exist, or one that is "
            "still referred to would be removed"
        )
    if code == apsw.SQLITE_CONSTRAINT_NOTNULL:
        return MissingAttributeError(f"No value for {_table_of(detail)}, which has no default")
    if code == apsw.SQLITE_CONSTRAINT_CHECK:
        return QueryError(f"A value does not fit its attribute `{detail}`")
    return IntegrityError(text)


def _sql_error(text: str) -> DataJointError:
    """Tell the errors apart that SQLite gives one code: it names their kinds in words only."""
    if text.startswith("no such table"):
        return MissingTableError(text)
    if text.startswith("no such column") or "has no column named" in text:
        return UnknownAttributeError(text)
    if text.startswith("no such function"):
        return QuerySyntaxError(f"SQLite has {text.replace('such ', '')}")
    malformed = "syntax error" in text or text == "incomplete input"
    return QuerySyntaxError(text) if malformed else QueryError(text)
