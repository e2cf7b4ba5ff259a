"""Approvals count for whom the contract names, for one record, once; the platform's reviews in its own words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.evidence_files import Case, interval
from support.loopback import Answer, Asked, listening
from weighin.canonical import canonical, digest, write_json
from weighin.cli import main
from weighin.contract.release import Approver, Promotion
from weighin.errors import ContractError, EvidenceError, RecordRefused
from weighin.github import reviews
from weighin.github.client import TOKENS
from weighin.record.signature import KEY, Signer, make_key, signer
from weighin.release.approval import Approval, approvals, approve


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A record that passed, under a contract that names two approvers, whose keys are in `keys`."""
    case = Case(tmp_path / "reports").write()
    write_json(case.reports / "record.json", case.record())
    for name in ("risk", "owner", "stranger"):
        make_key(tmp_path / name)
    named = tuple(Approver(name=n, key=str(tmp_path / f"{n}.pub")) for n in ("risk", "owner"))
    contract = case.file.contract.model_copy(
        update={"promotion": Promotion(policy="policy/release.rego", approvers=named)}
    )
    case.file = replace(case.file, contract=contract)
    return case


def by(case: Case, name: str) -> Signer:
    found = signer({KEY: str(case.reports.parent / name)})
    assert found is not None
    return found


def found(case: Case) -> list[Approval]:
    record = digest((case.reports / "record.json").read_bytes())
    return approvals(case.file, case.reports, record)


def test_who_signed_is_named_by_the_contract(case: Case) -> None:
    assert found(case) == []
    for name in ("risk", "owner"):
        approve(case.reports / "record.json", by(case, name), f"  {name}\nhas read it ")
    assert sorted((a.name, a.how, a.comment) for a in found(case)) == [
        ("owner", "key", "owner has read it"),
        ("risk", "key", "risk has read it"),
    ]
    approve(case.reports / "record.json", by(case, "risk"), "again")
    assert len(found(case)) == 2


def test_nobody_approves_what_is_no_pass(case: Case) -> None:
    check = case.check("performance/roc_auc")
    case.evidence[check.id] = interval(check, 0.5, 0.01)
    write_json(case.reports / "record.json", case.write().record())
    with pytest.raises(RecordRefused, match="its verdict is failed"):
        approve(case.reports / "record.json", by(case, "risk"), "")


def test_a_stranger_is_refused(case: Case) -> None:
    approve(case.reports / "record.json", by(case, "stranger"), "")
    with pytest.raises(RecordRefused, match="not signed by a key that is trusted"):
        found(case)


def test_an_approval_of_another_record_is_refused(case: Case) -> None:
    approve(case.reports / "record.json", by(case, "risk"), "")
    record = json.loads((case.reports / "record.json").read_bytes())
    write_json(case.reports / "record.json", {**record, "run": {**record["run"], "url": "https://example.org/runs/2"}})
    with pytest.raises(RecordRefused, match="an approval of another record"):
        found(case)


def test_an_approval_that_was_changed_is_refused(case: Case) -> None:
    path = approve(case.reports / "record.json", by(case, "risk"), "fine")
    data = path.read_bytes()
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(RecordRefused):
            found(case)


def test_what_lies_among_approvals_and_is_none_is_refused(case: Case, tmp_path: Path) -> None:
    folder = case.reports / "approvals"
    folder.mkdir()
    (folder / "x").symlink_to(tmp_path / "risk")
    with pytest.raises(RecordRefused, match="no regular file"):
        found(case)


def test_two_names_for_one_key_are_refused(case: Case, tmp_path: Path) -> None:
    (tmp_path / "twin.pub").write_bytes((tmp_path / "risk.pub").read_bytes())
    named = (*case.file.contract.promotion.approvers, Approver(name="twin", key=str(tmp_path / "twin.pub")))
    contract = case.file.contract.model_copy(update={"promotion": Promotion(policy="p", approvers=named)})
    case.file = replace(case.file, contract=contract)
    with pytest.raises(ContractError, match="twin has the key of risk"):
        found(case)


