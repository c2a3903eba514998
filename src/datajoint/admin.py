"""Administration of a server: passwords, and the sessions of its users.

Manual 2.3, 3.1 and 9.5.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from getpass import getpass
from typing import Any

from .backends.base import SESSION
from .condition import Top
from .connection import Connection, conn
from .errors import DataJointError
from .expression import QueryExpression
from .settings import config
from .sql import algebra
from .url import with_password
from .utils import user_choice


def set_password(
    new_password: str | None = None,
    connection: Connection | None = None,
    update_config: bool | None = None,
) -> None:
    """Change the password of the user at the database server.

    Parameters
    ----------
    new_password : str, optional
        Asked for, twice, when it is not given.
    connection : Connection, optional
        ``dj.conn()`` by default.
    update_config : bool, optional
        Whether to save the password in the local configuration file; asked for when not given.

    Raises
    ------
    DataJointError
        When the two passwords differ, or the database has no accounts.

    Notes
    -----
    Manual 3.1.
    """
    connection = connection or conn()
    if new_password is None:
        new_password = getpass("New password: ")
        if getpass("Confirm password: ") != new_password:
            raise DataJointError("The passwords differ; the password was not changed")
    connection.set_password(new_password)
    config["database.password"] = new_password
    if config["database.url"]:
        config["database.url"] = with_password(config["database.url"], new_password)
    print("Password updated.")
    if update_config or (
        update_config is None and user_choice("Update local setting?", default="no") == "yes"
    ):
        config.save_local(verbose=True, secrets=True)


def sessions(connection: Connection | None = None) -> QueryExpression:
    """Query the other sessions of the server that the user may see.

    Parameters
    ----------
    connection : Connection, optional
        ``dj.conn()`` by default.

    Returns
    -------
    QueryExpression
        With the attributes ``id``, ``user``, ``host``, ``db``, ``command``, ``time`` (seconds),
        ``state`` and ``info``.

    Raises
    ------
    DataJointError
        When the database is no server.
    """
    connection = connection or conn()
    listing = algebra.Listing(connection.backend.sessions(), tuple(SESSION.names))
    return QueryExpression._make(connection, SESSION, listing)


def kill(
    restriction: str | None = None,
    connection: Connection | None = None,
    order_by: str | Iterable[str] | None = None,
) -> None:
    """Show sessions of the server, and end those that the user chooses.

    Parameters
    ----------
    restriction : str, optional
        A condition over the attributes of :func:`sessions`, in any case, such as
        ``'HOST LIKE "%compute%"'`` or ``'TIME > 600'``.
    connection : Connection, optional
        ``dj.conn()`` by default.
    order_by : str or iterable of str, optional

    Notes
    -----
    Manual 9.5.2.
    """
    selected = _select(restriction, connection, order_by)
    while True:
        rows = selected.fetch(as_dict=True)
        _show(rows)
        try:
            answer = input('process to kill, "all" or "q" to quit > ').strip().lower()
        except EOFError:  # there is nobody to ask
            return
        if answer in ("", "q"):
            return
        chosen = [row["id"] for row in rows if answer in ("all", str(row["id"]))]
        if not chosen:
            print(f"{answer!r} is none of these sessions")
        for session in chosen:
            selected.connection.kill(session)


def kill_quick(
    restriction: str | None = None,
    connection: Connection | None = None,
    order_by: str | Iterable[str] | None = None,
) -> int:
    """End sessions of the server without asking; parameters as for :func:`kill`.

    Returns
    -------
    int
        How many were ended.
    """
    selected = _select(restriction, connection, order_by)
    ids = [row["id"] for row in selected.fetch(as_dict=True)]
    for session in ids:
        selected.connection.kill(session)
    return len(ids)


def _select(
    restriction: str | None,
    connection: Connection | None,
    order_by: str | Iterable[str] | None,
) -> QueryExpression:
    connection = connection or conn()
    connection.check_changeable("end sessions")  # those of before may be others now
    selected = sessions(connection)
    if restriction is not None:
        selected = selected & _lower_names(restriction)
    terms = [order_by] if isinstance(order_by, str) else list(order_by or ["id"])
    return selected & Top(None, [_lower_names(term) for term in terms])


_NAME = re.compile(rf"('[^']*'|\"[^\"]*\")|\b({'|'.join(SESSION.names)})\b", re.IGNORECASE)


def _lower_names(text: str) -> str:
    """Write the names of attributes, which MySQL takes in any case, as the heading has them."""
    return _NAME.sub(lambda match: match[1] or match[2].lower(), text)


def _show(rows: Iterable[dict[str, Any]]) -> None:
    print(f"{'ID':>8} {'USER':<16} {'HOST':<24} {'STATE':<16} {'TIME':>7}  INFO")
    for row in rows:
        texts = {name: "" if value is None else str(value) for name, value in row.items()}
        print(
            f"{row['id']:>8} {texts['user']:<16} {texts['host']:<24} {texts['state'][:16]:<16} "
            f"{texts['time']:>7}  {' '.join(texts['info'].split())[:60]}"
        )


__all__ = ["kill", "kill_quick", "sessions", "set_password"]
