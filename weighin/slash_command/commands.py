"""What a command says and does: `status`, `history`, `rollback [VERSION] REASON`, `confirm CODE`.

The only thing that this package ever changes is a workflow that it dispatches, after a second command that confirms the
first. The workflow decides again, by the ledger, whether the rollback may be made.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from weighin.contract.slash_command import SlashCommand
from weighin.errors import PromotionError, WeighinError
from weighin.github.client import GitHub, Unanswered, quoted
from weighin.registry.ledger import Entry

USAGE = "Type `status`, `history`, `rollback REASON` or `rollback VERSION REASON`."
SHOWN = 5
"""Entries of a history."""
PENDING_AT_MOST = 20
"""Rollbacks that wait for a confirmation; of more, the oldest is given up."""
LONGEST_REASON = 300
_VERSION = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class State:
    """What is known of a model's champion.

    entries  of the ledger, the oldest first
    watched  what the monitor said last, and when; empty where it never ran
    """

    model: str
    entries: tuple[Entry, ...]
    watched: str = ""

    @property
    def entry(self) -> Entry | None:
        """The entry that made the version of now champion; None before the first promotion."""
        return self.entries[-1] if self.entries else None


@dataclass(frozen=True)
class Reply:
    """What the chat shows: to everybody in the channel, or to the person who typed the command."""

    text: str
    public: bool = False


@dataclass(frozen=True)
class Planned:
    """A rollback that waits for its confirmation. It holds only while the ledger's last entry is `entry`."""

    user: str
    version: str
    reason: str
    before: str
    entry: int
    until: float


