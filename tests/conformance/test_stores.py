"""The stores of the package do what every store must do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import datajoint as dj
from conformance.stores import StoreConformance
from datajoint.storage.base import Store
from datajoint.storage.registry import get_store


def opened(entry: dict[str, Any]) -> Iterator[Store]:
    dj.config["stores"] = {"store": entry}
    store = get_store("store")
    yield store
    store.delete([info.path for info in store.list()])


class TestLocalStore(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        (tmp_path / "objects").mkdir()
        yield from opened({"protocol": "file", "location": str(tmp_path / "objects")})


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self, schema_name: str) -> Iterator[Store]:
        yield from opened({"protocol": "memory", "location": f"/{schema_name}"})


class TestRemoteFolder(StoreConformance):
    """A filesystem of fsspec whose files grow while they are written."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        (tmp_path / "objects").mkdir()
        yield from opened({"protocol": "local", "location": str(tmp_path / "objects")})


class TestS3Store(StoreConformance):
    keeps_metadata = True

    @pytest.fixture
    def store(self, s3_server: Any, schema_name: str) -> Iterator[Store]:
        yield from opened(
            {
                "protocol": "s3",
                "endpoint": s3_server.endpoint,
                "bucket": "bucket",
                "location": f"/lab/{schema_name}",
                "access_key": s3_server.user,
                "secret_key": s3_server.password,
            }
        )

    def test_readers_have_the_old_object_or_the_new_one(self, store: Store) -> None:
        pytest.skip("rclone replaces its files in place; servers that are stores do not")
