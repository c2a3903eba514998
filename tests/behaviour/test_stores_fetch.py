"""Fetching what is kept in stores: values, handles, the cache, and what can be wrong.

Objects and the rows that track them are written by hand, as the storage formats say: other clients
write them too.
"""

from __future__ import annotations

import hashlib
import pickle
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import datajoint as dj
from datajoint.blob import pack
from datajoint.declare import external_table
from datajoint.errors import DataJointError, MissingExternalFile
from datajoint.sql.statements import insert_rows
from datajoint.storage.handles import Handle
from datajoint.storage.objects import Tracked
from datajoint.storage.registry import get_store
from datajoint.tracking import note

from .test_statements import COUNTERS


def md5(contents: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.md5(contents).digest())


def put(table: Any, type_: Any, value: Any) -> uuid.UUID:
    """Store an object and track it; a file is given by its name and contents."""
    schema, settings = table.database, get_store(type_.store).settings
    if type_.kind == "blob":
        contents = pack(value)
        tracked = Tracked(md5(contents), len(contents))
    elif type_.kind == "attach":
        name, contents = value
        tracked = Tracked(md5(name.encode() + b"\0" + contents), len(contents), name)
    else:
        path, contents = value
        tracked = Tracked(md5(path.encode()), len(contents), None, path, md5(contents))
    get_store(type_.store).put(tracked.path(schema, settings.subfolding), contents)
    tracker = table.connection.table(external_table(schema, type_.store))
    note(table.connection, tracker, [tracked])
    return tracked.hash


def insert(table: Any, **row: Any) -> None:
    """Insert an entity with all that belongs to it."""
    connection, dialect = table.connection, table.connection.dialect
    stored = []
    for name, value in row.items():
        type_ = table.heading[name].stored_type
        if value is not None and type_.category == "external" and not isinstance(value, uuid.UUID):
            value = put(table, type_, value)
        stored.append(None if value is None else dialect.encode(value, type_))
    name = dialect.table(table.database, table.table_name)
    connection.insert(insert_rows(dialect, name, list(row), [], [], "insert"), [stored])


#: Runs a test on stores of other protocols too.
EACH_STORE = pytest.mark.parametrize("stores", ["file", "memory", "s3"], indirect=True)


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path, schema_name: str) -> dict[str, Any]:
    """A store `raw` with a stage."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "stage").mkdir()
    entry = {"protocol": "file", "location": str(tmp_path / "raw")}
    if getattr(request, "param", "file") == "memory":
        entry = {"protocol": "memory", "location": f"/{schema_name}"}
    if getattr(request, "param", "file") == "s3":
        server = request.getfixturevalue("s3_server")
        entry = {
            "protocol": "s3",
            "endpoint": server.endpoint,
            "bucket": "bucket",
            "location": schema_name,
            "access_key": server.user,
            "secret_key": server.password,
        }
    entry["stage"] = str(tmp_path / "stage")
    dj.config["stores"] = {"raw": entry}
    return entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where attached files are saved."""
    (tmp_path / "down").mkdir()
    return tmp_path / "down"


@pytest.fixture
def scans(stores, schema, tmp_path) -> Any:
    """Three entities: with all that a store can have, with the same again, and without."""

    @schema
    class Scans(dj.Manual):
        definition = """
        n : int
        ---
        movie = null : blob@raw
        note = null : attach@raw
        image = null : filepath@raw
        paper = null : attach
        """

    first = {
        "movie": np.arange(6.0).reshape(1, 2, 3),
        "note": ("note.txt", b"hello"),
        "image": ("day 1/image.tif", b"pixels"),
        "paper": b"paper.pdf\0pages",
    }
    insert(Scans, n=0, **first)
    insert(Scans, n=1, **first)
    insert(Scans, n=2)
    return Scans


