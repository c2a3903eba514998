"""Cleaning up stores: what is in use, what is removed, what others do meanwhile, verification."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

import datajoint as dj
import stores_soak
from datajoint import verification
from datajoint.blob import pack
from datajoint.errors import DataJointError, IntegrityError
from datajoint.hash import uuid_from_buffer
from datajoint.storage.registry import get_store

SECONDS = float(os.environ.get("DJ_TEST_SECONDS", "5"))

#: Tests of what does not depend on the store.
ONE_STORE = pytest.mark.parametrize("store_settings", ["file"], indirect=True)


def declare(schema: dj.Schema) -> Any:
    @schema
    class Scan(dj.Manual):
        definition = """
        scan : int
        ---
        movie = null : blob@store
        notes = null : attach@store
        image = null : filepath@store
        """

    return Scan


@pytest.fixture
def scans(stores, schema, tmp_path) -> SimpleNamespace:
    """A table that uses a store, and what is in it: the first entity has one of each kind."""
    Scan = declare(schema)
    (tmp_path / "notes.txt").write_bytes(b"notes")
    (tmp_path / "stage" / "image.tif").write_bytes(b"pixels!")
    Scan.insert1((1, [1, 2], tmp_path / "notes.txt", tmp_path / "stage" / "image.tif"))
    Scan.insert1((2, [1, 2, 3], None, None))
    return SimpleNamespace(
        Scan=Scan, schema=schema, tracked=schema.external["store"], store=get_store("store")
    )


def objects(store: Any) -> set[str]:
    """List what is in a store, also where it is in no folder of a schema."""
    return {info.path for info in store.list("")}


def path_of(schema: dj.Schema, contents: Any, name: str = "") -> str:
    blob = contents if name else pack(contents)
    hash_ = uuid_from_buffer(blob, f"{name}\0" if name else "").hex
    folders = f"{schema.database}/{hash_[:2]}/{hash_[2:4]}"
    return f"{folders}/{hash_}.{name}" if name else f"{folders}/{hash_}"


def sizes(*contents: Any) -> int:
    return sum(len(pack(each)) for each in contents)


def collect(*args: Any, **options: Any) -> Any:
    return dj.gc(*args, **{"grace": 0, "dry_run": False, "display_progress": False, **options})


def age(scans: Any, seconds: float) -> None:
    """Let rows be older than they are."""
    for hash_, timestamp in zip(*scans.tracked.fetch("hash", "timestamp")):
        scans.tracked.update1({"hash": hash_, "timestamp": timestamp - timedelta(seconds=seconds)})


class TestMapping:
    def test_stores(self, scans):
        external = scans.schema.external
        assert list(external) == ["store"]
        assert len(external) == 1
        assert "store" in external
        assert "other" not in external
        assert repr(external).splitlines()[0] == (
            f"External file tables for schema `{scans.schema.database}`:"
        )
        assert repr(external).splitlines()[1].startswith('    "store" ')

    @ONE_STORE
    def test_unused_store_is_declared_when_asked_for(self, stores, schema, tmp_path):
        assert list(schema.external) == []
        assert len(schema.external["store"]) == 0
        assert list(schema.external) == ["store"]

    @ONE_STORE
    def test_unknown_store(self, stores, schema):
        with pytest.raises(DataJointError, match="Storage stor is requested but not configured"):
            schema.external["stor"]
        assert schema.external.get("stor") is None

    @ONE_STORE
    def test_references(self, scans):
        table = scans.Scan.full_table_name
        assert scans.tracked.references == [
            {"referencing_table": table, "column_name": name}
            for name in ("movie", "notes", "image")
        ]

    def test_used_and_unused(self, scans):
        assert len(scans.tracked.used()) == 4
        assert len(scans.tracked.unused()) == 0
        (scans.Scan & "scan = 2").delete()
        assert len(scans.tracked.used()) == 3
        paths = scans.tracked.unused().fetch_external_paths()
        path = path_of(scans.schema, [1, 2, 3])
        assert paths == [(uuid_from_buffer(pack([1, 2, 3])), scans.store.place(path))]
        assert len(scans.tracked.fetch_external_paths(limit=2)) == 2
        assert (scans.tracked & "size = 7").fetch1("filepath") == "image.tif"


class TestDelete:
    def test_objects_and_rows(self, scans):
        before = objects(scans.store)
        scans.Scan.delete()
        kept = scans.Scan.insert1((3, [1, 2], None, None))
        errors = scans.tracked.delete(delete_external_files=True, display_progress=False)
        assert kept is None
        assert errors == []
        assert objects(scans.store) == {path_of(scans.schema, [1, 2])} < before
        assert len(scans.tracked) == 1
        assert scans.Scan.fetch1("movie") == [1, 2]

    @ONE_STORE
    def test_rows_only(self, scans):
        before = objects(scans.store)
        scans.Scan.delete()
        assert scans.tracked.delete(delete_external_files=False) is None
        assert len(scans.tracked) == 0
        assert objects(scans.store) == before

    @ONE_STORE
    def test_restricted_and_limited(self, scans):
        scans.Scan.delete()
        image = scans.tracked & "filepath IS NOT NULL"
        assert image.delete(delete_external_files=True, display_progress=False) == []
        assert len(scans.tracked) == 3
        assert scans.tracked.delete(delete_external_files=True, limit=2) == []
        assert len(scans.tracked) == 1
        assert len(objects(scans.store)) == 1

    @ONE_STORE
    def test_says_what_it_needs(self, scans):
        for arguments in ({}, {"limit": 1}):
            with pytest.raises(DataJointError, match="must be set to either True or False"):
                scans.tracked.delete(**arguments)
        with scans.schema.connection.transaction, pytest.raises(DataJointError, match="inside a"):
            scans.tracked.delete(delete_external_files=True)
        assert len(scans.tracked) == 4

    def test_what_the_store_keeps_stays(self, scans, monkeypatch):
        scans.Scan.delete()
        refused = path_of(scans.schema, [1, 2])
        refuse(monkeypatch, scans.store, refused)
        timestamps = dict(zip(*scans.tracked.fetch("hash", "timestamp")))
        hash_ = uuid_from_buffer(pack([1, 2]))
        for as_string in (True, False):
            errors = scans.tracked.delete(
                delete_external_files=True, display_progress=False, errors_as_string=as_string
            )
            ((found, path, error),) = errors
            assert (found, path) == (hash_, scans.store.locate(refused))
            assert (error if as_string else str(error)) == "refused"
            assert isinstance(error, str if as_string else DataJointError)
        assert scans.tracked.fetch1("hash", "timestamp") == (hash_, timestamps[hash_])
        assert objects(scans.store) == {refused}

    @ONE_STORE
    def test_table_that_others_declare_meanwhile(self, scans, connect, monkeypatch):
        other = dj.Schema(scans.schema.database, connection=connect())
        (scans.Scan & "scan = 2").delete()
        unused = scans.tracked.unused()
        monkeypatch.setattr(type(unused), "unused", lambda self: unused)

        @other
        class Copy(dj.Manual):
            definition = """
            copy : int
            ---
            movie : blob@store
            """

        Copy.insert1((1, [1, 2, 3]))
        assert scans.tracked.delete(delete_external_files=True, display_progress=False) == []
        assert len(scans.tracked) == 4
        assert Copy.fetch1("movie") == [1, 2, 3]

    @ONE_STORE
    def test_tracking_table_is_not_dropped(self, scans):
        with pytest.raises(IntegrityError, match="refer to it"):
            scans.tracked.drop()
        scans.Scan.drop()
        with pytest.raises(DataJointError, match="while there are objects in the store `store`"):
            scans.tracked.drop()
        scans.tracked.delete(delete_external_files=True, display_progress=False)
        scans.tracked.drop()
        assert list(scans.schema.external) == []

    @ONE_STORE
    def test_dropped_schema_leaves_objects(self, scans, caplog):
        before = objects(scans.store)
        with caplog.at_level("INFO", "datajoint"):
            scans.schema.drop()
        assert "The objects of the dropped schema" in caplog.text
        assert objects(scans.store) == before


def refuse(monkeypatch: pytest.MonkeyPatch, store: Any, *paths: str) -> None:
    """Let a store refuse to remove some objects."""
    delete = store.delete

    def refusing(given: Any) -> dict[str, Exception]:
        given = list(given)
        refused = {path: DataJointError("refused") for path in given if path in paths}
        return {**delete([path for path in given if path not in paths]), **refused}

    monkeypatch.setattr(store, "delete", refusing)


class TestCollect:
    def test_dry_run_removes_nothing(self, scans):
        scans.Scan.delete()
        before = objects(scans.store)
        report = dj.gc(scans.schema, grace=0)
        (share,) = report.shares
        assert (share.schema, share.store) == (scans.schema.database, "store")
        assert (share.unused.count, share.unused.bytes) == (3, sizes([1, 2], [1, 2, 3]) + 5)
        assert (share.files.count, share.files.bytes) == (1, 7)
        assert (report.objects.count, report.dry_run, report.errors) == (3, True, ())
        assert objects(scans.store) == before
        assert len(scans.tracked) == 4
        assert str(report).splitlines() == [
            "To be removed (dry run): 3 objects, 91 bytes",
            f"  schema `{share.schema}`, store `store`: unused: 3 (91 bytes), "
            "rows of files: 1 (7 bytes)",
        ]

    def test_removes_what_is_not_in_use(self, scans):
        scans.Scan.delete()
        scans.Scan.insert1((1, [1, 2], None, None))
        report = collect(scans.schema, batch_size=1)
        (share,) = report.shares
        assert (share.unused.count, share.files.count, report.objects.count) == (2, 1, 2)
        assert objects(scans.store) == {path_of(scans.schema, [1, 2]), "image.tif"}
        assert len(scans.tracked) == 1
        assert collect(scans.schema).objects.count == 0

    @ONE_STORE
    def test_files_when_asked(self, scans, make_schema, tmp_path):
        scans.Scan.delete()
        assert dj.gc(scans.schema, grace=0, filepaths=True).objects.count == 4
        other = declare(make_schema("other"))
        other.insert1((1, None, None, tmp_path / "stage" / "image.tif"))
        assert collect(scans.schema, filepaths=True).objects.count == 4
        assert objects(scans.store) == {"image.tif"}  # which the other schema has too
        other.delete()
        report = collect(make_schema("other"), filepaths=True)
        assert str(report).splitlines()[0] == "Removed: 1 objects, 7 bytes"
        assert objects(scans.store) == set()

    @ONE_STORE
    @pytest.mark.parametrize("grace", [timedelta(hours=1), 3600])
    def test_grace_by_the_clock_of_the_database(self, scans, grace):
        scans.Scan.delete()
        report = collect(scans.schema, grace=grace)
        assert (report.objects.count, report.shares[0].young.count) == (0, 4)
        age(scans, 3500)
        assert collect(scans.schema, grace=grace).objects.count == 0
        age(scans, 3700)
        assert collect(scans.schema, grace=grace).objects.count == 3

    @ONE_STORE
    def test_a_day_by_default(self, scans):
        scans.Scan.delete()
        age(scans, 86000)
        assert dj.gc(scans.schema).objects.count == 0
        age(scans, 86500)
        assert dj.gc(scans.schema).objects.count == 3

    def test_orphans(self, scans):
        mine, named = path_of(scans.schema, "orphan"), path_of(scans.schema, b"file", "a b.txt")
        others = [
            f"{scans.schema.database}/readme.txt",
            f"{scans.schema.database}/00/11/{uuid_from_buffer(b'').hex}",  # in other folders
            f"elsewhere/d4/1d/{uuid_from_buffer(b'').hex}",  # of another schema
        ]
        for path in (mine, named, *others):
            scans.store.put(path, b"1234")
        assert dj.gc(scans.schema).shares[0].orphans.count == 0  # they are young
        assert dj.gc(scans.schema, grace=0, orphans=False).objects.count == 0
        assert dj.gc(scans.schema, grace=0).shares[0].orphans.count == 2
        before = objects(scans.store)
        report = collect(scans.schema)
        assert (report.shares[0].orphans.count, report.objects.bytes) == (2, 8)
        assert objects(scans.store) == before - {mine, named}
        assert len(scans.tracked) == 4

    @ONE_STORE
    @pytest.mark.parametrize("is_configured", [True, False])
    def test_stores_at_the_same_place(self, scans, is_configured, tmp_path):
        """Each leaves what the other one tells of."""
        there = dj.config["stores"]["store"]
        (tmp_path / "link").symlink_to(there["location"])
        dj.config["stores"]["twin"] = {**there, "location": str(tmp_path / "link")}

        @scans.schema
        class Twin(dj.Manual):
            definition = """
            twin : int
            ---
            movie : blob@twin
            image : filepath@twin
            """

        Twin.insert(
            [
                (1, [1, 2], tmp_path / "stage" / "image.tif"),
                (2, [5], tmp_path / "stage" / "image.tif"),
            ]
        )
        (scans.Scan & "scan = 1").delete()
        kept = objects(scans.store) - {path_of(scans.schema, b"notes", "notes.txt")}
        if not is_configured:
            del dj.config["stores"]["store"]
        collect(scans.schema, filepaths=True)
        if is_configured:
            assert objects(scans.store) == kept
        assert list(Twin.fetch("movie", order_by="twin")) == [[1, 2], [5]]
        dj.config["stores"]["store"] = there
        assert list(scans.Scan.fetch("movie")) == [[1, 2, 3]]
        assert scans.schema.external["twin"].verify(display_progress=False)

    @ONE_STORE
    def test_files_that_look_like_objects(self, scans, tmp_path):
        path = path_of(scans.schema, "orphan")
        file = tmp_path / "stage" / path
        file.parent.mkdir(parents=True)
        file.write_bytes(b"mine")
        scans.Scan.insert1((3, None, None, file))
        assert collect(scans.schema).objects.count == 0
        assert path in objects(scans.store)

    @ONE_STORE
    def test_leftovers(self, scans, tmp_path):
        ours = [path_of(scans.schema, [1, 2]) + end for end in (".saving", ".0123abcd.part")]
        orphan = path_of(scans.schema, "killed") + ".0123abcd.part"
        for path in (*ours, orphan):
            scans.store.put(path, b"1")
        assert collect(scans.schema).objects.count == 0  # somebody may be writing them
        for path in (*ours, orphan):
            hours_old(scans.store, path, 2)
        before = objects(scans.store)
        assert collect(scans.schema, grace=timedelta(hours=3)).objects.count == 0
        (share,) = collect(scans.schema).shares
        assert (share.leftovers.count, share.orphans.count) == (2, 1)
        assert objects(scans.store) == before - {*ours, orphan}

    def test_errors_do_not_stop_it(self, scans, monkeypatch):
        scans.Scan.delete()
        orphan, unused = path_of(scans.schema, "orphan"), path_of(scans.schema, [1, 2])
        scans.store.put(orphan, b"1")
        refuse(monkeypatch, scans.store, orphan, unused)
        report = collect(scans.schema)
        assert sorted((what, str(error)) for what, error in report.errors) == sorted(
            (scans.store.locate(path), "refused") for path in (orphan, unused)
        )
        assert report.objects.count == 2
        assert objects(scans.store) == {orphan, unused, "image.tif"}
        assert scans.tracked.fetch1("hash") == uuid_from_buffer(pack([1, 2]))
        assert f"error: {scans.store.locate(unused)}: refused" in str(report)

    @ONE_STORE
    def test_store_that_is_not_there(self, scans, make_schema, tmp_path):
        other = declare(make_schema("other"))
        other.insert1((1, [1], None, None))
        other.delete()
        scans.Scan.delete()
        entry = dj.config["stores"]["store"]
        dj.config["stores"] = {"store": {**entry, "location": str(tmp_path / "gone")}}
        report = collect(scans.schema, make_schema("other"))
        assert [what for what, _ in report.errors] == ["store `store`"] * 2
        dj.config["stores"] = {"store": entry}
        assert collect(scans.schema, make_schema("other")).objects.count == 4

    @ONE_STORE
    def test_arguments(self, scans, connection):
        name = scans.schema.database
        assert len(dj.gc(name, connection=connection).shares) == 1
        module = dj.VirtualModule("module", name, connection=connection)
        assert len(dj.gc(module, scans.schema, stores="store").shares) == 2
        for arguments, options, text in (
            ((), {}, "Give the schemas"),
            ((5,), {}, "takes schemas or their names, not 5"),
            ((name + "x",), {"connection": connection}, f"There is no schema `{name}x`"),
            ((dj.Schema(),), {}, "not activated"),
            ((scans.schema,), {"stores": "stor"}, "No store `stor` is used"),
            ((scans.schema,), {"grace": -1}, "`grace`"),
            ((scans.schema,), {"grace": "1 day"}, "`grace` .* seconds from 0, not '1 day'"),
            ((scans.schema,), {"grace": None}, "`grace`"),
            ((scans.schema,), {"batch_size": 0}, "`batch_size`"),
            ((scans.schema,), {"batch_size": "10"}, "`batch_size` .* not '10'"),
        ):
            with pytest.raises(DataJointError, match=text):
                dj.gc(*arguments, **options)
        with connection.transaction, pytest.raises(DataJointError, match="inside a transaction"):
            dj.gc(scans.schema)


def hours_old(store: Any, path: str, hours: float) -> None:
    then = (datetime.now(timezone.utc) - timedelta(hours=hours)).timestamp()
    os.utime(store.locate(path), (then, then))


# -- what others do meanwhile ---------------------------------------------------------------------


class Pause:
    """Holds the first call of a method of a store, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: Any, method: str) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        self._original = getattr(store, method)
        monkeypatch.setattr(store, method, self)

    def __call__(self, *args: Any) -> Any:
        if not self.reached.is_set():
            self.reached.set()
            assert self.released.wait(20)
        return self._original(*args)


