"""Sessions that the client has lost, and of which the server does not know it."""

from __future__ import annotations

import itertools
import select
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import datajoint as dj
from datajoint.errors import DataJointError, LostConnectionError

from .proxy import Proxy

pytestmark = pytest.mark.parametrize("backend", ["mysql", "postgresql"], indirect=True)


@pytest.fixture
def options(target: Any, tmp_path: Any) -> dict[str, Any]:
    """How the server is reached directly."""
    given: dict[str, Any] = target.options(tmp_path)
    return given


@pytest.fixture
def proxy(options: dict[str, Any]) -> Iterator[Proxy]:
    with Proxy(options["host"], options["port"]) as proxy:
        yield proxy


@pytest.fixture
def far(connection: dj.Connection, options: dict[str, Any], proxy: Proxy) -> Iterator[Any]:
    """A connection through a network that can be cut."""
    far = dj.Connection(**{**options, "host": "127.0.0.1", "port": proxy.port})
    yield far
    far.close()


@pytest.fixture
def schema(far: dj.Connection, schema_name: str) -> dj.Schema:
    return dj.Schema(schema_name, connection=far)


@pytest.fixture
def Item(schema: dj.Schema) -> Any:
    @schema
    class Item(dj.Lookup):
        definition = "item : int"
        contents = [(1,), (2,)]  # noqa: RUF012

    return Item


def cut(proxy: Proxy) -> None:
    """Cut the network, without a word to the server, and mend it."""
    proxy.cut(is_told=False)
    proxy.restore()


@pytest.mark.parametrize("reserve_jobs", [False, True])
def test_what_a_lost_make_has_inserted_is_not_in_the_way(proxy, schema, Item, reserve_jobs):
    calls = []

    @schema
    class Result(dj.Computed):
        definition = "-> Item"

        class Piece(dj.Part):
            definition = """
            -> master
            piece : int
            """

        def make(self, key: dict[str, Any]) -> None:
            calls.append(key["item"])
            self.insert1(key)
            if len(calls) == 1:
                cut(proxy)
            self.Piece.insert1({**key, "piece": 1})

    result = Result.populate(reserve_jobs=reserve_jobs)
    assert result == {"success_count": 2, "error_list": []}
    assert calls == [1, 1, 2]
    assert len(Result.Piece()) == 2
    assert len(schema.jobs) == 0


def is_alive(connection: dj.Connection) -> bool:
    try:
        connection.query("SELECT 1", reconnect=False)
    except LostConnectionError:
        return False
    return True


def test_only_the_session_that_was_lost_is_ended(connection, connect):
    other = connect()
    connection.backend.end_lost(other.connection_id, age=10**9)  # it was another's, long ago
    assert is_alive(other)
    connection.backend.end_lost(connection.connection_id, age=0)
    assert is_alive(connection)
    time.sleep(1.1)  # the server counts its seconds as whole ones
    connection.backend.end_lost(other.connection_id, age=0)
    deadline = time.monotonic() + 30
    while is_alive(other):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_sessions_of_other_users_are_left_alone(connection, connect, backend, target, schema_name):
    name = schema_name[-16:]
    create = {
        "mysql": f"CREATE USER '{name}'@'%%' IDENTIFIED BY 'secret'",
        "postgresql": f"CREATE ROLE {name} LOGIN PASSWORD 'secret'",
    }
    connection.query(create[backend])
    server = target.server
    place = {"host": server.host, "port": server.port}
    if backend == "postgresql":
        place["name"] = "postgres"
    other = dj.Connection(backend=backend, user=name, password="secret", **place)
    try:
        connection.backend.end_lost(other.connection_id, age=0)
        assert is_alive(other)
    finally:
        other.close()
        connection.query(f"DROP {'USER' if backend == 'mysql' else 'ROLE'} {name}")


def test_the_server_looks_whether_a_silent_client_is_there(connection, differs):
    differs(mysql="only its administrator can set that: tcp_keepalive_time")
    ((seconds,),) = connection.query("SHOW tcp_keepalives_idle").fetchall()
    assert int(seconds) == 60


@pytest.mark.parametrize("reserve_jobs", [False, True])
def test_populate_can_begin_while_the_network_is_down(proxy, schema, Item, reserve_jobs):
    @schema
    class Result(dj.Computed):
        definition = "-> Item"

        def make(self, key):
            self.insert1(key)

    for display_progress in (True, False):
        proxy.cut()
        mending = threading.Timer(0.3, proxy.restore)
        mending.start()
        result = Result.populate(
            reserve_jobs=reserve_jobs, display_progress=display_progress, max_calls=1
        )
        mending.join()
        assert result == {"success_count": 1, "error_list": []}
    assert len(schema.jobs) == 0


class Cutter(socketserver.BaseRequestHandler):
    """Carries so many bytes of what a server says, and then ends the connection."""

    def handle(self) -> None:
        left = self.server.bytes
        with socket.create_connection(self.server.upstream) as upstream:
            ends = {self.request: upstream, upstream: self.request}
            while left > 0:
                for source in select.select(list(ends), [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is upstream:
                        data, left = data[:left], left - len(data)
                    ends[source].sendall(data)


def test_a_connection_that_is_cut_while_it_is_made_is_lost(options):
    """Wherever it is cut: so that whoever waits for the database goes on waiting."""
    kinds = Counter()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Cutter) as proxy:
        proxy.upstream = options["host"], options["port"]
        proxy.daemon_threads = True
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        detour = {**options, "host": "127.0.0.1", "port": proxy.server_address[1]}
        try:
            for proxy.bytes in itertools.chain(range(12), range(12, 6000, 199), [100_000]):
                try:
                    dj.Connection(**detour).close()
                except DataJointError as error:
                    kinds[type(error).__name__] += 1
                else:
                    kinds["connected"] += 1
        finally:
            proxy.shutdown()
            thread.join()
    assert kinds.keys() == {"connected", "LostConnectionError"}
