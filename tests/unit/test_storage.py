"""Stores as they are configured, the cache, and the transfer of several objects."""

import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pytest

import datajoint as dj
from datajoint.errors import BucketInaccessible, DataJointError
from datajoint.hash import uuid_from_buffer
from datajoint.storage import cache as cache_module
from datajoint.storage.base import Store
from datajoint.storage.cache import Cache, configured_cache
from datajoint.storage.files import replacing
from datajoint.storage.local import LocalStore
from datajoint.storage.paths import is_temporary
from datajoint.storage.registry import get_store, store_settings
from datajoint.storage.s3 import S3Store
from datajoint.storage.transfer import transfer

S3 = {
    "protocol": "s3",
    "endpoint": "127.0.0.1:9",
    "bucket": "bucket",
    "location": "lab",
    "access_key": "accesskey",
    "secret_key": "geheimnis",
}
WHERE = 'dj.config["stores"]["x"]'


class TestSettings:
    def test_file(self) -> None:
        settings = store_settings("x", {"protocol": "file", "location": "/data/ext"})
        assert (settings.name, settings.protocol, settings.location) == ("x", "file", "/data/ext")
        assert (settings.subfolding, settings.stage, dict(settings.options)) == ((2, 2), None, {})

    def test_s3(self) -> None:
        entry = {**S3, "secure": 1, "subfolding": [3], "stage": "~/stage"}
        settings = store_settings("x", entry)
        assert settings.subfolding == (3,)
        assert settings.stage == Path.home() / "stage"
        assert settings.options["secure"] is True
        assert settings.options["region"] == "us-east-1"
        assert "geheimnis" not in repr(settings)

    @pytest.mark.parametrize(
        ("endpoint", "region"),
        [
            ("s3.amazonaws.com:9000", "us-east-1"),
            ("s3.eu-central-1.amazonaws.com", "eu-central-1"),
            ("s3-us-west-2.amazonaws.com:443", "us-west-2"),
            ("s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
            ("minio.example.org:9000", "us-east-1"),
        ],
    )
    def test_region(self, endpoint: str, region: str) -> None:
        assert store_settings("x", {**S3, "endpoint": endpoint}).options["region"] == region
        given = {**S3, "endpoint": endpoint, "region": "mars"}
        assert store_settings("x", given).options["region"] == "mars"

    def test_others_pass_options_on(self) -> None:
        entry = {"protocol": "gcs", "location": "b/p", "token": {"a": 1}, "project": "lab"}
        assert dict(store_settings("x", entry).options) == {"token": {"a": 1}, "project": "lab"}

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (5, f"{WHERE} must be a dict, not a value of int"),
            (
                {"location": "/x"},
                f"Missing or invalid protocol in {WHERE}: set it to `file`, `s3`, or a protocol of "
                "fsspec such as `gcs`",
            ),
            ({"protocol": "file"}, f'{WHERE} is missing "location"'),
            ({"protocol": "memory"}, f'{WHERE} is missing "location"'),
            *(
                ({key: S3[key] for key in S3 if key != missing}, f'{WHERE} is missing "{missing}"')
                for missing in ("endpoint", "bucket", "location")
            ),
            (
                {key: S3[key] for key in S3 if key != "secret_key"},
                f'{WHERE} is missing "secret_key", which goes with "access_key"',
            ),
            (
                {"protocol": "file", "location": "/x", "foo": 1},
                f'Invalid key "foo" in {WHERE} (protocol file has: protocol, location, subfolding, '
                "stage)",
            ),
            (
                {**S3, "secret-key": "geheim"},
                f'Invalid key "secret-key" in {WHERE}; did you mean `secret_key`? (protocol s3 has:'
                " protocol, location, subfolding, stage, endpoint, bucket, access_key, secret_key, "
                "secure, proxy_server, region)",
            ),
            (
                {**S3, "secret_key": 123456},
                f'"secret_key" in {WHERE} must be a string; its value is of type int',
            ),
            (
                {**S3, "endpoint": "https://u:geheim@h"},
                f'"endpoint" in {WHERE} must be HOST or HOST:PORT, without https:// (for which '
                "there is secure=True); its value is of type str",
            ),
            *(
                (
                    {**S3, "endpoint": endpoint},
                    f'"endpoint" in {WHERE} must be HOST or HOST:PORT, without https:// (for which '
                    "there is secure=True); its value is of type str",
                )
                for endpoint in ("host:99999", "host:", "host:x", "u:geheim@h:9000", "a b", "::1")
            ),
            (
                {**S3, "secure": "yes"},
                f'"secure" in {WHERE} must be True or False; its value is of type str',
            ),
            *(
                (
                    {**S3, "subfolding": wrong},
                    f'"subfolding" in {WHERE} must be a list of whole numbers, 1 or more; its '
                    f"value is of type {type(wrong).__name__}",
                )
                for wrong in (2, "22", [2, 0], [2, "2"], [True])
            ),
            (
                {**S3, "stage": 5},
                f'"stage" in {WHERE} must be the path of a folder; its value is of type int',
            ),
        ],
    )
    def test_errors(self, entry: Any, message: str) -> None:
        with pytest.raises(DataJointError) as caught:
            store_settings("x", entry)
        assert str(caught.value) == message

    def test_places_are_paths_as_in_0_14(self) -> None:
        local = store_settings("x", {"protocol": "file", "location": "/data/raw/"})
        assert LocalStore(local).place("lab/a") == PurePosixPath("/data/raw/lab/a")
        bucket = store_settings("x", {**S3, "location": "/x/y/"})
        assert S3Store(bucket).place("lab/a") == PurePosixPath("x/y/lab/a")

    def test_stage(self) -> None:
        with pytest.raises(DataJointError) as caught:
            LocalStore(store_settings("x", S3)).stage  # noqa: B018 - raises
        assert str(caught.value) == (
            f'{WHERE} is missing "stage", the local folder for files of type filepath@x'
        )


