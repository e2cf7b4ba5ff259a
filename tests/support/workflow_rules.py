"""What every workflow file must hold, whatever it does: one function a rule, from files to what breaks it.

The mistakes are those that others have made; `test_yaml.py` breaks each rule once and demands that it says so.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from weighin.untrusted.bounded import LOADER

FOLDER = Path(__file__).resolve().parents[2] / ".github/workflows"
ACTIONS = FOLDER.parents[1] / "actions"
Files = dict[str, str]
Rule = Callable[[Files], Iterator[str]]
RULES: dict[str, Rule] = {}

PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
OWN = ("./.github/workflows/", "./actions/")
FORBIDDEN_TRIGGERS = ("pull_request_target", "workflow_run", "issue_comment", "issues", "discussion_comment")
UNTRUSTED = re.compile(r"\$\{\{")
ATTESTS = {"id-token": "write", "attestations": "write"}
READS = {"contents": "read"}
PERMISSIONS: dict[tuple[str, str], dict[str, str]] = {
    ("ci.yml", "ci"): {},
    ("monorepo.yml", "gate"): {},
    ("release.yml", "attest"): {**READS, **ATTESTS},
    ("pull-request.yml", "comment"): {**READS, "pull-requests": "write"},
    ("release.yml", "comment"): {**READS, "pull-requests": "write"},
    ("release.yml", "release-note"): {"contents": "write"},
    ("gate-statistics.yml", "gate-statistics"): {**READS, "actions": "read"},
    ("review.yml", "review"): {**READS, "pull-requests": "read"},
    ("pull-request.yml", "review"): {**READS, "pull-requests": "read"},
    ("release.yml", "reviews"): {**READS, "actions": "read"},
    ("image.yml", "build"): {**READS, "packages": "write"},
    ("image.yml", "test"): {**READS, "packages": "read"},
    ("image.yml", "publish"): {"packages": "write", **ATTESTS},
    ("image.yml", "release"): {**READS, "packages": "write", "attestations": "read"},
    ("publish.yml", "release"): {"contents": "write"},
    ("drill.yml", "keep"): {"contents": "write"},
    ("weekly-drill.yml", "drill"): {"contents": "write"},
}
"""Jobs that may do more, or something else, than read the repository."""
SECRETS: dict[str, tuple[str, ...]] = {
    "validate.yml": ("prepare", "resolve"),
    "promote.yml": ("promote",),
    "rollback.yml": ("rollback",),
    "monitor.yml": ("monitor",),
    "monorepo.yml": ("model",),
    "pull-request.yml": ("validate",),
    "release.yml": ("validate", "promote"),
    "rollback-button.yml": ("rollback",),
    "drill.yml": ("validate",),
    "weekly-drill.yml": ("drill",),
}
"""Jobs that see a secret: none of them runs a model or a suite."""
PULLS = ("secrets.image-username", "secrets.image-password")
"""Secrets of a private image, which the step that pulls it sees, in every job; no container does."""
REVIEWED = "!contains(github.event_name, 'pull_request') && github.event_name != 'merge_group'"
SERVER = tuple(f"{REVIEWED} && secrets.server-{name} || ''" for name in ("token", "headers"))
"""Secrets of a server that runs already, which the step that sends load to it sees, and the generator's container."""
ENDPOINT = ("secrets.candidate-key",)
"""Key of a language model, which the step that asks it sees, and the container in which our client does."""
REUSABLE = tuple(f"{n}.yml" for n in ("validate", "monorepo", "promote", "rollback", "monitor", "review", "drill"))
PASSED = ("!cancelled()", "needs.validate.result == 'success'", "needs.validate.outputs.verdict == 'passed'")
OWN_COMMIT = {("validate.yml", "prepare"), ("rollback.yml", "rollback"), ("monitor.yml", "monitor")}
"""Jobs that ask which commit the workflow is of: only in the `env` of a step is that allowed everywhere."""


def rule(function: Rule) -> Rule:
    """Register a rule under its name."""
    RULES[function.__name__] = function
    return function


