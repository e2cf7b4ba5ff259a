"""Code of a repository or a model that wants to run where the decision is made, or beside a secret."""

from __future__ import annotations

import ast
import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
import yaml

from support import quick_python
from support.attack import FORGING, Attack, Result, replaced, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401
from support.judged import judged_by_a_fork
from support.suite_work import Work
from weighin.contract import read_contract
from weighin.errors import PromotionError
from weighin.release.policy import demand
from weighin.runner.isolated import isolated
from weighin.verdict.judge import run_suite

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "weighin/runner"
IMAGE = os.environ.get("WEIGHIN_IMAGE_UNDER_TEST", "weighin:local")
MARK = "PLANTED"
PLANTED = f"import os\nopen(os.environ['{MARK}'], 'a').write(__name__ + ' ' + os.environ.get('SECRET', ''))\n"
"""A module that says where it ran, and what secret it saw."""
METRIC = """
import numpy as np
def own(truth, score, weight):
    return 0.1 + 0.001 * np.arange(len(truth)) / len(truth)
"""
ISOLATED: tuple[str, ...] = ("-I",)
NAIVE: tuple[str, ...] = ()


def planted(place: Path, *names: str) -> Path:
    """A repository with such a module at its root."""
    repo = place / "repo"
    repo.mkdir()
    for name in names:
        (repo / f"{name}.py").write_text(PLANTED)
    return repo


def effect(
    place: Path, command: list[str], repo: Path, environment: dict[str, str] | None = None, *, quick: bool = False
) -> Result:
    """Whether a planted module ran when a command was run in the repository, beside a secret.

    quick  whether a fork of an isolated Python runs what follows `-I`: for attacks that are not about the start
    """
    marks = place / "mark"
    variables = {**os.environ, **(environment or {}), MARK: str(marks), "SECRET": "s3cr3t"}
    if quick:
        done = quick_python.run(command[2:], repo, env=variables, timeout=120)
        assert done.returncode == 0, done.stderr
    else:
        subprocess.run(command, cwd=repo, env=variables, capture_output=True, timeout=120, check=False)
    said = marks.read_text() if marks.exists() else ""
    return Result.SECRET if "s3cr3t" in said else Result.FORGED if said else Result.BLOCKED


def host_step(place: Path, wall: bool, module: str) -> Result:
    """A step of a workflow on the host, in a checkout that holds such a module."""
    repo = planted(place, module)
    program = ["docker", "predict", "--image", "x", "--work", "x"]
    if wall:
        return effect(place, [sys.executable, "-I", str(HOST), *program], repo)
    before = [sys.executable, "-m", "weighin.runner.docker", *program[1:]]
    return effect(place, before, repo, {"PYTHONPATH": str(ROOT)})


def argparse_at_the_root(place: Path, wall: bool) -> Result:
    return host_step(place, wall, "argparse")


def json_at_the_root(place: Path, wall: bool) -> Result:
    return host_step(place, wall, "json")


def the_engine_at_the_root(place: Path, wall: bool) -> Result:
    """The repository has a package called like the engine, which a runner in its folder would be."""
    repo = place / "repo"
    (repo / "weighin/runner").mkdir(parents=True)
    for name in ("__init__", "runner/__init__", "runner/docker"):
        (repo / f"weighin/{name}.py").write_text(PLANTED)
    program = ["docker", "predict", "--image", "x", "--work", "x"]
    if wall:
        return effect(place, [sys.executable, "-I", str(HOST), *program], repo)
    return effect(place, [sys.executable, "-m", "weighin.runner.docker", *program[1:]], repo)


def path_from_outside(place: Path, wall: bool) -> Result:
    """A variable of the job names a folder of the repository, from which Python then imports."""
    repo = planted(place, "sitecustomize")
    program = [str(HOST), "docker", "predict", "--image", "x", "--work", "x"]
    return effect(place, [sys.executable, *(ISOLATED if wall else NAIVE), *program], repo, {"PYTHONPATH": "."})


def modules_of_a_user(place: Path, wall: bool) -> Result:
    """An earlier job left a module in the home of the machine's user."""
    repo = planted(place)
    site = place / f"home/.local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text(PLANTED)
    program = [str(HOST), "docker", "predict", "--image", "x", "--work", "x"]
    python = os.path.realpath(sys.executable)  # in a virtual environment there is no user's folder at all
    return effect(place, [python, *(ISOLATED if wall else NAIVE), *program], repo, {"HOME": str(place / "home")})


