"""Dropping tables, alone or with their schema: the plan, the question, and doing it.

Manual 5.13.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext

from .cascade import count_rows, plan_text
from .connection import Connection
from .declare import TableName
from .errors import DataJointError, IntegrityError, MissingTableError
from .logging import logger
from .service import log_event
from .utils import get_master, user_choice


def check_outside(connection: Connection, what: str) -> None:
    """Refuse to drop anything while it could not be undone everywhere, or queries are cached."""
    connection.check_changeable(f"drop {what[0].lower()}{what[1:]}")
    if connection.in_transaction:
        raise DataJointError(
            f"{what} cannot be dropped inside a transaction: not every database could undo it. "
            "Drop before or after the transaction"
        )


def plan_drop(connection: Connection, table: str, *, allow_parts: bool = False) -> list[str]:
    """Plan the drop of a table and of all that depend on it.

    Parameters
    ----------
    connection : Connection
    table : str
        Full table name.
    allow_parts : bool
        Whether parts can be dropped without their masters.

    Returns
    -------
    list of str
        Full table names, parents first.

    Raises
    ------
    DataJointError
        When a part would be dropped without its master.
    """
    names = list(connection.dependencies.load().descendants(table))
    for name in names:
        master = get_master(name)
        if master and master not in names and not allow_parts:
            raise DataJointError(
                f"The part table {name} cannot be dropped without its master {master}; "
                "drop the master"
            )
    return names


def plan_drop_schema(connection: Connection, schema: str) -> list[str]:
    """Plan the drop of all tables of a schema.

    Returns
    -------
    list of str
        Full table names, parents first.

    Raises
    ------
    IntegrityError
        When tables of other schemas refer to them.
    """
    graph = connection.dependencies.load()
    own = {full for full, spec in graph.tables.items() if spec.name.schema == schema}
    foreign = sorted({edge.child for name in own for edge in graph.edges_out(name)} - own)
    if foreign:
        raise IntegrityError(
            f"Schema `{schema}` cannot be dropped while {', '.join(foreign)} refer to its tables",
            "Drop these tables first, with `drop` of their classes",
        )
    return list(graph.sorted(own))


def confirm_drop(connection: Connection, title: str, names: Iterable[str]) -> bool:
    """Show the tables that are to be dropped, with their numbers of rows, and ask."""
    tables = connection.dependencies.load(force=False).tables
    print(plan_text(title, [(name, count_rows(connection, tables[name]), "") for name in names]))
    if user_choice("Proceed?", default="no") == "yes":
        return True
    print("Nothing was dropped.")
    return False


def execute_drop(
    connection: Connection, names: Sequence[TableName], schema: str | None = None
) -> None:
    """Drop tables and then, if it is given, their schema: all or none, where that can be.

    Parameters
    ----------
    connection : Connection
    names : sequence of TableName
        Children first.
    schema : str, optional

    Raises
    ------
    DataJointError
        Names what was dropped already, where the database cannot undo it.
    """
    dropped: list[TableName] = []
    try:
        with connection.transaction if connection.undoes_drops else nullcontext():
            for name in names:
                connection.drop_table(name)
                dropped.append(name)
            if schema is not None:
                connection.drop_schema(schema)
    except DataJointError as error:
        if connection.undoes_drops or not dropped:
            raise
        _note(connection, dropped, schema)
        done = ", ".join(map(str, dropped))
        raise error.suggest(f"Dropped before it: {done}") from error.__cause__
    _note(connection, dropped, schema)


def _note(connection: Connection, names: Iterable[TableName], schema: str | None) -> None:
    """Log what was dropped; the log of a schema goes with it."""
    for name in names:
        logger.debug("Dropped %s", name)
        if name.schema != schema:
            log_event(connection, name.schema, f"DROP TABLE {name}")


def drop(connection: Connection, name: TableName, *, allow_parts: bool, ask: bool) -> None:
    """Drop a table and all that depend on it, after showing what that is if ``ask``."""
    _check_droppable(connection, name)
    names = plan_drop(connection, name.full, allow_parts=allow_parts)
    if ask and not confirm_drop(connection, "About to drop:", names):
        return
    tables = connection.dependencies.load(force=False).tables
    execute_drop(connection, [tables[table].name for table in reversed(names)])


def drop_alone(connection: Connection, name: TableName) -> None:
    """Drop a table, without asking, if no other refers to it."""
    _check_droppable(connection, name)
    children = [edge.child for edge in connection.dependencies.load().edges_out(name.full)]
    others = sorted(set(children) - {name.full})
    if others:
        raise IntegrityError(
            f"Table {name} cannot be dropped while {', '.join(others)} refer to it"
        )
    execute_drop(connection, [name])


def _check_droppable(connection: Connection, name: TableName) -> None:
    check_outside(connection, f"Table {name}")
    if not connection.is_declared(name):
        raise MissingTableError(f"Table {name} is not declared: nothing to drop")
