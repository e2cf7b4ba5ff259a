"""All documents about a record: rendered first, then written, so that a fault leaves none that is new."""

from __future__ import annotations

from pathlib import Path

from weighin.document.contents import sections
from weighin.document.markdown import report
from weighin.document.material import Material
from weighin.document.ml_bom import ml_bom
from weighin.document.model_card import model_card
from weighin.document.page import page
from weighin.document.pdf import printed
from weighin.record.documents import write_documents


def write(of: Material, folder: Path, *, pdf: bool = False) -> dict[str, str]:
    """Write the documents; returns the digest of each by its name. All but the PDF have the same bytes each time.

    pdf  also the validation report on paper, which a browser prints
    Errors: `SystemFault` where no browser is there, or it prints nothing.
    """
    parts = sections(of)
    html = page(of, parts)
    files = {
        "model-card.md": model_card(of, parts).encode(),
        "ml-bom.cdx.json": ml_bom(of),
        "validation-report.md": report(of, parts).encode(),
        "validation-report.html": html.encode(),
    }
    if pdf:
        files["validation-report.pdf"] = printed(html)
    return write_documents(folder, of.digest, files)
