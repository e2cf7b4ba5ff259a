"""What the page about monitoring says of commands, metrics and files is so."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.evidence_files import ROOT
from support.monitor_pages import notified
from weighin.cli import parser
from weighin.monitor.prometheus import exposition
from weighin.monitor.result import EXIT_CODES
from weighin.report.monitor import EVENTS
from weighin.report.series import BUCKETS

TEXT = (ROOT / "docs/how-to/monitoring.md").read_text()
CRON = next(line for line in TEXT.splitlines() if line.startswith("*/5 * * * * "))
COMMAND = CRON.removeprefix("*/5 * * * * ")


def test_every_metric_is_listed_with_its_labels() -> None:
    found = {}
    for family in text_string_to_metric_families(exposition(notified()[0])):
        labels = {name for sample in family.samples for name in sample.labels}
        name = family.samples[0].name
        words = sorted(labels - {"model", "version"})
        found[name] = ", ".join(f"`{w}`" for w in words) if "version" in labels else "no `version`"
    listed = dict(re.findall(r"^\| `(weighin_monitor_\w+)` \| (.*?) ?\|", TEXT, re.MULTILINE))
    assert listed == found


def test_every_exit_code_is_listed() -> None:
    listed = dict(re.findall(r"^\| (\d) \| (\w+):", TEXT, re.MULTILINE))
    assert {int(code): state for code, state in listed.items()} == {code: s for s, code in EXIT_CODES.items()}
    assert f"some {BUCKETS} places" in TEXT
    assert EVENTS == 100
    assert "the last hundred events" in TEXT


@pytest.mark.parametrize("line", re.findall(r"^(weighin monitor .*?)(?: +#.*)?$", TEXT, re.MULTILINE))
def test_every_command_is_one(line: str) -> None:
    assert parser(line.split()[1:]).parse_args(line.split()[1:]).command == "monitor"


@pytest.mark.parametrize("place", sorted(set(re.findall(r"\]\((\.\./[^)#]+|[a-z-]+\.md)", TEXT))))
def test_every_file_that_is_named_is_there(place: str) -> None:
    assert (ROOT / "docs/how-to" / place).exists()


def cron(folder: Path, weighin: str) -> subprocess.CompletedProcess[str]:
    """The line of the crontab, run as cron does, with another `weighin` and files of the test's own."""
    program = folder / "weighin"
    program.write_text(f"#!/bin/sh\n{weighin}\n")
    program.chmod(0o755)
    (folder / "env").write_text("export MLFLOW_TRACKING_URI=https://mlflow.example.org\n")
    command = COMMAND.replace("/etc/weighin.env", f"{folder}/env").replace("/srv/model/monitor.lock", f"{folder}/lock")
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("weighin", "mailed"),
    [
        ('echo "ok: $MLFLOW_TRACKING_URI $*"', ""),
        ('echo "alarm: $MLFLOW_TRACKING_URI $1"; exit 1', "exit code 1 alarm: https://mlflow.example.org monitor\n"),
        ("echo undecided; exit 6", "exit code 6 undecided\n"),
        ("echo away >&2; exit 7", "exit code 7 away\n"),
    ],
)
def test_cron_mails_only_what_is_not_calm(tmp_path: Path, weighin: str, mailed: str) -> None:
    done = cron(tmp_path, weighin)
    assert (done.stdout, done.stderr) == (mailed, "")


def test_cron_leaves_a_look_that_still_runs_alone(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = cron(tmp_path, f"touch {tmp_path}/started; exit 1")
    assert (done.stdout, done.stderr) == ("", "")
    assert not (tmp_path / "started").exists()


def test_a_percent_sign_would_end_the_line_in_a_crontab() -> None:
    assert "%" not in CRON
