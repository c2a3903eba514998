"""Schemas made elsewhere: spawned classes, virtual modules, saved source and stubs (manual 6.1)."""

import logging
import re
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datajoint as dj
from datajoint.declare import TableName
from datajoint.errors import MissingTableError
from datajoint.schemas import VirtualModule
from datajoint.table import lookup_class_name

from .definitions import ADAPTERS, DEFINITIONS, OWN_LINES, STORES, Lab, definitions, examples


def declare_lab(schema):
    """Declare a small pipeline whose classes nobody keeps."""

    @schema
    class Subject(dj.Manual):
        definition = """
        # who it is about
        subject_id : int
        ---
        born = null : date
        """

    @schema
    class Method(dj.Lookup):
        definition = "method : varchar(8)"
        contents = (("fast",), ("slow",))

    @schema
    class Recording(dj.Imported):
        definition = """
        -> Subject
        ---
        signal : longblob
        """

    @schema
    class Sorting(dj.Computed):
        definition = """
        -> Recording
        -> Method
        """

        class Unit(dj.Part):
            definition = """
            -> master
            unit : int
            """

        class Spike(dj.Part):
            definition = """
            -> Sorting.Unit
            spike : int
            """

    Subject.insert([(1, "2026-01-02"), (2, None)])
    Recording.insert1((1, [1, 2]), allow_direct_insert=True)


@pytest.fixture
def lab(make_schema):
    """A schema with a pipeline, as another program sees it."""
    declare_lab(make_schema())
    return make_schema()


@pytest.fixture
def module(lab):
    return dj.VirtualModule("lab", lab.database, connection=lab.connection)


def create(schema, name, column="a"):
    """Create a table as other programs can."""
    quote = schema.connection.dialect
    table = quote.table(schema.database, name)
    schema.connection.query(f"CREATE TABLE {table} ({quote.quote(column)} INT PRIMARY KEY)")


# -- names that existing code uses ----------------------------------------------------------------


def test_names_of_classes(module):
    assert module.Recording.class_name == module.Recording().class_name == "Recording"
    assert module.Sorting.Unit().class_name == "Unit"
    name = module.Recording.full_table_name
    assert lookup_class_name(name, {"Rec": module.Recording}) == "Rec"
    assert lookup_class_name(name, {"lab": module}) == "lab.Recording"
    assert lookup_class_name(module.Sorting.Unit.full_table_name, {"S": module.Sorting}) == "S.Unit"
    assert lookup_class_name(name, {"name": name}) is None


def test_what_a_connection_was_opened_with(connect, target, tmp_path):
    connection = connect()
    options = target.options(tmp_path)
    for name in ("host", "port", "user"):
        if name in options:
            assert connection.conn_info[name] == options[name]
    assert connection.conn_info["passwd"] == options.get("password")
    assert connection.init_fun is None
    configured = dj.Connection(**options, init_fun="SELECT 1")
    assert configured.init_fun == "SELECT 1"
    configured.close()


# -- spawned classes ------------------------------------------------------------------------------


def test_spawn_into_a_context(lab):
    context = {}
    lab.spawn_missing_classes(context)
    assert sorted(context) == ["Method", "Recording", "Sorting", "Subject"]
    tiers = {"Method": dj.Lookup, "Recording": dj.Imported, "Sorting": dj.Computed}
    for name, tier in {**tiers, "Subject": dj.Manual}.items():
        assert issubclass(context[name], tier)
        assert context[name].__name__ == context[name].__qualname__ == name
        assert context[name].tier == tier.tier
    unit = context["Sorting"].Unit
    assert issubclass(unit, dj.Part)
    assert unit().master is context["Sorting"]
    assert unit.__qualname__ == "Sorting.Unit"
    assert unit.full_table_name == f"`{lab.database}`.`__sorting__unit`"