def ours() -> Files:
    """The files as they stand: workflows by their names, actions by their folders."""
    found = {p.name: p.read_text() for p in sorted(FOLDER.glob("*.yml"))}
    return found | {f"actions/{p.parent.name}": p.read_text() for p in sorted(ACTIONS.glob("*/action.yml"))}


@functools.cache
def load(text: str) -> dict[str, Any]:
    """A file, with `on` as a key (YAML 1.1 reads it as true). It is read once: nobody may change the answer.

    An action has no triggers, and one job, which has no name and is the caller's.
    """
    value: dict[str, Any] = yaml.load(text, LOADER)  # noqa: S506 - a safe loader
    if "runs" in value:
        return {"on": {}, "permissions": {}, "jobs": {"": {"steps": value["runs"]["steps"]}}}
    value["on"] = value.pop(True)
    return value


def jobs(files: Files) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, name and content of every job."""
    for name, text in files.items():
        for job, value in load(text)["jobs"].items():
            yield name, job, value


def steps(files: Files) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, job and content of every step."""
    for name, job, value in jobs(files):
        for step in value.get("steps", []):
            yield name, job, step


@rule
def every_action_is_pinned_to_a_commit_with_its_version(files: Files) -> Iterator[str]:
    for name, text in files.items():
        for line in text.splitlines():
            if re.match(r"\s*(- )?uses:", line) and not any(own in line for own in OWN) and not PINNED.search(line):
                yield f"{name}: {line.strip()}"


@rule
def one_action_has_one_pin(files: Files) -> Iterator[str]:
    found: dict[str, set[str]] = {}
    for text in files.values():
        for action, commit in re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40} # v[\d.]+)", text):
            found.setdefault(action, set()).add(commit)
    yield from (action for action, commits in found.items() if len(commits) > 1)


@rule
def permissions_are_none_at_the_top(files: Files) -> Iterator[str]:
    yield from (name for name, text in files.items() if load(text).get("permissions") != {})


@rule
def each_job_may_do_what_is_listed_and_no_more(files: Files) -> Iterator[str]:
    for name, job, value in jobs(files):
        if job and value.get("permissions") != PERMISSIONS.get((name, job), READS):
            yield f"{name} {job}"


@rule
def every_permission_has_its_reason(files: Files) -> Iterator[str]:
    for name, text in files.items():
        for line in text.splitlines():
            if re.match(r" +[a-z-]+: (read|write)\b", line) and "# to " not in line:
                yield f"{name}: {line.strip()}"


@rule
def no_expression_stands_in_a_script(files: Files) -> Iterator[str]:
    for name, job, step in steps(files):
        if UNTRUSTED.search(step.get("run", "")):
            yield f"{name} {job}: {step['name']}"


@rule
def nothing_hides_a_failure(files: Files) -> Iterator[str]:
    for name, text in files.items():
        for words in ("continue-on-error", "|| true", "set +e", "|| :"):
            if words in text:
                yield f"{name}: {words}"


@rule
def what_guards_the_log_does_not_end_up_in_a_summary(files: Files) -> Iterator[str]:
    for name, job, step in steps(files):
        command = step.get("run", "").replace("\\\n", " ")
        if any(re.search(r"runner\" docker .*(\| *tee|>)", line) for line in command.splitlines()):
            yield f"{name} {job}: {step['name']}"


@rule
def no_secret_is_inherited(files: Files) -> Iterator[str]:
    yield from (name for name, text in files.items() if re.search(r"secrets: *inherit", text))


@rule
def no_stranger_starts_anything_with_our_token(files: Files) -> Iterator[str]:
    for name, text in files.items():
        on = load(text)["on"]
        yield from (f"{name}: {trigger}" for trigger in FORBIDDEN_TRIGGERS if trigger in on)


