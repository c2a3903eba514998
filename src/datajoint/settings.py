"""The configuration: ``dj.config`` (user manual, chapter 3).

One table, :data:`SETTINGS`, says what there is to configure; :class:`Config` holds the values.
Importing this module opens no file and reads no environment: that happens at the first access.
"""

from __future__ import annotations

import json
import math
import operator
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pprint import pformat
from typing import Any, ClassVar

from .errors import DataJointError
from .logging import announce, logger
from .secrecy import OMITTED, masked, without_secrets
from .url import (
    ALIASES,
    BACKENDS,
    URL_FORMS,
    choose_backend,
    parse_url,
)

__all__ = [
    "GLOBALCONFIG",
    "LOCALCONFIG",
    "SETTINGS",
    "Config",
    "Setting",
    "choose_backend",
    "config",
    "masked",
    "origins",
    "parse_url",
]

LOCALCONFIG = "dj_local_conf.json"
GLOBALCONFIG = ".datajoint_config.json"

_ABSENT: Any = object()  # the value of a known setting that is not set, and of a deleted one


# --- what there is to configure ---------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """What values a setting takes.

    Attributes
    ----------
    expected : str
        Completes the sentence "The setting expects …".
    accept : Callable
        Returns the value as it is kept; TypeError, ValueError, LookupError or
        OverflowError refuse it.
    read : Callable
        Turns the text of an environment variable into a value.
    blank : bool
        Whether an empty environment variable is a value; otherwise it counts as unset.
    """

    expected: str
    accept: Callable[[Any], Any]
    read: Callable[[str], Any] = str
    blank: bool = False

    def optional(self) -> Kind:
        """Return the same kind, taking None as well."""
        return Kind(
            f"{self.expected} or None",
            lambda value: None if value is None else self.accept(value),
            self.read,
            self.blank,
        )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _filename(value: Any) -> str:
    if not (path := _text(os.fspath(value))):
        raise ValueError("empty")
    return path


def _url(value: Any) -> str:
    try:
        parse_url(_text(value))
    except DataJointError as error:
        raise ValueError(*error.args) from None
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, int) or value not in (0, 1):
        raise TypeError("not a bool")
    return bool(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or (number := operator.index(value)) < 0:
        raise ValueError("not a count")
    return number


def _positive(value: Any) -> int:
    if (number := _count(value)) < 1:
        raise ValueError("not positive")
    return number


def _port(value: Any) -> int:
    if not 0 < (number := _count(value)) < 65536:
        raise ValueError("out of range")
    return number


def _seconds(value: Any) -> float:
    if isinstance(value, bool | str) or not 0 <= (number := float(value)) < math.inf:
        raise ValueError("not a duration")
    return number


def _duration(value: Any) -> float:
    if not (number := _seconds(value)):
        raise ValueError("no time at all")
    return number


def _dict(value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError("not a dict")
    return value


def _tls(value: Any) -> Any:
    return value if isinstance(value, dict) else _flag(value)


_TLS_WORDS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)


def _one_of(*words: str, **aliases: str) -> Kind:
    table = {word.lower(): word for word in words} | aliases
    expected = f"one of {', '.join(map(repr, words))}"
    return Kind(expected, lambda value: table[_text(value).lower()])


TEXT = Kind("a string", _text)
PASSWORD = Kind("a string", _text, blank=True)
URL = Kind(f"a URL such as {URL_FORMS}", _url)
FOLDER = Kind("the path of a folder", lambda value: _text(os.fspath(value)))
FILE = Kind("the path of a file", _filename)
FLAG = Kind("True or False", _flag)
COUNT = Kind("a whole number, 0 or more", _count, int)
POSITIVE = Kind("a whole number, 1 or more", _positive, int)
PORT = Kind("a whole number from 1 to 65535", _port, int)
SECONDS = Kind("a number of seconds, 0 or more", _seconds, float)
DURATION = Kind("a number of seconds, more than 0", _duration, float)
DICT = Kind("a dict", _dict)
TLS = Kind("True, False, a dict of the driver's options", _tls, lambda s: _TLS_WORDS[s.lower()])
BACKEND = _one_of(*BACKENDS, **ALIASES)
LEVEL = _one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Setting:
    """One entry of the table of settings.

    Attributes
    ----------
    name : str
        The key in :data:`config`.
    default : Any
        Its value when nothing sets it. A setting without one is absent until it is set.
    kind : Kind
        What values it takes.
    doc : str
        What it is for.
    secret : bool
        Whether its value is hidden when the configuration is shown.
    env : str or None
        The environment variable that overrides configuration files.
    """

    name: str
    default: Any
    kind: Kind
    doc: str
    secret: bool = False
    env: str | None = None


# fmt: off
_TABLE = (
    Setting("database.url", None, URL.optional(), env="DJ_URL",
            doc="Database, server and credentials in one; goes before the other settings."),
    Setting("database.backend", None, BACKEND.optional(), env="DJ_BACKEND",
            doc="Kind of database. None: mysql if there is a host, else sqlite."),
    Setting("database.path", "datajoint.db", FILE, env="DJ_PATH",
            doc="File of the embedded SQLite database."),
    Setting("database.host", None, TEXT.optional(), env="DJ_HOST",
            doc="Name or address of the database server, also as host:port."),
    Setting("database.user", None, TEXT.optional(), env="DJ_USER",
            doc="User name at the database server. None: asked for."),
    Setting("database.password", None, PASSWORD.optional(), env="DJ_PASS", secret=True,
            doc="Password at the database server. None: asked for; empty: no password."),
    Setting("database.port", 3306, PORT, env="DJ_PORT",
            doc="Port of the database server; 3306 means 5432 for PostgreSQL."),
    Setting("database.name", None, TEXT.optional(), env="DJ_DBNAME",
            doc="Database of a PostgreSQL server. None: the one named as the user."),
    Setting("database.reconnect", True, FLAG,
            doc="Reconnect after the connection was lost."),
    Setting("database.use_tls", None, TLS.optional(), env="DJ_USE_TLS",
            doc="Encrypt the connection. None: if the server can; dict: options of the driver."),
    Setting("database.timeout", 600.0, SECONDS,
            doc="Seconds that a statement waits for a locked SQLite file."),
    Setting("connection.init_function", None, TEXT.optional(),
            doc="SQL to run on connecting."),
    Setting("connection.charset", "", TEXT,
            doc="Character set of the connection. Empty: the driver's default."),
    Setting("loglevel", "INFO", LEVEL, env="DJ_LOG_LEVEL",
            doc="Level of the logger."),
    Setting("safemode", True, FLAG,
            doc="Ask before entities are deleted or tables dropped."),
    Setting("fetch_format", "array", _one_of("array", "frame"),
            doc="What fetch() returns: NumPy arrays or pandas data frames."),
    Setting("display.limit", 12, COUNT,
            doc="Rows in a preview."),
    Setting("display.width", 14, COUNT,
            doc="Characters per column in a preview."),
    Setting("display.show_tuple_count", True, FLAG,
            doc="Count the rows below a preview."),
    Setting("strict_restrictions", None, _one_of("warn", "error").optional(),
            doc="What to do about restricting by a dict with a key that is no attribute."),
    Setting("join_check", "keys", _one_of("keys", "lineage"),
            doc="What common attributes of two queries must be: in a key; of the same origin too."),
    Setting("enable_python_native_blobs", True, FLAG,
            doc="Allow Python objects in blobs."),
    Setting("blob_memory_limit", 2**32, COUNT,
            doc="Bytes of memory that what is in one blob may take when it is fetched."),
    Setting("log_events", True, FLAG,
            doc="Note declarations, deletes and drops in the table ~log of a schema."),
    Setting("add_hidden_timestamp", False, FLAG,
            doc="Give new tables a hidden timestamp."),
    Setting("populate.lease", 60.0, DURATION,
            doc="Seconds after which the reservations of a worker that is silent are void."),
    Setting("populate.patience", 300.0, SECONDS,
            doc="Seconds that populate waits for a database that does not answer."),
    Setting("populate.provenance", False, FLAG,
            doc="Keep beside each row that is made when, where, by what code and of what."),
    Setting("filepath_checksum_size_limit", None, COUNT.optional(),
            doc="Size in bytes from which on files are fetched without verifying their checksums."),
    Setting("filepath_checksum_size_limit_insert", None, COUNT.optional(),
            doc="Size in bytes above which a file is inserted without computing its checksum."),
    Setting("stores", _ABSENT, DICT,
            doc="External stores: a dict of options for each name."),
    Setting("cache", _ABSENT, FOLDER.optional(),
            doc="Folder that caches objects of external stores."),
    Setting("cache_limit", None, COUNT.optional(),
            doc="Size in bytes that the cache may have. None: no limit."),
    Setting("query_cache", _ABSENT, FOLDER.optional(),
            doc="Folder that keeps query results, once Connection.set_query_cache is called."),
    Setting("plugin", _ABSENT, DICT,
            doc="Plugins: a dict of options for each name."),
    Setting("external.transfers", 16, POSITIVE,
            doc="Objects that are sent to or fetched from a store at the same time."),
    Setting("external.aws_access_key_id", _ABSENT, TEXT.optional(), env="DJ_AWS_ACCESS_KEY_ID",
            doc="Access key of S3 stores."),
    Setting("external.aws_secret_access_key", _ABSENT, TEXT.optional(),
            env="DJ_AWS_SECRET_ACCESS_KEY", secret=True,
            doc="Secret key of S3 stores."),
)
# fmt: on

#: What there is to configure, by name.
SETTINGS = {setting.name: setting for setting in _TABLE}

_SECTIONS = frozenset(name.rpartition(".")[0] for name in SETTINGS)  # '' is the top level


def _near_miss(key: str) -> str | None:
    """Return the known setting that a key is probably meant to be.

    Users keep settings of their own at the top level, so there the likeness must be greater.
    """
    section, _, leaf = key.lower().rpartition(".")
    for known in get_close_matches(section, _SECTIONS, 1, 0.8):
        names = {
            name.rpartition(".")[2]: name for name in SETTINGS if name.rpartition(".")[0] == known
        }
        for match in get_close_matches(leaf, names, 1, 0.6 if known else 0.8):
            return names[match]
    return None


def _accepted(key: str, value: Any, source: str, *, is_text: bool = False) -> Any:
    """Return the value as it is kept, or raise a DataJointError saying what is expected."""
    if not isinstance(key, str):
        raise DataJointError(f"Names of settings are strings; {key!r}{source} is not.")
    setting = SETTINGS.get(key)
    if setting is None:
        return value
    try:
        return setting.kind.accept(setting.kind.read(value) if is_text else value)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise DataJointError(
            f"Setting {key!r}{source} must be {setting.kind.expected}, not {masked(key, value)!r}."
        ) from (None if setting.secret else error)


# --- where values come from -------------------------------------------------------------------


def _read_file(filename: str | os.PathLike[str]) -> dict[str, Any]:
    path = os.path.abspath(os.path.expanduser(filename))
    with open(path, encoding="utf-8-sig") as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise DataJointError(
                f"Configuration file {path} is not valid JSON: {error}."
            ) from error
    if not isinstance(content, dict):
        raise DataJointError(f"Configuration file {path} must hold a JSON object of settings.")
    logger.debug("Configuration read from %s", path)
    return {key: _accepted(key, value, f" in {path}") for key, value in content.items()}


def _default_file() -> str | None:
    candidates = (LOCALCONFIG, os.path.expanduser(os.path.join("~", GLOBALCONFIG)))
    return next((path for path in candidates if os.path.isfile(path)), None)


def _from_default_file() -> dict[str, Any]:
    path = _default_file()
    return {} if path is None else _read_file(path)


def _environment() -> dict[str, Any]:
    given = ((setting, os.environ.get(setting.env)) for setting in SETTINGS.values() if setting.env)
    return {
        setting.name: _accepted(setting.name, text, f" from {setting.env}", is_text=True)
        for setting, text in given
        if text or (text is not None and setting.kind.blank)
    }


def origins() -> dict[str, str]:
    """Tell which file or environment variable sets what, for a program that starts now."""
    variables = {name: str(SETTINGS[name].env) for name in _environment()}
    return dict.fromkeys(_from_default_file(), str(_default_file())) | variables


def _write_file(path: str, text: str) -> None:
    """Write a file that only its owner can read, in full or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".dj-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