def test_spawned_classes_are_tables(lab):
    context = {}
    lab.spawn_missing_classes(context)
    Subject, Recording, Method = (context[name] for name in ("Subject", "Recording", "Method"))
    assert (Subject - Recording).fetch("subject_id").tolist() == [2]
    assert Subject.heading.comment == "who it is about"
    Subject.insert1((3, None))
    assert len(Subject()) == 3
    assert Method.fetch("method").tolist() == ["fast", "slow"]
    assert context["Sorting"].progress(display=False) == (2, 2)
    with pytest.raises(dj.DataJointError, match="auto-populated table"):
        Recording.insert1((2, [1]))


def test_definitions_of_spawned_classes(lab):
    context = {}
    lab.spawn_missing_classes(context)
    text = "# who it is about\nsubject_id           : int\n---\nborn=null            : date\n"
    assert context["Subject"].definition == text
    assert context["Subject"]().definition == text
    assert context["Recording"].definition == ("-> Subject\n---\nsignal               : longblob\n")
    assert context["Sorting"].Unit.definition == ("-> Sorting\nunit                 : int\n---\n")


def test_spawned_classes_have_no_make(lab):
    context = {}
    lab.spawn_missing_classes(context)
    Sorting = context["Sorting"]
    with pytest.raises(NotImplementedError, match="does not tell how it is computed"):
        Sorting.populate(reserve_jobs=True, suppress_errors=True)
    assert len(lab.jobs) == 0
    Sorting.make = lambda self, key: self.insert1(key)
    Sorting.populate()
    assert len(Sorting()) == 2


def test_spawned_classes_are_not_declared_again(lab):
    events = len(lab.log)
    lab.spawn_missing_classes({})
    lab.spawn_missing_classes({})
    assert len(lab.log) == events


def test_spawn_at_the_level_of_a_module(lab):
    namespace = {"lab": lab, "__name__": "analysis"}
    exec("lab.spawn_missing_classes()\nkeys = Subject.fetch('subject_id').tolist()", namespace)
    assert namespace["keys"] == [1, 2]
    assert namespace["Sorting"].Unit.__module__ == "analysis"


def test_spawn_in_a_function_says_what_it_cannot_do(lab, caplog):
    lab.spawn_missing_classes()
    assert caplog.messages == [
        f"Classes of schema `{lab.database}` do not become variables of the function "
        "`test_spawn_in_a_function_says_what_it_cannot_do`: give the context to put them into, "
        "or use dj.VirtualModule"
    ]
    caplog.clear()
    here = {}
    lab.spawn_missing_classes(here)
    assert caplog.messages == []
    assert len(here) == 4


def test_spawn_by_a_derived_schema(lab):
    class Logged(dj.Schema):
        def spawn_missing_classes(self, context=None):
            super().spawn_missing_classes(context)

    namespace = {"schema": Logged(lab.database, connection=lab.connection)}
    exec("schema.spawn_missing_classes()\nkeys = len(Subject())", namespace)
    assert namespace["keys"] == 2


def test_classes_that_exist_are_kept(lab):
    @lab
    class Subject(dj.Manual):
        definition = "subject_id : int"

    @lab
    class Recording(dj.Imported):
        definition = "-> Subject"

    context = {"Animal": Subject, "Recording": Recording}
    lab.spawn_missing_classes(context)
    assert sorted(context) == ["Animal", "Method", "Recording", "Sorting"]
    assert context["Recording"] is Recording


def test_parts_are_given_to_existing_masters(lab):
    lab.spawn_missing_classes(others := {})

    @lab
    class Sorting(dj.Computed):
        definition = ""

        class Unit(dj.Part):
            definition = ""

    unit = Sorting.Unit
    context = {**others, "Sorting": Sorting}
    lab.spawn_missing_classes(context)
    assert context["Sorting"] is Sorting
    assert Sorting.Unit is unit
    assert Sorting.Spike().master is Sorting
    assert Sorting.Spike.full_table_name == f"`{lab.database}`.`__sorting__spike`"


