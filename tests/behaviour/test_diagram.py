"""Diagrams: which tables they show, their algebra, and what they look like as text."""

from types import ModuleType, SimpleNamespace

import pytest

import datajoint as dj
from datajoint.errors import DataJointError


@pytest.fixture
def lab(schema):
    """Declare a small pipeline with a table of every tier and every kind of foreign key."""

    @schema
    class Subject(dj.Manual):
        definition = "subject : int"

    @schema
    class Probe(dj.Lookup):
        definition = "probe : varchar(8)"

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        ---
        -> [nullable] Probe
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int
            """

    @schema
    class Recording(dj.Imported):
        definition = "-> Session"

    @schema
    class Stats(dj.Computed):
        definition = """
        -> Recording
        ---
        -> [unique] Subject.proj(other="subject")
        """

    return SimpleNamespace(
        schema=schema,
        Subject=Subject,
        Probe=Probe,
        Session=Session,
        Recording=Recording,
        Stats=Stats,
    )


def shown(diagram):
    """Name the tables of a diagram, without their schema."""
    return {name.split("`.`")[1].strip("`") for name in diagram.nodes_to_show}


ALL = {"subject", "#probe", "session", "session__trial", "_recording", "__stats"}

TEXT = """\
╟── Probe (lookup)
╎   └─╼ Session (manual) ╾ Subject (manual)
╎       ├─╼ Recording (imported)
╎       │   └─╼ Stats (computed) ╾ Subject (manual)
╎       └─╼ Session.Trial (part)
╙── Subject (manual)
    └─╼  ..."""

NODES = """\
flowchart TD
    t0[/"Probe"/]:::lookup
    t1["Subject"]:::manual
    t2["Session"]:::manual
    t3>"Session.Trial"]:::part
    t4(["Recording"]):::imported
    t5(("Stats")):::computed"""

EDGES = """\
    t0 -.-> t2
    t1 --> t2
    t1 -.-> t5
    t2 --> t3
    t2 ==> t4
    t4 ==> t5"""

STYLES = """\
    classDef manual fill:#0f03,stroke:#060
    classDef lookup fill:#8883,stroke:#666
    classDef imported fill:#00f3,stroke:#006
    classDef computed fill:#f003,stroke:#600
    classDef part fill:#0000,stroke:#888"""


# -- text -----------------------------------------------------------------------------------------


def test_text(lab):
    diagram = dj.Diagram(lab.schema)
    assert diagram.make_text() == TEXT
    assert str(diagram) == TEXT
    assert repr(diagram) == TEXT


def test_mermaid(lab):
    text = dj.Diagram(lab.schema).make_mermaid()
    lines = text.split("\n")
    # The order of the arrows is that in which the database lists the tables.
    assert "\n".join([*lines[:7], *sorted(lines[7:13]), *lines[13:]]) == (
        f"{NODES}\n{EDGES}\n{STYLES}"
    )
    assert dj.Diagram(lab.schema).make_mermaid() == text


def test_markdown(lab):
    diagram = dj.Diagram(lab.schema)
    assert diagram._repr_markdown_() == f"```mermaid\n{diagram.make_mermaid()}\n```"


def test_one_table(lab):
    diagram = dj.Diagram(lab.Session.Trial)
    assert diagram.make_text() == "╙── Session.Trial (part)"
    assert diagram.make_mermaid() == f'flowchart TD\n    t0>"Session.Trial"]:::part\n{STYLES}'


def test_labels_name_the_schema_where_there_are_several(lab, make_schema):
    other = make_schema("other")

    @other
    class Note(dj.Manual):
        definition = """
        -> lab.Session
        note : int
        """

    diagram = dj.Diagram(lab.Session) + Note
    assert diagram.make_text() == (
        f"╙── {lab.schema.database}.Session (manual)\n    └─╼ {other.database}.Note (manual)"
    )


def test_empty_schema(schema):
    diagram = dj.Diagram(schema)
    assert diagram.nodes_to_show == frozenset()
    assert diagram.topological_sort() == []
    assert diagram.make_mermaid() == f"flowchart TD\n{STYLES}"
    assert isinstance(str(diagram), str)


# -- what is shown --------------------------------------------------------------------------------


def test_sources(lab):
    module = ModuleType("pipeline")
    module.schema = lab.schema
    assert shown(dj.Diagram(lab.schema)) == ALL
    assert shown(dj.Diagram(module)) == ALL
    assert shown(dj.Diagram(lab.Session)) == {"session"}
    assert shown(dj.Diagram(lab.Session())) == {"session"}
    assert shown(dj.Diagram(lab.Session.Trial)) == {"session__trial"}
    assert shown(dj.Diagram(dj.Diagram(lab.Probe))) == {"#probe"}
    assert shown(dj.Diagram.from_sequence([lab.Probe, lab.Session])) == {"#probe", "session"}
    assert dj.ERD is dj.Diagram
    assert dj.Di is dj.Diagram


