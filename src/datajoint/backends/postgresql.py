"""PostgreSQL: a DataJoint schema is a schema of one database.

The type of every attribute is kept in the comment of its column, as ``:type:comment``. The schema
``datajoint`` has what all others share: the collation of texts, and the function that lets
``auto_increment`` go on after values that were given.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format, TransactionStatus

from ..declare import TableName, TableSpec, default_value
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
from ..heading import Attribute
from ..sql.postgresql import DIALECT
from ..sql.postgresql_values import TEXT_COLLATION, TEXT_COLLATION_OPTIONS
from ..sql.statements import Insert
from ..sql.text import literal
from ..types import AttributeType, column_type, parse_type
from .base import Backend, Cursor
from .catalog import assemble, names, references

#: The port of the configuration's default, which is MySQL's.
OTHER_PORT, PORT = 3306, 5432
CONNECT_SECONDS = 10
#: Bytes in a value above which it is sent in binary form, which costs less for large ones only.
LARGE = 2**11
#: Bytes that a row can have, with some space for what the protocol adds.
LARGEST = 2**30 - 2**16
#: Bytes in a name.
NAME_SIZE = 63

quote = DIALECT.quote
_Values = Sequence[Any] | Mapping[str, Any]


class PostgreSQLBackend(Backend):
    """A session with a PostgreSQL server."""

    name = "postgresql"
    dialect = DIALECT

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

    # -- the session --------------------------------------------------------------------------

    @property
    def _place(self) -> str:
        host, port = self._options["host"], self._options["port"]
        return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"

    @property
    def description(self) -> str:
        user = self._options["user"]
        return f"{self._server} as {user} at {self._place}/{self._database}"

    @property
    def user(self) -> str:
        return self._user_at_host

    @property
    def session_id(self) -> int:
        return self._session_id

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and not self._connection.closed

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
        connection.adapters.register_loader(0, _UnknownLoader)
        self._connection = connection
        version = connection.info.server_version
        self._server = f"PostgreSQL {version // 10000}.{version % 10000}"
        if version < 120000:
            self.close()
            raise DataJointError(f"{self._server} at {self._place} is too old: 12 is the oldest")
        connection.execute("SET DateStyle = ISO; SET IntervalStyle = postgres")
        ((self._user_at_host, self._database, self._session_id),) = self.execute(
            "SELECT concat(session_user, '@', coalesce(host(inet_client_addr()), 'localhost')), "
            "current_database()::text, pg_backend_pid()"
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
    def _in_transaction(self) -> bool:
        status = self._open.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def execute(self, text: str, values: _Values = ()) -> Cursor:
        cursor = self._open.cursor()
        given = values.values() if isinstance(values, Mapping) else values
        sizes = [len(v) for v in given if isinstance(v, (bytes, bytearray, memoryview))]
        if sum(sizes) > LARGEST:
            raise DataJointError(_too_large(f"The values have {sum(sizes):,} bytes"))
        bound: _Values | None = values
        if not sizes or max(sizes) <= LARGE:
            # As literals: the types of parameters would have to be told to the server.
            text, bound = psycopg.ClientCursor(self._open).mogrify(text.encode(), values), None
        if _CONTROL.match(text):
            cursor.execute(text.encode(), bound, binary=True)
        else:
            with self._statement():
                cursor.execute(text.encode(), bound, binary=True)
        return cursor

    @contextmanager
    def _statement(self, pipeline: bool = True) -> Iterator[None]:
        """Let a transaction go on after a failed statement, in the same round trip."""
        if not self._in_transaction:
            yield
            return
        connection = self._open
        try:
            with _pipeline(connection) if pipeline else nullcontext():
                connection.execute("SAVEPOINT statement")
                yield
                connection.execute("RELEASE SAVEPOINT statement")
        except BaseException:
            if not connection.closed and self._in_transaction:
                with suppress(psycopg.Error):  # the error is what matters
                    connection.execute(
                        "ROLLBACK TO SAVEPOINT statement; RELEASE SAVEPOINT statement"
                    )
            raise

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
        return _statement_error(code or "", error)

    def _connect_error(self, error: psycopg.Error) -> DataJointError:
        """Explain a failure to connect: the driver gives no code, but only the server's words."""
        text = str(error).strip()
        found = (case[1:] for case in _CONNECT_ERRORS if re.search(case[0], text))
        password = error.pgconn is not None and error.pgconn.used_password
        class_, explanation = next(found, _REFUSED if password else _UNCLEAR)
        explanation = explanation.format(
            server=f"server at {self._place}",
            user=self._options["user"],
            database=self._database,
            tls=self._use_tls,
        )
        return class_(f"{explanation} ({text})")

    # -- transactions -------------------------------------------------------------------------

    def begin(self) -> None:
        self._open.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")

    def commit(self) -> None:
        if self._open.execute("COMMIT").statusmessage == "ROLLBACK":
            raise QueryError("The transaction was rolled back after an error in it")

    def rollback(self) -> None:
        if self.is_connected and self._in_transaction:
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

    def create_schema(self, schema: str) -> None:
        _check_name(schema, "schema")
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
                self._create("", *_SHARED)
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
        columns = self.execute(_COLUMNS.format(where), values).fetchall()
        if not columns:
            return {}
        indexes = self.execute(_INDEXES.format(where), values).fetchall()
        foreign_keys = self.execute(_FOREIGN_KEYS.format(where), values).fetchall()
        return assemble(
            schema,
            ((table, _attribute(*column)) for table, _, *column in columns),
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

    def kill(self, session: int) -> None:
        self.execute("SELECT pg_terminate_backend(%s)", (session,))

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
        for digits in range(6 if abs(number) >= 2**-126 else 1, 9):
            shortest = float(f"{number:.{digits}g}")
            if abs(shortest) < 3.4e38 and struct.pack("!f", shortest) == bytes(data):
                return shortest
        return float(f"{number:.9g}")


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


# -- what all schemas share -----------------------------------------------------------------------

_SHARED = (
    'CREATE SCHEMA IF NOT EXISTS "datajoint"',
    'GRANT USAGE ON SCHEMA "datajoint" TO PUBLIC',
    f"CREATE COLLATION IF NOT EXISTS {TEXT_COLLATION} ({TEXT_COLLATION_OPTIONS})",
    # As on MySQL: after a value that was given, the next one is larger.
    """CREATE OR REPLACE FUNCTION "datajoint"."continue_sequence"() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    largest bigint;
BEGIN
    EXECUTE format('SELECT max(%I) FROM inserted', TG_ARGV[1]) INTO largest;
    IF largest > coalesce(pg_sequence_last_value(TG_ARGV[0]::regclass), 0) THEN
        PERFORM setval(TG_ARGV[0]::regclass, largest);
    END IF;
    RETURN NULL;
END $$""",
)


# -- definitions of tables ------------------------------------------------------------------------

#: Ends the names of indexes that exist only to make foreign keys fast.
_FOREIGN_KEY_INDEX = " (foreign key)"


def create_statements(spec: TableSpec) -> list[str]:
    """Write the statements that create a table with its indexes and comments.

    The names of what belongs to it have a space, so that none is ever the name of a table.
    """
    _check_name(spec.name.table, "table")
    heading, table = spec.heading, DIALECT.table(spec.name.schema, spec.name.table)
    sequence = DIALECT.table(spec.name.schema, _short(spec.name.table, " sequence"))
    clauses = [_column(attribute, sequence) for attribute in heading.all_attributes]
    key = quote(_short(spec.name.table, " key"))
    clauses.append(f"CONSTRAINT {key} PRIMARY KEY ({names(DIALECT, heading.primary_key)})")
    clauses += [
        f"{references(DIALECT, foreign_key)} ON UPDATE CASCADE" for foreign_key in spec.foreign_keys
    ]
    create = f"CREATE TABLE {table} (\n  " + ",\n  ".join(clauses) + "\n)"
    counted = [attribute.name for attribute in heading.all_attributes if attribute.autoincrement]
    return [
        *(f"CREATE SEQUENCE {sequence}" for _ in counted),
        create,
        *(f"COMMENT ON TABLE {table} IS {literal(c)}" for c in (heading.comment,) if c),
        *(_comment(table, attribute) for attribute in heading.all_attributes),
        *_indexes(spec, table),
        *(statement for name in counted for statement in _counting(table, sequence, name)),
    ]


def _counting(table: str, sequence: str, attribute: str) -> list[str]:
    """Write what makes an attribute go on after values that were given, for all who insert."""
    arguments = f"{literal(sequence)}, {literal(attribute)}"
    return [
        f"ALTER SEQUENCE {sequence} OWNED BY {table}.{quote(attribute)}",
        f"GRANT ALL ON SEQUENCE {sequence} TO PUBLIC",
        f"CREATE TRIGGER continue_sequence AFTER INSERT ON {table} "
        "REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT "
        f'EXECUTE FUNCTION "datajoint"."continue_sequence"({arguments})',
    ]


def _indexes(spec: TableSpec, table: str) -> Iterator[str]:
    """Write the indexes; the key of a parent is searched for the children of each of its rows."""
    covered = [tuple(spec.heading.primary_key)]
    for index in spec.heading.secondary_indexes:
        name = _short(spec.name.table, f" {len(covered)}")
        unique = "UNIQUE " if index.unique else ""
        columns = names(DIALECT, index.attributes)
        yield f"CREATE {unique}INDEX {quote(name)} ON {table} ({columns})"
        covered.append(index.attributes)
    for foreign_key in spec.foreign_keys:
        attributes = foreign_key.child_attributes
        if not any(index[: len(attributes)] == attributes for index in covered):
            name = _short(spec.name.table, f" {len(covered)}{_FOREIGN_KEY_INDEX}")
            yield f"CREATE INDEX {quote(name)} ON {table} ({names(DIALECT, attributes)})"
            covered.append(attributes)


def _column(attribute: Attribute, sequence: str) -> str:
    _check_name(attribute.name, "attribute")
    type_ = attribute.attribute_type
    assert type_ is not None
    storage = DIALECT.storage[type_.category]
    name = quote(attribute.name)
    not_null = "" if attribute.nullable else " NOT NULL"
    default = f" DEFAULT nextval({literal(sequence)})" if attribute.autoincrement else ""
    check = storage.check(type_, name)  # which NULL passes
    if check:
        check = f" CONSTRAINT {quote(_short(f'{attribute.name} : {type_}', ''))} CHECK ({check})"
    return f"{name} {storage.declaration(type_)}{not_null}{default or _default(attribute)}{check}"


def _default(attribute: Attribute) -> str:
    default, type_ = attribute.default, attribute.attribute_type
    if default is None or default == "null":
        return ""
    if default.upper().startswith("CURRENT_TIMESTAMP"):
        digits = getattr(type_, "digits", 0)
        if digits:
            return f" DEFAULT CAST(statement_timestamp() AS timestamp({digits}) with time zone)"
        return " DEFAULT date_trunc('second', statement_timestamp())"
    value = DIALECT.encode(default_value(default), type_)
    if isinstance(value, dt.timedelta):
        value = f"{value // dt.timedelta(microseconds=1)} microseconds"
    return f" DEFAULT {literal(str(value))}"


def _comment(table: str, attribute: Attribute) -> str:
    comment = literal(f":{attribute.type}:{attribute.comment}")
    return f"COMMENT ON COLUMN {table}.{quote(attribute.name)} IS {comment}"


def _check_name(name: str, what: str) -> None:
    size = len(name.encode())
    if size > NAME_SIZE:
        raise DataJointError(
            f"The name of the {what} `{name}` has {size} bytes; on PostgreSQL it can have "
            f"{NAME_SIZE}"
        )


def _short(name: str, suffix: str) -> str:
    """Append to a name; what is too long for a name ends in its hash."""
    if len((name + suffix).encode()) <= NAME_SIZE:
        return name + suffix
    digest = "~" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]
    room = NAME_SIZE - len((digest + suffix).encode())
    return name.encode()[:room].decode(errors="ignore") + digest + suffix


