"""The command line: ``datajoint``, or ``dj`` for short."""

from __future__ import annotations

from typing import Any

import click

from . import demo as demonstration
from .errors import DataJointError
from .version import __version__


class _Group(click.Group):
    """Commands whose errors are a message for the user and not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DataJointError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, name="datajoint", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="datajoint", message="%(prog)s %(version)s")
def main() -> None:
    """Relational data pipelines for science in Python."""


@main.command()
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


if __name__ == "__main__":
    main()
