"""Where the database is: URLs, and the choice of a backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from .errors import DataJointError

BACKENDS = ("sqlite", "mysql", "postgresql")
ALIASES = {"mariadb": "mysql", "postgres": "postgresql"}
URL_FORMS = (
    "sqlite:///relative.db, sqlite:////absolute/path.db, "
    "mysql://user:password@host:3306/ or postgresql://user:password@host:5432/dbname"
)
_URL_PASSWORD = re.compile(r"(?<=://)(?P<user>[^:/@\s]*):.*(?=@)", re.DOTALL)
_PASSWORD = re.compile(r"((?:^|/)[^:/@\s]*:)(?!//).*@", re.DOTALL)


def parse_url(url: str) -> dict[str, Any]:
    """Take a database URL apart.

    Parameters
    ----------
    url : str
        ``sqlite:///relative.db``, ``sqlite:////absolute/path.db``,
        ``mysql://user:password@host:3306/`` or ``postgresql://user:password@host:5432/dbname``.
        Special characters in a part are percent-encoded.

    Returns
    -------
    dict
        ``backend`` (``'sqlite'``, ``'mysql'`` or ``'postgresql'``) and, of ``path``, ``user``,
        ``password``, ``host``, ``port`` (int) and ``name`` (of the database), those that the URL
        gives.

    Raises
    ------
    DataJointError
        If the scheme is unknown or the URL is malformed.
    """
    shown = without_password(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text may quote the password
        raise DataJointError(
            f"Malformed database URL {shown!r}. Is the port a number? Special characters in a "
            "name or password are percent-encoded, such as %2F for / and %23 for #."
        ) from None
    backend = ALIASES.get(parts.scheme, parts.scheme)
    if backend not in BACKENDS:
        known = ", ".join((*BACKENDS, *ALIASES))
        raise DataJointError(
            f"Unknown scheme {parts.scheme!r} in database URL {shown!r}. Known schemes: {known}."
        )
    if parts.query or parts.fragment:
        raise DataJointError(
            f"Database URL {shown!r} has options, which are not understood. "
            "A '?' or '#' in a name or password is written %3F or %23."
        )
    location = parts.path.removeprefix("/")
    if backend == "sqlite":
        if parts.netloc or not location:
            raise DataJointError(
                f"Database URL {shown!r} names no file. "
                "Write sqlite:///relative.db or sqlite:////absolute/path.db."
            )
        return {"backend": backend, "path": unquote(location)}
    host = parts.hostname
    if "%" in parts.netloc.rpartition("@")[2]:  # the path of a socket, where case matters
        host = parts.netloc.rpartition("@")[2].partition(":")[0]
    found: dict[str, Any] = {
        "user": parts.username or None,
        "password": parts.password,
        "host": host,
        "name": location or None,
    }
    texts = {name: unquote(text) for name, text in found.items() if text is not None}
    return {"backend": backend, **texts} | ({} if port is None else {"port": port})


def choose_backend(settings: Mapping[str, Any]) -> str:
    """Tell which database the settings ask for.

    The scheme of ``database.url``, else ``database.backend``, else ``'mysql'`` if
    ``database.host`` is set, else ``'sqlite'``.

    Parameters
    ----------
    settings : Mapping
        The configuration, or any mapping with its keys.

    Returns
    -------
    str
        ``'sqlite'``, ``'mysql'`` or ``'postgresql'``.

    Raises
    ------
    DataJointError
        If ``database.url`` cannot be understood.
    """
    if url := settings.get("database.url"):
        return str(parse_url(url)["backend"])
    if backend := settings.get("database.backend"):
        return str(backend)
    return "mysql" if settings.get("database.host") else "sqlite"


def resolve(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Put the parts of the URL, and the port that a host may name, in their places.

    Parameters
    ----------
    settings : Mapping
        The configuration, with what is given.
    given : Mapping
        What is asked for in particular, which goes before the URL of the configuration.

    Returns
    -------
    dict
        The settings of the section ``database`` as they are meant, and all others.

    Raises
    ------
    DataJointError
        If the URL cannot be understood, or the port is no number.
    """
    resolved = dict(settings)
    where = {"database.backend", "database.path", "database.host"}
    if "database.url" not in given and where & set(given):
        resolved["database.url"] = None
    if url := resolved["database.url"]:
        parts = {f"database.{name}": value for name, value in parse_url(url).items()}
        resolved |= {"database.host": "localhost"} | parts
        resolved |= {name: given[name] for name in given if name in _GIVEN}
    host, colon, port = (resolved["database.host"] or "").rpartition(":")
    if colon and port.isdecimal() and not host.endswith(":"):
        resolved |= {"database.host": host.strip("[]"), "database.port": int(port)}
    elif colon and (host.endswith("]") or not (":" in host or "/" in host)):
        raise DataJointError(
            f"The port of the database host {host}:{port} is no number: write NAME or NAME:PORT, "
            "such as db.example.org:3306"
        )
    return resolved


_GIVEN = (
    "database.user",
    "database.password",
    "database.port",
    "database.name",
    "database.use_tls",
)


def without_password(text: str) -> str:
    """Hide the password in a URL."""
    return _PASSWORD.sub(r"\1***@", text)


def drop_password(text: str) -> str:
    """Leave the password out of a URL, with the colon; any other text stays as it is."""
    return _URL_PASSWORD.sub(r"\g<user>", text)


def with_password(url: str, password: str) -> str:
    """Write another password into a URL that has one."""
    parts = urlsplit(url)
    account, _, place = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    if not colon:
        return url
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl()
