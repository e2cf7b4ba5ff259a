"""Each rule holds for the workflows as they stand, and says so when they are broken in one place."""

from __future__ import annotations

import pytest

from support.workflow_rules import RULES, load, ours

CHECKOUT = "uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
UPLOADED = "name: ${{ inputs.artifact-prefix }}-predictions-${{ github.run_attempt }}"
PASSED = " && needs.validate.outputs.verdict == 'passed'"
MUTATIONS: tuple[tuple[str, str, str, str], ...] = (
    ("every_action_is_pinned_to_a_commit_with_its_version", "validate.yml", CHECKOUT, "uses: actions/checkout@v7"),
    ("every_action_is_pinned_to_a_commit_with_its_version", "validate.yml", " # v7.0.1", ""),
    ("one_action_has_one_pin", "promote.yml", "3d3c42e5aac5ba805825da76410c181273ba90b1", "3" * 40),
    ("permissions_are_none_at_the_top", "validate.yml", "permissions: {}\n\ndefaults", "defaults"),
    ("permissions_are_none_at_the_top", "ci.yml", "permissions: {}", "permissions: write-all"),
    ("each_job_may_do_what_is_listed_and_no_more", "validate.yml", "contents: read #", "contents: write #"),
    (
        "each_job_may_do_what_is_listed_and_no_more",
        "pull-request.yml",
        "    permissions:\n      contents: read # to check out the repository\n",
        "",
    ),
    ("every_permission_has_its_reason", "promote.yml", "contents: read # to check out the contract", "contents: read"),
    ("no_expression_stands_in_a_script", "validate.yml", '<<<"$SUITES"', "<<<${{ matrix.measure.key }}"),
    (
        "nothing_hides_a_failure",
        "validate.yml",
        "        id: verdict\n",
        "        id: verdict\n        continue-on-error: true\n",
    ),
    ("nothing_hides_a_failure", "validate.yml", "--out reports\n", "--out reports || true\n"),
    (
        "what_guards_the_log_does_not_end_up_in_a_summary",
        "promote.yml",
        'weighin-work "${attested[@]}"',
        'weighin-work "${attested[@]}" | tee -a "$GITHUB_STEP_SUMMARY"',
    ),
    (
        "no_secret_is_inherited",
        "release.yml",
        "    secrets:\n      mlflow-username: ${{ secrets.MLFLOW_READ",
        "    secrets: inherit\n    x:\n      y: ${{ secrets.MLFLOW_READ",
    ),
    ("no_stranger_starts_anything_with_our_token", "pull-request.yml", "  pull_request:\n", "  pull_request_target:\n"),
    (
        "only_listed_jobs_see_a_secret",
        "validate.yml",
        "          SUITES: ${{ join(matrix.measure.suites, ' ') }}\n",
        "          SUITES: ${{ join(matrix.measure.suites, ' ') }}\n          P: ${{ secrets.mlflow-password }}\n",
    ),
    (
        "only_listed_jobs_see_a_secret",
        "validate.yml",
        "github.event_name != 'merge_group' && secrets.server-token",
        "secrets.server-token",
    ),
    ("only_listed_jobs_see_a_secret", "validate.yml", 'runner" docker ask --image', 'runner" docker predict --image'),
    (
        "a_job_that_sees_a_secret_runs_no_model_and_no_suite",
        "promote.yml",
        'runner" docker run --image',
        'runner" docker load --image',
    ),
    ("a_run_that_trains_is_given_no_secret", "validate.yml", '[ -n "$TRAIN" ] && [ -n "$TRACKING_URI" ]', "false"),
    (
        "a_run_that_trains_is_given_no_secret",
        "validate.yml",
        "inputs.tracking-uri != '' && (inputs.sealed && secrets.holdout-password || secrets.mlflow-password) || ''",
        "secrets.mlflow-password",
    ),
    (
        "no_token_reaches_a_container",
        "validate.yml",
        "          TRAIN: ${{ inputs.train }}\n",
        "          TRAIN: ${{ inputs.train }}\n          T: ${{ github.token }}\n",
    ),
    ("every_checkout_forgets_its_token", "validate.yml", "persist-credentials: false", "persist-credentials: true"),
    ("every_checkout_forgets_its_token", "ci.yml", "        with:\n          persist-credentials: false\n", ""),
    ("the_machine_is_named_by_its_version", "ci.yml", "ubuntu-24.04", "ubuntu-latest"),
    ("the_machine_is_named_by_its_version", "validate.yml", "default: ubuntu-24.04", "default: self-hosted"),
    ("the_machine_is_named_by_its_version", "image.yml", "ubuntu-24.04", "ubuntu-22.04"),
    (
        "every_job_with_steps_has_a_time_limit",
        "validate.yml",
        "    timeout-minutes: ${{ inputs.timeout-minutes }}\n",
        "",
    ),
    ("every_step_has_a_name", "validate.yml", "        name: Fetch the predictions\n", ""),
    ("every_script_runs_in_bash_that_stops_at_an_error", "promote.yml", "defaults:\n  run:\n    shell: bash\n", ""),
    (
        "every_input_secret_and_output_says_what_it_is",
        "validate.yml",
        "        description: Password of that user.\n",
        "",
    ),
    ("every_input_secret_and_output_says_what_it_is", "validate.yml", "      base-image:\n", "      base_image:\n"),
    ("every_input_secret_and_output_says_what_it_is", "validate.yml", "        default: weighin\n", ""),
    ("every_input_is_used", "promote.yml", "if: inputs.reviews\n", "if: inputs.other\n"),
    ("an_artifact_is_named_by_prefix_and_attempt", "validate.yml", UPLOADED, "name: predictions"),
    ("an_artifact_is_named_by_prefix_and_attempt", "validate.yml", UPLOADED, UPLOADED.replace("run_attempt", "run_id")),
    ("what_others_could_take_is_kept_for_a_day", "validate.yml", "retention-days: 1\n", "retention-days: 90\n"),
    ("what_others_could_take_is_kept_for_a_day", "validate.yml", "          retention-days: 1\n", ""),
    ("nothing_is_cached_from_one_run_to_the_next", "image.yml", "no-cache: true", "cache-from: type=gha"),
    ("an_image_is_a_digest_and_never_a_moving_tag", "validate.yml", ":sha-$COMMIT", ":latest"),
    (
        "which_commit_this_is_is_asked_where_that_is_allowed",
        "validate.yml",
        "      id: ${{ steps.named.outputs.id }}",
        "      id: ${{ job.workflow_sha }}",
    ),
    ("which_commit_this_is_is_asked_where_that_is_allowed", "validate.yml", "job.workflow_sha", "github.workflow_sha"),
    ("the_gate_runs_always_and_needs_every_other_job", "validate.yml", "    if: always()\n    runs-on", "    runs-on"),
    (
        "the_gate_runs_always_and_needs_every_other_job",
        "validate.yml",
        "needs: [prepare, candidate, resolve, predict, suites, sealed]",
        "needs: [prepare, candidate, resolve, predict, suites]",
    ),
    ("suites_do_not_end_each_other", "validate.yml", "fail-fast: false", "fail-fast: true"),
    ("promotion_is_asked_for_only_after_a_pass_of_the_same_run", "release.yml", PASSED, ""),
    ("promotion_is_asked_for_only_after_a_pass_of_the_same_run", "release.yml", "!cancelled()", "always()"),
    (
        "promotion_is_asked_for_only_after_a_pass_of_the_same_run",
        "release.yml",
        "image: ${{ needs.validate.outputs.image }}",
        "image: ${{ vars.WEIGHIN_IMAGE }}",
    ),
    (
        "promotions_of_one_model_wait_for_each_other_and_a_rollback_for_none",
        "promote.yml",
        "      queue: max\n",
        "",
    ),
    (
        "promotions_of_one_model_wait_for_each_other_and_a_rollback_for_none",
        "rollback.yml",
        "permissions: {}\n",
        "permissions: {}\nconcurrency: promote\n",
    ),
    (
        "looks_wait_for_each_other_and_are_not_cancelled",
        "monitor.yml",
        "cancel-in-progress: false",
        "cancel-in-progress: true",
    ),
    (
        "looks_wait_for_each_other_and_are_not_cancelled",
        "monitor.yml",
        "${{ inputs.max-heartbeat-age > 0 && 'heartbeat' || 'run' }}-",
        "",
    ),
    ("what_a_look_found_is_said_and_kept_before_it_fails", "monitor.yml", " || code=$?", ""),
    (
        "no_job_that_queues_without_end_is_cancelled_by_the_next",
        "promote.yml",
        "queue: max",
        "queue: max\n      cancel-in-progress: true",
    ),
    ("the_pull_request_waits_in_a_merge_queue_as_well", "pull-request.yml", "  merge_group:\n", ""),
    ("the_name_of_the_check_is_the_one_that_the_readme_says", "pull-request.yml", "  validate:\n", "  check:\n"),
    (
        "the_name_of_the_check_is_the_one_that_the_readme_says",
        "validate.yml",
        "    if: always()\n    runs-on",
        "    if: always()\n    name: g\n    runs-on",
    ),
    ("a_pull_requests_own_limits_do_not_decide_alone", "validate.yml", "more+=(--base /weighin/base)", ":"),
    (
        "a_pull_requests_own_limits_do_not_decide_alone",
        "validate.yml",
        "pull_request.base.sha",
        "pull_request.head.sha",
    ),
    (
        "the_files_of_the_base_decide_until_the_commit_was_reviewed",
        "validate.yml",
        '[ -n "$REVIEWED" ] && [ "$REVIEWED" = "$HEAD" ]',
        '[ -n "$REVIEWED" ]',
    ),
    (
        "the_files_of_the_base_decide_until_the_commit_was_reviewed",
        "validate.yml",
        '--iidfile weighin-image/id "$DECIDING"',
        "--iidfile weighin-image/id .",
    ),
    (
        "the_files_of_the_base_decide_until_the_commit_was_reviewed",
        "pull-request.yml",
        "reviewed-commit: ${{ needs.review.outputs.commit }}",
        "reviewed-commit: ${{ github.event.pull_request.head.sha }}",
    ),
    (
        "no_label_starts_a_run",
        "pull-request.yml",
        "    branches: [main]\n",
        "    branches: [main]\n    types: [labeled]\n",
    ),
    ("no_commit_waits_behind_another_for_its_image", "image.yml", "-${{ github.sha }}", ""),
    (
        "a_promotion_that_is_run_again_takes_the_evidence_that_passed",
        "release.yml",
        "      attempt: ${{ needs.validate.outputs.attempt }}\n      model",
        "      model",
    ),
    (
        "a_promotion_that_is_run_again_takes_the_evidence_that_passed",
        "promote.yml",
        'if [ "$found" != "$RECORD" ]',
        "if false",
    ),
    ("a_fork_without_secrets_is_red_and_says_why", "validate.yml", "a maintainer must run this", "sorry"),
    (
        "a_published_image_is_verified_before_it_runs",
        "validate.yml",
        "if: steps.image.outputs.how == 'published' || inputs.image-built-by != ''",
        "if: inputs.image-built-by != ''",
    ),
    ("a_published_image_is_verified_before_it_runs", "rollback.yml", "gh attestation verify", "echo"),
    ("a_published_image_is_verified_before_it_runs", "monitor.yml", "gh attestation verify", "echo"),
    (
        "what_is_attested_is_the_record_that_was_judged_again",
        "actions/attest",
        "subject-path: reports/record.json",
        "subject-path: reports/verdict.json",
    ),
    (
        "where_an_attestation_or_a_review_is_asked_for_nothing_moves_without_it",
        "release.yml",
        "needs.reviews.result == 'success'",
        "true",
    ),
    (
        "where_an_attestation_or_a_review_is_asked_for_nothing_moves_without_it",
        "release.yml",
        "needs: [validate, attest, reviews]",
        "needs: [validate, attest]",
    ),
    (
        "an_image_has_a_name_only_after_its_tests_and_its_attestation",
        "image.yml",
        "needs: [build, test]",
        "needs: build",
    ),
    ("an_image_has_a_name_only_after_its_tests_and_its_attestation", "image.yml", "sbom: true", "sbom: false"),
    ("an_image_has_a_name_only_after_its_tests_and_its_attestation", "image.yml", "gh attestation verify", "echo"),
    (
        "a_release_of_ours_is_checked_built_and_tried_before_it_is_made",
        "publish.yml",
        "scripts/release.py try",
        "scripts/release.py notes",
    ),
    (
        "a_release_of_ours_is_checked_built_and_tried_before_it_is_made",
        "publish.yml",
        "needs: [build, image]",
        "needs: build",
    ),
    (
        "a_release_of_ours_is_checked_built_and_tried_before_it_is_made",
        "publish.yml",
        " && !inputs.dry-run",
        "",
    ),
)