class Thread(threading.Thread):
    """A thread whose error is raised when it is waited for."""

    def __init__(self, action: Callable[[], Any]) -> None:
        super().__init__()
        self._action = action
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._action()
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        self.join(30)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error


@pytest.fixture
def patient() -> Iterator[None]:
    """Wait for others longer than tests do."""
    with dj.config(database__timeout=30.0):
        yield


@pytest.fixture
def other(patient, scans, connect) -> Any:
    """The table on another connection."""
    return declare(dj.Schema(scans.schema.database, connection=connect()))


class TestRaces:
    @ONE_STORE
    def test_collecting_passes_over_what_is_being_inserted(
        self, scans, other, backend, monkeypatch
    ):
        """The inserter holds the row while it looks whether the object is there."""
        scans.Scan.delete()
        pause = Pause(monkeypatch, scans.store, "info")
        thread = Thread(lambda: other.insert1((1, [1, 2], None, None)))
        assert pause.reached.wait(20)
        collecting = Thread(lambda: collect(scans.schema, orphans=False))
        if backend == "sqlite":  # waits, as there is one writer
            collecting.join(0.3)
            assert collecting.is_alive()
        else:
            collecting.finish()
        pause.released.set()
        thread.finish()
        collecting.finish()
        assert scans.Scan.fetch1("movie") == [1, 2]
        assert objects(scans.store) == {path_of(scans.schema, [1, 2]), "image.tif"}

    @ONE_STORE
    def test_who_inserts_what_is_being_removed_stores_it_anew(self, scans, other, monkeypatch):
        scans.Scan.delete()
        pause = Pause(monkeypatch, scans.store, "delete")
        collecting = Thread(lambda: collect(scans.schema))
        assert pause.reached.wait(20)
        thread = Thread(lambda: other.insert1((1, [1, 2], None, None)))
        thread.join(0.3)
        assert thread.is_alive()
        pause.released.set()
        collecting.finish()
        thread.finish()
        assert scans.Scan.fetch1("movie") == [1, 2]
        assert path_of(scans.schema, [1, 2]) in objects(scans.store)

    @ONE_STORE
    def test_who_inserts_an_orphan_that_is_being_removed_stores_it_anew(
        self, scans, other, monkeypatch
    ):
        scans.store.put(path_of(scans.schema, "orphan"), pack("orphan"))
        pause = Pause(monkeypatch, scans.store, "delete")
        collecting = Thread(lambda: collect(scans.schema))
        assert pause.reached.wait(20)
        thread = Thread(lambda: other.insert1((3, "orphan", None, None)))
        thread.join(0.3)
        assert thread.is_alive()
        pause.released.set()
        collecting.finish()
        thread.finish()
        assert (scans.Scan & "scan = 3").fetch1("movie") == "orphan"
        assert scans.tracked.verify(display_progress=False)

    @ONE_STORE
    def test_orphan_that_is_inserted_after_it_was_found(self, scans, other, monkeypatch):
        scans.store.put(path_of(scans.schema, "orphan"), pack("orphan"))
        pause = Pause(monkeypatch, scans.store, "list")
        collecting = Thread(lambda: collect(scans.schema))
        assert pause.reached.wait(20)
        other.insert1((3, "orphan", None, None))
        pause.released.set()
        collecting.finish()
        assert (scans.Scan & "scan = 3").fetch1("movie") == "orphan"

    @ONE_STORE
    def test_delete_that_is_undone(self, scans, other, backend, monkeypatch):
        """Until a delete is committed, what it deletes is in use."""
        if backend == "sqlite":
            pytest.skip("there is one writer: nothing is collected meanwhile")
        connection = other().connection
        connection.start_transaction()
        other.delete()
        assert collect(scans.schema).objects.count == 0
        connection.cancel_transaction()
        assert collect(scans.schema).objects.count == 0
        assert len(scans.Scan.fetch("movie")) == 2

    @ONE_STORE
    def test_killed_while_it_removes(self, scans, target, tmp_path, store_settings, stores):
        """The row is back, the object is gone: the next insert stores it anew."""
        scans.Scan.delete()
        code = KILLED.format(
            options=target.options(tmp_path), stores=dict(stores), schema=scans.schema.database
        )
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert process.returncode == -signal.SIGKILL, process.stderr
        assert objects(scans.store) == {"image.tif"}
        assert len(scans.tracked) == 4
        report = scans.tracked.verify(display_progress=False)
        assert report
        assert len(report.missing) == 3
        scans.Scan.insert1((1, [1, 2], None, None))
        assert scans.Scan.fetch1("movie") == [1, 2]
        assert collect(scans.schema).errors == ()
        assert scans.Scan.fetch1("movie") == [1, 2]


