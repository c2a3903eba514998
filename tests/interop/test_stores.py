"""One store and its tracking tables, used by both clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datajoint as dj
from datajoint.blob import pack
from datajoint.migrate import migrate_store
from datajoint.storage.base import Store
from datajoint.storage.registry import get_store
from datajoint.storage.s3 import S3Store

from .conftest import Pair, Sql
from .sides import Here, Incumbent

DEFINE = """
lab = schema(name)
@lab
class Item(dj.Manual):
    definition = '''
    # with objects
    item : int
    ---
    movie = null : blob@ext   # what was seen
    note = null : attach@ext  # what was written
    raw = null : filepath@ext # what was recorded
    inside = null : attach
    '''
@lab
class Strict(dj.Manual):
    definition = '''
    strict : int
    ---
    movie : blob@ext
    '''
"""
ROWS = """
one, two, raw = (f'{folder}/note one.tar.gz', f'{folder}/note.txt', f'{stage}/day/r.dat')
Item.insert([
    dict(item=start + 1, movie=values[0], note=one, raw=raw, inside=one),
    dict(item=start + 2, movie=values[1], note=two, raw=None, inside=None),
    dict(item=start + 3, movie=None, note=None, raw=None, inside=None),
])
Strict.insert([(start + 1, values[0]), (start + 2, values[2])])
"""
READ = """
def read(path):
    with open(path, 'rb') as file:
        return file.read()
def contents(rows):
    return [dict(row, **{n: read(row[n]) for n in ('note', 'raw', 'inside') if row[n] is not None})
            for row in rows]
"""
FETCH = "contents(Item.fetch(as_dict=True, order_by='item', download_path=saved))"

Entry = dict[str, Any]


@pytest.fixture(params=["file", "s3"])
def entry(request: pytest.FixtureRequest, tmp_path: Path, schema_name: str) -> Entry:
    """Configure the store ``ext`` here; the other client is told by `configure`."""
    for folder in ("objects", "stage", "files"):
        (tmp_path / folder).mkdir()
    entry: Entry = {"stage": str(tmp_path / "stage")}
    if request.param == "file":
        entry |= {"protocol": "file", "location": str(tmp_path / "objects")}
    else:
        server = request.getfixturevalue("s3_server")
        entry |= {
            "protocol": "s3",
            "endpoint": server.endpoint,
            "bucket": "bucket",
            "location": f"lab/{schema_name}",
            "access_key": server.user,
            "secret_key": server.password,
        }
    dj.config["stores"] = {"ext": entry}
    return entry


@pytest.fixture
def stored(
    pair: Pair, incumbent: Incumbent, here: Here, entry: Entry, tmp_path: Path
) -> Iterator[Pair]:
    """Both clients with the tables, none of which has rows, and files to insert."""
    folder, stage = tmp_path / "files", tmp_path / "stage"
    (folder / "note one.tar.gz").write_bytes(b"hello\0world")
    (folder / "note.txt").write_bytes(b"")
    (stage / "day").mkdir()
    (stage / "day" / "r.dat").write_bytes(bytes(range(256)) * 5)
    incumbent.run("dj.config['stores'] = stores", stores={"ext": entry})
    values = {
        "start": 0,
        "folder": str(folder),
        "stage": str(stage),
        "values": VALUES,
        "saved": str(folder),
    }
    pair.run(DEFINE + READ, **values)
    for side in (incumbent, here):
        saved = tmp_path / f"saved_{side.name}"
        saved.mkdir()
        side.run("", saved=str(saved))
    yield pair
    incumbent.run("dj.config.pop('stores', None)")


#: None of them is compressed: both clients compress, but not to the same bytes.
VALUES = [
    np.random.default_rng(0).integers(256, size=5000, dtype="uint8"),
    {"a": [1, "two", None]},
    "text",
]


def objects() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Read all objects of the store, with what is kept with them."""
    store = get_store("ext")
    paths = [info.path for info in store.list()]
    return {path: (store.get(path), kept_with(store, path)) for path in paths}


def kept_with(store: Store, path: str) -> dict[str, str]:
    """Read the metadata of an object, and its type."""
    if not isinstance(store, S3Store):
        return dict(store.metadata(path))
    return dict(store._get(path, head=True).attributes)


def test_rows_of_one_are_read_by_the_other(stored: Pair) -> None:
    stored.maker.run(ROWS)
    rows = stored.assert_same(FETCH)
    assert [row["note"] for row in rows] == [b"hello\0world", b"", None]
    assert rows[0]["raw"] == bytes(range(256)) * 5
    assert rows[0]["inside"] == b"hello\0world"
    assert rows[1]["movie"] == VALUES[1]
    stored.assert_same("Strict.fetch('movie', order_by='strict').tolist()[1]")
    names = "[Item.fetch(n, order_by='item', download_path=saved)[0] for n in ('note', 'inside')]"
    assert [Path(path).name for path in stored.user.value(names)] == ["note one.tar.gz"] * 2


def test_definitions_are_equal(stored: Pair) -> None:
    """But for the indexes of foreign keys to tracking tables, which the other client lists."""
    for table in ("Item", "Strict"):
        here, there = (
            [
                line.rstrip()
                for line in side.value(f"{table}.describe(printout=False)").splitlines()
                if not line.startswith("INDEX (")
            ]
            for side in (stored.maker, stored.user)
        )
        assert here == there
        assert any(line.startswith("movie") and ": blob@ext" in line for line in here)


