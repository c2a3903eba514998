"""The query cache: manual 8.12."""

from __future__ import annotations

import datetime as dt
import math
import string
import uuid
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datajoint as dj
from datajoint import blob
from datajoint.errors import DataJointError
from datajoint.query_cache import QueryCache

OFF = r"query caching is on \(namespace 'main'\)[^$]*connection\.set_query_cache\(\)"


@pytest.fixture
def folder(tmp_path, request):
    """The folder of the cache, configured; the cache of the connection is off afterwards."""
    uses = "connection" in request.fixturenames
    connection = request.getfixturevalue("connection") if uses else None
    folder = tmp_path / "cache"
    folder.mkdir()
    dj.config["query_cache"] = str(folder)
    yield folder
    if connection is not None:
        connection.set_query_cache()


@pytest.fixture
def lab(schema):
    """Tables with a few entities."""

    @schema
    class Kind(dj.Lookup):
        definition = "kind : varchar(8)"
        contents = (("cat",), ("dog",))

    @schema
    class Animal(dj.Manual):
        definition = """
        animal : int
        ---
        weight : float
        -> Kind
        picture = null : longblob
        """

    @schema
    class Copy(dj.Computed):
        definition = "-> Animal"

        def make(self, key):
            self.insert1(key)

    Animal.insert([(1, 2.5, "cat", [1, 2]), (2, 30.0, "dog", None)])
    return SimpleNamespace(**locals())


@pytest.fixture
def sent(connection, monkeypatch):
    """The statements that the connection sends from now on."""
    statements: list[str] = []
    execute, insert = connection.backend.execute, connection.backend.insert

    def note(text, values=()):
        statements.append(text)
        return execute(text, values)

    def note_insert(statement, rows):
        statements.append(statement.text)
        return insert(statement, rows)

    monkeypatch.setattr(connection.backend, "execute", note)
    monkeypatch.setattr(connection.backend, "insert", note_insert)
    return statements


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


QUERIES = {
    "fetch": lambda lab: lab.Animal.fetch(as_dict=True, order_by="animal"),
    "fetch1": lambda lab: (lab.Animal & "animal = 1").fetch1(),
    "attributes": lambda lab: [a.tolist() for a in lab.Animal.fetch("weight", "kind")],
    "blob": lambda lab: (lab.Animal & "animal = 1").fetch1("picture"),
    "keys": lambda lab: lab.Animal.fetch("KEY", order_by="animal"),
    "parameters": lambda lab: (lab.Animal & {"kind": "do'g", "weight": 2.5}).fetch().tolist(),
    "list of keys": lambda lab: len(lab.Animal & [{"animal": i} for i in range(5)]),
    "list of pairs": lambda lab: len(lab.Animal & [{"animal": 1, "kind": k} for k in "ab"]),
    "len": lambda lab: len(lab.Animal()),
    "bool": lambda lab: bool(lab.Animal & "animal > 1"),
    "contains": lambda lab: {"animal": 2} in lab.Animal(),
    "iteration": lambda lab: list(lab.Animal()),
    "batches": lambda lab: list(lab.Animal.fetch_batches(size=2)),
    "preview": lambda lab: repr(lab.Animal()),
    "html": lambda lab: lab.Animal()._repr_html_(),
    "aggregation": lambda lab: lab.Kind.aggr(lab.Animal, w="avg(weight)").fetch(as_dict=True),
    "join": lambda lab: (lab.Animal * lab.Kind).fetch(order_by="animal", as_dict=True),
    "union": lambda lab: len(lab.Animal.proj() + lab.Copy),
}


