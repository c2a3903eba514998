"""The graph of foreign keys, and the orders that follow from it; on tables made by hand."""

import random

import networkx
import pytest

from datajoint.declare import ForeignKey, TableName, TableSpec
from datajoint.dependencies import (
    Dependencies,
    Graph,
    table_name,
    topo_sort,
    unite_master_parts,
)
from datajoint.errors import DataJointError, MissingTableError
from datajoint.grammar import parse_type
from datajoint.heading import Attribute, Heading, Index

INT = parse_type("int")


def full(name):
    """Write ``schema.table``, or a table of the schema ``lab``, as a full table name."""
    schema, _, table = name.rpartition(".")
    return f"`{schema or 'lab'}`.`{table}`"


def spec(name, *references, key=("id",), secondary=(), unique=()):
    """Make a table; each reference is a parent, and the pairs of attributes (`id` by default)."""
    attributes = [Attribute(a, INT, in_key=True) for a in key]
    attributes += [Attribute(a, INT) for a in secondary]
    foreign_keys = []
    for reference in references:
        parent, *pairs = (reference,) if isinstance(reference, str) else reference
        foreign_keys.append(ForeignKey(table_name(full(parent)), tuple(pairs) or (("id", "id"),)))
    return TableSpec(
        table_name(full(name)),
        Heading(tuple(attributes), "", tuple(Index(names, unique=True) for names in unique)),
        tuple(foreign_keys),
    )


def graph(*specs):
    return Graph({spec.name.full: spec for spec in specs})


def named(names):
    """Write full table names of the schema ``lab`` by the name of the table."""
    return [name.removeprefix("`lab`.").strip("`").replace("`.`", ".") for name in names]


def ordered(**parents):
    """Sort tables that are given as child → parents."""
    tables = graph(*(spec(name, *references) for name, references in parents.items()))
    return named(tables.sorted(tables.tables))


# -- order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({}, []),
        ({"a": ()}, ["a"]),
        ({"b": (), "a": ()}, ["a", "b"]),
        ({"a": ("b",), "b": ()}, ["b", "a"]),
        ({"a": ("b",), "b": ("c",), "c": ()}, ["c", "b", "a"]),
        # a diamond
        ({"d": ("b", "c"), "c": ("a",), "b": ("a",), "a": ()}, ["a", "b", "c", "d"]),
        ({"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}, ["d", "b", "c", "a"]),
        # two ways of different lengths
        ({"a": ("d",), "b": ("a", "d"), "d": ()}, ["d", "a", "b"]),
        # twice to one parent, and to itself
        ({"a": ("b", "b"), "b": ("b",)}, ["b", "a"]),
    ],
)
def test_parents_come_first(parents, expected):
    assert ordered(**parents) == expected


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({"s__p": ("s",), "s": (), "t": ()}, ["s", "s__p", "t"]),
        (
            {"s__p": ("s",), "s__q": ("s",), "a": ("s",), "s": ()},
            ["s", "s__p", "s__q", "a"],
        ),
        # parts that depend on parts, against the alphabet
        (
            {"s__a": ("s__b",), "s__b": ("s__c",), "s__c": ("s",), "s": (), "b": ("s",)},
            ["s", "s__c", "s__b", "s__a", "b"],
        ),
        # what a part needs comes before its master
        ({"a": (), "a__p": ("a", "z"), "z": ()}, ["z", "a", "a__p"]),
        # what needs a part comes after it
        ({"a": ("s__p",), "s": (), "s__p": ("s",), "s__q": ("s",)}, ["s", "s__p", "s__q", "a"]),
        # a master that refers to the part of another
        (
            {"a": ("b__p",), "a__p": ("a",), "b": (), "b__p": ("b",)},
            ["b", "b__p", "a", "a__p"],
        ),
        # every tier
        (
            {
                "__stat__x": ("__stat",),
                "__stat": ("_scan__x",),
                "_scan__x": ("_scan", "#probe__x"),
                "_scan": ("subject",),
                "#probe__x": ("#probe",),
                "#probe": (),
                "subject": (),
            },
            ["#probe", "#probe__x", "subject", "_scan", "_scan__x", "__stat", "__stat__x"],
        ),
        # a part without its master
        ({"s__p": (), "a": ("s__p",)}, ["s__p", "a"]),
    ],
)
def test_parts_come_right_after_their_masters(parents, expected):
    assert ordered(**parents) == expected


