"""What the files of a repository tell, without a token."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from weighin.contract import checks, read_contract
from weighin.contract.changes import named_files
from weighin.contract.own import FOLDER as TESTS
from weighin.contract.own import own_suites
from weighin.contract.reading import ContractErrors, ContractFile
from weighin.doctor.callers import FOLDER, Call, Workflow, facts, pinned
from weighin.doctor.finding import Finding, cannot_tell, missing, ok
from weighin.doctor.owners import PLACES, read_owners
from weighin.errors import ContractError
from weighin.suites.expectations import write_suite

GATE = "gate"
SHOWN = 4
VALIDATE = ("validate.yml", "monorepo.yml")
PROMOTES_ON = {"push", "workflow_dispatch", "repository_dispatch"}
_DIGEST = re.compile(r"(?:.*@)?sha256:[0-9a-f]{64}")
_EVERY_CHANGE = ("opened", "synchronize", "reopened")
"""What a pull request trigger without `types` means."""


def check_files(root: Path, contract: Path, workflows: Sequence[Workflow], *others: Path) -> list[Finding]:
    """All findings. `root` is the repository, `contract` the file in it; `others` are those of further models."""
    found = _of_contract(root, contract, workflows)
    for other in others:
        # Which model it is about stands first: the names of the checks are the same for each.
        found += [replace(f, said=f"{other}: {f.said}") for f in _of_contract(root, other, workflows)]
    calls = [call for w in workflows for call in w.calls]
    return [
        *found,
        _readable(workflows),
        _check_name(workflows),
        _check_always(workflows),
        _review(calls),
        _pins(workflows, calls),
        _image(root, calls),
        _inherit(workflows),
        _target(workflows),
        _permissions(calls),
        _condition(calls),
        _promotes_on(calls),
    ]


def _of_contract(root: Path, contract: Path, workflows: Sequence[Workflow]) -> list[Finding]:
    try:
        file = read_contract(contract)
    except ContractError as error:
        problems = error.problems if isinstance(error, ContractErrors) else [str(error)]
        said = f"{problems[0]}{f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''}"
        found = [missing("contract", said.rstrip("."), "Run `weighin contract check`.")]
        unread = ("expectations", "suites", "public-data", "codeowners")
        found += [cannot_tell(c, "the contract cannot be read", "Correct the contract.") for c in unread]
        return found
    found = [_contract(file), _expectations(file), _suites(file), _public_data(file)]
    return [*found, _owners(root, file, workflows)]


def asks(workflows: Iterable[Workflow]) -> list[Call]:
    """Return the calls of validate.yml that pull requests run."""
    return [c for w in workflows if "pull_request" in w.triggers for c in w.calls if c.file in VALIDATE]


def _shown(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")


def _contract(file: ContractFile) -> Finding:
    listed = checks(file.contract)
    if expired := [c.expired for c in listed if c.expired]:
        return missing("contract", _shown(expired), "An expired waiver blocks: remove or renew it.")
    return ok("contract", f"{file.path}: {len(listed)} checks in {len(file.contract.gates.names)} suites")


def _expectations(file: ContractFile) -> Finding:
    try:
        write_suite(file.contract, file.folder, check=True)
    except ContractError as error:
        return missing("expectations", f"{error.place}: {error.fact}", error.remedy)
    return ok("expectations", "great_expectations/expectations/contract.json is as the contract says")


def _suites(file: ContractFile) -> Finding:
    """Look at the repository's own suites: those of the contract's gates need no file."""
    try:
        own = own_suites(file.folder)
    except ContractError as error:
        return missing("suites", f"{error.place}: {error.fact}", error.remedy)
    tests = file.folder / TESTS
    if any(tests.glob("test_*.py")) and not (tests / "conftest.py").is_file():
        said = f'Write `pytest_plugins = ["weighin.suites.plugin"]` into {TESTS}/conftest.py.'
        return missing("suites", f"absent: {TESTS}/conftest.py", said)
    added = f", and {TESTS}/ adds {_shown(list(own))}" if own else ""
    return ok("suites", f"{len(file.contract.gates.names)} gates have a suite by the contract{added}")


def _public_data(file: ContractFile) -> Finding:
    if file.contract.data.public_data:
        return ok("public-data", "features and models may travel as artifacts; labels and rows are as visible as those")
    remedy = "Set `data.public_data: true` if everybody who sees the repository may see them; else validate elsewhere."
    return missing("public-data", "the workflows refuse data that may not become artifacts of a run", remedy)


def _owners(root: Path, file: ContractFile, workflows: Sequence[Workflow]) -> Finding:
    owners = read_owners(root)
    remedy = "Name an owner for each, in the last pattern that matches it."
    if owners is None:
        return missing("codeowners", f"none of {', '.join(PLACES)} exists", remedy)
    if bare := [path for path in _guarded(root, file, workflows, owners.path) if not owners.of(path)]:
        return missing("codeowners", f"{owners.path} names no owner for {_shown(bare)}", remedy)
    return ok(
        "codeowners",
        f"{owners.path} covers all that decides: contract, data, metrics, suites, policy, workflows, itself",
    )


def _guarded(root: Path, file: ContractFile, workflows: Sequence[Workflow], own: str) -> list[str]:
    """Files that decide what a pass is, with one in each folder that does not exist yet."""
    folder = file.folder.relative_to(root.resolve()).as_posix()
    here = "" if folder == "." else f"{folder}/"
    promotion = file.contract.promotion
    named = [here + file.path.name, own, *(here + a.key for a in promotion.approvers)]
    named += [here + promotion.policy] if promotion.policy else []
    if file.contract.labels is not None:
        # Labels come in by and by, so that an owner is named before there are any.
        of = (file.contract.labels.plan, file.contract.labels.given)
        named += [os.path.normpath(here + name) for name in of if "://" not in name]
    folders = [f"{here}validation_tests", f"{here}great_expectations", FOLDER]
    for patterns in named_files(f"{here}{file.path.name}", file.contract).values():
        # Of a pattern one file stands for all; of a folder, one in it.
        for pattern in patterns:
            path = pattern.removesuffix("/*")
            if (root / path).is_dir():
                folders.append(path)
            elif not pattern.endswith("/*") and ("*" in path or (root / path).is_file()):
                named.append(path.replace("*", "x"))
    if any(call.where == "." for w in workflows for call in w.calls):
        # The engine itself lies here, and a pull request can change it.
        named += [name for name in ("Dockerfile", "requirements.txt") if (root / name).is_file()]
        folders += [name for name in ("weighin", "actions") if (root / name).is_dir()]
    named = [name.replace("*", "x") for name in named]
    for name in folders:
        every = (p for p in sorted((root / name).rglob("*")) if p.is_file() and "__pycache__" not in p.parts)
        named += [f"{name}/one-that-is-new", *(p.relative_to(root).as_posix() for p in every)]
    return named


def _readable(workflows: Sequence[Workflow]) -> Finding:
    if problems := [w.problem for w in workflows if w.problem]:
        return missing("workflows", _shown(problems), "Correct the file: what cannot be read cannot be checked.")
    if not workflows:
        return missing("workflows", f"no file in {FOLDER}", "Run this at the root of the repository.")
    return ok("workflows", f"{len(workflows)} files in {FOLDER}")


def _check_name(workflows: Sequence[Workflow]) -> Finding:
    calls = asks(workflows)
    if not calls:
        remedy = "Add a caller; docs/how-to/adopting.md has a complete one."
        return missing("check-name", "no workflow on `pull_request` has a job that calls validate.yml", remedy)
    if odd := [c.place for c in calls if "${{" in str(c.job.get("name", "")) or "strategy" in c.job]:
        return missing(
            "check-name", f"the check of {_shown(odd)} has no fixed name", "Leave `name` and `strategy` out."
        )
    return ok("check-name", f"the check to require is {_shown(f'`{c.check(GATE)}`' for c in calls)}")


def _check_always(workflows: Sequence[Workflow]) -> Finding:
    calls = asks(workflows)
    if not calls:
        return missing(
            "required-check-unconditional", "nothing validates pull requests", "Add a caller for `pull_request`."
        )
    for call in calls:
        filters = call.workflow.triggers["pull_request"]
        filters = filters if isinstance(filters, Mapping) else {}
        few = sorted({"paths", "paths-ignore"} & set(filters))
        few += ["types"] if not set(_EVERY_CHANGE) <= set(filters.get("types", _EVERY_CHANGE)) else []
        if few:
            said = f"{call.workflow.name} does not run on every pull request (`{'`, `'.join(few)}`)"
            return missing(
                "required-check-unconditional",
                said,
                "Remove the filter: a required check that never runs waits for ever.",
            )
        if not _runs_always(call):
            remedy = (
                "Need no job but that of review.yml, with `if: ${{ !cancelled() }}`: a skipped job counts as success."
            )
            return missing("required-check-unconditional", f"{call.place} may be skipped", remedy)
        if "merge_group" not in call.workflow.triggers:
            said = f"{call.workflow.name} does not run in a merge queue"
            return missing(
                "required-check-unconditional", said, "Add the trigger `merge_group`, or a queue waits for ever."
            )
    return ok("required-check-unconditional", "it runs on every pull request, and in a merge queue")


def _runs_always(call: Call) -> bool:
    """Whether a job runs whatever happens: it needs none, or the one that asks who reviewed, however that ends."""
    needs, condition = call.job.get("needs", []), str(call.job.get("if", ""))
    before = [needs] if isinstance(needs, str) else needs
    reviews = {c.id for c in call.workflow.calls if c.file == "review.yml"}
    if not before:
        return not condition
    return set(before) <= reviews and re.sub(r"[\s${}]", "", condition) == "!cancelled()"


def _review(calls: Sequence[Call]) -> Finding:
    """Check that a pull request's own files decide only where review.yml says that this commit was reviewed."""
    for call in calls:
        given = str(call.given.get("reviewed-commit", ""))
        reviews = [c.id for c in call.workflow.calls if c.file == "review.yml"]
        if call.workflow.name == "monorepo.yml" and given == "${{ inputs.reviewed-commit }}":
            continue  # Ours: what its own caller gives it is looked at there.
        if given and given not in [f"${{{{ needs.{name}.outputs.commit }}}}" for name in reviews]:
            remedy = "Pass `${{ needs.review.outputs.commit }}` of a job that calls review.yml, and nothing else."
            return missing("review", f"{call.place} says by itself which commit was reviewed", remedy)
    return ok("review", "the files of the base decide, or those of a commit that review.yml found reviewed")


