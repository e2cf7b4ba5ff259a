"""The doctor says `missing` where exactly one thing is, `cannot tell` where it does not know, and never the token."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from support.adopted_project import DIGEST, ROOT, SHA, adopt
from support.contract_texts import PLANNED
from support.github_server import TOKEN, Answers, github, listed
from support.small_project import edit
from weighin.cli import main
from weighin.contract import read_contract
from weighin.doctor.callers import FOLDER, pinned
from weighin.doctor.files import _guarded
from weighin.doctor.finding import Finding
from weighin.doctor.owners import Owners, matches, read_owners

PULL, RELEASE, OWNERS = f"{FOLDER}/pull-request.yml", f"{FOLDER}/release.yml", ".github/CODEOWNERS"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GITHUB_TOKEN", "WEIGHIN_GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return adopt(folder)


def look(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and check -> status and text."""
    code = main(["doctor", "--json", *more])
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err
    found = json.loads(said.out)
    assert found["exit"] == code
    checks = {f["check"]: (f["status"], f"{f['said']}. {f['remedy']}") for f in found["findings"]}
    assert len(checks) == len(found["findings"])
    return code, checks


def broken(checks: dict[str, tuple[str, str]], status: str = "missing") -> list[str]:
    return [name for name, (found, _) in checks.items() if found == status]


# --- files


def test_a_label_plan_and_its_labels_need_an_owner_before_they_are_there(tmp_path: Path) -> None:
    path = tmp_path / "model/model_contract.yaml"
    path.parent.mkdir()
    path.write_text(PLANNED.replace("given: given", 'given: "labels/of-*.csv"'))
    guarded = _guarded(tmp_path, read_contract(path), [], "CODEOWNERS")
    assert {"model/labels/plan.json", "model/labels/of-x.csv"} <= set(guarded)
    assert "model/labels/plan.csv" not in guarded
    for name in ("plan.json", "plan.csv"):
        (path.parent / "labels").mkdir(exist_ok=True)
        (path.parent / "labels" / name).write_text("a")
    assert "model/labels/plan.csv" in _guarded(tmp_path, read_contract(path), [], "CODEOWNERS")


def test_a_repository_as_the_page_has_it_lacks_nothing_and_without_a_token_much_cannot_be_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, checks = look(capsys)
    assert (code, broken(checks)) == (6, [])
    assert broken(checks, "cannot tell")[0] == "main-check"
    assert all("WEIGHIN_GITHUB_TOKEN with `" in checks[name][1] for name in broken(checks, "cannot tell"))


def replace(name: str, *changes: tuple[str, str]) -> Callable[[Path], None]:
    return lambda folder: edit(folder / name, *changes)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: void((folder / name).write_text(text))


def void(_: object) -> None:
    return None


IF = "if: ${{ !cancelled() && needs.validate.result == 'success' && needs.validate.outputs.verdict == 'passed' }}"
PLAIN = f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@{SHA}\n"


