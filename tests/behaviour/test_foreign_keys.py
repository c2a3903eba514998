"""Foreign keys: what may stand on their right, what they bring, and what is said of wrong ones."""

from types import ModuleType, SimpleNamespace

import pytest

import datajoint as dj

# ruff: noqa: F841 - classes are referred to in definitions


@pytest.fixture
def lab(make_schema):
    schema = make_schema()

    class Subject(dj.Manual):
        definition = """
        subject : int   # who
        ---
        name = "" : varchar(10)
        """

    class Session(dj.Manual):
        definition = """
        -> Subject
        session : smallint
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int
            """

    class Probe(dj.Lookup):
        definition = """
        probe : varchar(8)
        """

    context = {"Subject": Subject, "Session": Session, "Probe": Probe}
    for class_ in (Subject, Session, Probe):
        schema(class_, context=context)
    return SimpleNamespace(schema=schema, context=context, **context)


def declare(lab, definition, name="Child", base=dj.Manual, context=None, **members):
    class_ = type(name, (base,), {"definition": definition, **members})
    return lab.schema(class_, context={**lab.context, **(context or {})})


def parents(table):
    """The foreign keys of a table: parent, attributes, of the parent."""
    return [
        (fk.parent.table, fk.child_attributes, fk.parent_attributes)
        for fk in table().spec.foreign_keys
    ]


SUBJECT = ("subject", ("subject",), ("subject",))
SESSION = ("session", ("subject", "session"), ("subject", "session"))
TRIAL = ("session__trial", ("subject", "session", "trial"), ("subject", "session", "trial"))


class TestNames:
    """The table that a reference means."""

    @pytest.mark.parametrize(
        "reference",
        ["Subject", " Subject ", "Subject()", "rig.Subject", "rig.deep.Subject", "Instance"],
    )
    def test_in_the_context(self, lab, reference):
        rig = ModuleType("rig")
        rig.Subject, rig.deep = lab.Subject, SimpleNamespace(Subject=lab.Subject)
        child = declare(lab, f"-> {reference}", context={"rig": rig, "Instance": lab.Subject()})
        assert parents(child) == [SUBJECT]

    def test_parts(self, lab):
        rig = ModuleType("rig")
        rig.Session = lab.Session
        assert parents(declare(lab, "-> Session.Trial", "One")) == [TRIAL]
        assert parents(declare(lab, "-> rig.Session.Trial", "Two", context={"rig": rig})) == [TRIAL]

    @pytest.mark.parametrize("reference", ["self.parent", "self().parent", "self.parent()"])
    def test_attributes_of_the_class(self, lab, reference):
        assert parents(declare(lab, f"-> {reference}", parent=lab.Subject)) == [SUBJECT]

    @pytest.mark.parametrize("reference", ["self.parent", "self().parent"])
    def test_properties_of_the_class(self, lab, reference):
        members = {"parent": property(lambda self: lab.Subject)}
        assert parents(declare(lab, f"-> {reference}", **members)) == [SUBJECT]

    def test_attributes_of_a_derived_class(self, lab):
        class Base(dj.Manual):
            parent = None

            @property
            def definition(self):
                return f"""
                -> self.parent
                -> self().parent.proj(second="{self.parent.primary_key[0]}")
                """

        derived = type("Derived", (Base,), {"parent": lab.Probe})
        lab.schema(derived, context={})
        assert parents(derived) == [
            ("#probe", ("probe",), ("probe",)),
            ("#probe", ("second",), ("probe",)),
        ]

    def test_names_around_the_class(self, lab):
        Local = lab.Subject

        @lab.schema
        class Child(dj.Manual):
            definition = "-> Local"

        assert parents(Child) == [SUBJECT]

    @pytest.mark.parametrize("where", ["of the schema", "of the decorator"])
    def test_contexts(self, lab, where):
        context = {"Elsewhere": lab.Subject}
        class_ = type("Child", (dj.Manual,), {"definition": "-> Elsewhere"})
        if where == "of the schema":
            name = lab.schema.database
            schema = dj.Schema(name, context, connection=lab.schema.connection)
            schema(class_)
        else:
            lab.schema(class_, context=context)
        assert parents(class_) == [SUBJECT]

    def test_names_in_the_database(self, lab):
        name = lab.schema.database
        child = declare(
            lab,
            f"-> `{name}`.`subject`\n---\n-> [nullable] `{name}`.`#probe`.proj(p='probe') # which\n"
            f"-> `{name}`.`session__trial`",
        )
        assert parents(child) == [SUBJECT, ("#probe", ("p",), ("probe",)), TRIAL]

    def test_part_that_refers_to_its_master_and_to_a_sibling(self, lab):
        @lab.schema
        class Scan(dj.Manual):
            definition = "scan : int"

            class Field(dj.Part):
                definition = """
                -> master
                field : int
                """

            class Pair(dj.Part):
                definition = """
                -> Scan.Field.proj(first="field")
                -> master.Field.proj(second="field")
                """

            class Cell(dj.Part):
                definition = """
                -> Field
                cell : int
                """

            class Note(dj.Part):
                definition = """
                -> Scan
                ---
                -> [nullable] self.other
                """
                other = lab.Subject

        names = [fk[0] for part in (Scan.Field, Scan.Pair, Scan.Cell) for fk in parents(part)]
        assert names == ["scan", "scan__field", "scan__field", "scan__field"]
        assert parents(Scan.Note) == [("scan", ("scan",), ("scan",)), SUBJECT]

    def test_across_schemas(self, lab, make_schema):
        other = make_schema()
        child = type("Child", (dj.Manual,), {"definition": "-> lab.Session\n---\n-> lab.Probe"})
        other(child, context={"lab": lab})
        assert {fk.parent.schema for fk in child().spec.foreign_keys} == {lab.schema.database}
        with pytest.raises(dj.errors.IntegrityError):
            child.insert1((1, 1, "A"))