def test_objects_and_rows_are_equal(stored: Pair, sql: Sql, schema_name: str) -> None:
    """What one client stores, the other would have stored in the same way."""
    columns = "hash, size, attachment_name, filepath, contents_hash"
    made = []
    for side in (stored.maker, stored.user):
        side.run(ROWS)
        rows = sql(f"SELECT {columns} FROM `{schema_name}`.`~external_ext`")
        made.append((objects(), sorted(rows), sql(f"SELECT * FROM `{schema_name}`.`item`")))
        sql(f"DELETE FROM `{schema_name}`.`item`")
        sql(f"DELETE FROM `{schema_name}`.`strict`")
        sql(f"DELETE FROM `{schema_name}`.`~external_ext`")
        get_store("ext").delete(list(objects()))
    assert made[0] == made[1]
    assert len(made[0][0]) == 6


def test_the_same_contents_are_one_object(stored: Pair, sql: Sql, schema_name: str) -> None:
    stored.maker.run(ROWS)
    before = objects()
    stored.user.run(ROWS, start=10)
    assert objects() == before
    ((count,),) = sql(f"SELECT count(*) FROM `{schema_name}`.`~external_ext`")
    assert count == 6
    stored.assert_same("len(Item()), len(Strict())")


def test_nullable_and_updated(stored: Pair) -> None:
    stored.maker.run(ROWS)
    stored.user.run("Item.update1(dict(item=3, movie=values[2], note=folder + '/note.txt'))")
    stored.user.run("Item.update1(dict(item=1, movie=None, raw=None))")
    rows = stored.assert_same(FETCH)
    assert [row["movie"] is None for row in rows] == [True, False, False]
    assert rows[0]["raw"] is None


def test_compressed_contents(stored: Pair) -> None:
    """They are read by both, and are one object where one client has stored them."""
    zeros = np.zeros(100_000)
    stored.maker.run("Strict.insert([(1, zeros), (2, zeros)])", zeros=zeros)
    assert len(objects()) == 1
    stored.assert_same("Strict.fetch('movie', order_by='strict')[1]")
    stored.user.run("Strict.insert1((3, zeros))", zeros=zeros)
    stored.assert_same("Strict.fetch('movie', order_by='strict')[2]")
    assert len(objects()) <= 2


def test_unused_objects_of_the_other_are_deleted(stored: Pair) -> None:
    """By ``external[store].delete``, on either side.

    The other client finds nothing where an attribute is NULL: there are no NULLs here.
    """
    stored.maker.run(ROWS)
    stored.maker.run("Item().delete(); (Strict & 'strict = 1').delete()")
    assert len(objects()) == 6
    stored.user.run("errors = lab.external['ext'].delete(delete_external_files=True)")
    assert stored.user.value("list(errors)") == []
    assert [contents for contents, _ in objects().values()] == [pack("text")]
    stored.assert_same("Strict.fetch(as_dict=True)")
    stored.assert_same("sorted(map(str, lab.external['ext'].fetch('hash')))")
    stored.maker.run("Strict.insert1((7, values[0]))")  # what was removed is stored again
    stored.assert_same("(Strict & 'strict = 7').fetch1('movie')")


def test_garbage_of_the_other_is_collected(stored: Pair, here: Here, schema_name: str) -> None:
    """By ``dj.gc``, with NULLs, and with objects that no table tracks."""
    stored.maker.run(ROWS)
    stored.maker.run("(Item & 'item = 1').delete(); (Strict & 'strict = 1').delete()")
    orphan = f"{schema_name}/01/23/0123456789abcdef0123456789abcdef"
    get_store("ext").put(orphan, b"")
    dj.gc(here.value("lab"), dry_run=False, grace=0)
    assert {name for name in objects() if not name.endswith(".dat")} == {
        name for name in objects() if name.endswith(".note.txt") or len(Path(name).name) == 32
    } - {orphan}
    assert len(objects()) == 4  # the file of type filepath stays, unless it is asked for
    stored.assert_same(FETCH)


def test_migrated_to_another_store(
    stored: Pair, here: Here, incumbent: Incumbent, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = {"protocol": "file", "location": str(tmp_path / "other"), "stage": str(tmp_path)}
    stored.maker.run(ROWS)
    dj.config["stores"]["other"] = other
    incumbent.run("dj.config['stores']['other'] = other", other=other)
    migrate_store(here.value("lab"), "ext", "other")
    stored.run("vm = dj.VirtualModule('vm', name, connection=lab.connection); Item = vm.Item")
    rows = stored.assert_same(FETCH)
    assert rows[0]["raw"] == bytes(range(256)) * 5
    stored.maker.run("Item.insert1(dict(item=9, movie=values[2]), ignore_extra_fields=True)")
    assert stored.assert_same("(Item & 'item = 9').fetch1('movie')") == "text"


def test_damage_is_found(stored: Pair, here: Here, sql: Sql) -> None:
    """What the other client wrote is verified here."""
    stored.maker.run(ROWS)
    assert here.value("bool(lab.external['ext'].verify())") is True
    path = next(name for name in objects() if name.endswith(".note.txt"))
    get_store("ext").put(path, b"else")
    assert here.value("bool(lab.external['ext'].verify())") is False