def _pins(workflows: Sequence[Workflow], calls: Sequence[Call]) -> Finding:
    remedy = "Write the full SHA, with the version as a comment; Dependabot moves both."
    if loose := [f"{w.name}: {uses}" for w in workflows for uses in w.uses if not pinned(uses)]:
        return missing("pins", f"not a full commit: {_shown(loose)}", remedy)
    commits = {(c.where, c.ref) for c in calls if c.where != "."}
    if len(commits) > 1:
        named = _shown(f"{where}@{ref[:12]}" for where, ref in sorted(commits))
        said = f"our workflows are called at {len(commits)} commits: {named}"
        return missing("pins", said, "Call all of them at one.")
    return ok("pins", "every workflow and action is one of this commit, or a full SHA")


def _image(root: Path, calls: Sequence[Call]) -> Finding:
    for call in calls:
        image = str(call.given.get("image", ""))
        builds = call.file == "validate.yml" and str(call.given.get("build", "")).lower() == "true"
        if builds and not image and call.where != "." and not (root / "Dockerfile").is_file():
            remedy = "Leave `build` out, or give `image` by digest."
            return missing("image", f"{call.place} builds an image, and there is no Dockerfile", remedy)
        if image and "${{" not in image and not _DIGEST.fullmatch(image):
            return missing("image", f"{call.place} names an image that can be moved", "Give NAME@sha256:... .")
    return ok("image", "every image is by digest, of this run, or named by a variable")