# --- the configuration ------------------------------------------------------------------------


class _NotSet(KeyError):
    """A KeyError that tells more, working it out only if somebody looks."""

    def __str__(self) -> str:
        key = self.args[0]
        if key in SETTINGS:
            return f"Setting {key!r} is not set ({SETTINGS[key].doc})"
        guess = _near_miss(key) or next((n for n in SETTINGS if n.endswith(f".{key}")), None)
        return f"There is no setting {key!r}." + (f" Did you mean {guess!r}?" if guess else "")


class _Attributes(MutableMapping[str, Any]):
    """A mapping with dotted keys that also reads and writes as attributes."""

    _sections: ClassVar[frozenset[str]] = frozenset()
    _prefix = ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._sections:
            try:
                return self[name]
            except KeyError as error:
                if not any(key.startswith(f"{name}.") for key in self):
                    raise AttributeError(str(error)) from None
        return Section(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        elif name in self._sections:
            raise DataJointError(f"{name!r} is a section; set a setting in it: {name}.<name> = …")
        elif hasattr(type(self), name):
            raise DataJointError(
                f"{name!r} is a method; a setting of that name is config[{name!r}]"
            )
        else:
            self[name] = value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(key.partition(".")[0] for key in self)})

    def __repr__(self) -> str:
        return pformat(
            {key: masked(self._prefix + key, value) for key, value in self.items()},
            sort_dicts=False,
        )