class TestWhatTheyBring:
    """Attributes, in the key and below it, shared, renamed, nullable, unique."""

    def test_in_the_key_and_below_it(self, lab):
        child = declare(lab, "-> Subject\n---\n-> Probe")
        assert (child.primary_key, child.heading.secondary_attributes) == (["subject"], ["probe"])
        assert child.heading["subject"].comment == "who"
        assert (child().parents(primary=True), child().parents(primary=False)) == (
            [lab.Subject.full_table_name],
            [lab.Probe.full_table_name],
        )

    def test_shared_attributes(self, lab):
        child = declare(lab, "-> Subject\n-> Session\n---\n-> Session.Trial")
        assert child.heading.names == ["subject", "session", "trial"]
        assert child.primary_key == ["subject", "session"]
        assert parents(child) == [SUBJECT, SESSION, TRIAL]

    def test_several_to_one_table(self, lab):
        child = declare(
            lab,
            "-> Session.proj(first='session')\n-> Session.proj(second='session')\n---\n"
            "-> [nullable] Subject.proj(mother='subject')\n"
            "-> [unique] Subject.proj(twin='subject')",
        )
        assert child.heading.names == ["subject", "first", "second", "mother", "twin"]
        assert len(parents(child)) == 4
        lab.Subject.insert([(1, ""), (2, "")])
        lab.Session.insert([(1, 1), (1, 2)])
        child.insert1((1, 1, 2, None, 1))
        with pytest.raises(dj.errors.DuplicateError, match="twin = 1"):
            child.insert1((1, 2, 1, None, 1))
        with pytest.raises(dj.errors.IntegrityError, match=r"\(mother\).*subject = 9"):
            child.insert1((1, 2, 1, 9, 2))
        assert lab.Subject.delete(safemode=False) == 2
        assert len(child()) == 0

    def test_options_in_any_case_and_comments(self, lab):
        child = declare(
            lab, "id : int\n---\n-> [ Unique,NULLABLE ] Probe  # -> which -> one\n->Subject#who"
        )
        assert child.heading["probe"].nullable
        assert not child.heading["subject"].nullable
        assert child.heading.indexes[("probe",)] == {"unique": True, "nullable": True}
        lab.Subject.insert1((1, ""))
        child.insert([(1, None, 1), (2, None, 1)])

    def test_unique_in_the_key(self, lab):
        child = declare(lab, "-> [unique] Subject\nid : int")
        lab.Subject.insert1((1, ""))
        child.insert1((1, 1))
        with pytest.raises(dj.errors.DuplicateError):
            child.insert1((1, 2))

    def test_to_itself(self, lab):
        tree = declare(lab, "id : int\n---\n-> [nullable] Tree.proj(parent='id')", "Tree")
        tree.insert([(1, None), (2, 1)])
        with pytest.raises(dj.errors.IntegrityError):
            tree.insert1((3, 7))
        assert (tree & "id = 1").delete(safemode=False) == 2


