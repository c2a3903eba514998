"""The stores by name, as ``dj.config['stores']`` describes them. Manual 2.5.2."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import DataJointError
from ..settings import config
from ..utils import did_you_mean
from .base import Store, StoreSettings

_COMMON = ("protocol", "location", "subfolding", "stage")
_S3 = ("endpoint", "bucket", "access_key", "secret_key", "secure", "proxy_server", "region")
#: Protocol → what must be there, and what may.
_KEYS = {
    "file": (("location",), _COMMON),
    "s3": (("endpoint", "bucket", "location"), (*_COMMON, *_S3)),
}
#: What the endpoints of AWS are called, but for the one of the first region.
_AWS_REGION = re.compile(r"\bs3[.-](?:dualstack\.)?([a-z0-9-]+)\.amazonaws\.com")
_ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(:(?P<port>[0-9]{1,5}))?")
#: Where credentials come from that the entry does not have.
_CREDENTIALS = {
    "access_key": "external.aws_access_key_id",
    "secret_key": "external.aws_secret_access_key",
}
#: The stores that are open, each with what it was asked for by.
_stores: dict[str, tuple[Any, Store]] = {}


def get_store(name: str) -> Store:
    """Open a store by its name in ``dj.config['stores']``, checked when it is first used.

    Raises
    ------
    BucketInaccessible
        When its bucket does not exist, or denies access.
    DataJointError
        When it is not configured, or wrongly, or cannot be reached.

    Notes
    -----
    Manual 2.5.2.
    """
    asked = (_entry(name), _working_folder())
    given, store = _stores.get(name, (None, None))
    if store is not None and given == asked:  # for each object that is read
        return store
    settings = store_settings(name, asked[0])
    if store is None or store.settings != settings:
        store = _open(settings)
        store.check()
    _stores[name] = (_copied(asked), store)
    return store


def _copied(value: Any) -> Any:
    """Copy what may be changed in its place: not credentials, which are objects of any kind."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (list, tuple) else value


def _working_folder() -> str:
    """Name the folder that relative paths begin in; "" where it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _entry(name: str) -> Any:
    """Find the entry of a store, with the credentials that it leaves to other settings."""
    stores = config.get("stores") or {}
    if name not in stores:
        known = ", ".join(f"`{store}`" for store in stores) or "none"
        raise DataJointError(
            f"Storage {name} is requested but not configured{did_you_mean(name, stores) or '.'} "
            f'Set dj.config["stores"]["{name}"] (configured: {known})'
        )
    entry = stores[name]
    if not isinstance(entry, Mapping) or entry.get("protocol") != "s3":
        return entry
    if any(key in entry for key in _CREDENTIALS):
        return entry
    found = {key: config.get(setting) for key, setting in _CREDENTIALS.items()}
    return {**entry, **{key: text for key, text in found.items() if text is not None}}


# -- checks -----------------------------------------------------------------------------------


def store_settings(name: str, entry: Any) -> StoreSettings:
    """Check the entry of a store.

    Parameters
    ----------
    name : str
    entry : Any
        What ``dj.config['stores'][name]`` has.

    Returns
    -------
    StoreSettings

    Raises
    ------
    DataJointError
        When a key is missing, unknown, or has a value of a wrong type; names store and key, and
        shows no value that may be secret.

    Notes
    -----
    Storage formats 7.
    """
    where = f'dj.config["stores"]["{name}"]'
    if not isinstance(entry, Mapping):
        raise DataJointError(f"{where} must be a dict, not a value of {type(entry).__name__}")
    protocol = entry.get("protocol")
    if not isinstance(protocol, str) or not protocol:
        raise DataJointError(
            f"Missing or invalid protocol in {where}: set it to `file`, `s3`, or a protocol of "
            "fsspec such as `gcs`"
        )
    required, allowed = _KEYS.get(protocol, (("location",), None))
    for key in entry:
        if allowed is not None and key not in allowed:
            raise DataJointError(
                f'Invalid key "{key}" in {where}{did_you_mean(str(key), allowed)} '
                f"(protocol {protocol} has: {', '.join(allowed)})"
            )
    for key in required:
        if key not in entry:
            raise DataJointError(f'{where} is missing "{key}"')
    common = {key: _checked(where, key, entry[key]) for key in _COMMON if key in entry}
    options = {key: value for key, value in entry.items() if key not in _COMMON}
    if protocol == "s3":
        options = _s3_options(where, options)
    if protocol == "file":
        common["location"] = str(_folder(common["location"]))
    return StoreSettings(name=name, options=MappingProxyType(options), **common)


def _s3_options(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: _checked(where, key, value) for key, value in given.items()}
    for key, other in (("access_key", "secret_key"), ("secret_key", "access_key")):
        if key in options and other not in options:
            raise DataJointError(f'{where} is missing "{other}", which goes with "{key}"')
    named = _AWS_REGION.search(options["endpoint"])
    return {"region": named[1] if named else "us-east-1", "secure": False, **options}


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _location(value: Any) -> str:
    if not isinstance(value, str | Path):
        raise TypeError
    return str(value)


def _flag(value: Any) -> bool:
    if value not in (True, False):
        raise TypeError
    return bool(value)


def _endpoint(value: Any) -> str:
    if (match := _ENDPOINT.fullmatch(_text(value))) is None or int(match["port"] or 0) > 65535:
        raise TypeError
    return str(value)


def _subfolding(value: Any) -> tuple[int, ...]:
    if isinstance(value, str) or any(type(digits) is not int or digits < 1 for digits in value):
        raise TypeError
    return tuple(value)


def _folder(value: Any) -> Path | None:
    return None if value is None else Path(_location(value)).expanduser().absolute()


#: Key → its check, and what it expects.
_CHECKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "protocol": (_text, "a string"),
    "location": (_location, "a string"),
    "subfolding": (_subfolding, "a list of whole numbers, 1 or more"),
    "stage": (_folder, "the path of a folder"),
    "endpoint": (_endpoint, "HOST or HOST:PORT, without https:// (for which there is secure=True)"),
    "bucket": (_text, "a string"),
    "access_key": (_text, "a string"),
    "secret_key": (_text, "a string"),
    "secure": (_flag, "True or False"),
    "proxy_server": (_text, "a string such as HOST:PORT"),
    "region": (_text, "a string"),
}


def _checked(where: str, key: str, value: Any) -> Any:
    check, expected = _CHECKS[key]
    try:
        return check(value)
    except (TypeError, ValueError):
        raise DataJointError(
            f'"{key}" in {where} must be {expected}; its value is of type {type(value).__name__}'
        ) from None


# -- the classes ------------------------------------------------------------------------------

#: Protocol → module, class, package that it needs, and what installs that.
_CLASSES = {
    "file": ("datajoint.storage.local", "LocalStore"),
    "s3": ("datajoint.storage.s3", "S3Store"),
}


def _open(settings: StoreSettings) -> Store:
    module, class_ = _CLASSES.get(settings.protocol, ("datajoint.storage.remote", "RemoteStore"))
    store: Callable[[StoreSettings], Store] = getattr(import_module(module), class_)
    try:
        return store(settings)
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise DataJointError(
            f"Stores of protocol s3, such as `{settings.name}`, need the package obstore; "
            "run `pip install 'datajoint[s3]'`"
        ) from error
