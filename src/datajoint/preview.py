"""Previews of query results: as text for terminals, as HTML for notebooks.

Manual 8.1: primary keys are marked, blobs appear as ``=BLOB=``, and the total is counted.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterable
from typing import Any

from .condition import Top
from .fetch import Query, fetch_rows
from .heading import Attribute
from .settings import config
from .types import Adapted

_BLOB = "=BLOB="

_STYLE = """
<style>
.datajoint {border-collapse: collapse; font-size: 90%; font-family: sans-serif; color: inherit}
.datajoint th, .datajoint td {border: 1px solid #aaa8; padding: .3em .6em; text-align: left}
.datajoint th {background: #8882; font-weight: normal}
.datajoint th.key {font-weight: bold; text-decoration: underline}
.datajoint td.key {font-weight: bold}
.datajoint tr:nth-child(even) td {background: #8881}
</style>
"""


def _sample(query: Query, limit: int) -> tuple[list[str], list[list[Any]], bool]:
    """Fetch names of attributes, the first entities, and whether more exist.

    Blobs and files are not fetched, nor what only an adapter that is not known can read.
    """
    attributes = query.heading.attributes
    veiled = {name: veil for name, attribute in attributes.items() if (veil := _veil(attribute))}
    shown = [name for name in attributes if name not in veiled]
    rows = fetch_rows(query & Top(limit + 1, "KEY"), shown)
    values = [veiled | dict(zip(shown, row, strict=True)) for row in rows[:limit]]
    table = [[row[name] for name in attributes] for row in values]
    return list(attributes), table, len(rows) > limit


def _veil(attribute: Attribute) -> str:
    """Choose what stands for values that a preview does not show; "" for those that it shows."""
    type_ = attribute.attribute_type
    if isinstance(type_, Adapted) and type_.adapter is None:
        return f"={type_.text}="
    if type_ is None or not type_.is_opaque:
        return ""
    return _BLOB if type_.is_blob else f"={type_.text}="


def _text(value: Any) -> str:
    """Write a value on one line."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return " ".join(str(value).split())


def _cell(value: Any, width: int) -> str:
    """Write a value within the width; numbers and dates, which are short, are never cut."""
    text = _text(value)
    whole = isinstance(value, (int, float, dt.date, dt.timedelta)) or len(text) <= width
    return text if whole else text[: max(width - 1, 0)] + "…"


def preview(query: Query, limit: int | None, width: int | None) -> str:
    """Show the first entities of a query as text.

    Parameters
    ----------
    query : Query
    limit, width : int or None
        How many entities, and how wide a column is at the most; None takes the settings
        ``display.limit`` and ``display.width``.
    """
    limit = config["display.limit"] if limit is None else limit
    width = config["display.width"] if width is None else width
    names, rows, more = _sample(query, limit)
    key = set(query.heading.primary_key)
    titles = [f"*{name}" if name in key else name for name in names]
    columns = [
        [title, *(_cell(value, width) for value in column)]
        for title, column in zip(
            titles, zip(*rows, strict=True) if rows else [()] * len(titles), strict=True
        )
    ]
    widths = [max(map(len, column)) + 2 for column in columns]
    lines = [
        _line(titles, widths),
        _line(("+" + "-" * (size - 2) + "+" for size in widths), widths),
        *(_line((column[i + 1] for column in columns), widths) for i in range(len(rows))),
    ]
    if more:
        lines.append("   ...")
    if config["display.show_tuple_count"]:
        lines.append(f" (Total: {len(query) if more else len(rows)})")
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return " ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True)).rstrip()


def repr_html(query: Query) -> str:
    """Show the first entities of a query as an HTML table, for notebooks.

    The comments of the attributes appear when the pointer rests on their names.
    """
    heading = query.heading
    names, rows, more = _sample(query, config["display.limit"])
    marks = {name: ' class="key"' if heading[name].in_key else "" for name in names}
    head = "".join(
        f'<th{marks[name]} title="{html.escape(heading[name].comment)}">{html.escape(name)}</th>'
        for name in names
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{marks[name]}>{html.escape(_text(value))}</td>"
            for name, value in zip(names, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    title = f"<b>{html.escape(heading.comment)}</b>" if heading.comment else ""
    total = f"<p>Total: {len(query) if more else len(rows)}</p>"
    return (
        f'{_STYLE}{title}\n<div style="max-height: 1000px; overflow: auto">\n'
        f'<table class="datajoint">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n{'<p>…</p>' if more else ''}"
        f"{total if config['display.show_tuple_count'] else ''}</div>\n"
    )
