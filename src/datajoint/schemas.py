"""Schemas: named collections of tables, and the decorator that declares the classes of one.

Manual 5.1 and 5.2.
"""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

from .connection import Connection, conn
from .declare import TableName
from .dependencies import Graph
from .errors import AccessError, DataJointError, MissingTableError
from .insertion import RowEncoder, rows_of
from .jobs import JobTable, Log
from .logging import logger
from .references import Context
from .service import log_event
from .settings import config
from .user_tables import Lookup, Part, UserTable, bind, parts_of, tier_of
from .utils import user_choice

_NAME = re.compile(r"(?!sqlite_)[^`./\\\x00-\x1f]{1,64}", re.IGNORECASE)
_Class = TypeVar("_Class", bound=type)


class Schema:
    """A schema; as a decorator, it declares the tables of classes.

    Parameters
    ----------
    schema_name : str, optional
        The name in the database; without one, :meth:`activate` gives it later.
    context : mapping, optional
        Where the names of other tables are looked up; what surrounds each class by default.
    connection : Connection, optional
        ``dj.conn()`` by default.
    create_schema : bool
        Whether to create the schema if it does not exist.
    create_tables : bool
        Whether to create the tables of classes if they do not exist.
    add_objects : mapping, optional
        More names for the context.

    Raises
    ------
    DataJointError
        When the schema does not exist and is not to be created.
    """

    def __init__(
        self,
        schema_name: str | None = None,
        context: Context | None = None,
        *,
        connection: Connection | None = None,
        create_schema: bool = True,
        create_tables: bool = True,
        add_objects: Context | None = None,
    ) -> None:
        self._connection = connection
        self.database: str | None = None
        self.context = context
        self._create_schema = create_schema
        self._create_tables = create_tables
        self._add_objects = add_objects
        self._deferred: list[tuple[type[UserTable], Context]] = []
        if schema_name is not None:
            self.activate(schema_name)

    def __repr__(self) -> str:
        return f"Schema `{self.database}`" if self.database else "Schema (not activated)"

    # -- activation -----------------------------------------------------------------------------

    def is_activated(self) -> bool:
        """Tell whether the schema is connected with one of the database."""
        return self.database is not None

    def activate(
        self,
        schema_name: str | None = None,
        *,
        connection: Connection | None = None,
        create_schema: bool | None = None,
        create_tables: bool | None = None,
        add_objects: Context | None = None,
    ) -> None:
        """Connect with a schema of the database, and declare the classes decorated before.

        Parameters are those of the class.

        Raises
        ------
        DataJointError
            When the schema is activated with another name, or does not exist and is not to be
            created.
        """
        if schema_name is None:
            if self.database is None:
                raise DataJointError("Give the name of the schema to activate")
            return
        if self.database is not None:
            if self.database != schema_name:
                raise DataJointError(
                    f"The schema is activated already, as `{self.database}`; it cannot become "
                    f"`{schema_name}`"
                )
            if connection is not None and connection is not self._connection:
                raise DataJointError(
                    f"The schema `{schema_name}` is activated already, on another connection"
                )
            return
        if not _NAME.fullmatch(str(schema_name)):
            raise DataJointError(
                f"{schema_name!r} is no valid name for a schema: it has up to 64 characters, "
                "without `.`, `/`, `\\`, backquotes and control characters, and does not begin "
                "with `sqlite_`"
            )
        self._connection = connection or self._connection or conn()
        self._create_schema = self._create_schema if create_schema is None else create_schema
        self._create_tables = self._create_tables if create_tables is None else create_tables
        self._add_objects = add_objects or self._add_objects
        if schema_name not in self.connection.list_schemas():
            if not self._create_schema:
                raise DataJointError(
                    f"Database named `{schema_name}` was not defined. Set argument "
                    "create_schema=True to create it."
                )
            self.connection.create_schema(schema_name)
            logger.debug("Created schema %s", schema_name)
            log_event(self.connection, schema_name, "created")
        self.database = schema_name
        self.connection.forget_catalog(schema_name)  # others may have changed it meanwhile
        self.connection.register(self)
        for class_, context in self._deferred:
            self._declare(class_, context)
        self._deferred.clear()

    @property
    def connection(self) -> Connection:
        """The connection of the schema."""
        if self._connection is None:
            raise DataJointError("The schema is not activated: call `schema.activate(name)` first")
        return self._connection

    def _name(self) -> str:
        if self.database is None:
            raise DataJointError("The schema is not activated: call `schema.activate(name)` first")
        return self.database

    # -- declaration ----------------------------------------------------------------------------

    def __call__(self, cls: _Class, *, context: Context | None = None) -> _Class:
        """Declare the table of a class, and those of its parts.

        Parameters
        ----------
        cls : class
            Derived from ``dj.Manual``, ``dj.Lookup``, ``dj.Imported`` or ``dj.Computed``.
        context : mapping, optional
            Where the names of other tables are looked up.

        Returns
        -------
        class
            The same.
        """
        if not (inspect.isclass(cls) and issubclass(cls, UserTable)):
            raise DataJointError(
                f"A schema decorates classes derived from dj.Manual, dj.Lookup, dj.Imported or "
                f"dj.Computed; {cls!r} is none"
            )
        if issubclass(cls, Part):
            raise DataJointError(
                f"The part table `{cls.__name__}` is declared with its master: decorate that only"
            )
        context = context or self.context or self._names_around(inspect.currentframe())
        if self.is_activated():
            self._declare(cls, context)
        else:
            self._deferred.append((cls, context))
        return cls

    def _names_around(self, frame: FrameType | None) -> dict[str, Any]:
        """Collect the names around the decorated class: its module's, then those nearer."""
        while frame is not None and frame.f_locals.get("self") is self:
            frame = frame.f_back  # past this class, and classes derived from it
        return {**frame.f_globals, **frame.f_locals} if frame is not None else {}

    def _declare(self, class_: type[UserTable], context: Context) -> None:
        bind(class_, self.connection, self._name())
        names = {**context, **(self._add_objects or {}), class_.__name__: class_, "self": class_}
        self._declare_table(class_, names)
        for part in parts_of(class_):
            self._declare_table(part, {**names, **vars(class_), "master": class_, "self": part})
        if issubclass(class_, Lookup):
            table = class_()
            if table.contents is not None:
                _fill(table, table.contents)

    def _declare_table(self, class_: type[UserTable], context: Context) -> None:
        class_.declaration_context = context
        table = class_()
        if table.is_declared:
            return
        if not self._create_tables:
            raise MissingTableError(
                f"Table {table.name} is not declared, and the schema was activated with "
                "create_tables=False"
            )
        table.declare(context)

    # -- the tables of the schema -------------------------------------------------------------

    def list_tables(self) -> list[str]:
        """List the names of the users' tables, parents first."""
        self.connection.forget_catalog(self._name())
        tables = self.connection.tables(self._name())
        specs = {spec.name.full: spec for name, spec in tables.items() if tier_of(name)}
        graph = Graph(specs)
        return [specs[full_name].name.table for full_name in graph.sorted(specs)]

    @property
    def jobs(self) -> JobTable:
        """The jobs of the schema (manual 9.5.1)."""
        jobs = JobTable(self.connection, self._name())
        with suppress(AccessError):  # whoever may only look finds none
            jobs.declare()
        return jobs

    @property
    def log(self) -> Log:
        """Who declared, deleted and dropped what in the schema, and when."""
        return Log(self.connection, self._name())

    @property
    def exists(self) -> bool:
        """Whether the schema exists in the database."""
        return self._name() in self.connection.list_schemas()

    @property
    def size_on_disk(self) -> int:
        """Bytes that the tables take in the database, with their indexes."""
        return sum(
            self.connection.size_on_disk(TableName(self._name(), name))
            for name in self.connection.tables(self._name())
        )

    def drop(self, force: bool = False) -> None:
        """Drop the schema with all its tables and data.

        Parameters
        ----------
        force : bool
            Do not ask, whatever the setting ``safemode`` says.

        Raises
        ------
        AccessError
            When tables of other schemas refer to tables of this one.
        """
        name = self._name()
        if not self.exists:
            logger.info("Schema `%s` does not exist: nothing to drop", name)
            return
        graph = self.connection.dependencies.load()
        own = {full for full, spec in graph.tables.items() if spec.name.schema == name}
        foreign = sorted({e.child for t in own for e in graph.edges_out(t)} - own)
        if foreign:
            raise AccessError(
                f"Schema `{name}` cannot be dropped while {', '.join(foreign)} refer to its tables"
            )
        if config["safemode"] and not force:
            print(f"About to drop the schema `{name}` with {len(own)} tables and all their data.")
            if user_choice("Proceed?", default="no") != "yes":
                print("Nothing was dropped.")
                return
        hidden = [t for t in self.connection.tables(name) if TableName(name, t).full not in own]
        tables = [graph.tables[full].name.table for full in reversed(graph.sorted(own))]
        for table in tables + hidden:
            self.connection.drop_table(TableName(name, table))
        self.connection.drop_schema(name)


def _fill(table: UserTable, contents: Any) -> None:
    """Insert the contents of a lookup table that it does not have yet."""
    rows = list(rows_of(contents))
    heading = table.heading
    if rows and any(attribute.autoincrement for attribute in heading.attributes.values()):
        raise DataJointError(
            f"{table.name}: `contents` cannot be used with an auto_increment attribute"
        )
    encoder = RowEncoder(table.spec, table.connection.dialect, ignore_extra_fields=False)
    encoded = [dict(zip(*encoder.encode(row, i), strict=True)) for i, row in enumerate(rows)]
    keys = {tuple(row.get(name) for name in heading.primary_key) for row in encoded}
    known = table & [dict(zip(heading.primary_key, key, strict=True)) for key in keys]
    if len(known) < len(keys):
        table.insert(rows, skip_duplicates=True)


def list_schemas(connection: Connection | None = None) -> list[str]:
    """List the schemas of the database that the user can see.

    Parameters
    ----------
    connection : Connection, optional
        ``dj.conn()`` by default.
    """
    return (connection or conn()).list_schemas()
