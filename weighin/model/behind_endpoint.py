"""A language model behind an endpoint, in place of a model's files: what it is told, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Formatter
from typing import TypeVar

import pyarrow.parquet as pq

from weighin.canonical import file_digest, write_json
from weighin.chat.endpoint import Endpoint, messages
from weighin.errors import ContractError, NotEvaluated
from weighin.model.given import BEHIND_ENDPOINT
from weighin.model.texts import must_be_texts, write_texts
from weighin.untrusted import JsonDict

SCHEMA = "weighin/endpoint/v1"
VARIABLES = "WEIGHIN_CANDIDATE"
"""`WEIGHIN_CANDIDATE_URL` and `WEIGHIN_CANDIDATE_KEY`: no contract names an address."""
TOGETHER = 8
"""Questions that are put at the same time."""
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """What a language model is told for each row.

    template  the user's message with `{feature}`; braces that are text are doubled
    """

    model: str
    template: str
    system: str
    temperature: float
    tokens_at_most: int

    def write(self, folder: Path) -> None:
        """Write the folder that stands in place of a model's files."""
        write_json(folder / BEHIND_ENDPOINT, {"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def read(folder: Path) -> Told:
        """Return what `write` left. Errors: `NotEvaluated`."""
        try:
            value = json.loads((folder / BEHIND_ENDPOINT).read_bytes())
            if value.pop("schema") != SCHEMA:
                raise ValueError
            return Told(**value)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise NotEvaluated("not what `weighin step resolve` writes", BEHIND_ENDPOINT, "Validate again.") from None

    def named(self, features: Sequence[str]) -> Told:
        """Return it, if its template names features and nothing else. Errors: `ContractError`."""
        place = "model.candidate.endpoint.prompt"
        try:
            found = {name for _, name, _, _ in Formatter().parse(self.template) if name is not None}
        except ValueError:
            raise ContractError("the prompt has a brace too many", place, "Double it.") from None
        if not found or found - set(features):
            said = "the prompt names no feature" if not found else "the prompt names what is no feature of the contract"
            raise ContractError(said, place, f"There are: {', '.join(features)}.")
        return self

    def body(self, row: Mapping[str, object]) -> JsonDict:
        """Return the request about one row. Values are put in as text: what stands in them is no template.

        >>> told = Told("m", "Answer: {a}", "", 0.0, 9)
        >>> [message["content"] for message in told.body({"a": "{b} {{c}}"})["messages"]]
        ['Answer: {b} {{c}}']
        """
        parts = [(text, name) for text, name, _, _ in Formatter().parse(self.template)]
        user = "".join(text + ("" if name is None or row[name] is None else str(row[name])) for text, name in parts)
        return {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.tokens_at_most,
            "messages": list(messages(self.system, user)),
        }


def predict_behind_endpoint(folder: Path, features: Path, out: Path, repeats: int) -> None:
    """Put every row of `features/*.parquet` to the endpoint that the environment names; leave `out/<dataset>.arrow`.

    Errors: `NotEvaluated`, without a word of question or answer.
    """
    told, endpoint = Told.read(folder), Endpoint.of(VARIABLES)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(features.glob("*.parquet")):
        bodies = [told.body(row) for row in pq.read_table(path).to_pylist() for _ in range(repeats)]
        with endpoint.connected() as put:
            found: list[str | None] = [reply.text for reply in each(put, bodies)]
        write_texts(out / f"{path.stem}.arrow", must_be_texts(found, path.name), file_digest(path))


def each(call: Callable[[S], T], values: Sequence[S]) -> Iterator[T]:
    """Call something for each value, several at the same time, and yield in order; the first error ends it."""
    with ThreadPoolExecutor(max_workers=TOGETHER) as pool:
        tasks = [pool.submit(call, value) for value in values]
        try:
            for task in tasks:
                yield task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
