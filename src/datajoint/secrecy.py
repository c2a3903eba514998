"""What is secret in the configuration, and how to show and save the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .url import drop_password, without_password

#: Stands for a value of which nothing is left.
OMITTED: Any = object()

_SECRET_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|(api|private|account)[-_ ]?key|"
    r"connection[-_ ]?string|auth(?!or(?!i[sz]))",
    re.IGNORECASE,
)
_PARTLY_SECRET_NAME = re.compile(r"access_key", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Tell whether what is called so is secret."""
    return _SECRET_NAME.search(name) is not None


def masked(name: str, value: Any) -> Any:
    """Copy a value with what is secret in it replaced, at any depth, judging by the names."""
    if isinstance(value, Mapping):
        return {key: masked(_under(name, key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(name, item) for item in value]
    if value is None:
        return None
    if is_secret(name):
        return "***"
    if not isinstance(value, str):
        return value
    if _PARTLY_SECRET_NAME.search(name):
        return f"{value[:4]}***" if len(value) > 8 else "***"
    return without_password(value)


def secret_texts(value: Any, name: str = "") -> list[str]:
    """List the texts in a value that are secret, at any depth, judging by the names."""
    if isinstance(value, Mapping):
        return [
            text for key, item in value.items() for text in secret_texts(item, _under(name, key))
        ]
    if isinstance(value, list | tuple):
        return [text for item in value for text in secret_texts(item, name)]
    return [value] if isinstance(value, str) and value and is_secret(name) else []


def without_secrets(value: Any, name: str, path: str) -> tuple[Any, list[str]]:
    """Copy a value without what is secret in it, at any depth, judging by the names.

    Parameters
    ----------
    value : Any
    name : str
        What the value is called.
    path : str
        The same with all that it is in, such as ``stores.raw.secret_key``.

    Returns
    -------
    public : Any
        ``OMITTED`` if all of it is secret.
    left_out : list of str
        The paths of what it lacks.
    """
    if is_secret(name) and isinstance(value, str | Mapping | list | tuple) and value:
        return OMITTED, [path]
    left_out: list[str] = []
    if isinstance(value, Mapping):
        parts = {}
        for key, item in value.items():
            public, missing = without_secrets(item, str(key), f"{path}.{key}")
            left_out += missing
            if public is not OMITTED:
                parts[key] = public
        return parts, left_out
    if isinstance(value, list | tuple):
        items = []
        for item in value:
            public, missing = without_secrets(item, name, path)
            left_out += missing
            items.append(public)
        return items, left_out
    if isinstance(value, str) and (url := drop_password(value)) != value:
        return url, [path]
    return value, left_out


def _under(name: str, key: Any) -> str:
    """Name what stands in a dict: all that is in a secret is secret."""
    return name if is_secret(name) else str(key)