class Commands:
    """Answers commands of one model."""

    def __init__(self, spec: SlashCommand, github: GitHub, look: Callable[[], State]) -> None:
        """Dispatch with `github`. `look` reads the registry; its errors are `WeighinError`."""
        self._spec, self._github, self._look = spec, github, look
        self._pending: dict[str, Planned] = {}
        self._lock = threading.Lock()

    def answer(self, user: str, text: str, now: float, in_time: Callable[[], bool] = lambda: True) -> Reply:
        """Return what is said to a person.

        user     Slack's id; text  what follows the command's name; now  Unix time
        in_time  whether the person still waits for the answer; nothing is dispatched when nobody learns of it
        Whatever goes wrong is a sentence, and nothing was changed then.
        """
        if user not in self._spec.allowed:
            return Reply("You are not among those who may use this command: `monitor.slash_command.allowed`.")
        word, _, rest = text.strip().partition(" ")
        try:
            match word.lower():
                case "status":
                    return Reply(self._status())
                case "history":
                    return Reply(self._history())
                case "rollback":
                    return self._plan(user, " ".join(rest.split()), now)
                case "confirm":
                    return self._confirm(user, rest.strip(), now, in_time)
        except WeighinError as error:
            return Reply(inert(f"Nothing was changed. {error}"))
        except Unanswered as error:
            return Reply(inert(f"Nothing is known to have changed: {error}. Look at the workflow's runs."))
        return Reply(USAGE)

    def _status(self) -> str:
        state = self._look()
        if state.entry is None:
            return inert(f"{state.model}: nothing was promoted yet, so no version is champion.")
        entry = state.entry
        by = f" by {entry.actor}" if entry.actor else ""
        said = f"{state.model}: version {entry.after} is champion since {entry.created}, by a {entry.action}{by}."
        return inert(f"{said} {state.watched or 'No monitor has run.'}")

    def _history(self) -> str:
        state = self._look()
        if not state.entries:
            return inert(f"{state.model}: nothing was promoted yet.")
        lines = [
            f"{e.number}. {e.created}: {e.action}{' (EMERGENCY)' if e.emergency else ''}, "
            f"version {e.before or 'none'} to {e.after}{f', {e.reason}' if e.reason else ''}"
            for e in reversed(state.entries[-SHOWN:])
        ]
        return "\n".join(inert(line) for line in lines)

    def _plan(self, user: str, rest: str, now: float) -> Reply:
        first, _, after = rest.partition(" ")
        version, reason = (first, after) if _VERSION.fullmatch(first) else ("", rest)
        reason = "".join(c for c in reason if c.isprintable())[:LONGEST_REASON].strip()
        if not reason:
            return Reply(f"A rollback needs a reason. {USAGE}")
        state = self._look()
        head, version = _target(state, version)
        code = secrets.token_hex(4)
        planned = Planned(user, version, reason, head.after, head.number, now + self._spec.confirm_seconds)
        with self._lock:
            while len(self._pending) >= PENDING_AT_MOST:
                del self._pending[next(iter(self._pending))]
            self._pending[code] = planned
        who = "Another allowed person confirms" if self._spec.confirmed_by == "another" else "Confirm"
        said = f"{state.model}: rollback from version {head.after} to version {version}. {who} within "
        return Reply(
            inert(f"{said}{self._spec.confirm_seconds:g} seconds: ") + f"`confirm {code}`",
            public=self._spec.confirmed_by == "another",
        )

    def _confirm(self, user: str, code: str, now: float, in_time: Callable[[], bool]) -> Reply:
        with self._lock:
            planned = self._pending.get(code)
            if planned is None or now > planned.until:
                self._pending.pop(code, None)
                return Reply("No rollback waits for this code, or its time is over. Request it again.")
            if (planned.user == user) != (self._spec.confirmed_by == "same"):
                same = self._spec.confirmed_by == "same"
                return Reply(f"{'The person who requested it' if same else 'Another person'} must confirm it.")
            # Once, whatever comes of it.
            del self._pending[code]
        state = self._look()
        if state.entry is None or (state.entry.number, state.entry.after) != (planned.entry, planned.before):
            return Reply("The champion has changed since. Nothing was done: request the rollback again.")
        if not in_time():
            return Reply("The registry took too long, and nothing was done. Request the rollback again.")
        self._dispatch(planned, user)
        said = f"{state.model}: rollback from version {planned.before} to version {planned.version} was requested of "
        said += f"{self._spec.workflow} in {self._spec.repository}. Its run says whether the alias moved."
        return Reply(inert(said), public=True)

    def _dispatch(self, planned: Planned, confirmed_by: str) -> None:
        """Errors: `Unanswered`."""
        owner, _, name = self._spec.repository.partition("/")
        path = f"/repos/{quoted(owner)}/{quoted(name)}/actions/workflows/{quoted(self._spec.workflow)}/dispatches"
        people = planned.user if planned.user == confirmed_by else f"{planned.user}, confirmed by {confirmed_by}"
        inputs = {"version": planned.version, "from": planned.before, "owner": f"Slack {people}"}
        inputs["reason"] = planned.reason
        self._github.send("POST", path, {"ref": self._spec.ref, "inputs": inputs})


def _target(state: State, version: str) -> tuple[Entry, str]:
    """Return the last entry, and the version to go to; the workflow looks at the files of that version as well.

    Errors: `PromotionError` where `weighin rollback` would refuse for what the ledger says.
    """
    head, place = state.entry, state.model
    if head is None:
        raise PromotionError("nothing was promoted yet, so there is nothing to go back from", place)
    if not version and (head.action == "rollback" or not head.before):
        raise PromotionError("the last entry does not say which version to go to", place, "Name the version.")
    target = version or head.before
    if target == head.after:
        raise PromotionError(f"version {target} is champion already", place)
    if not any(e.after == target and e.record for e in state.entries):
        raise PromotionError(f"version {target} was never gated", place, "Run the workflow itself with `emergency`.")
    return head, target


def inert(text: str) -> str:
    """Return a text in which Slack sees neither a mention nor a link nor code: one line of at most 600 characters.

    >>> inert("<!channel> `x` https://a.b")
    "&lt;!channel&gt; 'x' https: //a.b"
    """
    plain = "".join(c if c.isprintable() else " " for c in text)[:600].replace("`", "'").replace("://", ": //")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