class TestResults:
    @pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
    def test_the_second_time_nothing_is_sent(self, lab, connection, folder, sent, query):
        expected = query(lab)
        connection.set_query_cache("main")
        sent.clear()
        assert query(lab) == expected
        assert len(sent) >= 1
        sent.clear()
        assert query(lab) == expected
        assert sent == []

    def test_another_connection_takes_them_from_the_files(self, lab, connection, folder, connect):
        connection.set_query_cache("main")
        assert len(lab.Animal()) == 2
        other = connect()
        other.set_query_cache("main")
        written = files(folder)
        assert len(dj.FreeTable(other, lab.Animal.full_table_name)) == 2
        assert files(folder) == written
        assert len(written) == 1

    def test_stale_until_another_namespace_is_set(self, lab, connection, folder, connect):
        other = dj.FreeTable(connect(), lab.Animal.full_table_name)
        connection.set_query_cache(query_cache="main")
        assert len(lab.Animal()) == 2
        (other & "animal = 1").delete()
        assert len(lab.Animal()) == 2
        connection.set_query_cache(query_cache="new")
        assert len(lab.Animal()) == 1
        connection.set_query_cache(query_cache="main")
        assert len(lab.Animal()) == 2
        connection.set_query_cache()
        assert len(lab.Animal()) == 1

    def test_stale_until_purged(self, lab, connection, folder, connect):
        other = dj.FreeTable(connect(), lab.Animal.full_table_name)
        connection.set_query_cache("main")
        assert len(lab.Animal()) == 2
        (other & "animal = 1").delete()
        connection.purge_query_cache()
        assert files(folder) == []
        assert len(lab.Animal()) == 1

    def test_values_tell_queries_apart(self, lab, connection, folder):
        connection.set_query_cache("main")
        assert [len(lab.Animal & {"animal": i}) for i in (1, 2, 3)] == [1, 1, 0]
        assert [len(lab.Animal & {"animal": i}) for i in (1, 2, 3)] == [1, 1, 0]

    def test_databases_in_memory_are_told_apart(self, folder):
        for expected in (1, 2):
            connection = dj.Connection(backend="sqlite", path=":memory:")
            schema = dj.Schema("lab", connection=connection)

            @schema
            class Item(dj.Manual):
                definition = "i : int"

            Item.insert((i,) for i in range(expected))
            connection.set_query_cache("main")
            assert len(Item()) == expected
            connection.close()
        assert len(files(folder)) == 2

    def test_identities_are_told_apart(self, folder):
        results = [
            QueryCache("main", identity).rows("SELECT 1", (), lambda i=i: [(i,)])
            for i, identity in enumerate([("a", "b"), ("a", "c"), ("a", "b", ""), ("ab",)])
        ]
        assert results == [[(0,)], [(1,)], [(2,)], [(3,)]]

    def test_what_is_fetched_can_be_changed(self, lab, connection, folder):
        connection.set_query_cache("main")
        for _ in range(2):
            rows = lab.Animal.fetch(as_dict=True)
            assert len(rows) == 2
            rows[0].clear()
            rows.clear()

    def test_new_tables_are_seen(self, connection, folder, connect, schema_name, schema):
        connection.set_query_cache("main")
        other = dj.Schema(schema_name, connection=connect())

        @other
        class Late(dj.Manual):
            definition = "late : int"

        assert len(dj.FreeTable(connection, Late.full_table_name)) == 0
        assert schema.list_tables() == ["late"]

    def test_statements_of_the_user_are_not_cached(self, lab, connection, folder):
        connection.set_query_cache("main")
        assert connection.query("SELECT 1").fetchall()[0][0] == 1
        assert files(folder) == []


