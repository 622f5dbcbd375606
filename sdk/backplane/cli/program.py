"""The program behind `backplane`: verbs in, one exit code out.

Verbs are plain functions that typer understands, or typer's groups of them. A distribution adds one with an entry
point of the group `backplane.commands`, whose name is the verb; the module it names should import little, since it is
loaded for every call, `--help` included. A verb that cannot be loaded stays listed and says why when it is called, so
that a broken extra never takes the other verbs with it.

Errors meet the user here and nowhere else: `error: ...`, one line, on stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

import typer

from .completion import prepare_completion
from .exit import CommandError, ExitCode
from .streams import open_standard_streams
from .version import version

__all__ = ["COMMANDS_GROUP", "command", "main", "run"]

COMMANDS_GROUP = "backplane.commands"
"""Entry points of this group are verbs."""


def main() -> NoReturn:
    """Run the `backplane` command on the process's arguments and exit with its code."""
    open_standard_streams()
    prepare_completion()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code (see `exit`). Unexpected exceptions pass: they are bugs."""
    try:
        result = command(arguments).main(list(arguments), prog_name="backplane", standalone_mode=False)
    except CommandError as error:
        return _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        return _fail(_with_hint(error), error.exit_code)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    return result if isinstance(result, int) else ExitCode.OK


def command(arguments: Sequence[str]) -> Any:
    """Return the command that these arguments are for, as typer runs it."""
    return typer.main.get_command(_program(arguments))


def _program(arguments: Sequence[str]) -> typer.Typer:
    """Return the command; a server is started without the verbs of an operator, of which it would load dozens."""
    program = typer.Typer(
        name="backplane",
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    program.callback(invoke_without_command=True)(_help)
    entries = sorted(entry_points(group=COMMANDS_GROUP), key=lambda entry: entry.name)
    for entry in entries:
        _add_verb(program, entry)
    if not arguments or arguments[0] not in {entry.name for entry in entries}:
        from .verbs import add_verbs

        add_verbs(program)
    program.command()(version)
    return program


def _help(context: typer.Context) -> None:
    """Reach, shape and secure any application from public edges, without one inbound port.

    Start an edge where the public can reach it, then an agent beside each application: the agent dials out to the
    edge, and requests flow back inwards.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add_verb(program: typer.Typer, entry: EntryPoint) -> None:
    try:
        verb = entry.load()
        if isinstance(verb, typer.Typer):
            program.add_typer(verb, name=entry.name)
        else:
            program.command(name=entry.name)(verb)
    except (ImportError, AttributeError) as error:
        program.command(
            name=entry.name,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(_unloadable(entry.name, str(error)))


def _unloadable(name: str, reason: str) -> Callable[[], None]:
    def verb() -> None:
        raise CommandError(f"`backplane {name}` cannot be loaded: {reason}")

    verb.__doc__ = f"(cannot be loaded: {reason})"
    return verb


def _with_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    return message if context is None else f"{message} (see `{context.command_path} --help`)"


def _fail(message: str, exit_code: int) -> int:
    typer.echo(f"error: {message}", err=True)
    return exit_code
