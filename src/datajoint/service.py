"""Tables that DataJoint keeps in a schema for itself: their names begin with ``~``.

Storage formats 3.1 and 3.2.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from .connection import Connection
from .declare import TableName, TableSpec, resolve
from .errors import ConflictError, DataJointError, LostConnectionError
from .grammar import parse_definition
from .insertion import RowEncoder
from .logging import logger
from .settings import config
from .sql.statements import insert_rows
from .version import __version__

LOG = "~log"
_LOG_DEFINITION = """# event logging table for `{schema}`
id : int unsigned auto_increment  # event order id
---
timestamp = CURRENT_TIMESTAMP : timestamp  # event timestamp
version : varchar(12)  # datajoint version
user : varchar(255)  # user@host
host = "" : varchar(255)  # system hostname
event = "" : varchar(255)  # event message
"""


def service_spec(name: TableName, definition: str) -> TableSpec:
    """Specify a service table, which refers to no other."""

    def no_parents(reference: object) -> TableSpec:
        raise DataJointError(f"{name} refers to {reference}")

    return resolve(parse_definition(definition.format(schema=name.schema)), name, no_parents)


def insert_row(
    connection: Connection, spec: TableSpec, row: Mapping[str, Any], mode: str = "insert"
) -> None:
    """Insert one row into a service table."""
    dialect, heading = connection.dialect, spec.heading
    columns, values = RowEncoder(spec, dialect, False, native_blobs=True).encode(row)
    table = dialect.table(spec.name.schema, spec.name.table)
    key, rest = heading.stored_key, heading.secondary_attributes
    connection.insert(insert_rows(dialect, table, columns, key, rest, mode), [values])


def client() -> str:
    """Name the computer that the program runs on."""
    return platform.node()


def log_event(connection: Connection, schema: str, event: str) -> None:
    """Note an event in the log of a schema, if that can be done and is not turned off.

    The log never stands in the way: whoever may not write it does without.
    """
    if not config["log_events"] or schema in connection.unlogged_schemas:
        return
    name = TableName(schema, LOG)
    try:
        if LOG not in connection.tables(schema):
            if connection.in_transaction:  # which creating a table would end, on MySQL
                return
            connection.create_table(service_spec(name, _LOG_DEFINITION))
        row = {
            "version": f"{__version__}py"[:12],
            "user": connection.get_user(),
            "host": client(),
            "event": event[:255],
        }
        insert_row(connection, connection.table(name), row)
    except (LostConnectionError, ConflictError):
        if connection.in_transaction:  # which is over
            raise
    except DataJointError as error:
        connection.unlogged_schemas.add(schema)
        logger.debug("Events of schema %s are not logged: %s", schema, error)
