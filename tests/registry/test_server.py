"""Promotion and rollback over HTTP, to an MLflow server on PostgreSQL, through a proxy that lets things go wrong.

A kill before and after every request takes minutes: benchmarks/promotion_races.py goes through all of them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.forked import Child, in_child
from support.interruptions import Tally, shared
from support.mlflow_server import Server, mlflow_server
from support.promotion_trials import DEEDS, Stock, Trial, warmed_up
from support.registry_proxy import Fault, Kind, Proxy
from weighin.errors import PromotionError, RegistryError, WeighinError

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module", autouse=True)
def patience(environment: None) -> None:
    """MLflow's client tries once, for a few seconds; conftest.py sets the environment back."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "20"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    warmed_up()
    with mlflow_server() as running:
        yield running


@pytest.fixture(scope="module")
def stock(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock.of(server.uri, tmp_path_factory.mktemp("stock"))


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.uri).running() as running:
        yield running


def whole(stock: Stock, deed: str, name: str, proxy: Proxy) -> list[str]:
    """The requests of the deed, undisturbed."""
    trial = Trial(stock, name)
    in_child(trial.set_up, *DEEDS[deed][0])
    proxy.plan()
    in_child(DEEDS[deed][1], trial.through(proxy.uri))
    return list(proxy.requests)


def writes(requests: list[str]) -> list[int]:
    """The numbers, from 1, of the requests that change something."""
    return [n for n, line in enumerate(requests, 1) if not line.startswith("GET")]


