"""Deletes: planned, shown, confirmed, and done in one transaction.

Manual 7.3.
"""

from __future__ import annotations

from .cascade import (
    Deletion,
    check_parts,
    execute_delete,
    own_condition,
    plan_delete,
    plan_text,
)
from .connection import Connection
from .declare import TableSpec
from .errors import DataJointError
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
) -> int:
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

    Returns
    -------
    int
        How many entities of the table itself were deleted; 0 when the user declined.

    Raises
    ------
    DataJointError
        When parts would be deleted without their masters; nothing is deleted.
    """

    def make_plan() -> list[Deletion]:
        condition = own_condition(connection, spec, relation)
        plan = plan_delete(connection, spec.name.full, condition, force_masters=force_masters)
        if not force_parts:
            check_parts(connection, plan)
        return plan

    plan = make_plan()
    count = next(deletion.count for deletion in plan if deletion.table == spec.name.full)
    if not any(deletion.count for deletion in plan):
        logger.info("Nothing to delete from %s", spec.name)
        return 0
    if ask and not _confirmed(plan):
        return 0
    if not transaction:
        execute_delete(connection, plan)
        return count
    with connection.atomic():
        if [(d.table, d.count) for d in make_plan()] != [(d.table, d.count) for d in plan]:
            raise DataJointError(
                "The data were changed by others meanwhile; nothing was deleted. "
                "Please look again and repeat the delete"
            )
        execute_delete(connection, plan)
    for deletion in plan:
        logger.debug("Deleted %d rows of %s", deletion.count, deletion.table)
    if ask:
        print("Deleted.")
    return count


def _confirmed(plan: list[Deletion]) -> bool:
    """Show a plan, and ask whether to go on."""
    print(plan_text("About to delete:", [(deletion.table, deletion.count) for deletion in plan]))
    if user_choice("Proceed?", default="no") == "yes":
        return True
    print("Nothing was deleted.")
    return False
