"""Inserts and updates of what stores keep: manual 2.5.1 and 5.7, storage formats 3.3 and 3.4."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import datajoint as dj
from datajoint import tracking
from datajoint.blob import pack
from datajoint.storage.local import LocalStore

DIGITS = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The location of the store ``raw``."""
    location = tmp_path / "raw"
    location.mkdir()
    return location


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    stage = tmp_path / "stage"
    stage.mkdir()
    return stage


@pytest.fixture
def stores(folder: Path, stage: Path) -> Iterator[None]:
    raw = {"protocol": "file", "location": str(folder), "stage": str(stage)}
    with dj.config(stores={"raw": raw}):
        yield


@pytest.fixture
def tables(stores: None, schema: dj.Schema) -> SimpleNamespace:
    @schema
    class Movie(dj.Manual):
        definition = """
        movie : int
        ---
        frames : blob@raw
        thumbnail = null : blob@raw
        """

    @schema
    class Note(dj.Manual):
        definition = """
        note : int
        ---
        file : attach@raw
        """

    @schema
    class Image(dj.Manual):
        definition = """
        image : int
        ---
        path : filepath@raw
        """

    return SimpleNamespace(Movie=Movie, Note=Note, Image=Image)


def objects(folder: Path) -> dict[str, bytes]:
    """Read all files of a store."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def tracked(schema: dj.Schema) -> list[tuple[Any, ...]]:
    """Read the tracking table, but for the times."""
    table = dj.FreeTable(schema.connection, f"`{schema.database}`.`~external_raw`")
    names = ("hash", "size", "attachment_name", "filepath", "contents_hash")
    return sorted(tuple(row[name] for name in names) for row in table.to_dicts())


def stored_hash(table: Any, attribute: str) -> list[Any]:
    """Read what the table itself has of an attribute."""
    free = dj.FreeTable(table.connection, table.full_table_name)
    return list(free.proj(h=f"ifnull({attribute}, null)").fetch("h"))


def object_name(schema: dj.Schema, hash_: UUID, name: str = "") -> str:
    digits = hash_.hex
    return f"{schema.database}/{digits[:2]}/{digits[2:4]}/{digits}{'.' if name else ''}{name}"


def test_blob_is_stored_under_its_hash(
    tables: SimpleNamespace, schema: dj.Schema, folder: Path
) -> None:
    tables.Movie.insert1((1, [1, 2], None))
    hash_ = UUID("4745e06bbe350101394e4e957cc5adfa")
    assert objects(folder) == {object_name(schema, hash_): pack([1, 2])}
    assert tracked(schema) == [(hash_, 37, None, None, None)]
    assert len(tables.Movie & "frames is not null") == len(tables.Movie - "thumbnail is null") + 1


def test_attached_file_keeps_its_name(
    tables: SimpleNamespace, schema: dj.Schema, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "my file.tar.gz"
    file.write_bytes(b"hello\0world")
    tables.Note.insert1({"note": 1, "file": file})
    hash_ = UUID("f62fd340e7a014e9a7ee4e36fca8e6bb")
    assert objects(folder) == {object_name(schema, hash_, "my file.tar.gz"): b"hello\0world"}
    assert tracked(schema) == [(hash_, 11, "my file.tar.gz", None, None)]


def test_file_keeps_its_path(
    tables: SimpleNamespace, schema: dj.Schema, folder: Path, stage: Path
) -> None:
    file = stage / "sub" / "deep" / "f.dat"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"data")
    tables.Image.insert1((1, str(file)))
    assert objects(folder) == {"sub/deep/f.dat": b"data"}
    hash_ = UUID("a43e9a57d644729f721ff2317937ff7d")
    contents = UUID(md5(b"data").hexdigest())
    assert tracked(schema) == [(hash_, 4, None, "sub/deep/f.dat", contents)]


def test_checksum_of_a_large_file_is_not_computed(
    tables: SimpleNamespace, schema: dj.Schema, stage: Path
) -> None:
    (stage / "four").write_bytes(b"1234")
    (stage / "five").write_bytes(b"12345")
    with dj.config(filepath_checksum_size_limit_insert=4):
        tables.Image.insert([(1, stage / "four"), (2, stage / "five")])
    found = {path: contents for _, _, _, path, contents in tracked(schema)}
    assert found == {"four": UUID(md5(b"1234").hexdigest()), "five": None}


def test_file_outside_of_the_stage_is_refused(
    tables: SimpleNamespace, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere"
    file.write_bytes(b"x")
    with pytest.raises(dj.DataJointError, match=r"is no file below .*, the stage of the stor"):
        tables.Image.insert1((1, file))
    assert objects(folder) == {}


@pytest.mark.parametrize("table", ["Note", "Image"])
def test_file_that_is_missing_is_refused(tables: SimpleNamespace, table: str) -> None:
    with pytest.raises(dj.DataJointError, match=r"'nowhere.txt' cannot be the value of attribute"):
        getattr(tables, table).insert1((1, "nowhere.txt"))
    with pytest.raises(dj.DataJointError, match=r"it is a int, not the path of a file"):
        getattr(tables, table).insert1((1, 7))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "x" * 300,
            r"cannot be the value of attribute `\w+` of type `.*`: it cannot be read: File",
        ),
        ("~nobody-of-that-name/x", r"it cannot be read: Could not determine home directory"),
        (b"in\xff.txt", r"it has a name that is not UTF-8 text: rename the file"),
    ],
)
def test_file_that_cannot_be_read_is_refused(
    schema: dj.Schema, tables: SimpleNamespace, stage: Path, value: Any, message: str
) -> None:
    @schema
    class Letter(dj.Manual):
        definition = """
        letter : int
        ---
        file : attach
        """

    if isinstance(value, bytes):
        try:
            (stage / os.fsdecode(value)).write_text("x")
        except OSError:
            pytest.skip("the file system takes names of UTF-8 only")
        value = stage / os.fsdecode(value)
    for table in (tables.Note, tables.Image, Letter):
        with pytest.raises(dj.DataJointError, match=message):
            table.insert1((1, value))
        assert len(table.validate([(1, value)]).errors) == 1


def test_path_that_the_tracking_table_has_no_room_for(tables: SimpleNamespace, stage: Path) -> None:
    folder = stage.joinpath(*["x" * 199] * 5)
    folder.mkdir(parents=True)
    (folder / "f").write_text("1")
    row = (1, folder / "f")
    message = "it has a path of 1001 characters below the stage, of which 1000 are allowed"
    with pytest.raises(dj.DataJointError, match=message):
        tables.Image.insert1(row)
    assert message in str(tables.Image.validate([row]))


def test_file_that_is_removed_before_it_is_stored(tables: SimpleNamespace, stage: Path) -> None:
    def passing() -> Iterator[tuple[int, Path]]:
        file = stage / "passing"
        file.write_text("x")
        yield 1, file
        file.unlink()

    with pytest.raises(dj.DataJointError, match="passing` could not be read when it was to be st"):
        tables.Note.insert(passing())
    assert len(tables.Note()) == 0


def test_contents_of_a_lookup_table_are_read_once(
    stores: None, schema: dj.Schema, folder: Path, stage: Path
) -> None:
    file = stage / "f"
    file.write_text("x")

    def declare() -> Any:
        @schema
        class Icon(dj.Lookup):
            definition = """
            icon : int
            ---
            image : attach@raw
            pixels : blob@raw
            """
            contents = ((1, file, [1, 2]), (2, file, [1, 2]))

        return Icon

    declare()
    file.unlink()
    assert len(declare()()) == len(objects(folder)) == 2


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_serialized_blobs_of_any_kind(
    tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    serialized = kind(pack([1, 2]))
    monkeypatch.setattr("datajoint.blob.bypass_serialization", True)
    tables.Movie.insert1((1, serialized, None))
    monkeypatch.undo()
    assert tables.Movie.fetch1("frames") == [1, 2]


def test_equal_contents_are_stored_once(
    tables: SimpleNamespace, schema: dj.Schema, folder: Path
) -> None:
    same = np.arange(100)
    tables.Movie.insert([(i, same, same) for i in range(5)])
    tables.Movie.insert1((9, same, None))
    assert len(objects(folder)) == len(tracked(schema)) == 1
    assert len(set(stored_hash(tables.Movie, "frames"))) == 1


def test_object_that_is_gone_is_stored_again(
    tables: SimpleNamespace, schema: dj.Schema, folder: Path
) -> None:
    tables.Movie.insert1((1, [1, 2], None))
    before = objects(folder)
    for name in before:
        (folder / name).unlink()
    tables.Movie.insert1((2, [1, 2], None))
    assert objects(folder) == before


def test_truncated_object_is_stored_again(tables: SimpleNamespace, folder: Path) -> None:
    tables.Movie.insert1((1, [1, 2], None))
    ((name, contents),) = objects(folder).items()
    (folder / name).write_bytes(contents[:-1])
    tables.Movie.insert1((2, [1, 2], None))
    assert objects(folder) == {name: contents}


def test_rows_that_are_refused_leave_nothing_behind_in_the_database(
    tables: SimpleNamespace, schema: dj.Schema
) -> None:
    tables.Movie.insert1((1, "first", None))
    before = tracked(schema)
    with pytest.raises(dj.errors.DuplicateError, match=r"row 1\): an entity with movie = 1"):
        tables.Movie.insert([(2, "second", None), (1, "third", None)])
    assert tracked(schema) == before
    assert len(tables.Movie()) == 1


def test_failed_upload_fails_the_whole_insert(
    tables: SimpleNamespace, schema: dj.Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = LocalStore.put
    bad = pack(DIGITS[7] * 20)

    def failing(self: LocalStore, path: str, data: bytes, *args: Any) -> None:
        if data == bad:
            raise dj.DataJointError(f"Store `raw`: no space left for {path}")
        put(self, path, data, *args)

    monkeypatch.setattr(LocalStore, "put", failing)
    with pytest.raises(dj.DataJointError, match=r"^Cannot insert into .*movie`: Store `raw`: n"):
        tables.Movie.insert([(i, digit * 20, None) for i, digit in enumerate(DIGITS)])
    assert len(tables.Movie()) == 0
    assert tracked(schema) == []
    monkeypatch.undo()
    tables.Movie.insert([(i, digit * 20, None) for i, digit in enumerate(DIGITS)])
    assert len(tables.Movie()) == len(tracked(schema)) == 16


def test_objects_are_stored_before_rows_refer_to_them(
    tables: SimpleNamespace, connection: dj.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    put, execute = LocalStore.put, type(connection.backend).insert

    def note_put(self: LocalStore, *args: Any) -> None:
        put(self, *args)
        events.append("object")

    def note_insert(self: Any, statement: Any, rows: Any) -> Any:
        events.append("row of movie" if "movie" in statement.text else "row of object")
        return execute(self, statement, rows)

    monkeypatch.setattr(LocalStore, "put", note_put)
    monkeypatch.setattr(type(connection.backend), "insert", note_insert)
    tables.Movie.insert1((1, [1, 2], None))
    assert events[-1] == "row of movie"
    assert sorted(events) == ["object", "row of movie", "row of object"]


def test_objects_are_stored_several_at_a_time(
    tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four uploads wait for each other: one by one, none would end."""
    put, barrier = LocalStore.put, threading.Barrier(4, timeout=20)

    def waiting(self: LocalStore, *args: Any) -> None:
        barrier.wait()
        put(self, *args)

    monkeypatch.setattr(LocalStore, "put", waiting)
    tables.Movie.insert([(i, f"movie {i}", None) for i in range(8)])
    assert len(tables.Movie()) == 8