def test_the_workflows_are_those_that_are_documented() -> None:
    assert list(ours()) == [
        "ci.yml",
        "drill.yml",
        "gate-statistics.yml",
        "image.yml",
        "monitor.yml",
        "monorepo.yml",
        "promote.yml",
        "publish.yml",
        "pull-request.yml",
        "release.yml",
        "review.yml",
        "rollback-button.yml",
        "rollback.yml",
        "self-test.yml",
        "validate.yml",
        "weekly-drill.yml",
        "actions/attest",
        "actions/comment",
        "actions/keep-registry",
        "actions/release-note",
        "actions/reviews",
    ]


@pytest.mark.parametrize("rule", RULES)
def test_the_workflows_keep_the_rule(rule: str) -> None:
    assert list(RULES[rule](ours())) == []


@pytest.mark.parametrize(("rule", "file", "old", "new"), MUTATIONS, ids=lambda v: v[:40].replace("\n", " "))
def test_a_workflow_that_breaks_the_rule_is_found(rule: str, file: str, old: str, new: str) -> None:
    files = ours()
    assert old in files[file], "an edit that changes nothing would test nothing"
    files[file] = files[file].replace(old, new, 1 if old in ("  validate:\n",) else -1)
    load(files[file])
    assert list(RULES[rule](files)), "nobody noticed"


def test_every_rule_is_broken_once() -> None:
    assert {mutation[0] for mutation in MUTATIONS} == set(RULES)


def test_dependencies_are_renewed_after_they_have_been_out_for_a_while() -> None:
    import yaml

    from support.workflow_rules import FOLDER

    updates = yaml.safe_load((FOLDER.parent / "dependabot.yml").read_text())["updates"]
    assert {u["package-ecosystem"] for u in updates} == {"github-actions", "pip", "docker"}
    assert all(u["cooldown"]["default-days"] >= 7 and u["schedule"]["interval"] == "weekly" for u in updates)
