"""Small helpers without a better home."""

from __future__ import annotations

import builtins
import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

from .errors import DataJointError

_Item = TypeVar("_Item")

CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
_TABLE_NAME = re.compile(r"`(?P<schema>[^`]+)`\.`(?P<table>[^`]+)`")


@lru_cache
def from_camel_case(name: str) -> str:
    """Convert a class name to the name of its table, without the prefix of the tier.

    Parameters
    ----------
    name : str
        A class name: a capital letter, then letters and digits (manual 5.2.3).

    Returns
    -------
    str
        Every capital letter in lower case with ``_`` before it: ``TwoPhotonScan2P`` becomes
        ``two_photon_scan2_p``.

    Raises
    ------
    DataJointError
        When the name is not such a class name.
    """
    fault = class_name_fault(name)
    if fault:
        raise DataJointError(f"The class `{name}` cannot be a table: {fault}")
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def class_name_fault(name: str) -> str:
    """Say why a text cannot be the name of the class of a table (manual 5.2.3); "" if it can."""
    if CLASS_NAME.fullmatch(name):
        return ""
    strange = re.sub(r"[a-zA-Z0-9]", "", name)[:1]
    better = to_camel_case(name)
    write = f"; write `{better}`" if CLASS_NAME.fullmatch(better) else ""
    if strange == "_":
        return f"its name has an underscore{write}"
    if strange:
        return f"its name can have only letters from a to z and digits, not {strange!r}{write}"
    return f"its name must begin with a capital letter{write}"


def to_camel_case(name: str) -> str:
    """Convert the name of a table to the name of its class.

    Parameters
    ----------
    name : str
        Such as ``__filtered_image`` or ``#parameter``.

    Returns
    -------
    str
        Such as ``FilteredImage`` or ``Parameter``.
    """
    return re.sub(r"(?:^[_\W]*|[_\W]+)([a-zA-Z])", lambda match: match.group(1).upper(), name)


def split_full_table_name(full_table_name: str) -> tuple[str, str]:
    """Split `` `schema`.`table` `` into its two names.

    Raises
    ------
    DataJointError
        When the text has another form.
    """
    match = _TABLE_NAME.fullmatch(full_table_name)
    if match is None:
        raise DataJointError(
            f"{full_table_name!r} does not name a table; expected the form `schema`.`table`"
        )
    return match["schema"], match["table"]


def get_master(full_table_name: str) -> str:
    """Name the master of a part table.

    Parameters
    ----------
    full_table_name : str
        `` `schema`.`master__part` ``

    Returns
    -------
    str
        `` `schema`.`master` ``, or an empty string when the table is no part.
    """
    match = re.fullmatch(
        r"(?P<master>`[^`]+`\.`(?:#|__|_)?[a-z][a-z0-9]*(?:_[a-z0-9]+)*)__[a-z][a-z0-9_]*`",
        full_table_name,
    )
    return f"{match['master']}`" if match else ""


def is_interactive() -> bool:
    """Tell whether there is somebody to ask: a terminal, or a notebook."""
    return sys.stdin.isatty() or hasattr(builtins, "get_ipython")


def user_choice(
    prompt: str, choices: Iterable[str] = ("yes", "no"), default: str | None = None
) -> str:
    """Ask the user until one of the choices is typed.

    Parameters
    ----------
    prompt : str
        The question.
    choices : iterable of str
        The answers that are accepted, in any case.
    default : str, optional
        The answer to an empty line.

    Returns
    -------
    str
        One of the choices; ``default`` (or the last choice) when there is no terminal to ask at.
    """
    choices = tuple(choices)
    labels = ", ".join(c.title() if c == default else c for c in choices)
    while True:
        try:
            answer = input(f"{prompt} [{labels}]: ").strip().lower() or default
        except EOFError:
            return default if default is not None else choices[-1]
        if answer in choices:
            return answer


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known names, or nothing.

    Returns
    -------
    str
        Such as ``"; did you mean `subject_id`?"``, or an empty string.
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Divide items into lists of so many, of which the last may have fewer."""
    rest = iter(items)
    return iter(lambda: list(islice(rest, size)), [])


def is_running(process: int) -> bool:
    """Tell whether a process of this computer is, or may be, running; a zombie is not."""
    if os.name != "posix":  # there, the question would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # it is somebody else's; or the number is none
        return True
    with suppress(OSError):
        # The name of the program, in parentheses, may contain anything.
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:1]
        return state != ["Z"]
    return True
