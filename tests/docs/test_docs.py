"""The code blocks of README.md and docs/*.md run, and print what the pages say they print.

The ``python`` blocks of a page run in order, in one namespace, in an empty folder with a new
database. A ``text`` block right after one must equal what it prints; where it ends in an error,
the last line is the error as Python shows it. An error that no text shows is a failure. Questions
are answered with yes; the setting `safemode` is off unless a page turns it on.

A comment on the line before a block says more::

    <!-- run: postgresql -->        run it there only; the page runs once for each such database
    <!-- file: rig.json -->         write it into the folder instead of running it
    <!-- run: mysql; file: a.py --> both

With ``run``, ``sql`` blocks run too, as the administrator in the client program of the server, and
``sh`` blocks, in a shell whose programs log in as the administrator. A page gets a new private
server. It is ``db.example.org`` on the pages, in what they configure and in what they print;
``pc7.example.org`` is the computer of the user. Accounts are those that the page creates. Where a
program is not installed, the page is skipped from there on.

``DJ_DOCS_UPDATE=1 pytest tests/docs`` writes what was printed into the pages, to be read over.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import pytest

import datajoint as dj
from datajoint.backends.registry import get_backend
from datajoint.storage import registry
from datajoint.url import choose_backend, resolve
from servers import MariaDBServer, PostgreSQLServer, Server

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
UPDATE = "DJ_DOCS_UPDATE" in os.environ

BLOCK = re.compile(
    r"^(?:<!-- (?P<marks>(?:run|file): .*?) -->\n)?```(?P<language>python|sql|sh|json)\n"
    r"(?P<code>.*?)^```$(?:\n+```text\n(?P<text>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
SERVERS: dict[str, type[Server]] = {"mysql": MariaDBServer, "postgresql": PostgreSQLServer}
HOST, CLIENT = "db.example.org", "pc7.example.org"
SOCKETS = ("/run/mysqld/mysqld.sock", "/run/postgresql")
PORTS = {"mysql": 3306, "postgresql": 5432}
SHELL = ["sh", "-eu"]
SQL_SHELLS = {
    "mysql": ["mariadb", "--table"],
    "postgresql": ["psql", "-X", "--quiet", "--set=ON_ERROR_STOP=1"],
}


def _marks(block: re.Match[str]) -> dict[str, str]:
    return dict(mark.split(": ") for mark in (block["marks"] or "").split("; ") if mark)


def _pages() -> Iterator[Any]:
    """List the pages, each with every database that it names."""
    for page in PAGES:
        blocks = BLOCK.finditer(page.read_text(encoding="utf-8"))
        databases = sorted({marks["run"] for marks in map(_marks, blocks) if "run" in marks})
        for database in databases or [""]:
            name = f"{page.stem}-{database}" if database else page.stem
            yield pytest.param(page, database, id=name)


def _skip(database: str, reason: str) -> NoReturn:
    if database in os.environ.get("DJ_TEST_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(f"{database} is required by DJ_TEST_REQUIRE: {reason}", pytrace=False)
    pytest.skip(f"{database}: {reason}")


# -- where a page runs ------------------------------------------------------------------------


@pytest.fixture
def server(database: str) -> Iterator[Server | None]:
    """Start the server of the page, if it needs one."""
    if database not in SERVERS:
        yield None
        return
    new = SERVERS[database]()
    reason = new.unavailable()
    try:
        get_backend(database)
    except dj.DataJointError as error:
        reason = reason or str(error)
    if reason is not None:
        _skip(database, reason)
    new.start()
    yield new
    new.stop()


@pytest.fixture
def namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server | None
) -> Iterator[dict[str, Any]]:
    """Be a new program, in an empty folder, of a user who has configured nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for variable in [name for name in os.environ if name.startswith("DJ_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr("builtins.input", lambda question: print(f"{question}yes") or "yes")
    monkeypatch.setattr(registry, "_stores", {})  # those of other pages, in their folders
    opened: list[dj.Connection] = []
    connect = dj.Connection.connect
    monkeypatch.setattr(dj.Connection, "connect", lambda c: opened.append(c) or connect(c))
    if server is not None:
        _give_server(server, tmp_path, monkeypatch)
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    modules = set(sys.modules)
    dj.config.reset()
    dj.config["safemode"] = False
    dj.conn(reset=True, path="datajoint.db")
    yield vars(page)
    for connection in opened:
        connection.close()
    dj.conn.connection = None
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    dj.config.reset()


def _give_server(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server what the pages say: db.example.org, its sockets and its authority."""

    def resolve_here(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        resolved = resolve(settings, given)
        host = resolved["database.host"]
        backend = choose_backend(resolved)
        if backend != "sqlite" and (host == HOST or host in SOCKETS):
            assert backend == server.name
            resolved["database.host"] = server.host if host == HOST else server.socket
            resolved["database.port"] = server.port
        return resolved

    monkeypatch.setattr("datajoint.connection.resolve", resolve_here)
    if server.ca is not None:
        shutil.copy(server.ca, folder / "lab-ca.pem")


def _environment(server: Server | None, folder: Path) -> dict[str, str]:
    """Give the environment of shells, whose programs log in at the server."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
    path = [str(Path(sys.executable).parent), environment["PATH"]]
    if server is not None and server.name == "mysql":
        account = f"user={server.user}\npassword={server.password}"
        options = f"[client]\nhost={server.host}\nport={server.port}\n{account}\n"
        (folder / ".my.cnf").write_text(options)
    elif server is not None:
        environment |= {"PGHOST": server.host, "PGPORT": str(server.port)}
        environment |= {"PGUSER": server.user, "PGPASSWORD": server.password}
        path.insert(0, str(PostgreSQLServer._programs()[1].parent))  # of the server's version
    return environment | {"PATH": os.pathsep.join(path), "LC_ALL": "C"}


# -- blocks -----------------------------------------------------------------------------------


def _run_python(code: str, page: Path, line: int, shows_errors: bool, names: dict[str, Any]) -> str:
    compiled = compile("\n" * (line - 1) + code, str(page), "exec")  # tracebacks show the page
    with redirect_stdout(io.StringIO()) as output:
        try:
            exec(compiled, names)
        except Exception as error:
            if not shows_errors:
                raise
            print("".join(traceback.format_exception_only(error)))
    return output.getvalue()


def _run_program(
    command: list[str], code: str, where: str, database: str, server: Server | None
) -> str:
    environment = _environment(server, Path.cwd())
    if shutil.which(command[0], path=environment["PATH"]) is None:
        _skip(database, f"{where}: {command[0]} is not installed")
    done = subprocess.run(command, input=code, capture_output=True, text=True, env=environment)
    if done.returncode == 127:
        _skip(database, f"{where}: {done.stderr.strip()}")
    assert done.returncode == 0, f"{where}: {done.stderr}"
    return done.stdout


def _tidy(printed: str, server: Server | None) -> str:
    """Leave out trailing blanks, and name computers as the pages do."""
    if server is not None:
        printed = printed.replace(
            f"{server.host}:{server.port}", f"{HOST}:{PORTS[server.name]}"
        ).replace(server.host, CLIENT)
    return "\n".join(map(str.rstrip, printed.rstrip().splitlines()))


@pytest.mark.parametrize(("page", "database"), list(_pages()))
def test_code_blocks_print_what_the_page_says(
    page: Path, database: str, server: Server | None, namespace: dict[str, Any]
) -> None:
    source = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(source))
    found = sum(block["language"] == "python" for block in blocks)
    assert found == len(re.findall(r"^ *```\s*python", source, re.M)), "a malformed block"
    marked = sum(block["marks"] is not None for block in blocks)
    assert marked == len(re.findall(r"<!-- (?:run|file):", source)), "a comment before no block"
    updated, end = [], 0
    for block in blocks:
        line = source.count("\n", 0, block.start("code")) + 1
        where = f"{page.name}, block at line {line}"
        marks, expected = _marks(block), block["text"]
        if marks.get("run", database) != database:
            continue
        if "file" in marks:
            Path(marks["file"]).write_text(block["code"], encoding="utf-8")
            continue
        if block["language"] == "python":
            printed = _run_python(block["code"], page, line, expected is not None, namespace)
        elif "run" in marks:
            command = SHELL if block["language"] == "sh" else SQL_SHELLS[database]
            printed = _run_program(command, block["code"], where, database, server)
        else:
            continue
        printed = _tidy(printed, server)
        if expected is not None and UPDATE:
            updated += [source[end : block.start("text")], printed, "\n" * bool(printed)]
            end = block.end("text")
        elif expected is not None:
            assert printed == expected.rstrip("\n"), where
    if UPDATE:
        page.write_text("".join([*updated, source[end:]]), encoding="utf-8")
