"""Places in the documents of json attributes, and the types of the values that are found there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ..errors import DataJointError
from ..grammar import parse_type
from ..types import AttributeType
from ..utils import did_you_mean

Steps = Sequence[str | int]

#: A number, as JSON has it, in the regular expressions of the servers.
NUMBER = "^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]{1,3})?$"
_DATE = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?"
MOMENT = f"^{_DATE}([T ]{_CLOCK})?$"
CLOCK = f"^{_CLOCK}$"

TEXT = parse_type("varchar(65535)")
NUMERIC = parse_type("double")
DOCUMENT = parse_type("json")

#: What a path may be converted to → how its type is called in a definition.
_TYPES = {
    "signed": "bigint",
    "unsigned": "bigint unsigned",
    "float": "double",
    "double": "double",
    "char": "varchar",
    **{name: name for name in ("decimal", "date", "time", "datetime", "year", "json")},
}


def value_type(text: str) -> AttributeType:
    """Tell the type of the value at a path.

    Parameters
    ----------
    text : str
        What follows the colon of the path, as ``unsigned`` or ``decimal(5,2)``; "" for a text.

    Raises
    ------
    DataJointError
        When a value cannot be converted to it; names the types that there are.
    """
    if text in ("", "char"):
        return TEXT
    name, arguments = re.fullmatch(r"([a-z]*)\s*(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if name not in _TYPES:
        raise DataJointError(
            f"a value of a document cannot be converted to `{text}`{did_you_mean(name, _TYPES)}"
            f" (the types are: {', '.join(_TYPES)})"
        )
    return parse_type(_TYPES[name] + arguments)


def path_text(steps: Steps) -> str:
    """Write a path as all databases read it; every key is between quotes."""
    parts = (
        f"[{step}]" if isinstance(step, int) else "." + json.dumps(step, ensure_ascii=False)
        for step in steps
    )
    return "$" + "".join(parts)
