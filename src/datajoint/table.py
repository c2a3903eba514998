"""Tables: query expressions that are stored, and can be changed.

Manual chapters 5 and 7.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

from .altering import Plan, confirm_alter, execute_alter, plan_alter
from .attribute_adapter import adapt, adapter_in, require
from .cascade import delete_rows, own_condition
from .condition import Top, as_expression
from .connection import Connection
from .declare import TableName, TableSpec, resolve, with_timestamp
from .deleting import delete
from .dependencies import Edge, Graph
from .describe import describe
from .dropping import drop, drop_alone
from .errors import DataJointError, MissingTableError
from .expression import QueryExpression
from .external import declare_stores
from .grammar import Reference, parse_definition
from .heading import Heading
from .inserting import CHUNK, insert, insert_query
from .logging import logger
from .references import Context, adapted_spec, class_names, find_table
from .service import log_event
from .settings import config
from .sql.algebra import Relation
from .types import Adapted
from .updating import update_one
from .utils import split_full_table_name
from .validation import Validation, validate


class Table(QueryExpression):
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
    #: Whether the table may be inserted into outside of ``make``.
    _allow_insert = True

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
    def full_table_name(self) -> str:
        """`` `schema`.`table` ``."""
        return self.name.full

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
        self.connection.create_table(
            with_timestamp(spec) if config["add_hidden_timestamp"] else spec
        )
        log_event(self.connection, self.name.schema, f"Declared {self.name}")

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
            elif (plan := plan_alter(self.connection, spec)) is not None:
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
        return [
            (
                table,
                {
                    "primary": edge.primary,
                    "attr_map": edge.attr_map,
                    "aliased": edge.aliased,
                    "multi": edge.multi,
                },
            )
            for table, (_, edge) in zip(listed, neighbours, strict=True)
        ]

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

    # -- insert ---------------------------------------------------------------------------------

    def insert1(self, row: Any, **kwargs: Any) -> None:
        """Insert one entity.

        Parameters
        ----------
        row : mapping, record or sequence
            A sequence has a value for each attribute, in the order of the heading.
        **kwargs
            As for :meth:`insert`.
        """
        self.insert((row,), **kwargs)

    def insert(
        self,
        rows: Any,
        replace: bool = False,
        skip_duplicates: bool = False,
        ignore_extra_fields: bool = False,
        allow_direct_insert: bool | None = None,
        *,
        chunk_size: int = CHUNK,
        progress: bool = False,
    ) -> None:
        """Insert entities, all of them or none.

        Parameters
        ----------
        rows
            An iterable of mappings, records or sequences; a structured array; a data frame of
            pandas or polars, or a table of Arrow; the ``pathlib.Path`` of a CSV file with a
            header; or a query, whose result is inserted without leaving the database.
        replace : bool
            Replace entities whose primary keys exist; what refers to them stays.
        skip_duplicates : bool
            Pass over entities whose primary keys exist.
        ignore_extra_fields : bool
            Pass over fields that are no attributes instead of refusing them.
        allow_direct_insert : bool, optional
            Allow inserts into an auto-populated table outside of its ``make``.
        chunk_size : int
            How many rows are taken from ``rows`` and sent at once; no more are held. Without
            effect on the insert of a query.
        progress : bool
            Whether to show a progress bar; without effect on the insert of a query.

        Raises
        ------
        DataJointError
            Names the row, the attribute and the value that are refused; nothing is inserted.

        Notes
        -----
        Manual 7.2.
        """
        if not (self._allow_insert or allow_direct_insert):
            raise DataJointError(
                f"Entities are inserted into the auto-populated table {self.name} by its `make` "
                "when it is populated. To insert them directly, set allow_direct_insert=True"
            )
        mode = _mode(replace, skip_duplicates, chunk_size)
        rows = as_expression(rows)
        if isinstance(rows, QueryExpression):
            insert_query(self.connection, self.spec, rows, mode, ignore_extra_fields)
            return
        insert(self.connection, self.spec, rows, mode, ignore_extra_fields, chunk_size, progress)

    def validate(
        self,
        rows: Any,
        ignore_extra_fields: bool = False,
        *,
        replace: bool = False,
        skip_duplicates: bool = False,
        chunk_size: int = CHUNK,
    ) -> Validation:
        """Find all that :meth:`insert` would refuse of some rows, without inserting any.

        Every attribute of every row is checked; then, for rows whose values are right, whether
        keys are given twice or exist, and whether the parents exist. Whether a path into a
        document is unique, only the insert itself finds out.

        Parameters
        ----------
        rows, ignore_extra_fields, replace, skip_duplicates, chunk_size
            As for :meth:`insert`; a query is fetched.

        Returns
        -------
        Validation
            True when the insert can be expected to succeed. ``errors`` tells the row, the
            attributes, the value and the reason of each error; as a text, it is a summary.

        Notes
        -----
        Manual 7.2.
        """
        mode = _mode(replace, skip_duplicates, chunk_size)
        rows = as_expression(rows)
        return validate(self.connection, self.spec, rows, mode, ignore_extra_fields, chunk_size)

    # -- update ---------------------------------------------------------------------------------

    def update1(self, row: Mapping[str, Any]) -> None:
        """Update one entity that exists.

        Parameters
        ----------
        row : mapping
            The primary key, and new values of secondary attributes; None resets to the default.

        Raises
        ------
        DataJointError
            When the primary key is incomplete, or no such entity exists.

        Notes
        -----
        Manual 7.4: to correct mistakes, not as a part of regular work.
        """
        if not isinstance(row, Mapping):
            raise DataJointError("`update1` takes a mapping of attributes to values")
        if self._restriction:
            raise DataJointError("`update1` cannot be applied to a restricted table")
        update_one(self.connection, self.spec, row)

    def _update(self, attribute: str, value: Any = None) -> None:
        """Update an attribute of the only entity; deprecated, kept for existing code.

        Parameters
        ----------
        attribute : str
            A secondary attribute.
        value : optional
            None resets to the default.

        Raises
        ------
        DataJointError
            When the restricted table has another number of entities than one.
        """
        warnings.warn(
            "`_update` is deprecated: use `update1`, with the primary key and the new value",
            DeprecationWarning,
            stacklevel=2,
        )
        heading = self.heading
        if attribute not in heading:
            raise heading.unknown(attribute, f" of {self.name}")
        if heading[attribute].in_key:
            raise DataJointError(
                f"Attribute `{attribute}` of {self.name} is in the primary key, which cannot be "
                "updated: insert another entity, and delete this one"
            )
        keys = (self & Top(2)).fetch("KEY")
        if len(keys) != 1:
            raise DataJointError(
                f"`_update` needs a restricted table with exactly one entity; {self.name} has "
                f"{len(self)} here"
            )
        update_one(self.connection, self.spec, {**keys[0], attribute: value})

    # -- delete ---------------------------------------------------------------------------------

    def delete(
        self,
        transaction: bool = True,
        safemode: bool | None = None,
        force_parts: bool = False,
        force_masters: bool = False,
        *,
        dry_run: bool = False,
    ) -> int | dict[str, int]:
        """Delete the entities and all that depend on them, after showing what that is.

        Parameters
        ----------
        transaction : bool
            Whether to delete in a transaction of its own; False inside one of the user's.
        safemode : bool, optional
            Whether to ask first: setting ``safemode``.
        force_parts : bool
            Allow to delete parts without their masters.
        force_masters : bool
            Delete the masters of deleted parts too.
        dry_run : bool
            Tell only what would be deleted: nothing is asked or changed.

        Returns
        -------
        int or dict
            How many entities of this table were deleted; 0 when the user declined. In a dry run,
            the number of entities of each table, by full table name, parents first.

        Raises
        ------
        DataJointError
            When parts would be deleted without their masters; nothing is deleted.

        Notes
        -----
        Manual 7.3.
        """
        if safemode is None:
            safemode = config["safemode"]
        return delete(
            self.connection,
            self.spec,
            self.relation,
            ask=safemode,
            transaction=transaction,
            force_parts=force_parts,
            force_masters=force_masters,
            dry_run=dry_run,
        )

    def delete_quick(self, get_count: bool = False) -> int | None:
        """Delete the entities without asking and without what depends on them.

        Parameters
        ----------
        get_count : bool
            Whether to return how many entities were deleted.

        Raises
        ------
        IntegrityError
            When other tables refer to them; nothing is deleted.
        """
        count = delete_rows(
            self.connection, self.spec, own_condition(self.connection, self.spec, self.relation)
        )
        return count if get_count else None

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


def _mode(replace: bool, skip_duplicates: bool, chunk_size: Any) -> str:
    """Check the options of an insert, and say what happens when the primary key exists."""
    if replace and skip_duplicates:
        raise DataJointError("`replace` and `skip_duplicates` exclude each other")
    if not isinstance(chunk_size, int) or chunk_size < 1:
        raise DataJointError(f"`chunk_size` is a number of rows, from 1, not {chunk_size!r}")
    return "replace" if replace else "skip" if skip_duplicates else "insert"


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


__all__ = ["FreeTable", "Table"]
