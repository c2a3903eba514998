"""PostgreSQL: what the errors of the server and its driver mean."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg

from ..errors import (
    AccessError,
    ConflictError,
    DataJointError,
    DuplicateError,
    IntegrityError,
    LostConnectionError,
    MissingAttributeError,
    MissingTableError,
    QueryError,
    QuerySyntaxError,
    UnknownAttributeError,
)

_Explanation = tuple[type[DataJointError], str]
_REFUSED: _Explanation = (
    AccessError,
    "The {server} refuses the user {user!r}: the password or the name is wrong",
)
_UNCLEAR: _Explanation = (LostConnectionError, "Cannot connect to the {server} as {user!r}")

#: What the text of a failure to connect says → its class, and an explanation of it. Servers that
#: speak other languages than English have the last resorts above.
_CONNECT_ERRORS: tuple[tuple[str, type[DataJointError], str], ...] = (
    (
        r"password authentication failed|no password supplied|authentication failed for user|"
        r"role \".*\" (does not exist|is not permitted)",
        *_REFUSED,
    ),
    (
        r"no encryption|SSL off",
        AccessError,
        "The {server} does not admit the user {user!r} from here without TLS: leave "
        "database.use_tls unset, or set it to True",
    ),
    (
        r"no pg_hba.conf entry|pg_hba.conf rejects",
        AccessError,
        "The {server} does not admit the user {user!r} to the database {database!r} from "
        "this machine",
    ),
    (
        r"database \".*\" does not exist",
        DataJointError,
        "The {server} has no database {database!r}: set database.name, or let the server's "
        "administrator create it",
    ),
    (
        r"permission denied for database",
        AccessError,
        "The {server} does not admit the user {user!r} to the database {database!r}",
    ),
    (
        r"does not support SSL",
        DataJointError,
        "TLS is required by database.use_tls, but the {server} does not offer it",
    ),
    (
        r"(certificate|key) file",
        DataJointError,
        "The certificates of database.use_tls cannot be used: see that the files are what they "
        "should be",
    ),
    (
        r"SSL error: unexpected eof|SSL SYSCALL error",
        LostConnectionError,
        "The connection to the {server} was lost while it was made",
    ),
    (
        r"certificate|SSL error",
        DataJointError,
        "TLS with the {server} fails with database.use_tls = {tls}",
    ),
    (
        r"too many clients|too many connections|remaining connection slots|connection limit",
        LostConnectionError,
        "The {server} has too many connections",
    ),
    (
        r"starting up|shutting down|recovery mode|not (yet )?accepting connections",
        LostConnectionError,
        "The {server} is not ready",
    ),
    (
        r"timeout expired|timed out",
        LostConnectionError,
        "The {server} does not answer: check database.host, and firewalls between here and there",
    ),
    (
        r"refused|resolve host|translate host name|No such file|No route|unreachable|"
        r"Connection reset|closed the connection",
        LostConnectionError,
        "There is no database {server}. Check database.host and database.port, and that it runs",
    ),
)


def connect_explanation(text: str, password: bool) -> tuple[type[DataJointError], str]:
    """Find what the text of a failure to connect means; a password may have been used."""
    found = (case[1:] for case in _CONNECT_ERRORS if re.search(case[0], text))
    return next(found, _REFUSED if password else _UNCLEAR)


_ERRORS: Mapping[str, type[DataJointError]] = {
    "23505": DuplicateError,
    "23503": IntegrityError,
    "23001": IntegrityError,
    "23502": MissingAttributeError,
    "25006": AccessError,
    "42501": AccessError,
    "42P01": MissingTableError,
    "42703": UnknownAttributeError,
    **dict.fromkeys(("42601", "42883", "42803", "42804", "42702", "42P18"), QuerySyntaxError),
    **dict.fromkeys(("40001", "40P01", "55P03"), ConflictError),
}
#: Codes, or the classes that they begin with → what the error is about.
_EXPLANATIONS: Mapping[str, str] = {
    "23505": "Duplicate entry for {table}",
    "23503": "A foreign key of {table} fails",
    "23502": "No value for attribute `{column}` of {table}, which has no default",
    "23514": "A value does not fit its attribute `{constraint}` of {table}",
    "22": "A value does not fit",
    "25006": "The database can only be read",
    "3F000": "There is no such schema",
    "40": "Others hold or changed rows that the statement needs",
    "55P03": "Others hold or changed rows that the statement needs",
    "57014": "The statement was cancelled",
    "53100": "The disk of the server is full",
    "54": "The statement is beyond the limits of the server",
}


def statement_error(code: str, error: psycopg.Error) -> DataJointError:
    """Make the error for a statement that the server refused."""
    diag = error.diag
    explanation = _EXPLANATIONS.get(code) or _EXPLANATIONS.get(code[:2], "")
    explanation = explanation.format(
        table=f"`{diag.schema_name}`.`{diag.table_name}`",
        column=diag.column_name,
        constraint=diag.constraint_name,
    )
    said = ": ".join(filter(None, (diag.message_primary, diag.message_detail, diag.message_hint)))
    text = ": ".join(filter(None, (explanation, said or str(error))))
    return _ERRORS.get(code, QueryError)(text)