class Section(_Attributes):
    """A view of the settings whose names start alike, as in ``config.database``."""

    def __init__(self, settings: _Attributes, name: str) -> None:
        self._settings = settings
        self._prefix = f"{name}."

    def __getitem__(self, key: str) -> Any:
        return self._settings[self._prefix + key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._settings[self._prefix + key] = value

    def __delitem__(self, key: str) -> None:
        del self._settings[self._prefix + key]

    def __iter__(self) -> Iterator[str]:
        size = len(self._prefix)
        return (key[size:] for key in self._settings if key.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Config(_Attributes):
    """The settings of DataJoint (user manual, chapter 3), as a mapping and as attributes.

    ``config['database.host']`` and ``config.database.host`` are the same. Known settings
    (:data:`SETTINGS`) are checked when they are set; any other key is the user's own and kept as
    it is.

    The first access loads the defaults, then ``dj_local_conf.json`` in the working directory or
    else ``.datajoint_config.json`` in the home directory, then the environment variables.

    Examples
    --------
    >>> config = Config()
    >>> with config(safemode=False, display__limit=5):
    ...     config['display.limit']
    5
    >>> config.display.limit
    12
    """

    _sections = _SECTIONS - {""}

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # The settings, then a layer per open `with` block. Layers come and go in any order, so
        # that blocks of different threads may overlap and leave nothing behind.
        self._layers: tuple[dict[str, Any], ...] = ()

    def _loaded(self) -> tuple[dict[str, Any], ...]:
        """Return the layers, loading the first one if there is none."""
        if layers := self._layers:
            return layers
        with self._lock:
            if not self._layers:
                defaults = {name: setting.default for name, setting in SETTINGS.items()}
                found = _from_default_file() | _environment()
                self._layers = (defaults | found,)
                self._note(found)
            return self._layers

    def _put(self, values: Mapping[str, Any]) -> None:
        """Set accepted values, all at once."""
        self._loaded()[-1].update(values)
        self._note(values)

    def _note(self, changed: Mapping[str, Any]) -> None:
        """Do what follows from settings having been set."""
        for key in changed:
            if key not in SETTINGS and (guess := _near_miss(key)):
                logger.warning("Unknown setting %r has no effect. Did you mean %r?", key, guess)
        self._set_loglevel(changed)

    def _set_loglevel(self, changed: Mapping[str, Any]) -> None:
        if "loglevel" in changed:
            logger.setLevel(self.get("loglevel", SETTINGS["loglevel"].default))

    def _merged(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for layer in self._loaded():
            merged |= layer
        return {key: value for key, value in merged.items() if value is not _ABSENT}

    def __getitem__(self, key: str) -> Any:
        """Return a setting; KeyError, with a suggestion, if it is not set."""
        for layer in reversed(self._loaded()):
            if key in layer:
                if (value := layer[key]) is _ABSENT:
                    break
                return value
        raise _NotSet(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """Set a setting; DataJointError if the value is of a wrong type."""
        self._put({key: _accepted(key, value, "")})

    def __delitem__(self, key: str) -> None:
        """Remove a setting altogether, its default too."""
        if key not in self:
            raise _NotSet(key)
        self._loaded()[-1][key] = _ABSENT

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all that is set."""
        return iter(self._merged())

    def __len__(self) -> int:
        """Count what is set."""
        return len(self._merged())

    @contextmanager
    def __call__(self, **values: Any) -> Iterator[Config]:
        """Change settings for the time of a ``with`` block.

        Whatever is set or deleted inside the block is undone at its end, also after an
        exception. Values are not copied: a change *inside* a dict such as ``config['stores']``
        stays. The block holds for the whole process, not for one thread.

        Parameters
        ----------
        **values
            New values, with two underscores for each dot: ``database__host='x'``.

        Yields
        ------
        Config
            This object.

        Raises
        ------
        DataJointError
            If a value is of a wrong type; nothing has changed then.
        """
        named = {key.replace("__", "."): value for key, value in values.items()}
        accepted = {key: _accepted(key, value, "") for key, value in named.items()}
        layer = dict(accepted)
        with self._lock:
            self._layers = (*self._loaded(), layer)
        try:
            self._note(accepted)
            yield self
        finally:
            with self._lock:
                self._layers = tuple(other for other in self._layers if other is not layer)
            self._set_loglevel(layer)

    def load(self, filename: str | os.PathLike[str]) -> None:
        """Set what a configuration file sets; all of it or, if anything is wrong, nothing.

        Parameters
        ----------
        filename : str or os.PathLike
            A JSON object with dotted keys. It goes before the environment variables, being asked
            for.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DataJointError
            If it is not a JSON object or a value is of a wrong type.
        """
        self._put(_read_file(filename))

    def save(
        self, filename: str | os.PathLike[str], verbose: bool = False, secrets: bool = False
    ) -> None:
        """Save all current settings in a file only its owner can read.

        Passwords and other secrets, also those of stores and in URLs, are left out, and a line of
        the log says so.

        Parameters
        ----------
        filename : str or os.PathLike
            The file; replaced if it exists.
        verbose : bool
            Whether to log where the settings went.
        secrets : bool
            Whether to save the secrets too.

        Raises
        ------
        DataJointError
            If a value (of a setting of the user's own) has no JSON form.
        """
        path = os.path.realpath(os.path.expanduser(filename))
        settings = self._merged()
        for key, value in settings.items():
            try:
                json.dumps(value, default=os.fspath)
            except (TypeError, ValueError) as error:
                raise DataJointError(
                    f"Setting {key!r} cannot be saved as JSON: {error}. Remove or convert it."
                ) from error
        left_out: list[str] = []
        if not secrets:
            public = {key: without_secrets(value, key, key) for key, value in settings.items()}
            settings = {key: part for key, (part, _) in public.items() if part is not OMITTED}
            left_out = [name for _, missing in public.values() for name in missing]
        _write_file(path, json.dumps(settings, indent=4, default=os.fspath) + "\n")
        if verbose:
            announce(f"Saved settings in {path}", self["loglevel"])
        if left_out:
            announce(
                f"Not saved in {path}, being secret: {', '.join(left_out)}. A missing password is "
                "asked for, or taken from DJ_PASS; secrets=True saves all.",
                self["loglevel"],
            )

    def save_local(self, verbose: bool = False, secrets: bool = False) -> None:
        """Save all current settings for programs started in this directory; see :meth:`save`."""
        self.save(LOCALCONFIG, verbose, secrets)

    def save_global(self, verbose: bool = False, secrets: bool = False) -> None:
        """Save all current settings for all programs of this user; see :meth:`save`."""
        self.save(os.path.join("~", GLOBALCONFIG), verbose, secrets)

    def reset(self) -> None:
        """Forget everything; the next access loads again."""
        with self._lock:
            self._layers = ()


config = Config()