def test_part_that_depends_on_what_depends_on_its_master():
    """No order has the part right after its master: parents still come first."""
    assert ordered(a=(), a__p=("a", "b"), b=("a",)) == ["a", "b", "a__p"]


def test_masters_that_can_keep_their_parts_do_so_beside_those_that_cannot():
    order = ordered(a=(), a__p=("a", "b"), b=("a",), m=(), m__p=("m",), n=("m",), k=(), k__p=("k",))
    assert order.index("a") < order.index("b") < order.index("a__p")
    assert order[order.index("m") + 1] == "m__p"
    assert order[order.index("k") + 1] == "k__p"


def test_order_does_not_depend_on_the_order_of_the_input():
    parents = {
        "subject": (),
        "#probe": (),
        "session": ("subject",),
        "session__trial": ("session",),
        "session__probe": ("session", "#probe"),
        "_scan": ("session",),
        "_scan__field": ("_scan",),
        "__mask": ("_scan__field",),
        "__mask__roi": ("__mask",),
        "__trace": ("__mask__roi", "session__trial"),
        "note": ("subject",),
    }
    expected = ordered(**parents)
    assert expected.index("__mask__roi") == expected.index("__mask") + 1
    for seed in range(20):
        names = list(parents)
        random.Random(seed).shuffle(names)
        assert ordered(**{name: parents[name] for name in names}) == expected


def test_random_graphs():
    rng = random.Random(1)
    for _ in range(200):
        names = [f"t{i:02d}" for i in range(12)]
        rng.shuffle(names)
        parents = {
            name: tuple(rng.sample(names[:i], min(i, rng.randrange(4))))
            for i, name in enumerate(names)
        }
        order = ordered(**parents)
        assert sorted(order) == sorted(names)
        for child, of in parents.items():
            assert all(order.index(parent) < order.index(child) for parent in of)


@pytest.mark.parametrize(
    ("parents", "members"),
    [
        ({"a": ("b",), "b": ("a",)}, {"a", "b"}),
        ({"a": ("b",), "b": ("c",), "c": ("a",), "d": (), "e": ("a",)}, {"a", "b", "c"}),
        ({"s": ("s__p",), "s__p": ("s",)}, {"s", "s__p"}),
    ],
)
def test_cycles(parents, members):
    with pytest.raises(DataJointError, match=r"^The foreign keys form a cycle: ") as error:
        ordered(**parents)
    cycle = str(error.value).removeprefix("The foreign keys form a cycle: ").split(" → ")
    assert set(cycle) == {full(name) for name in members}
    assert cycle[0] == cycle[-1]


def test_sorting_some_of_the_tables():
    tables = graph(spec("a", "b"), spec("b", "c"), spec("c"), spec("c__p", "c"))
    assert named(tables.sorted([full("a"), full("c")])) == ["a", "c"]
    assert named(tables.sorted([full("c__p"), full("a")])) == ["a", "c__p"]
    assert named(tables.sorted([full("a"), full("a"), full("b")])) == ["b", "a"]
    assert tables.sorted([]) == []


def test_sorting_a_graph():
    specs = {s.name.full: s for s in (spec("a", "b"), spec("b", "c"), spec("c"), spec("c__p", "c"))}
    dependencies = Dependencies(lambda: specs)
    assert named(topo_sort(dependencies)) == ["c", "c__p", "b", "a"]
    drawn = networkx.DiGraph(dependencies.edges)
    assert topo_sort(drawn) == topo_sort(dependencies)
    assert topo_sort(networkx.DiGraph()) == []


def test_cycles_elsewhere_do_not_matter():
    tables = graph(spec("a", "b"), spec("b", "a"), spec("c"), spec("d", "c"))
    assert named(tables.sorted([full("d"), full("c")])) == ["c", "d"]


# -- several schemas ------------------------------------------------------------------------------


