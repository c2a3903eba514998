"""The statements of sixty and more expressions in every dialect, word for word."""

from __future__ import annotations

import pytest

from . import expressions


@pytest.mark.parametrize("dialect", expressions.DIALECTS)
def test_statements(dialect):
    """Run ``python tests/sql/expressions.py`` after a change, and read the difference."""
    kept = expressions.path(dialect).read_text(encoding="utf-8").split("\n\n")
    written = expressions.snapshot(dialect).split("\n\n")
    assert [statement.splitlines()[0] for statement in written] == expressions.EXPRESSIONS
    assert written == kept


def test_enough_expressions():
    assert len(set(expressions.EXPRESSIONS)) == len(expressions.EXPRESSIONS) >= 60


@pytest.mark.parametrize("dialect", expressions.DIALECTS)
def test_the_same_expression_gives_the_same_text(dialect):
    assert expressions.snapshot(dialect) == expressions.snapshot(dialect)


@pytest.mark.parametrize("dialect", expressions.DIALECTS)
def test_blobs_are_selected_only_where_they_are_fetched(dialect):
    fetched = [
        e for e in expressions.snapshot(dialect).split("\n\n") if "image" in e or "movie" in e
    ]
    assert [statement.splitlines()[0] for statement in fetched] == ["Subject.fetch()"]


@pytest.mark.parametrize("dialect", expressions.DIALECTS)
def test_distinct_is_never_needed(dialect):
    assert "DISTINCT" not in expressions.snapshot(dialect)
