"""Texts of strangers (column names, branch names, error messages) as they may be shown. Standard library only."""

from __future__ import annotations

import re


def text(value: object, most: int = 200) -> str:
    """Any text as inert inline Markdown on one line: no HTML, links, mentions, references or workflow commands.

    >>> text("<b> @team [x](y) ::error::")
    '&lt;b&gt; @\u200bteam \\\\[x\\\\](y) :\u200b:error:\u200b:'
    """
    plain = plain_line(value, most)
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = re.sub(r"([\\`*_\[\]|~])", r"\\\1", plain)
    return _no_links(plain)


def in_html(value: object, most: int = 200) -> str:
    """Any text as inert text of an HTML element within Markdown, where a backslash would be shown.

    >>> in_html("data_quality <b> @team #1")
    'data_quality &lt;b&gt; @\u200bteam #\u200b1'
    """
    plain = plain_line(value, most)
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _no_links(plain)


def _no_links(plain: str) -> str:
    """Return a text in which the platform finds no mention, reference, address or workflow command."""
    plain = plain.replace("@", "@\u200b").replace("#", "#\u200b").replace("::", ":\u200b:")
    return re.sub(r"(?i)\b(https?|ftp|www)([:.])", "\\1\u200b\\2", plain)


def plain_line(value: object, most: int = 200) -> str:
    """Any text on one line, printable, for a terminal.

    >>> plain_line("a\\x1b[31m\\n b")
    'a\\\\x1b[31m b'
    """
    plain = visible(" ".join(str(value).split()))
    return plain if len(plain) <= most else plain[: max(most - 1, 0)] + "…"


_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0"
"""Letters and marks by their category, of which nothing is seen."""


def visible(value: object, keep: str = "") -> str:
    """Any text with an escape for each character that is not seen or that governs others: controls, directions, zero
    widths, half of a pair of surrogates. What is returned can be encoded.

    keep  characters that stay as they are, such as the end of a line

    >>> visible("user\\u202etxt.exe\\x1b[2J\\ud800")
    'user\\\\u202etxt.exe\\\\x1b[2J\\\\ud800'
    """
    plain = str(value)
    if plain.isprintable() and plain.isascii():
        return plain
    return "".join(c if (c.isprintable() and c not in _BLANK) or c in keep else _escape(c) for c in plain)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