KILLED = """
import os, signal
import datajoint as dj
from datajoint.storage.registry import get_store

dj.config['stores'] = {stores!r}
store = get_store('store')
delete = store.delete

def killed(paths):
    delete(paths)
    os.kill(os.getpid(), signal.SIGKILL)

store.delete = killed
schema = dj.Schema({schema!r}, connection=dj.Connection(**{options!r}))
dj.gc(schema, dry_run=False, grace=0)
"""


@pytest.mark.parametrize(
    "store_settings", ["file"] if SECONDS <= 5 else ["file", "s3"], indirect=True
)
def test_processes_that_insert_delete_fetch_and_collect(
    schema, stores, target, tmp_path, backend, capsys
):
    """Every object that is referred to can be read in the end, and no process met an error."""
    store = stores["store"]
    dj.config["stores"] = {"soak": store}
    table = stores_soak.declare(schema)
    folder = tmp_path / "soak"
    folder.mkdir()
    counts = stores_soak.run(target.options(tmp_path), store, schema.database, folder, SECONDS)
    report = schema.external["soak"].verify(display_progress=False)
    with capsys.disabled() if SECONDS > 5 else nullcontext():
        print(f"\n{backend}: {dict(counts)}\n{report}")
    assert report
    for row in table.fetch(as_dict=True, download_path=folder):
        stores_soak.check(row)
    for action in ("insert", "delete", "fetch", "collect", "objects removed"):
        assert counts[action] > 0
    collect(schema)
    assert schema.external["soak"].verify(display_progress=False)
    assert len(schema.external["soak"].unused()) == 0


