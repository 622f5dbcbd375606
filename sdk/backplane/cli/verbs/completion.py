"""`backplane completion`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer import Argument

from ..completion import completion_script

__all__ = ["completion"]


class Shell(StrEnum):
    """Shells that completion is there for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, Argument(metavar="bash|zsh|fish", help="Which shell.")]) -> None:
    """Write what a shell has to read, so that it completes verbs, options and names.

    bash: eval "$(backplane completion bash)" in ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after compinit.
    fish: backplane completion fish > ~/.config/fish/completions/backplane.fish.
    """
    typer.echo(completion_script(shell.value))