EXPECTED = "Line 2 of the definition of `Child`: {}\n    {}\n    {}^"


class TestErrors:
    """Whatever is wrong is said with the line and the place, and nothing is declared."""

    @pytest.mark.parametrize(
        ("line", "column", "message"),
        [
            ("-> Sbject", 3, "`Sbject` is not defined here; did you mean `Subject`?"),
            ("-> rig.Subject", 3, "`rig` is not defined here"),
            ("-> Session.Trail", 3, "`Trail` is not defined in `Session`; did you mean `Trial`?"),
            ("-> self.parent", 3, "`parent` is not defined in `self`"),
            ("-> five", 3, "`five` is no table"),
            ("-> text", 3, "`text` is no table"),
            ("-> query", 3, "`query` is a query and no table; attributes are renamed in the"),
            ("-> dj", 3, "`dj` is no table"),
            ("-> `nowhere`.`subject`", 3, "Table `nowhere`.`subject` is not declared in the"),
            (
                "-> Subject.proj(mother='subjct')",
                24,
                "`subjct` is not in the primary key of {subject}; did you mean `subject`?",
            ),
            (
                "-> Subject.proj(alias='name')",
                23,
                "`name` is not in the primary key of {subject}",
            ),
            (
                "-> [nullable] Probe",
                3,
                "a foreign key in the primary key identifies the entity, and cannot be nullable",
            ),
            (
                "-> Undeclared",
                3,
                "The class `Undeclared` has no table yet: declare it, with a schema as its",
            ),
            ("-> dj.Manual", 3, "The class `Manual`"),
        ],
    )
    def test_references(self, lab, line, column, message):
        undeclared = type("Undeclared", (dj.Manual,), {"definition": "a : int"})
        context = {
            "five": 5,
            "text": "Subject",
            "query": lab.Subject.proj(),
            "dj": dj,
            "Undeclared": undeclared,
        }
        with pytest.raises(dj.DataJointError) as error:
            declare(lab, f"id : int\n{line}", context=context)
        text = str(error.value)
        subject = lab.Subject.full_table_name
        assert text.startswith(
            "Line 2 of the definition of `Child`: " + message.format(subject=subject)
        )
        assert text.endswith(f"\n    {line}\n    {' ' * column}^")
        assert "child" not in lab.schema.list_tables()

    def test_attribute_of_another_type(self, lab):
        with pytest.raises(dj.DataJointError) as error:
            declare(lab, "subject : varchar(5)\n-> Subject")
        assert str(error.value) == EXPECTED.format(
            "attribute `subject` is already defined, with type `varchar(5)`; `subject` of "
            f"{lab.Subject.full_table_name} has type `int`",
            "-> Subject",
            "   ",
        )

    def test_table_of_another_connection(self, lab, connect):
        connection = connect()
        other = dj.FreeTable(connection, lab.Subject.full_table_name)
        with pytest.raises(dj.DataJointError, match="`other` is a table of another connection"):
            declare(lab, "id : int\n-> other", context={"other": other})
        connection.close()

    def test_cycle(self, lab):
        """Two tables cannot refer to each other: one of them does not exist when it is needed."""
        first = type("First", (dj.Manual,), {"definition": "id : int\n---\n-> Second"})
        second = type("Second", (dj.Manual,), {"definition": "id : int\n---\n-> First"})
        context = {"First": first, "Second": second}
        for class_ in (first, second):
            with pytest.raises(dj.DataJointError, match="in a circle"):
                lab.schema(class_, context=context)
        assert not {"first", "second"} & set(lab.schema.list_tables())

    def test_part_without_its_master(self, lab):
        class Scan(dj.Manual):
            definition = "scan : int"

            class Field(dj.Part):
                definition = "field : int"

        with pytest.raises(dj.DataJointError, match="must refer to its master: add the line"):
            lab.schema(Scan)

    def test_nothing_is_evaluated(self, lab):
        called = []
        context = {"call": lambda: called.append(1), "Subject": lab.Subject}
        for line in (
            "-> call()",
            "-> call",
            "-> [Subject for _ in [call()]]",
            "-> (call() or Subject)",
        ):
            with pytest.raises(dj.DataJointError):
                declare(lab, f"id : int\n{line}", context=context)
        assert called == []