def test_update_of_an_object(tables: SimpleNamespace, schema: dj.Schema, folder: Path) -> None:
    tables.Movie.insert1((1, [1, 2], None))
    tables.Movie.update1({"movie": 1, "thumbnail": [3]})
    assert len(objects(folder)) == len(tracked(schema)) == 2
    tables.Movie.update1({"movie": 1, "thumbnail": None})
    assert stored_hash(tables.Movie, "thumbnail") == [None]
    assert len(objects(folder)) == 2  # until they are collected


def test_update_that_is_refused_says_so(
    tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: LocalStore, path: str, *args: Any) -> None:
        raise dj.DataJointError("Store `raw`: no space left")

    tables.Movie.insert1((1, [1, 2], None))
    monkeypatch.setattr(LocalStore, "put", failing)
    with pytest.raises(dj.DataJointError, match=r"^Cannot update .*movie`: Store `raw`: no space"):
        tables.Movie.update1({"movie": 1, "thumbnail": [3]})


def test_replace_and_skip(tables: SimpleNamespace, schema: dj.Schema) -> None:
    tables.Movie.insert1((1, "first", None))
    first = stored_hash(tables.Movie, "frames")
    tables.Movie.insert1((1, "second", None), skip_duplicates=True)
    assert stored_hash(tables.Movie, "frames") == first
    tables.Movie.insert1((1, "second", None), replace=True)
    assert stored_hash(tables.Movie, "frames") != first


