"""The command line: ``datajoint``, or ``dj`` for short."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import datajoint as dj
from datajoint import cli

from .test_existing_pipelines import create, declare_lab


@pytest.fixture
def lab(make_schema):
    schema = make_schema()
    declare_lab(schema)
    return schema.database


@pytest.fixture
def run(connection, monkeypatch):
    """Run a command in this process, on the connection of the test."""
    monkeypatch.setattr(dj.conn, "connection", connection)

    def run(*args: str, **options: object) -> Result:
        return CliRunner().invoke(cli.main, args, prog_name="dj", **options)

    return run


@pytest.fixture
def environment(target, tmp_path):
    """What a process needs to work with the database of the test."""
    options = target.options(tmp_path)
    names = {"password": "DJ_PASS"}
    settings = {names.get(k, f"DJ_{k.upper()}"): str(v) for k, v in options.items()}
    return {**os.environ, "PYTHONPATH": str(Path(dj.__file__).parents[1]), **settings}


def interact(environment, text, *args):
    """Type a text into the interactive Python of a new process."""
    return subprocess.run(
        [sys.executable, "-m", "datajoint.cli", *args],
        input=text,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


# -- commands -------------------------------------------------------------------------------------


def test_both_names():
    scripts = entry_points(group="console_scripts")
    assert {s.name for s in scripts if s.value == "datajoint.cli:main"} == {"datajoint", "dj"}


def test_schemas(run, lab, make_schema):
    make_schema("other")
    result = run("schemas")
    assert result.exit_code == 0
    assert [line for line in result.output.splitlines() if line.startswith(lab)] == [
        lab,
        f"{lab}_other",
    ]


def test_describe_a_table(run, lab):
    for name in ("Sorting.Spike", "__sorting__spike"):
        result = run("describe", f"{lab}.{name}")
        assert result.exit_code == 0
        assert result.output == "-> Sorting.Unit\nspike                : int\n---\n"


def test_describe_a_schema(run, lab, make_schema):
    create(make_schema(), "sub_2")
    result = run("describe", lab)
    assert result.exit_code == 0
    assert result.output.startswith(
        """\
Method (lookup)
    method               : varchar(8)
    ---

Subject (manual)
    # who it is about
    subject_id           : int
    ---
    born=null            : date

Recording (imported)
    -> Subject
    ---
    signal               : longblob

Sorting (computed)
    -> Recording
    -> Method
    ---

Sorting.Unit (part)
    -> Sorting
    unit                 : int
    ---

Sorting.Spike (part)
    -> Sorting.Unit
    spike                : int
    ---