@rule
def only_listed_jobs_see_a_secret(files: Files) -> Iterator[str]:
    for name, job, value in jobs(files):
        seen = "".join(str(part) for key, part in value.items() if key != "steps")
        for step in value.get("steps", []):
            command = step.get("run", "")
            known = (
                *PULLS,
                *(SERVER if 'runner" docker load' in command else ()),
                *(ENDPOINT if 'runner" docker ask' in command else ()),
            )
            text = "".join(f"{part}\n" for part in (step.get("env", {}) | {"": {**step, "env": {}}}).values())
            for words in known:
                text = text.replace(f"${{{{ {words} }}}}", "")
            seen += text
        if "secrets." in seen and job not in SECRETS.get(name, ()):
            yield f"{name} {job}"


@rule
def a_job_that_sees_a_secret_runs_no_model_and_no_suite(files: Files) -> Iterator[str]:
    for name, job, step in steps(files):
        foreign = re.search(r"runner\" docker (predict|load|shadow|judge)", step.get("run", ""))
        if job in SECRETS.get(name, ()) and foreign:
            yield f"{name} {job}: {step['name']}"


@rule
def a_run_that_trains_is_given_no_secret(files: Files) -> Iterator[str]:
    """`train` is refused beside `tracking-uri`, without which no step of that job gets a secret."""
    one = r"(secrets\.[a-z-]+|\(inputs\.sealed && secrets\.[a-z-]+ \|\| secrets\.[a-z-]+\))"
    guard = re.compile(rf"\$\{{\{{ inputs\.tracking-uri != '' && {one} \|\| '' \}}\}}")
    for name, job, value in jobs(files):
        done = value.get("steps", [])
        if job not in SECRETS.get(name, ()) or not any('-euc "$TRAIN"' in s.get("run", "") for s in done):
            continue
        if not any('if [ -n "$TRAIN" ] && [ -n "$TRACKING_URI" ]; then\n  stop' in s.get("run", "") for s in done):
            yield f"{name} {job}: both are accepted"
        for step in done:
            for given in step.get("env", {}).values():
                whether = step["name"].startswith("Refuse") and "!= ''" in given
                if "secrets." in given and not guard.fullmatch(given) and not whether and given[4:-3] not in PULLS:
                    yield f"{name} {job}: {step['name']}"


@rule
def no_token_reaches_a_container(files: Files) -> Iterator[str]:
    for name, job, step in steps(files):
        seen, run = str(step.get("env", {})), step.get("run", "")
        if 'runner" docker' in run and ("github.token" in seen or any(words in seen for words in PULLS)):
            yield f"{name} {job}: {step['name']}"


@rule
def every_checkout_forgets_its_token(files: Files) -> Iterator[str]:
    for name, job, step in steps(files):
        checks_out = step.get("uses", "").startswith("actions/checkout@")
        if checks_out and step.get("with", {}).get("persist-credentials") is not False:
            yield f"{name} {job}"


@rule
def the_machine_is_named_by_its_version(files: Files) -> Iterator[str]:
    for name, text in files.items():
        if "-latest" in text:
            yield name
        call = load(text)["on"].get("workflow_call") or {}
        runner = call.get("inputs", {}).get("runner")
        if runner and runner["default"] != "ubuntu-24.04":
            yield f"{name}: inputs.runner"
    for name, job, value in jobs(files):
        if job and "steps" in value and "inputs.runner" not in value["runs-on"] and value["runs-on"] != "ubuntu-24.04":
            yield f"{name} {job}"


@rule
def every_job_with_steps_has_a_time_limit(files: Files) -> Iterator[str]:
    yield from (f"{n} {j}" for n, j, value in jobs(files) if j and "steps" in value and "timeout-minutes" not in value)


@rule
def every_step_has_a_name(files: Files) -> Iterator[str]:
    yield from (f"{name} {job}" for name, job, step in steps(files) if not step.get("name"))


@rule
def every_script_runs_in_bash_that_stops_at_an_error(files: Files) -> Iterator[str]:
    for name, text in files.items():
        value = load(text)
        default = value.get("defaults", {}).get("run", {}).get("shell")
        for job, content in value["jobs"].items():
            for step in content.get("steps", []):
                if "run" in step and step.get("shell", default) != "bash":
                    yield f"{name} {job}: {step['name']}"


