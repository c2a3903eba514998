"""Moving what a schema keeps in one store to another one: ``datajoint.migrate.migrate_store``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datajoint as dj
from datajoint import migrate as module
from datajoint.declare import external_table
from datajoint.errors import MissingExternalFile
from datajoint.migrate import migrate_store
from datajoint.storage.local import LocalStore
from datajoint.storage.registry import get_store

Stores = dict[str, Any]
Connect = Callable[[], dj.Connection]


@pytest.fixture
def two_stores(tmp_path: Path) -> Stores:
    """Configure the stores ``a`` and ``b``, folders of different layouts."""
    entries = {}
    for name, folds in (("a", (2, 2)), ("b", (3,))):
        for folder in (name, f"stage_{name}"):
            (tmp_path / folder).mkdir()
        entries[name] = {
            "protocol": "file",
            "location": str(tmp_path / name),
            "stage": str(tmp_path / f"stage_{name}"),
            "subfolding": folds,
        }
    dj.config["stores"] = entries
    return entries


@pytest.fixture
def scan(schema: dj.Schema, two_stores: Stores, tmp_path: Path) -> type[dj.Manual]:
    """A table with attributes of all kinds in the store ``a``, and some entities."""

    @schema
    class Scan(dj.Manual):
        definition = """
        # scans
        scan : int
        ---
        movie : blob@a  # what was seen
        note = null : attach@a  # what was written
        raw = null : filepath@a
        comment = "" : varchar(20)
        """

    Path("note.txt").write_text("good")
    raw = tmp_path / "stage_a" / "day1" / "raw.dat"
    raw.parent.mkdir()
    raw.write_bytes(b"\1\2\3")
    Scan.insert(
        [
            {"scan": 1, "movie": np.arange(5), "note": "note.txt", "raw": str(raw)},
            {"scan": 2, "movie": np.arange(5)},
            {"scan": 3, "movie": "another"},
        ]
    )
    return Scan


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy all objects by way of files."""
    monkeypatch.setattr("datajoint.storage.copying.IN_MEMORY", 0)


def files(folder: str) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def values(table: type[dj.Manual], tmp_path: Path) -> list[Any]:
    """Fetch all, with the contents of files."""
    saved = tmp_path / "saved"
    saved.mkdir(exist_ok=True)
    rows = []
    for row in table.fetch(as_dict=True, order_by="scan", download_path=str(saved)):
        movie = row["movie"].tolist() if isinstance(row["movie"], np.ndarray) else row["movie"]
        contents = [row[n] and Path(row[n]).read_bytes() for n in ("note", "raw")]
        rows.append([row["scan"], movie, *contents])
    return rows


EXPECTED = [
    [1, [0, 1, 2, 3, 4], b"good", b"\1\2\3"],
    [2, [0, 1, 2, 3, 4], None, None],
    [3, "another", None, None],
]


def test_moves_everything(scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path) -> None:
    before = scan.heading.attributes
    report = migrate_store(schema, "a", "b")
    assert (report.copied, report.present) == (4, 0)
    assert [(str(n), old.type, new.type) for n, old, new in report.switched] == [
        (scan.full_table_name, "blob@a", "blob@b"),
        (scan.full_table_name, "attach@a", "attach@b"),
        (scan.full_table_name, "filepath@a", "filepath@b"),
    ]
    assert f"{scan.full_table_name}: `movie : blob@a` becomes `movie : blob@b`" in str(report)
    assert values(scan, tmp_path) == EXPECTED
    assert (scan & "scan = 1").fetch1("raw") == str(tmp_path / "stage_b" / "day1" / "raw.dat")
    after = scan.heading.attributes
    assert list(after) == list(before)
    for name, attribute in after.items():
        assert (attribute.comment, attribute.nullable) == (
            before[name].comment,
            before[name].nullable,
        )
    assert "filepath@b" in scan().describe(printout=False)
    assert len(files("a")) == 4  # what was there stays
    assert files("b")[0] == "day1/raw.dat"


def test_new_entities_go_to_the_target(scan: type[dj.Manual], schema: dj.Schema) -> None:
    migrate_store(schema, "a", "b")
    before = files("a")
    scan.insert1({"scan": 4, "movie": "new"})
    assert (scan & "scan = 4").fetch1("movie") == "new"
    assert files("a") == before
    assert len(files("b")) == 5


