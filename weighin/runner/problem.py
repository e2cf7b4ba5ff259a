"""What went wrong in a step, noted where the suites look for it. Standard library only."""

from __future__ import annotations

from pathlib import Path


def note_problem(out: Path, problem: str) -> None:
    """Write, or remove, `<out>.problem` beside the folder that a model could write to."""
    note = out.with_suffix(".problem")
    if problem:
        note.write_text(problem)
    else:
        note.unlink(missing_ok=True)


def last_line(log: bytes) -> str:
    """The last line of a log that says something, printable, at most 300 characters."""
    lines = [line.strip() for line in log[-20_000:].decode("utf-8", "replace").splitlines() if line.strip()]
    text = lines[-1] if lines else "it said nothing"
    return "".join(c if c.isprintable() else " " for c in text)[:300]
