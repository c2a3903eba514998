"""Declaring the tables that track what a schema keeps in stores.

Storage formats 3.3.
"""

from __future__ import annotations

from .connection import Connection
from .declare import TableName, TableSpec, external_table
from .errors import DataJointError
from .service import service_spec
from .settings import config
from .types import External
from .utils import did_you_mean

_DEFINITION = """# external storage tracking
hash : uuid  #  hash of contents (blob), of filename + contents (attach), or relative filepath (filepath)
---
size : bigint unsigned  # size of object in bytes
attachment_name = null : varchar(255)  # the filename of an attachment
filepath = null : varchar(1000)  # relative filepath or attachment filename
contents_hash = null : uuid  # used for the filepath datatype
timestamp = CURRENT_TIMESTAMP : timestamp  # automatic timestamp
"""  # noqa: E501


def declare_stores(connection: Connection, spec: TableSpec) -> None:
    """Create the tracking tables that the attributes of a table refer to, unless they exist.

    Raises
    ------
    DataJointError
        When a store is not configured.
    """
    for attribute in spec.heading.all_attributes:
        type_ = attribute.stored_type
        if isinstance(type_, External):
            _declare_store(connection, spec.name, attribute.name, type_)


def _declare_store(
    connection: Connection, name: TableName, attribute: str, type_: External
) -> None:
    stores = config.get("stores") or {}
    if type_.store not in stores:
        known = ", ".join(f"`{store}`" for store in stores) or "none"
        raise DataJointError(
            f"{name}: the store of attribute `{attribute} : {type_}` is not configured"
            f"{did_you_mean(type_.store, stores) or '.'} Set dj.config['stores']['{type_.store}'] "
            f"(configured: {known})"
        )
    declare_tracker(connection, name.schema, type_.store)


def declare_tracker(connection: Connection, schema: str, store: str) -> None:
    """Create the tracking table of a store in a schema, unless it exists."""
    table = external_table(schema, store)
    if not connection.is_declared(table):
        connection.create_table(service_spec(table, _DEFINITION))