@pytest.mark.usefixtures("small")
def test_large_objects(scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path) -> None:
    assert migrate_store(schema, "a", "b").copied == 4
    assert values(scan, tmp_path) == EXPECTED


def test_to_other_stores(
    scan: type[dj.Manual], schema: dj.Schema, store_settings: dict[str, Any], tmp_path: Path
) -> None:
    stage = dj.config["stores"]["b"]["stage"]
    dj.config["stores"]["b"] = {**store_settings, "stage": stage}
    migrate_store(schema, "a", "b")
    (tmp_path / "a").rename(tmp_path / "away")
    assert values(scan, tmp_path) == EXPECTED
    kept = get_store("b").metadata("day1/raw.dat")
    assert kept in ({}, {"contents_hash": "5289df73-7df5-7326-fcdd-22597afb1fac"})


def test_dry_run_changes_nothing(scan: type[dj.Manual], schema: dj.Schema) -> None:
    report = migrate_store(schema, "a", "b", dry_run=True)
    assert (report.copied, report.present, len(report.switched)) == (4, 0, 3)
    assert "4 objects of" in str(report)
    assert files("b") == []
    assert not schema.connection.is_declared(external_table(schema.database, "b"))
    assert scan.heading["movie"].type == "blob@a"


def test_some_tables_only(scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path) -> None:
    @schema
    class Other(dj.Manual):
        definition = """
        other : int
        ---
        movie : blob@a
        """

    Other.insert1((1, np.arange(5)))
    assert migrate_store(schema, "a", "b", tables=[Other]).copied == 1
    assert (Other.heading["movie"].type, scan.heading["movie"].type) == ("blob@b", "blob@a")
    report = migrate_store(schema, "a", "b", tables=[scan.table_name])
    assert (report.copied, report.present) == (3, 1)
    assert values(scan, tmp_path) == EXPECTED
    assert migrate_store(schema, "b", "a", tables=Other).copied == 0
    assert Other.heading["movie"].type == "blob@a"
    assert migrate_store(schema, "a", "b", tables="other").present == 1
    with pytest.raises(dj.DataJointError, match="has no table nothing"):
        migrate_store(schema, "a", "b", tables=["nothing"])
    with pytest.raises(dj.DataJointError, match="takes a schema or its name, not"):
        migrate_store(Other, "a", "b")  # type: ignore[arg-type]


def test_again_does_nothing(scan: type[dj.Manual], schema: dj.Schema) -> None:
    migrate_store(schema, "a", "b")
    report = migrate_store(schema, "a", "b")
    assert (report.copied, report.present, report.switched) == (0, 0, ())


def test_back(scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path) -> None:
    migrate_store(schema, "a", "b")
    report = migrate_store(schema, "b", "a")
    assert (report.copied, report.present) == (0, 4)
    assert values(scan, tmp_path) == EXPECTED


def test_to_another_name_of_the_same_place(
    scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path
) -> None:
    """As a store is renamed: what the target refers to is no garbage of the source."""
    dj.config["stores"]["renamed"] = dict(dj.config["stores"]["a"])
    migrate_store(schema, "a", "renamed")
    dj.gc(schema, dry_run=False, grace=0, filepaths=True, display_progress=False)
    assert len(schema.external["a"]) == 0
    assert values(scan, tmp_path) == EXPECTED
    assert len(files("a")) == 4


