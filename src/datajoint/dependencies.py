"""The graph of foreign keys, and the orders that follow from it.

Manual 5.9 and 5.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .declare import ForeignKey, TableName, TableSpec
from .errors import DataJointError, MissingTableError
from .utils import get_master, split_full_table_name


@dataclass(frozen=True)
class Edge:
    """A foreign key between two tables.

    Attributes
    ----------
    parent, child : str
        Full table names.
    attributes : dict
        Attribute of the child → attribute of the parent.
    primary : bool
        Whether it lies in the primary key of the child.
    multi : bool
        Whether several entities of the child can refer to one of the parent.
    """

    parent: str
    child: str
    foreign_key: ForeignKey
    primary: bool
    multi: bool

    @property
    def attr_map(self) -> dict[str, str]:
        """Attribute of the child → attribute of the parent."""
        return {child: old for child, old in self.foreign_key.attributes if child[0] != "_"}

    @property
    def aliased(self) -> bool:
        """Whether the foreign key renames attributes."""
        return self.foreign_key.renamed

    @property
    def info(self) -> dict[str, Any]:
        """``primary``, ``attr_map``, ``aliased`` and ``multi``, for users."""
        names = ("primary", "attr_map", "aliased", "multi")
        return {name: getattr(self, name) for name in names}


class _Nodes(dict[str, TableSpec]):
    """Tables by full name; as in networkx, it may be called too."""

    def __call__(self) -> _Nodes:
        return self


class Dependencies:
    """The foreign keys among all tables of the database that the connection can see.

    Parameters
    ----------
    read : callable
        Reads the specifications of all tables, by full name; called when first needed and again
        after :meth:`clear`.
    """

    def __init__(self, read: Callable[[], Mapping[str, TableSpec]]) -> None:
        self._read = read
        self._graph: Graph | None = None

    def clear(self) -> None:
        """Forget the graph, so that it is read again."""
        self._graph = None

    def load(self, force: bool = True) -> Graph:
        """Read the graph.

        Parameters
        ----------
        force : bool
            Read it again even if it is known.
        """
        if force or self._graph is None:
            self._graph = Graph(self._read())
        return self._graph

    @property
    def nodes(self) -> _Nodes:
        """Full table name → specification."""
        return _Nodes(self.load(force=False).tables)

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Full names of a parent and a child, for each foreign key."""
        return [(edge.parent, edge.child) for edge in self.load(force=False).edges]

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __contains__(self, table: object) -> bool:
        return table in self.nodes

    def __len__(self) -> int:
        return len(self.nodes)

    def parents(self, table: str, primary: bool | None = None) -> dict[str, dict[str, Any]]:
        """Tell of the tables that a table refers to, by full name, through which foreign key.

        Each is a dict with ``primary``, ``attr_map``, ``aliased`` and ``multi``.
        """
        return {edge.parent: edge.info for edge in self.load(False).edges_in(table, primary)}

    def children(self, table: str, primary: bool | None = None) -> dict[str, dict[str, Any]]:
        """Tell of the tables that refer to a table; see :meth:`parents`."""
        return {edge.child: edge.info for edge in self.load(False).edges_out(table, primary)}

    def ancestors(self, table: str) -> list[str]:
        """List a table and all that it depends on, parents first."""
        return self.load(False).ancestors(table)

    def descendants(self, table: str) -> list[str]:
        """List a table and all that depend on it, parents first."""
        return self.load(False).descendants(table)