# -- verification ---------------------------------------------------------------------------------


class TestVerify:
    def verify(self, scans: Any) -> Any:
        return scans.tracked.verify(display_progress=False)

    @pytest.mark.parametrize("large", [2**24, 4])
    def test_all_is_well(self, scans, monkeypatch, large):
        monkeypatch.setattr(verification, "_LARGE", large)
        report = self.verify(scans)
        assert report
        size = sizes([1, 2], [1, 2, 3]) + 12
        assert (report.count, report.bytes, report.missing, report.damaged) == (4, size, (), ())
        assert str(report) == (
            f"4 objects of schema `{scans.schema.database}` in store `store` ({size} bytes): "
            "0 missing, 0 damaged"
        )
        assert (scans.tracked & "size = 7").verify(display_progress=False).count == 1

    def test_missing(self, scans):
        scans.Scan.insert1((3, [1, 2], None, None))
        path = path_of(scans.schema, [1, 2])
        scans.store.delete([path])
        report = self.verify(scans)
        assert not report
        (fault,) = report.missing
        assert fault.path == scans.store.locate(path)
        assert fault.references == {scans.Scan.full_table_name: 2}
        assert str(report).splitlines()[1] == (
            f"  missing: {fault.path}: is missing; in use by 2 of {scans.Scan.full_table_name}"
        )

    @ONE_STORE
    def test_missing_and_not_in_use(self, scans):
        scans.store.delete([path_of(scans.schema, [1, 2])])
        scans.Scan.delete()
        report = self.verify(scans)
        assert (bool(report), len(report.missing)) == (True, 1)

    @pytest.mark.parametrize("large", [2**24, 4])
    def test_damaged(self, scans, monkeypatch, large):
        monkeypatch.setattr(verification, "_LARGE", large)
        scans.store.put(path_of(scans.schema, [1, 2]), b"x" * len(pack([1, 2])))
        scans.store.put(path_of(scans.schema, b"notes", "notes.txt"), b"note")
        scans.store.put("image.tif", b"pixels?")
        report = self.verify(scans)
        assert not report
        assert {fault.path: fault.reason for fault in report.damaged} == {
            scans.store.locate(path): reason
            for path, reason in (
                (path_of(scans.schema, [1, 2]), "has other contents than were stored"),
                (path_of(scans.schema, b"notes", "notes.txt"), "has 4 bytes instead of 5"),
                ("image.tif", "has other contents than were stored"),
            )
        }

    @ONE_STORE
    def test_what_is_removed_meanwhile_is_no_fault(self, scans, monkeypatch):
        scans.Scan.delete()
        get = scans.store.get

        def late(path: str) -> bytes:
            monkeypatch.setattr(scans.store, "get", get)
            collect(scans.schema)
            return get(path)

        monkeypatch.setattr(scans.store, "get", late)
        with dj.config(external__transfers=1):
            report = self.verify(scans)
        assert (report.missing, report.damaged) == ((), ())


