"""What happens to a team's pull request or release, from event to alias: each scenario is a run of the workflows.

They run with act on a real Docker engine, on a project small enough that a run takes well under a minute on two idle
cores.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import act, tiny_project
from support import workflow_scenarios as scenarios
from support.attack import FORGING
from support.workflow_scenarios import (
    LIGHT,
    PULL_REQUEST,
    VALIDATE,
    Scenario,
    before_upload,
    broken,
    edited,
    ours,
    with_own_test,
    written,
)

pytestmark = [pytest.mark.workflow, pytest.mark.docker]

EVERY = tiny_project.SUITES
SUITE_FILE = "validation_tests/test_explainability.py"
EVIDENCE = "reports/explainability/outcomes.json"
HOSTILE = "x`|<img src=x>@team ::error::y"
"""A column's name that would be markup, a mention and a workflow command."""


def hostile_column(project: Path) -> None:
    """Give the forbidden feature a hostile name, everywhere."""
    import pandas as pd

    for path in (project / "data").glob("*.parquet"):
        pd.read_parquet(path).rename(columns={"shadow": HOSTILE}).to_parquet(path, index=False)
    for name in ("model_contract.yaml", "scripts/train.py"):
        path = project / name
        path.write_text(
            path.read_text().replace('"shadow"', json.dumps(HOSTILE)).replace("shadow", json.dumps(HOSTILE))
        )
    scenarios.broken("explainability")(project)


def relaxed(project: Path) -> None:
    """A pull request that makes its own model pass, and drift of any size."""
    edited(
        "model_contract.yaml",
        ("share_at_most: 0.9}", "share_at_most: 0.9, forbidden_at_most: 0.9}"),
        ("drift: {at_most: 0.2,", "drift: {at_most: 9,"),
    )(project)


def planted(project: Path) -> None:
    """A pull request with everything that once made a bad model pass, or read what a step holds."""
    import pandas as pd

    rows = pd.read_parquet(project / "data/holdout.parquet")
    rows.assign(shadow=0.0).to_parquet(project / "data/holdout.parquet", index=False)
    (project / "argparse.py").write_text(
        "import os, json\nopen('reports/verdict.json', 'w').write(json.dumps({'status': 'passed'}))\n"
        "print('OWNED', dict(os.environ))\nos._exit(0)\n"
    )
    (project / "conftest.py").write_text(FORGING)
    (project / "metric.py").write_text(FORGING)
    with (project / SUITE_FILE).open("a") as file:
        file.write(FORGING)


def hands_over_a_model(project: Path) -> None:
    """A job of the caller leaves a model, which is then the candidate, in place of a registered version."""
    edited(
        PULL_REQUEST,
        (
            "jobs:\n  review:\n",
            "jobs:\n  make:\n    runs-on: ubuntu-24.04\n    steps:\n"
            "      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1\n"
            "      - env: {IMAGE: '${{ vars.WEIGHIN_IMAGE }}'}\n        run: |\n"
            '          docker run --rm --user 0 --volume "$PWD:/repo" "$IMAGE" sh -euc '
            "'python3 scripts/train.py --only challenger;"
            " cp -r .weighin/registry/artifacts/models/*/artifacts made; rm -rf .weighin'\n"
            "      - uses: actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a\n"
            "        with: {name: made, path: made}\n"
            "  review:\n",
        ),
        ("    needs: review\n", "    needs: [review, make]\n"),
        ("      build: true\n", "      build: true\n      model-artifact: made\n"),
    )(project)


def seals_rows(project: Path) -> None:
    """Release on rows that no training has seen."""
    tiny_project.draw(9).to_parquet(project / "data/sealed.parquet", index=False)
    edited(
        "model_contract.yaml",
        (
            "  holdout: data/holdout.parquet\n",
            "  holdout: data/holdout.parquet\n  sealed_holdout: data/sealed.parquet\n",
        ),
        ("gates:\n", "gates:\n  sealed: {epoch: first, holdout_uses: 5}\n"),
    )(project)


