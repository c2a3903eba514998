"""Plans of deletes, made from the graph of foreign keys before anything is touched.

Manual 7.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from .connection import Connection
from .declare import ForeignKey, TableSpec
from .dependencies import Edge, Graph
from .errors import ConflictError, DataJointError, IntegrityError
from .service import log_event
from .sql import algebra
from .sql.algebra import Condition, Relation
from .sql.select import Writer
from .sql.statements import delete, update
from .utils import get_master


@dataclass(frozen=True)
class Deletion:
    """The rows of one table that are deleted.

    Attributes
    ----------
    table : str
        Full table name.
    condition : Condition
    count : int
    masters : int
        How many of them are deleted because parts of them are.
    orphans : int
        How many of them are parts whose masters stay.
    """

    table: str
    condition: Condition
    count: int
    masters: int = 0
    orphans: int = 0

    @property
    def note(self) -> str:
        """What there is to know about masters and parts, for the plan that is shown."""
        notes = []
        if self.masters:
            notes.append(f"{self.masters} as master{'s'[: self.masters != 1]} of deleted parts")
        if self.orphans:
            notes.append(f"{self.orphans} without their masters")
        elif get_master(self.table):
            notes.append("with their masters")
        return ", ".join(notes)


def key_condition(connection: Connection, spec: TableSpec, relation: Relation) -> Condition:
    """Name the entities of a relation by their primary keys, as they are now."""
    return _keys(spec, _fetch_keys(connection, spec, relation))


def _fetch_keys(
    connection: Connection, spec: TableSpec, relation: Relation
) -> list[tuple[Any, ...]]:
    key = spec.heading.primary_key
    return connection.rows(Writer(connection.dialect).select(relation, key))


def own_condition(connection: Connection, spec: TableSpec, relation: Relation) -> Condition:
    """Say which rows of a table are selected, in terms of the attributes of the table alone.

    Where the restriction depends on other tables, on positions, on chance or on time, the rows are
    named by their keys: it is evaluated several times, and their children are deleted before them.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
    relation : Relation
        The table, restricted.
    """
    source, conditions = algebra.unrestricted(relation)
    if not isinstance(source, algebra.Stored) or not all(map(algebra.is_lasting, conditions)):
        return key_condition(connection, spec, relation)
    return algebra.AllOf(conditions)


def plan_delete(
    connection: Connection,
    table: str,
    condition: Condition,
    *,
    force_parts: bool = False,
    force_masters: bool = False,
    reload: bool = True,
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
    force_parts : bool
        Whether parts are deleted without their masters.
    force_masters : bool
        Whether the masters of deleted parts are deleted too, with all their parts.
    reload : bool
        Whether to look for tables that were declared meanwhile.

    Returns
    -------
    list of Deletion
        Parents first; tables of which nothing is deleted are left out, except the first.

    Raises
    ------
    DataJointError
        When parts would be deleted without their masters; names the part and the masters.
    """
    graph = connection.dependencies.load(force=reload)
    taken: dict[str, set[tuple[Any, ...]]] = {}
    while True:
        plan = _spread(connection, graph, table, condition, taken)
        orphans = _orphans(graph, plan)
        counts = dict(zip(orphans, _counts(connection, orphans.values()), strict=True))
        before = sum(map(len, taken.values()))
        if force_masters:
            for part in (part for part, count in counts.items() if count):
                keys = _masters(connection, graph, part, orphans[part])
                taken.setdefault(get_master(part), set()).update(keys)
        if sum(map(len, taken.values())) == before:
            break
    plan = [
        replace(d, masters=len(taken.get(d.table, ())), orphans=counts.get(d.table, 0))
        for d in plan
    ]
    if not force_parts:
        _check_parts(plan)
    return plan


def _spread(
    connection: Connection,
    graph: Graph,
    table: str,
    condition: Condition,
    masters: Mapping[str, Collection[tuple[Any, ...]]],
) -> list[Deletion]:
    """Follow the foreign keys downstream from some rows of a table, and from some masters."""
    seeds = {name: [_keys(graph.tables[name], rows)] for name, rows in masters.items()}
    seeds[table] = [condition, *seeds.get(table, [])]
    reached = graph.sorted({name for seed in seeds for name in graph.descendants(seed)})
    affected: dict[str, Deletion] = {}
    for level in _levels(graph, reached):
        selected: dict[str, Condition] = {}
        for name in level:
            conditions = list(seeds.get(name, []))
            for edge in graph.edges_in(name):
                if edge.parent in affected and edge.parent != name:
                    rows = _rows(graph.tables[edge.parent], affected[edge.parent])
                    conditions.append(_referring(edge, rows))
            if conditions:
                selected[name] = _closure(connection, graph, name, _any_of(conditions))
        relations = [_select(graph.tables[name], each) for name, each in selected.items()]
        for name, count in zip(selected, _counts(connection, relations), strict=True):
            if count or name == table:
                affected[name] = Deletion(name, selected[name], count)
    return [affected[name] for name in reached if name in affected]


def _levels(graph: Graph, names: Sequence[str]) -> list[list[str]]:
    """Divide sorted tables so that none refers to another of the same level or of a later one."""
    depth: dict[str, int] = {}
    for name in names:
        parents = {edge.parent for edge in graph.edges_in(name)} & depth.keys()
        depth[name] = 1 + max((depth[parent] for parent in parents), default=-1)
    levels: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    for name in names:
        levels[depth[name]].append(name)
    return levels