@rule
def every_input_secret_and_output_says_what_it_is(files: Files) -> Iterator[str]:
    for name, text in files.items():
        for trigger in ("workflow_call", "workflow_dispatch"):
            call = load(text)["on"].get(trigger) or {}
            for kind in ("inputs", "secrets", "outputs"):
                for key, value in call.get(kind, {}).items():
                    if not str(value.get("description", "")).endswith("."):
                        yield f"{name} {kind} {key}: no sentence"
                    if not re.fullmatch(r"[a-z]+(-[a-z]+)*", key):
                        yield f"{name} {kind} {key}: not its usual form"
                    if kind == "inputs" and "default" not in value and value.get("required") is not True:
                        yield f"{name} {kind} {key}: neither required nor with a default"
                    if kind == "inputs" and value.get("type") not in ("string", "boolean", "number"):
                        yield f"{name} {kind} {key}: no type"


@rule
def every_input_is_used(files: Files) -> Iterator[str]:
    for name in REUSABLE:
        for key in load(files[name])["on"]["workflow_call"]["inputs"]:
            if f"inputs.{key}" not in files[name]:
                yield f"{name}: {key}"


@rule
def an_artifact_is_named_by_prefix_and_attempt(files: Files) -> Iterator[str]:
    for name, job, step in steps(files):
        if "-artifact@" not in step.get("uses", ""):
            continue
        given = step["with"].get("name") or step["with"]["pattern"]
        # A caller's own, and one that has no attempts to tell apart from another run's.
        if given == "${{ inputs.model-artifact }}" or name == "gate-statistics.yml":
            continue
        called = name in REUSABLE or name.startswith("actions/")
        prefixed = "inputs.artifact-prefix" in given or (not called and given.startswith("weighin-"))
        ends = ("-${{ github.run_attempt }}", "-${{ inputs.attempt || github.run_attempt }}")
        if not prefixed or not given.endswith(ends):
            yield f"{name} {job}: {given}"


@rule
def what_others_could_take_is_kept_for_a_day(files: Files) -> Iterator[str]:
    """Models, features, images and registries; reports and records are kept as long as the caller says."""
    for name, job, step in steps(files):
        if not step.get("uses", "").startswith("actions/upload-artifact@"):
            continue
        kept, path = step["with"].get("retention-days"), step["with"]["path"]
        if name == "gate-statistics.yml":  # numbers of runs, which everybody sees anyway
            continue
        long = kept == "${{ inputs.retention-days }}" or "inputs.retention-days ||" in str(kept)
        if (
            kept != 1
            and not (long and path.startswith(("reports", "weighin-attestation", "weighin-drill")))
            and path != "gate-statistics"
        ):
            yield f"{name} {job}: {path}"


@rule
def nothing_is_cached_from_one_run_to_the_next(files: Files) -> Iterator[str]:
    for name, text in files.items():
        for words in ("actions/cache", "cache-from", "cache-to", "type=gha"):
            if words in text:
                yield f"{name}: {words}"


@rule
def an_image_is_a_digest_and_never_a_moving_tag(files: Files) -> Iterator[str]:
    for name, text in files.items():
        if re.search(r":(latest|main|v\d)\b", text):
            yield name
        if re.search(r"^\s+container:", text, re.MULTILINE):
            yield f"{name}: a job in a container"


@rule
def which_commit_this_is_is_asked_where_that_is_allowed(files: Files) -> Iterator[str]:
    for name, job, value in jobs(files):
        asked = [s for s in value.get("steps", []) if "job.workflow_" in str(s.get("env", {}))]
        everywhere = str(value).count("job.workflow_")
        if everywhere != sum(str(s["env"]).count("job.workflow_") for s in asked):
            yield f"{name} {job}: outside of a step's env"
        if asked and (name, job) not in OWN_COMMIT:
            yield f"{name} {job}"
    for name, text in files.items():
        if "github.workflow_sha" in text or "github.workflow_ref" in text:
            yield f"{name}: the caller's commit"


