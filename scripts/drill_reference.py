"""Write the faults of `weighin drill` into docs/how-to/drill.md: `... [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from weighin.drill.catalogue import FAULTS
from weighin.report.drill import FAMILIES, size_text

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/how-to/drill.md")
BEGIN, END = "<!-- faults: written by scripts/drill_reference.py -->", "<!-- end of the faults -->"


def lines() -> Iterator[str]:
    """Yield a table for each family."""
    for family in dict.fromkeys(f.family for f in FAULTS):
        yield from (
            "",
            f"### {FAMILIES[family]}",
            "",
            "| fault | stated size | what it does | where it has been seen |",
            "|---|--:|---|---|",
        )
        for fault in (f for f in FAULTS if f.family == family):
            size = f"{size_text(fault.size)} {fault.unit}" if fault.unit else ""
            yield f"| `{fault.name}` | {size} | {fault.what} | {fault.seen} |"
    yield ""


def page(text: str) -> str:
    """Return the page with the faults of today."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{chr(10).join(lines())}\n{END}{rest.partition(END)[2]}"


def main(argv: list[str]) -> int:
    """Write the page, or say whether it is as the catalogue says."""
    path = ROOT / PAGE
    text = path.read_text(encoding="utf-8")
    made = page(text)
    if "--check" in argv:
        if made != text:
            print(f"{PAGE} is not what the catalogue says: run `python scripts/drill_reference.py`", file=sys.stderr)
        return int(made != text)
    path.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
