"""`backplane db`: the schema of a fleet's database. It is loaded for every `backplane` call, so it imports little."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from backplane.cli.exit import CommandError, ExitCode

__all__ = ["database"]

database = typer.Typer(help="Look after the database of an edge or a fleet.", no_args_is_help=True)


@database.command()
def upgrade(
    database_url: Annotated[
        str | None,
        Option("--database-url", metavar="URL", help="postgresql://USER@HOST/NAME", show_default=False),
    ] = None,
    database_password_file: Annotated[
        Path | None,
        Option("--database-password-file", metavar="PATH", help="A file with the database's password."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        Option(
            "--data-dir",
            metavar="PATH",
            help="Where SQLite keeps it without a URL.",
            show_default="edge-data",
        ),
    ] = None,
    config: Annotated[
        Path | None, Option("--config", metavar="PATH", help="The TOML file of the edge.")
    ] = None,
) -> None:
    """Bring a database to the schema of this version. Edges do that to SQLite by themselves, and never to PostgreSQL.

    The settings are those of `backplane edge`, with the same variables and the same file.
    """
    from backplane.cli.settings import load_settings

    from .command import without_password
    from .config import EdgeSettings

    flags = {
        "database_url": without_password(database_url),
        "database_password_file": database_password_file,
        "data_dir": data_dir,
    }
    settings = load_settings(EdgeSettings, flags=flags, config=config)
    try:
        from .database.upgrade import upgrade_database
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed: an edge needs backplane-server[edge]") from error
    if settings.database.path is not None and not settings.database.path.parent.is_dir():
        raise CommandError(f"there is no directory {settings.database.path.parent}", ExitCode.USAGE)
    before, after = upgrade_database(settings.database)
    where = str(settings.database)
    typer.echo(f"{where}: schema {after}" + ("" if before == after else f" (was {before or 'empty'})"))