@rule
def the_gate_runs_always_and_needs_every_other_job(files: Files) -> Iterator[str]:
    found = load(files["validate.yml"])["jobs"]
    if found["gate"].get("if") != "always()":
        yield "it does not run always"
    if set(found["gate"]["needs"]) != set(found) - {"gate"}:
        yield "it does not need every job"
    if "toJSON(needs)" not in str(found["gate"]):
        yield "it does not read how they ended"


@rule
def suites_do_not_end_each_other(files: Files) -> Iterator[str]:
    suites = load(files["validate.yml"])["jobs"]["suites"]
    if suites["strategy"].get("fail-fast") is not False:
        yield "fail-fast"
    measured = suites["strategy"]["matrix"]["measure"]
    if not all(f"needs.{job}.outputs.measure ||" in measured for job in ("prepare", "resolve")):
        yield "they are not those of the contract"


@rule
def promotion_is_asked_for_only_after_a_pass_of_the_same_run(files: Files) -> Iterator[str]:
    for name, job, value in jobs(files):
        for part in (value, *value.get("steps", [])):
            if not part.get("uses", "").endswith(("promote.yml", "actions/attest", "actions/reviews")):
                continue
            if not all(words in value.get("if", "") for words in PASSED) or "validate" not in value["needs"]:
                yield f"{name} {job}"
            if part["with"].get("image") != "${{ needs.validate.outputs.image }}":
                yield f"{name} {job}: another image"


@rule
def promotions_of_one_model_wait_for_each_other_and_a_rollback_for_none(files: Files) -> Iterator[str]:
    promote = load(files["promote.yml"])["jobs"]["promote"].get("concurrency")
    if promote != {"group": "weighin-promote-${{ inputs.model }}", "queue": "max"}:
        yield "promote.yml"
    if load(files["release.yml"]).get("concurrency") != {"group": "release-${{ github.ref }}", "queue": "max"}:
        yield "release.yml"
    if "concurrency:" in files["rollback.yml"]:
        yield "rollback.yml"


@rule
def looks_wait_for_each_other_and_are_not_cancelled(files: Files) -> Iterator[str]:
    found = load(files["monitor.yml"])["jobs"]["monitor"].get("concurrency") or {}
    if found.get("cancel-in-progress") is not False or "inputs.contract" not in found.get("group", ""):
        yield "they run at once, or end each other"
    # A check of the heartbeat in the same group would wait for a look that hangs, and take the place of one that waits.
    if "inputs.max-heartbeat-age > 0 && 'heartbeat' || 'run'" not in found.get("group", ""):
        yield "the heartbeat waits for the run"


@rule
def what_a_look_found_is_said_and_kept_before_it_fails(files: Files) -> Iterator[str]:
    done = load(files["monitor.yml"])["jobs"]["monitor"]["steps"]
    if 'runner" heartbeat' not in done[-1].get("run", "") or "-artifact@" not in done[-2].get("uses", ""):
        yield "order"
    if "|| code=$?" not in done[-3].get("run", ""):
        yield "the look fails by itself"


@rule
def no_job_that_queues_without_end_is_cancelled_by_the_next(files: Files) -> Iterator[str]:
    for name, job, value in jobs(files):
        for place in (load(files[name]).get("concurrency"), value.get("concurrency")):
            if place and "queue" in place and place.get("cancel-in-progress"):
                yield f"{name} {job}"


@rule
def the_pull_request_waits_in_a_merge_queue_as_well(files: Files) -> Iterator[str]:
    if set(load(files["pull-request.yml"])["on"]) != {"pull_request", "merge_group"}:
        yield "pull-request.yml"


@rule
def the_name_of_the_check_is_the_one_that_the_readme_says(files: Files) -> Iterator[str]:
    if "validate" not in load(files["pull-request.yml"])["jobs"]:
        yield "the caller's job"
    if "name" in load(files["pull-request.yml"])["jobs"].get("validate", {}):
        yield "the caller's job has another name"
    if "name" in load(files["validate.yml"])["jobs"]["gate"]:
        yield "the called job has another name"
    if "`validate / gate`" not in (FOLDER.parents[1] / "README.md").read_text():
        yield "README.md"