@ONE_STORE
class TestSingleObjects:
    """What 0.14 calls and answers."""

    def test_blob(self, scans):
        hash_ = scans.tracked.put(pack("put"))
        assert hash_ == uuid_from_buffer(pack("put"))
        assert scans.tracked.get(hash_) == pack("put")
        assert scans.tracked.get(None) is None
        assert scans.tracked.put(pack("put")) == hash_
        assert len(scans.tracked.unused()) == 1
        with pytest.raises(DataJointError, match="no object with the hash"):
            scans.tracked.get(uuid_from_buffer(b"none"))

    def test_attachment(self, scans, tmp_path):
        hash_ = scans.tracked.upload_attachment(tmp_path / "notes.txt")
        assert hash_ == uuid_from_buffer(b"notes", "notes.txt\0")
        assert scans.tracked.get_attachment_name(hash_) == "notes.txt"
        assert scans.tracked.get(hash_) == b"notes"
        scans.tracked.download_attachment(hash_, "notes.txt", tmp_path / "copy.txt")
        assert (tmp_path / "copy.txt").read_bytes() == b"notes"
        with pytest.raises(DataJointError, match="is no file that exists"):
            scans.tracked.upload_attachment(tmp_path / "none.txt")

    def test_file(self, scans, tmp_path):
        file = tmp_path / "stage" / "other.tif"
        file.write_bytes(b"other")
        hash_ = scans.tracked.upload_filepath(file)
        assert hash_ == uuid_from_buffer(b"", "other.tif")
        file.unlink()
        assert scans.tracked.download_filepath(hash_) == (str(file), uuid_from_buffer(b"other"))
        assert scans.tracked.download_filepath(None) == (None, None)
        assert scans.tracked.exists("other.tif")
        assert not scans.tracked.exists("none.tif")