def kinds(requests: list[str]) -> list[int]:
    """The numbers of the requests that change something: of each kind the first and the last."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for n in writes(requests):
        kind = "/".join(requests[n - 1].split("/")[:6])
        first.setdefault(kind, n)
        last[kind] = n
    return sorted({*first.values(), *last.values()})


def test_killed_after_the_last_request_nothing_is_left_to_do(stock: Stock, proxy: Proxy) -> None:
    last = len(whole(stock, "promote", "last-whole", proxy))
    trial = Trial(stock, "last")
    in_child(trial.set_up)
    child = Child(trial.through(proxy.uri).promote)
    proxy.plan(Fault("kill after", last, child.pid))
    assert child.start().was_killed()
    state = in_child(trial.state)
    assert (state["champion"], state["previous"], state["written"]) == ("2", "1", 2)
    assert in_child(trial.promote).already
    assert in_child(trial.state) == state


# --- stopped, while somebody else goes on


def rival(trial: Trial, deed: str) -> tuple[str, str]:
    """Another promoter: version 4 against the champion of the set up, and where that is gone, against version 2."""
    try:
        trial.promote(4, int(DEEDS[deed][3]))
    except PromotionError as error:
        trial.promote(4, 2)
        return "second", str(error)
    return "first", ""


def stopped(stock: Stock, deed: str, part: int, parts: int) -> Tally:
    """Stop at some writes, let a rival work, and go on."""
    _, do, entries, before = DEEDS[deed]
    tally = Tally()
    with Proxy(stock.uri).running() as proxy:
        requests = whole(stock, deed, f"stop-{deed}-{part}", proxy)
        # From the entry on, where it matters, every write but most tags; before it a few.
        steps = kinds(requests)
        for step in steps[part::parts]:
            trial = Trial(stock, f"stop-{deed}-{part}-{step}")
            in_child(trial.set_up, *DEEDS[deed][0])
            child = Child(do, trial.through(proxy.uri))
            proxy.plan(Fault("stop before" if step % 2 else "stop after", step, child.pid))
            child.start()
            if not proxy.stopped.wait(60):
                tally.wrong.append(f"{step}: was not stopped")
            place = in_child(rival, trial, deed)[0]
            os.kill(child.pid, signal.SIGCONT)
            proxy.go_on.set()
            try:
                child.result()
                ended = "won"
            except PromotionError:
                ended = "refused"
            tally.ended[f"{ended}, rival {place}"] += 1
            champion, alias = in_child(trial.settled)
            state = in_child(trial.state)
            own, other = entries[-1], ("promote", before, "4")
            expected = [*entries, ("promote", "2", "4")] if ended == "won" else [*entries[:-1], other]
            if state["entries"] != expected or (ended == "won") != (place == "second"):
                tally.wrong.append(f"{step}, {own}: {ended}, rival {place}: {state}")
            if (champion, alias, state["champion"], state["previous"]) != ("4", "4", "4", expected[-1][1]):
                tally.wrong.append(f"{step}: {champion}, {alias}, {state}")
            tally.steps += 1
    return tally


@pytest.mark.parametrize("deed", DEEDS)
def test_stopped_while_a_rival_works_exactly_one_wins_and_the_alias_agrees(deed: str, stock: Stock) -> None:
    found = shared(lambda part, parts: stopped(stock, deed, part, parts))
    assert found.wrong == []
    assert set(found.ended) == {"won, rival second", "refused, rival first"}


def test_stopped_then_late_then_killed_is_not_taken_for_a_hand(stock: Stock, proxy: Proxy) -> None:
    requests = whole(stock, "rollback", "late-whole", proxy)
    first, last = [n for n in writes(requests) if requests[n - 1].endswith("registered-models/alias")]
    trial = Trial(stock, "late")
    in_child(trial.set_up, 2, 3)
    child = Child(trial.through(proxy.uri).roll_back, "2")
    proxy.plan(Fault("stop before", first, child.pid), Fault("kill after", last, child.pid))
    child.start()
    assert proxy.stopped.wait(60)
    assert in_child(rival, trial, "rollback")[0] == "second"
    os.kill(child.pid, signal.SIGCONT)
    proxy.go_on.set()
    assert child.was_killed()
    state = in_child(trial.state)
    assert (state["champion"], state["previous"]) == ("2", "3")
    assert in_child(trial.settled) == ("4", "4")
    assert in_child(trial.state)["previous"] == "2"
    # Once: whoever moves it there again is a person.
    in_child(lambda: trial.champions().registry.move_alias(trial.name, "champion", "2"))
    with pytest.raises(PromotionError, match="by hand"):
        in_child(trial.settled)


def race(trial: Trial, number: int, ready: int, go: int) -> str:
    """A promoter of one of many versions, all against the same champion."""
    case = trial.case(number)
    os.write(ready, b"r")
    os.read(go, 1)
    del case
    try:
        trial.promote(number)
    except PromotionError:
        return "lost"
    return "won"


def test_of_many_promoters_over_http_exactly_one_wins(server: Server, tmp_path: Path) -> None:
    count = 8
    trial = Trial(Stock.of(server.uri, tmp_path, count + 1), "race")
    in_child(trial.set_up)
    (ready, readied), (waits, go) = os.pipe(), os.pipe()
    children = [Child(race, trial, number, readied, waits).start() for number in range(2, count + 2)]
    assert sum(len(os.read(ready, 1)) for _ in children) == count
    os.write(go, b"g" * count)
    said = [child.result() for child in children]
    for end in (ready, readied, waits, go):
        os.close(end)
    assert sorted(said) == ["lost"] * (count - 1) + ["won"]
    champion, alias = in_child(trial.settled)
    assert (champion, alias) == (str(2 + said.index("won")),) * 2
    assert [e[0] for e in in_child(trial.state)["entries"]] == ["adopt", "promote"]


# --- the server is away, slow, broken, or its answer is lost


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("kind", ["refuse", "500", "delay"])
def test_a_server_that_does_not_answer_is_one_sentence_and_nothing_moves(
    kind: Kind, deed: str, stock: Stock, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    trial = Trial(stock, f"{kind}-{deed}")
    in_child(trial.set_up, *DEEDS[deed][0])
    before = in_child(trial.state)
    if deed == "promote":
        trial.case()
    proxy.plan(Fault(kind, seconds=1.5))
    started = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        in_child(DEEDS[deed][1], trial.through(proxy.uri))
    assert time.monotonic() - started < 15
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(proxy.uri)
    assert "Check the address and that it answers" in sentence
    assert in_child(trial.state) == before


def interrupted(stock: Stock, deed: str, kinds_of: tuple[Kind, ...], retries: str, part: int, parts: int) -> Tally:
    """One request goes wrong, in one way or another, then the deed again: the ledger is as if nothing had happened."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = retries
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] = "0"
    _, do, entries, before = DEEDS[deed]
    tally = Tally()
    with Proxy(stock.uri).running() as proxy:
        requests = whole(stock, deed, f"wrong-{deed}-{part}-{retries}", proxy)
        for number, step in enumerate(kinds(requests)[part::parts]):
            kind = kinds_of[number % len(kinds_of)]
            trial = Trial(stock, f"{kind}-{deed}-{part}-{retries}-{step}")
            in_child(trial.set_up, *DEEDS[deed][0])
            proxy.plan(Fault(kind, step))
            try:
                in_child(do, trial.through(proxy.uri))
                tally.ended["went on"] += 1
            except WeighinError as error:
                tally.ended["said so"] += 1
                if "\n" in str(error) or not isinstance(error, RegistryError):
                    tally.wrong.append(f"{step}: {error}")
            in_child(do, trial)
            state = in_child(trial.state)
            if state["entries"] != entries or (state["champion"], state["previous"]) != ("2", before):
                tally.wrong.append(f"{step} {requests[step - 1]}: {state}")
            tally.ended["written twice"] += state["written"] > len(entries)
            tally.steps += 1
    return tally


@pytest.mark.parametrize("deed", DEEDS)
def test_one_request_that_goes_wrong_leaves_one_entry(deed: str, stock: Stock) -> None:
    found = shared(lambda part, parts: interrupted(stock, deed, ("lose", "500"), "0", part, parts))
    assert found.wrong == []
    assert found.ended["written twice"] == 0
    assert found.ended["said so"] > 3


@pytest.mark.parametrize("deed", DEEDS)
def test_a_client_that_asks_again_after_a_lost_answer_writes_twice_and_it_counts_once(deed: str, stock: Stock) -> None:
    found = shared(lambda part, parts: interrupted(stock, deed, ("lose",), "2", part, parts))
    assert found.wrong == []
    assert found.ended["said so"] == 0
    assert found.ended["written twice"] > 0