@rule
def a_pull_requests_own_limits_do_not_decide_alone(files: Files) -> Iterator[str]:
    found = load(files["validate.yml"])["jobs"]
    gate = found["gate"]["steps"]
    for job, ref in (
        ("prepare", "${{ github.event.pull_request.base.sha || github.event.merge_group.base_sha }}"),
        ("gate", "${{ needs.prepare.outputs.base }}"),
    ):
        base = [s for s in found[job]["steps"] if s.get("with", {}).get("path") == "weighin-base"]
        if not base or base[0]["with"]["ref"] != ref:
            yield f"the base is not checked out in {job}"
    if not any("more+=(--base /weighin/base)" in s.get("run", "") for s in gate):
        yield "the base is not given to the verdict"


@rule
def the_files_of_the_base_decide_until_the_commit_was_reviewed(files: Files) -> Iterator[str]:
    found = load(files["validate.yml"])["jobs"]
    say = next(s for s in found["prepare"]["steps"] if s.get("id") == "files")
    if '[ -n "$REVIEWED" ] && [ "$REVIEWED" = "$HEAD" ]' not in say["run"]:
        yield "a review of another commit counts"
    if """'DECIDING=%s\\n' "$deciding" >>"$GITHUB_ENV\"""" not in say["run"]:
        yield "prepare is not told"
    for job in ("prepare", "resolve", "suites", "gate"):
        text, told = str(found[job]), found[job]["env"].get("DECIDING") == "${{ needs.prepare.outputs.deciding }}"
        if '--repo "$DECIDING" --contract "$CONTRACT"' not in text or not (told or job == "prepare"):
            yield f"{job} judges by the files of the pull request"
    if '--iidfile weighin-image/id "$DECIDING"' not in str(found["prepare"]):
        yield "the image is built from the pull request"
    for name in ("pull-request.yml",):
        called = load(files[name])["jobs"]["validate"]
        if called["with"].get("reviewed-commit") != "${{ needs.review.outputs.commit }}":
            yield f"{name}: who reviewed is not asked"


@rule
def no_label_starts_a_run(files: Files) -> Iterator[str]:
    """A run that is cancelled, or skipped, for the sake of a label leaves a check that says the wrong thing."""
    for name, text in files.items():
        on = load(text)["on"].get("pull_request") or {}
        if isinstance(on, dict) and {"labeled", "unlabeled"} & set(on.get("types", ())):
            yield name


@rule
def no_commit_waits_behind_another_for_its_image(files: Files) -> Iterator[str]:
    if "github.sha" not in load(files["image.yml"])["concurrency"]["group"]:
        yield "image.yml"


@rule
def a_promotion_that_is_run_again_takes_the_evidence_that_passed(files: Files) -> Iterator[str]:
    for job, wanted in (
        ("promote", ("attempt", "record")),
        ("attest", ("attempt", "record")),
        ("comment", ("attempt",)),
    ):
        value = load(files["release.yml"])["jobs"][job]
        given = value["steps"][-1]["with"] if "steps" in value else value["with"]
        for name in wanted:
            if given.get(name) != f"${{{{ needs.validate.outputs.{name} }}}}":
                yield f"release.yml {job}: {name}"
    for name in ("promote.yml", "actions/attest"):
        if 'if [ "$found" != "$RECORD" ]' not in files[name]:
            yield f"{name}: the record is not compared"


@rule
def a_fork_without_secrets_is_red_and_says_why(files: Files) -> Iterator[str]:
    words = "github.event.pull_request.head.repo.full_name != github.repository"
    for job in ("prepare", "resolve", "gate"):
        text = str(load(files["validate.yml"])["jobs"][job])
        if words not in text or "a maintainer must run this" not in text:
            yield job