def test_the_context_of_the_schema(make_schema):
    declare_lab(make_schema())
    context = {}
    make_schema(context=context).spawn_missing_classes()
    assert sorted(context) == ["Method", "Recording", "Sorting", "Subject"]


def test_tables_that_others_declare_meanwhile(lab, connect):
    lab.spawn_missing_classes(context := {})
    other = dj.Schema(lab.database, connection=connect())

    @other
    class Late(dj.Manual):
        definition = "late : int"

    lab.spawn_missing_classes(context)
    assert context["Late"].heading.names == ["late"]


def test_names_with_another_meaning_are_kept(lab, caplog):
    lab.spawn_missing_classes(context := {"Sorting": "mine"})
    assert context["Sorting"] == "mine"
    assert sorted(context) == ["Method", "Recording", "Sorting", "Subject"]
    assert caplog.messages == [
        f"Table `{lab.database}`.`__sorting` has no class: `Sorting` means something else here. "
        "Rename that, or give another context, as in `dj.VirtualModule`"
    ]


def test_classes_of_other_schemas_are_something_else(lab, make_schema, caplog):
    other = make_schema("other")

    @other
    class Subject(dj.Manual):
        definition = "number : int"

    lab.spawn_missing_classes(context := {"Subject": Subject})
    assert context["Subject"] is Subject
    assert "`Subject` means something else here" in caplog.text


def test_tables_without_a_class(schema, caplog):
    for name in ("sub_2", "foo__bar", "none", "fine", "_fine"):
        create(schema, name)
    with caplog.at_level(logging.INFO):
        module = dj.VirtualModule("m", schema.database, connection=schema.connection)
    assert [name for name in vars(module) if name[0].isupper()] == ["Fine"]
    assert module.Fine.table_name == "_fine"
    reasons = {
        "sub_2": "its name is that of no class",
        "foo__bar": "its name is that of a part of `foo`, which has no class",
        "none": "`None` means something else in Python",
        "fine": "its class would be `Fine`, as that of `_fine`",
    }
    messages = [message for message in caplog.messages if "gets no class" in message]
    assert sorted(messages) == sorted(
        f"Table `{schema.database}`.`{name}` gets no class: {reason}. It is reached as "
        f"dj.FreeTable(dj.conn(), '`{schema.database}`.`{name}`')"
        for name, reason in reasons.items()
    )
    free = dj.FreeTable(schema.connection, f"`{schema.database}`.`sub_2`")
    assert free.heading.names == ["a"]
    assert schema.code.count("# Not here: ") == 4
    assert f"# Not here: `{schema.database}`.`none`, because `None` means" in schema.code
    assert "class Fine(dj.Imported):" in schema.code


# -- virtual modules ------------------------------------------------------------------------------


def test_virtual_module(lab, module):
    assert isinstance(module, types.ModuleType)
    assert module.__name__ == "lab"
    assert repr(module) == "<module 'lab'>"
    assert module.schema.database == lab.database
    assert (module.Subject - module.Recording).fetch1("subject_id") == 2
    assert module.Sorting.Unit.__module__ == "lab"
    assert dj.create_virtual_module is dj.VirtualModule is VirtualModule
    with pytest.raises(AttributeError) as error:
        _ = module.Recordings
    assert str(error.value) == (
        "The virtual module `lab` has no table class `Recordings`; did you mean `Recording`?"
    )


def test_virtual_module_in_a_diagram(lab, module):
    assert dj.Diagram(module).topological_sort() == dj.Diagram(lab).topological_sort()
    assert "Sorting.Spike (part)" in dj.Diagram(module).make_text()


def test_virtual_module_of_no_schema(connection):
    with pytest.raises(dj.DataJointError) as error:
        dj.VirtualModule("what", "nonexistent", connection=connection)
    assert str(error.value) == (
        "Database named `nonexistent` was not defined. Set argument create_schema=True to "
        "create it."
    )
    assert "nonexistent" not in connection.list_schemas()


