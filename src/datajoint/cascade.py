"""Plans of deletes, made from the graph of foreign keys before anything is touched.

Manual 7.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from .connection import Connection
from .declare import ForeignKey, TableSpec
from .dependencies import Edge, Graph
from .errors import DataJointError, IntegrityError
from .service import log_event
from .sql import algebra
from .sql.algebra import Condition, Relation
from .sql.select import Writer
from .sql.statements import delete, update
from .utils import get_master


@dataclass(frozen=True)
class Deletion:
    """The rows of one table that are deleted."""

    table: str
    condition: Condition
    count: int


def key_condition(connection: Connection, spec: TableSpec, relation: Relation) -> Condition:
    """Name the entities of a relation by their primary keys, as they are now."""
    key = tuple(spec.heading.primary_key)
    rows = tuple(connection.rows(Writer(connection.dialect).select(relation, key)))
    if not key:
        return algebra.Constant(bool(rows))
    return algebra.OneOf(key, rows)


def own_condition(connection: Connection, spec: TableSpec, relation: Relation) -> Condition:
    """Say which rows of a table are selected, in terms of the attributes of the table alone.

    Where the restriction depends on other tables or on positions, the rows are named by their
    keys: their children are deleted before them, which would change what it means.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
    relation : Relation
        The table, restricted.
    """
    conditions = []
    source = relation
    while isinstance(source, algebra.Restriction):
        conditions.append(source.condition)
        source = source.source
    if not isinstance(source, algebra.Stored) or any(map(algebra.refers_to_relations, conditions)):
        return key_condition(connection, spec, relation)
    return algebra.AllOf(tuple(reversed(conditions)))


def plan_delete(
    connection: Connection, table: str, condition: Condition, *, force_masters: bool = False
) -> list[Deletion]:
    """Plan the delete of some rows of a table and of all that depend on them.

    Parameters
    ----------
    connection : Connection
    table : str
        Full table name.
    condition : Condition
        Which rows; it must not depend on the contents of any table, lest it change its meaning
        as the delete goes on.
    force_masters : bool
        Whether the masters of deleted parts are deleted too, with all their parts.

    Returns
    -------
    list of Deletion
        Parents first; tables of which nothing is deleted are left out, except the first.
    """
    graph = connection.dependencies.load()
    seeds = {table: [condition]}
    while True:
        plan = _spread(connection, graph, seeds)
        masters = _masters_of_orphans(connection, graph, plan) if force_masters else {}
        if not masters:
            return plan
        for master, keys in masters.items():
            seeds.setdefault(master, []).append(keys)


def _spread(
    connection: Connection, graph: Graph, seeds: dict[str, list[Condition]]
) -> list[Deletion]:
    """Follow the foreign keys downstream from some rows of some tables."""
    reached = graph.sorted({name for seed in seeds for name in graph.descendants(seed)})
    affected: dict[str, Deletion] = {}
    for name in reached:
        conditions = list(seeds.get(name, []))
        for edge in graph.edges_in(name):
            parent = affected.get(edge.parent)
            if parent is not None and edge.parent != name:
                conditions.append(_referring(edge, _rows(graph.tables[edge.parent], parent)))
        if not conditions:
            continue
        condition = conditions[0] if len(conditions) == 1 else algebra.AnyOf(tuple(conditions))
        for edge in graph.edges_in(name):
            if edge.parent == name:
                condition = _closure(connection, graph.tables[name], edge, condition)
        relation = algebra.Restriction(graph.tables[name].relation, condition)
        ((count,),) = connection.rows(Writer(connection.dialect).count(relation))
        if count or name in seeds:
            affected[name] = Deletion(name, condition, count)
    return [affected[name] for name in reached if name in affected]


def _select(spec: TableSpec, condition: Condition) -> Relation:
    return algebra.Restriction(spec.relation, condition)


def _rows(spec: TableSpec, deletion: Deletion) -> Relation:
    return _select(spec, deletion.condition)


def _referring(edge: Edge, parent: Relation) -> Condition:
    """Select the rows of a child that refer to rows of its parent."""
    projected = algebra.Projection(parent, edge.foreign_key.attributes)
    return algebra.Matching(projected, edge.foreign_key.child_attributes)


def _closure(
    connection: Connection, spec: TableSpec, edge: Edge, condition: Condition
) -> Condition:
    """Add the rows of a table that refer, directly or not, to some of its own rows."""
    keys = key_condition(connection, spec, algebra.Restriction(spec.relation, condition))
    while True:
        rows = algebra.Restriction(spec.relation, keys)
        wider = algebra.AnyOf((keys, _referring(edge, rows)))
        grown = key_condition(connection, spec, algebra.Restriction(spec.relation, wider))
        if grown == keys or len(getattr(grown, "rows", ())) == len(getattr(keys, "rows", ())):
            return keys
        keys = grown


def _orphans(graph: Graph, plan: list[Deletion]) -> dict[str, Relation]:
    """Select the rows of parts that are deleted although their masters are not."""
    deletions = {deletion.table: deletion for deletion in plan}
    orphans: dict[str, Relation] = {}
    for deletion in plan:
        master = get_master(deletion.table)
        if not deletion.count or master not in graph.tables:
            continue
        rows = _rows(graph.tables[deletion.table], deletion)
        if master in deletions:
            matching = algebra.Matching(
                algebra.Projection(
                    _rows(graph.tables[master], deletions[master]), _link(graph, deletion.table)
                ),
                tuple(child for child, _ in _link(graph, deletion.table)),
            )
            rows = algebra.Restriction(rows, algebra.Negation(matching))
        orphans[deletion.table] = rows
    return orphans


def _link(graph: Graph, part: str) -> tuple[tuple[str, str], ...]:
    """Tell how a part refers to its master: attribute of the part, attribute of the master."""
    master = get_master(part)
    for edge in graph.edges_in(part):
        if edge.parent == master:
            return edge.foreign_key.attributes
    heading = graph.tables[part].heading
    return tuple((n, n) for n in graph.tables[master].heading.primary_key if n in heading)


def _masters_of_orphans(
    connection: Connection, graph: Graph, plan: list[Deletion]
) -> dict[str, Condition]:
    masters: dict[str, Condition] = {}
    for part, rows in _orphans(graph, plan).items():
        spec = graph.tables[get_master(part)]
        link = _link(graph, part)
        parts = algebra.Projection(rows, tuple((parent, child) for child, parent in link))
        matching = algebra.Matching(parts, tuple(parent for _, parent in link))
        keys = key_condition(connection, spec, algebra.Restriction(spec.relation, matching))
        if getattr(keys, "rows", True):
            masters[get_master(part)] = keys
    return masters


def check_parts(connection: Connection, plan: list[Deletion]) -> None:
    """Refuse a delete that would leave a master without some of its parts.

    Raises
    ------
    DataJointError
        Names the part and the number of its rows.
    """
    graph = connection.dependencies.load(force=False)
    for part, rows in _orphans(graph, plan).items():
        ((count,),) = connection.rows(Writer(connection.dialect).count(rows))
        if count:
            raise DataJointError(
                f"The delete would take {count} rows of the part table {part} from their masters "
                f"in {get_master(part)}. Delete from the master instead, or set force_masters=True "
                "to delete the masters too, or force_parts=True to delete parts alone"
            )


def execute_delete(connection: Connection, plan: list[Deletion]) -> None:
    """Delete what is planned, children first."""
    graph = connection.dependencies.load(force=False)
    for deletion in reversed(plan):
        delete_rows(connection, graph.tables[deletion.table], deletion.condition)


def delete_rows(connection: Connection, spec: TableSpec, condition: Condition) -> int:
    """Delete rows of one table, and count them.

    Where rows refer to rows of the same table, not every database can delete them together: they
    forget to which ones they refer or, where they must refer to one, go after those that refer to
    them.
    """
    own = [foreign_key for foreign_key in spec.foreign_keys if foreign_key.parent == spec.name]
    try:
        with connection.atomic() if own else nullcontext():
            count = _delete_rows(connection, spec, own, condition)
    except IntegrityError as error:
        raise _explain_children(connection, spec, condition, error) from error.__cause__
    if not spec.name.table.startswith("~"):
        table = connection.dialect.table(spec.name.schema, spec.name.table)
        statement = delete(connection.dialect, table, condition)
        log_event(connection, spec.name.schema, str(statement))
    return count


def _delete_rows(
    connection: Connection, spec: TableSpec, own: list[ForeignKey], condition: Condition
) -> int:
    """Delete rows of a table that refers to itself by some foreign keys of its own."""
    dialect = connection.dialect
    table = dialect.table(spec.name.schema, spec.name.table)
    for foreign_key in own:
        nullable = [a for a in foreign_key.child_attributes if spec.heading[a].nullable]
        if nullable:
            condition = key_condition(connection, spec, _select(spec, condition))
            statement = update(dialect, table, dict.fromkeys(nullable), condition)
            with connection.requiring("UPDATE", "clear the references within", spec.name):
                connection.execute(statement)
    required = [
        foreign_key
        for foreign_key in own
        if not any(spec.heading[a].nullable for a in foreign_key.child_attributes)
    ]
    conditions = _leaves_first(connection, spec, required, condition) if required else [condition]
    statements = (delete(dialect, table, each) for each in conditions)
    with connection.requiring("DELETE", "delete from", spec.name):
        return sum(map(connection.execute, statements))


def _explain_children(
    connection: Connection, spec: TableSpec, condition: Condition, error: IntegrityError
) -> IntegrityError:
    """Name the table and the key of rows that refer to those which would be deleted."""
    graph = connection.dependencies.load()
    for edge in graph.edges_out(spec.name.full):
        child = graph.tables[edge.child]
        rows = _select(child, _referring(edge, _select(spec, condition)))
        key = child.heading.primary_key
        found = connection.rows(
            Writer(connection.dialect).select(algebra.Slice(rows, (), limit=1), key)
        )
        if found:
            shown = ", ".join(f"{n} = {v!r}" for n, v in zip(key, found[0], strict=True))
            return IntegrityError(
                f"Cannot delete from {spec.name}: {edge.child} refers to the rows by its foreign "
                f"key ({', '.join(edge.foreign_key.child_attributes)}), for example with {shown}. "
                "Delete those first, or use `delete`, which does"
            )
    return error


def _leaves_first(
    connection: Connection, spec: TableSpec, foreign_keys: list[ForeignKey], condition: Condition
) -> Iterator[Condition]:
    """Divide rows of a table so that none is referred to by one of a later part."""
    key = spec.heading.primary_key
    names = list(dict.fromkeys(key + [a for fk in foreign_keys for a in fk.child_attributes]))
    rows = connection.rows(Writer(connection.dialect).select(_select(spec, condition), names))
    referring: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}
    for row in rows:
        values = dict(zip(names, row, strict=True))
        own = tuple(values[name] for name in key)
        referring.setdefault(own, set())
        for foreign_key in foreign_keys:
            parent = tuple(values[child] for child, _ in foreign_key.attributes)
            if parent != own:
                referring.setdefault(parent, set()).add(own)
    selected = {tuple(row[: len(key)]) for row in rows}
    sorter = TopologicalSorter(referring)
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        if selected.intersection(ready):
            yield algebra.OneOf(tuple(key), tuple(selected.intersection(ready)))
        sorter.done(*ready)


def count_rows(connection: Connection, spec: TableSpec) -> int:
    """Count the rows of a table."""
    ((count,),) = connection.rows(Writer(connection.dialect).count(spec.relation))
    return int(count)


def plan_text(title: str, rows: Iterable[tuple[str, int]]) -> str:
    """Write a plan: full table names and numbers of rows."""
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0)
    lines = [f"    {name:<{width}}  {count:>8} row{'s'[: count != 1]}" for name, count in listed]
    return "\n".join([title, *lines])