def test_adapted_attributes(schema: dj.Schema, two_stores: Stores) -> None:
    class Words(dj.AttributeAdapter):
        attribute_type = "blob@a"

        def put(self, obj: Any) -> Any:
            return obj.split()

        def get(self, value: Any) -> Any:
            return " ".join(value)

    words = Words()
    Text = type(
        "Text",
        (dj.Manual,),
        {"definition": "text : int\n---\nwords : <words>"},
    )
    schema(Text, context={"words": words})
    Text.insert1((1, "one two"))
    report = migrate_store(schema, "a", "b")
    assert "`words : <words>`: the adapter's attribute_type names the store `b`" in str(report)
    words.attribute_type = "blob@b"
    connection = schema.connection
    connection.adapted.clear()
    connection.forget_catalog(str(schema.database))
    again = dj.Schema(schema.database, connection=connection)
    again(Text, context={"words": words})
    assert Text.fetch1("words") == "one two"
    Text.insert1((2, "three"))
    assert Text.fetch("words", order_by="text").tolist() == ["one two", "three"]
    assert len(files("a")) == 1


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_faulty_objects(scan: type[dj.Manual], schema: dj.Schema, fault: str) -> None:
    path = next(Path("a", str(schema.database)).rglob("*.note.txt"))
    path.unlink() if fault == "missing" else path.write_text("evil")
    kind = MissingExternalFile if fault == "missing" else dj.DataJointError
    with pytest.raises(kind, match=rf"is not migrated from the store `a` to `b`: .*{path.name}"):
        migrate_store(schema, "a", "b")
    assert scan.heading["movie"].type == "blob@a"
    path.write_text("good")
    assert migrate_store(schema, "a", "b").switched


def test_another_file_in_the_place(scan: type[dj.Manual], schema: dj.Schema) -> None:
    Path("b/day1").mkdir()
    Path("b/day1/raw.dat").write_bytes(b"\1\2\4")
    with pytest.raises(dj.DataJointError, match="has another file in the place of"):
        migrate_store(schema, "a", "b")
    assert Path("b/day1/raw.dat").read_bytes() == b"\1\2\4"
    Path("b/day1/raw.dat").write_bytes(b"\1\2\3")
    assert migrate_store(schema, "a", "b").switched


def test_file_of_other_contents_is_noted(
    scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path
) -> None:
    @schema
    class There(dj.Manual):
        definition = """
        there : int
        ---
        raw : filepath@b
        """

    other = tmp_path / "stage_b" / "day1" / "raw.dat"
    other.parent.mkdir()
    other.write_bytes(b"\1\2\4")
    There.insert1((1, str(other)))
    with pytest.raises(dj.DataJointError, match=r"has the file `day1/raw.dat` with other contents"):
        migrate_store(schema, "a", "b")
    assert scan.heading["raw"].type == "filepath@a"
    assert Path("b/day1/raw.dat").read_bytes() == b"\1\2\4"


