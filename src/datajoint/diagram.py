"""Diagrams of pipelines: tables as nodes, foreign keys as edges.

Manual 5.10.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .connection import Connection
from .dependencies import Edge, Graph
from .errors import DataJointError
from .schemas import Schema
from .table import Table
from .user_tables import tier_of
from .utils import get_master, split_full_table_name, to_camel_case

if TYPE_CHECKING:
    import networkx as nx

_MERMAID_SHAPES = {
    "manual": ("[", "]"),
    "lookup": ("[/", "/]"),
    "imported": ("([", "])"),
    "computed": ("((", "))"),
    "part": (">", "]"),
}
_MERMAID_STYLES = """\
    classDef manual fill:#0f03,stroke:#060
    classDef lookup fill:#8883,stroke:#666
    classDef imported fill:#00f3,stroke:#006
    classDef computed fill:#f003,stroke:#600
    classDef part fill:#0000,stroke:#888"""


class Diagram:
    """A diagram of tables and the foreign keys among them.

    Diagrams can be added, subtracted and intersected (``*``); adding a number goes so many steps
    downstream, subtracting one goes upstream.

    Parameters
    ----------
    source
        A schema, a module with one in ``schema``, a table or its class, or another diagram.

    Examples
    --------
    >>> print(dj.Diagram(schema))  # doctest: +SKIP
    >>> dj.Diagram(Session) + 1 - 1  # doctest: +SKIP
    """

    def __init__(self, source: Any, context: Any = None) -> None:
        if isinstance(source, Diagram):
            self._connection: Connection = source._connection
            self.nodes_to_show: frozenset[str] = source.nodes_to_show
            return
        if inspect.ismodule(source):
            source = getattr(source, "schema", source)
        if inspect.isclass(source) and issubclass(source, Table):
            source = source()
        if isinstance(source, Schema):
            self._connection = source.connection
            names = {
                spec.name.full
                for name, spec in self._graph.tables.items()
                if spec.name.schema == source.database and tier_of(spec.name.table)
            }
        elif isinstance(source, Table):
            self._connection = source.connection
            names = {source.full_table_name}
        else:
            raise DataJointError(
                f"A diagram shows a schema, a module with a schema, or a table, not {source!r}"
            )
        self.nodes_to_show = frozenset(names)

    @classmethod
    def from_sequence(cls, sources: Iterable[Any]) -> Diagram:
        """Add the diagrams of several sources together."""
        first, *others = (cls(source) for source in sources)
        for other in others:
            first = first + other
        return first

    @property
    def _graph(self) -> Graph:
        return self._connection.dependencies.load(force=False)

    def _showing(self, names: Iterable[str]) -> Diagram:
        diagram = Diagram(self)
        diagram.nodes_to_show = frozenset(names)
        return diagram

    # -- algebra --------------------------------------------------------------------------------

    def _steps(self, count: int, *, downstream: bool) -> Diagram:
        shown = set(self.nodes_to_show)
        for _ in range(count):
            shown |= {
                edge.child if downstream else edge.parent
                for edge in self._graph.edges
                if (edge.parent if downstream else edge.child) in shown
            }
        return self._showing(shown)

    def __add__(self, other: Any) -> Diagram:
        if isinstance(other, int):
            return self._steps(other, downstream=True)
        return self._showing(self.nodes_to_show | Diagram(other).nodes_to_show)

    def __sub__(self, other: Any) -> Diagram:
        if isinstance(other, int):
            return self._steps(other, downstream=False)
        return self._showing(self.nodes_to_show - Diagram(other).nodes_to_show)

    def __mul__(self, other: Any) -> Diagram:
        return self._showing(self.nodes_to_show & Diagram(other).nodes_to_show)

    def add_parts(self) -> Diagram:
        """Add the part tables of all tables shown."""
        parts = {n for n in self._graph.tables if get_master(n) in self.nodes_to_show}
        return self._showing(self.nodes_to_show | parts)

    def topological_sort(self) -> list[str]:
        """List the tables shown by their full names, parents first."""
        return self._graph.sorted(self.nodes_to_show)

    # -- rendering ------------------------------------------------------------------------------

    def _edges(self) -> list[Edge]:
        shown = self.nodes_to_show
        return [e for e in self._graph.edges if e.parent in shown and e.child in shown]

    def _labels(self) -> dict[str, str]:
        """Name the tables as their classes, with the schema where there are several."""
        schemas = {split_full_table_name(name)[0] for name in self.nodes_to_show}
        labels = {}
        for full_name in self.nodes_to_show:
            schema, table = split_full_table_name(full_name)
            master = get_master(full_name)
            if master:
                _, master_table = split_full_table_name(master)
                part = to_camel_case(table[len(master_table) + 2 :])
                label = f"{to_camel_case(master_table)}.{part}"
            else:
                label = to_camel_case(table)
            labels[full_name] = label if len(schemas) == 1 else f"{schema}.{label}"
        return labels

    def graph(self) -> nx.MultiDiGraph[str]:
        """Make a networkx graph: nodes are full table names, edges go from parent to child."""
        import networkx as nx

        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        labels = self._labels()
        for name in self.topological_sort():
            graph.add_node(name, label=labels[name], tier=_tier(name))
        for edge in self._edges():
            graph.add_edge(
                edge.parent,
                edge.child,
                primary=edge.primary,
                attr_map=edge.attr_map,
                aliased=edge.aliased,
                multi=edge.multi,
            )
        return graph

    def make_text(self) -> str:
        """Draw the diagram as text: children under a parent, other parents after ``╾``."""
        import networkx as nx

        graph = nx.DiGraph(self.graph())
        for name, data in graph.nodes(data=True):
            data["label"] += f" ({_tier(name)})"
        # Long branches first: what joins them later is then drawn beside, not twice.
        sources = sorted(
            (name for name in graph if not set(graph.predecessors(name)) - {name}),
            key=lambda name: -len(nx.descendants(graph, name)),
        )
        return "\n".join(nx.generate_network_text(graph, sources=sources))

    def make_mermaid(self) -> str:
        """Write the diagram in the Mermaid language, which many Markdown viewers draw.

        Thick arrows: the foreign key is the whole primary key; dotted ones lie outside of it.
        """
        labels = self._labels()
        names = self.topological_sort()
        numbers = {name: f"t{i}" for i, name in enumerate(names)}
        lines = ["flowchart TD"]
        for name in names:
            before, after = _MERMAID_SHAPES[_tier(name)]
            lines.append(f'    {numbers[name]}{before}"{labels[name]}"{after}:::{_tier(name)}')
        for edge in self._edges():
            arrow = "-.->" if not edge.primary else "-->" if edge.multi else "==>"
            lines.append(f"    {numbers[edge.parent]} {arrow} {numbers[edge.child]}")
        return "\n".join([*lines, _MERMAID_STYLES])

    def __str__(self) -> str:
        return self.make_text()

    def __repr__(self) -> str:
        return self.make_text()

    def _repr_markdown_(self) -> str:
        return f"```mermaid\n{self.make_mermaid()}\n```"


def _tier(full_name: str) -> str:
    tier = tier_of(split_full_table_name(full_name)[1])
    return tier.tier if tier is not None else "manual"
