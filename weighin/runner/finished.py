"""What an earlier validation left of its long steps, taken up by `weighin validate --resume`. Standard library only.

Predictions, load and shadow are taken up, and no suite's outcome: the judge reads them as it reads those of this run. A
step is taken up where everything that it depends on has the same digests (models, features, logged requests, plan,
engine, packages, image), it ended without a problem, and its own files are those that it left.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
from pathlib import Path

from weighin.runner.artifact import manifest_digest
from weighin.runner.kept import engine
from weighin.runner.plan import LOCUSTFILE
from weighin.untrusted import JsonDict

SCHEMA = "weighin/finished-steps/v1"
FILE, ASIDE = "finished.json", "aside"
FOLDERS = {"predict": "predictions", "load": "load", "shadow": "shadow"}
"""Step -> where in the work folder it leaves what it found."""


class Finished:
    """The steps of one work folder. `judged_by` is the image that runs them, or empty for this machine's processes."""

    def __init__(self, work: Path, judged_by: str) -> None:
        self._work, self._judged_by = work, judged_by
        self._noted: dict[str, JsonDict] = {}
        self._earlier: dict[str, JsonDict] = {}

    def set_aside(self) -> None:
        """Keep what an earlier run left from being removed by `resolve`."""
        aside = self._work / ASIDE
        for name in (*FOLDERS.values(), FILE):
            if (self._work / name).exists():
                aside.mkdir(exist_ok=True)
                _remove(aside / name)
                (self._work / name).rename(aside / name)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            noted = json.loads((aside / FILE).read_bytes())
            if noted["schema"] == SCHEMA:
                self._earlier = dict(noted["steps"])

    def forget(self) -> None:
        """Remove what an earlier run noted, and what it had set aside."""
        self.drop()
        _remove(self._work / FILE)

    def drop(self) -> None:
        """Remove what was set aside and not taken up."""
        _remove(self._work / ASIDE)

    def take_up(self, step: str) -> bool:
        """Put back what an earlier run left of a step; whether there was anything that may be used."""
        name, known = FOLDERS[step], self._earlier.get(step)
        before = self._work / ASIDE / name
        if known is None or before.is_symlink() or not before.is_dir():
            return False
        try:
            if known != {"inputs": self._inputs(step), "left": manifest_digest(before)} or _problem(before):
                return False
        except (OSError, ValueError):
            return False
        _remove(self._work / name)
        before.rename(self._work / name)
        self._note(step, known)
        return True

    def note(self, step: str) -> None:
        """Note a step of this run that has ended; one with a problem is not noted, so that it is run again."""
        folder = self._work / FOLDERS[step]
        with contextlib.suppress(OSError, ValueError):
            if not _problem(folder):
                self._note(step, {"inputs": self._inputs(step), "left": manifest_digest(folder)})

    def _note(self, step: str, known: JsonDict) -> None:
        self._noted[step] = known
        made = self._work / f"{FILE}.new"
        made.write_text(json.dumps({"schema": SCHEMA, "steps": self._noted}, indent=1))
        made.replace(self._work / FILE)

    def _inputs(self, step: str) -> str:
        """Digest of everything that a step depends on. Errors: `OSError`, `ValueError`."""
        read = ("models", "features", *(["requests"] if step == "shadow" else []))
        parts = {name: manifest_digest(self._work / name) for name in read}
        if (locustfile := self._work / LOCUSTFILE).is_file():
            parts[LOCUSTFILE] = hashlib.sha256(locustfile.read_bytes()).hexdigest()
        plan = json.loads((self._work / "plan.json").read_bytes())
        # Which suites run changes nothing of what they read.
        told = {key: value for key, value in plan.items() if key not in ("suites", "own_code")}
        own = [self._judged_by, engine(), _code(), step]
        return hashlib.sha256(json.dumps([parts, told, own], sort_keys=True).encode()).hexdigest()


@functools.cache
def _code() -> str:
    """Digest of this package."""
    package, found = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _problem(folder: Path) -> bool:
    """Whether a step noted anywhere that something went wrong."""
    return folder.with_suffix(".problem").exists() or any(folder.rglob("*.problem"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