# -- tables as the server knows them --------------------------------------------------------------

_FROM = "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "

_COLUMNS = (
    "SELECT c.relname::text, coalesce(t.description, ''), a.attname::text, "
    "format_type(a.atttypid, a.atttypmod), p.oid IS NOT NULL, a.attnotnull, "
    "a.attidentity <> '', pg_get_expr(d.adbin, d.adrelid), coalesce(m.description, '') "
    + _FROM
    + "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum "
    "LEFT JOIN pg_constraint AS p ON p.conrelid = c.oid AND p.contype = 'p' "
    "AND a.attnum = ANY (p.conkey) "
    "LEFT JOIN pg_description AS t ON t.classoid = 'pg_class'::regclass AND t.objoid = c.oid "
    "AND t.objsubid = 0 "
    "LEFT JOIN pg_description AS m ON m.classoid = 'pg_class'::regclass AND m.objoid = c.oid "
    "AND m.objsubid = a.attnum "
    "WHERE {} ORDER BY c.relname, a.attnum"
)
#: Those of attributes only, on all rows.
_INDEXES = (
    "SELECT c.relname::text, x.relname::text, i.indisunique, a.attname::text "
    + _FROM
    + "JOIN pg_index AS i ON i.indrelid = c.oid AND NOT i.indisprimary AND i.indisvalid "
    "AND i.indexprs IS NULL AND i.indpred IS NULL "
    "JOIN pg_class AS x ON x.oid = i.indexrelid "
    "CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attribute, position) "
    "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attribute "
    f"WHERE {{}} AND right(x.relname, {len(_FOREIGN_KEY_INDEX)}) <> '{_FOREIGN_KEY_INDEX}' "
    "AND k.position <= i.indnkeyatts ORDER BY c.relname, i.indexrelid, k.position"
)
_FOREIGN_KEYS = (
    "SELECT c.relname::text, f.oid::bigint, s.nspname::text, r.relname::text, a.attname::text, "
    "b.attname::text "
    + _FROM
    + "JOIN pg_constraint AS f ON f.conrelid = c.oid AND f.contype = 'f' "
    "JOIN pg_class AS r ON r.oid = f.confrelid JOIN pg_namespace AS s ON s.oid = r.relnamespace "
    "CROSS JOIN unnest(f.conkey, f.confkey) AS k (child, parent) "
    "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.child "
    "JOIN pg_attribute AS b ON b.attrelid = r.oid AND b.attnum = k.parent "
    "WHERE {} ORDER BY c.relname, f.oid, b.attnum"
)