def test_virtual_module_that_creates(connection, schema_name):
    module = dj.VirtualModule(
        "new", schema_name, create_schema=True, create_tables=True, connection=connection
    )

    @module.schema
    class Item(dj.Manual):
        definition = "item : int"

    assert module.schema.exists
    assert Item.is_declared


def test_foreign_keys_to_a_virtual_module(module, make_schema):
    own = make_schema("own")

    @own
    class Note(dj.Manual):
        definition = """
        -> module.Subject
        -> module.Sorting.Unit.proj(other='subject_id')
        """

    assert Note.primary_key == ["subject_id", "other", "method", "unit"]
    assert len(Note.parents()) == 2


def test_virtual_module_does_not_create_tables(lab, module):
    class Example(dj.Manual):
        definition = "-> module.Subject"

    with pytest.raises(MissingTableError) as error:
        module.schema(Example)
    assert str(error.value) == (
        f"Table `{lab.database}`.`example` is not declared, and the schema was activated with "
        "create_tables=False: activate it with create_tables=True to declare tables"
    )
    assert "example" not in lab.list_tables()
    module = dj.VirtualModule("lab", lab.database, create_tables=True, connection=lab.connection)
    assert module.schema(Example) is Example
    assert "example" in lab.list_tables()


def test_virtual_module_with_more_objects(lab, caplog):
    objects = {"Subject": "mine", "answer": 42}
    module = dj.VirtualModule("lab", lab.database, connection=lab.connection, add_objects=objects)
    assert (module.Subject, module.answer) == ("mine", 42)
    assert "`Subject` means something else here" in caplog.text


# -- the schema -----------------------------------------------------------------------------------


def test_parents_come_first_by_way_of_other_schemas(make_schema):
    first, second = make_schema(), make_schema("second")

    @first
    class Zebra(dj.Manual):
        definition = "zebra : int"

    @second
    class Middle(dj.Manual):
        definition = "-> Zebra"

    @first
    class Antelope(dj.Manual):
        definition = "-> Middle"

    assert first.list_tables() == ["zebra", "antelope"]


def test_activation_with_all_arguments(connection, make_schema, schema_name):
    parents = make_schema("parents")

    @parents
    class Subject(dj.Manual):
        definition = "subject_id : int"

    schema = dj.Schema(create_schema=False, create_tables=False)
    assert not schema.is_activated()
    assert repr(schema) == "Schema (not activated)"
    with pytest.raises(dj.DataJointError, match="was not defined"):
        schema.activate(schema_name, connection=connection)

    @schema
    class Visit(dj.Manual):
        definition = "-> Person"

    schema.activate(
        schema_name,
        connection=connection,
        create_schema=True,
        create_tables=True,
        add_objects={"Person": Subject},
    )
    assert Visit.parents() == [Subject.full_table_name]
    assert repr(schema) == f"Schema `{schema_name}`"
    assert schema.exists
    assert schema.connection is connection
    assert schema.size_on_disk >= Visit.size_on_disk > 0


def test_what_needs_an_activated_schema():
    schema = dj.Schema()
    uses = (
        lambda: schema.list_tables(),
        lambda: schema.code,
        lambda: schema.save("x.py"),
        lambda: schema.spawn_missing_classes({}),
        lambda: schema.exists,
        lambda: schema.size_on_disk,
        lambda: schema.jobs,
        lambda: schema.drop(),
    )
    for use in uses:
        with pytest.raises(dj.DataJointError, match=r"not activated: call `schema.activate"):
            use()
    with pytest.raises(dj.DataJointError, match="Give the name of the schema"):
        schema.activate()


# -- saved source ---------------------------------------------------------------------------------


