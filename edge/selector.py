"""Selectors: which instances are meant, as a person writes it (`service=web,release in (v1,v2),!canary`).

A selector is a comma-separated list of requirements, all of which must hold:

    key=value            the label is there with this value
    key!=value           it is not: another value, or no such label
    key in (a,b)         one of these values
    key notin (a,b)      none of these, or no such label
    key                  the label is there, with whatever value
    !key                 it is not there

`service`, `zone` and `agent` are taken from what an instance is (`facts`); all other keys are its labels. Equal
selectors have one canonical text, `str(selector)`, whichever way they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

__all__ = ["RESERVED_KEYS", "Operator", "Requirement", "Selector", "SelectorError", "facts"]

RESERVED_KEYS = frozenset(("agent", "service", "zone"))
"""Keys that stand for what an instance is, not for a label of it."""
MAX_LENGTH = 2048
"""Characters of a selector's text."""
MAX_REQUIREMENTS = 64

_BLANK = " \t"
_TOKEN = re.compile(r"[A-Za-z0-9._/-]*")
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_AGENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,127})?")
"""Agents may have longer names than labels have values."""


class SelectorError(ValueError):
    """A text is not a selector. `position` is where, counted in characters from 0."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"at position {position}: {reason}")
        self.position = position
        self.reason = reason


class Operator(Enum):
    """How a requirement looks at a label."""

    IN = "in"
    """Its value is one of these; `key=value` is this with one value."""
    NOT_IN = "notin"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()
    """Sorted, each once."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Say whether an instance of these labels meets it."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.PRESENT:
                return value is not None
            case Operator.ABSENT:
                return value is None

    def __str__(self) -> str:
        match self.operator:
            case Operator.PRESENT:
                return self.key
            case Operator.ABSENT:
                return f"!{self.key}"
        if len(self.values) == 1:
            return f"{self.key}{'=' if self.operator is Operator.IN else '!='}{self.values[0]}"
        return f"{self.key} {self.operator.value} ({','.join(self.values)})"


@dataclass(frozen=True, slots=True)
class Selector:
    """A set of requirements, each once and in canonical order. Made by `parse`."""

    requirements: tuple[Requirement, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector. Raises SelectorError, which says where it is wrong and what would be right."""
        return _of(_Parser(text).parse())

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether an instance is picked; `labels` are its `facts`."""
        return all(requirement.holds(labels) for requirement in self.requirements)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The labels that every instance picked has with exactly this value; what an index is made of."""
        return tuple(
            (requirement.key, requirement.values[0])
            for requirement in self.requirements
            if requirement.operator is Operator.IN and len(requirement.values) == 1
        )

    @property
    def services(self) -> tuple[str, ...] | None:
        """The services it picks from, or None when it names none and picks from all."""
        for requirement in self.requirements:
            if requirement.key == "service" and requirement.operator is Operator.IN:
                return requirement.values
        return None

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def facts(*, service: str, zone: str, agent: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return what a selector sees of an instance: its labels and what it is. An empty zone is no zone."""
    found = {**labels, "service": service, "agent": agent}
    if zone:
        found["zone"] = zone
    else:
        found.pop("zone", None)
    return found


def _of(requirements: Iterable[Requirement]) -> Selector:
    """Return the selector with the service first, then by key."""

    def order(requirement: Requirement) -> tuple[bool, str, str, tuple[str, ...]]:
        return requirement.key != "service", requirement.key, requirement.operator.value, requirement.values

    return Selector(tuple(sorted(set(requirements), key=order)))


class _Parser:
    """One pass over a text, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> list[Requirement]:
        if len(self._text) > MAX_LENGTH:
            raise SelectorError(MAX_LENGTH, f"a selector has {MAX_LENGTH} characters at the most")
        self._skip_blank()
        if self._at == len(self._text):
            raise SelectorError(0, "a selector names at least one label, for example service=web")
        requirements = [self._requirement()]
        while self._at < len(self._text):
            self._expect(",", "write a comma between requirements, for example service=web,release=v2")
            requirements.append(self._requirement())
        if len(requirements) > MAX_REQUIREMENTS:
            raise SelectorError(0, f"a selector has {MAX_REQUIREMENTS} requirements at the most")
        return requirements

    def _requirement(self) -> Requirement:
        if self._takes("!"):
            return Requirement(self._key(), Operator.ABSENT)
        key = self._key()
        if self._text.startswith("==", self._at):
            raise SelectorError(self._at, "write one '=' for a label's value, for example release=v2")
        if self._takes("!="):
            return Requirement(key, Operator.NOT_IN, (self._value(key),))
        if self._takes("="):
            return Requirement(key, Operator.IN, (self._value(key),))
        if self._at == len(self._text) or self._text[self._at] == ",":
            return Requirement(key, Operator.PRESENT)
        position = self._at
        word = self._token()
        if word not in ("in", "notin"):
            raise SelectorError(
                position, f"after {key!r} comes '=', '!=', 'in (a,b)', 'notin (a,b)', a comma or the end"
            )
        return Requirement(key, Operator(word), self._values(key, word))

    def _values(self, key: str, word: str) -> tuple[str, ...]:
        self._expect("(", f"write the values in parentheses, for example {key} {word} (a,b)")
        values = {self._value(key)}
        while not self._takes(")"):
            if self._at == len(self._text):
                raise SelectorError(self._at, "the closing parenthesis is missing")
            self._expect(",", "write a comma between values, and ')' after the last")
            values.add(self._value(key))
        return tuple(sorted(values))

    def _key(self) -> str:
        position = self._at
        key = self._token()
        if not key:
            raise SelectorError(position, "a label's name is missing, for example release in release=v2")
        if not _KEY.fullmatch(key):
            raise SelectorError(
                position,
                f"{key!r} is not a label's name: 1 to 63 letters, digits, '.', '_', '/' and '-', "
                "with a letter or digit at both ends",
            )
        return key

    def _value(self, key: str) -> str:
        position = self._at
        value = self._token()
        if not (_AGENT if key == "agent" else _VALUE).fullmatch(value):
            raise SelectorError(
                position,
                f"{value!r} is not a label's value: at most 63 letters, digits, '.', '_' and '-', "
                "with a letter or digit at both ends",
            )
        return value

    def _token(self) -> str:
        match = _TOKEN.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        self._skip_blank()
        return match[0]

    def _takes(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        self._skip_blank()
        return True

    def _expect(self, mark: str, reason: str) -> None:
        if not self._takes(mark):
            raise SelectorError(self._at, reason)

    def _skip_blank(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _BLANK:
            self._at += 1