class TestGetStore:
    def test_one_for_each_entry(self, tmp_path: Path) -> None:
        dj.config["stores"] = {"x": {"protocol": "file", "location": str(tmp_path)}}
        store = get_store("x")
        assert get_store("x") is store
        (tmp_path / "other").mkdir()
        dj.config["stores"]["x"]["location"] = str(tmp_path / "other")
        other = get_store("x")
        assert other is not store
        assert other.locate("a") == str(tmp_path / "other" / "a")

    def test_relative_folder_is_that_of_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dj.config["stores"] = {"x": {"protocol": "file", "location": "objects"}}
        for name in ("one", "two"):
            (tmp_path / name / "objects").mkdir(parents=True)
            monkeypatch.chdir(tmp_path / name)
            assert get_store("x").locate("a") == str(tmp_path / name / "objects" / "a")

    def test_credentials_may_be_objects(self) -> None:
        """Those of Azure and Google hold locks, which cannot be copied."""
        entry = {"protocol": "memory", "location": "/x", "credential": threading.Lock()}
        dj.config["stores"] = {"x": entry}
        store = get_store("x")
        assert get_store("x") is store
        entry["credential"] = threading.Lock()
        assert get_store("x") is not store

    def test_unknown(self) -> None:
        dj.config["stores"] = {"raw": {}, "external": {}}
        with pytest.raises(DataJointError) as caught:
            get_store("extrenal")
        assert str(caught.value) == (
            "Storage extrenal is requested but not configured; did you mean `external`? "
            'Set dj.config["stores"]["extrenal"] (configured: `raw`, `external`)'
        )
        del dj.config["stores"]
        with pytest.raises(DataJointError, match=r"not configured\. Set .* \(configured: none\)"):
            get_store("x")

    @pytest.mark.parametrize("protocol", ["htp", "sfpt"])
    def test_unknown_protocol(self, protocol: str) -> None:
        dj.config["stores"] = {"x": {"protocol": protocol, "location": "/x"}}
        with pytest.raises(DataJointError) as caught:
            get_store("x")
        text = str(caught.value)
        assert f"Missing or invalid protocol in {WHERE}: there is no `{protocol}`" in text
        assert "did you mean `" in text
        assert "abfs" in text

    def test_missing_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
        dj.config["stores"] = {"x": {"protocol": "gcs", "location": "b/p"}}
        with pytest.raises(DataJointError, match="run `pip install gcsfs`"):
            get_store("x")

    def test_missing_obstore(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("obstore")
        monkeypatch.setattr("datajoint.storage.s3._library._made", {})
        monkeypatch.setitem(__import__("sys").modules, "obstore", None)
        dj.config["stores"] = {"x": S3}
        with pytest.raises(DataJointError, match=r"run `pip install 'datajoint\[s3\]'`"):
            get_store("x")

    def test_missing_folder(self, tmp_path: Path) -> None:
        dj.config["stores"] = {"x": {"protocol": "file", "location": str(tmp_path / "no")}}
        message = f"Inaccessible local directory {tmp_path / 'no'}: store `x` has no such folder"
        with pytest.raises(DataJointError, match=message):
            get_store("x")
        (tmp_path / "no").mkdir()
        store = get_store("x")
        (tmp_path / "no").rmdir()
        for method in (
            lambda: store.get("a/b"),
            lambda: store.put("b", b""),
            lambda: store.put("a/c/b", b""),
        ):
            with pytest.raises(DataJointError, match=message):
                method()
        assert not (tmp_path / "no").exists()

    def test_error_of_a_filesystem_hides_secrets(self) -> None:
        dj.config["stores"] = {
            "x": {"protocol": "memory", "location": "/x", "my_token": "geheim", "shown": "seen"}
        }
        store: Any = get_store("x")

        def fail(text: str) -> None:
            raise RuntimeError(text)

        store._fs.cat_file = lambda place: fail("no geheim here")
        with pytest.raises(DataJointError) as caught:
            store.get("a")
        assert "RuntimeError" in str(caught.value)
        assert "geheim" not in shown(caught.value)
        store._fs.cat_file = lambda place: fail("seen")
        with pytest.raises(DataJointError, match="RuntimeError: seen"):
            store.get("a")

    def test_password_in_a_location_is_hidden(self) -> None:
        url = "ftp://eva:ge@heim@127.0.0.1/x"
        entry = {"protocol": "ftp", "location": url, "host": "127.0.0.1", "port": 1}
        dj.config["stores"] = {"x": entry}
        with pytest.raises(DataJointError, match=r"could not open ftp://eva:\*\*\*@127") as caught:
            get_store("x")
        assert "heim" not in shown(caught.value)


def shown(error: BaseException) -> str:
    """Give all that Python prints about an error, without the lines of the program."""
    lines = traceback.format_exception(error)
    return "".join(line for line in lines if not line.startswith("  File"))


def s3_store(entry: dict[str, Any]) -> Store:
    """Open a store without the check of the first use."""
    store: Store = import_module("datajoint.storage.s3").S3Store(store_settings("x", entry))
    return store


class TestS3Errors:
    @pytest.fixture
    def entry(self, s3_server: Any) -> dict[str, Any]:
        keys = {"access_key": s3_server.user, "secret_key": s3_server.password}
        return {**S3, "endpoint": s3_server.endpoint, **keys}

    @pytest.mark.parametrize(
        ("wrong", "class_", "message"),
        [
            (
                {"bucket": "other"},
                BucketInaccessible,
                r"^Inaccessible s3 bucket other: the server .* of store `x` has no such bucket or "
                r'does not let it be listed; look at "bucket" in dj.config\["stores"\]\["x"\]$',
            ),
            (
                {"secret_key": "geheimnis"},
                BucketInaccessible,
                r"^Inaccessible s3 bucket bucket: the server .* of store `x` denied to read "
                r's3://bucket/lab/~; look at "access_key", "secret_key" and "bucket" in '
                r'dj.config\["stores"\]\["x"\]$',
            ),
            ({"access_key": "nobodyskey"}, BucketInaccessible, "denied to read"),
            (
                {"endpoint": "127.0.0.1:9"},
                DataJointError,
                r"^Store `x` could not read s3://bucket/lab/~, or the server 127.0.0.1:9 does "
                r'not answer: look at "endpoint", "secure" and "region" in '
                r'dj.config\["stores"\]\["x"\] \(',
            ),
            ({"secure": True}, DataJointError, 'look at "endpoint", "secure"'),
            (
                {"proxy_server": "http://user:geheimnis@127.0.0.1:9"},
                DataJointError,
                'look at "endpoint", "secure"',
            ),
            (
                {"proxy_server": "ht tp://user:geheimnis@127.0.0.1:no"},
                DataJointError,
                'look at "endpoint", "secure"',
            ),
        ],
    )
    def test_wrong_entries(
        self, entry: dict[str, Any], wrong: dict[str, Any], class_: type, message: str
    ) -> None:
        dj.config["stores"] = {"x": {**entry, **wrong}}
        with pytest.raises(class_, match=message) as caught:
            get_store("x")
        text = shown(caught.value)
        assert entry["secret_key"] not in text
        assert "geheimnis" not in text
        assert "Debug source" not in text
        assert caught.value.__cause__ is not None

    def test_credentials_of_other_settings(
        self, entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = {key: entry.pop(key) for key in ("access_key", "secret_key")}
        dj.config["stores"] = {"x": entry}
        dj.config["external.aws_access_key_id"] = keys["access_key"]
        dj.config["external.aws_secret_access_key"] = keys["secret_key"]
        get_store("x").put("a", b"a")
        # What is configured goes before the environment, in every respect.
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "of another account")
        monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
        dj.config["stores"]["x"]["stage"] = "stage"
        assert get_store("x").get("a") == b"a"
        monkeypatch.delenv("AWS_SESSION_TOKEN")
        del dj.config["external.aws_access_key_id"]
        del dj.config["external.aws_secret_access_key"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["access_key"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["secret_key"])
        assert get_store("x").get("a") == b"a"
        get_store("x").delete(["a"])

    def test_no_credentials(self, entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        del entry["access_key"], entry["secret_key"]
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv(
            "AWS_METADATA_ENDPOINT", "http://127.0.0.1:9"
        )  # that of a machine at AWS
        dj.config["stores"] = {"x": entry}
        message = 'give "access_key" and "secret_key" there or in the environment'
        with pytest.raises(DataJointError, match=message):
            get_store("x")

    def test_server_that_does_not_answer(
        self, s3_server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short = {"timeout": timedelta(seconds=0.2)}
        monkeypatch.setattr("datajoint.storage.s3._CHECK", (short, {"max_retries": 0}))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            dj.config["stores"] = {"x": {**S3, "endpoint": f"127.0.0.1:{silent.getsockname()[1]}"}}
            with pytest.raises(DataJointError, match="does not answer"):
                get_store("x")

    def test_bucket_that_goes_away(self, entry: dict[str, Any]) -> None:
        store = s3_store({**entry, "bucket": "gone"})
        with pytest.raises(BucketInaccessible, match="Inaccessible s3 bucket gone"):
            store.put("a", b"a")
        with pytest.raises(DataJointError, match="could not list"):
            list(store.list())

    def test_delete_says_what_is_left(self, entry: dict[str, Any]) -> None:
        failures = s3_store({**entry, "endpoint": "127.0.0.1:9"}).delete(["a", "b"])
        assert set(failures) == {"a", "b"}
        assert "s3://bucket/lab/a" in str(failures["a"])


class TestRanges:
    """What the server of the suite cannot: parts of objects, of the same object."""

    @pytest.fixture
    def server(self) -> Iterator[Any]:
        pytest.importorskip("obstore")

        class Handler(BaseHTTPRequestHandler):
            contents = bytes(range(256)) * (1 << 14)
            tag = '"first"'
            sent = 0

            def do_HEAD(self) -> None:
                found = self.path.endswith("/object")
                self.send_response(200 if found else 404)
                self._headers(len(self.contents) if found else 0)

            def do_GET(self) -> None:
                if self.headers.get("If-Match", self.tag) != self.tag:
                    self.send_response(412)
                    return self._headers(0)
                if "list-type" in self.path:
                    body = b'<?xml version="1.0"?><ListBucketResult></ListBucketResult>'
                    self.send_response(200)
                else:
                    first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
                    body = self.contents[first : last + 1]
                    type(self).sent += len(body)
                    self.send_response(206)
                    total = len(self.contents)
                    last = first + len(body) - 1
                    self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
                self._headers(len(body))
                self.wfile.write(body)
                return None

            def _headers(self, length: int) -> None:
                self.send_header("Content-Length", str(length))
                self.send_header("ETag", self.tag)
                self.send_header("Last-Modified", "Sat, 02 Jan 2021 03:04:05 GMT")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        dj.config["stores"] = {"x": {**S3, "endpoint": f"127.0.0.1:{server.server_port}"}}
        yield Handler
        server.shutdown()
        thread.join()
        server.server_close()

    def test_reads_what_is_asked_for(self, server: Any) -> None:
        with get_store("x").open("object") as stream:
            assert stream.seekable()
            assert stream.seek(-3, os.SEEK_END) == len(server.contents) - 3
            assert stream.read() == bytes([253, 254, 255])
            stream.seek(257)
            assert stream.read(2) == bytes([1, 2])
            with pytest.raises(ValueError, match="negative"):
                stream.seek(-1)
            assert server.sent < 1 << 21
            stream.seek(0)
            assert stream.read() == server.contents

    def test_never_mixes_two_objects(self, server: Any) -> None:
        with get_store("x").open("object") as stream:
            stream.seek(-3, os.SEEK_END)
            stream.read()
            server.tag = '"second"'
            stream.seek(0)
            with pytest.raises(DataJointError, match="was replaced while it was read"):
                stream.read(1)


class TestReplacing:
    def test_error_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as file:
            file.write(b"new")
            (beside,) = set(os.listdir(tmp_path)) - {"a"}
            assert is_temporary(beside)
            raise ZeroDivisionError
        assert os.listdir(tmp_path) == ["a"]
        assert (tmp_path / "a").read_bytes() == b"old"

    def test_contents_are_on_disk_before_the_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[list[str]] = []
        monkeypatch.setattr(os, "fsync", lambda _: synced.append(os.listdir(tmp_path / "s" / "47")))
        dj.config["stores"] = {"x": {"protocol": "file", "location": str(tmp_path)}}
        (tmp_path / "s" / "47").mkdir(parents=True)
        get_store("x").put("s/47/a", b"a")
        (before, after) = synced
        assert is_temporary(before[0])
        assert (len(before), after) == (1, ["a"])

    def test_longest_name(self, tmp_path: Path) -> None:
        path = tmp_path / ("ä" * 127)
        with replacing(path) as file:
            file.write(b"x")
        assert path.read_bytes() == b"x"


def blobs(count: int, size: int = 100) -> dict[UUID, bytes]:
    made = (number.to_bytes(4, "big") * (size // 4) for number in range(count))
    return {uuid_from_buffer(data): data for data in made}


class TestCache:
    def test_format(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "cache")
        hash_ = uuid_from_buffer(b"abc")
        assert cache.get(hash_) is None
        cache.put(hash_, b"abc")
        cache.put(hash_, b"abc")
        name = "900150983cd24fb0d6963f7d28e17f72"
        assert (tmp_path / "cache" / "90" / "01" / name).read_bytes() == b"abc"
        assert cache.get(hash_) == b"abc"
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [name]

    def test_damaged_is_not_there(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path)
        cache.put(uuid_from_buffer(b"abc"), b"abc")
        (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
        file.write_bytes(b"")
        assert cache.get(uuid_from_buffer(b"abc")) is None
        assert not file.exists()

    def test_what_was_not_used_for_longest_goes(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path, limit=1000)
        kept = blobs(10)
        for number, (hash_, data) in enumerate(kept.items()):
            cache.put(hash_, data)
            os.utime(cache._path(hash_), (number, number))
        hashes = list(kept)
        assert all(path.exists() for path in map(cache._path, hashes))
        assert cache.get(hashes[0]) == kept[hashes[0]]  # used now
        new = uuid_from_buffer(b"new" * 30)
        cache.put(new, b"new" * 30)
        there = [number for number, hash_ in enumerate(hashes) if cache._path(hash_).exists()]
        assert there == [0, 3, 4, 5, 6, 7, 8, 9]
        assert cache.get(new) == b"new" * 30

    def test_leaves_the_files_of_others_alone(self, tmp_path: Path) -> None:
        own = blobs(20)
        name = "900150983cd24fb0d6963f7d28e17f72"
        others = ["notes.txt", "90/notes.txt", "90/01/notes.txt", f"90/02/{name}", f"{name}", "x/y"]
        for other in others:
            (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / other).write_bytes(b"x" * 5000)
            os.utime(tmp_path / other, (1, 1))
        cache = Cache(tmp_path, limit=500)
        for hash_, data in own.items():
            cache.put(hash_, data)
        assert all((tmp_path / other).exists() for other in others)
        assert 0 < sum(cache.get(hash_) is not None for hash_ in own) <= 5

    def test_leftovers_go(self, tmp_path: Path) -> None:
        name = "900150983cd24fb0d6963f7d28e17f72"
        (tmp_path / "90" / "01").mkdir(parents=True)
        old, new = (tmp_path / "90" / "01" / f"{name}.{n}1234567.part" for n in "01")
        for path in (old, new):
            path.write_bytes(b"x" * 300)
        os.utime(old, (1, 1))
        cache = Cache(tmp_path, limit=300)
        for hash_, data in blobs(3).items():
            cache.put(hash_, data)
        assert (old.exists(), new.exists()) == (False, True)

    def test_larger_than_the_limit(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path, limit=2)
        cache.put(uuid_from_buffer(b"abc"), b"abc")
        assert os.listdir(tmp_path) == []

    def test_looks_at_the_folder_rarely(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = []
        entries = Cache._entries
        monkeypatch.setattr(Cache, "_entries", lambda self: looks.append(1) or entries(self))
        cache = Cache(tmp_path, limit=10_000)
        for hash_, data in blobs(300).items():
            cache.put(hash_, data)
        assert len(looks) < 40
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 10_000

    def test_several_at_once(self, tmp_path: Path) -> None:
        limit = 5000
        caches = [Cache(tmp_path, limit) for _ in range(4)]
        made = blobs(200)

        def use(cache: Cache) -> None:
            for hash_, data in made.items():
                if cache.get(hash_) is None:
                    cache.put(hash_, data)
                assert cache.get(hash_) in (data, None)

        transfer(use, caches, workers=4)
        size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
        assert size <= limit * 1.5

    def test_failure_is_no_error(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        cache = Cache(tmp_path / "no" / "cache")
        for hash_, data in blobs(2).items():
            cache.put(hash_, data)
            assert cache.get(hash_) is None
        assert [record.getMessage() for record in caplog.records] == [
            f"The cache {tmp_path / 'no' / 'cache'} is not used (No such file or directory): make "
            "the folder, or set dj.config['cache']"
        ]
        (tmp_path / "file").write_bytes(b"")
        caplog.clear()
        cache = Cache(tmp_path / "file")
        assert cache.get(uuid_from_buffer(b"")) is None
        assert "Not a directory" in caplog.text

    def test_configured(self, tmp_path: Path) -> None:
        assert configured_cache() is None
        dj.config["cache"] = str(tmp_path)
        cache = configured_cache()
        assert cache is not None
        assert (cache.folder, cache.limit) == (tmp_path, None)
        assert configured_cache() is cache
        dj.config["cache_limit"] = 5
        assert configured_cache().limit == 5  # type: ignore[union-attr]
        assert set(cache_module._caches) >= {(str(tmp_path), None), (str(tmp_path), 5)}


class TestTransfer:
    def test_order(self) -> None:
        def work(number: int) -> int:
            time.sleep(0.001 * (number % 5))
            return number * number

        for workers in (None, 1, 3, 100):
            assert transfer(work, range(50), workers) == [n * n for n in range(50)]
        assert transfer(work, []) == []

    def test_at_once(self) -> None:
        dj.config["external.transfers"] = 5
        barrier = threading.Barrier(5, timeout=10)
        transfer(lambda _: barrier.wait(), range(10))
        running, most, lock = [], [], threading.Lock()

        def work(number: int) -> None:
            with lock:
                running.append(number)
                most.append(len(running))
            time.sleep(0.005)
            with lock:
                running.remove(number)

        transfer(work, range(30))
        assert max(most) <= 5

    @pytest.mark.parametrize(("count", "workers"), [(1, None), (3, 1)])
    def test_in_the_thread_of_the_caller(self, count: int, workers: int | None) -> None:
        here = threading.get_ident()
        assert transfer(lambda _: threading.get_ident(), range(count), workers) == [here] * count

    def test_failure_stops_the_rest(self) -> None:
        begun, ended = [], []

        def work(number: int) -> None:
            begun.append(number)
            if number == 1:
                raise LookupError("one")
            time.sleep(0.05)
            ended.append(number)

        with pytest.raises(LookupError, match="one"):
            transfer(work, range(1000), 4)
        assert len(begun) < 50
        assert sorted(begun) == sorted([*ended, 1])

    def test_interrupt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = []

        def interrupted(*args: Any, **options: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("datajoint.storage.transfer.wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transfer(lambda n: time.sleep(0.02) or ended.append(n), range(1000), 4)
        assert len(ended) < 50
        names = [thread.name for thread in threading.enumerate()]
        assert not any(name.startswith("datajoint-transfer") for name in names)

    def test_setting(self) -> None:
        with pytest.raises(DataJointError, match="must be a whole number, 1 or more"):
            dj.config["external.transfers"] = 0
