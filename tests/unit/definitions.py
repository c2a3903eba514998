"""What the tests of definitions share."""

import re

import pytest

from datajoint.errors import DataJointError
from datajoint.grammar import parse_definition


def parsed_line(text, *, in_key=False):
    """Parse a definition of one line, in or below the primary key."""
    definition = parse_definition(text if in_key else f"---\n{text}")
    (item,) = definition.key if in_key else definition.secondary
    assert (definition.secondary if in_key else definition.key) == ()
    return item


def failure(text, parse=parse_definition):
    """Parse what is wrong: the number and the text of the line, what the caret is under, and why.

    What the caret is under is the rest of the line; "" where it stands behind the line.
    """
    with pytest.raises(DataJointError) as error:
        parse(text)
    match = re.fullmatch(
        r"Line (\d+) of the definition: (.*)\n    (.*)\n    ([ \t]*)\^", str(error.value), re.DOTALL
    )
    assert match is not None, str(error.value)
    number, message, line, blanks = match.groups()
    assert text.split("\n")[int(number) - 1].strip() == line
    assert len(blanks) <= len(line)
    assert re.sub(r"[^\t]", " ", line[: len(blanks)]) == blanks
    return int(number), line[len(blanks) :], message