FORMS: dict[str, Callable[..., list[dict[str, Any]]]] = {
    "fetch as_dict": lambda query, **options: query.fetch(as_dict=True, **options),
    "fetch": lambda query, **options: [
        dict(zip(row.dtype.names, row)) for row in query.fetch(**options)
    ],
    "fetch attributes": lambda query, **options: [
        key | {"movie": movie, "note": note, "image": image, "paper": paper}
        for key, movie, note, image, paper in zip(
            *query.fetch("KEY", "movie", "note", "image", "paper", **options)
        )
    ],
    "fetch frame": lambda query, **options: (
        query.fetch(format="frame", **options).reset_index().to_dict("records")
    ),
    "fetch1": lambda query, **options: [
        (query & {"n": n}).fetch1(**options) for n in query.fetch("n")
    ],
    "fetch1 attributes": lambda query, **options: [
        dict(zip(query.heading.names, (query & {"n": n}).fetch1(*query.heading.names, **options)))
        for n in query.fetch("n")
    ],
    "head": lambda query, **options: query.head(as_dict=True, **options),
    "to_dicts": lambda query, **options: query.to_dicts(**options),
    "to_arrays": lambda query, **options: [
        dict(zip(query.heading.names, row))
        for row in zip(*query.to_arrays(*query.heading.names, **options))
    ],
    "to_pandas": lambda query, **options: (
        query.to_pandas(**options).reset_index().to_dict("records")
    ),
    "fetch_batches": lambda query, **options: [
        row for batch in query.fetch_batches(**options) for row in batch
    ],
    "fetch_batches of 2": lambda query, **options: [
        row for batch in query.fetch_batches(size=2, **options) for row in batch
    ],
}


def _is_null(value: Any) -> bool:
    """Tell whether a value stands for NULL; pandas may make NaN of None."""
    return value is None or value != value


class TestValues:
    @pytest.mark.parametrize("form", FORMS)
    def test_all_forms(self, scans, tmp_path, folder, form):
        rows = FORMS[form](scans & dj.Top(None, "n"), download_path=folder, squeeze=True)
        assert [row["n"] for row in rows] == [0, 1, 2]
        for row in rows[:2]:
            np.testing.assert_array_equal(row["movie"], np.arange(6.0).reshape(2, 3))
            assert row["note"] == str(folder / "note.txt")
            assert row["image"] == str(tmp_path / "stage" / "day 1" / "image.tif")
            assert row["paper"] == str(folder / "paper.pdf")
        assert all(_is_null(rows[2][name]) for name in ("movie", "note", "image", "paper"))
        assert rows[0]["movie"] is not rows[1]["movie"]
        rows[0]["movie"][:] = 0
        assert rows[1]["movie"].max() == 5
        assert (folder / "note.txt").read_bytes() == b"hello"
        assert (folder / "paper.pdf").read_bytes() == b"pages"
        assert (tmp_path / "stage/day 1/image.tif").read_bytes() == b"pixels"
        assert sorted(file.name for file in folder.iterdir()) == ["note.txt", "paper.pdf"]
        assert [file.name for file in (tmp_path / "stage/day 1").iterdir()] == ["image.tif"]

    def test_iteration(self, scans, tmp_path):
        rows = list(scans & dj.Top(None, "n"))
        assert [row["note"] for row in rows] == ["note.txt", "note.txt", None]
        assert (tmp_path / "note.txt").read_bytes() == b"hello"
        assert rows[1]["movie"].shape == (1, 2, 3)

    def test_arrow(self, scans, tmp_path, folder):
        pytest.importorskip("pyarrow")
        ordered = (scans - {"n": 1}) & dj.Top(None, "n")
        table = ordered.to_arrow("note", "image", "paper", download_path=folder)
        assert table.to_pylist() == [
            {
                "note": str(folder / "note.txt"),
                "image": str(tmp_path / "stage/day 1/image.tif"),
                "paper": str(folder / "paper.pdf"),
            },
            {"note": None, "image": None, "paper": None},
        ]
        assert set(map(str, table.schema.types)) == {"string"}
        with pytest.raises(DataJointError, match="3-D array of float64"):
            scans.to_arrow("movie")
        insert(scans, n=3, movie=b"bytes")
        assert (scans & {"n": 3}).to_arrow("movie").to_pylist() == [{"movie": b"bytes"}]
        assert str((scans & {"n": 2}).to_arrow("movie").schema.types[0]) == "binary"

    def test_adapters(self, stores, schema, folder):
        def adapter(type_: str, get: Callable[[Any], Any]) -> dj.AttributeAdapter:
            members = {
                "attribute_type": type_,
                "put": lambda self, value: value,
                "get": lambda self, value: get(value),
            }
            return type("Own", (dj.AttributeAdapter,), members)()

        class Adapted(dj.Manual):
            definition = """
            n : int
            ---
            total = null : <total>
            text = null : <text>
            """

        context = {
            "total": adapter("blob@raw", sum),
            "text": adapter("attach@raw", lambda path: Path(path).read_text()),
        }
        schema(Adapted, context=context)
        insert(Adapted, n=0, total=[1, 2, 3], text=("a.txt", b"hello"))
        insert(Adapted, n=1)
        expected = [{"n": 0, "total": 6, "text": "hello"}, {"n": 1, "total": None, "text": None}]
        assert (Adapted & dj.Top(None, "n")).to_dicts(download_path=folder) == expected
        handle = (Adapted & {"n": 0}).fetch1("text", lazy=True, download_path=folder)
        assert handle.read() == b"hello"
        (folder / "a.txt").unlink()
        assert handle.load() == "hello"
        assert (folder / "a.txt").exists()
        assert (Adapted & {"n": 0}).fetch1("total", lazy=True).load() == 6

    @EACH_STORE
    def test_what_was_inserted(self, scans, tmp_path, folder):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "b.txt").write_bytes(b"note")
        (tmp_path / "stage" / "c.tif").write_bytes(b"image")
        scans.insert1(
            {
                "n": 3,
                "movie": {"a": [1, 2]},
                "note": tmp_path / "in" / "b.txt",
                "image": tmp_path / "stage" / "c.tif",
                "paper": tmp_path / "in" / "b.txt",
            }
        )
        (tmp_path / "stage" / "c.tif").unlink()
        expected = {
            "n": 3,
            "movie": {"a": [1, 2]},
            "note": str(folder / "b.txt"),
            "image": str(tmp_path / "stage" / "c.tif"),
            "paper": str(folder / "b.txt"),
        }
        assert (scans & {"n": 3}).fetch1(download_path=folder) == expected
        assert Path(expected["image"]).read_bytes() == b"image"
        assert [file.read_bytes() for file in folder.iterdir()] == [b"note"]
        handles = (scans & {"n": 3}).fetch1("note", "paper", lazy=True)
        assert handles[0] == handles[1]  # the same file, in the store and in the table

    def test_blobs_of_earlier_versions(self, stores, schema):
        """Those of 0.11 have other names, and hashes that are not those of the contents."""

        @schema
        class Old(dj.Manual):
            definition = """
            n : int
            ---
            movie : blob@raw
            """

        tracker = Old.connection.table(external_table(Old.database, "raw"))
        contents, hash_ = pack([1, 2]), uuid.uuid4()
        get_store("raw").put("old/schema/1GEqtEU6JY", contents)
        note(
            Old.connection, tracker, [Tracked(hash_, len(contents), None, "old/schema/1GEqtEU6JY")]
        )
        insert(Old, n=0, movie=hash_)
        for _ in range(2):
            assert Old.fetch1("movie") == [1, 2]