@rule
def a_published_image_is_verified_before_it_runs(files: Files) -> Iterator[str]:
    for name, job, value in jobs(files):
        names = [s.get("name", "") for s in value.get("steps", [])]
        if "Say which image judges, or why none can" not in names:
            continue
        verify = [s for s in value["steps"] if "gh attestation verify" in s.get("run", "")]
        if not verify or verify[0]["if"] != "steps.image.outputs.how == 'published' || inputs.image-built-by != ''":
            yield f"{name} {job}"
        elif any("docker create" in s.get("run", "") for s in value["steps"][: names.index(verify[0]["name"])]):
            yield f"{name} {job}: too late"


@rule
def what_is_attested_is_the_record_that_was_judged_again(files: Files) -> Iterator[str]:
    from weighin.cli.steps import PREDICATE
    from weighin.record.attestation import RECORD

    done = load(files["actions/attest"])["jobs"][""]["steps"]
    order = [
        "again" if "weighin step predicate reports" in s.get("run", "") else "attest" if s.get("id") == "attest" else ""
        for s in done
    ]
    if [o for o in order if o] != ["again", "attest"]:
        yield "order"
    attest = next(s for s in done if s.get("id") == "attest")
    wanted = {"subject-path": "reports/record.json", "predicate-type": RECORD}
    if attest["with"] != {**wanted, "predicate-path": f"reports/{PREDICATE}"}:
        yield "subject"


@rule
def where_an_attestation_or_a_review_is_asked_for_nothing_moves_without_it(files: Files) -> Iterator[str]:
    promote = load(files["release.yml"])["jobs"]["promote"]
    if set(promote["needs"]) != {"validate", "attest", "reviews"}:
        yield "needs"
    for words in (
        "(vars.WEIGHIN_ATTEST != 'true' || needs.attest.result == 'success')",
        "(vars.WEIGHIN_REVIEW_ENVIRONMENT == '' || needs.reviews.result == 'success')",
    ):
        if words not in promote["if"]:
            yield words
    if "release.yml@{1}" not in promote["with"]["attested-by"]:
        yield "attested-by"
    if "vars.WEIGHIN_REVIEW_ENVIRONMENT" not in promote["with"]["reviews"]:
        yield "reviews"
    run = [step.get("run", "") for step in load(files["promote.yml"])["jobs"]["promote"]["steps"]]
    if not any('--attestation reports/record.sigstore.json --issuer "$ISSUER" --workflow' in text for text in run):
        yield "promote.yml"


@rule
def an_image_has_a_name_only_after_its_tests_and_its_attestation(files: Files) -> Iterator[str]:
    found = load(files["image.yml"])["jobs"]
    if set(found["publish"]["needs"]) != {"build", "test"} or found["test"]["needs"] != "build":
        yield "needs"
    push = next(s for s in found["build"]["steps"] if s.get("id") == "push")["with"]
    if "push-by-digest=true" not in push["outputs"] or "tags" in push:
        yield "named too early"
    if push.get("sbom") is not True or push.get("provenance") != "mode=max":
        yield "no list of contents, or no provenance"
    steps_of = [s.get("uses", "") or s.get("run", "") for s in found["publish"]["steps"]]
    attested = [i for i, s in enumerate(steps_of) if s.startswith("actions/attest-build-provenance@")]
    named = [i for i, s in enumerate(steps_of) if "imagetools create" in s]
    if not attested or not named or attested[0] > named[0]:
        yield "named before it is attested"
    release = str(found["release"])
    if "gh attestation verify" not in release or "docker build " in release:
        yield "a release builds, or does not verify"


@rule
def a_release_of_ours_is_checked_built_and_tried_before_it_is_made(files: Files) -> Iterator[str]:
    found = load(files["publish.yml"])["jobs"]
    runs = "\n".join(s.get("run", "") or s.get("uses", "") for s in found["build"]["steps"])
    order = [
        runs.find(words) for words in ("release.py check", "release.py build", "release.py try", "upload-artifact@")
    ]
    if -1 in order or order != sorted(order):
        yield "order"
    if set(found["release"]["needs"]) != {"build", "image"}:
        yield "needs"
    if found["release"].get("if") != "github.ref_type == 'tag' && !inputs.dry-run":
        yield "a dry run makes a release"
    if "actions/checkout@" in str(found["release"]):
        yield "the job that may write runs files of the repository"