class Graph:
    """The foreign keys among some tables.

    Parameters
    ----------
    tables : mapping
        Full table name → specification. References to other tables are left out.
    """

    def __init__(self, tables: Mapping[str, TableSpec]) -> None:
        self.tables = dict(tables)
        self.edges = [
            _edge(spec, foreign_key)
            for spec in self.tables.values()
            for foreign_key in spec.foreign_keys
            if foreign_key.parent.full in self.tables
        ]

    @cached_property
    def _out(self) -> dict[str, list[Edge]]:
        return _grouped(self.edges, lambda edge: edge.parent)

    @cached_property
    def _in(self) -> dict[str, list[Edge]]:
        return _grouped(self.edges, lambda edge: edge.child)

    def _check(self, table: str) -> None:
        if table not in self.tables:
            raise MissingTableError(f"Table {table} is not declared in the database")

    def edges_out(self, table: str, primary: bool | None = None) -> list[Edge]:
        """List the foreign keys that refer to a table, from its children."""
        self._check(table)
        return [e for e in self._out.get(table, []) if primary is None or e.primary == primary]

    def edges_in(self, table: str, primary: bool | None = None) -> list[Edge]:
        """List the foreign keys of a table, to its parents."""
        self._check(table)
        return [e for e in self._in.get(table, []) if primary is None or e.primary == primary]

    def ancestors(self, table: str) -> list[str]:
        """List a table and all that it depends on, in topological order."""
        return self.sorted(self._reach(table, lambda name: [e.parent for e in self.edges_in(name)]))

    def descendants(self, table: str) -> list[str]:
        """List a table and all that depend on it, in topological order."""
        return self.sorted(self._reach(table, lambda name: [e.child for e in self.edges_out(name)]))

    def parts(self, table: str) -> list[str]:
        """List the part tables of a master, in topological order."""
        return self.sorted(name for name in self.tables if get_master(name) == table)

    def _reach(self, table: str, neighbours: Callable[[str], Iterable[str]]) -> set[str]:
        self._check(table)
        reached, pending = {table}, [table]
        while pending:
            for name in neighbours(pending.pop()):
                if name not in reached:
                    reached.add(name)
                    pending.append(name)
        return reached

    def sorted(self, names: Iterable[str]) -> list[str]:
        """Sort tables: parents before children, and parts right after their masters.

        Raises
        ------
        DataJointError
            When foreign keys form a cycle.
        """
        return _sorted(names, ((edge.parent, edge.child) for edge in self.edges))


def _grouped(edges: Iterable[Edge], key: Callable[[Edge], str]) -> dict[str, list[Edge]]:
    groups: dict[str, list[Edge]] = {}
    for edge in edges:
        groups.setdefault(key(edge), []).append(edge)
    return groups


def _edge(spec: TableSpec, foreign_key: ForeignKey) -> Edge:
    attributes = set(foreign_key.child_attributes)
    key = set(spec.heading.stored_key)
    unique = attributes >= key or any(
        index.unique and set(index.attributes) <= attributes
        for index in spec.heading.secondary_indexes
    )
    return Edge(
        foreign_key.parent.full,
        spec.name.full,
        foreign_key,
        primary=attributes <= key,
        multi=not unique,
    )


def topo_sort(graph: Any) -> list[str]:
    """Sort the tables of a graph: parents before children, and parts right after their masters.

    Parameters
    ----------
    graph : Dependencies or networkx.DiGraph
        Of full table names, as ``connection.dependencies``.

    Raises
    ------
    DataJointError
        When foreign keys form a cycle.
    """
    return _sorted(graph.nodes, graph.edges)


def _sorted(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    included = sorted(set(names))
    known = set(included)
    within: dict[str, set[str]] = {name: set() for name in included}
    for parent, child in edges:
        if parent in known and child in known and parent != child:
            within[child].add(parent)
    order = {name: i for i, name in enumerate(_order_or_raise(within))}
    # A master and its parts move as one group, so that they stay together where they can.
    group = {name: get_master(name) if get_master(name) in known else name for name in included}
    while True:
        between: dict[str, set[str]] = {head: set() for head in group.values()}
        for child, parents in within.items():
            between[group[child]] |= {group[parent] for parent in parents} - {group[child]}
        try:
            heads = _static_order(between)
            break
        except CycleError as error:  # groups in a cycle, though their tables are in none
            cycle = set(error.args[1])
            group = {name: name if head in cycle else head for name, head in group.items()}
    members: dict[str, list[str]] = {}
    for name in sorted(included, key=order.__getitem__):
        members.setdefault(group[name], []).append(name)
    return [name for head in heads for name in members[head]]


def unite_master_parts(names: Iterable[str]) -> list[str]:
    """Move part tables right behind their masters; what has no master there stays in its place.

    Parameters
    ----------
    names : iterable of str
        Full table names, sorted.
    """
    listed = list(dict.fromkeys(names))
    known = set(listed)
    parts: dict[str, list[str]] = {}
    for name in listed:
        if get_master(name) in known:
            parts.setdefault(get_master(name), []).append(name)
    heads = (name for name in listed if get_master(name) not in known)
    return [table for head in heads for table in (head, *parts.get(head, ()))]


def _order_or_raise(predecessors: dict[str, set[str]]) -> list[str]:
    try:
        return _static_order(predecessors)
    except CycleError as error:
        raise DataJointError(
            f"The foreign keys form a cycle: {' → '.join(map(str, error.args[1]))}"
        ) from None


def _static_order(predecessors: dict[str, set[str]]) -> list[str]:
    """Sort topologically, names in alphabetical order where the edges leave a choice."""
    sorter = TopologicalSorter(predecessors)
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return ordered


def table_name(full_table_name: str) -> TableName:
    """Read a full table name."""
    return TableName(*split_full_table_name(full_table_name))
