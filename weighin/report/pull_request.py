"""What a pull request changes, in lines: contract, data, code, and what judges. Names stand between backticks."""

from __future__ import annotations

from dataclasses import dataclass

from weighin.contract.changes import Changes, FileChange, Kind

PARTS: dict[str, tuple[Kind, ...]] = {
    "contract": ("contract",),
    "data": ("data",),
    "code": ("code", "requirements", "other"),
    "what judges": ("metrics", "suites", "policy", "owners", "engine", "image", "workflows"),
}


@dataclass(frozen=True)
class Told:
    """A pull request in words.

    warning  what of it would change the decision, and by whose files it was then decided; empty for nothing
    lines    all that it changes
    """

    warning: str
    lines: tuple[str, ...]


def tell(changes: Changes | None, files: int = 5, limits: int = 30) -> Told | None:
    """Return a pull request in words; None where there is none.

    files, limits  that are named, of each part
    """
    if changes is None:
        return None
    lines = []
    for part, kinds in PARTS.items():
        own = tuple(f for f in changes.files if f.kind in kinds)
        lines.append(f"{part}: {_files(own, files, several=len(kinds) > 1) if own else 'nothing'}")
        if part == "contract":
            lines += [*_limits(changes, limits), *changes.drill]
    return Told(_warning(changes, files), tuple(lines))


def named(name: str) -> str:
    """Return a name as code, whatever stands in it."""
    return f"`{name.replace('`', 'ˋ')}`"


def _warning(changes: Changes, files: int) -> str:
    if not changes.deciding:
        return ""
    if changes.review:
        actor = f"{changes.review.by or 'a maintainer'} at commit {named(changes.review.commit[:12])}"
        who = f"Reviewed by {actor}, so the files of the pull request decided."
    elif changes.note:
        who = f"The files of the pull request decided: {changes.note}."
    else:
        who = (
            "The files of the base decided, and of each limit the stricter one, until a maintainer has reviewed this "
            "commit."
        )
    kinds = dict.fromkeys(f.kind for f in changes.deciding)
    parts = [f"{kind} {_files(tuple(f for f in changes.deciding if f.kind == kind), files)}" for kind in kinds]
    return f"This pull request changes what decides: {'; '.join(parts)}. {who}"


def _files(own: tuple[FileChange, ...], most: int, *, several: bool = False) -> str:
    shown = [f"{f'{f.kind} ' if several and f.kind != 'code' else ''}{named(f.path)} {f.how}" for f in own[:most]]
    return ", ".join(shown) + (f" and {len(own) - most} more" if len(own) > most else "")


def _limits(changes: Changes, most: int) -> list[str]:
    """Return what the pull request changes in the limits, the lenient ones first."""
    limits = sorted(changes.limits, key=lambda c: not c.lenient)
    lines = []
    if any(c.lenient for c in limits) or changes.measured:
        actor = "a maintainer has reviewed them, and they decide" if changes.review else "the stricter of both decides"
        lines.append(f"⚠ limits that are more lenient, or cannot be compared: {actor}")
    for change in limits[:most]:
        between = " → ".join(v for v in (change.before, change.after) if v)
        if change.how == "relaxed" and not changes.review:
            between += f" (the base demands {change.before}, which decides)"
        lines.append(f"{named(change.check)} {change.how}: {between}")
    lines += [f"and {len(limits) - most} more limits"] if len(limits) > most else []
    if changes.measured:
        lines.append(f"what is measured: {', '.join(map(named, changes.measured[:most]))}")
    return [*lines, changes.note] if changes.note else lines