@pytest.mark.parametrize("source", [5, None, "session", dict])
def test_what_has_no_diagram(source):
    with pytest.raises(DataJointError, match="A diagram shows a schema"):
        dj.Diagram(source)


def test_algebra(lab):
    session, whole = dj.Diagram(lab.Session), dj.Diagram(lab.schema)
    assert shown(session + dj.Diagram(lab.Probe)) == {"session", "#probe"}
    assert shown(session + lab.Probe) == {"session", "#probe"}
    assert shown(whole - session) == ALL - {"session"}
    assert shown(whole - lab.Session) == ALL - {"session"}
    assert shown(whole * (session + lab.Stats)) == {"session", "__stats"}
    assert shown(session * dj.Diagram(lab.Probe)) == set()
    assert shown(session) == {"session"}


def test_steps(lab):
    session, subject = dj.Diagram(lab.Session), dj.Diagram(lab.Subject)
    assert shown(session + 1) == {"session", "session__trial", "_recording"}
    assert shown(session + 2) == {"session", "session__trial", "_recording", "__stats"}
    assert shown(session + 99) == {"session", "session__trial", "_recording", "__stats"}
    assert shown(session - 1) == {"session", "subject", "#probe"}
    assert shown(session + 1 - 1) == {
        "session", "session__trial", "_recording", "subject", "#probe"
    }  # fmt: skip
    assert shown(subject + 1) == {"subject", "session", "__stats"}
    assert shown(subject - 1) == {"subject"}
    assert shown(session + 0) == {"session"}


def test_parts(lab):
    assert shown(dj.Diagram(lab.Session).add_parts()) == {"session", "session__trial"}
    assert shown(dj.Diagram(lab.Subject).add_parts()) == {"subject"}


def test_tables_that_are_no_tables_of_users_are_not_shown(lab):
    names = {spec.name.table for spec in lab.schema.connection.tables(lab.schema.database).values()}
    assert shown(dj.Diagram(lab.schema)) == {name for name in names if not name.startswith("~")}


def test_topological_sort(lab):
    names = dj.Diagram(lab.schema).topological_sort()
    assert names == [
        f"`{lab.schema.database}`.`{table}`"
        for table in ("#probe", "subject", "session", "session__trial", "_recording", "__stats")
    ]
    assert (dj.Diagram(lab.Stats) + lab.Subject).topological_sort() == [names[1], names[5]]


# -- the graph ------------------------------------------------------------------------------------


def test_graph(lab):
    graph = dj.Diagram(lab.schema).graph()
    full = {name: f"`{lab.schema.database}`.`{name}`" for name in ALL}
    assert set(graph.nodes) == set(full.values())
    assert graph.nodes[full["session__trial"]] == {"label": "Session.Trial", "tier": "part"}
    assert graph.nodes[full["_recording"]] == {"label": "Recording", "tier": "imported"}
    key = {"subject": "subject", "session": "session"}
    expected = {
        ("#probe", "session"): (False, {"probe": "probe"}, False, True),
        ("subject", "session"): (True, {"subject": "subject"}, False, True),
        ("session", "session__trial"): (True, key, False, True),
        ("session", "_recording"): (True, key, False, False),
        ("_recording", "__stats"): (True, key, False, False),
        ("subject", "__stats"): (False, {"other": "subject"}, True, False),
    }
    found = {
        (parent, child): (data["primary"], data["attr_map"], data["aliased"], data["multi"])
        for parent, child, data in graph.edges(data=True)
    }
    assert found == {(full[p], full[c]): data for (p, c), data in expected.items()}


def test_two_foreign_keys_to_one_parent(schema):
    @schema
    class Cell(dj.Manual):
        definition = "cell : int"

    @schema
    class Synapse(dj.Manual):
        definition = """
        -> Cell.proj(before='cell')
        -> Cell.proj(after='cell')
        """

    graph = dj.Diagram(schema).graph()
    edges = list(graph.edges(data="attr_map"))
    assert [data for _, _, data in edges] == [{"before": "cell"}, {"after": "cell"}]
    assert dj.Diagram(schema).make_mermaid().count("t0 --> t1") == 2
    assert dj.Diagram(schema).make_text() == "╙── Cell (manual)\n    └─╼ Synapse (manual)"


def test_diagram_sees_tables_declared_later(lab):
    diagram = dj.Diagram(lab.Probe)

    @lab.schema
    class Site(dj.Lookup):
        definition = """
        -> lab.Probe
        site : int
        """

    assert shown(diagram + 1) == {"#probe", "session", "#site"}
