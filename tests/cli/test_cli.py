"""The command line: usage errors end with 4, and everything is said in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.evidence_files import Case
from weighin.canonical import write_json
from weighin.cli import COMMANDS, main
from weighin.record.signature import KEY, envelope, signer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["validate", "--no-such-option"],
        ["validate", "--suite", "taste"],
        ["validate", "--runner", "moon"],
        ["step", "judge"],
        ["judge"],
        ["step", "predict", "--model", "x"],
    ],
)
def test_a_usage_error_is_4(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_contract_is_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "check", "--contract", str(tmp_path / "none.yaml")]) == 4
    assert str(tmp_path / "none.yaml") in capsys.readouterr().err


def test_the_contract_of_the_example_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "check", "--contract", str(ROOT / "model_contract.yaml")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "307 checks in 6 suites" in said[-1]
    assert len(said) >= 294
    assert any(line.startswith("power:") for line in said)


def test_the_schema_of_contracts_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    assert "gates" in schema["required"]


def test_verdict_without_evidence_is_7_and_leaves_a_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    contract = ["--contract", str(ROOT / "model_contract.yaml"), "--work", str(tmp_path / "work")]
    assert main(["step", "verdict", str(tmp_path / "reports"), *contract]) == 7
    assert "subject.json: the file is missing" in capsys.readouterr().err
    assert json.loads((tmp_path / "reports/verdict.json").read_text())["status"] == "not_evaluated"
    assert "Not evaluated" in (tmp_path / "reports/summary.md").read_text()


def test_a_verdict_that_cannot_be_says_why_as_the_workflow_knows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["step", "verdict", str(tmp_path), "--contract", str(ROOT / "model_contract.yaml")]
    assert main([*given, "--blocked", "a maintainer must run this"]) == 7
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert (verdict["status"], verdict["messages"]) == ("not_evaluated", ["a maintainer must run this"])
    assert "a maintainer must run this" in (tmp_path / "summary.md").read_text()
    assert not (tmp_path / "record.json").exists()


def test_needs_that_are_no_json_are_4(tmp_path: Path) -> None:
    given = ["--contract", str(ROOT / "model_contract.yaml"), "--needs", "{"]
    assert main(["step", "verdict", str(tmp_path), *given]) == 4


@pytest.mark.parametrize("command", [("step", "resolve"), ("validate",)], ids=" ".join)
def test_data_that_are_not_public_never_become_an_artifact(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    contract = tmp_path / "model_contract.yaml"
    contract.write_text((ROOT / "model_contract.yaml").read_text().replace("public_data: true", "public_data: false"))
    assert main([*command, "--as-artifact", "--contract", str(contract), "--work", str(tmp_path / "work")]) == 4
    assert "does not allow it" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


@pytest.mark.integration
def test_what_nobody_foresaw_is_3_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("weighin.verdict.validate._Steps._resolve", explode)
    out = tmp_path / "out"
    assert main(["validate", "--contract", str(ROOT / "model_contract.yaml"), "--out", str(out)]) == 3
    assert "internal error, RuntimeError, code " in capsys.readouterr().err
    assert json.loads((out / "verdict.json").read_text())["status"] == "not_evaluated"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device", "reports/x"), "reports/x: No space left on device. Make room there."),
        (OSError(28, "No space left on device"), "No space left on device. Make room there."),
        # A library's own text may hold anything.
        (OSError("Jane Doe", "row 7: Jane Doe"), "OSError"),
        (OSError("Jane Doe"), "OSError"),
        (
            PermissionError(13, "Permission denied", "reports"),
            "reports: Permission denied. Let this user write there, or name another folder.",
        ),
        (OSError(30, "Read-only file system", b"reports"), "reports: Read-only file system. Let this user write there"),
    ],
)
def test_what_the_system_refuses_is_7_with_its_path(
    error: OSError, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*given: object, **more: object) -> None:
        raise error

    monkeypatch.setattr("weighin.contract.read_contract", refused)
    assert main(["contract", "check"]) == 7
    printed = capsys.readouterr().err
    assert printed.startswith(f"weighin: {says}")
    assert printed.count("\n") == 1
    monkeypatch.setattr("weighin.verdict.validate.read_contract", refused)
    assert main(["validate", "--out", str(tmp_path)]) == 7
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert (verdict["exit_code"], verdict["status"]) == (7, "not_evaluated")
    assert verdict["messages"][0].startswith(says)


@pytest.mark.integration
def test_a_reader_that_has_enough_ends_a_command_in_silence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "weighin", "contract", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.close()
        assert started.stderr is not None
        said = started.stderr.read()
        # No pass: what follows in a pipe may ask for the code.
        assert (started.wait(30), said) == (7, b"")


def test_a_record_is_verified_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = Case(tmp_path / "reports").write()
    write_json(tmp_path / "record.json", case.record())
    assert main(["keygen", str(tmp_path / "key")]) == 0
    made = capsys.readouterr().out.splitlines()[0]
    assert main(["verify", str(tmp_path / "record.json")]) == 0
    said = capsys.readouterr()
    assert "flight-delay version 2: passed; unsigned; sha256:" in said.out
    assert "Who made it is not proven" in said.err
    by = signer({KEY: str(tmp_path / "key")})
    assert by is not None
    write_json(tmp_path / "signed.json", envelope(case.record(), by))
    trust = ["--trusted-key", str(tmp_path / "key.pub")]
    assert main(["verify", str(tmp_path / "signed.json"), *trust]) == 0
    said = capsys.readouterr()
    assert f"signed by {made}" in said.out
    assert said.err == ""
    assert main(["verify", str(tmp_path / "record.json"), *trust]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["keygen", str(tmp_path / "key")]) == 4


def test_a_run_without_the_registry_that_the_contract_demands_is_for_a_maintainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model_contract.yaml"
    path.write_text(
        (ROOT / "model_contract.yaml").read_text().replace("  task: binary", "  task: binary\n  registry: server")
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["step", "resolve", "--contract", str(path), "--work", str(tmp_path / "work")]) == 7
    assert "A maintainer must run this" in capsys.readouterr().err
    assert not (tmp_path / "work/subject.json").exists()


@pytest.mark.integration
def test_a_training_that_fails_ends_the_validation_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIGHIN_LOGS", str(tmp_path / "logs"))
    training = tmp_path / "fails.py"
    training.write_text("print('Jane Doe, age 41')\nraise SystemExit(9)\n")
    out = tmp_path / "out"
    contract = str(ROOT / "model_contract.yaml")
    assert main(["validate", "--contract", contract, "--out", str(out), "--train", str(training)]) == 7
    said = capsys.readouterr()
    assert "Jane Doe" not in said.out + said.err
    assert f"`{training}` ended with code 9: {tmp_path / 'logs'}" in said.err
    (log,) = (tmp_path / "logs").iterdir()
    assert "Jane Doe" in log.read_text()
    assert json.loads((out / "verdict.json").read_text())["status"] == "not_evaluated"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("words", "needed"),
    [(["--help"], []), (["step", "--help"], []), (["contract", "check", "--work", "nowhere"], ["pyarrow"])],
)
def test_a_light_command_imports_no_large_library(words: list[str], needed: list[str]) -> None:
    # A check of a contract reads the schemas of its files; after a validation it computes power as well.
    large = ("mlflow", "pandas", "scipy", "pyarrow", "ibis", "duckdb", "great_expectations", "evidently", "sklearn")
    code = (
        "import contextlib, sys\n"
        "from weighin.cli import main\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    main({words!r})\n"
        f"print('imported:', [m for m in {large!r} if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == f"imported: {needed}"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_fits_a_screen(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40
    assert not command or "example:" in lines
