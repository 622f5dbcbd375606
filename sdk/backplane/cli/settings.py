"""Layered settings of a server: flag > `BACKPLANE_*` variable > TOML file > default, into a frozen model.

A server declares its settings as a `Settings` model. Each field is a key; from the key follow the flag
(`drain_timeout`: `--drain-timeout`) and the variable (`BACKPLANE_DRAIN_TIMEOUT`), unless a `Spelling` among the
field's annotations says otherwise. A layer gives a key as a whole: lists of two layers are never merged. An empty
variable counts as not set.

Every error is one line and names the key as the user wrote it: flag, variable, or key and file.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .exit import CommandError, ExitCode
from .wording import explain_value

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "CONFIG_VARIABLE",
    "PREFIX",
    "Settings",
    "SettingsError",
    "Spelling",
    "load_settings",
    "variable_name",
]

PREFIX = "BACKPLANE_"
"""How the variables of this project begin."""
CONFIG_VARIABLE = PREFIX + "CONFIG"
"""Names the TOML file when `--config` does not."""


class Settings(BaseModel):
    """Base of a server's settings: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SettingsError(CommandError):
    """A setting is wrong or missing; the message names it and where it came from."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a key is written outside the file, where that does not follow from its name."""

    flag: str | None = None
    """The flag, for example `--edge` for the key `edges`."""
    separator: str | None = None
    """Splits the variable's text into a list; None keeps it whole."""


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    source: str


S = TypeVar("S", bound=Settings)


def load_settings(
    model: type[S],
    *,
    flags: Mapping[str, object],
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> S:
    """Return the settings that the layers make.

    Args:
        model: what to make.
        flags: values by key; None or an empty list is a flag that was not given.
        config: the TOML file; without it the variable BACKPLANE_CONFIG may name one.
        environ: the environment; the process's own by default.

    Raises:
        SettingsError: a value is wrong, a key is unknown or missing, or the file cannot be read.
    """
    variables = os.environ if environ is None else environ
    if config is None and variables.get(CONFIG_VARIABLE):
        config = Path(variables[CONFIG_VARIABLE])
    given: dict[str, _Given] = {}
    if config is not None:
        given |= _from_file(model, config)
    given |= _from_environment(model, variables)
    given |= _from_flags(model, flags)
    try:
        return model.model_validate({key: one.value for key, one in given.items()})
    except ValidationError as error:
        first = {problem["loc"][:1]: problem for problem in reversed(error.errors(include_url=False))}
        problems = [_explain(model, given, problem, variables) for problem in reversed(first.values())]
        raise SettingsError("; ".join(problems)) from None


def _from_flags(model: type[Settings], flags: Mapping[str, object]) -> Iterator[tuple[str, _Given]]:
    for key, value in flags.items():
        if value is not None and value != []:
            yield key, _Given(value, f"flag {_flag(model, key)}")


def _from_environment(model: type[Settings], variables: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    for key in model.model_fields:
        text = variables.get(variable_name(key), "").strip()
        if text:
            separator = _spelling(model, key).separator
            value = text if separator is None else _split(text, separator)
            yield key, _Given(value, f"variable {variable_name(key)}")


def _from_file(model: type[Settings], path: Path) -> dict[str, _Given]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"config file {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config file {path}: {error}") from None
    for key in table:
        if key not in model.model_fields:
            raise SettingsError(f"{path}: unknown key `{key}`{_did_you_mean(model, key)}")
    return {key: _Given(value, f"{path} key `{key}`") for key, value in table.items()}


def _did_you_mean(model: type[Settings], key: str) -> str:
    close = difflib.get_close_matches(key.replace("-", "_"), model.model_fields, n=1)
    return f": did you mean `{close[0]}`?" if close else ""


def _explain(
    model: type[Settings], given: Mapping[str, _Given], problem: ErrorDetails, variables: Mapping[str, str]
) -> str:
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    key = str(problem["loc"][0])
    reason = explain_value(model.model_fields[key], problem)
    if key not in given:
        cure = f"give {_flag(model, key)}, {variable_name(key)} or the file's key `{key}`"
        return f"{key}: {reason}: {cure}{_misspelt(model, key, variables)}"
    return f"{given[key].source}: {reason}"


def _misspelt(model: type[Settings], key: str, variables: Mapping[str, str]) -> str:
    """Point to a variable that is set and may have been meant for this key."""
    ours = set(map(variable_name, model.model_fields))
    strangers = sorted(name for name in variables if name.startswith(PREFIX) and name not in ours)
    close = difflib.get_close_matches(variable_name(key), strangers, n=1, cutoff=0.8)
    return f" ({close[0]} is set, but does not exist)" if close else ""


def _flag(model: type[Settings], key: str) -> str:
    return _spelling(model, key).flag or "--" + key.replace("_", "-")


def variable_name(key: str) -> str:
    """Return the variable of a setting."""
    return PREFIX + key.upper()


def _spelling(model: type[Settings], key: str) -> Spelling:
    metadata = model.model_fields[key].metadata
    return next((item for item in metadata if isinstance(item, Spelling)), Spelling())


def _split(text: str, separator: str) -> list[str]:
    return [part for part in (part.strip() for part in text.split(separator)) if part]