sub_2 (no class)
"""
    )


def test_save(run, lab, make_schema):
    schema = make_schema()
    assert run("save", lab).output == schema.code
    assert run("save", lab, "--format", "stubs").output == schema.save(format="stubs")
    result = run("save", lab, "--output", "lab.py")
    assert (result.exit_code, result.output) == (0, "")
    assert Path("lab.py").read_text(encoding="utf-8") == schema.code


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("describe", "{lab}s"), "There is no schema `{lab}s`; did you mean `{lab}`?"),
        (
            ("describe", "qqq.Subject"),
            "There is no schema `qqq`; they are listed by: dj schemas",
        ),
        (("save", "qqq"), "There is no schema `qqq`; they are listed by: dj schemas"),
        (
            ("describe", "{lab}.Subjects"),
            "There is no table `Subjects` in the schema `{lab}`; did you mean `Subject`?",
        ),
        (
            ("save", "{lab}", "-o", "no/folder.py"),
            "Cannot write {folder}/no/folder.py: No such file or directory",
        ),
        (("-s", "qqq:lab"), "There is no schema `qqq`; they are listed by: dj schemas"),
    ],
)
def test_errors_are_one_message(run, lab, args, message):
    result = run(*(arg.format(lab=lab) for arg in args))
    assert result.exit_code == 1
    assert result.output == f"Error: {message.format(lab=lab, folder=Path.cwd())}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-s", "lab:2nd"), "A module cannot be called '2nd'"),
        (("-s", "lab:class"), "A module cannot be called 'class'"),
        (("-s", "lab:dj"), "A module cannot be called 'dj'"),
        (("-s", "my-lab"), "A module cannot be called 'my-lab': give --schemas as SCHEMA:ALIAS"),
        (("-s", "lab:mice", "ephys:mice"), "Two schemas have the same ALIAS."),
        (("-s", "lab:mice", "schemas"), "--schemas is for the interactive Python"),
        (("describes",), "No such command 'describes'."),
        (("save", "lab", "--format", "yaml"), "'yaml' is not one of 'python', 'stubs'."),
    ],
)
def test_wrong_use(args, message):
    result = CliRunner().invoke(cli.main, args)
    assert result.exit_code == 2
    assert message in result.output


def test_config(monkeypatch):
    Path("dj_local_conf.json").write_text(
        '{"database.password": "hush", "display.limit": 5, "mine": {"token": "hush", "n": 1}}'
    )
    monkeypatch.setenv("DJ_URL", "mysql://alice:hush@db.example.org")
    result = CliRunner().invoke(cli.main, ["config"])
    assert result.exit_code == 0
    assert "hush" not in result.output
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in result.output.splitlines()}
    assert list(lines) == [*dj.settings.SETTINGS, "mine"]
    assert lines["database.url"] == "'mysql://alice:***@db.example.org'    from DJ_URL"
    assert lines["database.password"] == "'***'    from dj_local_conf.json"
    assert lines["display.limit"] == "5    from dj_local_conf.json"
    assert lines["display.width"] == "14"
    assert lines["stores"] == "(not set)"
    assert lines["mine"] == "{'token': '***', 'n': 1}    from dj_local_conf.json"


def test_config_that_is_wrong():
    Path("dj_local_conf.json").write_text('{"display.limit": "many"}')
    result = CliRunner().invoke(cli.main, ["config"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: Setting 'display.limit' in ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["schemas"], ["describe"], ["save"], ["config"], ["demo"]])
def test_help(command):
    result = CliRunner().invoke(cli.main, [*command, "--help"], prog_name="dj")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: {' '.join(['dj', *command])}")
    assert "..." not in result.output.partition("Commands:")[2]  # nothing is cut off
    if command in ([], ["describe"], ["save"]):
        assert f"  Examples:\n    {' '.join(['dj', *command])}" in result.output


# -- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "repeated"),
    [
        ("-s a:b c:d", "-s a:b -s c:d"),
        ("-s a:b c:d e:f -u x", "-s a:b -s c:d -s e:f -u x"),
        ("--schemas a c:d -h x", "--schemas a -s c:d -h x"),
        ("-s a:b -s c:d", "-s a:b -s c:d"),
        ("-s a:b schemas c:d", "-s a:b schemas c:d"),
        ("-s a:b -u x:y", "-s a:b -u x:y"),
        ("-h db:3307 -s a:b", "-h db:3307 -s a:b"),
        ("-s", "-s"),
    ],
)
def test_several_schemas_after_one_option(given, repeated):
    assert cli._repeat_option(given.split()) == repeated.split()


@pytest.mark.parametrize("password", ["as an option", "at the prompt"])
def test_user_password_and_host(target, tmp_path, lab, monkeypatch, password):
    options = target.options(tmp_path)
    if "host" not in options:
        pytest.skip("a database without accounts")
    monkeypatch.setattr(dj.conn, "connection", None)
    secret = options["password"] or "any"
    asked = password == "at the prompt"
    args = ["-p"] if asked else ["-p", secret]
    args += ["-u", options["user"], "-h", f"{options['host']}:{options['port']}", "schemas"]
    wrong = {"database__user": "nobody", "database__host": "nowhere", "database__password": "no"}
    with dj.config(database__backend=options["backend"], **wrong):
        result = CliRunner().invoke(cli.main, args, input=f"{secret}\n" if asked else "")
    dj.conn.connection.close()
    assert result.exit_code == 0
    assert ("Password: " in result.output) == asked
    assert lab in result.output.splitlines()


def test_a_refused_login_is_one_message(target, tmp_path, connection, environment):
    if "host" not in target.options(tmp_path):
        pytest.skip("a database without accounts")
    done = interact(environment, "", "-u", "nobody", "-p", "wrong", "schemas")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


# -- interactive Python ---------------------------------------------------------------------------


def test_interactive_python(environment, lab, make_schema):
    declare_lab(make_schema("other"))
    done = interact(
        environment,
        "print(mice.Subject.fetch('subject_id'), other.schema.database)\n"
        "dj.VirtualModule.__name__\n"
        "@mice.schema\nclass New(dj.Manual): definition = 'a : int'\n\n",
        "-s",
        f"{lab}:mice",
        f"{lab}_other:other",
    )
    assert done.returncode == 0
    assert f"[1 2] {lab}_other\n" in done.stdout
    assert "'VirtualModule'\n" in done.stdout
    assert "create_tables=False" in done.stderr
    banner = (
        f"DataJoint {dj.__version__}, Python {sys.version.split()[0]}\n"
        "    dj: the package datajoint\n"
        f"    mice: schema `{lab}`\n"
        f"    other: schema `{lab}_other`\n"
    )
    assert banner in done.stderr


def test_interactive_python_without_options_touches_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(dj.__file__).parents[1])}
    done = interact(environment, "print(1 + 1)\nexit(3)\n")
    assert done.returncode == 3
    assert "2\n" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_schemas_without_configuration(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(dj.__file__).parents[1])}
    for command in (["schemas"], ["describe", "lab"], ["save", "lab"], ["-s", "lab"]):
        done = interact(environment, "", *command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"Error: There is no database yet: SQLite file {tmp_path / 'datajoint.db'} does not "
            "exist. It is created when a schema is; another database is chosen by the settings "
            "`database.host`, `database.url` or `database.path`\n"
        )
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", ["-u bob", "-p secret", "-u bob -p secret"])
def test_an_account_needs_a_server(options):
    result = CliRunner().invoke(cli.main, [*options.split(), "schemas"])
    assert result.exit_code == 2
    assert "--user and --password are for a database server, and none is" in result.output
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1:abc", "localhost:", "[::1]:x"])
def test_a_port_is_a_number(host):
    result = CliRunner().invoke(cli.main, ["-h", host, "-u", "bob", "-p", "secret", "schemas"])
    assert result.exit_code == 1
    assert result.output == (
        f"Error: The port of the database host {host} is no number: write NAME or NAME:PORT, such "
        "as db.example.org:3306\n"
    )
