"""The command line: ``datajoint``, or ``dj`` for short."""

from __future__ import annotations

import code
import keyword
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from importlib import import_module
from textwrap import indent
from typing import Any

import click

import datajoint

from . import demo as demonstration
from .backends.registry import get_backend
from .classes import name_classes
from .cli_populate import COMMANDS
from .cli_shared import Connect, open_module
from .connection import Connection, conn
from .errors import DataJointError
from .schemas import VirtualModule
from .settings import SETTINGS, choose_backend, config, masked, origins
from .table import FreeTable
from .user_tables import tier_of
from .utils import did_you_mean
from .version import __version__

_SCHEMAS = ("-s", "--schemas")


class _Group(click.Group):
    """Commands whose errors are a message for the user and not a traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _repeat_option(args))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DataJointError as error:
            raise click.ClickException(str(error)) from error


def _repeat_option(args: Iterable[str]) -> list[str]:
    """Give each of several schemas after one option an option of its own."""
    repeated: list[str] = []
    within = False
    for argument in args:
        if argument in _SCHEMAS:
            within = True
        elif not (repeated and repeated[-1] in _SCHEMAS):
            within = within and ":" in argument and not argument.startswith("-")
            repeated += ["-s"] if within else []
        repeated.append(argument)
    return repeated


@click.group(
    cls=_Group,
    name="datajoint",
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
)
@click.option("-u", "--user", help="User at the database server.")
@click.option(
    "-p",
    "--password",
    prompt=True,
    prompt_required=False,
    hide_input=True,
    help="Password at the database server. Asked for if nothing, or an option, comes after -p.",
)
@click.option("-h", "--host", help="Database server, as NAME or NAME:PORT.")
@click.option(
    *_SCHEMAS,
    multiple=True,
    metavar="SCHEMA:ALIAS ...",
    help="Schemas to open in the interactive Python, and what to call their modules there. "
    "Without ALIAS, a module is called as its schema.",
)
@click.version_option(
    __version__, "-V", "--version", prog_name="datajoint", message="%(prog)s %(version)s"
)
@click.pass_context
def main(
    ctx: click.Context,
    user: str | None,
    password: str | None,
    host: str | None,
    schemas: tuple[str, ...],
) -> None:
    """Relational data pipelines for science in Python.

    Without a command, it opens an interactive Python that has datajoint as dj, and a virtual module
    for each of the schemas. The database is the one that is configured (see: dj config), or else
    the SQLite file datajoint.db in this folder; the options go before the configuration.

    \b
    Examples:
      dj                                      interactive Python
      dj -s lab_mice:mice lab_ephys:ephys     the same, with two schemas
      dj -h db.example.org -u alice -p        on this server; asks for the password
      dj describe lab_mice.Mouse              how a table is defined
      dj save lab_mice --output mice.py       Python source for a schema
    """  # noqa: D301 - \b keeps click from filling the lines that follow
    ctx.obj = partial(_open, host, user, password)
    if ctx.invoked_subcommand is None:
        modules = dict(map(_split_alias, schemas))
        if len(modules) < len(schemas):
            raise click.UsageError("Two schemas have the same ALIAS.")
        if modules or (user, password, host) != (None, None, None):
            ctx.obj()
        _interact({alias: open_module(schema, alias) for alias, schema in modules.items()})
    elif schemas:
        raise click.UsageError("--schemas is for the interactive Python, which has no command.")


def _open(
    host: str | None, user: str | None, password: str | None, *, create: bool = False
) -> Connection:
    """Connect as the options ask, to a database that exists or is created."""
    account = (user, password) != (None, None)
    if account and host is None and not get_backend(choose_backend(config)).has_accounts:
        raise click.UsageError(
            "--user and --password are for a database server, and none is configured: "
            "say which one with --host."
        )
    return conn(host, user, password, reset=account or host is not None, create=create)


# -- schemas --------------------------------------------------------------------------------------


def _split_alias(text: str) -> tuple[str, str]:
    """Split ``schema:alias``, and give the alias first."""
    schema, _, alias = text.rpartition(":")
    schema = schema or alias
    if not alias.isidentifier() or keyword.iskeyword(alias) or alias == "dj":
        raise click.UsageError(
            f"A module cannot be called {alias!r}: give --schemas as SCHEMA:ALIAS, where ALIAS is "
            "the name of a Python variable."
        )
    return alias, schema


def _tables(module: VirtualModule) -> dict[str, FreeTable]:
    """Find the tables of a schema by the names of their classes, or else their own."""
    schema = module.schema
    listed = schema.list_tables()
    stored = schema.connection.tables(str(schema.database))
    listed += [name for name in stored if name not in listed and not name.startswith("~")]
    paths = name_classes(listed).paths
    return {
        ".".join(paths.get(name, [name])): FreeTable(
            schema.connection, f"`{schema.database}`.`{name}`"
        )
        for name in listed
    }


# -- interactive Python ---------------------------------------------------------------------------


def _interact(modules: dict[str, VirtualModule]) -> None:
    """Open an interactive Python: IPython for people who have it."""
    namespace = {"dj": datajoint, **modules}
    banner = "\n".join(
        [
            f"DataJoint {__version__}, Python {sys.version.split()[0]}",
            "    dj: the package datajoint",
            *(f"    {name}: schema `{m.schema.database}`" for name, m in modules.items()),
        ]
    )
    if sys.stdin.isatty():
        with suppress(ImportError):
            from IPython import start_ipython

            click.echo(banner)
            start_ipython(argv=["--no-banner"], user_ns=namespace)
            return
    with suppress(ImportError):  # not on every system; importing it gives a history of lines
        import_module("readline")
    code.interact(banner, local={"__name__": "__main__", **namespace}, exitmsg="")


# -- commands -------------------------------------------------------------------------------------


@main.command("schemas")
@click.pass_obj
def list_schemas(connect: Connect) -> None:
    """List the schemas that you can see."""
    for schema in connect().list_schemas():
        click.echo(schema)


@main.command(short_help="Show the definitions of tables.")
@click.argument("name", metavar="SCHEMA[.TABLE]")
@click.pass_obj
def describe(connect: Connect, name: str) -> None:
    """Show the definitions of all tables of a schema, or that of one table.

    TABLE is the name of its class, or its name in the database.

    \b
    Examples:
      dj describe lab_mice
      dj describe lab_mice.Mouse
      dj describe lab_mice.Mouse.Weight
      dj describe lab_mice.mouse__weight
    """  # noqa: D301 - \b keeps click from filling the lines that follow
    connect()
    schema, _, wanted = name.partition(".")
    module = open_module(schema, schema)
    tables = _tables(module)
    if wanted:
        known = {**{table.table_name: table for table in tables.values()}, **tables}
        if wanted not in known:
            raise DataJointError(
                f"There is no table `{wanted}` in the schema `{schema}`"
                f"{did_you_mean(wanted, known)}"
            )
        click.echo(known[wanted].describe(vars(module)), nl=False)
        return
    for number, (label, table) in enumerate(tables.items()):
        tier = tier_of(table.table_name)
        click.echo(
            ("\n" if number else "")
            + f"{label} ({tier.tier if tier else 'no class'})\n"
            + indent(table.describe(vars(module)), "    "),
            nl=False,
        )


@main.command(short_help="Write Python source for a schema.")
@click.argument("schema")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help="The file to write; replaced if it exists. Without it, the source is printed.",
)
@click.option(
    "--format",
    type=click.Choice(["python", "stubs"]),
    default="python",
    show_default=True,
    help="python declares the tables; stubs are for editors and type checkers.",
)
@click.pass_obj
def save(connect: Connect, schema: str, output: str | None, format: str) -> None:
    """Write Python source, or stubs, for a schema as it is in the database.

    \b
    Examples:
      dj save lab_mice
      dj save lab_mice --output mice.py
      dj save lab_mice --output mice.pyi --format stubs
    """  # noqa: D301 - \b keeps click from filling the lines that follow
    connect()
    text = open_module(schema, schema).schema.save(output, format)
    if text is not None:
        click.echo(text, nl=False)


@main.command("config", short_help="Show the settings.")
def show_config() -> None:
    """Show every setting, its value, and which file or variable sets it.

    Passwords and other secrets are not shown.
    """
    sources = origins()
    names = [*SETTINGS, *(name for name in config if name not in SETTINGS)]
    rows = [
        (name, repr(masked(name, config[name])) if name in config else "(not set)")
        for name in names
    ]
    width = max(len(name) for name in names)
    for name, value in rows:
        source = f"    from {sources[name]}" if name in sources else ""
        click.echo(f"{name:<{width}}  {value}{source}")


@main.command(short_help="Run an image pipeline from start to end.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False),
    default="datajoint_demo.db",
    show_default=True,
    help="The SQLite file that holds the pipeline; created if it does not exist.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, writable=True),
    default="demo.png",
    show_default=True,
    help="The PNG file to draw the result into.",
)
def demo(database: str, picture: str) -> None:
    """Run an image pipeline from start to end, in a few seconds.

    It reads images that ship with scikit-image, filters and segments them, shows the tables and a
    query, and draws the regions that it found. What has been computed is kept in the database: a
    second run computes nothing.

    Its packages are installed with: pip install 'datajoint[demo]'
    """
    demonstration.main(database, picture)


for _command in COMMANDS:
    main.add_command(_command)

if __name__ == "__main__":
    main()