@pytest.fixture
def pipeline():
    """Two schemas: a diamond, parts, a renamed and a secondary foreign key."""
    return graph(
        spec("subject"),
        spec("rig.#probe", key=("probe",)),
        spec("rig.#probe__site", ("rig.#probe", ("probe", "probe")), key=("probe", "site")),
        spec("session", "subject", key=("id", "session")),
        spec("session__trial", ("session", ("id", "id"), ("session", "session")),
             key=("id", "session", "trial")),
        spec(
            "ephys._recording",
            ("session", ("id", "id"), ("session", "session")),
            ("rig.#probe", ("probe", "probe")),
            key=("id", "session"),
            secondary=("probe",),
        ),
        spec(
            "ephys.__match",
            ("ephys._recording", ("id", "id"), ("first", "session")),
            ("ephys._recording", ("id", "id"), ("second", "session")),
            key=("id", "first", "second"),
        ),
        spec("owner", ("subject", ("owned", "id")), secondary=("owned",), unique=[("owned",)]),
    )  # fmt: skip


def test_order_across_schemas(pipeline):
    assert named(pipeline.sorted(pipeline.tables)) == [
        "subject",
        "rig.#probe",
        "rig.#probe__site",
        "owner",
        "session",
        "session__trial",
        "ephys._recording",
        "ephys.__match",
    ]


def test_tables_of_one_name_in_two_schemas():
    tables = graph(spec("x.a", "y.a"), spec("y.a"), spec("y.a__p", "y.a"), spec("x.a__p", "x.a"))
    assert named(tables.sorted(tables.tables)) == ["y.a", "y.a__p", "x.a", "x.a__p"]
    assert named(tables.parts(full("x.a"))) == ["x.a__p"]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("subject", ["subject"]),
        ("rig.#probe__site", ["rig.#probe", "rig.#probe__site"]),
        ("session__trial", ["subject", "session", "session__trial"]),
        (
            "ephys.__match",
            ["rig.#probe", "subject", "session", "ephys._recording", "ephys.__match"],
        ),
    ],
)
def test_ancestors(pipeline, table, expected):
    found = named(pipeline.ancestors(full(table)))
    assert sorted(found) == sorted(expected)
    assert found[-1] == table
    assert found == [name for name in named(pipeline.sorted(pipeline.tables)) if name in expected]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("ephys.__match", ["ephys.__match"]),
        ("rig.#probe", ["rig.#probe", "rig.#probe__site", "ephys._recording", "ephys.__match"]),
        (
            "subject",
            ["subject", "owner", "session", "session__trial", "ephys._recording", "ephys.__match"],
        ),
    ],
)
def test_descendants(pipeline, table, expected):
    assert named(pipeline.descendants(full(table))) == expected


def test_a_cycle_can_be_reached_but_not_sorted():
    tables = graph(spec("a", "b"), spec("b", "a"))
    with pytest.raises(DataJointError, match="cycle"):
        tables.ancestors(full("a"))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("session", ["session__trial"]),
        ("rig.#probe", ["rig.#probe__site"]),
        ("subject", []),
        ("session__trial", []),
    ],
)
def test_parts(pipeline, table, expected):
    assert named(pipeline.parts(full(table))) == expected


def test_parts_in_order():
    tables = graph(spec("s"), spec("s__a", "s__b"), spec("s__b", "s"), spec("sx__c"))
    assert named(tables.parts(full("s"))) == ["s__b", "s__a"]


# -- edges ----------------------------------------------------------------------------------------


def flags(edges):
    return [(*named([e.parent, e.child]), e.attr_map, e.primary, e.multi, e.aliased) for e in edges]


def test_edges(pipeline):
    same = {"id": "id", "session": "session"}
    assert flags(pipeline.edges_in(full("session"))) == [
        ("subject", "session", {"id": "id"}, True, True, False)
    ]
    assert flags(pipeline.edges_in(full("ephys._recording"))) == [
        ("session", "ephys._recording", same, True, False, False),
        ("rig.#probe", "ephys._recording", {"probe": "probe"}, False, True, False),
    ]
    assert flags(pipeline.edges_in(full("ephys.__match"))) == [
        (
            "ephys._recording",
            "ephys.__match",
            {"id": "id", new: "session"},
            True,
            True,
            True,
        )
        for new in ("first", "second")
    ]
    assert flags(pipeline.edges_in(full("owner"))) == [
        ("subject", "owner", {"owned": "id"}, False, False, True)
    ]
    assert pipeline.edges_in(full("subject")) == []


def test_edges_by_whether_they_are_in_the_key(pipeline):
    recording, subject = full("ephys._recording"), full("subject")
    assert [e.parent for e in pipeline.edges_in(recording, primary=True)] == [full("session")]
    assert [e.parent for e in pipeline.edges_in(recording, primary=False)] == [full("rig.#probe")]
    assert [e.child for e in pipeline.edges_out(subject)] == [full("session"), full("owner")]
    assert [e.child for e in pipeline.edges_out(subject, primary=True)] == [full("session")]
    assert [e.child for e in pipeline.edges_out(subject, primary=False)] == [full("owner")]


