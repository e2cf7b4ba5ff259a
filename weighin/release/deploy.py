"""Tell the servers to load the champion, and do not believe it before they say so."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from weighin.contract.release import Deploy, Identity
from weighin.errors import DeployError
from weighin.load.answer import at
from weighin.record.signature import KEY
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Entry

ASK_SECONDS = 5
PAUSE_SECONDS = 0.2
ANSWER_BYTES = 2**20


@dataclass(frozen=True)
class Proof:
    """The servers answered with `digest`, so often in a row, `seconds` after they were told to load it."""

    digest: str
    answers: int
    seconds: float


def deploy(spec: Deploy, model: str, version: str, digest: str, alias: str) -> Proof:
    """Run the contract's `reload`, then ask the servers who they are until they all say `digest`.

    Errors: `DeployError` with what they say instead.
    """
    started = time.monotonic()
    if spec.reload:
        values = {"model": model, "version": version, "digest": digest, "alias": alias}
        run("reload", spec.reload, values, spec.seconds_at_most)
    return verify_served_model(spec, digest, started)


def deploy_and_verify(champions: ChampionRegistry, entry: Entry, spec: Deploy) -> Proof:
    """`deploy` what an entry of the ledger says, and note with the entry what came of it.

    Errors: `DeployError`; the aliases stay, and running it again tells the servers again.
    """
    try:
        proof = deploy(spec, champions.model, entry.after, entry.artifact, champions.champion)
    except DeployError as error:
        champions.ledger.mark_served(entry, f"no: {error.fact}"[:500])
        raise
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    champions.ledger.mark_served(entry, f"{moment}: {proof.answers} answers in a row")
    return proof


def verify_served_model(spec: Deploy, digest: str, started: float | None = None) -> Proof:
    """Ask until `answers` in a row are right. Errors: `DeployError` when they were not within `seconds_at_most`."""
    began = time.monotonic() if started is None else started
    right, last = 0, "nothing"
    while True:
        last = served(spec.identity)
        right = right + 1 if last == digest else 0
        if right == spec.answers:
            return Proof(digest, right, round(time.monotonic() - began, 2))
        if time.monotonic() - began > spec.seconds_at_most:
            raise DeployError(
                f"the server says {last}, expected {digest}, {spec.seconds_at_most:g} s after it was told to load it",
                spec.identity.url,
                "Look at its log; `weighin deploy` tells it again.",
            )
        if not right:
            time.sleep(PAUSE_SECONDS)


def served(identity: Identity) -> str:
    """Return the digest that a server names, or in words why there is none. Each time over a connection of its own."""
    request = urllib.request.Request(identity.url, headers={"Connection": "close"})  # noqa: S310 - the contract's pattern allows http(s) only
    try:
        with urllib.request.urlopen(request, timeout=ASK_SECONDS) as answer:  # noqa: S310
            if identity.header is not None:
                return answer.headers.get(identity.header) or f"nothing in its header {identity.header}"
            found = at(json.loads(answer.read(ANSWER_BYTES)), identity.pointer or "")
            return found if isinstance(found, str) else f"no text at {identity.pointer}"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, ValueError, LookupError) as error:
        return f"nothing ({type(error).__name__})"


def run(
    name: str, words: Sequence[str], values: Mapping[str, str], seconds: float, without: Collection[str] = ()
) -> None:
    """Run a command of the contract, word by word and without a shell.

    name     what the contract calls it
    values   {word} -> what takes its place
    without  variables that it does not get, besides our signing key
    Errors: `DeployError` when it does not end well, or not in so many seconds.
    """
    command = []
    for word in words:
        for key, value in values.items():
            word = word.replace(f"{{{key}}}", value)
        command.append(word)
    environment = {k: v for k, v in os.environ.items() if k != KEY and k not in without}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=seconds, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeployError(f"`{name}` did not end ({type(error).__name__})", command[0], "Run it by hand.") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [""])[-1][:200]
        raise DeployError(f"`{name}` ended with code {done.returncode}: {said}", command[0], "Run it by hand.")
