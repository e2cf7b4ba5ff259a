"""Predictions of an earlier run that are used again: the champion's and the anchor's, outside of containers only.

They lie in `kept/<digest>/` of the work folder, beside what each run removes. The name of the folder is the digest of
everything on which predictions depend: the model's files, each file of features, the columns of the answer, the rows
that are explained, the engine that asks, and the installed packages. The digests of the files stand beside them; a file
that is cut, changed, missing or one too many is not used, and the judge reads what was used like any other answer.

A model that runs outside of containers can write wherever its user can, here as well. So the container runner neither
reads nor writes these files. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

from weighin.runner.artifact import manifest_digest
from weighin.runner.plan import Plan
from weighin.untrusted import JsonDict

SCHEMA = "weighin/kept-predictions/v1"
FOLDER, KEY = "kept", "key.json"
MODELS = 4
"""Of so many models, or sets of features, the predictions are kept; the oldest make room."""
ASKED_ANEW = "candidate"
"""The role that is judged: its model is asked in every run."""
ENGINE = (
    *("model/predict.py", "model/answers.py", "model/frame.py", "model/handover.py", "model/shap.py"),
    *("model/texts.py", "model/chat.py", "model/given.py", "runner/kept.py"),
)


def key_of(work: Path, role: str, plan: Plan) -> JsonDict:
    """Everything on which the predictions of a role depend. Errors: `OSError`, `ValueError`."""
    return {
        "schema": SCHEMA,
        "model": manifest_digest(work / "models" / role),
        "features": {p.name: _digest(p) for p in sorted((work / "features").glob("*.parquet"))},
        "answers": plan.answers.to_json(),
        "shap_rows": plan.shap_rows,
        "engine": engine(),
    }


def engine() -> str:
    """Digest of the code that asks a model, of the version of Python, and of the installed packages' versions."""
    package = Path(__file__).resolve().parent.parent
    code = [_digest(package / name) for name in ENGINE]
    places = sorted({p for p in sys.path if p and Path(p).is_dir()})
    installed = sorted(name for place in places for name in os.listdir(place) if name.endswith(".dist-info"))
    return _text_digest([sys.version, sys.platform, *code, *installed])


def _asked_anew(role: str, plan: Plan) -> bool:
    """Whether a role is asked in every run: the one that is judged, and an endpoint, which no digest tells apart."""
    return role == ASKED_ANEW or role in plan.behind_endpoint


def use(work: Path, role: str, plan: Plan, out: Path) -> bool:
    """Copy kept predictions of a role into the empty folder `out`; whether there were any that may be used."""
    if _asked_anew(role, plan):
        return False
    try:
        key = key_of(work, role, plan)
        folder = work / FOLDER / _text_digest(key)
        noted = json.loads((folder / KEY).read_bytes())
        files = noted.pop("files")
        if folder.is_symlink() or noted != key or not _complete(key, files):
            return False
        if {p.name for p in folder.iterdir()} != {KEY, *files}:
            return False
        for name, digest in files.items():
            if (folder / name).is_symlink() or not (folder / name).is_file():
                raise ValueError(name)
            shutil.copyfile(folder / name, out / name)
            # Of the copy: what the judge reads is what was compared.
            if _digest(out / name) != digest:
                raise ValueError(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        for path in out.iterdir():
            path.unlink()
        return False
    return True


def keep(work: Path, role: str, plan: Plan, out: Path) -> None:
    """Keep what a role's model answered without a problem. Where that cannot be done, the next run asks again."""
    if _asked_anew(role, plan):
        return
    with contextlib.suppress(OSError, ValueError):
        key = key_of(work, role, plan)
        files = {p.name: _digest(p) for p in sorted(out.iterdir())}
        if not _complete(key, files):
            return
        home = work / FOLDER
        home.mkdir(exist_ok=True)
        # Complete, or not there: it is made under another name.
        made = home / f"new-{uuid.uuid4().hex}"
        shutil.copytree(out, made)
        (made / KEY).write_text(json.dumps({**key, "files": files}, indent=1))
        shutil.rmtree(home / _text_digest(key), ignore_errors=True)
        made.rename(home / _text_digest(key))
        old = sorted((p for p in home.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
        for path in old[MODELS:]:
            shutil.rmtree(path, ignore_errors=True)


def _complete(key: JsonDict, files: Any) -> bool:
    """Whether there is one file of answers for each file of features, and nothing else but SHAP values."""
    expected = {Path(name).stem + ".arrow" for name in key["features"]}
    return bool(expected) and isinstance(files, dict) and expected <= set(files) <= expected | {"shap.arrow"}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _text_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