def _counts(connection: Connection, relations: Iterable[Relation]) -> tuple[int, ...]:
    """Count the rows of several relations, by one statement."""
    listed = list(relations)
    if not listed:
        return ()
    (counts,) = connection.rows(Writer(connection.dialect).counts(listed))
    return counts


def _any_of(conditions: Sequence[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else algebra.AnyOf(tuple(conditions))


def _keys(spec: TableSpec, rows: Collection[tuple[Any, ...]]) -> Condition:
    """Name entities by their primary keys."""
    key = tuple(spec.heading.primary_key)
    if not key:
        return algebra.Constant(bool(rows))
    return algebra.OneOf(key, tuple(rows), spec.heading.types_of(key))


def _select(spec: TableSpec, condition: Condition) -> Relation:
    return algebra.Restriction(spec.relation, condition)


def _rows(spec: TableSpec, deletion: Deletion) -> Relation:
    return _select(spec, deletion.condition)


def _referring(edge: Edge, parent: Relation) -> Condition:
    """Select the rows of a child that refer to rows of its parent."""
    projected = algebra.Projection(parent, edge.foreign_key.attributes)
    return algebra.Matching(projected, edge.foreign_key.child_attributes)


def _closure(connection: Connection, graph: Graph, name: str, condition: Condition) -> Condition:
    """Add the rows of a table that refer, directly or not, to some of its own rows."""
    spec = graph.tables[name]
    edges = [edge for edge in graph.edges_in(name) if edge.parent == name]
    if not edges:
        return condition
    keys = _fetch_keys(connection, spec, _select(spec, condition))
    while True:
        rows = _select(spec, _keys(spec, keys))
        wider = _any_of([_keys(spec, keys), *(_referring(edge, rows) for edge in edges)])
        grown = _fetch_keys(connection, spec, _select(spec, wider))
        if len(grown) == len(keys):
            return _keys(spec, keys)
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


def _masters(
    connection: Connection, graph: Graph, part: str, rows: Relation
) -> list[tuple[Any, ...]]:
    """Fetch the keys of the masters of some rows of a part."""
    spec = graph.tables[get_master(part)]
    link = _link(graph, part)
    parts = algebra.Projection(rows, tuple((parent, child) for child, parent in link))
    matching = algebra.Matching(parts, tuple(parent for _, parent in link))
    return _fetch_keys(connection, spec, _select(spec, matching))


def _check_parts(plan: list[Deletion]) -> None:
    """Refuse a delete that would leave a master without some of its parts."""
    for deletion in plan:
        if deletion.orphans:
            part = deletion.table
            raise DataJointError(
                f"The delete would take {deletion.orphans} rows of the part table {part} from "
                f"their masters in {get_master(part)}. Delete from the master instead, or set "
                "force_masters=True to delete the masters too, or force_parts=True to delete "
                "parts alone"
            )


def execute_delete(connection: Connection, plan: list[Deletion]) -> list[Deletion]:
    """Delete what is planned, children first.

    Returns
    -------
    list of Deletion
        The plan, with the numbers of rows that were deleted.

    Raises
    ------
    ConflictError
        When rows refer to those of the plan that were not there when it was made.
    """
    graph = connection.dependencies.load(force=False)
    done = []
    for deletion in reversed(plan):
        spec = graph.tables[deletion.table]
        try:
            count = delete_rows(connection, spec, deletion.condition)
        except IntegrityError as error:
            if _referring_row(connection, spec, deletion.condition) is None:
                raise  # what refers to the rows cannot be seen
            raise changed_meanwhile() from error
        done.append(replace(deletion, count=count))
    return done[::-1]


def changed_meanwhile() -> ConflictError:
    """Make the error of a delete whose plan is no longer true."""
    return ConflictError(
        "The data were changed by others meanwhile; nothing was deleted. "
        "Please look again and repeat the delete"
    )


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
    found = _referring_row(connection, spec, condition)
    if found is None:
        return error
    edge, row = found
    shown = ", ".join(f"{name} = {value!r}" for name, value in row.items())
    return IntegrityError(
        f"Cannot delete from {spec.name}: {edge.child} refers to the rows by its foreign "
        f"key ({', '.join(edge.foreign_key.child_attributes)}), for example with {shown}. "
        "Delete those first, or use `delete`, which does"
    )


def _referring_row(
    connection: Connection, spec: TableSpec, condition: Condition
) -> tuple[Edge, dict[str, Any]] | None:
    """Find the key of a row in another table that refers to some rows, and by what it does."""
    graph = connection.dependencies.load()
    for edge in graph.edges_out(spec.name.full):
        child = graph.tables[edge.child]
        rows = _select(child, _referring(edge, _select(spec, condition)))
        key = child.heading.primary_key
        found = connection.rows(
            Writer(connection.dialect).select(algebra.Slice(rows, (), limit=1), key)
        )
        if found:
            return edge, dict(zip(key, found[0], strict=True))
    return None


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
            yield _keys(spec, selected.intersection(ready))
        sorter.done(*ready)


def count_rows(connection: Connection, spec: TableSpec) -> int:
    """Count the rows of a table."""
    ((count,),) = connection.rows(Writer(connection.dialect).count(spec.relation))
    return int(count)


def plan_text(title: str, rows: Iterable[tuple[str, int, str]]) -> str:
    """Write a plan: full table names, numbers of rows, and notes."""
    listed = list(rows)
    width = max((len(name) for name, _, _ in listed), default=0)
    lines = [
        f"    {name:<{width}}  {count:>8} row{'s'[: count != 1]}" + (f", {note}" if note else "")
        for name, count, note in listed
    ]
    return "\n".join([title, *lines])