def policy_of_the_repository(place: Path, wall: bool) -> Result:
    """The repository's own `weighin/release/policy.py` allows what the policy denies."""
    repo = place / "repo"
    (repo / "weighin/release").mkdir(parents=True)
    for package in ("weighin", "weighin/release"):
        (repo / package / "__init__.py").touch()
    (repo / "weighin/release/policy.py").write_text('print(\'{"deny": [], "allow": true}\')')
    (repo / "policy.rego").write_text(
        'package weighin.release\nimport rego.v1\ndefault allow := false\ndeny contains "never"\n'
    )
    here = os.getcwd()
    os.chdir(repo)
    try:
        with replaced(wall, "subprocess.run", functools.partial(_without_isolation, subprocess.run)):
            demand(repo / "policy.rego", {})
    except PromotionError:
        return Result.BLOCKED
    finally:
        os.chdir(here)
    return Result.FORGED


def _without_isolation(run, command, **more):  # type: ignore[no-untyped-def]
    return run([part for part in command if part not in ("-I", "-P")], **more)


def server_of_the_repository(place: Path, wall: bool) -> Result:
    """The process that serves the champion starts in a repository which has a module that it imports."""
    from weighin.serving.follow import _program, _variables

    repo = planted(place, "uvicorn", "logging")
    command = _program(0, place)
    if not wall:
        return effect(place, [part for part in command if part != "-P"], repo)
    return effect(place, command, repo, _variables(place, "1", None))


def interpreter_of_the_image(place: Path, wall: bool) -> Result:
    """A container's working folder is the repository; so is that of every Python that is started in it."""
    repo = planted(place, "statistics")
    place.chmod(0o755)
    (place / "mark").touch()
    (place / "mark").chmod(0o666)
    command = ["docker", "run", "--rm", "--network", "none", "--volume", f"{repo}:/repo:ro", "--env", f"{MARK}=/mark"]
    command += [
        "--volume",
        f"{place / 'mark'}:/mark",
        "--env",
        "SECRET",
        *([] if wall else ["--env", "PYTHONSAFEPATH="]),
    ]
    return effect(place, [*command, IMAGE, "python3", "-c", "import statistics"], repo)


# --- what the judge of our own suites is made to run