class TestQueries:
    """Whatever the query is, the objects are those of the tables that it is made of."""

    @pytest.fixture
    def tables(self, stores, make_schema) -> SimpleNamespace:
        class Movie(dj.Manual):
            definition = """
            n : int
            ---
            movie = null : blob@raw
            """

        class Other(dj.Manual):
            definition = """
            n : int
            ---
            other = null : blob@raw
            image = null : filepath@raw
            """

        class Plain(dj.Manual):
            definition = """
            n : int
            m : int
            """

        make_schema("one")(Movie)
        make_schema("two")(Other)
        make_schema("plain")(Plain)
        for n in range(3):
            insert(Movie, n=n, movie={"n": n})
            insert(Other, n=n, other={"other": n})
        Plain.insert((n, m) for n in range(3) for m in range(n))
        return SimpleNamespace(Movie=Movie, Other=Other, Plain=Plain)

    def test_renamed_and_joined(self, tables):
        query = tables.Movie.proj(film="movie") * tables.Other.proj("other") * tables.Plain
        assert (query & "n = 1").fetch1() == {
            "n": 1,
            "m": 0,
            "film": {"n": 1},
            "other": {"other": 1},
        }
        assert len((query & "m >= 0").fetch("film")) == 3

    def test_united(self, tables):
        query = (tables.Movie & "n < 1") + tables.Other.proj("other")
        rows = (query & dj.Top(None, "n")).to_dicts()
        assert rows == [
            {"n": 0, "movie": {"n": 0}, "other": {"other": 0}},
            {"n": 1, "movie": None, "other": {"other": 1}},
            {"n": 2, "movie": None, "other": {"other": 2}},
        ]

    def test_aggregated(self, tables):
        query = tables.Movie.aggr(tables.Plain, ..., count="count(m)", keep_all_rows=True)
        rows = (query & dj.Top(None, "n")).to_dicts()
        assert [(row["movie"]["n"], row["count"]) for row in rows] == [(0, 0), (1, 1), (2, 2)]

    def test_restricted_by_another(self, tables):
        query = dj.Top(1, "n desc")
        assert (tables.Movie & tables.Plain & query).fetch1("movie") == {"n": 2}
        assert (dj.U("n") & tables.Movie).fetch1 is not None
        assert (tables.Movie & query & query).fetch1("movie") == {"n": 2}

    def test_the_same_path_in_two_schemas(self, tables, make_schema, tmp_path):
        class Again(dj.Manual):
            definition = """
            n : int
            ---
            shared : filepath@raw
            """

        make_schema("three")(Again)
        insert(Again, n=5, shared=("a.txt", b"now"))
        tracker = tables.Other.connection.table(external_table(tables.Other.database, "raw"))
        old = Tracked(md5(b"a.txt"), 3, None, "a.txt", md5(b"old"))
        note(tables.Other.connection, tracker, [old])
        insert(tables.Other, n=5, image=old.hash)
        query = tables.Other.proj("image") * Again
        assert query.fetch1("shared") == str(tmp_path / "stage" / "a.txt")
        with pytest.raises(DataJointError, match="is damaged"):
            query.fetch1("image")

    def test_query_cache(self, tables, tmp_path):
        connection = tables.Movie.connection
        (tmp_path / "queries").mkdir()
        with dj.config(query_cache=str(tmp_path / "queries")):
            connection.set_query_cache("main")
            try:
                for _ in range(2):
                    assert (tables.Movie & "n = 1").fetch1("movie") == {"n": 1}
                    assert len(tables.Movie.fetch("movie")) == 3
            finally:
                connection.set_query_cache()


