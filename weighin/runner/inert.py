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
    plain = plain.replace("@", "@\u200b").replace("#", "#\u200b").replace("::", ":\u200b:")
    return re.sub(r"(?i)\b(https?|ftp|www)([:.])", "\\1\u200b\\2", plain)


def visible(text: str, keep: str = "") -> str:
    """Any text with everything that is not printed (ESC, NUL, bidirectional and zero-width characters) as an escape.

    keep  characters that stay as they are, such as line ends

    >>> visible("a\x1b[31m\u202e")
    'a\\x1b[31m\\u202e'
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def plain_line(value: object, most: int = 200) -> str:
    """Any text on one line, printable, for a terminal.

    >>> plain_line("a\\x1b[31m\\n b")
    'a�[31m b'
    """
    plain = " ".join("".join(c if c.isprintable() or c.isspace() else "�" for c in str(value)).split())
    return plain if len(plain) <= most else plain[: max(most - 1, 0)] + "…"
