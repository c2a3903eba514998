"""A network that fails: a proxy on this computer whose connections can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any


class Proxy:
    """Stands between clients and a server.

    Parameters
    ----------
    host, port
        The server.

    Attributes
    ----------
    port : int
        Where clients connect, on 127.0.0.1.
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, is_told: bool = True) -> None:
        """Close all connections without a word, and refuse new ones.

        Parameters
        ----------
        is_told : bool
            Whether the server is told too; else it waits for clients that do not come back, as
            after a loss of power.
        """
        self._do(self._cut(is_told))

    def stall(self) -> None:
        """Carry nothing more; connections stay, and new ones are accepted."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def restore(self) -> None:
        """Carry what comes by new connections."""
        self._do(self._restore())

    # -- in the thread of the loop

    def _do(self, task: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(task, self._loop).result(30)

    async def _cut(self, is_told: bool) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in self._links:
            link.cut(is_told)
        self._flowing.set()  # those that wait find their connections closed

    async def _restore(self) -> None:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _finish(self) -> None:
        await self._cut(True)
        # Their connections are closed, so that they end by themselves.
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=10)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        try:
            await self._flowing.wait()
            there, link.server = await asyncio.open_connection(*self._upstream)
            await asyncio.gather(
                self._carry(reader, link.server, link), self._carry(there, writer, link)
            )
        except OSError:
            link.cut(True)
        finally:
            if not link.is_left:
                self._links.discard(link)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                await self._flowing.wait()
                if link.is_left:
                    return
                writer.write(data)
                await writer.drain()
        if not link.is_left:
            writer.close()


class _Link:
    """A connection of a client, and the one with the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        #: Whether the server waits for a client that has gone.
        self.is_left = False

    def cut(self, is_told: bool) -> None:
        self.is_left |= not is_told
        self.client.transport.abort()
        if is_told and self.server is not None:
            self.server.transport.abort()
