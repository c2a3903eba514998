"""What every store must do. A store passes by a subclass with a fixture ``store``, empty."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from datajoint.errors import DataJointError, MissingExternalFile
from datajoint.storage.base import ObjectInfo, Store
from datajoint.storage.paths import is_temporary

NAMES = [
    "plain",
    "in/folders/of/any/depth",
    "with blanks ",
    "größe/αβγ/日本語.tar.gz",
    "100%/%20/%41",
    "a+b&c=d",
    "#hash?query",
    "semi;colon:at@comma,",
    "quotes'\"<>",
    "[br](ac){es}*",
    "~tilde.and.dots..",
    "back\\slash",
    "0123456789abcdef0123456789abcdef.my file.dat",
    "n" * 200,
]
OUTSIDE = ["", "/absolute", "../up", "in/../../up", "in/./place", "in//place", "folder/"]


class StoreConformance:
    """Subclass it as ``Test…`` and give it the fixture ``store``."""

    #: Whether metadata are kept.
    keeps_metadata = False

    # -- one object

    @pytest.mark.parametrize("path", NAMES)
    def test_names(self, store: Store, path: str) -> None:
        data = path.encode()
        store.put(path, data)
        assert store.get(path) == data
        assert [info.path for info in store.list()] == [path]
        info = store.info(path)
        assert info is not None
        assert (info.path, info.size) == (path, len(data))
        assert store.delete([path]) == {}
        assert store.info(path) is None
        assert list(store.list()) == []

    @pytest.mark.parametrize("path", OUTSIDE)
    def test_names_that_lead_out_are_refused(self, store: Store, path: str, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"x")
        for method in (
            lambda: store.put(path, b"x"),
            lambda: store.put_file(path, file),
            lambda: store.get(path),
            lambda: store.get_file(path, file),
            lambda: store.open(path),
            lambda: store.info(path),
        ):
            with pytest.raises(DataJointError, match="does not name an object"):
                method()
        assert list(store.list()) == []
        assert file.read_bytes() == b"x"

    def test_empty_object(self, store: Store, tmp_path: Path) -> None:
        store.put("a/empty", b"")
        store.get_file("a/empty", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == b""
        store.put_file("b", tmp_path / "got")
        assert store.get("a/empty") == store.get("b") == b""
        with store.open("b") as stream:
            assert stream.read() == b""
        assert {info.path: info.size for info in store.list()} == {"a/empty": 0, "b": 0}

    @pytest.mark.parametrize("size", [1, 10_000, (10 << 20) + 1])
    def test_files(self, store: Store, tmp_path: Path, size: int) -> None:
        data = os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        store.put_file("a/x", tmp_path / "file")
        assert store.get("a/x") == data
        store.put("a/y", data)
        (tmp_path / "got").write_bytes(b"longer than nothing" * 1000)
        store.get_file("a/y", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == data
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["file", "got"]
        assert [info.size for info in store.list("a")] == [size, size]

    def test_replaced_as_a_whole(self, store: Store, tmp_path: Path) -> None:
        for data in (b"long" * 1000, b"short", b"", b"again"):
            store.put("x", data)
            assert store.get("x") == data
            assert [info.size for info in store.list()] == [len(data)]
        (tmp_path / "file").write_bytes(b"file")
        store.put_file("x", tmp_path / "file")
        assert store.get("x") == b"file"

    def test_open(self, store: Store) -> None:
        data = os.urandom((3 << 20) + 7)
        store.put("a/x", data)
        with store.open("a/x") as stream:
            assert stream.read(5) == data[:5]
            assert stream.seek(-9, os.SEEK_END) == len(data) - 9
            assert stream.read() == data[-9:]
            assert stream.read() == b""
            assert stream.seek(2 << 20) == stream.tell() == 2 << 20
            stream.seek(3, os.SEEK_CUR)
            assert stream.read(4) == data[(2 << 20) + 3 : (2 << 20) + 7]
            stream.seek(0)
            assert stream.read() == data

    def test_time(self, store: Store) -> None:
        store.put("x", b"x")
        info = store.info("x")
        assert info is not None
        now = datetime.now(timezone.utc)
        assert abs(info.modified - now) < timedelta(seconds=60)
        (listed,) = store.list()
        assert abs(listed.modified - info.modified) < timedelta(seconds=2)

    def test_metadata(self, store: Store, tmp_path: Path) -> None:
        given = {"contents_hash": "90015098-3cd2-4fb0-d696-3f7d28e17f72"}
        (tmp_path / "big").write_bytes(bytes(10 << 20))
        store.put("a", b"a", given)
        store.put_file("b", tmp_path / "big", given)
        store.put("c", b"c")
        kept = given if self.keeps_metadata else {}
        assert [dict(store.metadata(path)) for path in "abcd"] == [kept, kept, {}, {}]

    # -- what is not there

    def test_missing(self, store: Store, tmp_path: Path) -> None:
        store.put("folder/x", b"x")
        (tmp_path / "got").write_bytes(b"old")
        for path in ("nothing", "folder", "folder/nothing", "no/folder/x", "folder/x/y"):
            assert store.info(path) is None
            for method in (
                lambda path=path: store.get(path),
                lambda path=path: store.get_file(path, tmp_path / "got"),
                lambda path=path: store.open(path).read(),
            ):
                with pytest.raises(MissingExternalFile, match=store.name) as caught:
                    method()
                assert path in str(caught.value)
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["got"]
        assert (tmp_path / "got").read_bytes() == b"old"

    def test_missing_source(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            store.put_file("x", tmp_path / "nothing")
        assert list(store.list()) == []

    def test_missing_target_folder(self, store: Store, tmp_path: Path) -> None:
        store.put("x", b"x")
        with pytest.raises(FileNotFoundError):
            store.get_file("x", tmp_path / "no" / "folder")

    def test_delete(self, store: Store) -> None:
        for path in ("a/x", "a/y", "b"):
            store.put(path, b"x")
        assert store.delete(["a/x", "nothing", "no/folder/x", "b"]) == {}
        assert store.delete(iter([])) == {}
        assert [info.path for info in store.list()] == ["a/y"]

    # -- lists

    def test_list(self, store: Store) -> None:
        for path in ("s/47/45/x", "s/47/46/y", "s2/z", "s.t", "top"):
            store.put(path, path.encode())

        def listed(folder: str) -> dict[str, int]:
            return {info.path: info.size for info in store.list(folder)}

        assert listed("") == {"s/47/45/x": 9, "s/47/46/y": 9, "s2/z": 4, "s.t": 3, "top": 3}
        assert listed("s") == listed("s/") == {"s/47/45/x": 9, "s/47/46/y": 9}
        assert listed("s/47/46") == {"s/47/46/y": 9}
        assert listed("top") == listed("nothing") == listed("no/folder") == {}
        with pytest.raises(DataJointError, match="does not name an object"):
            list(store.list(".."))

    def test_many(self, store: Store) -> None:
        paths = {f"s/{number % 7}/{number:04}" for number in range(1100)}
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda path: store.put(path, b"x"), paths))
        infos = list(store.list("s"))
        assert all(isinstance(info, ObjectInfo) for info in infos)
        assert sorted(info.path for info in infos) == sorted(paths)
        assert store.delete(paths) == {}
        assert list(store.list()) == []

    # -- several at once

    def test_readers_have_the_old_object_or_the_new_one(self, store: Store) -> None:
        versions = [bytes([number]) * (100_000 + number) for number in range(8)]
        store.put("a/x", versions[0])
        done = threading.Event()

        def write(version: bytes) -> None:
            for _ in range(5):
                store.put("a/x", version)

        def read() -> int:
            count = 0
            while not done.is_set() or count == 0:
                assert store.get("a/x") in versions
                count += 1
            return count

        with ThreadPoolExecutor(12) as pool:
            readers = [pool.submit(read) for _ in range(4)]
            writers = [pool.submit(write, version) for version in versions]
            try:
                for writer in writers:
                    writer.result()
            finally:
                done.set()
            assert all(reader.result() for reader in readers)
        assert store.get("a/x") in versions
        assert [info.path for info in store.list()] == ["a/x"]
        assert not any(is_temporary(info.path) for info in store.list())

    def test_forked_process(self, store: Store) -> None:
        store.put("parent", b"parent")
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                store.put("child", b"child")
                assert store.info("nothing") is None
                os.write(write, store.get("child"))
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.read() == b"child"
        os.waitpid(child, 0)
        assert store.get("parent") == b"parent"
        store.put("parent", b"more")
        assert store.get("parent") == b"more"
