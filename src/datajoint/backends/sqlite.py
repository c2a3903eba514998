"""SQLite: the embedded database, one file for all schemas.

A table is named ``schema.table``, as one identifier, so that foreign keys can cross schemas.
SQLite keeps neither comments nor the types of DataJoint: three tables of its own do.
"""

from __future__ import annotations

import getpass
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from ..declare import TableName, TableSpec
from ..errors import (
    AccessError,
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
from ..grammar import parse_type, unquote
from ..heading import Attribute
from ..sql.sqlite import DIALECT
from ..sql.statements import Insert
from ..sql.text import literal
from .base import Backend
from .catalog import (
    SEPARATOR,
    assemble,
    index_terms,
    marked_type,
    names,
    noted_terms,
    references,
)
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
#: Ends the names of indexes that exist only to make foreign keys fast.
_FOREIGN_KEY_INDEX = " (foreign key)"

quote = DIALECT.quote


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


class SQLiteBackend(Backend):
    """A connection to a SQLite file."""

    name = "sqlite"
    dialect = DIALECT
    has_accounts = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        path = settings["database.path"]
        self.path = path if path == ":memory:" else str(Path(path).expanduser().absolute())
        self._timeout = float(settings["database.timeout"])
        self._connection: apsw.Connection | None = None

    # -- the session --------------------------------------------------------------------------

    @property
    def description(self) -> str:
        return f"SQLite file {self.path}" if self.path != ":memory:" else "SQLite in memory"

    @property
    def user(self) -> str:
        return f"{getpass.getuser()}@localhost"

    @property
    def session_id(self) -> int:
        return os.getpid()

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def connect(self) -> None:
        try:
            connection = apsw.Connection(self.path)
            connection.set_busy_handler(self._wait)
            connection.execute("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON").fetchall()
        except (apsw.CantOpenError, apsw.IOError) as error:
            folder = Path(self.path).parent
            reason = f"the folder {folder} does not exist" if not folder.exists() else str(error)
            raise DataJointError(f"Cannot open the database {self.path}: {reason}") from error
        except apsw.NotADBError as error:
            raise DataJointError(f"{self.path} is no SQLite database") from error
        register(connection)
        self._connection = connection

    def _wait(self, calls: int) -> bool:
        """Wait for another process to finish writing, so long as the settings allow."""
        if calls == 0:
            self._deadline = time.monotonic() + self._timeout
        time.sleep(min(0.001 * 2**calls, 0.05) if calls < 10 else 0.05)
        return time.monotonic() < self._deadline

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None

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

    def execute_written(self, text: str, values: Any = ()) -> SQLiteCursor:
        # A lone % stays as it is, as SQLite's own placeholders do.
        own = re.sub(r"%(?:(%)|(s)|\((\w+)\)s)", _own_placeholder, text)
        return self.execute(own, values)

    def insert(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
        self._open.executemany(statement.text, rows)

    def map_error(self, error: Exception) -> DataJointError | None:
        if not isinstance(error, apsw.Error):
            return None
        text = str(error)
        if isinstance(error, apsw.ConstraintError):
            return _constraint_error(error.extendedresult, text)  # type: ignore[attr-defined]
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return DataJointError(
                f"The database {self.path} has been locked by another process for more than "
                f"{self._timeout:g} s (setting `database.timeout`)"
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

    def begin(self) -> None:
        self._open.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._open.execute("COMMIT")

    def rollback(self) -> None:
        # Some errors, such as a full disk, have rolled back already.
        if self._open.in_transaction:
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
            'SELECT t.name, i.name, i."unique", c.seqno, c.name '
            + tables.format("pragma_index_list(t.name) AS i JOIN pragma_index_info(i.name) AS c")
            + " AND i.origin <> 'pk' AND substr(i.name, -length(?)) <> ?"
            " ORDER BY t.name, i.seq DESC, c.seqno",
            (*limits, _FOREIGN_KEY_INDEX, _FOREIGN_KEY_INDEX),
        ).fetchall()
        foreign_keys = self.execute(
            'SELECT t.name, f.id, f."table", f."from", f."to" '
            + tables.format("pragma_foreign_key_list(t.name) AS f")
            + " ORDER BY t.name, f.id DESC, f.seq",
            limits,
        ).fetchall()
        size = len(schema) + 1
        specs = assemble(
            schema,
            ((name[size:], _attribute(*rest)) for name, *rest, _ in attributes),
            (
                (name[size:], index, bool(unique), c or _noted_term(index, number))
                for name, index, unique, number, c in indexes
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
            exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
            if not self.execute(exists, (name,)).fetchall():
                for statement in create_statements(spec):
                    self.execute(statement)
                comment = spec.heading.comment
                self.execute("INSERT INTO datajoint_table VALUES (?, ?)", (name, comment))
                self._open.executemany(
                    "INSERT INTO datajoint_attribute VALUES (?, ?, ?, ?, ?)",
                    [
                        (name, a.name, _stored_type(a), a.default, a.comment)
                        for a in spec.heading.all_attributes
                    ],
                )
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def drop_table(self, name: TableName) -> None:
        self.execute(f"DROP TABLE {DIALECT.table(name.schema, name.table)}")
        full = f"{name.schema}.{name.table}"
        self.execute("DELETE FROM datajoint_table WHERE name = ?", (full,))

    def size_on_disk(self, name: TableName) -> int:
        full = f"{name.schema}.{name.table}"
        ((size,),) = self.execute(
            "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN "
            "(SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
            (full,),
        ).fetchall()
        return int(size)


_ABANDONED: list[apsw.Connection | None] = []


def _own_placeholder(match: re.Match[str]) -> str:
    return "%" if match[1] else "?" if match[2] else f":{match[3]}"


# -- definitions of tables ------------------------------------------------------------------------


def create_statements(spec: TableSpec) -> list[str]:
    """Write the statements that create a table with its indexes."""
    heading = spec.heading
    table = DIALECT.table(spec.name.schema, spec.name.table)
    clauses = [_column(attribute) for attribute in heading.all_attributes]
    if not any(attribute.autoincrement for attribute in heading.all_attributes):
        clauses.append(f"PRIMARY KEY ({names(DIALECT, heading.stored_key)})")
    clauses += [
        f"{references(DIALECT, foreign_key)} ON UPDATE CASCADE" for foreign_key in spec.foreign_keys
    ]
    statements = [f"CREATE TABLE {table} (\n  " + ",\n  ".join(clauses) + "\n)"]
    covered = [tuple(heading.stored_key)]
    prefix = f"{spec.name.schema}.{spec.name.table}"
    for index in heading.secondary_indexes:
        statements.append(_index(table, f"{prefix} {len(covered)}", index.attributes, index.unique))
        covered.append(index.attributes)
    for foreign_key in spec.foreign_keys:
        columns = foreign_key.child_attributes
        if not any(index[: len(columns)] == columns for index in covered):
            name = f"{prefix} {len(covered)}{_FOREIGN_KEY_INDEX}"
            statements.append(_index(table, name, columns, unique=False))
            covered.append(columns)
    return statements


def _column(attribute: Attribute) -> str:
    type_ = attribute.stored_type
    assert type_ is not None
    storage = DIALECT.storage[type_.category]
    name = quote(attribute.name)
    if attribute.autoincrement:
        declaration = "INTEGER PRIMARY KEY AUTOINCREMENT"
    else:
        declaration = storage.declaration(type_) + ("" if attribute.nullable else " NOT NULL")
    check = storage.check(type_, name)
    if check:
        condition = f"{name} IS NULL OR ({check})" if attribute.nullable else check
        constraint = quote(f"{attribute.name} : {attribute.type}")
        check = f" CONSTRAINT {constraint} CHECK ({condition})"
    return f"{name} {declaration}{_default(attribute)}{check}"


def _default(attribute: Attribute) -> str:
    default, type_ = attribute.default, attribute.stored_type
    if default is None or default == "null":
        return ""
    if default.upper().startswith("CURRENT_TIMESTAMP"):
        digits = getattr(type_, "digits", 0)
        now = "strftime('%Y-%m-%d %H:%M:%f', 'now', 'localtime') || '000'"
        return f" DEFAULT (substr({now}, 1, {20 + digits if digits else 19}))"
    return f" DEFAULT {literal(DIALECT.encode(unquote(default), type_))}"


def _index(table: str, name: str, attributes: Sequence[str], unique: bool) -> str:
    unique_ = "UNIQUE " if unique else ""
    noted = noted_terms(attributes)
    name = f"{name} ({noted})" if noted else name
    return f"CREATE {unique_}INDEX {quote(name)} ON {table} ({index_terms(DIALECT, attributes)})"


def _noted_term(index: str, number: int) -> str:
    """Read what is indexed by an expression, which the name of the index tells."""
    terms = index.partition(" (")[2].removesuffix(")").split(SEPARATOR)
    return terms[number] if number < len(terms) else "(expression)"


def _stored_type(attribute: Attribute) -> str:
    return attribute.type + (" auto_increment" if attribute.autoincrement else "")


def _split(name: str) -> tuple[str, str]:
    schema, _, table = name.rpartition(".")
    return schema, table


def _attribute(
    name: str,
    sql_type: str,
    pk: int,
    not_null: int,
    type_: str | None,
    default: str | None,
    comment: str | None,
) -> Attribute:
    text, increments = re.subn(r"\s+auto_increment$", "", type_ or _guess_type(sql_type))
    in_key = bool(pk)
    nullable = not not_null and not in_key
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