class TestStatements:
    def test_one_for_each_attribute(self, scans, backend, connection, target, folder):
        for n in range(10, 40):
            insert(scans, n=n, movie=[n], note=(f"{n}.txt", b"%d" % n), image=(f"{n}", b"x"))

        def count(operation: Callable[[], Any]) -> int:
            with COUNTERS[backend](connection, target) as statements:
                operation()
                received = statements()
            return len(received)

        assert count(lambda: scans.to_dicts(download_path=folder)) == 4
        assert count(lambda: scans.fetch("movie")) == 2
        assert count(lambda: scans.fetch("n", "paper", download_path=folder)) == 1
        assert count(lambda: (scans & "n = 2").fetch("movie", "image")) == 1  # only NULL
        assert count(lambda: scans.to_dicts("movie", lazy=True)) == 2
        assert count(lambda: scans.fetch("n")) == 1


class TestHandles:
    @pytest.mark.parametrize("form", FORMS)
    def test_all_forms(self, scans, stores, tmp_path, folder, form):
        """Nothing is read from the store, which could not be, and nothing is written."""
        with dj.config(stores={"raw": {**stores, "location": str(tmp_path / "not there")}}):
            rows = FORMS[form](scans & dj.Top(None, "n"), lazy=True, download_path=folder)
        assert list(folder.iterdir()) == [] == list((tmp_path / "stage").iterdir())
        assert all(_is_null(rows[2][name]) for name in ("movie", "note", "image", "paper"))
        first = rows[0]
        assert {name: type(value).__name__ for name, value in first.items() if name != "n"} == {
            "movie": "StoredBlob",
            "note": "StoredAttachment",
            "image": "StagedFile",
            "paper": "AttachedFile",
        }
        assert {name: first[name].load() for name in ("note", "image", "paper")} == {
            "note": str(folder / "note.txt"),
            "image": str(tmp_path / "stage/day 1/image.tif"),
            "paper": str(folder / "paper.pdf"),
        }
        assert first["movie"].load().shape == (1, 2, 3)
        assert first["movie"].load() is not first["movie"].load()

    def test_preview_reads_nothing(self, scans, stores, tmp_path):
        with dj.config(stores={"raw": {**stores, "location": str(tmp_path / "not there")}}):
            text = repr(scans & {"n": 0})
            assert "=BLOB=" in text
            assert "=attach@raw" in text
            assert "attach@raw" in (scans & {"n": 0})._repr_html_()

    def test_what_they_tell(self, scans, stores):
        row = (scans & {"n": 0}).fetch1(lazy=True)
        movie, note, image, paper = (row[name] for name in ("movie", "note", "image", "paper"))
        packed = pack(np.arange(6.0).reshape(1, 2, 3))
        assert (movie.kind, movie.store, movie.hash, movie.size, movie.name) == (
            "blob",
            "raw",
            md5(packed),
            len(packed),
            md5(packed).hex,
        )
        assert movie.url.endswith(f"{movie.name[:2]}/{movie.name[2:4]}/{movie.name}")
        assert (note.kind, note.store, note.hash, note.size, note.name) == (
            "attach",
            "raw",
            md5(b"note.txt\0hello"),
            5,
            "note.txt",
        )
        assert (image.kind, image.store, image.hash, image.size, image.name) == (
            "filepath",
            "raw",
            md5(b"day 1/image.tif"),
            6,
            "image.tif",
        )
        assert (paper.kind, paper.store, paper.hash, paper.size, paper.name) == (
            "attach",
            None,
            md5(b"paper.pdf\0pages"),
            5,
            "paper.pdf",
        )
        assert paper.url is None
        assert [repr(handle) for handle in (note, image, paper)] == [
            "<attach@raw note.txt, 5 bytes>",
            "<filepath@raw image.tif, 6 bytes>",
            "<attach paper.pdf, 5 bytes>",
        ]
        assert repr(movie) == f"<blob@raw {movie.name}, {len(packed)} bytes>"

    @EACH_STORE
    def test_reading(self, scans, folder):
        row = (scans & {"n": 0}).fetch1(lazy=True)
        assert row["movie"].read() == pack(np.arange(6.0).reshape(1, 2, 3))
        for name, contents in {"note": b"hello", "image": b"pixels", "paper": b"pages"}.items():
            assert row[name].read() == contents
            with row[name].open() as stream:
                assert stream.seekable()
                stream.seek(2)
                assert stream.read() == contents[2:]
            assert row[name].save(folder) == folder / row[name].name
            assert row[name].save(str(folder)) == folder / row[name].name
            assert (folder / row[name].name).read_bytes() == contents
        with pytest.raises(DataJointError, match=r"is no file that can be saved: `load\(\)`"):
            row["movie"].save(folder)

    def test_squeeze(self, scans):
        handle = (scans & {"n": 0}).fetch1("movie", lazy=True, squeeze=True)
        assert handle.load().shape == (2, 3)

    def test_equality_and_pickling(self, scans):
        one, two = ((scans & {"n": n}).fetch1(lazy=True) for n in (0, 1))
        for name in ("movie", "note", "image", "paper"):
            assert one[name] == two[name]
            assert hash(one[name]) == hash(two[name])
            again = pickle.loads(pickle.dumps(one[name]))
            assert again == one[name]
            assert again.read() == one[name].read()
        assert len({one["movie"], one["note"], one["image"], one["paper"]}) == 4
        assert one["movie"] != "movie"
        with pytest.raises(AttributeError):
            one["movie"].tracked = None
        assert all(isinstance(handle, Handle) for handle in list(one.values())[1:])