def _inherit(workflows: Sequence[Workflow]) -> Finding:
    found = [f"{w.name}: {name}" for w in workflows for name, job in w.jobs.items() if job.get("secrets") == "inherit"]
    if found:
        return missing(
            "no-secrets-inherit", f"`secrets: inherit` in {_shown(found)}", "Name each secret that is passed."
        )
    return ok("no-secrets-inherit", "no job passes all secrets on")


def _target(workflows: Sequence[Workflow]) -> Finding:
    if found := [w.name for w in workflows if "pull_request_target" in w.triggers]:
        remedy = "Use `pull_request`: this one runs strangers' code beside secrets."
        return missing("pull-request-target", f"`pull_request_target` in {_shown(found)}", remedy)
    return ok("pull-request-target", "no workflow runs on `pull_request_target`")


def _permissions(calls: Sequence[Call]) -> Finding:
    for call in calls:
        wanted = facts()[call.file]["permissions"]
        given = call.permissions
        granted = {k: v for k, v in given.items() if v != "none"} if isinstance(given, Mapping) else given
        if granted != wanted:
            text = ", ".join(f"{name}: {access}" for name, access in wanted.items())
            given = "nothing of its own" if given is None else given
            return missing("permissions", f"{call.place} grants {given}", f"Grant exactly {{{text}}}.")
    return ok("permissions", f"{len(calls)} calling jobs grant what is needed, and no more")