def test_foreign_key_partly_in_the_key_is_not_primary():
    tables = graph(
        spec("a", key=("id", "n")),
        spec("b", ("a", ("id", "id"), ("n", "n")), key=("id",), secondary=("n",)),
    )
    (edge,) = tables.edges
    assert (edge.primary, edge.multi) == (False, False)


def test_references_to_tables_that_are_not_known_are_left_out():
    tables = graph(spec("a", "elsewhere.b"), spec("c", "a"))
    assert [(e.parent, e.child) for e in tables.edges] == [(full("a"), full("c"))]
    assert named(tables.ancestors(full("c"))) == ["a", "c"]


@pytest.mark.parametrize("method", ["ancestors", "descendants", "edges_in", "edges_out"])
def test_unknown_tables(pipeline, method):
    with pytest.raises(MissingTableError, match=r"`lab`.`nothing` is not declared"):
        getattr(pipeline, method)("`lab`.`nothing`")


def test_table_name():
    assert table_name("`lab`.`#probe__site`") == TableName("lab", "#probe__site")


# -- what users see of it -------------------------------------------------------------------------


class Reads:
    """Counts how often the tables are read."""

    def __init__(self, graph):
        self.tables = graph.tables
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.tables


def test_dependencies_are_read_when_needed(pipeline):
    reads = Reads(pipeline)
    dependencies = Dependencies(reads)
    assert reads.count == 0
    assert list(dependencies.nodes) == list(pipeline.tables)
    dependencies.ancestors(full("session"))
    dependencies.parents(full("session"))
    assert reads.count == 1
    dependencies.load(force=False)
    assert reads.count == 1
    dependencies.load()
    assert reads.count == 2
    dependencies.clear()
    assert reads.count == 2
    dependencies.descendants(full("session"))
    assert reads.count == 3


def test_dependencies_see_new_tables_after_clear(pipeline):
    tables = dict(pipeline.tables)
    dependencies = Dependencies(lambda: dict(tables))
    assert len(dependencies.nodes) == 8
    new = spec("new", "subject")
    tables[new.name.full] = new
    assert full("new") not in dependencies.nodes
    dependencies.clear()
    assert full("new") in dependencies.descendants(full("subject"))


def test_dependencies_are_like_a_graph_of_networkx(pipeline):
    dependencies = Dependencies(lambda: pipeline.tables)
    assert list(dependencies) == list(dependencies.nodes()) == list(pipeline.tables)
    assert len(dependencies) == 8
    assert full("session") in dependencies
    assert full("other") not in dependencies
    attributes = pipeline.tables[full("subject")].heading.primary_key
    foreign_key = {
        "primary": True,
        "attr_map": {name: name for name in attributes},
        "aliased": False,
        "multi": True,
    }
    assert dependencies.parents(full("session")) == {full("subject"): foreign_key}
    assert dependencies.children(full("subject"))[full("session")] == foreign_key


def test_unite_master_parts():
    names = ["a", "a__q", "b", "s.c", "s.c__q", "b__q", "d", "a__r", "e__q", "a__q"]
    united = ["a", "a__q", "a__r", "b", "b__q", "s.c", "s.c__q", "d", "e__q"]
    assert named(unite_master_parts(map(full, names))) == united


def test_parents_and_children(pipeline):
    dependencies = Dependencies(lambda: pipeline.tables)
    assert named(dependencies.parents(full("ephys._recording"))) == ["session", "rig.#probe"]
    assert named(dependencies.parents(full("ephys._recording"), primary=True)) == ["session"]
    assert named(dependencies.children(full("rig.#probe"))) == [
        "rig.#probe__site",
        "ephys._recording",
    ]
    assert named(dependencies.children(full("rig.#probe"), primary=False)) == ["ephys._recording"]
    assert named(dependencies.ancestors(full("session"))) == ["subject", "session"]
    assert named(dependencies.descendants(full("ephys._recording"))) == [
        "ephys._recording",
        "ephys.__match",
    ]
    edge = dependencies.parents(full("owner"))[full("subject")]
    assert (edge["attr_map"], edge["primary"]) == ({"owned": "id"}, False)