def test_validation_stores_nothing(
    tables: SimpleNamespace, schema: dj.Schema, folder: Path
) -> None:
    assert tables.Movie.validate([(1, [1, 2], None), (2, [3], [4])])
    found = tables.Movie.validate([(1, {1, object}, None), (2, None, None)])
    assert [(fault.row, fault.attributes) for fault in found.errors] == [
        (0, ("frames",)),
        (1, ("frames",)),
    ]
    assert objects(folder) == {}
    assert tracked(schema) == []


def test_rollback_of_the_user_undoes_the_rows(tables: SimpleNamespace, schema: dj.Schema) -> None:
    with pytest.raises(ZeroDivisionError), schema.connection.transaction:
        tables.Movie.insert1((1, [1, 2], None))
        1 / 0  # noqa: B018
    assert tracked(schema) == []
    with schema.connection.transaction:
        tables.Movie.insert1((1, [1, 2], None))
        tables.Movie.insert1((2, [1, 2], None))
    assert len(tracked(schema)) == 1


def test_file_with_new_contents(tables: SimpleNamespace, schema: dj.Schema, stage: Path) -> None:
    """Manual 5.7.2: delete the entity, change the file, and insert it again."""
    file = stage / "image.tif"
    file.write_bytes(b"old")
    tables.Image.insert1((1, file))
    file.write_bytes(b"newer")
    with pytest.raises(dj.DataJointError, match=r"`image.tif` was inserted before with other cont"):
        tables.Image.insert1((2, file))
    (fault,) = tables.Image.validate([(2, file)]).errors
    assert (fault.row, fault.attributes, fault.value) == (0, ("path",), file)
    assert fault.message.startswith("the file `image.tif` was inserted before with other conten")
    assert objects(Path(dj.config["stores"]["raw"]["location"])) == {"image.tif": b"old"}
    tables.Image.delete()
    assert tables.Image.validate([(2, file)])
    tables.Image.insert1((1, file))
    ((_, size, _, path, contents),) = tracked(schema)
    assert (size, path, contents) == (5, "image.tif", UUID(md5(b"newer").hexdigest()))
    assert objects(Path(dj.config["stores"]["raw"]["location"])) == {"image.tif": b"newer"}


