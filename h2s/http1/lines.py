"""Field lines of HTTP/1.1, split and joined (RFC 9112 §5).

Strict in what it takes: a name is a token with a colon right behind it; a value holds no control octet but HTAB; each
line ends in CRLF, and none continues the one before. So what is split here is fit for HTTP/2 as far as its octets go
(`h2s.fields`), and can be joined again without becoming something else.

There are two implementations: this one, on regular expressions, and `native`, which is used where it was built. One
suite of tests holds them to the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import cast

from ..engine.choice import engine_name
from ..engine.session import Fields
from ..errors import EngineUnavailable
from .errors import MalformedMessage

__all__ = ["join_fields", "split_fields"]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_line = re.compile(
    rb"(%b):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*\r\n"
    % _TOKEN
).match
_name = re.compile(rb"(%b):" % _TOKEN).match


def portable_split_fields(data: bytes, at: int, end: int) -> Fields:
    """Return the fields whose lines fill `data` from `at` to `end`: names in lower case, values without the blanks
    around them.

    Raises MalformedMessage, with the field if its value is at fault.
    """
    fields: Fields = []
    while at < end:
        match = _line(data, at, end)
        if match is None:
            name = _name(data, at, end)
            if name is None:
                raise MalformedMessage("a line without a field's name")
            raise MalformedMessage("a control character or a bare line end in a value", field=name[1].lower())
        fields.append((match[1].lower(), match[2]))
        at = match.end()
    return fields


def portable_join_fields(fields: Fields) -> bytes:
    """Return the lines of `fields`, each with its CRLF. Raises MalformedMessage if one would break out of its line."""
    section = b"".join([b"%b: %b\r\n" % field for field in fields])
    lines = len(fields)
    if section.count(b"\n") != lines or section.count(b"\r") != lines:
        raise MalformedMessage("a field holds a line break")
    return section


Split = Callable[[bytes, int, int], Fields]
Join = Callable[[Fields], bytes]


def _choose() -> tuple[Split, Join]:
    """Take the native pair where the native engine runs, so that one setting decides for both."""
    try:
        if engine_name() == "native":
            native = import_module(".native", __package__)
            return cast(Split, native.split_fields), cast(Join, native.join_fields)
    except (ImportError, EngineUnavailable):
        pass  # whoever makes a session hears why
    return portable_split_fields, portable_join_fields


split_fields, join_fields = _choose()