def content(schema):
    """All that the database knows of the tables of a schema, its own name left out."""
    return {
        name: (
            spec.heading,
            Counter(spec.heading.secondary_indexes),
            Counter(
                (fk.parent.schema.replace(schema.database, ""), fk.parent.table, fk.attributes)
                for fk in spec.foreign_keys
            ),
        )
        for name, spec in schema.connection.tables(schema.database).items()
        if not name.startswith("~")
    }


@pytest.fixture
def check_source(connection, make_schema, schema_name, monkeypatch):
    """Run the source of a schema under another name, and compare the tables."""
    monkeypatch.setattr(dj.conn, "connection", connection)
    copies = iter(range(1000))

    def check(schema, **names):
        source = schema.code
        name = f"copy{next(copies)}_{schema_name}"
        copy = source.replace(f"'{schema.database}'", f"'{name}'")
        copy = copy.replace(f"`{schema.database}`", f"`{name}`")
        namespace = {"__name__": "copy", **names}
        exec(compile(copy, "copy.py", "exec"), namespace)
        made = namespace["schema"]
        assert content(made) == content(schema), source
        assert made.code == copy
        assert schema.code == source
        made.drop(force=True)

    return check


def test_source_of_a_small_pipeline(lab, check_source):
    assert lab.code == (
        f'''\
"""The tables of the schema `{lab.database}`, written by DataJoint from the database.

Not in here: the `make` of computed tables, which the database does not have, and the contents of
lookup tables, which it keeps.
"""

import datajoint as dj

schema = dj.Schema('{lab.database}')


@schema
class Method(dj.Lookup):
    definition = """
    method               : varchar(8)
    ---
    """


@schema
class Subject(dj.Manual):
    definition = """
    # who it is about
    subject_id           : int
    ---
    born=null            : date
    """


@schema
class Recording(dj.Imported):
    definition = """
    -> Subject
    ---
    signal               : longblob
    """


@schema
class Sorting(dj.Computed):
    definition = """
    -> Recording
    -> Method
    ---
    """

    class Unit(dj.Part):
        definition = """
        -> master
        unit                 : int
        ---
        """

    class Spike(dj.Part):
        definition = """
        -> Sorting.Unit
        spike                : int
        ---
        """
'''
    )
    check_source(lab)


def test_source_is_returned_or_written(lab):
    assert lab.save() == lab.code
    assert lab.save("lab.py") is None
    assert Path("lab.py").read_text(encoding="utf-8") == lab.code
    with pytest.raises(dj.DataJointError, match="`format` is one of python, stubs, not 'yaml'"):
        lab.save(format="yaml")


def test_source_that_cannot_be_written(lab, tmp_path):
    path = tmp_path / "nowhere" / "lab.py"
    with pytest.raises(dj.DataJointError) as error:
        lab.save(path)
    assert str(error.value) == f"Cannot write {path}: No such file or directory"


def test_source_of_an_empty_schema(schema, check_source):
    check_source(schema)


def test_source_of_definitions_by_hand(schema, make_schema, check_source):
    lab = Lab(schema, make_schema())
    for text in [*DEFINITIONS.values(), *OWN_LINES.values()]:
        lab.declare(text)
    check_source(schema, **ADAPTERS)


@pytest.mark.random
def test_source_of_any_definitions(schema, make_schema, check_source):
    other = make_schema()

    @examples(8)
    @given(st.lists(definitions(), min_size=1, max_size=5))
    def check(texts):
        own = make_schema()
        lab = Lab(own, other)
        for text in texts:
            lab.declare(text)
        check_source(own, **ADAPTERS)
        own.drop(force=True)

    with STORES():
        check()