class TestChanges:
    @pytest.mark.filterwarnings("ignore:`_update` is deprecated")
    @pytest.mark.parametrize(
        "change",
        [
            lambda lab: lab.Animal.insert1((3, 1.0, "cat", None)),
            lambda lab: lab.Animal.insert([(3, 1.0, "cat", None), (4, 1.0, "cat", None)]),
            lambda lab: lab.Animal.insert([]),
            lambda lab: lab.Copy.insert(lab.Animal.proj(), allow_direct_insert=True),
            lambda lab: lab.Animal.update1({"animal": 1, "weight": 3.0}),
            lambda lab: (lab.Animal & "animal = 1")._update("weight", 3.0),
            lambda lab: lab.Animal.delete(),
            lambda lab: lab.Animal.delete_quick(),
            lambda lab: lab.Animal.drop(),
            lambda lab: lab.Copy.drop_quick(),
            lambda lab: lab.Animal.alter(),
            lambda lab: lab.schema.drop(),
            lambda lab: lab.Copy.populate(),
            lambda lab: lab.Copy.populate(reserve_jobs=True),
            lambda lab: lab.jobs.reserve("__copy", {"animal": 1}),
            lambda lab: lab.jobs.complete("__copy", {"animal": 1}),
            lambda lab: lab.jobs.error("__copy", {"animal": 1}, "failed"),
            lambda lab: lab.Animal.connection.start_transaction(),
            lambda lab: lab.Animal.connection.transaction.__enter__(),
            lambda lab: lab.Animal.connection.query("UPDATE t SET x = 1"),
            lambda lab: dj.kill_quick(connection=lab.Animal.connection),
        ],
    )
    def test_changes_are_refused(self, lab, schema, connection, folder, sent, change):
        lab.jobs = schema.jobs
        lab.Animal.heading  # noqa: B018 - the catalog may be read
        connection.set_query_cache("main")
        sent.clear()
        with pytest.raises(DataJointError, match=OFF):
            change(lab)
        assert sent == []
        assert not connection.in_transaction
        connection.set_query_cache()
        assert (len(lab.Animal()), len(lab.Copy()), len(schema.jobs)) == (2, 0, 0)

    def test_nothing_is_asked_before(self, lab, connection, folder, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail("asked"))
        connection.set_query_cache("main")
        with dj.config(safemode=True), pytest.raises(DataJointError, match=OFF):
            lab.Animal.delete()
        with dj.config(safemode=True), pytest.raises(DataJointError, match=OFF):
            lab.Animal.drop()

    def test_changes_are_possible_when_it_is_off_again(self, lab, connection, folder):
        connection.set_query_cache("main")
        connection.set_query_cache(query_cache=None)
        lab.Copy.populate()
        lab.Animal.delete()
        assert (len(lab.Animal()), len(lab.Copy())) == (0, 0)

    def test_a_pipeline_can_be_imported(self, lab, connection, folder, schema_name, sent):
        connection.set_query_cache("main")
        sent.clear()
        schema = dj.Schema(schema_name, connection=connection)

        @schema
        class Kind(dj.Lookup):
            definition = "kind : varchar(8)"
            contents = (("cat",), ("dog",), ("emu",))

        @schema
        class Animal(dj.Manual):
            definition = lab.Animal.definition

        module = dj.VirtualModule("module", schema_name, connection=connection)
        assert sorted(module.Animal.fetch("animal")) == sorted(Animal.fetch("animal")) == [1, 2]
        assert set(Kind.fetch("kind")) == {"cat", "dog"}
        assert [text for text in sent if "INSERT" in text.upper().split()] == []

    def test_a_new_table_is_refused(self, lab, schema, connection, folder):
        class New(dj.Manual):
            definition = "new : int"

        connection.set_query_cache("main")
        with pytest.raises(DataJointError, match=rf"Cannot create .*new`.*{OFF}"):
            schema(New)
        connection.set_query_cache()
        schema(New)
        assert len(New()) == 0

    def test_the_log_goes_on_afterwards(self, lab, schema, connection, folder):
        connection.set_query_cache("main")
        with pytest.raises(DataJointError, match=OFF):
            lab.Animal.delete()
        assert "Declared" in str(schema.log.fetch("event"))
        connection.set_query_cache()
        before = len(schema.log)
        (lab.Animal & "animal = 1").delete()
        assert len(schema.log) == before + 1

    def test_inside_a_transaction_it_cannot_be_turned_on(self, lab, connection, folder):
        with connection.transaction:
            with pytest.raises(DataJointError, match="inside a transaction"):
                connection.set_query_cache("main")
            lab.Animal.insert1((3, 1.0, "cat", None))
        assert len(lab.Animal()) == 3


