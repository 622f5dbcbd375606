"""docs/cli.md, out of the command itself: `python -m backplane.cli.reference docs/cli.md`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import connection
from . import exit as exits
from .console import shared_options
from .program import command

__all__ = ["reference"]

SERVERS = {"edge", "agent", "db"}
"""Verbs whose options the README has."""

OPENING = """# The command line

<!-- Written by `make reference` out of the command itself. -->

`backplane VERB --help` says all of this too. The options of `backplane edge` and `backplane agent` are in
[the README](../README.md), a walk through the rest is [the guide](guide.md).

## Which edge

The verbs below speak to the management API of one edge. """

COMMON = """
These options are the same for all of them:
"""

OUTPUT = """
A table is for people: it has no frames, so that `grep` and `awk` can read it, and colours only on a terminal and
without NO_COLOR. `--output json` and `--output yaml` are for programs: what the API says, a list as a list. What is
said beside the result (warnings, hints) goes to stderr.

Contexts are kept in `$XDG_CONFIG_HOME/backplane/contexts.json` (`~/.config` by default), for your eyes only.
"""


def reference() -> str:
    """Return the document."""
    options = shared_options()
    parts = [OPENING + _precedence(), COMMON, _options(options), OUTPUT, "## Exit codes\n", _exit_codes()]
    shared = {option.name for option in options}
    for path, one in _verbs("backplane", command([])):
        parts += _section(path, one, shared)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _verbs(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, one in sorted(group.commands.items()):
        if path == "backplane" and name in SERVERS:
            continue
        if one.hidden:
            yield path, one  # what the group itself does with arguments that are no verb
        elif hasattr(one, "commands"):
            yield from _verbs(f"{path} {name}", one)
        else:
            yield f"{path} {name}", one


def _section(path: str, one: Any, shared: set[str]) -> Iterator[str]:
    arguments = [param for param in one.params if param.param_type_name == "argument"]
    options = [param for param in one.params if param.param_type_name == "option" and param.name != "help"]
    if any("--output" in option.opts for option in options):
        options = [option for option in options if option.name not in shared]
    required = [f"{option.opts[0]} {option.metavar}" for option in options if option.required]
    usage = " ".join([path, *(_usage(argument) for argument in arguments), *required])
    yield f"\n## {path}\n"
    yield f"    {usage}{' [OPTIONS]' if options else ''}\n"
    yield _text(one.help or "")
    rows = [(f"`{_usage(one)}`", one.help or "") for one in arguments]
    yield "\n" + _table([*rows, *map(_option, options)])


def _usage(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _option(option: Any) -> tuple[str, str]:
    flags = ", ".join(f"`{flag}`" for flag in option.opts)
    metavar = "" if option.is_flag or not option.metavar else f" {option.metavar}"
    return flags + metavar, option.help or ""


def _options(options: Any) -> str:
    return _table(map(_option, options))


def _table(rows: Any) -> str:
    lines = [f"| {_cell(left)} | {_cell(right)} |" for left, right in rows]
    return "\n".join(["| | |", "|---|---|", *lines, ""]) if lines else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _text(text: str) -> str:
    return inspect.cleandoc(text)


def _precedence() -> str:
    """Return how an edge is found, as the code that finds it says."""
    text = inspect.cleandoc(connection.__doc__ or "")
    return text.partition("\n\n")[2] + "\n"


def _exit_codes() -> str:
    table = re.search(r"^\|.*\|$", inspect.cleandoc(exits.__doc__ or ""), re.MULTILINE | re.DOTALL)
    assert table is not None
    return table[0] + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