def test_source_without_what_no_definition_declares(schema, check_source):
    @schema
    class Good(dj.Manual):
        definition = "good : int"

    dialect, database = schema.connection.dialect, schema.database
    keyless = dialect.table(database, "keyless")
    schema.connection.query(f"CREATE TABLE {keyless} (a INT)")
    create(schema, "good__stray")
    create(schema, "keyless__part")
    code = schema.code
    assert re.findall("# Not here: .*", code) == [
        f"# Not here: `{database}`.`good__stray`, because it is named as a part but does not "
        "refer to its master.",
        f"# Not here: `{database}`.`keyless`, because it has no primary key.",
        f"# Not here: `{database}`.`keyless__part`, because it is named as a part but does not "
        "refer to its master.",
    ]
    assert re.findall("class .*:", code) == ["class Good(dj.Manual):"]
    stubs = schema.save(format="stubs")  # of a virtual module, which has them
    assert re.findall("class .*:", stubs) == [
        "class Good(dj.Manual):",
        "class Stray(dj.Part):",
        "class Keyless(dj.Manual):",
        "class Part(dj.Part):",
    ]


def test_source_without_types_of_other_programs(schema, backend):
    if backend == "sqlite":
        pytest.skip("every type of SQLite has a counterpart")
    dialect, database = schema.connection.dialect, schema.database
    parent, child = dialect.table(database, "place"), dialect.table(database, "place__part")
    schema.connection.query(f"CREATE TABLE {parent} (a INT PRIMARY KEY, b POINT)")
    schema.connection.query(
        f"CREATE TABLE {child} (a INT PRIMARY KEY, FOREIGN KEY (a) REFERENCES {parent} (a))"
    )
    type_ = schema.connection.table(TableName(database, "place")).heading["b"].type
    assert re.findall("# Not here: .*", schema.code) == [
        f"# Not here: `{database}`.`place`, because no definition has the type `{type_}` of `b`.",
        f"# Not here: `{database}`.`place__part`, because its master is not here either.",
    ]
    assert "class " not in schema.code


def test_source_with_texts_that_python_reads_otherwise(schema, check_source):
    @schema
    class Item(dj.Manual):
        definition = (
            '# three quotes """ here, and at the end "\n'
            'item : int # a \\n, a \\ and \'\'\' and """ and \\""" and 長さ \u200b in µm\\\n'
            "---\n"
            'quoted = "\\"" : varchar(4) # {braces} %s "\n'
        )

    check_source(schema)
    assert "長さ \\u200b in µm" in schema.code


def test_source_refers_to_other_schemas(make_schema, check_source):
    names = ("other", "1st")
    parents = []
    for name in names:
        schema = make_schema(name)

        @schema
        class Subject(dj.Manual):
            definition = "subject_id : int"

            class Detail(dj.Part):
                definition = "-> master"

        parents.append(Subject)
    create(schema, "sub_2", "number")
    First, Second = parents
    own = make_schema("own")

    @own
    class Visit(dj.Manual):
        definition = f"""
        -> First
        -> Second.proj(second='subject_id')
        -> Second.Detail.proj(third='subject_id')
        -> `{Second.database}`.`sub_2`
        """

    code = own.code
    first, second = First.database, Second.database
    assert f"{first} = dj.VirtualModule('{first}', '{first}')\n" in code
    assert f"    -> {first}.Subject\n" in code
    assert f'    -> {second}.Subject.proj(second="subject_id")\n' in code
    assert f'    -> {second}.Subject.Detail.proj(third="subject_id")\n' in code
    assert f"    -> `{second}`.`sub_2`\n" in code
    check_source(own)