class TestCache:
    def test_a_hit_needs_no_store(
        self, scans, stores, backend, connection, target, tmp_path, folder
    ):
        (tmp_path / "cache").mkdir()
        dj.config["cache"] = str(tmp_path / "cache")
        query = scans & {"n": 0}
        movie = query.fetch1("movie")
        (cached,) = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
        hash_ = query.fetch1("movie", lazy=True).hash.hex
        assert cached.relative_to(tmp_path / "cache") == Path(hash_[:2], hash_[2:4], hash_)
        with dj.config(stores={"raw": {**stores, "location": str(tmp_path / "not there")}}):
            with COUNTERS[backend](connection, target) as statements:
                np.testing.assert_array_equal(query.fetch1("movie"), movie)
                received = list(statements())
            assert len(received) == 1
            np.testing.assert_array_equal(query.fetch1("movie", lazy=True).load(), movie)
            with query.fetch1("movie", lazy=True).open() as stream:
                assert stream.read() == cached.read_bytes()

    def test_a_damaged_file_is_not_taken(self, scans, tmp_path):
        (tmp_path / "cache").mkdir()
        dj.config["cache"] = str(tmp_path / "cache")
        query = scans & {"n": 0}
        movie = query.fetch1("movie")
        (cached,) = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
        whole = cached.read_bytes()
        cached.write_bytes(whole[:-1])
        np.testing.assert_array_equal(query.fetch1("movie"), movie)
        assert cached.read_bytes() == whole


