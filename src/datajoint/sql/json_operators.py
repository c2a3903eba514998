"""``->``, ``->>`` and their functions in fragments: places in documents, as MySQL writes them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from ..errors import QuerySyntaxError
from .fragment import COMPARISONS


@dataclass(frozen=True)
class Operator:
    """A value that a fragment takes of a document.

    Attributes
    ----------
    document : sqlglot expression
    steps : tuple of (str or int)
    unquoted : bool
        Whether a string is the text that it is, and not JSON; so it is where it is compared.
    """

    document: exp.Expr
    steps: tuple[str | int, ...]
    unquoted: bool


def json_operator(node: exp.Expr) -> Operator:
    """Read ``->``, ``->>`` or ``json_extract``.

    Raises
    ------
    QuerySyntaxError
        When the path has more than keys and positions, or there are several paths.
    """
    path = node.args.get("expression")
    if not isinstance(path, exp.JSONPath) or node.args.get("expressions"):
        raise QuerySyntaxError(
            f"{node.sql('mysql')!r} needs one path between quotes, as in `document->>'$.key'`"
        )
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    unquoted = isinstance(node, exp.JSONExtractScalar) or isinstance(parent, COMPARISONS)
    return Operator(node.this, tuple(map(_step, path.expressions[1:])), unquoted)


def _step(part: exp.Expr) -> str | int:
    key = part.args.get("this")
    if isinstance(part, exp.JSONPathKey) and isinstance(key, str):
        return key
    if isinstance(part, exp.JSONPathSubscript) and isinstance(key, int) and key >= 0:
        return key
    raise QuerySyntaxError(
        "A path into a document can have keys and positions from 0 only, as in '$.key[0]'"
    )


def unquoted_operand(node: exp.Expr) -> exp.Expr | None:
    """Return ``document->>path`` for ``json_unquote(document->path)``; None for anything else."""
    (operand, *others) = node.expressions or [None]
    if node.name.lower() != "json_unquote" or others or not isinstance(operand, exp.JSONExtract):
        return None
    return exp.JSONExtractScalar(**operand.args)
