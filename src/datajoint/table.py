"""Tables: query expressions that are stored, and can be changed.

Manual chapters 5 and 7.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from .altering import Plan, confirm_alter, execute_alter, plan_alter
from .attribute_adapter import adapt, adapter_in, require
from .changes import Changeable
from .connection import Connection
from .declare import TableName, TableSpec, resolve, with_timestamp
from .dependencies import Edge, Graph
from .describe import describe
from .dropping import drop, drop_alone
from .errors import DataJointError, MissingTableError
from .expression import QueryExpression
from .grammar import Reference, parse_definition
from .heading import Heading
from .logging import logger
from .references import Context, adapted_spec, class_names, find_table
from .service import log_event
from .settings import config
from .sql.algebra import Relation
from .trackers import declare_stores
from .types import Adapted
from .utils import split_full_table_name


class Table(Changeable):
    """A table of the database; restricted, it is still a table.

    Attributes
    ----------
    database : str
        The schema.
    definition : str
        How the table is declared.
    declaration_context : dict
        Where the names of other tables in the definition are looked up.
    """

    _table_name: str | None = None
    database: str | None = None
    declaration_context: Context | None = None

    @property
    def definition(self) -> str:
        raise NotImplementedError(
            f"The class `{type(self).__name__}` must have a `definition`: the text that declares "
            "its table"
        )

    # -- what the table is ----------------------------------------------------------------------

    @property
    def table_name(self) -> str:
        """The name of the table in its schema."""
        if self._table_name is None:
            raise DataJointError(f"The class `{type(self).__name__}` names no table")
        return self._table_name

    @property
    def name(self) -> TableName:
        """The name of the table with its schema."""
        if self.database is None or self._connection is None:
            raise DataJointError(
                f"The class `{type(self).__name__}` is not connected to a table yet: decorate it "
                "with a schema, as in `@schema`"
                + (", and activate the schema" if self.database is None else "")
            )
        return TableName(self.database, self.table_name)

    @property
    def class_name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def full_table_name(self) -> str:
        """`` `schema`.`table` ``."""
        return self.name.full

    @property
    def _label(self) -> str:
        return self.full_table_name

    @property
    def _quoted(self) -> str:
        return self.connection.dialect.table(self.name.schema, self.name.table)

    @property
    def spec(self) -> TableSpec:
        """All that the database knows about the table."""
        spec = self.connection.table(self.name)
        return adapted_spec(self.connection, spec, self.declaration_context or {})

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self.name  # noqa: B018 - raises the error that says why
        return super().connection

    @property
    def heading(self) -> Heading:
        """The attributes of the table."""
        return self.spec.heading

    @property
    def relation(self) -> Relation:
        return self.spec.relation if self._relation is None else self._relation

    @property
    def is_declared(self) -> bool:
        """Whether the table exists in the database."""
        return self.connection.is_declared(self.name)

    @property
    def size_on_disk(self) -> int:
        """Bytes that the table takes in the database, with its indexes."""
        return self.connection.size_on_disk(self.name)

    # -- declaration ----------------------------------------------------------------------------

    def declare(self, context: Context | None = None) -> None:
        """Create the table as its definition says, unless it exists.

        Parameters
        ----------
        context : mapping, optional
            Where the names of other tables are looked up.

        Raises
        ------
        DataJointError
            Points at the line of the definition that is wrong.
        """
        if self.connection.in_transaction:
            raise DataJointError(f"Table {self.name} cannot be declared inside a transaction")
        if len(self.table_name) > 64:
            raise DataJointError(f"The name of table {self.name} is longer than 64 characters")
        context = context if context is not None else self.declaration_context or {}
        self._create(self._defined(context, {}))

    def _create(self, spec: TableSpec) -> None:
        declare_stores(self.connection, spec)
        spec = self._with_hidden(spec)
        self.connection.create_table(
            with_timestamp(spec) if config["add_hidden_timestamp"] else spec
        )
        log_event(self.connection, self.name.schema, f"Declared {self.name}")

    def _with_hidden(self, spec: TableSpec) -> TableSpec:
        """Add the hidden attributes that the table is to have, whatever its definition says."""
        return spec

    def _defined(self, context: Context, altered: Mapping[TableName, TableSpec]) -> TableSpec:
        """Specify the table as its definition does, among tables that are about to be altered."""

        def adapt_type(type_: Adapted) -> Adapted:
            adapted = adapt(type_, partial(adapter_in, context))
            require(adapted)
            return adapted

        def lookup(reference: Reference) -> TableSpec | None:
            found = find_table(reference, context, self.connection, self.name)
            return None if found is None else altered.get(found.name, found)

        text: Any = self.definition
        text = text.lstrip() if isinstance(text, str) else text
        definition = parse_definition(text, type(self).__name__)
        spec = resolve(definition, self.name, lookup, adapt_type)
        for attribute in spec.heading.all_attributes:  # those of parents too
            if attribute.attribute_type is not None:
                require(attribute.attribute_type)
        self._check_declaration(spec)
        return spec

    def _check_declaration(self, spec: TableSpec) -> None:
        """Refuse what the tier of the table does not allow."""

    def alter(self, prompt: bool = True, context: Context | None = None) -> None:
        """Change the table in the database into what its definition says now.

        Attributes outside of the primary key are added, removed, retyped, moved, and renamed:
        where the comment of an attribute begins with ``{name}``, it is the attribute of that name
        under a new one. Comments, defaults, indexes and foreign keys outside of the primary key
        change too. A master is altered with its parts.

        Parameters
        ----------
        prompt : bool
            Whether to show first what changes, and to ask.
        context : mapping, optional
            Where the names of other tables are looked up first, before the names around the
            class and around the caller.

        Raises
        ------
        DataJointError
            When the primary key would change, or the entities do not fit what the definition
            says; nothing is altered.
        """
        if self._restriction:
            raise DataJointError("A restricted table cannot be altered; alter the table")
        if self.connection.in_transaction:
            raise DataJointError(f"Table {self.name} cannot be altered inside a transaction")
        self.connection.check_changeable(f"alter {self.name}")
        frame = inspect.currentframe()
        caller = frame.f_back if frame else None
        names = {**caller.f_globals, **caller.f_locals} if caller else {}
        self.connection.forget_catalog(self.name.schema)
        if not self.is_declared:
            raise MissingTableError(f"Table {self.name} is not declared: nothing to alter")
        plans, missing = self._plan_alter(names, context or {})
        if not plans and not missing:
            logger.info("Nothing to alter in %s", self.name)
            return
        if prompt and not confirm_alter(plans, [table.name for table, _ in missing]):
            return
        for plan in plans:
            declare_stores(self.connection, plan.alteration.new)
        execute_alter(self.connection, plans)
        for table, spec in missing:
            table._create(spec)
        if prompt:
            print("Altered.")

    def _plan_alter(
        self, around: Context, context: Context
    ) -> tuple[list[Plan], list[tuple[Table, TableSpec]]]:
        """Plan how the table and its parts are altered, and find the parts to declare."""
        plans: list[Plan] = []
        missing: list[tuple[Table, TableSpec]] = []
        altered: dict[TableName, TableSpec] = {}
        for table in self._with_parts():
            names = {**around, **(table.declaration_context or {}), **context}
            spec = table._defined(names, altered)
            if not table.is_declared:
                missing.append((table, spec))
            elif (plan := plan_alter(self.connection, table._with_hidden(spec))) is not None:
                plans.append(plan)
            altered[table.name] = spec
        return plans, missing

    def _with_parts(self) -> list[Table]:
        """List what is altered together."""
        return [self]

    def describe(self, context: Context | None = None, printout: bool = False) -> str:
        """Write the definition that the table was declared with.

        Parameters
        ----------
        context : mapping, optional
            Where classes are looked up that stand for the parents; the names around the caller by
            default.
        printout : bool
            Whether to print it too.

        Returns
        -------
        str
        """
        if context is None:
            frame = inspect.currentframe()
            caller = frame.f_back if frame else None
            context = {**caller.f_globals, **caller.f_locals} if caller else {}
        names = class_names(context)
        text = describe(
            self.spec, self.connection.table, lambda name: names.get(name.full, name.full)
        )
        if printout:
            logger.info("\n%s", text)
        return text

    # -- the table among others -----------------------------------------------------------------

    @property
    def _graph(self) -> Graph:
        """The graph of foreign keys, with the schema of this table in it."""
        self.connection.tables(self.name.schema)
        return self.connection.dependencies.load(force=False)

    def parents(
        self,
        primary: bool | None = None,
        as_objects: bool = False,
        foreign_key_info: bool = False,
    ) -> list[Any]:
        """List the tables that this table refers to.

        Parameters
        ----------
        primary : bool, optional
            True: only through foreign keys in the primary key; False: only through others.
        as_objects : bool
            Give tables instead of their full names.
        foreign_key_info : bool
            Give pairs of the table and a dict about the foreign key.
        """
        edges = self._graph.edges_in(self.full_table_name, primary)
        return self._neighbours([(e.parent, e) for e in edges], as_objects, foreign_key_info)

    def children(
        self,
        primary: bool | None = None,
        as_objects: bool = False,
        foreign_key_info: bool = False,
    ) -> list[Any]:
        """List the tables that refer to this table; see :meth:`parents`."""
        edges = self._graph.edges_out(self.full_table_name, primary)
        return self._neighbours([(e.child, e) for e in edges], as_objects, foreign_key_info)

    def _neighbours(
        self, neighbours: list[tuple[str, Edge]], as_objects: bool, foreign_key_info: bool
    ) -> list[Any]:
        listed: list[Any] = self._as_listed([name for name, _ in neighbours], as_objects)
        if not foreign_key_info:
            return listed
        return [(table, edge.info) for table, (_, edge) in zip(listed, neighbours, strict=True)]

    def ancestors(self, as_objects: bool = False) -> list[Any]:
        """List all tables that this table depends on, and itself, parents first."""
        return self._as_listed(self._graph.ancestors(self.full_table_name), as_objects)

    def descendants(self, as_objects: bool = False) -> list[Any]:
        """List this table and all that depend on it, parents first."""
        return self._as_listed(self._graph.descendants(self.full_table_name), as_objects)

    def parts(self, as_objects: bool = False) -> list[Any]:
        """List the part tables of this table."""
        return self._as_listed(self._graph.parts(self.full_table_name), as_objects)

    def _as_listed(self, names: list[str], as_objects: bool) -> list[Any]:
        return [FreeTable(self.connection, n) for n in names] if as_objects else list(names)

    # -- drop -----------------------------------------------------------------------------------

    def drop(self) -> None:
        """Drop the table and all that depend on it, after showing what that is.

        Raises
        ------
        DataJointError
            When a part would be dropped without its master.

        Notes
        -----
        Manual 5.13.
        """
        if self._restriction:
            raise DataJointError(
                "A restricted table cannot be dropped; drop the table, or delete the entities"
            )
        self._drop(allow_parts=False)

    def _drop(self, *, allow_parts: bool) -> None:
        drop(self.connection, self.name, allow_parts=allow_parts, ask=config["safemode"])

    def drop_quick(self) -> None:
        """Drop the table without asking and without what depends on it.

        Raises
        ------
        IntegrityError
            When other tables refer to it.
        """
        drop_alone(self.connection, self.name)


class FreeTable(Table):
    """A table of the database without a class of its own.

    Parameters
    ----------
    connection : Connection
    full_table_name : str
        `` `schema`.`table` ``
    """

    def __init__(self, connection: Connection, full_table_name: str) -> None:
        self.database, self._table_name = split_full_table_name(full_table_name)
        self._connection = connection

    @property
    def definition(self) -> str:
        return self.describe({})

    def alter(self, prompt: bool = True, context: Context | None = None) -> None:
        """Refuse: only a class says what its table is to become."""
        raise DataJointError(
            f"{self.name} has no definition to be altered to here: call `alter` of its class"
        )


def lookup_class_name(name: str, context: Context, depth: int = 3) -> str | None:
    """Find what a table is called in a context.

    Parameters
    ----------
    name : str
        Full table name.
    context : mapping
        Names and values, such as ``globals()``; modules with a ``schema`` are searched too.
    depth : int
        Kept for existing code.

    Returns
    -------
    str or None
        Such as ``Session`` or ``module.Session.Trial``; None when it has no class there.
    """
    return class_names(context).get(name)


__all__ = ["FreeTable", "QueryExpression", "Table", "lookup_class_name"]