_MARKER = re.compile(r""":((?:[^:'"]|'[^']*'|"[^"]*")+):(.*)""", re.DOTALL)
_NOW = re.compile(r"statement_timestamp\(\)|now\(\)|current_timestamp|localtimestamp", re.I)
_CONSTANT = re.compile(r"(?:'((?:[^']|'')*)'|([^':(]+))(?:::.*)?", re.DOTALL)


def _attribute(
    name: str,
    sql_type: str,
    in_key: bool,
    not_null: bool,
    identity: bool,
    expression: str | None,
    comment: str,
) -> Attribute:
    marker = _MARKER.fullmatch(comment)
    type_ = column_type(marker[1] if marker else _guess_type(sql_type))
    counts = identity or (expression or "").startswith("nextval(")
    default = None if counts or expression is None else _default_of(expression, type_)
    return Attribute(
        name,
        type_,
        in_key,
        not not_null,
        default if not_null else "null",
        marker[2] if marker else comment,
        counts,
    )


def _default_of(expression: str, type_: AttributeType) -> str | None:
    """Bring a default into the form of a definition."""
    if _NOW.search(expression):
        digits = getattr(type_, "digits", 0)
        return f"CURRENT_TIMESTAMP({digits})" if digits else "CURRENT_TIMESTAMP"
    match = _CONSTANT.fullmatch(expression)
    if match is None:  # an expression, which the server computes
        return None
    value = match[2] if match[1] is None else match[1].replace("''", "'")
    if type_.numeric:
        return {"true": "1", "false": "0"}.get(value.lower(), value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_TYPES: Mapping[str, str] = {
    "integer": "int",
    "real": "float",
    "double precision": "double",
    "numeric": "double",
    "boolean": "bool",
    "text": "varchar(65535)",
    "character varying": "varchar(65535)",
    "bytea": "longblob",
    "timestamp without time zone": "datetime(6)",
    "timestamp with time zone": "timestamp(6)",
    "interval": "time(6)",
}


def _guess_type(sql_type: str) -> str:
    """Choose a type for a column of a table that was not declared by this package."""
    if sql_type in _TYPES:
        return _TYPES[sql_type]
    for pattern, type_ in (
        (r"character varying(\(\d+\))", "varchar"),
        (r"character(\(\d+\))", "char"),
        (r"numeric(\(\d+,\d+\))", "decimal"),
        (r"timestamp(\(\d\)) without time zone", "datetime"),
        (r"timestamp(\(\d\)) with time zone", "timestamp"),
        (r"interval(\(\d\))", "time"),
    ):
        match = re.fullmatch(pattern, sql_type)
        if match:
            with suppress(DataJointError):  # longer than any of ours
                return str(parse_type(type_ + match[1]))
    return sql_type


# -- errors ---------------------------------------------------------------------------------------

_Explanation = tuple[type[DataJointError], str]
_REFUSED: _Explanation = (
    AccessError,
    "The {server} refuses the user {user!r}: the password or the name is wrong",
)
_UNCLEAR: _Explanation = (DataJointError, "Cannot connect to the {server} as {user!r}")

#: What the text of a failure to connect says → its class, and an explanation of it. Servers that
#: speak other languages than English have the last resorts above.
_CONNECT_ERRORS: tuple[tuple[str, type[DataJointError], str], ...] = (
    (
        r"password authentication failed|no password supplied|authentication failed for user|"
        r"role \".*\" (does not exist|is not permitted)",
        *_REFUSED,
    ),
    (
        r"no encryption|SSL off",
        AccessError,
        "The {server} does not admit the user {user!r} from here without TLS: leave "
        "database.use_tls unset, or set it to True",
    ),
    (
        r"no pg_hba.conf entry|pg_hba.conf rejects",
        AccessError,
        "The {server} does not admit the user {user!r} to the database {database!r} from "
        "this machine",
    ),
    (
        r"database \".*\" does not exist",
        DataJointError,
        "The {server} has no database {database!r}: set database.name, or let the server's "
        "administrator create it",
    ),
    (
        r"permission denied for database",
        AccessError,
        "The {server} does not admit the user {user!r} to the database {database!r}",
    ),
    (
        r"does not support SSL",
        DataJointError,
        "TLS is required by database.use_tls, but the {server} does not offer it",
    ),
    (
        r"(certificate|key) file",
        DataJointError,
        "The certificates of database.use_tls cannot be used: see that the files are what they "
        "should be",
    ),
    (
        r"certificate|SSL error",
        DataJointError,
        "TLS with the {server} fails with database.use_tls = {tls}",
    ),
    (
        r"too many clients|too many connections|remaining connection slots|connection limit",
        DataJointError,
        "The {server} has too many connections",
    ),
    (r"starting up|shutting down|recovery mode", LostConnectionError, "The {server} is not ready"),
    (
        r"timeout expired|timed out",
        LostConnectionError,
        "The {server} does not answer: check database.host, and firewalls between here and there",
    ),
    (
        r"refused|resolve host|translate host name|No such file|No route|unreachable|"
        r"Connection reset|closed the connection",
        LostConnectionError,
        "There is no database {server}. Check database.host and database.port, and that it runs",
    ),
)

_ERRORS: Mapping[str, type[DataJointError]] = {
    "23505": DuplicateError,
    "23503": IntegrityError,
    "23001": IntegrityError,
    "23502": MissingAttributeError,
    "25006": AccessError,
    "42501": AccessError,
    "42P01": MissingTableError,
    "42703": UnknownAttributeError,
    **dict.fromkeys(("42601", "42883", "42803", "42804", "42702", "42P18"), QuerySyntaxError),
    **dict.fromkeys(("40001", "40P01", "55P03"), ConflictError),
}
#: Codes, or the classes that they begin with → what the error is about.
_EXPLANATIONS: Mapping[str, str] = {
    "23505": "Duplicate entry for {table}",
    "23503": "A foreign key of {table} fails",
    "23502": "No value for attribute `{column}` of {table}, which has no default",
    "23514": "A value does not fit its attribute `{constraint}` of {table}",
    "22": "A value does not fit",
    "25006": "The database can only be read",
    "3F000": "There is no such schema",
    "40": "Others hold or changed rows that the statement needs",
    "55P03": "Others hold or changed rows that the statement needs",
    "57014": "The statement was cancelled",
    "53100": "The disk of the server is full",
    "54": "The statement is beyond the limits of the server",
}


def _statement_error(code: str, error: psycopg.Error) -> DataJointError:
    """Make the error for a statement that the server refused."""
    diag = error.diag
    explanation = _EXPLANATIONS.get(code) or _EXPLANATIONS.get(code[:2], "")
    explanation = explanation.format(
        table=f"`{diag.schema_name}`.`{diag.table_name}`",
        column=diag.column_name,
        constraint=diag.constraint_name,
    )
    said = ": ".join(filter(None, (diag.message_primary, diag.message_detail, diag.message_hint)))
    text = ": ".join(filter(None, (explanation, said or str(error))))
    return _ERRORS.get(code, QueryError)(text)