def damage(scans: Any, name: str, contents: bytes | None) -> str:
    """Put other contents into the place of an object, or nothing."""
    handle = (scans & {"n": 0}).fetch1(name, lazy=True)
    store = get_store("raw")
    path = handle.tracked.path(scans.database, store.settings.subfolding)
    if contents is None:
        assert store.delete([path]) == {}
    else:
        store.put(path, contents)
    return str(handle.url)


class TestFaults:
    @EACH_STORE
    def test_missing_object(self, scans, folder):
        for name in ("movie", "note", "image"):
            url = damage(scans, name, None)
            for fetch in (
                lambda one, name: one.fetch(name, download_path=folder),
                lambda one, name: one.fetch1(name, download_path=folder),
                lambda one, name: list(one.proj(name)),
                lambda one, name: one.fetch1(name, lazy=True).read(),
                lambda one, name: one.fetch1(name, lazy=True).open().read(),
            ):
                with pytest.raises(MissingExternalFile) as caught:
                    fetch(scans & {"n": 0}, name)
                assert str(caught.value) == (
                    f"The store `raw` has no object {url}, to which attribute `{name}` of "
                    f"`{scans.database}`.`scans` refers. Bring it back from a backup, or delete "
                    "the entities that refer to it"
                )
        assert list(folder.iterdir()) == []

    def test_damaged_object(self, scans, folder, tmp_path):
        for name in ("movie", "note", "image"):
            handle = (scans & {"n": 0}).fetch1(name, lazy=True)
            message = (
                rf"object .* in the store `raw`, .*`{name}` of `.*`\.`scans` refers, is damaged"
            )
            for size in (handle.size, handle.size - 1, 0):
                damage(scans, name, b"?" * size)
                with pytest.raises(DataJointError, match=message):
                    scans.fetch(name, download_path=folder)
                with pytest.raises(DataJointError, match=message):
                    handle.read()
        assert list(folder.iterdir()) == []
        assert [f for f in (tmp_path / "stage").rglob("*") if f.is_file()] == []

    def test_no_download_folder(self, scans, tmp_path):
        for name in ("note", "paper"):
            with pytest.raises(DataJointError, match=r"there is no folder `.*nowhere`"):
                scans.fetch(name, download_path=tmp_path / "nowhere")

    def test_no_stage(self, scans, stores):
        del stores["stage"]
        dj.config["stores"] = {"raw": dict(stores)}
        with pytest.raises(DataJointError, match=r'\["raw"\] is missing "stage"'):
            scans.fetch("image")

    def test_names_that_lead_elsewhere(self, scans, tmp_path, folder):
        insert(scans, n=4, paper=b"../../out.txt\0a")
        assert (scans & {"n": 4}).fetch1("paper", download_path=folder) == str(folder / "out.txt")
        tracker = scans.connection.table(external_table(scans.database, "raw"))
        hash_ = md5(b"../../out.txt\0b")
        note(scans.connection, tracker, [Tracked(hash_, 1, "../../out.txt")])
        insert(scans, n=5, note=hash_)
        with pytest.raises(DataJointError, match=r"out\.txt' does not name an object"):
            (scans & {"n": 5}).fetch1("note", download_path=folder)
        for n, path in enumerate(("../out.tif", "/out.tif", "a/../../out.tif"), 6):
            note(scans.connection, tracker, [Tracked(md5(path.encode()), 1, None, path)])
            insert(scans, n=n, image=md5(path.encode()))
            with pytest.raises(DataJointError, match="not inside of the stage"):
                (scans & {"n": n}).fetch1("image")
        insert(scans, n=10, paper=b"..\0a")
        with pytest.raises(DataJointError, match=r"`\.\.` is no name of a file"):
            (scans & {"n": 10}).fetch1("paper", download_path=folder)


