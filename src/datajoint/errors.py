"""The hierarchy of errors that the package raises.

Every error that a user meets is a :class:`DataJointError`. Driver errors are mapped by their
codes to these classes, once per backend, and are kept as ``__cause__``.
"""

from __future__ import annotations

from typing import Any, TypeVar

_Error = TypeVar("_Error", bound="DataJointError")


class DataJointError(Exception):
    """Base class of all errors of the package."""

    def suggest(self: _Error, *advice: Any) -> _Error:
        """Make the same error with advice appended to its arguments.

        Parameters
        ----------
        *advice
            What the user can do about the error.

        Returns
        -------
        DataJointError
            A new error of the same class.
        """
        return type(self)(*self.args, *advice)

    def __str__(self) -> str:
        return "\n".join(str(arg) for arg in self.args)


class LostConnectionError(DataJointError):
    """The connection was lost; the transaction in progress, if any, was rolled back."""


class QueryError(DataJointError):
    """The database refused a statement."""


class QuerySyntaxError(QueryError):
    """A condition or an expression written by the user is not valid SQL."""


class AccessError(QueryError):
    """The user lacks a privilege."""


class ConflictError(QueryError):
    """Others changed or held the same data meanwhile; the work can be repeated."""


class DuplicateError(QueryError):
    """An entity with the same primary or unique key exists."""


class IntegrityError(QueryError):
    """A foreign key refers to an entity that does not exist, or one that is still referred to."""


class UnknownAttributeError(QueryError, KeyError):
    """An attribute is not in the heading."""


class MissingAttributeError(QueryError):
    """An attribute without default was given no value."""


class ReservationLostError(DataJointError):
    """Another worker has taken over the key that is being made, or its reservation was removed."""


class MissingTableError(DataJointError):
    """The table is not declared in the database."""


class MissingExternalFile(DataJointError):
    """An object is missing from its store."""


class BucketInaccessible(DataJointError):
    """A bucket of an object store cannot be reached."""