def test_file_that_others_insert_meanwhile(
    tables: SimpleNamespace,
    connection: dj.Connection,
    folder: Path,
    stage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that came between the look for it and the note of it is not overwritten."""
    file = stage / "image.tif"
    file.write_bytes(b"old")
    tables.Image.insert1((1, file))
    file.write_bytes(b"newer")
    find, looks = tracking.look_up, []

    def late(*args: Any) -> Any:
        looks.append(1)
        return {} if len(looks) == 1 else find(*args)

    monkeypatch.setattr(tracking, "look_up", late)
    with pytest.raises(dj.DataJointError, match=r"`image.tif` was inserted before with other cont"):
        tables.Image.insert1((2, file))
    assert objects(folder) == {"image.tif": b"old"}


@pytest.mark.parametrize("table", ["Note", "Image"])
def test_file_that_changes_does_not_overwrite_what_is_in_use(
    tables: SimpleNamespace, folder: Path, stage: Path, table: str
) -> None:
    file = stage / "file"
    file.write_bytes(b"first")
    getattr(tables, table).insert1((1, file))
    before = objects(folder)

    def changing() -> Iterator[tuple[int, Path]]:
        yield 2, file
        file.write_bytes(b"other")
        stage.joinpath("another").write_bytes(b"another")
        yield 3, stage / "another"

    getattr(tables, table).insert(changing())
    assert before.items() <= objects(folder).items()


def test_file_that_others_refer_to_meanwhile_keeps_its_contents(
    tables: SimpleNamespace, schema: dj.Schema, stage: Path, connect: Callable[[], dj.Connection]
) -> None:
    """By a table that was not there when the catalog was read."""
    file = stage / "image.tif"
    file.write_bytes(b"old")
    tables.Image.insert1((1, file))
    tables.Image.delete()

    class Photo(dj.Manual):
        definition = """
        photo : int
        ---
        file : filepath@raw
        """

    dj.Schema(schema.database, connection=connect())(Photo).insert1((1, file))
    file.write_bytes(b"newer")
    with pytest.raises(dj.DataJointError, match=r"`image.tif` was inserted before with other cont"):
        tables.Image.insert1((1, file))
    assert objects(Path(dj.config["stores"]["raw"]["location"])) == {"image.tif": b"old"}


def test_file_that_others_refer_to_since_the_transaction_began(
    tables: SimpleNamespace,
    schema: dj.Schema,
    stage: Path,
    connect: Callable[[], dj.Connection],
    backend: str,
) -> None:
    if backend == "sqlite":
        pytest.skip("sqlite has one writer")
    file = stage / "image.tif"
    file.write_bytes(b"old")
    tables.Image.insert1((1, file))
    tables.Image.delete()
    other = dj.FreeTable(connect(), tables.Image.full_table_name)
    with (
        pytest.raises(dj.DataJointError, match="was inserted before"),
        schema.connection.transaction,
    ):
        assert not tables.Image()
        other.insert1((1, file))
        file.write_bytes(b"newer")
        tables.Image.insert1((2, file))
    assert objects(Path(dj.config["stores"]["raw"]["location"])) == {"image.tif": b"old"}


def test_file_of_another_schema_keeps_its_contents(
    tables: SimpleNamespace, stage: Path, make_schema: Callable[..., dj.Schema]
) -> None:
    file = stage / "image.tif"
    file.write_bytes(b"old")
    tables.Image.insert1((1, file))

    class Photo(dj.Manual):
        definition = """
        photo : int
        ---
        file : filepath@raw
        """

    Photo = make_schema("other")(Photo)
    Photo.insert1((1, file))
    Photo.delete()
    file.write_bytes(b"newer")
    with pytest.raises(dj.DataJointError, match=r"`image.tif` with other contents, which `djtest_"):
        Photo.insert1((1, file))
    assert objects(Path(dj.config["stores"]["raw"]["location"])) == {"image.tif": b"old"}


@pytest.mark.parametrize("stage_is_location", [False, True])
def test_file_that_is_there_already_costs_no_look_at_other_schemas(
    tables: SimpleNamespace, stage: Path, stage_is_location: bool
) -> None:
    folder = Path(dj.config["stores"]["raw"]["location"])
    if stage_is_location:
        dj.config["stores"]["raw"]["stage"] = str(folder)
        stage = folder
    (stage / "image.tif").write_bytes(b"pixels")
    (folder / "image.tif").write_bytes(b"pixels")
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(dj.Connection, "list_schemas")
        tables.Image.insert1((1, stage / "image.tif"))
    assert objects(folder) == {"image.tif": b"pixels"}


@pytest.mark.parametrize("limits", [(None, 1), (1, None), (1, 1)])
def test_file_of_the_same_contents_without_checksum(
    tables: SimpleNamespace, stage: Path, limits: tuple[int | None, int | None]
) -> None:
    file = stage / "image.tif"
    file.write_bytes(b"contents")
    for number, limit in enumerate(limits):
        with dj.config(filepath_checksum_size_limit_insert=limit):
            tables.Image.insert1((number, file))
    assert len(tables.Image()) == 2
    if limits[1] is None:
        file.write_bytes(b"CONTENTS")
        with pytest.raises(dj.DataJointError, match="was inserted before with other contents"):
            tables.Image.insert1((3, file))


def test_many_rows_take_few_statements(
    tables: SimpleNamespace, connection: dj.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = []
    run = dj.Connection._run

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        count.append(1)
        return run(self, *args, **kwargs)

    rows = [(i, f"movie {i}", None) for i in range(500)]
    tables.Movie.insert1((1000, "warm up", None))
    monkeypatch.setattr(dj.Connection, "_run", counting)
    tables.Movie.insert(rows)
    # begin, look up, note, hold, insert, commit; and a look before where objects go ahead
    assert len(count) == 6 + connection.backend.has_one_writer


KILLED = """
import os, signal, sys
import datajoint as dj
from datajoint.storage.local import LocalStore

options, database, stores, moment = eval(sys.argv[1])
dj.config["stores"] = stores
dj.config["loglevel"] = "ERROR"
schema = dj.VirtualModule("m", database, connection=dj.Connection(**options))
put, commit, backend = LocalStore.put, None, type(schema.Movie().connection.backend)

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before":
    LocalStore.put = die
elif moment == "during":
    os.replace = die
elif moment == "after":
    def put_and_die(self, *args):
        put(self, *args)
        die()
    LocalStore.put = put_and_die
else:
    backend.commit = die
schema.Movie.insert([(i, f"movie {i}", None) for i in range(3)])
"""


@pytest.mark.parametrize("moment", ["before", "during", "after", "commit"])
def test_killed_process_leaves_at_most_objects(
    tables: SimpleNamespace,
    schema: dj.Schema,
    target: Any,
    tmp_path: Path,
    moment: str,
) -> None:
    arguments = (target.options(tmp_path), schema.database, dj.config["stores"], moment)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, repr(arguments)], capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(tables.Movie()) == 0
    assert tracked(schema) == []
    tables.Movie.insert([(i, f"movie {i}", None) for i in range(3)])
    assert len(tables.Movie()) == len(tracked(schema)) == 3


def test_same_contents_at_once(
    tables: SimpleNamespace, schema: dj.Schema, connect: Callable[[], dj.Connection]
) -> None:
    """Sessions that store the same contents at once wait for each other, and none fails."""
    connections = [connect() for _ in range(4)]
    errors: list[BaseException] = []
    start = threading.Barrier(len(connections))

    def insert(number: int, connection: dj.Connection) -> None:
        table = dj.FreeTable(connection, tables.Movie.full_table_name)
        try:
            start.wait()
            for i in range(10):
                table.insert1((100 * number + i, f"contents {i}", "the same always"))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=insert, args=item) for item in enumerate(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(tables.Movie()) == 40
    assert len(tracked(schema)) == 11


def test_file_in_its_place_is_not_copied(schema: dj.Schema, folder: Path) -> None:
    """The stage may be the location of the store, as in manual 5.7.2."""
    raw = {"protocol": "file", "location": str(folder), "stage": str(folder)}
    file = folder / "image.tif"
    file.write_bytes(b"contents")
    before = file.stat()
    with dj.config(stores={"raw": raw}):

        @schema
        class Image(dj.Manual):
            definition = """
            image : int
            ---
            path : filepath@raw
            """

        Image.insert1((1, file))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [row[3] for row in tracked(schema)] == ["image.tif"]


def test_insert_is_repeated_after_a_conflict(
    tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, connection: dj.Connection
) -> None:
    """Others may store the same contents at once; outside of a transaction nobody is bothered."""
    insert, conflicts = type(connection.backend).insert, ["first", "second"]

    def conflicting(self: Any, statement: Any, rows: Any) -> Any:
        if conflicts:
            raise dj.errors.ConflictError(conflicts.pop())
        return insert(self, statement, rows)

    monkeypatch.setattr(type(connection.backend), "insert", conflicting)
    tables.Movie.insert([(1, [1, 2], None), (2, [3], None)])
    assert len(tables.Movie()) == 2
    conflicts.append("third")
    with pytest.raises(dj.errors.ConflictError), connection.transaction:
        tables.Movie.insert1((3, [4], None))
    assert len(tables.Movie()) == 2


# -- copies: of handles, and of queries -----------------------------------------------------------


@pytest.fixture
def copies(
    stores: None, make_schema: Callable[..., dj.Schema], tmp_path: Path, folder: Path
) -> SimpleNamespace:
    """Tables in another schema, with another store, and with none."""
    other = {"protocol": "file", "location": str(tmp_path), "stage": str(tmp_path / "stage")}
    dj.config["stores"]["other"] = other
    schema = make_schema("copies")

    @schema
    class Same(dj.Manual):
        definition = """
        movie : int
        ---
        frames : blob@raw
        thumbnail = null : blob@raw
        """

    @schema
    class Other(dj.Manual):
        definition = """
        movie : int
        ---
        frames : blob@other
        """

    @schema
    class Inside(dj.Manual):
        definition = """
        movie : int
        ---
        frames : longblob
        """

    @schema
    class Attached(dj.Manual):
        definition = """
        note : int
        ---
        file : attach
        """

    @schema
    class Linked(dj.Manual):
        definition = """
        image : int
        ---
        path : filepath@other
        """

    return SimpleNamespace(
        Same=Same, Other=Other, Inside=Inside, Attached=Attached, Linked=Linked, schema=schema
    )


@pytest.mark.parametrize("name", ["Same", "Other", "Inside"])
def test_query_is_inserted_with_what_stores_keep(
    tables: SimpleNamespace, copies: SimpleNamespace, name: str
) -> None:
    tables.Movie.insert([(1, np.arange(9), None), (2, {"a": [1, None]}, "x")])
    target = getattr(copies, name)
    target.insert(tables.Movie & "movie = 2", ignore_extra_fields=True)
    target.insert(tables.Movie, skip_duplicates=True, ignore_extra_fields=True)
    frames = target.fetch("frames", order_by="KEY")
    np.testing.assert_array_equal(frames[0], np.arange(9))
    assert frames[1] == {"a": [1, None]}


def test_blobs_of_a_table_go_into_a_store(
    tables: SimpleNamespace, copies: SimpleNamespace, folder: Path
) -> None:
    copies.Inside.insert([(1, [1, 2]), (2, [3])])
    tables.Movie.insert(copies.Inside)
    assert list(tables.Movie.fetch("frames", order_by="KEY")) == [[1, 2], [3]]
    assert len(objects(folder)) == 2


def test_query_within_a_schema_stores_nothing(
    tables: SimpleNamespace, schema: dj.Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    @schema
    class Copy(dj.Manual):
        definition = """
        movie : int
        ---
        frames : blob@raw
        """

    tables.Movie.insert([(1, [1, 2], None), (2, [3], None)])
    for method in ("put", "get", "info"):
        monkeypatch.setattr(LocalStore, method, None)
    Copy.insert(tables.Movie.proj("frames"))
    monkeypatch.undo()
    assert list(Copy.fetch("frames", order_by="KEY")) == [[1, 2], [3]]


def test_handles_are_inserted(
    tables: SimpleNamespace, copies: SimpleNamespace, tmp_path: Path, stage: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("some notes")
    image = stage / "deep" / "image.tif"
    image.parent.mkdir()
    image.write_bytes(b"image")
    tables.Movie.insert1((1, [1, 2], None))
    tables.Note.insert1((1, file))
    tables.Image.insert1((1, image))
    copies.Other.insert1(tables.Movie.proj("frames").fetch1(lazy=True))
    copies.Attached.insert(tables.Note.to_dicts(lazy=True))
    copies.Linked.insert(tables.Image.to_dicts(lazy=True))
    tables.Note.insert1({"note": 2, "file": copies.Attached.fetch1("file", lazy=True)})
    assert copies.Other.fetch1("frames") == [1, 2]
    assert Path(copies.Attached.fetch1("file")).read_text() == "some notes"
    assert copies.Linked.fetch1("path") == str(image)
    assert len({row["file"].hash for row in tables.Note.to_dicts(lazy=True)}) == 1
    with pytest.raises(dj.DataJointError, match=r"it is a handle of kind `attach`, not `blob`"):
        tables.Movie.insert1((2, tables.Note.fetch("file", lazy=True)[0], None))
