"""The validation report as one HTML file: no script, no request, and rules for paper."""

from __future__ import annotations

from collections.abc import Sequence

from weighin.document.blocks import Section, not_known
from weighin.document.material import Material
from weighin.report.html import template
from weighin.report.view import WORDS


def page(of: Material, sections: Sequence[Section]) -> str:
    """`validation-report.html`. Every text is escaped by the template."""
    return template("document.html.j2").render(
        title=f"Validation report: {of.name}: {WORDS[of.answer.status]}",
        shown=of.answer,
        name=of.name,
        digest=of.digest,
        decided=str(of.record["run"]["created"]),
        sections=[(s, [(type(b).__name__, b) for b in s.blocks]) for s in sections],
        missing=not_known(sections),
    )