@functools.cache
def _red() -> Path:
    """A project whose candidate is worse than allowed, and whose data have drifted: red, whatever its files want."""
    folder = Path(tempfile.mkdtemp(prefix="weighin-attack-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    work = Work(folder)
    head, tail = work.contract.split("    slices:\n", 1)
    own = "      - {metric: custom.own, at_most: 0.9}\n"
    own += "    custom: {own: {function: 'metric:own', unit: share, lower_is_better: true}}\n"
    work.contract = head + own + "    slices:\n" + tail
    work.frames["current"]["temp"] += 40
    work.scores["candidate", "holdout"] = work.scores["candidate", "holdout"][::-1].copy()
    work.write()
    (folder / "metric.py").write_text(METRIC)
    shutil.copytree(
        ROOT / "validation_tests", folder / "validation_tests", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


OURS = {name: (ROOT / name).read_text() for name in ("validation_tests/conftest.py", "validation_tests/test_drift.py")}
# As it was: the module is imported where its check is measured, here before the others.
METRIC_FIRST = (
    "pytest_plugins = ['weighin.suites.plugin']\n"
    "def pytest_collection_modifyitems(items):\n    items.sort(key=lambda i: 'custom' not in i.name)\n"
)


@dataclass(frozen=True)
class Planted:
    """What a repository holds so that a red check passes.

    files      name -> text
    variables  name -> value, with `{repo}` for the repository
    suite, check  where it is red
    before     further files, without which what was there before the wall does not meet the others
    """

    files: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)
    suite: str = "drift"
    check: str = "drift/temp"
    before: dict[str, str] = field(default_factory=dict)

    def judged(self, place: Path, wall: bool) -> Result:
        """What the check comes to; without the wall, of pytest in the repository."""
        if wall:
            status = _judged_with_everything(self.suite)[self.check]
            return Result.BLOCKED if status == "failed" else Result.FORGED
        repo = _repository(place, self.files | self.before)
        command = [sys.executable, "-m", "pytest", "-q", f"validation_tests/test_{self.suite}.py"]
        command += [
            "--weighin-work=work",
            f"--weighin-out={place}",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
        ]
        variables = {name: value.format(repo=repo) for name, value in self.variables.items()}
        subprocess.run(command, cwd=repo, env=os.environ | variables, capture_output=True, timeout=300, check=False)
        return Result.FORGED if _statuses(place)[self.check] == "passed" else Result.BLOCKED


PLANTED_FILES = {
    "conftest.py at the root patches the decision": Planted({"conftest.py": FORGING}),
    "conftest.py beside the suites patches the decision": Planted(
        {"validation_tests/conftest.py": OURS["validation_tests/conftest.py"] + FORGING}
    ),
    "the file of a gate patches the decision": Planted(
        {"validation_tests/test_drift.py": OURS["validation_tests/test_drift.py"] + FORGING}
    ),
    "pytest.ini names a plugin": Planted(
        {"pytest.ini": "[pytest]\naddopts = -p forging\npythonpath = .\n", "forging.py": FORGING}
    ),
    "a variable names a plugin": Planted(
        {"forging.py": FORGING}, {"PYTEST_PLUGINS": "forging", "PYTHONPATH": "{repo}"}
    ),
    "a module that the judge imports stands at the root": Planted(
        {"uuid.py": Path(uuid.__file__).read_text() + FORGING}
    ),
    # A metric was asked in the process that decides the other checks.
    "a metric patches the decision": Planted(
        {"metric.py": METRIC + FORGING},
        suite="performance",
        check="performance/roc_auc",
        before={"validation_tests/conftest.py": METRIC_FIRST},
    ),
}


def _repository(place: Path, files: dict[str, str]) -> Path:
    """The red project with more files."""
    repo = place / "repo"
    shutil.copytree(_red(), repo)
    for name, text in files.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    return repo


def _statuses(left: Path) -> dict[str, str]:
    return {o["check"]: o["status"] for o in json.loads((left / "outcomes.json").read_text())["outcomes"]}


@functools.cache
def _judged_with_everything(suite: str) -> dict[str, str]:
    """Status by check where the repository holds all of `PLANTED_FILES` at once: a wall that holds, holds for all."""
    with tempfile.TemporaryDirectory(prefix="weighin-attack-") as folder:
        place = Path(folder)
        every = PLANTED_FILES.values()
        repo = _repository(place, {name: text for planted in every for name, text in planted.files.items()})
        variables = {name: value.format(repo=repo) for planted in every for name, value in planted.variables.items()}
        with mock.patch.dict(os.environ, variables):
            run_suite(suite, read_contract(repo / "model_contract.yaml"), repo / "work", place / "out")
        return _statuses(place / "out" / suite)


def own_test_that_claims_a_check_of_the_contract(place: Path) -> Result:
    """The judge of the repository's own code writes an outcome of one of our checks among its own."""
    stamp = (
        "\n\ndef pytest_sessionfinish(session):\n"
        "    from weighin.suites.plugin import STATE\n"
        "    run = session.config.stash[STATE]\n"
        "    run.outcomes['drift/temp'] = next(iter(run.outcomes.values()))\n"
    )
    conftest, tests = OURS.values()
    repo = _repository(
        place,
        {
            "validation_tests/conftest.py": conftest + stamp + FORGING,
            "validation_tests/test_drift.py": tests + "\n\ndef test_own():\n    pass\n",
        },
    )
    judged_by_a_fork(repo, "drift", place / "out")
    return Result.FORGED if _statuses(place / "out/drift")["drift/temp"] == "passed" else Result.BLOCKED


def configuration_of_great_expectations(place: Path, wall: bool) -> Result:
    """The configuration of a tool names a module of the repository, which the tool then imports where we judge."""
    from weighin.suites import data_quality

    (place / "folder/expectations").mkdir(parents=True)
    (place / "folder/plugins").mkdir()
    (place / "folder/plugins/planted.py").write_text(PLANTED)
    text = (ROOT / "great_expectations/great_expectations.yml").read_text()
    text = text.replace("    class_name: SiteBuilder\n", "    class_name: SiteBuilder\n    module_name: planted\n")
    (place / "folder/great_expectations.yml").write_text(text)
    home = place / "home"
    if wall:
        (home / "expectations").mkdir(parents=True)
        shutil.copy(Path(data_quality.__file__).with_name("great_expectations.yml"), home)
    else:
        shutil.copytree(place / "folder", home)
    draw = "import sys, great_expectations as gx; context = gx.get_context(mode='file', context_root_dir=sys.argv[1]); "
    draw += "context.build_data_docs()"
    return effect(place, [sys.executable, "-I", "-c", draw, str(home)], place, quick=wall)


ATTACKS = [
    Attack("argparse.py at the root runs on the host", argparse_at_the_root, Result.SECRET),
    Attack("json.py at the root runs on the host", json_at_the_root, Result.SECRET),
    Attack("a package called like the engine runs on the host", the_engine_at_the_root, Result.SECRET),
    Attack("a variable lets the host import from the repository", path_from_outside, Result.SECRET),
    Attack("a module in the home of the machine's user", modules_of_a_user, Result.SECRET),
    Attack("the repository's own policy module allows everything", policy_of_the_repository, Result.FORGED),
    Attack("the process that serves imports from the repository", server_of_the_repository, Result.SECRET),
    Attack("a Python in the image imports from the repository", interpreter_of_the_image, Result.SECRET, True),
    *(Attack(name, planted.judged, Result.FORGED) for name, planted in PLANTED_FILES.items()),
    Attack(
        "a tool's configuration names a module of the repository", configuration_of_great_expectations, Result.SECRET
    ),
]


def test_an_own_test_cannot_speak_for_a_check_of_the_contract(tmp_path: Path) -> None:
    assert own_test_that_claims_a_check_of_the_contract(tmp_path) is Result.BLOCKED


def imported_names() -> list[str]:
    """Every module that the engine imports, by its first name, but for the engine itself."""
    found = set()
    for path in (ROOT / "weighin").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return sorted(found - {"weighin", "__future__"})


@pytest.mark.exhaustive
def test_no_module_of_any_name_is_taken_from_the_repository(tmp_path: Path) -> None:
    """At the root, beside the suites and in a model: whatever we import has a namesake there, which never runs."""
    repo, marks = tmp_path / "repo", tmp_path / "marks"
    shutil.copytree(_red(), repo)
    for folder in (repo, repo / "validation_tests", repo / "great_expectations"):
        for name in (*imported_names(), "weighin", "sitecustomize", "usercustomize"):
            (folder / f"{name}.py").write_text(PLANTED)
    here = os.getcwd()
    os.chdir(repo)
    try:
        with mock.patch.dict(os.environ, {MARK: str(marks)}):
            for suite in ("drift", "data_quality"):
                run_suite(suite, read_contract(repo / "model_contract.yaml"), repo / "work", tmp_path / "out")
            for program in ("docker", "collect", "comment", "reviews", "heartbeat", "gate-statistics"):
                subprocess.run(
                    [sys.executable, "-I", str(HOST), program, "--help"], capture_output=True, timeout=60, check=True
                )
            for command in (["contract", "check"], ["doctor"], ["step", "verdict", "out", "--work", "work"]):
                weighin = [sys.executable, "-P", "-m", "weighin", *command]
                subprocess.run(
                    weighin,
                    capture_output=True,
                    timeout=120,
                    check=False,
                    env=isolated(os.environ) | {MARK: str(marks)},
                )
    finally:
        os.chdir(here)
    assert json.loads((tmp_path / "out/drift/outcomes.json").read_text())["outcomes"]
    assert not marks.exists(), marks.read_text()


def test_every_step_of_the_workflows_starts_python_apart() -> None:
    """No step starts Python where the current folder, a checkout, comes before the standard library."""
    started = 0
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job.get("steps", ()):
                for line in str(step.get("run", "")).splitlines():
                    if "python3 " in line and "scripts/train.py" not in line:
                        started += 1
                        assert "python3 -I " in line, f"{path.name}: {line}"
                assert "PYTHONPATH" not in step.get("env", {}), f"{path.name}: {step['name']}"
    assert started > 15