class TestFolder:
    def test_not_configured(self, connection):
        for call in (lambda: connection.set_query_cache("main"), connection.purge_query_cache):
            with pytest.raises(DataJointError, match=r"set dj\.config\['query_cache'\]"):
                call()
        connection.set_query_cache()

    def test_it_does_not_exist(self, connection, tmp_path):
        dj.config["query_cache"] = tmp_path / "missing"
        for call in (lambda: connection.set_query_cache("main"), connection.purge_query_cache):
            with pytest.raises(DataJointError, match=r"missing of the query cache does not exist"):
                call()
        assert not (tmp_path / "missing").exists()

    def test_the_home_folder(self, connection, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        dj.config["query_cache"] = "~"
        connection.set_query_cache("main")

    @pytest.mark.parametrize("namespace", ["", 1, b"main"])
    def test_namespaces_are_texts(self, connection, folder, namespace):
        with pytest.raises(DataJointError, match="a text such as 'main'"):
            connection.set_query_cache(namespace)

    def test_it_vanishes(self, lab, connection, folder):
        connection.set_query_cache("main")
        folder.rmdir()
        with pytest.raises(DataJointError, match=r"cannot be written.*set_query_cache\(\)"):
            len(lab.Animal())
        connection.set_query_cache()
        assert len(lab.Animal()) == 2

    def test_it_cannot_be_written(self, lab, connection, folder, monkeypatch):
        def refuse(**options):
            raise PermissionError(13, "Permission denied", options["dir"])

        connection.set_query_cache("main")
        monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
        with pytest.raises(DataJointError, match=r"cannot be written: .*Permission denied"):
            len(lab.Animal())

    def test_a_file_cannot_be_read(self, lab, connection, folder):
        connection.set_query_cache("main")
        assert len(lab.Animal()) == 2
        (file,) = files(folder)
        file.unlink()
        file.mkdir()
        with pytest.raises(DataJointError, match=r"cannot be read.*set_query_cache\(\)"):
            len(lab.Animal())

    def test_a_file_cannot_be_replaced(self, lab, connection, folder, monkeypatch):
        def refuse(source, target):
            raise OSError(28, "No space left on device")

        connection.set_query_cache("main")
        monkeypatch.setattr("os.replace", refuse)
        with pytest.raises(DataJointError, match=r"cannot be written: .*No space left"):
            len(lab.Animal())
        assert files(folder) == []

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: content[:5],
            lambda content: content[:30],
            lambda content: content[:-1],
            lambda content: content + b"x",
            lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
            lambda content: b"x" * len(content),
            lambda content: content.replace(b"query 1", b"query 0"),
        ],
    )
    def test_damaged_files_are_written_anew(
        self, lab, connection, folder, connect, sent, caplog, damage
    ):
        connection.set_query_cache("main")
        assert len(lab.Animal()) == 2
        (file,) = files(folder)
        whole = file.read_bytes()
        file.write_bytes(damage(whole))
        sent.clear()
        assert len(lab.Animal()) == 2
        assert len(sent) == 1
        assert "is damaged" in caplog.text
        assert files(folder) == [file]
        assert file.read_bytes() == whole

    def test_foreign_files_stay(self, lab, connection, folder):
        name = f"datajoint-query-{'0' * 64}"
        others = [
            "notes.txt",
            name.replace("0", "x"),
            f"{name}.txt",
            "sub/notes.txt",
            f"sub/{name}",
        ]
        (folder / "sub").mkdir()
        for other in others:
            (folder / other).write_bytes(b"datajoint query 1\0")
        (folder / name).write_text("of somebody else, who named it so")
        (folder / name.replace("0", "1")).mkdir()
        (folder / name.replace("0", "2")).symlink_to(folder / "notes.txt")
        expected = sorted(folder.rglob("*"))
        connection.set_query_cache("main")
        assert len(lab.Animal()) == 2
        connection.purge_query_cache()
        assert sorted(folder.rglob("*")) == expected

    def test_all_of_its_own_files_are_purged(self, lab, connection, folder):
        for namespace in ("one", "other"):
            connection.set_query_cache(namespace)
            assert len(lab.Animal()) == 2
        written = files(folder)
        assert len(written) == 2
        (folder / f"{written[0].name}-x1_y.tmp").write_bytes(b"datajo")  # of a killed process
        (folder / f"{written[0].name}-x2_y.tmp").write_bytes(b"")
        (folder / written[0].name.replace("-query-", "-query-")).write_bytes(b"datajoint query 0\0")
        connection.set_query_cache()
        connection.purge_query_cache()
        assert files(folder) == []


# -- values -------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.decimals(),
    st.dates(),
    st.datetimes().map(lambda moment: moment.replace(fold=0)),
    st.times().map(lambda time: time.replace(fold=0)),
    st.timedeltas(),
    st.uuids(),
)


