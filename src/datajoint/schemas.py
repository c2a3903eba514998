"""Schemas: named collections of tables, and the decorator that declares the classes of one.

Manual 5.1 and 5.2.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import suppress
from functools import partial
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from .autopopulate import AutoPopulate
from .classes import spawn_classes
from .connection import Connection, conn
from .declare import TableName
from .dropping import check_outside, confirm_drop, execute_drop, plan_drop_schema
from .errors import AccessError, ConflictError, DataJointError, MissingTableError
from .expression import QueryExpression
from .external import ExternalMapping
from .insertion import RowEncoder, rows_of
from .jobs import JobTable, Log
from .logging import logger
from .progressing import Unclassed, progress_frame
from .references import Context, Names, adapted_spec, parts_of
from .service import log_event
from .settings import config
from .source import write_python, write_stubs
from .sql import algebra
from .sql.select import Writer
from .user_tables import Lookup, Part, TableMeta, UserTable, bind, tier_of
from .utils import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"(?!sqlite_)[^`./\\\x00-\x1f]{1,64}", re.IGNORECASE)
#: How often contents are inserted while others insert the same.
_ATTEMPTS = 10
_Class = TypeVar("_Class", bound=type)
#: How a schema is saved.
_WRITERS = {"python": write_python, "stubs": write_stubs}


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
        #: The classes that were decorated, by the names of their tables.
        self._classes: dict[str, type[UserTable]] = {}
        if schema_name is not None:
            self.activate(schema_name)

    def __repr__(self) -> str:
        return f"Schema `{self.database}`" if self.database else "Schema (not activated)"

    def __reduce__(self) -> Any:
        """Travel to other processes as a name and a connection."""
        if self._connection is None or self.database is None:
            return Schema, ()
        return _arrive, (self._connection, self.database)

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

        Parameters are those of the class. Done again, it declares the classes that could not be
        declared before, and creates the schema anew if it was dropped.

        Raises
        ------
        DataJointError
            When the name is no valid one or that of a schema of the database itself, when the
            schema is activated with another name, or does not exist and is not to be created.
        """
        schema_name = self.database if schema_name is None else schema_name
        if schema_name is None:
            raise DataJointError("Give the name of the schema to activate")
        _check_name(schema_name)
        if self.database not in (None, schema_name):
            raise DataJointError(
                f"The schema is activated already, as `{self.database}`; it cannot become "
                f"`{schema_name}`"
            )
        if self.database is not None and connection not in (None, self._connection):
            raise DataJointError(
                f"The schema `{schema_name}` is activated already, on another connection"
            )
        self._connection = connection or self._connection or conn()
        if self.connection.backend.is_reserved(schema_name):
            raise DataJointError(
                f"`{schema_name}` belongs to the database itself and cannot be a schema with "
                "tables of yours: choose another name"
            )
        self._create_schema = self._create_schema if create_schema is None else create_schema
        self._create_tables = self._create_tables if create_tables is None else create_tables
        self._add_objects = {**(self._add_objects or {}), **(add_objects or {})}
        self._open(schema_name)
        while self._deferred:  # a class that fails stays, for the next time
            self._declare(*self._deferred[0])
            del self._deferred[0]

    def _open(self, name: str) -> None:
        """Connect with a schema of the database, which is created if it is not there."""
        if name not in self.connection.list_schemas():
            if not self._create_schema:
                raise DataJointError(
                    f"Database named `{name}` was not defined. Set argument "
                    "create_schema=True to create it."
                )
            self.connection.create_schema(name)
            logger.debug("Created schema %s", name)
            log_event(self.connection, name, "created")
        self.database = name
        self.connection.forget_catalog(name)  # others may have changed it meanwhile
        self.connection.register(self)

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
        context = context or self.context or _names_in(self._caller(inspect.currentframe()))
        if self.is_activated():
            self._declare(cls, context)
        else:
            self._deferred.append((cls, context))
        return cls

    def _caller(self, frame: FrameType | None) -> FrameType | None:
        """Find who called a method of this class, or of classes derived from it."""
        while frame is not None and frame.f_locals.get("self") is self:
            frame = frame.f_back
        return frame

    def _declare(self, class_: type[UserTable], context: Context) -> None:
        bind(class_, self.connection, self._name())
        self._classes[class_().table_name] = class_
        names = {**context, **(self._add_objects or {}), class_.__name__: class_, "self": class_}
        self._declare_table(class_, names)
        for part in parts_of(class_).values():
            self._declare_table(part, {**names, **vars(class_), "master": class_, "self": part})
        if issubclass(class_, Lookup):
            table = class_()
            if table.contents is not None:
                _fill(table, table.contents)

    def _declare_table(self, class_: type[UserTable], context: Context) -> None:
        class_.declaration_context = Names(context)
        table = class_()
        if not table.is_declared:
            self._declare_missing(table, context)
        # The tables that refer to it, which may not know its adapters, find them noted.
        adapted_spec(self.connection, self.connection.table(table.name), context)

    def _declare_missing(self, table: UserTable, context: Context) -> None:
        if not self._create_tables:
            raise MissingTableError(
                f"Table {table.name} is not declared, and the schema was activated with "
                "create_tables=False: activate it with create_tables=True to declare tables"
            )
        if self._name() not in self.connection.schemas:  # it was dropped meanwhile
            self._open(self._name())
        table.declare(context)

    # -- the tables of the schema -------------------------------------------------------------

    def list_tables(self) -> list[str]:
        """List the names of the users' tables, parents first."""
        return [table for table in self._sorted_tables() if tier_of(table)]

    def _sorted_tables(self) -> list[str]:
        """Name all tables, but for those of DataJoint itself, parents first.

        A parent may be one by way of tables in other schemas.
        """
        name = self._name()
        self.connection.forget_catalog(name)
        graph = self.connection.dependencies.load()
        sorted_names = (graph.tables[full].name for full in graph.sorted(graph.tables))
        return [table.table for table in sorted_names if table.schema == name]

    # -- classes for existing tables ----------------------------------------------------------

    def spawn_missing_classes(self, context: MutableMapping[str, Any] | None = None) -> None:
        """Make classes for the tables of the schema that have none.

        Parts become attributes of the classes of their masters. A table without a class that
        could be made is named in the log.

        Parameters
        ----------
        context : dict, optional
            Where the classes are put, and where they may be already: ``globals()``, for example.
            By default, the context of the schema, or else the namespace of the caller. A function
            cannot be given new variables: in one, give a context or use :class:`VirtualModule`.

        Notes
        -----
        Manual 6.1.2.
        """
        name = self._name()
        around: Context = {}
        if context is None and isinstance(self.context, MutableMapping):
            context = self.context
        elif context is None:
            frame = self._caller(inspect.currentframe())
            if frame is None:
                raise DataJointError("Give the `context` that the classes are put into")
            if frame.f_code.co_flags & inspect.CO_OPTIMIZED:
                logger.warning(
                    "Classes of schema `%s` do not become variables of the function `%s`: give "
                    "the context to put them into, or use dj.VirtualModule",
                    name,
                    frame.f_code.co_name,
                )
            context, around = frame.f_locals, frame.f_globals
        self.connection.forget_catalog(name)  # others may have declared tables meanwhile
        tables = [table for table in self.connection.tables(name) if not table.startswith("~")]
        spawn_classes(self.connection, name, tables, context, around)

    @property
    def code(self) -> str:
        """Python source that declares the tables of the schema; see :meth:`save`."""
        return write_python(self.connection, self._name(), self._sorted_tables())

    def save(
        self, python_filename: str | os.PathLike[str] | None = None, format: str = "python"
    ) -> str | None:
        """Write source for the schema as it is in the database.

        Parameters
        ----------
        python_filename : path, optional
            The file to write; replaced if it exists.
        format : {"python", "stubs"}
            ``python`` declares the tables, and can be run. ``stubs`` (a ``.pyi`` file) tells
            editors and type checkers the tables of a virtual module and their attributes.

        Returns
        -------
        str or None
            The source, if no file is given.

        Raises
        ------
        DataJointError
            When the file cannot be written.
        """
        if format not in _WRITERS:
            raise DataJointError(f"`format` is one of {', '.join(_WRITERS)}, not {format!r}")
        text = _WRITERS[format](self.connection, self._name(), self._sorted_tables())
        if python_filename is None:
            return text
        try:
            with open(python_filename, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as error:
            path = os.path.abspath(python_filename)
            raise DataJointError(f"Cannot write {path}: {error.strerror or error}") from error
        return None

    @property
    def jobs(self) -> JobTable:
        """The jobs of the schema (manual 9.5.1)."""
        jobs = JobTable(self.connection, self._name())
        with suppress(AccessError):  # whoever may only look finds none
            jobs.declare()
        return jobs

    def progress(self) -> pd.DataFrame:
        """Show how far the computed and imported tables are populated; see :func:`progress`."""
        return progress_frame(self._populated())

    def _populated(self) -> list[Any]:
        """List the tables that are populated, with their classes so far as these are known."""
        name = self._name()
        self.connection.forget_catalog(name)
        populated = (
            table
            for table in self.connection.tables(name)
            if (tier := tier_of(table)) is not None and issubclass(tier, AutoPopulate)
        )
        return [
            self._classes[table]()
            if table in self._classes
            else Unclassed(self.connection, TableName(name, table))
            for table in populated
        ]

    @property
    def external(self) -> ExternalMapping:
        """What the schema keeps in stores, by the name of the store (manual 2.5)."""
        return ExternalMapping(self.connection, self._name())

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
        IntegrityError
            When tables of other schemas refer to tables of this one.
        DataJointError
            Inside a transaction.
        """
        name, connection = self._name(), self.connection
        check_outside(connection, f"Schema `{name}`")
        if not self.exists:
            logger.info("Schema `%s` does not exist: nothing to drop", name)
            return
        full_names = plan_drop_schema(connection, name)
        title = f"About to drop the schema `{name}`:"
        if config["safemode"] and not force and not confirm_drop(connection, title, full_names):
            return
        graph = connection.dependencies.load(force=False)
        tables = [graph.tables[full].name for full in reversed(full_names)]
        others = (TableName(name, table) for table in connection.tables(name))
        hidden = [other for other in others if other not in tables]
        stores = [store for store, table in self.external.items() if table]
        execute_drop(connection, [*tables, *hidden], name)
        if stores:
            logger.info(
                "The objects of the dropped schema `%s` stay in its folder `%s` in the stores %s. "
                "To remove them with a schema, delete its entities and call "
                "`dj.gc(schema, dry_run=False, grace=0)` before it is dropped",
                name,
                name,
                ", ".join(f"`{store}`" for store in stores),
            )


def _arrive(connection: Connection, name: str) -> Schema:
    """Find the schema that another process has sent, or take it as it is there."""
    schema: Schema | None = connection.schemas.get(name)
    if schema is None:
        schema = Schema()
        schema._connection, schema.database = connection, name
        connection.register(schema)
    connection.forget_catalog(name)
    return schema


def _check_name(name: object) -> None:
    """Refuse what cannot be the name of a schema."""
    if not isinstance(name, str):
        raise DataJointError(
            f"The name of a schema is a string, not {name!r} of type {type(name).__name__}"
        )
    if not _NAME.fullmatch(name):
        raise DataJointError(
            f"{name!r} is no valid name for a schema: it has up to 64 characters, without `.`, "
            "`/`, `\\`, backquotes and control characters, and does not begin with `sqlite_`"
        )


def _names_in(frame: FrameType | None) -> dict[str, Any]:
    """Collect the names that code can use: those of its module, then those nearer."""
    return {**frame.f_globals, **frame.f_locals} if frame is not None else {}


class VirtualModule(ModuleType):
    """A module with the classes of a schema, made from the database.

    The schema is the attribute ``schema``.

    Parameters
    ----------
    module_name : str
        How the module is shown.
    schema_name : str
        The name in the database.
    create_schema, create_tables : bool
        Whether the schema is created if it does not exist, and whether its decorator creates
        tables.
    connection : Connection, optional
        ``dj.conn()`` by default.
    add_objects : mapping, optional
        More attributes of the module.

    Raises
    ------
    DataJointError
        When the schema does not exist and is not to be created.

    Notes
    -----
    Manual 6.1.3.
    """

    schema: Schema

    def __init__(
        self,
        module_name: str,
        schema_name: str,
        *,
        create_schema: bool = False,
        create_tables: bool = False,
        connection: Connection | None = None,
        add_objects: Context | None = None,
    ) -> None:
        super().__init__(module_name, f"The tables of the schema `{schema_name}`.")
        vars(self).update(add_objects or {})
        self.__added__ = dict(add_objects or {})
        self.schema = Schema(
            schema_name,
            connection=connection,
            create_schema=create_schema,
            create_tables=create_tables,
        )
        self.schema.spawn_missing_classes(vars(self))

    def __reduce__(self) -> Any:
        """Travel to other processes by name; they make the classes anew."""
        make = partial(VirtualModule, connection=self.schema.connection, add_objects=self.__added__)
        return make, (self.__name__, self.schema.database)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"The virtual module `{self.__name__}` has no table class `{name}`"
            f"{did_you_mean(name, vars(self))}"
        )


create_virtual_module = VirtualModule


def _fill(table: UserTable, contents: Any) -> None:
    """Insert the contents of a lookup table that it does not have yet."""
    if table.connection.is_caching:  # nothing can be inserted
        return
    rows = list(rows_of(contents))
    heading = table.heading
    if rows and any(attribute.autoincrement for attribute in heading.attributes.values()):
        raise DataJointError(
            f"{table.name}: `contents` cannot be used with an auto_increment attribute"
        )
    encoder = RowEncoder(table.spec, table.connection.dialect, ignore_extra_fields=False)
    # Nothing but keys: large values take their time, and attached files may be gone by now.
    encoded = [dict(zip(*encoder.encode_key(row, i), strict=True)) for i, row in enumerate(rows)]
    names = tuple(heading.primary_key)
    keys = tuple({tuple(row.get(name) for name in names) for row in encoded})
    if not keys:
        return
    types = heading.types_of(names)
    known = algebra.OneOf(names, keys, types) if names else algebra.Constant(True)
    relation = algebra.Restriction(table.spec.relation, known)
    ((count,),) = table.connection.rows(Writer(table.connection.dialect).count(relation))
    if count < len(keys):
        _insert_missing(table, rows)


def _insert_missing(table: UserTable, rows: list[Any]) -> None:
    """Insert what is not there; others may insert the same at this time."""
    for attempt in range(_ATTEMPTS):
        try:
            table.insert(rows, skip_duplicates=True)
            return
        except ConflictError:
            if attempt == _ATTEMPTS - 1 or table.connection.in_transaction:
                raise


def list_schemas(connection: Connection | None = None) -> list[str]:
    """List the schemas of the database that the user can see.

    Parameters
    ----------
    connection : Connection, optional
        ``dj.conn()`` by default.
    """
    return (connection or conn()).list_schemas()


def progress(*pipelines: Any) -> pd.DataFrame:
    """Show how far the computed and imported tables of a pipeline are populated.

    Parameters
    ----------
    *pipelines
        Schemas, modules with schemas, classes of tables, and lists of these; all that are
        activated on ``dj.conn()`` by default.

    Returns
    -------
    pandas.DataFrame
        Indexed by table, parents first. Of the keys of its key source, a table has made those that
        are ``done``; others are ``reserved`` by a worker, in ``error`` or ``ignored``, as the jobs
        say, and the rest is ``left``.

    Raises
    ------
    DataJointError
        When something given is none of these.

    Notes
    -----
    Manual 9.1.4. Of tables without classes here, the keys are those of their primary foreign keys.
    """
    given = pipelines or (list(conn().schemas.values()),)
    tables: dict[tuple[int, str], Any] = {}
    for table in _populated_in(given):
        tables.setdefault((id(table.connection), table.name.full), table)
    return progress_frame(tables.values())


def _populated_in(given: Any) -> Iterator[Any]:
    """Find the tables that are populated in schemas, modules, classes and lists of these."""
    if isinstance(given, Schema):
        yield from given._populated()
    elif isinstance(given, ModuleType):
        found = [value for value in vars(given).values() if isinstance(value, Schema)]
        if not found:
            raise DataJointError(f"The module `{given.__name__}` has no schema")
        yield from _populated_in([schema for schema in found if schema.is_activated()])
    elif isinstance(given, AutoPopulate):
        yield given
    elif isinstance(given, type) and issubclass(given, AutoPopulate):
        yield given()
    elif isinstance(given, Iterable) and not isinstance(given, (str, QueryExpression, TableMeta)):
        for each in given:
            yield from _populated_in(each)
    else:
        raise DataJointError(
            "Progress is shown of schemas, of modules with schemas, of computed and imported "
            f"tables, and of lists of these; {given!r} is none of them"
            + (f": give dj.Schema({given!r})" if isinstance(given, str) else "")
        )