@pytest.mark.parametrize(
    "given",
    [
        {"approvers": [{"name": "a", "key": "k"}]},
        {"policy": "p", "approvers": [{"name": "a", "key": "k"}, {"name": "a", "key": "l"}]},
        {"policy": "p", "approvers": [{"name": "a", "key": "k"}, {"name": "b", "key": "k"}]},
    ],
)
def test_a_contract_in_which_one_person_could_count_twice_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"share a|would decide nothing"):
        Promotion.model_validate(given)


def test_approve_from_the_command_line(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    record = str(case.reports / "record.json")
    monkeypatch.delenv(KEY, raising=False)
    assert main(["approve", record]) == 4
    assert "no key to approve with" in capsys.readouterr().err
    monkeypatch.setenv(KEY, (tmp_path / "owner").read_text())
    assert main(["approve", record, "--comment", "seen"]) == 0
    assert [a.name for a in found(case)] == ["owner"]
    assert "PRIVATE" not in "".join(p.read_text() for p in (case.reports / "approvals").iterdir())


# --- reviews of the environment

ANSWER = [
    {
        "state": "approved",
        "comment": "Ship it!",
        "environments": [{"id": 1, "name": "production", "html_url": "https://example.org"}],
        "user": {"login": "octocat", "id": 1, "type": "User"},
    },
    {"state": "rejected", "comment": "", "environments": [{"name": "production"}], "user": {"login": "other"}},
]
"""The form that GitHub's documentation of this call shows, shortened."""


@pytest.fixture
def github() -> Iterator[tuple[dict[str, str], list[tuple[int, bytes]], list[dict[str, str]]]]:
    """A server that answers as GitHub's does; the environment of a run there, its answer, and what it was asked."""
    answer, asked = [(200, json.dumps(ANSWER).encode())], []

    def said(request: Asked) -> Answer:
        asked.append({"path": request.path, **request.headers})
        return Answer(*answer[0])

    with listening(said) as address:
        run = {"GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7", "GITHUB_API_URL": address, TOKENS[0]: "a-secret"}
        yield run, answer, asked


def test_reviews_of_the_environment_are_read(github, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _, asked = github
    for name, value in run.items():
        monkeypatch.setenv(name, value)
    path = case.reports / "reviews.json"
    monkeypatch.setattr("sys.argv", ["reviews", "--out", str(path)])
    assert reviews.main() == 0
    assert asked[0]["path"] == "/repos/o/r/actions/runs/7/approvals"
    assert asked[0]["Authorization"] == "Bearer a-secret"
    assert "a-secret" not in path.read_text()
    assert found(case) == [Approval("octocat", "review", "production", "Ship it!")]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (403, b"{}", "GitHub answered 403 for /repos/o/r/actions/runs/7/approvals: `actions: read` is needed"),
        (200, b"<html>", "GitHub did not answer for /repos/o/r/actions/runs/7/approvals"),
        (200, b'[{"state": "approved"}]', "did not say who reviewed run 7"),
        (200, b'{"message": "x"}', "did not say who reviewed run 7"),
    ],
)
def test_reviews_that_cannot_be_read_are_an_error_without_the_token(
    github, status: int, body: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    run, answer, _ = github
    answer[:] = [(status, body)]
    for name, value in run.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["reviews", "--out", str(tmp_path / "reviews.json")])
    assert reviews.main() == 7
    said = capsys.readouterr().err
    assert says in said
    assert "a-secret" not in said
    assert not (tmp_path / "reviews.json").exists()


def test_outside_a_workflow_there_are_no_reviews() -> None:
    with pytest.raises(ValueError, match="GITHUB_REPOSITORY is not set"):
        reviews.reviews({})


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "weighin/reviews/v1", "reviews": [{}]}'])
def test_a_damaged_file_of_reviews_is_an_error(text: str, case: Case) -> None:
    (case.reports / "reviews.json").write_text(text)
    with pytest.raises(EvidenceError):
        found(case)


def test_the_statement_is_one_that_others_can_read(case: Case) -> None:
    path = approve(case.reports / "record.json", by(case, "risk"), "fine")
    assert canonical(json.loads(path.read_bytes())) == path.read_bytes()
