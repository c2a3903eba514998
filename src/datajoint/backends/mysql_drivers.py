"""The drivers for MySQL: PyMySQL, and mysqlclient, which is written in C, where it is installed.

With mysqlclient a fetch takes a third to a half of the time. Both follow the Python database API;
what differs is how they connect, and how they let go of a connection.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import pymysql
from pymysql.constants import CR
from pymysql.cursors import SSCursor

from ..errors import DataJointError

try:
    import MySQLdb as mysqlclient
    from MySQLdb.cursors import SSCursor as UnbufferedCursor
except ImportError:
    mysqlclient = UnbufferedCursor = None

#: The errors of both drivers: their arguments are a code and a text.
ERRORS: tuple[type[Exception], ...] = (
    (pymysql.MySQLError,) if mysqlclient is None else (pymysql.MySQLError, mysqlclient.MySQLError)
)

#: A read that may end by itself, after 20 days, is one that Ctrl-C can always interrupt: libraries
#: such as polars let the system go on with one that cannot.
READ_SECONDS = 20 * 86400

_TLS_OPTIONS = ("ca", "capath", "cert", "key", "password", "check_hostname", "cipher")


def connect(use_tls: bool | Mapping[str, Any] | None, **options: Any) -> Any:
    """Connect to a server.

    Parameters
    ----------
    use_tls : bool, mapping or None
        The setting ``database.use_tls``.
    **options
        Those that the drivers share.

    Notes
    -----
    mysqlclient, built with MariaDB's library, goes on without TLS at a server that offers none,
    whatever it is told: where TLS is insisted on, PyMySQL is used.
    """
    is_socket = "unix_socket" in options
    if mysqlclient is not None and (use_tls is None or use_tls is False):
        plain = is_socket or use_tls is False
        try:
            connection = mysqlclient.connect(
                ssl_mode="DISABLED" if plain else "REQUIRED", **options
            )
            _OF_MYSQLCLIENT.add(connection)
            return connection
        except mysqlclient.MySQLError as error:
            # The second is told of every refusal before TLS is established; PyMySQL says which.
            if error.args[0] not in (CR.CR_SSL_CONNECTION_ERROR, CR.CR_CONNECTION_ERROR):
                raise
    options["password"] = options["password"].encode()  # PyMySQL would take Latin 1
    tls = _tls(use_tls, is_socket=is_socket)
    return pymysql.connect(**tls, read_timeout=READ_SECONDS, **options)


def socket_of(connection: Any) -> int:
    """Return the number of a connection's socket."""
    if isinstance(connection, pymysql.Connection):
        connection = connection._sock  # type: ignore[attr-defined]
    number: int = connection.fileno()
    return number


def unbuffered(connection: Any) -> Any:
    """Make a cursor that holds no more rows than were asked for."""
    is_of_pymysql = isinstance(connection, pymysql.Connection)
    return connection.cursor(SSCursor if is_of_pymysql else UnbufferedCursor)


def hang_up(connection: Any, cursor: Any) -> None:
    """Close a connection, None if it is closed, in the middle of a result.

    Both drivers would read the rest of it first, and PyMySQL even where that is lost.
    """
    if connection is not None:
        with (
            suppress(OSError, AttributeError, *ERRORS),  # it was closed, or lost
            socket.socket(fileno=os.dup(socket_of(connection))) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)
    _close_unread(cursor)
    if connection is not None:
        with suppress(OSError, *ERRORS):
            connection.close()


def _close_unread(cursor: Any) -> None:
    result: Any = getattr(cursor, "_result", None)
    if hasattr(result, "unbuffered_active"):
        result.unbuffered_active = False
    with suppress(OSError, *ERRORS):
        cursor.close()


def abandon(connection: Any, cursor: Any = None) -> None:
    """Let go of a connection of the parent process without a word to the server.

    Parameters
    ----------
    connection
    cursor
        One of a result that may not be read to its end; to collect it would be to read on.
    """
    if connection not in _OF_MYSQLCLIENT and cursor is None:
        return
    _OF_MYSQLCLIENT.discard(connection)
    nowhere = os.open(os.devnull, os.O_RDWR)
    with suppress(OSError, AttributeError, *ERRORS):  # it was closed
        os.dup2(nowhere, socket_of(connection))
    os.close(nowhere)
    if cursor is not None:
        _close_unread(cursor)


#: Those which say goodbye to the server when they are collected, as at the end of a process.
_OF_MYSQLCLIENT: WeakSet[Any] = WeakSet()


def _abandon_all() -> None:
    for connection in list(_OF_MYSQLCLIENT):
        abandon(connection)


if mysqlclient is not None and hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def _tls(use_tls: bool | Mapping[str, Any] | None, *, is_socket: bool) -> dict[str, Any]:
    """Turn the setting into options of PyMySQL, which without any encrypts if the server can."""
    if use_tls is False or (use_tls is None and is_socket):
        return {"ssl_disabled": True}
    if use_tls is None:
        return {}
    options = {} if use_tls is True else dict(use_tls)
    unknown = [name for name in options if name not in _TLS_OPTIONS]
    if unknown:
        raise DataJointError(
            f"`{unknown[0]}` is no option of database.use_tls; there are {', '.join(_TLS_OPTIONS)}"
        )
    return {"ssl": _tls_context(options)}


def _tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusts = "ca" in options or "capath" in options
    context.check_hostname = trusts and options.get("check_hostname", True)
    context.verify_mode = ssl.CERT_REQUIRED if trusts else ssl.CERT_NONE
    try:
        if trusts:
            context.load_verify_locations(options.get("ca"), options.get("capath"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"), options.get("password"))
        if "cipher" in options:
            context.set_ciphers(options["cipher"])
    except OSError as error:
        shown = {name: options[name] for name in options if name != "password"}
        raise DataJointError(
            f"The certificates of database.use_tls cannot be used: {shown}: {error}"
        ) from error
    return context
