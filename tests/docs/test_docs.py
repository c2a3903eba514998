"""The code blocks of README.md and docs/*.md run, and print what the pages say they print.

The ``python`` blocks of a page run in order, in one namespace, in an empty folder with a new
database. A ``text`` block right after one must equal what it prints; where it ends in an error,
the last line is the error as Python shows it. An error that no text shows is a failure. Questions
are answered with yes; the setting `safemode` is off unless a page turns it on.

``DJ_DOCS_UPDATE=1 pytest tests/docs`` writes what was printed into the pages, to be read over.
"""

import io
import os
import re
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import datajoint as dj

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
UPDATE = "DJ_DOCS_UPDATE" in os.environ

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n+```text\n(?P<text>.*?)^```$)?", re.MULTILINE | re.DOTALL
)


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Be a new program, in an empty folder, of a user who has configured nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for variable in [name for name in os.environ if name.startswith("DJ_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr("builtins.input", lambda question: print(f"{question}yes") or "yes")
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    dj.config.reset()
    dj.config["safemode"] = False
    dj.conn(reset=True, path="datajoint.db")
    yield vars(page)
    if dj.conn.connection is not None:
        dj.conn.connection.close()
        dj.conn.connection = None
    dj.config.reset()


def run(code: str, page: Path, line: int, shows_errors: bool, namespace: dict[str, Any]) -> str:
    """Run a block and return what it prints, trailing blanks left out."""
    compiled = compile("\n" * (line - 1) + code, str(page), "exec")  # tracebacks show the page
    with redirect_stdout(io.StringIO()) as output:
        try:
            exec(compiled, namespace)
        except Exception as error:
            if not shows_errors:
                raise
            print("".join(traceback.format_exception_only(error)))
    return "\n".join(map(str.rstrip, output.getvalue().rstrip().splitlines()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_blocks_print_what_the_page_says(page: Path, namespace: dict[str, Any]) -> None:
    source = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(source))
    assert len(blocks) == len(re.findall(r"^ *```\s*python", source, re.M)), "a malformed block"
    updated, end = [], 0
    for block in blocks:
        line = source.count("\n", 0, block.start("code")) + 1
        expected = block["text"]
        printed = run(block["code"], page, line, expected is not None, namespace)
        if expected is not None and UPDATE:
            updated += [source[end : block.start("text")], printed, "\n" * bool(printed)]
            end = block.end("text")
        elif expected is not None:
            assert printed == expected.rstrip("\n"), f"{page.name}, block at line {line}"
    if UPDATE:
        page.write_text("".join([*updated, source[end:]]), encoding="utf-8")
