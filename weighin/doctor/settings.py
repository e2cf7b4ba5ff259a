"""What GitHub tells of a repository's settings, as far as the token may ask.

Of secrets it tells names and never values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from weighin.doctor.callers import Call, Workflow, facts
from weighin.doctor.files import GATE, asks, release_branches
from weighin.doctor.finding import Finding, cannot_tell, missing, ok
from weighin.github.client import TOKENS, GitHub, Unanswered, quoted
from weighin.untrusted import JsonObject

ADMINISTRATION = "administration: read"
LONG_LIVED = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)|AZURE_(CLIENT_SECRET|CREDENTIALS|STORAGE_KEY)|"
    r"(GOOGLE|GCP)_\w*(CREDENTIALS|KEY)"
)
_VARIABLE = re.compile(r"\$\{\{\s*vars\.(\w+)\s*\}\}")
_DIGEST = re.compile(r"(?:.*@)?sha256:[0-9a-f]{64}")


def check_settings(github: GitHub | None, repository: str, workflows: Sequence[Workflow]) -> list[Finding]:
    """All findings, in one order. Without a repository, or a token to ask with, none of them can be told.

    github  None where nothing is to be asked
    """
    settings = Settings(github or GitHub(""), repository, workflows)
    every: list[tuple[str, str, Callable[[], Finding]]] = [
        ("main-check", ADMINISTRATION, settings.main_check),
        ("main-owners", ADMINISTRATION, settings.main_owners),
        ("owners-valid", "contents: read", settings.owners_valid),
        ("release-branches", f"{ADMINISTRATION} and contents: read", settings.release),
        ("environment", "actions: read, and variables: read", settings.environment_exists),
        ("environment-reviewers", "actions: read, and variables: read", settings.environment_reviewers),
        ("environment-self-review", "actions: read, and variables: read", settings.environment_self_review),
        ("environment-branches", "actions: read, and variables: read", settings.environment_branches),
        ("secrets", "secrets: read, and variables: read", settings.secrets_there),
        ("long-lived-secrets", "secrets: read", settings.long_lived),
        ("variables", "variables: read", settings.variables_there),
        ("fork-pull-requests", "variables: read", settings.fork_pull_requests),
        ("token-default", ADMINISTRATION, settings.token_default),
        ("actions-pinned", ADMINISTRATION, settings.actions_pinned),
        ("immutable-releases", ADMINISTRATION, settings.immutable_releases),
    ]
    if github is None or not github.token or not repository:
        said = "no repository was named" if not repository else "there is no token to ask with"
        remedy = f"Give --repository OWNER/REPO, and a token in {TOKENS[0]} with `{{}}`."
        return [cannot_tell(check, said, remedy.format(needs)) for check, needs, _ in every]
    return [_told(check, needs, look) for check, needs, look in every]


class Unread(Exception):
    """An input whose value only a run knows."""


def _unanswered(*answers: object) -> None:
    """Errors: `Unanswered`, the first of them: what is demanded may stand in what was not answered."""
    for answer in answers:
        if isinstance(answer, Unanswered):
            raise answer


def _told(check: str, needs: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Unanswered as error:
        return cannot_tell(check, str(error), f"The token needs `{needs}`.")
    except Unread as error:
        return cannot_tell(check, f"`{error}` has a value in a run only", "Name one variable, or write the value.")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        said = f"GitHub answered in a form that is not known here ({type(error).__name__})"
        return cannot_tell(check, said, "Look at the setting by hand, and report it.")


@dataclass(frozen=True)
class Settings:
    """One repository's settings; each is asked for once."""

    github: GitHub
    repository: str
    workflows: Sequence[Workflow]

    @property
    def path(self) -> str:
        return f"/repos/{self.repository}"

    @cached_property
    def calls(self) -> list[Call]:
        return [call for w in self.workflows for call in w.calls]

    @cached_property
    def about(self) -> JsonObject:
        found: Mapping[str, Any] = self.github.get(self.path)
        return found

    @cached_property
    def main(self) -> str:
        return str(self.about["default_branch"])

    # --- branches

    def rules(self, branch: str) -> list[JsonObject] | Unanswered:
        """Rules of all rulesets that are active for a branch, whether it exists or not."""
        try:
            return self.github.listed(f"{self.path}/rules/branches/{quoted(branch)}", "")
        except Unanswered as error:
            return error

    def protection(self, branch: str) -> JsonObject | Unanswered | None:
        """Return the classic protection of a branch that exists; None where GitHub says that there is none."""
        try:
            found: Mapping[str, Any] = self.github.get(f"{self.path}/branches/{quoted(branch)}/protection")
            return found
        except Unanswered as error:
            # Without the right to see it GitHub says `Not Found`, also with status 404.
            return None if error.status == 404 and error.message == "Branch not protected" else error

    def main_check(self) -> Finding:
        wanted = {call.check(GATE) for call in asks(self.workflows)} or {f"validate / {GATE}"}
        rules, classic = self.rules(self.main), self.protection(self.main)
        demanded: set[str] = set()
        if isinstance(rules, list):
            for rule in rules:
                if rule["type"] == "required_status_checks":
                    demanded |= {str(c["context"]) for c in rule["parameters"]["required_status_checks"]}
        if isinstance(classic, Mapping) and (checks := classic.get("required_status_checks")):
            demanded |= {str(c["context"]) for c in checks.get("checks", [])} | set(checks.get("contexts", []))
        if not (absent := sorted(wanted - demanded)):
            return ok("main-check", f"`{self.main}` demands `{'`, `'.join(sorted(wanted))}`")
        _unanswered(rules, classic)
        remedy = f"Require the check `{'`, `'.join(absent)}` in a ruleset for `{self.main}`."
        return missing("main-check", f"`{self.main}` demands {sorted(demanded) or 'no check'}", remedy)

    def main_owners(self) -> Finding:
        rules, classic = self.rules(self.main), self.protection(self.main)
        by_rule = isinstance(rules, list) and any(
            rule["type"] == "pull_request" and rule["parameters"].get("require_code_owner_review") for rule in rules
        )
        reviews = classic.get("required_pull_request_reviews") if isinstance(classic, Mapping) else None
        if by_rule or (reviews and reviews.get("require_code_owner_reviews")):
            return ok("main-owners", f"`{self.main}` demands a review by code owners")
        _unanswered(rules, classic)
        remedy = f"Demand a pull request with a review by code owners for `{self.main}`."
        return missing("main-owners", f"`{self.main}` changes without its code owners", remedy)

    def owners_valid(self) -> Finding:
        errors = self.github.get(f"{self.path}/codeowners/errors")["errors"]
        if errors:
            said = f"GitHub finds {len(errors)} mistakes in CODEOWNERS, the first in line {int(errors[0]['line'])}"
            return missing("owners-valid", said, "Correct it: a line with a mistake protects nothing.")
        return ok("owners-valid", f"GitHub finds no mistake in CODEOWNERS of `{self.main}`")

    def release(self) -> Finding:
        patterns = release_branches(self.calls)
        if not patterns:
            return ok("release-branches", "no push promotes")
        open_ones = [p for p in patterns if not self._ruled(p)]
        for pattern in open_ones:
            name, prefix = "release-branches", re.split(r"[*?\[]", pattern)[0]
            remedy = (
                f"Add a ruleset for `{pattern}` that restricts creations and updates: who may push there may release."
            )
            refs = self.github.listed(f"{self.path}/git/matching-refs/heads/{prefix}", "")
            if not refs:
                said = f"no ruleset restricts `{pattern}`, and an older rule shows only where a branch exists"
                return cannot_tell(name, said, remedy)
            for ref in refs:
                branch = str(ref["ref"]).removeprefix("refs/heads/")
                classic = self.protection(branch)
                if isinstance(classic, Unanswered):
                    raise classic
                if not (classic and classic.get("restrictions") and classic.get("block_creations", {}).get("enabled")):
                    return missing(name, f"`{branch}`: whoever may write may push, and so release", remedy)
        return ok("release-branches", f"creating and updating `{'`, `'.join(patterns)}` is restricted")

    def _ruled(self, pattern: str) -> bool:
        rules = self.rules(re.sub(r"\*+", "weighin-doctor", pattern))
        if isinstance(rules, Unanswered):
            raise rules
        types = {rule["type"] for rule in rules}
        return "creation" in types and bool(types & {"update", "pull_request"})

    # --- environment

    @cached_property
    def environment(self) -> tuple[str, JsonObject | None]:
        """Its name, empty where there is none, and what GitHub says of it, None where it does not exist."""
        given = next((str(c.given.get("environment", "")) for c in self.calls if c.file == "promote.yml"), "")
        name = self.value(given)
        if not name:
            return "", None
        listed = self.github.listed(f"{self.path}/environments", "environments")
        return name, next((e for e in listed if str(e["name"]).lower() == name.lower()), None)

    def _of_environment(self, check: str, look: Callable[[str, JsonObject], Finding]) -> Finding:
        if not any(call.file == "promote.yml" for call in self.calls):
            return ok(check, "nothing here promotes")
        name, found = self.environment
        if found is None:
            said = f"the environment `{name}` does not exist" if name else "no environment guards the promotion"
            remedy = f"Create `{name}`." if name else "Create one, and name it in `environment` (WEIGHIN_ENVIRONMENT)."
            return missing(check, said, remedy)
        return look(name, found)

    def environment_exists(self) -> Finding:
        return self._of_environment("environment", lambda name, _: ok("environment", f"`{name}` guards the promotion"))

    def environment_reviewers(self) -> Finding:
        def look(name: str, found: JsonObject) -> Finding:
            count = sum(len(r["reviewers"]) for r in _reviews(found))
            if not count:
                return missing("environment-reviewers", f"`{name}` has no reviewers", "Name required reviewers.")
            return ok("environment-reviewers", f"`{name}` waits for one of {count} reviewers")

        return self._of_environment("environment-reviewers", look)

    def environment_self_review(self) -> Finding:
        def look(name: str, found: JsonObject) -> Finding:
            rules = _reviews(found)
            if not rules or not all(rule.get("prevent_self_review") is True for rule in rules):
                said = f"who started a release may approve it in `{name}`"
                return missing("environment-self-review", said, "Set `Prevent self-review`.")
            return ok("environment-self-review", f"nobody approves an own release in `{name}`")

        return self._of_environment("environment-self-review", look)

    def environment_branches(self) -> Finding:
        def look(name: str, found: JsonObject) -> Finding:
            policy = found["deployment_branch_policy"]
            remedy = "Allow the release branches only: any other holds its own copy of the workflow."
            if policy is None:
                return missing("environment-branches", f"any branch may use `{name}`", remedy)
            if policy["protected_branches"]:
                return ok("environment-branches", f"only protected branches may use `{name}`")
            path = f"{self.path}/environments/{quoted(name)}/deployment-branch-policies"
            allowed = [str(p["name"]) for p in self.github.listed(path, "branch_policies")]
            if any(re.match(r"[*?\[]", pattern) for pattern in allowed):
                return missing("environment-branches", f"`{name}` allows {allowed}", remedy)
            return ok("environment-branches", f"`{name}` allows {allowed or 'no branch'}")

        return self._of_environment("environment-branches", look)

    # --- variables and secrets

    def _both(self, what: str) -> list[JsonObject]:
        """Return the repository's own, and the organisation's that reach it."""
        found = self.github.listed(f"{self.path}/actions/{what}", what)
        if self.about["owner"]["type"] == "Organization":
            found = self.github.listed(f"{self.path}/actions/organization-{what}", what) + found
        return found

    @cached_property
    def variables(self) -> Mapping[str, str]:
        return {str(v["name"]): str(v["value"]) for v in self._both("variables")}

    @cached_property
    def secrets(self) -> set[str]:
        return {str(s["name"]) for s in self._both("secrets")}

    def value(self, text: str) -> str:
        """Return an input with the variable that it names in its place. Errors: `Unread` for another expression."""
        found = _VARIABLE.fullmatch(text.strip())
        if found:
            return self.variables.get(found[1], "")
        if "${{" in text:
            raise Unread(text)
        return text

    def secrets_there(self) -> Finding:
        wanted = set()
        for call in self.calls:
            needed = call.secrets
            if any(name.startswith("mlflow-") for name in needed) and not self.value(
                str(call.given.get("tracking-uri", ""))
            ):
                needed = {k: v for k, v in needed.items() if not k.startswith("mlflow-")}
            wanted |= set(needed.values())
        if absent := sorted(wanted - self.secrets - {"GITHUB_TOKEN"}):
            remedy = "Create them for the repository: an environment's do not reach a called workflow."
            return missing("secrets", f"not set: {', '.join(absent)}", remedy)
        return ok("secrets", f"set: {', '.join(sorted(wanted))}" if wanted else "none is needed without a registry")

    def long_lived(self) -> Finding:
        if found := sorted(s for s in self.secrets if LONG_LIVED.fullmatch(s)):
            return missing("long-lived-secrets", f"keys of a cloud: {', '.join(found)}", "Use OIDC, and delete them.")
        return ok("long-lived-secrets", "no secret is called like the key of a cloud")

    def variables_there(self) -> Finding:
        read = {name for w in self.workflows for name in re.findall(r"\bvars\.(\w+)", str(w.value))}
        known = read.union(*(facts()[call.file]["variables"] for call in self.calls))
        if odd := sorted(n for n in self.variables if n.startswith("WEIGHIN_") and n not in known):
            return missing("variables", f"no workflow reads {', '.join(odd)}", "Correct the name, or delete it.")
        for call in self.calls:
            given = str(call.given.get("image", ""))
            if not (found := _VARIABLE.fullmatch(given)):
                continue
            image = self.variables.get(found[1], "")
            if (image or call.where != ".") and not _DIGEST.fullmatch(image):
                return missing("variables", f"{found[1]} names no image by digest", "Set it to NAME@sha256:... .")
        return ok("variables", f"set: {', '.join(sorted(set(self.variables) & known)) or 'none'}")

    def fork_pull_requests(self) -> Finding:
        """GitHub passes no variables to pull requests from forks, so a registry named by one is not used there."""
        if self.about["private"] and not self.about.get("allow_forking", True):
            return ok("fork-pull-requests", "nobody may fork this repository")
        for call in asks(self.workflows):
            given = str(call.given.get("tracking-uri", ""))
            if _VARIABLE.fullmatch(given) and self.value(given):
                said = f"{call.place} judges a fork's pull request without your registry: variables are empty there"
                return missing("fork-pull-requests", said, "Write the address itself in `tracking-uri`.")
        return ok("fork-pull-requests", "pull requests from forks are judged by the same registry, or are red")

    # --- the repository

    def token_default(self) -> Finding:
        found = self.github.get(f"{self.path}/actions/permissions/workflow")
        access, approves = found["default_workflow_permissions"], found["can_approve_pull_request_reviews"]
        if access != "read" or approves is not False:
            said = f"a job without `permissions` gets `{access}`" + (", and may approve" if approves else "")
            return missing("token-default", said, "Set `Read repository contents`, and no approvals, under Actions.")
        return ok("token-default", "a job without `permissions` may read, and approves nothing")

    @cached_property
    def actions(self) -> JsonObject:
        found: Mapping[str, Any] = self.github.get(f"{self.path}/actions/permissions")
        return found

    def actions_pinned(self) -> Finding:
        check = "actions-pinned"
        if self.actions["enabled"] is not True:
            return missing(check, "Actions are off", "Switch them on.")
        if self.actions["allowed_actions"] == "local_only":
            return missing(check, "only actions of this owner may run", "Allow actions/* and weigh-in's workflows.")
        if "sha_pinning_required" not in self.actions:
            return cannot_tell(check, "this GitHub does not say whether a full SHA is demanded", "Look by hand.")
        if self.actions["sha_pinning_required"] is not True:
            return missing(check, "actions may run by tag", "Demand a full-length commit SHA, under Actions.")
        return ok(check, f"a full SHA is demanded; allowed: {self.actions['allowed_actions']}")

    def immutable_releases(self) -> Finding:
        check, path = "immutable-releases", f"{self.path}/immutable-releases"
        try:
            on = self.github.get(path)["enabled"] is True
        except Unanswered as error:
            if error.status != 404:
                raise
            # 404 is the answer for `off` too, so it counts only from a token that sees the administration.
            try:
                _ = self.actions
            except Unanswered:
                raise error from None
            on = False
        if not on:
            return missing(check, "a release can be changed after it was made", "Enable release immutability.")
        return ok(check, "a release stays what it was")


def _reviews(environment: JsonObject) -> list[JsonObject]:
    return [rule for rule in environment["protection_rules"] if rule["type"] == "required_reviewers"]
