"""The names of objects in stores: storage formats 3.4."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from uuid import UUID

from ..errors import DataJointError

#: What a writer that was killed may have left beside an object, in the endings of 0.14 and ours.
_TEMPORARY = re.compile(r".+\.(saving|copying|[0-9a-f]{8}\.part)")
_OBJECT = re.compile(r"(?P<hash>[0-9a-f]{32})(\.(?P<name>.+))?", re.DOTALL)


def fold(hash_: UUID, subfolding: Sequence[int]) -> list[str]:
    """Name the folders of an object: slices of its hash, as far as its digits go.

    >>> fold(UUID("0123456789abcdef0123456789abcdef"), (2, 3))
    ['01', '234']
    """
    ends = list(itertools.accumulate(subfolding))
    starts = [0, *ends]
    return [part for a, b in zip(starts, ends) if (part := hash_.hex[a:b])]


def object_path(
    schema: str, hash_: UUID, subfolding: Sequence[int], attachment: str | None = None
) -> str:
    """Name the object of a blob, or of an attached file, below the location of its store.

    Parameters
    ----------
    schema : str
    hash_ : UUID
    subfolding : sequence of int
        How many digits name each folder.
    attachment : str, optional
        The name of the attached file.
    """
    name = hash_.hex if attachment is None else f"{hash_.hex}.{attachment}"
    return "/".join([schema, *fold(hash_, subfolding), name])


def hash_of(path: str, schema: str, subfolding: Sequence[int]) -> UUID | None:
    """Read the hash from the name of an object; None where it is not one of a schema's.

    The opposite of :func:`object_path`: a file of somebody else that lies among the objects, or
    in other folders than those of its hash, is not taken for one.
    """
    match = _OBJECT.fullmatch(PurePosixPath(path).name)
    if match is None:
        return None
    hash_ = UUID(match["hash"])
    return hash_ if path == object_path(schema, hash_, subfolding, match["name"]) else None


def is_temporary(path: str) -> bool:
    """Tell whether an object was left by a writer that did not come to its end."""
    return _TEMPORARY.fullmatch(PurePosixPath(path).name) is not None


def check_path(path: str, store: str) -> str:
    """Return the path of an object, which must stay below the location of its store.

    Raises
    ------
    DataJointError
        When it is absolute, leads out of the location, or has an empty part.
    """
    if not path or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise DataJointError(
            f"Store `{store}`: {path!r} does not name an object; paths are relative to the "
            "location of the store, with slashes and without `..`"
        )
    return path


def key_prefix(location: str) -> str:
    r"""Turn the location of a store into what the keys of its objects in a bucket begin with.

    >>> key_prefix("C:\\data\\x"), key_prefix("/abc/d"), key_prefix("")
    ('data/x', 'abc/d', '')
    """
    path = location.replace("\\", "/")
    return re.sub(r"^(\w+:)?/*", "", path).rstrip("/")
