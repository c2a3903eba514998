"""Deletes: planned, shown, confirmed, and done in one transaction.

Manual 7.3.
"""

from __future__ import annotations

from contextlib import nullcontext

from .cascade import (
    Deletion,
    changed_meanwhile,
    execute_delete,
    own_condition,
    plan_delete,
    plan_text,
)
from .connection import Connection
from .declare import TableSpec
from .logging import logger
from .sql.algebra import Relation
from .utils import user_choice


def delete(
    connection: Connection,
    spec: TableSpec,
    relation: Relation,
    *,
    ask: bool,
    transaction: bool,
    force_parts: bool,
    force_masters: bool,
    dry_run: bool = False,
) -> int | dict[str, int]:
    """Delete entities and all that depend on them, after showing what that is.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
        The table.
    relation : Relation
        The table, restricted to the entities.
    ask : bool
        Whether to ask first.
    transaction : bool
        Whether to delete in a transaction, within one in progress or alone.
    force_parts : bool
        Allow to delete parts without their masters.
    force_masters : bool
        Delete the masters of deleted parts too.
    dry_run : bool
        Whether to tell only what would be deleted.

    Returns
    -------
    int or dict
        How many entities of the table itself were deleted; 0 when the user declined. In a dry run,
        full table name → number of rows, parents first.

    Raises
    ------
    DataJointError
        When parts would be deleted without their masters; nothing is deleted.
    """

    def make_plan() -> list[Deletion]:
        return plan_delete(
            connection,
            spec.name.full,
            own_condition(connection, spec, relation),
            force_parts=force_parts,
            force_masters=force_masters,
        )

    if dry_run:
        return {deletion.table: deletion.count for deletion in make_plan()}
    own_transaction = connection.atomic if transaction else nullcontext
    if not ask:
        with own_transaction():
            return _execute(connection, spec, make_plan(), all_or_nothing=transaction)
    plan = make_plan()
    if any(deletion.count for deletion in plan) and not _confirmed(plan):
        return 0
    with own_transaction():
        count = _execute(connection, spec, plan, all_or_nothing=transaction)
    if any(deletion.count for deletion in plan):
        print("Deleted.")
    return count


def _execute(
    connection: Connection, spec: TableSpec, plan: list[Deletion], *, all_or_nothing: bool
) -> int:
    """Delete what is planned, and count what is deleted of the table itself."""
    if not any(deletion.count for deletion in plan):
        logger.info("Nothing to delete from %s", spec.name)
        return 0
    done = execute_delete(connection, plan)
    if all_or_nothing and done != plan:
        raise changed_meanwhile()
    for deletion in done:
        logger.debug("Deleted %d rows of %s", deletion.count, deletion.table)
    return next(deletion.count for deletion in done if deletion.table == spec.name.full)


def _confirmed(plan: list[Deletion]) -> bool:
    """Show a plan, and ask whether to go on."""
    print(plan_text("About to delete:", [(d.table, d.count, d.note) for d in plan]))
    if user_choice("Proceed?", default="no") == "yes":
        return True
    print("Nothing was deleted.")
    return False