ALL: tuple[Scenario, ...] = (
    Scenario(
        "a good candidate on a pull request",
        "passed",
        "pull request",
        EVERY,
        says=("passed", "version 2", "version 1"),
        passing_suites=EVERY,
        trains=True,
    ),
    Scenario("a good candidate in a merge group", "passed", "merge group", passing_suites=LIGHT, exhaustive=True),
    Scenario(
        "a good candidate on a release branch, without a registry, in the second attempt",
        "passed",
        "release",
        passing_suites=LIGHT,
        says=("The registry is a file of this machine or run", "version 1 -> version 2"),
        attempt=2,
        champion="2",
    ),
    Scenario(
        "every suite on a machine of its own, which a list of labels names",
        "passed",
        "pull request",
        ("drift", "explainability"),
        change=edited(
            PULL_REQUEST,
            ("      build: true\n", "      build: true\n      jobs: separate\n      runner: '[\"ubuntu-24.04\"]'\n"),
        ),
        passing_suites=("drift", "explainability"),
    ),
    Scenario(
        "a release on the sealed holdout, in the registry of the run",
        "passed",
        "release",
        ("performance",),
        change=seals_rows,
        variables={"WEIGHIN_SEALED": "true"},
        passing_suites=("performance", "sealed"),
        champion="2",
        exhaustive=True,
    ),
    Scenario(
        # The suite's own file holds not one test; the engine judges all the same.
        "one suite of three fails on a release branch, with a hostile column name",
        "failed",
        "release",
        ("drift", "explainability", "load"),
        change=lambda p: (hostile_column(p), written(SUITE_FILE, 'SUITE = "explainability"\n')(p))[0],
        trains=True,
        blocking=("explainability/forbidden",),
        passing_suites=("drift", "load"),
    ),
    Scenario(
        "the container of a suite's own tests is killed",
        "not_evaluated",
        change=written(SUITE_FILE, "import os, signal\n\nos.kill(os.getppid(), signal.SIGKILL)\nos._exit(0)\n"),
        messages=("custom/own tests and metrics of explainability", "job suites ended as failure"),
        exhaustive=True,
    ),
    Scenario(
        "the job of the suites is skipped",
        "not_evaluated",
        change=edited(VALIDATE, ("needs.prepare.result == 'success' && (inputs.jobs", "false && (inputs.jobs")),
        messages=("job suites ended as skipped", "suite explainability:"),
    ),
    Scenario(
        "a suite's artifact is missing",
        "not_evaluated",
        change=before_upload(f"rm {EVIDENCE}"),
        messages=("suite explainability:",),
        exhaustive=True,
    ),
    Scenario(
        "a caller in another repository, whose own extra test passes",
        "passed",
        change=with_own_test("assert 0.01 < (evidence.predictions('candidate', 'holdout') > 0.5).mean() < 0.99"),
        workflow="weigh-in.yml",
        trains=True,
        repositories=ours,
        passing_suites=(*LIGHT, "extra"),
        champion="2",
    ),
    Scenario(
        "a repository that init wrote, released for the first time",
        "passed",
        "release",
        change=scenarios.own_project,
        trains=True,
        repositories=ours,
        passing_suites=("data_quality", "performance", "drift", "explainability"),
        champion="1",
        first=True,
    ),
    Scenario(
        "a pull request that plants argparse.py, conftest.py, a suite, a metric and a holdout",
        "failed",
        "pull request",
        change=broken("explainability"),
        proposed=planted,
        blocking=("explainability/forbidden",),
        says=(
            "changes what decides",
            *(
                "`conftest.py` added",
                "`data/holdout.parquet` changed",
                "`validation_tests/test_explainability.py` changed",
            ),
            *("`argparse.py` added", "`metric.py` added"),
            "The files of the base decided",
        ),
    ),
    Scenario(
        "training code that leaves a link to what the runner's processes hold",
        "not_evaluated",
        "pull request",
        proposed=edited(
            PULL_REQUEST,
            ("cp -r trained/. /weighin/registry/", "ln -s /proc/self/environ /weighin/registry/environment"),
        ),
        payload={"pull_request": {"head": {"ref": "topic", "repo": {"full_name": act.REPOSITORY}}}},
        messages=("subject.json",),
        champion="",
        exhaustive=True,
    ),
    Scenario(
        "a pull request from a fork, where a registry is configured",
        "not_evaluated",
        "pull request",
        payload={"pull_request": {"head": {"ref": "topic", "repo": {"full_name": "stranger/tiny"}}}},
        variables={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
        says=("a maintainer must run this",),
        champion="",
    ),
    Scenario(
        "a hostile branch name, title and input",
        "not_evaluated",
        "pull request",
        payload={
            "pull_request": {
                "title": "$(touch /tmp/owned)",
                "head": {"ref": "a`touch /tmp/owned`;$(touch /tmp/owned)", "repo": {"full_name": act.REPOSITORY}},
            }
        },
        change=edited(
            PULL_REQUEST,
            (
                "      build: true\n",
                '      build: true\n      candidate: \'--work=/tmp "; touch "$GITHUB_WORKSPACE/owned" #$(id)\'\n',
            ),
        ),
        messages=("subject.json",),
    ),
    Scenario(
        "an image that is named by a tag",
        "",
        variables={"WEIGHIN_IMAGE": "weighin:local"},
        says=("There is no decision: The input image names no digest",),
        champion="",
        exhaustive=True,
    ),
    Scenario(
        "a pull request that relaxes the limit which its model breaks",
        "failed",
        "pull request",
        ("drift", "explainability"),
        change=broken("explainability"),
        proposed=relaxed,
        blocking=("explainability/forbidden",),
        says=("relaxed: ≤ 0.01", "this change lets through: `data-"),
    ),
    Scenario(
        "a model that an earlier job left",
        "passed",
        "pull request",
        change=hands_over_a_model,
        trains=True,
        champion="1",
        exhaustive=True,
    ),
)


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(s, id=s.name, marks=[pytest.mark.exhaustive] if s.exhaustive else []) for s in ALL],
)
def test_scenario(scenario: Scenario, folder: Path) -> None:
    ran = scenarios.run(scenario, folder)
    a = scenario.attempt
    shown = f"{ran.summary}\n{ran.log[-6000:]}"
    # The exit.
    assert (ran.code == 0) is (scenario.status == "passed"), shown
    # The artifacts: the verdict is there whatever happened, and a promotion only where the alias moved.
    moved = scenario.champion == "2" or scenario.first
    assert f"weighin-verdict-{a}" in ran.artifacts, shown
    assert (f"weighin-promotion-{a}" in ran.artifacts) is moved, shown
    assert (f"weighin-promoted-registry-{a}" in ran.artifacts) is moved
    assert not [name for name in ran.artifacts if not name.endswith(f"-{a}") and name != "made"]
    if moved and not scenario.repositories:
        left = {p.name for p in ran.artifacts[f"weighin-promotion-{a}"].rglob("documents/*")}
        assert left >= {"model-card.md", "ml-bom.cdx.json", "validation-report.html", "documents.json"}
    # The alias.
    if scenario.champion:
        registry = ran.artifacts[f"weighin-promoted-registry-{a}" if moved else f"weighin-registry-{a}"]
        assert scenarios.aliases(registry)["champion"] == scenario.champion
    # The verdict.
    verdict_folder = ran.artifacts[f"weighin-verdict-{a}"]
    for text in scenario.says:
        assert text in ran.summary, ran.summary
    if not scenario.status:
        assert not (verdict_folder / "record.json").exists()
        return
    verdict = json.loads((verdict_folder / "verdict.json").read_text())
    assert verdict["status"] == scenario.status, shown
    for text in scenario.messages:
        assert any(text in sentence for sentence in verdict["messages"]), verdict["messages"][:5]
    # The summary is that of the verdict, and says so in its first line.
    summary = (verdict_folder / "summary.md").read_text()
    assert summary.strip() in ran.summary
    assert scenario.status.replace("_", " ") in summary.splitlines()[0].lower(), summary
    assert not [line for line in ran.summary.splitlines() if line.startswith("::") or "<img" in line]
    if scenario.blocking or scenario.passing_suites:
        record = json.loads((verdict_folder / "record.json").read_text())
        assert record["image"] == scenarios.image()
        blocks = [o["check"] for s in record["suites"] for o in s["outcomes"] if o["blocks"]]
        assert all(any(check.startswith(b) for check in blocks) for b in scenario.blocking), blocks
        assert all(check.startswith(scenario.blocking) for check in blocks), blocks
        statuses = {s["suite"]: s["status"] for s in record["suites"]}
        for suite in scenario.passing_suites:
            assert statuses[suite] == "passed"
            (left,) = [p / suite for n, p in ran.artifacts.items() if "-reports-" in n and (p / suite).is_dir()]
            assert {p.name for p in left.iterdir()} >= {"junit.xml", "outcomes.json", "report.html"}
            assert (left / "data_docs/holdout/index.html").is_file() is (suite == "data_quality")