def _condition(calls: Sequence[Call]) -> Finding:
    promoting = [c for c in calls if c.file == "promote.yml"]
    if not promoting:
        return ok("promotion-condition", "nothing here promotes")
    if loose := [c.place for c in promoting if not _holds(c)]:
        remedy = "Write `if` and `needs` as docs/how-to/adopting.md has them."
        return missing("promotion-condition", f"{_shown(loose)} does not demand a verdict that passed", remedy)
    return ok("promotion-condition", "nothing is promoted without a verdict that passed")


def _holds(call: Call) -> bool:
    """Whether a job runs only after a validation that passed, or an attestation that itself does."""
    text = str(call.job.get("if", ""))
    while (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    needs = call.job.get("needs", [])
    before = {c.id: c for c in call.workflow.calls}
    for name in [needs] if isinstance(needs, str) else needs:
        other = before.get(name)
        if other is None or "||" in text or f"needs.{name}.result == 'success'" not in text:
            continue
        if other.file == "validate.yml" and f"needs.{name}.outputs.verdict == 'passed'" in text:
            return True
        if other.file == "actions/attest" and _holds(other):
            return True
    return False


def release_branches(calls: Iterable[Call]) -> list[str]:
    """Patterns of the branches whose pushes promote."""
    found: list[str] = []
    for call in calls:
        push = call.workflow.triggers.get("push")
        if call.file == "promote.yml" and isinstance(push, Mapping):
            branches = push.get("branches", [])
            found += [branches] if isinstance(branches, str) else [str(b) for b in branches or []]
    return list(dict.fromkeys(found))


def _promotes_on(calls: Sequence[Call]) -> Finding:
    for call in calls:
        if call.file != "promote.yml":
            continue
        triggers = call.workflow.triggers
        if others := sorted(set(map(str, triggers)) - PROMOTES_ON):
            remedy = f"Promote in a workflow of its own, on {', '.join(sorted(PROMOTES_ON))}."
            return missing("promotion-trigger", f"{call.place} promotes on `{'`, `'.join(others)}`", remedy)
        branches = release_branches([call])
        if "push" in triggers and (not branches or any(b.startswith("*") for b in branches)):
            remedy = 'Name the branches: `branches: ["release/**"]`.'
            return missing("promotion-trigger", f"{call.place} promotes on pushes to any branch", remedy)
    return ok("promotion-trigger", "pull requests promote nothing")
