"""The results of queries in a folder, so that repeated queries need not ask the database.

Each result is a file: a magic number, the SHA-256 hash of the rest, and the rows, column by column,
in the format of :mod:`datajoint.blob`. Its name is a hash of all that the result follows from.
Manual 8.12.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import numpy as np

from .blob import pack, unpack
from .errors import DataJointError
from .logging import logger
from .settings import config

#: A greater number makes all that was cached before unknown.
_FORMAT = 1
_MAGIC = b"datajoint query %d\0" % _FORMAT
_ANY_MAGIC = b"datajoint query "
_NAME = re.compile(r"datajoint-query-[0-9a-f]{64}(-\w+\.tmp)?")
#: What a blob gives back just as it was.
_PLAIN = frozenset((type(None), bool, int, float, str, bytes, Decimal, dt.date, UUID))
_NAIVE = frozenset((dt.datetime, dt.time))
_DURATION = "timedelta"

Rows = list[tuple[Any, ...]]


class _NotPlain(Exception):
    """A value would not come back from a file just as it is."""


class QueryCache:
    """The results of the queries of one session, in the folder of the setting ``query_cache``.

    Parameters
    ----------
    namespace : str
        Tells states of the cache apart.
    identity : tuple of str
        Tells the database and the account apart from others that may use the folder.

    Raises
    ------
    DataJointError
        When the namespace is no text, or there is no such folder.
    """

    def __init__(self, namespace: object, identity: tuple[str, ...]) -> None:
        if not isinstance(namespace, str) or not namespace:
            raise DataJointError(
                f"The namespace of the query cache is a text such as 'main', not {namespace!r}; "
                "to turn the cache off, call `set_query_cache()` without one"
            )
        self.namespace = namespace
        self._folder = cache_folder()
        self._identity = identity

    def rows(self, text: str, values: Sequence[Any], fetch: Callable[[], Rows]) -> Rows:
        """Give the rows of a statement: those of its file, or else fetched and kept there.

        Raises
        ------
        DataJointError
            When the folder cannot be read or written.
        """
        try:
            asked = pack([_FORMAT, self._identity, self.namespace, text, _storable(values)])
        except (DataJointError, _NotPlain):
            return fetch()
        path = self._folder / f"datajoint-query-{hashlib.sha256(asked).hexdigest()}"
        rows = self._read(path)
        if rows is None:
            rows = fetch()
            self._write(path, rows)
        return rows

    def _read(self, path: Path) -> Rows | None:
        """Read a file; None when there is none, or it is damaged."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self._folder, "read", error) from error
        checksum, packed = content[len(_MAGIC) :][:32], content[len(_MAGIC) + 32 :]
        if content.startswith(_MAGIC) and hashlib.sha256(packed).digest() == checksum:
            with suppress(DataJointError, LookupError, TypeError, ValueError):
                return _rows(unpack(packed, limit=sys.maxsize))  # it is what was written
        logger.warning("The file %s of the query cache is damaged and is written anew", path)
        return None

    def _write(self, path: Path, rows: Rows) -> None:
        """Write a file, all of it at once for whoever reads; leave out what no file can hold."""
        try:
            columns = [_column(column) for column in zip(*rows, strict=True)]
            packed = pack([len(rows), columns])
        except (DataJointError, _NotPlain) as error:
            logger.debug("The result of a query is not cached: %s", error)
            return
        try:
            with tempfile.NamedTemporaryFile(
                dir=self._folder, prefix=f"{path.name}-", suffix=".tmp", delete=False
            ) as file:
                file.write(_MAGIC + hashlib.sha256(packed).digest() + packed)
            try:
                os.replace(file.name, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(file.name)
                raise
        except OSError as error:
            if isinstance(error, FileNotFoundError) and self._folder.is_dir():
                return  # purged meanwhile
            raise _unusable(self._folder, "written", error) from error


def cache_folder() -> Path:
    """Find the folder that the setting ``query_cache`` names.

    Raises
    ------
    DataJointError
        When it names none, or the folder does not exist.
    """
    setting = config.get("query_cache")
    if not setting:
        raise DataJointError(
            "The folder of the query cache is not configured: set dj.config['query_cache'] to the "
            "path of a folder that exists"
        )
    folder = Path(setting).expanduser().absolute()
    if not folder.is_dir():
        raise DataJointError(
            f"The folder {folder} of the query cache does not exist: create it, or set "
            "dj.config['query_cache'] to another one"
        )
    return folder


def purge() -> None:
    """Remove the files of the query cache from its folder, of all namespaces and databases.

    Raises
    ------
    DataJointError
        When there is no such folder, or it cannot be written.
    """
    folder = cache_folder()
    try:
        for entry in os.scandir(folder):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # another process purges it too
                    if _is_own(entry.path):
                        os.unlink(entry.path)
    except OSError as error:
        raise _unusable(folder, "purged", error) from error


def _is_own(path: str) -> bool:
    """Tell by its first bytes whether a file is one of the cache, whole or not."""
    with open(path, "rb") as file:
        start = file.read(len(_ANY_MAGIC))
    return _ANY_MAGIC.startswith(start)


def _unusable(folder: Path, verb: str, error: OSError) -> DataJointError:
    return DataJointError(
        f"The folder {folder} of the query cache cannot be {verb}: {error}. See to it, set "
        "dj.config['query_cache'] to another folder and turn the cache on again, or turn it off "
        "with `connection.set_query_cache()`"
    )


def _column(values: Sequence[Any]) -> list[Any]:
    """Make of a column what can be stored; texts and numbers at once, which is much faster."""
    classes = set(map(type, values))
    if classes == {float}:
        return ["number", np.array(values)]
    if classes == {int} and -(2**63) <= min(values) <= max(values) < 2**63:
        return ["number", np.array(values, dtype=np.int64)]
    if classes in ({str}, {bytes}):
        return ["text", np.array(list(map(len, values))), type(values[0])().join(values)]
    return ["any", _storable(values)]


def _rows(stored: Any) -> Rows:
    count, columns = stored
    return list(zip(*map(_values, columns), strict=True)) if columns else [()] * count


def _values(column: list[Any]) -> list[Any]:
    kind, content, *rest = column
    if kind == "number":
        return cast("list[Any]", content.tolist())
    if kind == "text":
        ends = np.cumsum(content).tolist()
        return [rest[0][start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return list(map(_restored, content))


def _storable(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(map(_stored, values))


def _stored(value: Any) -> Any:
    class_ = type(value)
    if class_ in _PLAIN or (class_ in _NAIVE and value.tzinfo is None and not value.fold):
        return value
    if class_ is dt.timedelta:
        return {_DURATION: (value.days, value.seconds, value.microseconds)}
    if class_ is list:  # an array
        return list(map(_stored, value))
    raise _NotPlain(f"it has a value of type {class_.__name__}")


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_restored, value))
    return dt.timedelta(*value[_DURATION]) if isinstance(value, dict) else value
