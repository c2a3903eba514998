"""The backends by name, imported when they are first used."""

from __future__ import annotations

from importlib import import_module

from ..errors import DataJointError
from .base import Backend

#: Name in the configuration → module, class, driver, and what installs the driver.
_BACKENDS = {
    "sqlite": ("datajoint.backends.sqlite", "SQLiteBackend", "apsw", "pip install apsw"),
    "mysql": ("datajoint.backends.mysql", "MySQLBackend", "pymysql", "pip install PyMySQL"),
    "postgresql": (
        "datajoint.backends.postgresql",
        "PostgreSQLBackend",
        "psycopg",
        "pip install 'datajoint[postgresql]'",
    ),
}


def get_backend(name: str) -> type[Backend]:
    """Find a backend by the name that the configuration gives it.

    Raises
    ------
    DataJointError
        When there is no such backend, or its driver is not installed.
    """
    if name not in _BACKENDS:
        raise DataJointError(
            f"There is no backend for {name!r} databases in this version; there is: "
            f"{', '.join(_BACKENDS)}. Choose one with dj.config['database.backend'] or DJ_BACKEND"
        )
    module, class_, driver, installation = _BACKENDS[name]
    try:
        backend: type[Backend] = getattr(import_module(module), class_)
    except ModuleNotFoundError as error:
        if error.name != driver:
            raise
        raise DataJointError(
            f"The driver for {name} databases is not installed; run `{installation}`"
        ) from error
    return backend
