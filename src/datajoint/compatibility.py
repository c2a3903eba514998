"""Whether two queries can be matched by the attributes that have the same names.

Manual 8.5.3 and 8.13.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from .connection import Connection
from .declare import TableName, TableSpec
from .errors import DataJointError, MissingTableError
from .heading import Heading
from .lineage import Origins, are_homologous, lineage
from .settings import config
from .sql.algebra import Relation


class Operand(Protocol):
    """What is needed of a query expression to match it with another."""

    @property
    def connection(self) -> Connection: ...

    @property
    def heading(self) -> Heading: ...

    @property
    def relation(self) -> Relation: ...

    @property
    def _label(self) -> str: ...


def check_same_database(left: Operand, right: Operand) -> None:
    """Check that one statement can read the tables of both operands.

    Parameters
    ----------
    left, right : QueryExpression

    Raises
    ------
    DataJointError
        When their connections are to different databases, or are of different accounts.
    """
    one, other = left.connection, right.connection
    if one is not other and one.backend.identity != other.backend.identity:
        raise DataJointError(
            f"No statement reads both {left._label}, which is in {one.backend.description}, and "
            f"{right._label}, which is in {other.backend.description}. Fetch one of them, and "
            "restrict by what was fetched, or insert it"
        )


def check_join_compatible(left: Operand, right: Operand) -> None:
    """Check that the attributes in common say which entities of two queries match.

    None may be secondary in both. With ``dj.config['join_check'] = 'lineage'``, each must come from
    the same attribute of the same table, through foreign keys, in both.

    Parameters
    ----------
    left, right : QueryExpression

    Raises
    ------
    DataJointError
        Names the attributes and the projection that resolves the conflict.

    Notes
    -----
    Manual 8.5.3; the check of lineage: 8.13.1.
    """
    common = [name for name in left.heading.names if name in right.heading]
    keys = {*left.heading.primary_key, *right.heading.primary_key}
    secondary = [name for name in common if name not in keys]
    if secondary:
        one = len(secondary) == 1
        raise DataJointError(
            f"Cannot match {left._label} with {right._label} on {_quoted(secondary)}: "
            + ("it is a secondary attribute" if one else "they are secondary attributes")
            + f" of both. {_advice(secondary, left, right)}; {_UNCHECKED.format(_it(secondary))}"
        )
    faults = lineage_faults(left, right, common)
    if faults:
        raise DataJointError(
            f"Cannot match {left._label} with {right._label}: {'; '.join(faults.values())} "
            f"(setting `join_check`). {_advice(list(faults), left, right)}; "
            + _UNCHECKED.format(_it(faults))
        )


_UNCHECKED = "to match on {} all the same, use `@` instead of `*` and `^` instead of `&`"


def check_union_compatible(left: Operand, right: Operand) -> None:
    """Check that the keys of two queries that are united come from the same attributes.

    Only with ``dj.config['join_check'] = 'lineage'``.

    Raises
    ------
    DataJointError
        Says where each attribute comes from.

    Notes
    -----
    Manual 8.10.1.
    """
    faults = lineage_faults(left, right, left.heading.primary_key)
    if faults:
        raise DataJointError(
            f"Cannot unite {left._label} and {right._label}, which are of different kinds: "
            f"{'; '.join(faults.values())} (setting `join_check`). To unite them all the same, "
            f"make the right one a universal set, as in `dj.U({_key(right)}) & query`"
        )


def lineage_faults(left: Operand, right: Operand, names: Sequence[str]) -> dict[str, str]:
    """Say of each common attribute that has not the same origin where it comes from.

    Nothing is looked at unless the setting ``join_check`` asks for it.
    """
    if config["join_check"] != "lineage" or not names:
        return {}

    def lookup(name: TableName) -> TableSpec | None:
        try:
            return left.connection.table(name)
        except MissingTableError:  # for this user, who may not read it
            return None

    one, other = (lineage(operand.relation, names, lookup) for operand in (left, right))
    return {
        name: f"`{name}` comes from {_shown(one[name], name)} on the left and from "
        f"{_shown(other[name], name)} on the right"
        for name in names
        if not are_homologous(one[name], other[name])
    }


def _shown(origins: Origins, name: str) -> str:
    texts = (
        f"{origin.table}" if origin.attribute == name else f"`{origin.attribute}` of {origin.table}"
        for origin in origins or ()
    )
    return " and ".join(sorted(texts)) or "no table"


def _advice(names: Sequence[str], left: Operand, right: Operand) -> str:
    """Write the projections of the right operand that resolve a conflict."""
    taken = {*left.heading.names, *right.heading.names}
    renamed = ", ".join(f"{_new_name(name, taken)}='{name}'" for name in names)
    one = len(names) == 1
    advice = (
        f"If {'it means' if one else 'they mean'} different things, rename {_it(names)} on the "
        f"right, as in `.proj(..., {renamed})`"
    )
    if any(name in right.heading.primary_key for name in names):
        return advice
    without = ", ".join(f"'-{name}'" for name in names)
    return f"{advice}, or leave {_it(names)} out, as in `.proj(..., {without})`"


def _new_name(name: str, taken: set[str]) -> str:
    """Find a name for an attribute that is not taken, and take it."""
    new = f"other_{name}"
    while new in taken:
        new = f"other_{new}"
    taken.add(new)
    return new


def _key(operand: Operand) -> str:
    return ", ".join(map(repr, operand.heading.primary_key))


def _it(names: Iterable[str]) -> str:
    return "it" if len(list(names)) == 1 else "them"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