def test_a_copy_that_is_not_kept(
    scan: type[dj.Manual], schema: dj.Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = LocalStore.put
    monkeypatch.setattr(LocalStore, "put", lambda self, p, d, m=None: put(self, p, d[:-1]))
    with pytest.raises(dj.DataJointError, match="is not the same as"):
        migrate_store(schema, "a", "b")
    assert scan.heading["movie"].type == "blob@a"


def test_objects_that_vanish_from_the_target_are_copied_again(
    scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path
) -> None:
    migrate_store(schema, "a", "b", tables=[scan])
    migrate_store(schema, "b", "a")
    for name in files("b"):
        Path("b", name).unlink()
    assert migrate_store(schema, "a", "b").copied == 4
    assert values(scan, tmp_path) == EXPECTED


def test_objects_that_are_collected_before_they_are_held(
    scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing refers to the copies until the tables are switched."""
    hold = module.hold

    def late(connection: dj.Connection, *args: Any) -> Any:
        for name in files("b"):
            Path("b", name).unlink()
        return hold(connection, *args)

    monkeypatch.setattr(module, "hold", late)
    migrate_store(schema, "a", "b")
    assert values(scan, tmp_path) == EXPECTED
    assert len(files("b")) == 4


def test_entities_inserted_meanwhile(
    scan: type[dj.Manual], schema: dj.Schema, connect: Connect, tmp_path: Path
) -> None:
    """Others insert when all is copied and before the table is switched."""
    there = dj.FreeTable(connect(), scan.full_table_name)
    plan, added = module._Move._plan, iter([4, 5])

    def late(self: Any, spec: Any) -> Any:
        result = plan(self, spec)
        for number in added:
            there.insert1({"scan": number, "movie": f"late {number}"})
            break
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module._Move, "_plan", late)
        report = migrate_store(schema, "a", "b")
    assert report.copied == 6
    assert scan.fetch("movie", order_by="scan")[2:].tolist() == ["another", "late 4", "late 5"]
    assert values(scan & "scan < 4", tmp_path) == EXPECTED


def test_programs_that_run_on(scan: type[dj.Manual], schema: dj.Schema, connect: Connect) -> None:
    """They do not know yet that the table has changed."""
    there = dj.FreeTable(connect(), scan.full_table_name)
    assert len(there.fetch("movie")) == 3
    migrate_store(schema, "a", "b")
    assert (there & "scan = 3").fetch1("movie") == "another"
    with pytest.raises(dj.errors.IntegrityError):
        there.insert1({"scan": 4, "movie": "new"})
    assert len(scan()) == 3
    there.insert1({"scan": 4, "movie": "another"})  # which the target has
    assert (scan & "scan = 4").fetch1("movie") == "another"


def test_killed_anywhere(
    scan: type[dj.Manual], schema: dj.Schema, connect: Connect, tmp_path: Path
) -> None:
    """After each kill all entities can be read, and the next run comes further."""
    last = 0
    for last in itertools.count(1):
        child = os.fork()
        if child == 0:
            try:
                _migrate_until(last, connect(), str(schema.database))
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        schema.connection.forget_catalog(str(schema.database))
        assert values(scan, tmp_path) == EXPECTED
        if status == 0:
            break
        assert status == 9
    assert last > 5
    assert scan.heading["raw"].type == "filepath@b"
    assert migrate_store(schema, "a", "b").switched == ()


def _migrate_until(event: int, connection: dj.Connection, schema: str) -> None:
    """Migrate, and end as if killed before the so-manieth thing that others may notice."""
    events = itertools.count(1)

    def ends(method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if next(events) == event:
                os._exit(9)
            return method(*args, **options)

        return call

    for owner, name in (
        (LocalStore, "put"),
        (dj.Connection, "commit_transaction"),
        (dj.Connection, "alter_table"),
        (dj.Connection, "create_table"),
        (module._Move, "_count"),
    ):
        setattr(owner, name, ends(getattr(owner, name)))
    migrate_store(schema, "a", "b", connection=connection, batch_size=2)
    os._exit(0)


def test_refused(scan: type[dj.Manual], schema: dj.Schema, two_stores: Stores) -> None:
    with pytest.raises(dj.DataJointError, match="both the store `a`"):
        migrate_store(schema, "a", "a")
    with pytest.raises(dj.DataJointError, match="not configured"):
        migrate_store(schema, "a", "nowhere")
    with pytest.raises(dj.DataJointError, match=r"keeps nothing in the store `b` \(it uses: `a`\)"):
        migrate_store(schema, "b", "a")
    with (
        schema.connection.transaction,
        pytest.raises(dj.DataJointError, match="inside a transaction"),
    ):
        migrate_store(schema, "a", "b")
    del two_stores["b"]["stage"]
    with pytest.raises(dj.DataJointError, match="stage"):
        migrate_store(schema, "a", "b")
    assert files("b") == []


# -- altering -------------------------------------------------------------------------------------


def test_alter_does_not_change_the_store(scan: type[dj.Manual], schema: dj.Schema) -> None:
    scan.definition = scan.definition.replace("blob@a", "blob@b")
    with pytest.raises(dj.DataJointError, match="are in the store `a`") as caught:
        scan().alter(prompt=False)
    assert "datajoint.migrate.migrate_store(schema, 'a', 'b')" in str(caught.value)
    assert scan.heading["movie"].type == "blob@a"
    assert (scan & "scan = 3").fetch1("movie") == "another"


@pytest.mark.parametrize("type_", ["longblob", "attach@a", "attach@b"])
def test_alter_does_not_change_the_kind(scan: type[dj.Manual], type_: str) -> None:
    scan.definition = scan.definition.replace("blob@a", type_)
    with pytest.raises(
        dj.DataJointError, match=f"cannot be brought from type `blob@a` to `{type_}"
    ):
        scan().alter(prompt=False)


def test_alter_elsewhere(scan: type[dj.Manual], schema: dj.Schema, tmp_path: Path) -> None:
    """Other changes of the table leave the objects as they are."""
    scan.definition = scan.definition.replace("varchar(20)", "varchar(40)")
    scan.definition += "\nadded = null : blob@b"
    scan().alter(prompt=False)
    scan.update1({"scan": 2, "added": "there"})
    assert (scan & "scan = 2").fetch1("added") == "there"
    assert values(scan, tmp_path) == EXPECTED