def test_source_of_schemas_that_refer_to_each_other(make_schema, connection, monkeypatch):
    monkeypatch.setattr(dj.conn, "connection", connection)
    lab, rig, top = make_schema("lab"), make_schema("rig"), make_schema("top")

    @top
    class Site(dj.Manual):
        definition = "site : int"

    @lab
    class A(dj.Manual):
        definition = "-> Site"

    @rig
    class B(dj.Manual):
        definition = "-> A"

    @lab
    class C(dj.Manual):
        definition = "c : int"

        class D(dj.Part):
            definition = "-> master\n-> B"

    name = rig.database
    expected = f"""\
{top.database} = dj.VirtualModule('{top.database}', '{top.database}')


@schema
class A(dj.Manual):
    definition = \"\"\"
    -> {top.database}.Site
    ---
    \"\"\"


# Tables of the schema `{name}` refer to tables of this one, and tables below refer to them.
# On an empty database, this stops here: run the source of `{name}` then, and this one again.
{name} = dj.VirtualModule('{name}', '{name}')


@schema
class C(dj.Manual):
"""
    assert expected in lab.code
    assert f"the source of `{lab.database}` then" in rig.code
    before = [content(schema) for schema in (lab, rig)]
    own, other = lab.code, rig.code
    C.drop()
    rig.drop()
    lab.drop()
    with pytest.raises(dj.DataJointError, match=f"`{name}` was not defined"):
        exec(own, {"__name__": "lab"})
    exec(other, {"__name__": "rig"})
    exec(own, {"__name__": "lab"})
    for schema in (lab, rig):
        schema.connection.forget_catalog(schema.database)
    assert [content(schema) for schema in (lab, rig)] == before
    assert [lab.code, rig.code] == [own, other]


@pytest.mark.parametrize("name", ["2nd-lab", "class", "dj", "Visit", "master", "größe"])
def test_source_names_the_modules_of_other_schemas(make_schema, connection, name):
    parents = dj.Schema(name, connection=connection)

    @parents
    class Subject(dj.Manual):
        definition = "subject_id : int"

    own = make_schema()

    @own
    class Visit(dj.Manual):
        definition = "visit : int"

        class Who(dj.Part):
            definition = "-> master\n-> Subject"

    module = {
        "2nd-lab": "vmod_2nd_lab",
        "class": "vmod_class",
        "dj": "dj_",
        "Visit": "Visit_",
        "master": "master_",
        "größe": "gr__e",
    }[name]
    assert f"\n{module} = dj.VirtualModule('{module}', '{name}')\n" in own.code
    assert f"-> {module}.Subject\n" in own.code
    compile(own.code, "own.py", "exec")


def test_source_of_parts_that_come_later(schema, check_source):
    @schema
    class Session(dj.Manual):
        definition = "session : int"

        class Trial(dj.Part):
            definition = "-> master\ntrial : int"

    @schema
    class Analysis(dj.Computed):
        definition = "-> Session"

    class Best(dj.Part):
        definition = "-> master\n---\n-> Analysis"

    Session.Best = Best
    schema(Session)
    assert "Session.Best = type('Best', (dj.Part,), " in schema.code
    check_source(schema)


def test_source_of_parts_that_hide_other_classes(schema, check_source):
    @schema
    class Subject(dj.Manual):
        definition = "subject_id : int"

    @schema
    class Session(dj.Manual):
        definition = "session : int"

        class Trial(dj.Part):
            definition = "-> master\ntrial : int"

    class Who(dj.Part):
        definition = "-> master\n-> Parent"

    class SubjectPart(dj.Part):
        definition = "-> master\nn : int"

    class SessionPart(dj.Part):
        definition = "-> master\n-> Session.Trial"

    SubjectPart.__name__, SessionPart.__name__ = "Subject", "Session"
    Session.Who = Who
    schema(Session, context={"Parent": Subject, "Session": Session})
    Session.Subject = SubjectPart
    schema(Session, context={"Parent": Subject, "Session": Session})
    Session.SessionPart = SessionPart
    schema(Session, context={"Parent": Subject})
    assert f"        -> `{schema.database}`.`subject`\n" in schema.code
    check_source(schema)


# -- stubs ----------------------------------------------------------------------------------------