class TestAttachedFiles:
    @EACH_STORE
    def test_files_of_one_name(self, scans, folder):
        for n in range(16):
            insert(scans, n=100 + n, note=("a.tar.gz", b"%d" % n), paper=b"p.txt\0%d" % n)
        for _ in range(2):
            many = scans & "n >= 100" & dj.Top(None, "n")
            for name, stem in {"note": "a.tar", "paper": "p"}.items():
                paths = list(many.fetch(name, download_path=folder))
                assert [Path(path).read_bytes() for path in paths] == [b"%d" % n for n in range(16)]
                suffix = ".gz" if name == "note" else ".txt"
                assert {Path(path).name for path in paths} == {
                    stem + suffix,
                    *(f"{stem}_{n:04x}{suffix}" for n in range(15)),
                }
            assert len(list(folder.iterdir())) == 32

    def test_a_file_that_is_there(self, scans, folder):
        (folder / "note.txt").write_bytes(b"jello")
        (folder / "paper.pdf").mkdir()
        query = scans & {"n": 0}
        assert query.fetch1("note", download_path=folder) == str(folder / "note_0000.txt")
        assert query.fetch1("paper", download_path=folder) == str(folder / "paper_0000.pdf")
        (folder / "note.txt").write_bytes(b"hello")
        damage(scans, "note", None)  # an equal file is not downloaded
        assert query.fetch1("note", download_path=folder) == str(folder / "note.txt")


class TestStagedFiles:
    def test_what_is_there_is_kept(self, scans, tmp_path):
        path = Path((scans & {"n": 0}).fetch1("image"))
        before = path.stat()
        (scans & {"n": 0}).fetch1("image")
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert path.stat().st_ino == before.st_ino
        path.write_bytes(b"others")  # as long as it was
        assert (scans & {"n": 0}).fetch1("image") == str(path)
        assert path.read_bytes() == b"pixels"
        damage(scans, "image", None)
        (scans & {"n": 0}).fetch1("image")
        path.write_bytes(b"others")
        with pytest.raises(MissingExternalFile):
            (scans & {"n": 0}).fetch1("image")

    def test_size_limit(self, scans, tmp_path):
        path = tmp_path / "stage" / "day 1" / "image.tif"
        path.parent.mkdir()
        path.write_bytes(b"others")
        with dj.config(filepath_checksum_size_limit=6):
            assert (scans & {"n": 0}).fetch1("image") == str(path)
            assert path.read_bytes() == b"others"
            path.write_bytes(b"longer than it was")
            (scans & {"n": 0}).fetch1("image")
            assert path.read_bytes() == b"pixels"
        path.write_bytes(b"others")
        with dj.config(filepath_checksum_size_limit=7):
            (scans & {"n": 0}).fetch1("image")
            assert path.read_bytes() == b"pixels"

    def test_without_checksum(self, scans, tmp_path, folder):
        tracker = scans.connection.table(external_table(scans.database, "raw"))
        get_store("raw").put("b.tif", b"pixels")
        note(scans.connection, tracker, [Tracked(md5(b"b.tif"), 6, None, "b.tif")])
        insert(scans, n=5, image=md5(b"b.tif"))
        (tmp_path / "stage" / "b.tif").write_bytes(b"others")
        handle = (scans & {"n": 5}).fetch1("image", lazy=True)
        assert Path(handle.load()).read_bytes() == b"others"
        (folder / "b.tif").write_bytes(b"what else")
        assert handle.save(folder) == folder / "b_0000.tif"
        assert (folder / "b_0000.tif").read_bytes() == b"pixels"

    def test_the_store_is_the_stage(self, scans, stores, tmp_path):
        dj.config["stores"] = {"raw": {**stores, "stage": stores["location"]}}
        path = tmp_path / "raw" / "day 1" / "image.tif"
        before = path.stat()
        assert (scans & {"n": 0}).fetch1("image") == str(path)
        assert path.stat().st_ino == before.st_ino
        path.write_bytes(b"others")
        with pytest.raises(DataJointError, match=r"was changed since it was inserted.*delete"):
            (scans & {"n": 0}).fetch1("image")
        assert path.read_bytes() == b"others"
        path.unlink()
        with pytest.raises(MissingExternalFile):
            (scans & {"n": 0}).fetch1("image")


def test_the_store_is_not_configured(scans, stores, tmp_path):
    dj.config["stores"] = {"other": stores}
    with pytest.raises(DataJointError, match="raw"):
        scans.fetch("movie")
    shutil.rmtree(tmp_path / "raw")
    assert (scans & {"n": 2}).fetch1("movie") is None