@pytest.mark.parametrize(
    ("breaks", "check", "says"),
    [
        (remove("model_contract.yaml"), "contract", "model_contract.yaml: No such file"),
        (replace("model_contract.yaml", ("alpha: 0.05", "alhpa: 0.05")), "contract", "Did you mean `alpha`?"),
        (
            replace("model_contract.yaml", ("minimum: 50, max", "minimum: 51, max")),
            "expectations",
            "not what the contr",
        ),
        (remove("validation_tests/conftest.py"), "suites", "absent: validation_tests/conftest.py"),
        (replace("model_contract.yaml", ("public_data: true", "public_data: false")), "public-data", "refuse"),
        (remove(OWNERS), "codeowners", "none of .github/CODEOWNERS, CODEOWNERS, docs/CODEOWNERS exists"),
        (
            replace(OWNERS, ("/validation_tests/ ", "/validation_test/ ")),
            "codeowners",
            "validation_tests/one-that-is-new",
        ),
        (
            replace(OWNERS, ("/model_contract.yaml     @YOUR-ORG/model-risk", "")),
            "codeowners",
            "no owner for model_contract",
        ),
        (replace(OWNERS, ("/.github/ ", "/.github/workflows/ ")), "codeowners", "no owner for .github/CODEOWNERS"),
        (
            replace(OWNERS, ("/.github/ ", "/.github/workflows/\n/.github/CODEOWNERS ")),
            "codeowners",
            "workflows/one-that-is-new",
        ),
        (write(f"{FOLDER}/odd.yml", "on: [push\n"), "workflows", "odd.yml cannot be read"),
        (write(f"{FOLDER}/odd.yml", "- a\n"), "workflows", "odd.yml cannot be read"),
        (write(f"{FOLDER}/odd.yml", "on: push\njobs: {a: 1}\n"), "workflows", "odd.yml cannot be read"),
        (replace(PULL, ("  validate:", "  validate:\n    name: v ${{ github.ref }}")), "check-name", "no fixed name"),
        (
            replace(PULL, ("[main]\n", "[main]\n    paths: [x]\n")),
            "required-check-unconditional",
            "does not run on every pull request",
        ),
        (
            replace(PULL, ("if: ${{ !cancelled() }}", "if: github.actor != 'x'")),
            "required-check-unconditional",
            "may be skipped",
        ),
        (replace(PULL, ("    if: ${{ !cancelled() }}\n", "")), "required-check-unconditional", "may be skipped"),
        (
            replace(PULL, ("needs.review.outputs.commit", "github.event.pull_request.head.sha")),
            "review",
            "says by itself which commit was reviewed",
        ),
        (replace(PULL, ("  merge_group:\n", "")), "required-check-unconditional", "merge queue"),
        (replace(RELEASE, (f"promote.yml@{SHA}", "promote.yml@v0.1.0")), "pins", "promote.yml@v0.1.0"),
        (replace(RELEASE, (f"promote.yml@{SHA}", f"promote.yml@{'f' * 40}")), "pins", "called at 2 commits"),
        (write(f"{FOLDER}/x.yml", PLAIN.replace(SHA, "v7")), "pins", "x.yml: actions/checkout@v7"),
        (write(f"{FOLDER}/x.yml", PLAIN.replace(SHA, SHA[:12])), "pins", "x.yml: actions/checkout@1234567890"),
        (replace(PULL, (f"@sha256:{DIGEST}", ":latest")), "image", "can be moved"),
        (
            replace(PULL, (f"      image: ghcr.io/OWNER/weigh-in@sha256:{DIGEST}\n", "      build: true\n")),
            "image",
            "builds an image",
        ),
        (
            write(f"{FOLDER}/x.yml", "on: push\njobs: {a: {uses: ./x.yml, secrets: inherit}}\n"),
            "no-secrets-inherit",
            "x.yml: a",
        ),
        (write(f"{FOLDER}/x.yml", PLAIN.replace("push", "[pull_request_target]")), "pull-request-target", "x.yml"),
        (write(f"{FOLDER}/x.yaml", PLAIN.replace("push", "pull_request_target")), "pull-request-target", "x.yaml"),
        (replace(RELEASE, ("contents: read", "contents: write")), "permissions", "Grant exactly {contents: read}"),
        (replace(PULL, ("contents: read", "contents: read\n      actions: read")), "permissions", "Grant exactly"),
        (replace(RELEASE, ("    permissions:\n      contents: read\n", "")), "permissions", "grants {}"),
        (
            replace(RELEASE, ("    permissions:\n      contents: read\n", "    permissions: read-all\n")),
            "permissions",
            "all",
        ),
        (replace(RELEASE, (IF, "if: always()")), "promotion-condition", "release.yml: promote does not demand"),
        (replace(RELEASE, (IF, IF.replace(" }}", " || true }}"))), "promotion-condition", "does not demand"),
        (
            replace(RELEASE, (IF, IF.replace(" && needs.validate.outputs.verdict == 'passed'", ""))),
            "promotion-condition",
            "",
        ),
        (replace(RELEASE, ("    needs: validate\n", "")), "promotion-condition", "does not demand"),
        (replace(RELEASE, ("  push:", "  schedule: [{cron: 1 1 1 1 1}]\n  push:")), "promotion-trigger", "`schedule`"),
        (replace(RELEASE, ('    branches: ["release/**"]\n', "")), "promotion-trigger", "any branch"),
        (replace(RELEASE, ('["release/**"]', '["**"]')), "promotion-trigger", "any branch"),
    ],
)
def test_exactly_one_thing_is_missing(
    breaks: Callable[[Path], None], check: str, says: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    breaks(project)
    code, checks = look(capsys)
    assert code == 1
    assert broken(checks) == [check], checks
    assert says in checks[check][1]


def test_without_workflows_nothing_that_needs_them_is_ok(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (project / FOLDER).iterdir():
        path.unlink()
    assert broken(look(capsys)[1]) == ["workflows", "check-name", "required-check-unconditional"]


def test_in_a_fork_the_actions_that_jobs_run_need_an_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(adopt(tmp_path, "Fork"))
    (tmp_path / "actions/comment").mkdir(parents=True)
    (tmp_path / "actions/comment/action.yml").write_text("runs: {using: composite, steps: []}\n")
    assert "no owner for actions/one-that-is-new" in look(capsys)[1]["codeowners"][1]
    with (tmp_path / OWNERS).open("a") as file:
        file.write("\n/actions/ @team/owners\n")
    assert look(capsys)[1]["codeowners"][0] == "ok"


def three_models(project: Path) -> None:
    """Move the model into a folder, beside two others like it, under a workflow for several."""
    for name in ("a", "b", "c"):
        (project / "models" / name).mkdir(parents=True)
        for part in ("model_contract.yaml", "validation_tests", "great_expectations", "examples", "policy"):
            if (project / part).is_dir():
                shutil.copytree(project / part, project / "models" / name / part)
            elif (project / part).exists():
                shutil.copy(project / part, project / "models" / name)
    (project / "model_contract.yaml").unlink()
    edit(project / PULL, ("validate.yml@", "monorepo.yml@"))
    with (project / OWNERS).open("a") as file:
        file.write("\n/models/ @team/owners\n")


def test_a_repository_of_three_models_is_looked_at_model_by_model(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three_models(project)
    edit(project / "models/b/model_contract.yaml", ("public_data: true", "public_data: false"))
    assert main(["doctor", "--json", "--contract", "models/*/model_contract.yaml"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    (lacking,) = [f for f in findings if f["status"] == "missing"]
    assert lacking["check"] == "public-data"
    assert lacking["said"].startswith("models/b/model_contract.yaml: ")
    assert [f["check"] for f in findings].count("contract") == 3
    assert [f["check"] for f in findings].count("check-name") == 1


def test_a_pattern_that_matches_no_contract_is_a_usage_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--contract", "models/*/model_contract.yaml"]) == 4
    assert "no contract matches" in capsys.readouterr().err


def test_what_a_broken_contract_hides_cannot_be_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "model_contract.yaml").write_text("version: 1\n")
    checks = look(capsys)[1]
    assert {checks[c][0] for c in ("expectations", "suites", "public-data", "codeowners")} == {"cannot tell"}


def test_this_repository_lacks_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert broken(look(capsys)[1]) == []


def test_a_promotion_after_an_attestation_holds_if_the_attestation_does(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attest = (
        f"  attest:\n    needs: validate\n    {IF}\n    runs-on: ubuntu-24.04\n"
        "    permissions: {contents: read, id-token: write, attestations: write}\n    steps:\n"
        f"      - uses: OWNER/weigh-in/actions/attest@{SHA}\n        with: {{image: x@sha256:{DIGEST}}}\n"
    )
    after = "    needs: [validate, attest]\n    if: ${{ !cancelled() && needs.attest.result == 'success' }}"
    edit(project / RELEASE, ("  promote:\n", f"{attest}  promote:\n"))
    edit(project / RELEASE, (f"  promote:\n    needs: validate\n    {IF}", f"  promote:\n{after}"))
    assert broken(look(capsys)[1]) == []
    edit(
        project / RELEASE,
        (f"  attest:\n    needs: validate\n    {IF}", "  attest:\n    needs: validate\n    if: always()"),
    )
    assert broken(look(capsys)[1]) == ["promotion-condition"]


@pytest.mark.parametrize(
    "arguments",
    [["--repository", "x"], ["--repository", "o/r/../x"], ["--contract", "/etc/passwd"], ["--repository", "a b/c"]],
)
def test_a_usage_error_is_4(arguments: list[str], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *arguments]) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_an_address_that_would_leak_the_token_is_a_usage_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", "http://example.org")
    assert main(["doctor", "--repository", "o/r"]) == 4
    assert TOKEN not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("uses", "holds"),
    [
        ("./.github/workflows/x.yml", True),
        (f"a/b@{SHA}", True),
        ("a/b@main", False),
        ("a/b", False),
        (f"a/b@{SHA} ", False),
        ("docker://x:1", False),
        (f"docker://x@sha256:{DIGEST}", True),
    ],
)
def test_only_what_nobody_can_change_is_pinned(uses: str, holds: bool) -> None:
    assert pinned(uses) is holds


@pytest.mark.parametrize(
    ("pattern", "path", "holds"),
    [
        ("*", "a/b/c", True),
        ("*.js", "a/b.js", True),
        ("/build/logs/", "build/logs/x/y", True),
        ("/build/logs/", "build/logs", False),
        ("docs/*", "docs/a.md", True),
        ("docs/*", "docs/a/b.md", False),
        ("apps/", "x/apps/y", True),
        ("/docs/", "x/docs/y", False),
        ("**/logs", "x/logs/y", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("/.github/", ".github/workflows/x.yml", True),
        (".github", ".github/workflows/x.yml", True),
        ("a?c", "abc", True),
        ("/a.c", "abc", False),
        ("/", "a", False),
    ],
)
def test_patterns_of_owners_match_as_on_github(pattern: str, path: str, holds: bool) -> None:
    assert matches(pattern, path) is holds


def test_the_last_pattern_counts_and_lines_with_mistakes_do_not(tmp_path: Path) -> None:
    (tmp_path / "CODEOWNERS").write_text(
        "* @a # everything\n/x/ @b team@example.org\n/x/free\n!/y @c\n/z[0] @c\n/x/ nobody\n"
    )
    owners = read_owners(tmp_path)
    assert owners == Owners("CODEOWNERS", (("*", ("@a",)), ("/x/", ("@b", "team@example.org")), ("/x/free", ())))
    assert [owners.of(p) for p in ("y", "x/y", "x/free")] == [("@a",), ("@b", "team@example.org"), ()]
    (tmp_path / ".github").mkdir()
    (tmp_path / OWNERS).write_text("")
    assert read_owners(tmp_path) == Owners(OWNERS, ())


def test_a_finding_without_a_remedy_is_ok_and_no_other() -> None:
    for status, remedy in (("ok", "Do it."), ("missing", ""), ("cannot tell", "")):
        with pytest.raises(AssertionError):
            Finding("x", status, "said", remedy)


# --- settings

R = "/repos/o/r"
READER = {"type": "User", "reviewer": {"login": "risk", "id": 1}}


def rule(kind: str, **parameters: Any) -> dict[str, Any]:
    found = {"type": kind, "ruleset_source_type": "Repository", "ruleset_source": "o/r", "ruleset_id": 42}
    return found | ({"parameters": parameters} if parameters else {})


def demands(*names: str) -> dict[str, Any]:
    checks = [{"context": n, "integration_id": 15368} for n in names]
    return rule("required_status_checks", required_status_checks=checks, strict_required_status_checks_policy=False)


REVIEWED = rule("pull_request", required_approving_review_count=1, require_code_owner_review=True)
NOT_PROTECTED = (
    404,
    {"message": "Branch not protected", "documentation_url": "https://docs.github.com", "status": "404"},
)
NOT_FOUND = (404, {"message": "Not Found", "status": "404"})
FORBIDDEN = (403, {"message": f"Resource not accessible by {TOKEN}", "status": "403"})
ENVIRONMENT = {
    "id": 1,
    "name": "production",
    "protection_rules": [
        {"id": 1, "type": "required_reviewers", "prevent_self_review": True, "reviewers": [READER]},
        {"id": 2, "type": "branch_policy"},
    ],
    "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
}
CLASSIC = {
    "required_status_checks": {
        "strict": True,
        "contexts": ["validate / gate"],
        "checks": [{"context": "validate / gate", "app_id": 15368}],
    },
    "required_pull_request_reviews": {"require_code_owner_reviews": True},
    "enforce_admins": {"enabled": True},
}
GOOD: dict[str, Any] = {
    R: {
        "default_branch": "main",
        "private": False,
        "allow_forking": True,
        "owner": {"login": "o", "type": "Organization"},
    },
    f"{R}/rules/branches/main": [demands("validate / gate", "lint"), REVIEWED],
    f"{R}/branches/main/protection": NOT_PROTECTED,
    f"{R}/codeowners/errors": {"errors": []},
    f"{R}/rules/branches/release%2Fweighin-doctor": [rule("creation"), rule("update")],
    f"{R}/git/matching-refs/heads/release/": [],
    f"{R}/environments": listed("environments", [ENVIRONMENT]),
    f"{R}/environments/production/deployment-branch-policies": listed(
        "branch_policies", [{"id": 1, "name": "release/**", "type": "branch"}]
    ),
    f"{R}/actions/variables": listed("variables", []),
    f"{R}/actions/organization-variables": listed("variables", []),
    f"{R}/actions/secrets": listed("secrets", [{"name": n} for n in ("MLFLOW_READ_USERNAME", "MLFLOW_READ_PASSWORD")]),
    f"{R}/actions/organization-secrets": listed(
        "secrets", [{"name": n} for n in ("MLFLOW_PROMOTE_USERNAME", "MLFLOW_PROMOTE_PASSWORD")]
    ),
    f"{R}/actions/permissions/workflow": {
        "default_workflow_permissions": "read",
        "can_approve_pull_request_reviews": False,
    },
    f"{R}/actions/permissions": {"enabled": True, "allowed_actions": "all", "sha_pinning_required": True},
    f"{R}/immutable-releases": {"enabled": True, "enforced_by_owner": False},
}


def there(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> AbstractContextManager[Answers]:
    server = github(GOOD | changes)

    class Named:
        def __enter__(self) -> Answers:
            answers = server.__enter__()
            monkeypatch.setenv("GITHUB_API_URL", answers.address)
            monkeypatch.setenv("WEIGHIN_GITHUB_TOKEN", TOKEN)
            return answers

        def __exit__(self, *error: Any) -> None:
            server.__exit__(*error)

    return Named()


def ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changes: dict[str, Any]
) -> tuple[int, dict[str, tuple[str, str]]]:
    with there(monkeypatch, changes) as answers:
        found = look(capsys, "--repository", "o/r")
        assert {token for _, token in answers.asked} == {f"Bearer {TOKEN}"}
        return found


def test_a_repository_in_which_all_is_set_is_0(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, checks = ask(monkeypatch, capsys, {})
    assert (code, {status for status, _ in checks.values()}) == (0, {"ok"}), checks


def test_each_finding_is_one_line_and_hostile_names_stay_text(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "x\x1b[31m\n::error::y"
    with there(monkeypatch, {f"{R}/rules/branches/main": [demands(odd), REVIEWED]}):
        assert main(["doctor", "--repository", "o/r"]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert all(re.match(r"ok |missing |cannot tell |\d+ ok", line) for line in said.splitlines())
    assert len(said.splitlines()) == len(look(capsys)[1]) + 1


def test_without_a_repository_one_line_says_that_its_settings_are_not_known(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert main(["doctor"]) == 6
    unknown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("cannot tell")]
    assert len(unknown) == 1, unknown
    assert "no repository was named, so nothing is known of main-check, " in unknown[0]


def environment(**changes: Any) -> dict[str, Any]:
    return {f"{R}/environments": listed("environments", [ENVIRONMENT | changes])}


def actions(**changes: Any) -> dict[str, Any]:
    return {f"{R}/actions/permissions": GOOD[f"{R}/actions/permissions"] | changes}


def reviewers(**changes: Any) -> dict[str, Any]:
    return environment(protection_rules=[ENVIRONMENT["protection_rules"][0] | changes])


def policies(*names: str) -> dict[str, Any]:
    path = f"{R}/environments/production/deployment-branch-policies"
    return {path: listed("branch_policies", [{"name": n} for n in names])}


def default(access: str, approves: bool) -> dict[str, Any]:
    found = {"default_workflow_permissions": access, "can_approve_pull_request_reviews": approves}
    return {f"{R}/actions/permissions/workflow": found}


MAIN_RULES, MAIN_CLASSIC = f"{R}/rules/branches/main", f"{R}/branches/main/protection"
RELEASE_RULES, RELEASE_CLASSIC = f"{R}/rules/branches/release%2Fweighin-doctor", f"{R}/branches/release%2F1/protection"
REFS = {f"{R}/git/matching-refs/heads/release/": [{"ref": "refs/heads/release/1"}], RELEASE_RULES: []}


@pytest.mark.parametrize(
    ("changes", "check", "says"),
    [
        ({MAIN_RULES: [demands("lint"), REVIEWED]}, "main-check", "`main` demands ['lint']"),
        ({MAIN_RULES: [demands("gate"), REVIEWED]}, "main-check", "Require the check `validate / gate`"),
        ({MAIN_RULES: [demands("validate / gate"), rule("deletion")]}, "main-owners", "without its code owners"),
        (
            {MAIN_RULES: [], MAIN_CLASSIC: CLASSIC | {"required_pull_request_reviews": {}}},
            "main-owners",
            "without its code owners",
        ),
        (
            {MAIN_RULES: [], MAIN_CLASSIC: {k: v for k, v in CLASSIC.items() if "status" not in k}},
            "main-check",
            "no check",
        ),
        ({f"{R}/codeowners/errors": {"errors": [{"line": 7, "kind": TOKEN}]}}, "owners-valid", "1 mistakes"),
        (REFS | {RELEASE_CLASSIC: NOT_PROTECTED}, "release-branches", "`release/1`: whoever may write may push"),
        (REFS | {RELEASE_CLASSIC: {"restrictions": {"users": []}}}, "release-branches", "may push"),
        ({f"{R}/environments": listed("environments", [])}, "environment", "`production` does not exist"),
        (reviewers(reviewers=[]), "environment-reviewers", "has no reviewers"),
        (reviewers(prevent_self_review=False), "environment-self-review", "Prevent self-review"),
        (environment(deployment_branch_policy=None), "environment-branches", "any branch may use"),
        (policies("release/**", "*"), "environment-branches", "allows ["),
        ({f"{R}/actions/secrets": listed("secrets", [])}, "secrets", "MLFLOW_READ_PASSWORD, MLFLOW_READ_USERNAME"),
        (
            {
                f"{R}/actions/secrets": listed(
                    "secrets", [*GOOD[f"{R}/actions/secrets"]["secrets"], {"name": "GCP_SA_KEY"}]
                )
            },
            "long-lived-secrets",
            "GCP_SA_KEY",
        ),
        (
            {f"{R}/actions/variables": listed("variables", [{"name": "WEIGHIN_IMAGES", "value": "x"}])},
            "variables",
            "reads",
        ),
        (default("write", False), "token-default", "gets `write`"),
        (default("read", True), "token-default", "may approve"),
        (actions(sha_pinning_required=False), "actions-pinned", "by tag"),
        (actions(enabled=False), "actions-pinned", "Actions are off"),
        (actions(allowed_actions="local_only"), "actions-pinned", "of this owner"),
        ({f"{R}/immutable-releases": NOT_FOUND}, "immutable-releases", "can be changed"),
        ({f"{R}/immutable-releases": {"enabled": False}}, "immutable-releases", "can be changed"),
    ],
)
def test_exactly_one_setting_is_missing(
    changes: dict[str, Any],
    check: str,
    says: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, checks = ask(monkeypatch, capsys, changes)
    expected = [check]
    if check == "environment":
        expected += ["environment-reviewers", "environment-self-review", "environment-branches"]
    if changes == reviewers(reviewers=[]):
        assert checks["environment-self-review"][0] == "ok"
    assert (code, broken(checks)) == (1, expected), checks
    assert says in checks[check][1]


@pytest.mark.parametrize(
    "changes",
    [
        {MAIN_RULES: [], MAIN_CLASSIC: CLASSIC},
        {MAIN_RULES: FORBIDDEN, MAIN_CLASSIC: CLASSIC},
        {MAIN_CLASSIC: FORBIDDEN},
        {RELEASE_RULES: [rule("creation"), REVIEWED]},
        REFS | {RELEASE_CLASSIC: {"restrictions": {"users": []}, "block_creations": {"enabled": True}}},
        environment(name="Production"),
        environment(deployment_branch_policy={"protected_branches": True, "custom_branch_policies": False}),
        {
            R: GOOD[R] | {"owner": {"login": "o", "type": "User"}},
            f"{R}/actions/organization-secrets": NOT_FOUND,
            f"{R}/actions/organization-variables": NOT_FOUND,
            f"{R}/actions/secrets": listed(
                "secrets", [{"name": f"MLFLOW_{w}_{v}"} for w in ("READ", "PROMOTE") for v in ("USERNAME", "PASSWORD")]
            ),
        },
    ],
)
def test_what_is_set_in_another_way_is_0_as_well(
    changes: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, checks = ask(monkeypatch, capsys, changes)
    assert (code, broken(checks), broken(checks, "cannot tell")) == (0, [], []), checks


@pytest.mark.parametrize(
    ("changes", "names", "says"),
    [
        ({MAIN_RULES: [], MAIN_CLASSIC: FORBIDDEN}, ["main-check", "main-owners"], "needs `administration: read`"),
        ({MAIN_RULES: [], MAIN_CLASSIC: NOT_FOUND}, ["main-check", "main-owners"], "needs `administration: read`"),
        ({MAIN_RULES: FORBIDDEN}, ["main-check", "main-owners"], "answered 403"),
        ({f"{R}/codeowners/errors": FORBIDDEN}, ["owners-valid"], "needs `contents: read`"),
        ({RELEASE_RULES: FORBIDDEN}, ["release-branches"], "answered 403"),
        ({RELEASE_RULES: [rule("creation")]}, ["release-branches"], "shows only where a branch exists"),
        (REFS | {RELEASE_CLASSIC: NOT_FOUND}, ["release-branches"], "answered 404"),
        (
            {f"{R}/environments": FORBIDDEN},
            ["environment", "environment-reviewers", "environment-self-review", "environment-branches"],
            "needs `actions: read",
        ),
        ({f"{R}/environments/production/deployment-branch-policies": FORBIDDEN}, ["environment-branches"], "403"),
        ({f"{R}/actions/secrets": FORBIDDEN}, ["secrets", "long-lived-secrets"], "needs `secrets: read"),
        ({f"{R}/actions/organization-secrets": FORBIDDEN}, ["secrets", "long-lived-secrets"], "needs `secrets: read"),
        ({f"{R}/actions/variables": FORBIDDEN}, ["variables"], "needs `variables: read`"),
        ({f"{R}/actions/permissions/workflow": FORBIDDEN}, ["token-default"], "needs `administration: read`"),
        ({f"{R}/actions/permissions": FORBIDDEN}, ["actions-pinned"], "needs `administration: read`"),
        ({f"{R}/actions/permissions": {"enabled": True, "allowed_actions": "all"}}, ["actions-pinned"], "does not say"),
        (
            {f"{R}/actions/permissions": FORBIDDEN, f"{R}/immutable-releases": NOT_FOUND},
            ["actions-pinned", "immutable-releases"],
            "needs `administration: read`",
        ),
        ({f"{R}/immutable-releases": (500, {})}, ["immutable-releases"], "answered 500"),
        ({f"{R}/immutable-releases": b"<html>"}, ["immutable-releases"], "did not answer"),
        ({f"{R}/actions/permissions/workflow": {}}, ["token-default"], "a form that is not known here"),
        (
            {f"{R}/environments": listed("environments", [{"name": "production"}])},
            None,
            "a form that is not known here",
        ),
    ],
)
def test_what_is_not_answered_cannot_be_told(
    changes: dict[str, Any],
    names: list[str] | None,
    says: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, checks = ask(monkeypatch, capsys, changes)
    names = names or ["environment-reviewers", "environment-self-review", "environment-branches"]
    assert (code, broken(checks), broken(checks, "cannot tell")) == (6, [], names), checks
    assert says in checks[names[0]][1]


def test_nothing_is_ok_where_nothing_answers(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    every = ask(monkeypatch, capsys, dict.fromkeys(GOOD, FORBIDDEN))[1]
    settings = list(every)[list(every).index("main-check") :]
    assert broken(every, "cannot tell") == settings


def by_variables(project: Path) -> None:
    for name in (PULL, RELEASE):
        edit(
            project / name,
            ("https://mlflow.example.org", "${{ vars.MLFLOW_TRACKING_URI }}"),
            (f"ghcr.io/OWNER/weigh-in@sha256:{DIGEST}", "${{ vars.WEIGHIN_IMAGE }}"),
        )


def variables(**own: str) -> dict[str, Any]:
    return {f"{R}/actions/variables": listed("variables", [{"name": k, "value": v} for k, v in own.items()])}


GOOD_IMAGE = f"ghcr.io/o/w@sha256:{DIGEST}"


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        (variables(WEIGHIN_IMAGE=GOOD_IMAGE), []),
        (variables(WEIGHIN_IMAGE=GOOD_IMAGE) | {f"{R}/actions/secrets": listed("secrets", [])}, []),
        (variables(WEIGHIN_IMAGE="ghcr.io/o/w:latest"), ["variables"]),
        (variables(), ["variables"]),
        (variables(WEIGHIN_IMAGE=GOOD_IMAGE, MLFLOW_TRACKING_URI="https://m"), ["fork-pull-requests"]),
        (
            variables(WEIGHIN_IMAGE=GOOD_IMAGE, MLFLOW_TRACKING_URI="https://m")
            | {R: GOOD[R] | {"private": True, "allow_forking": False}},
            [],
        ),
        (
            variables(WEIGHIN_IMAGE=GOOD_IMAGE, MLFLOW_TRACKING_URI="https://m")
            | {f"{R}/actions/secrets": listed("secrets", [])},
            ["secrets", "fork-pull-requests"],
        ),
    ],
)
def test_variables_are_read_where_callers_name_them(
    changes: dict[str, Any],
    missing: list[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_variables(project)
    assert broken(ask(monkeypatch, capsys, changes)[1]) == missing


def test_an_environment_that_only_a_run_knows_cannot_be_told(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project / RELEASE, ("environment: production", "environment: ${{ github.ref_name }}"))
    code, checks = ask(monkeypatch, capsys, {})
    assert (code, checks["environment"][0]) == (6, "cannot tell")
    edit(project / RELEASE, ("environment: ${{ github.ref_name }}", "retention-days: 3"))
    code, checks = ask(monkeypatch, capsys, {})
    assert (code, checks["environment"][0]) == (1, "missing")