USE = """\
import datajoint as dj
import lab

subject = (lab.Subject & "subject_id = 1").fetch1()
reveal_type(subject)
reveal_type(subject["born"])
reveal_type((lab.Subject() & {"subject_id": 1}).fetch1("born"))
reveal_type([row["unit"] for row in lab.Sorting.Unit()])
reveal_type(lab.schema)
row: lab.Method.Row = {"method": "fast"}
reveal_type((lab.Any & {"class": 1}).fetch1())
row2: lab.Any.Row.Row = {"class": 1, "row": 2}
subject["name"]
lab.Subjects
"""

ODD = """
class : int
---
from = null : decimal(4,1)
image = null : longblob  # \""" \\
at : time(3)
moment = CURRENT_TIMESTAMP : timestamp
who : uuid
ok : bool
y : year
x : double
e : enum('a', 'b')
"""


def test_stubs_for_a_type_checker(tmp_path):
    """On one database: the stubs are the same on all."""
    pytest.importorskip("mypy")
    connection = dj.Connection(backend="sqlite", path="test.db")
    schema = dj.Schema("lab", connection=connection)
    declare_lab(schema)
    part = type("Row", (dj.Part,), {"definition": "-> master\nrow : int"})
    schema(type("Any", (dj.Manual,), {"definition": ODD, "Row": part}))
    schema.save("lab.pyi", format="stubs")
    connection.close()
    Path("use.py").write_text(USE)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports=silent",
            "--hide-error-codes",
            "use.py",
            "lab.pyi",
        ],
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(Path(dj.__file__).parents[1]), "HOME": str(tmp_path)},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        'use.py:5: note: Revealed type is "TypedDict(lab.Subject.Row, '
        "{'subject_id': int, 'born': datetime.date | None})\"",
        'use.py:6: note: Revealed type is "datetime.date | None"',
        'use.py:7: note: Revealed type is "Any"',
        'use.py:8: note: Revealed type is "list[int]"',
        'use.py:9: note: Revealed type is "datajoint.schemas.Schema"',
        'use.py:11: note: Revealed type is "TypedDict(lab.Any.Row_, '
        "{'class': int, 'from': decimal.Decimal | None, 'image': Any | None, "
        "'at': datetime.timedelta, 'moment': datetime.datetime, 'who': uuid.UUID, "
        "'ok': int, 'y': int, 'x': float, 'e': str})\"",
        'use.py:13: error: TypedDict "Row" has no key "name"',
        'use.py:14: error: Module has no attribute "Subjects"; maybe "Subject"?',
        "Found 2 errors in 1 file (checked 2 source files)",
    ]


def test_stubs(lab):
    assert lab.save(format="stubs").endswith(
        '''
class Sorting(dj.Computed):
    """
    -> Recording
    -> Method
    ---
    """

    Row = typing.TypedDict("Row", {"subject_id": int, "method": str})

    def __iter__(self) -> collections.abc.Iterator[Row]: ...  # type: ignore[override]
    @typing.overload
    def fetch1(self) -> Row: ...
    @typing.overload
    def fetch1(self, *attrs: typing.Any, **options: typing.Any) -> typing.Any: ...

    class Unit(dj.Part):
        """
        -> master
        unit                 : int
        ---
        """

        Row = typing.TypedDict("Row", {"subject_id": int, "method": str, "unit": int})

        def __iter__(self) -> collections.abc.Iterator[Row]: ...  # type: ignore[override]
        @typing.overload
        def fetch1(self) -> Row: ...
        @typing.overload
        def fetch1(self, *attrs: typing.Any, **options: typing.Any) -> typing.Any: ...

    class Spike(dj.Part):
        """
        -> Sorting.Unit
        spike                : int
        ---
        """

        Row = typing.TypedDict("Row", {"subject_id": int, "method": str, "unit": int, "spike": int})

        def __iter__(self) -> collections.abc.Iterator[Row]: ...  # type: ignore[override]
        @typing.overload
        def fetch1(self) -> Row: ...
        @typing.overload
        def fetch1(self, *attrs: typing.Any, **options: typing.Any) -> typing.Any: ...
'''
    )
