"""Saving attached files, and handles of files and objects."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datajoint.errors import DataJointError
from datajoint.storage import saving
from datajoint.storage.handles import AttachedFile, Reading, stored_object
from datajoint.storage.objects import Tracked
from datajoint.storage.saving import Contents, Folder, file_checksum, split_attached
from datajoint.types import Attachment, External


def save(folder: Path | Folder, name: str, contents: bytes) -> Path:
    folder = folder if isinstance(folder, Folder) else Folder(folder)
    hash_ = uuid.UUID(bytes=hashlib.md5(name.encode() + b"\0" + contents).digest())

    def write(file: Path) -> None:
        file.write_bytes(contents)

    return folder.save(name, Contents(len(contents), f"{name}\0", lambda: hash_, write))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


class TestSaving:
    @pytest.mark.parametrize("shared", [True, False])
    def test_names(self, tmp_path, shared):
        folder = Folder(tmp_path)
        paths = [
            save(folder if shared else tmp_path, "my file.tar.gz", contents).name
            for contents in (b"a", b"b", b"a", b"c", b"b", b"")
        ]
        assert paths == [
            "my file.tar.gz",
            "my file.tar_0000.gz",
            "my file.tar.gz",
            "my file.tar_0001.gz",
            "my file.tar_0000.gz",
            "my file.tar_0002.gz",
        ]
        assert names(tmp_path) == sorted(set(paths))

    def test_no_suffix_and_hidden(self, tmp_path):
        for name, second in {"README": "README_0000", ".profile": ".profile_0000"}.items():
            assert save(tmp_path, name, b"a").name == name
            assert save(tmp_path, name, b"b").name == second

    @pytest.mark.parametrize("shared", [True, False])
    @pytest.mark.parametrize("links", [True, False])
    def test_threads(self, tmp_path, monkeypatch, links, shared):
        """Each has a name of its own, and equal files are there once."""
        if not links:

            def link(*args: Any) -> None:
                raise OSError(errno.EPERM, "no links here")

            monkeypatch.setattr(os, "link", link)
        start, folder = threading.Barrier(16), Folder(tmp_path)

        def save_one(i: int) -> Path:
            start.wait()
            return save(folder if shared else tmp_path, "image.tif", b"%d" % (i // 2) * 1000)

        with ThreadPoolExecutor(16) as pool:
            paths = list(pool.map(save_one, range(16)))
        for i, path in enumerate(paths):
            assert path.read_bytes() == b"%d" % (i // 2) * 1000
        if links or shared:
            assert names(tmp_path) == sorted(
                ["image.tif", *(f"image_{i:04x}.tif" for i in range(7))]
            )

    @given(st.text(max_size=20))
    def test_never_outside_of_the_folder(self, tmp_path_factory, name):
        folder = tmp_path_factory.mktemp("outer") / "inner"
        folder.mkdir()
        try:
            path = save(folder, name, b"a")
        except DataJointError:
            assert list(folder.iterdir()) == []
        else:
            assert path.parent == folder
            assert path.read_bytes() == b"a"
            assert list(folder.iterdir()) == [path]
        assert list(folder.parent.iterdir()) == [folder]

    @pytest.mark.parametrize("name", ["", ".", "..", "/", "a/..", "..\\..", "C:\\"])
    def test_names_of_no_file(self, tmp_path, name):
        with pytest.raises(DataJointError, match="is no name of a file"):
            save(tmp_path, name, b"a")

    @pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "..\\a.txt", "C:\\x\\a.txt"])
    def test_folders_of_names_are_left_out(self, tmp_path, name):
        assert save(tmp_path, name, b"a") == tmp_path / "a.txt"

    @pytest.mark.skipif(os.name == "nt", reason="there, it is the name of a drive")
    def test_names_with_a_colon_are_kept(self, tmp_path):
        assert save(tmp_path, "t:10.txt", b"a") == tmp_path / "t:10.txt"

    def test_a_link_is_not_followed(self, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.txt").symlink_to(tmp_path / "outside")
        assert save(tmp_path / "in", "a.txt", b"a").name == "a_0000.txt"
        assert not (tmp_path / "outside").exists()

    def test_a_failure_leaves_nothing(self, tmp_path):
        def write(file: Path) -> None:
            file.write_bytes(b"some")
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(DataJointError, match=r"`a` cannot be saved in the folder .*No space"):
            Folder(tmp_path).save("a", Contents(4, "", lambda: None, write))
        assert names(tmp_path) == []

    def test_a_name_that_is_too_long(self, tmp_path):
        with pytest.raises(DataJointError, match=r"cannot be saved in the folder .*too long"):
            save(tmp_path, "a" * 300, b"a")
        assert names(tmp_path) == []

    def test_split(self):
        name, contents = split_attached(b"a.txt\0b\0c")
        assert (name, bytes(contents)) == ("a.txt", b"b\0c")
        with pytest.raises(DataJointError, match="no attached file"):
            split_attached(b"a.txt")


class TestChecksum:
    def test_is_computed_again_when_the_file_changes(self, tmp_path, monkeypatch):
        read: list[str] = []
        compute = saving.uuid_from_file

        def counted(file: str, prefix: str) -> uuid.UUID:
            read.append(file)
            return compute(file, prefix)

        monkeypatch.setattr(saving, "uuid_from_file", counted)
        file = tmp_path / "a"
        file.write_bytes(b"one")
        os.utime(file, (1e9, 1e9))
        for _ in range(3):
            assert file_checksum(file).bytes == hashlib.md5(b"one").digest()
            assert file_checksum(file, "x\0").bytes == hashlib.md5(b"x\0one").digest()
        assert len(read) == 2
        file.write_bytes(b"two")
        os.utime(file, (1e9, 1e9))  # the same size and time of change
        assert file_checksum(file).bytes == hashlib.md5(b"two").digest()
        assert len(read) == 3

    def test_of_a_file_just_written(self, tmp_path):
        """Its times may be those of a change that follows."""
        file = tmp_path / "a"
        for i in range(100):
            file.write_bytes(b"%02d" % i)
            assert file_checksum(file).bytes == hashlib.md5(b"%02d" % i).digest()


class TestHandles:
    def test_attached_file(self, tmp_path):
        handle = AttachedFile(b"a.txt\0hello", Reading(Attachment("attach"), False, tmp_path))
        assert (handle.kind, handle.store, handle.name, handle.size) == ("attach", None, "a.txt", 5)
        assert handle.hash.bytes == hashlib.md5(b"a.txt\0hello").digest()
        assert repr(handle) == "<attach a.txt, 5 bytes>"
        assert handle.read() == handle.open().read() == b"hello"
        assert handle.load() == str(tmp_path / "a.txt")
        assert pickle.loads(pickle.dumps(handle)) == handle

    @pytest.mark.parametrize("kind", ["blob", "attach", "filepath"])
    def test_stored_objects(self, kind):
        """They can be made, compared, shown and sent where there is no store."""
        hash_ = uuid.UUID(int=1)
        reading = Reading(External(f"{kind}@raw", kind, "raw"))

        def handle(**changes: Any) -> Any:
            given = {"hash": hash_, "size": 12345, "attachment_name": None} | changes
            if kind == "filepath":
                given |= {"filepath": "a/b.txt"}
            if kind == "attach":
                given |= {"attachment_name": "b.txt"}
            return stored_object("lab", Tracked(**given), reading)

        one = handle()
        assert one == handle()
        assert hash(one) == hash(handle())
        assert one != handle(hash=uuid.UUID(int=2))
        assert (one == handle(contents_hash=hash_)) is False
        assert pickle.loads(pickle.dumps(one)) == one
        assert (one.kind, one.store, one.hash, one.size) == (kind, "raw", hash_, 12345)
        if kind == "blob":
            assert repr(one) == "<blob@raw 00000000000000000000000000000001, 12,345 bytes>"
        else:
            assert repr(one) == f"<{kind}@raw b.txt, 12,345 bytes>"