def same(value, other) -> bool:
    """Tell whether two values cannot be told apart."""
    if type(value) is not type(other):
        return False
    if isinstance(value, list):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, float) and math.isnan(value):
        return math.isnan(other)
    return repr(value) == repr(other)


ARRAYS = st.lists(st.one_of(VALUES, st.lists(VALUES)))


@given(st.lists(st.tuples(VALUES, ARRAYS)), st.lists(st.one_of(VALUES, ARRAYS)))
def test_every_value_comes_back_as_it_was_fetched(tmp_path_factory, rows, parameters):
    dj.config["query_cache"] = tmp_path_factory.mktemp("cache")
    cache = QueryCache("main", ("database",))
    assert cache.rows("SELECT", parameters, lambda: rows) is rows
    again = cache.rows("SELECT", parameters, lambda: pytest.fail("was fetched again"))
    assert len(again) == len(rows)
    for row, expected in zip(again, rows, strict=True):
        assert type(row) is tuple
        assert all(map(same, row, expected))


@given(
    st.lists(
        st.tuples(
            st.floats(),
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.binary(),
            st.integers(2**63 - 2, 2**64),
            st.none(),
        )
    )
)
def test_columns_of_one_type_come_back_as_they_were(tmp_path_factory, rows):
    dj.config["query_cache"] = tmp_path_factory.mktemp("cache")
    cache = QueryCache("main", ("database",))
    cache.rows("SELECT", (), lambda: rows)
    again = cache.rows("SELECT", (), lambda: pytest.fail("was fetched again"))
    assert len(again) == len(rows)
    assert all(all(map(same, row, other)) for row, other in zip(again, rows, strict=True))


@pytest.mark.parametrize("rows", [[], [()], [(), ()]])
def test_rows_without_attributes(folder, rows):
    cache = QueryCache("main", ())
    assert cache.rows("SELECT", (), lambda: rows) == rows
    assert cache.rows("SELECT", (), lambda: pytest.fail("was fetched again")) == rows


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc),
        dt.datetime(2020, 1, 1, fold=1),
        dt.time(1, tzinfo=dt.timezone.utc),
        bytearray(b"x"),
        {"timedelta": (1, 2, 3)},
        [1, (2,)],
        type("Text", (str,), {})("x"),
        10**400_000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_kept_exactly_is_fetched_each_time(folder, value):
    cache = QueryCache("main", ())
    for number in (1, 2):
        assert cache.rows("SELECT", (), lambda n=number: [(value, n)]) == [(value, number)]
        assert cache.rows("SELECT", (value,), lambda n=number: [(n,)]) == [(number,)]
    assert files(folder) == []


def test_bypassed_serialization_is_no_matter(folder, monkeypatch):
    cache = QueryCache("main", ())
    assert cache.rows("SELECT", (), lambda: [(1,)]) == [(1,)]
    monkeypatch.setattr(blob, "bypass_serialization", True)
    assert cache.rows("SELECT", (), lambda: [(2,)]) == [(2,)]


def test_types_of_the_database_come_back_as_they_were(schema, connection, folder):
    @schema
    class Typed(dj.Manual):
        definition = """
        big : bigint
        ---
        number : double
        exact : decimal(20, 5)
        text : varchar(30)
        raw : longblob
        day : date
        moment : datetime(6)
        duration : time
        ident : uuid
        nothing = null : int
        doc : json
        flag : bool
        """

    Typed.insert1(
        {
            "big": 2**63 - 1,
            "number": -0.1,
            "exact": Decimal("123456789012345.12300"),
            "text": string.punctuation[:30],
            "raw": b"\0\xff",
            "day": dt.date(1, 2, 3),
            "moment": dt.datetime(2024, 5, 6, 7, 8, 9, 10),
            "duration": dt.timedelta(hours=30, minutes=5),
            "ident": uuid.UUID(int=7),
            "doc": {"a": [1, None, "é"]},
            "flag": True,
        }
    )
    expected = Typed.fetch1()
    connection.set_query_cache("main")
    first, second = Typed.fetch1(), Typed.fetch1()
    assert first == second == expected
    assert list(map(type, second.values())) == list(map(type, expected.values()))
    assert len(files(folder)) == 1
