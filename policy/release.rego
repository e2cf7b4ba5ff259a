# The last word before a version becomes champion. Edit the values; `weighin promote --dry-run` asks without acting.
#
# input.record     the decision record (docs/schema/decision-v1.schema.json)
# input.approvals  [{"name", "how": "key" or "review", "said", "comment"}], only valid ones
# input.promoter   who runs the promotion
#
# `allow` must be true and `deny` empty. What errs or is undefined denies.
package weighin.release

import rego.v1

# Data that a model may be judged on: dataset, or dataset and digest. An empty set for a dataset approves any content.
approved_data := {
	"reference": set(),
	"holdout": set(),
	"sealed_holdout": set(),
	"current": set(),
	"requests": set(),
}

required_suites := {"data_quality", "performance", "drift", "explainability", "load"}

fairness_checks_at_least := 1

approvers_at_least := 2

# The last drill of the gate (`weighin drill`): how old at most, and which share of how many faults was blocked. With 0
# faults none is demanded.
drill_faults_at_least := 0

drill_score_at_least := 0.8

drill_age_days_at_most := 31

default allow := false

allow if {
	input.record.verdict.status == "passed"
	count(deny) == 0
}

deny contains sprintf("suite %s is required and did not pass", [suite]) if {
	some suite in required_suites
	not suite in input.record.policy_inputs.suites
}

deny contains sprintf("dataset %s is not approved", [name]) if {
	some name, _ in input.record.data
	not name in object.keys(approved_data)
}

deny contains sprintf("dataset %s has another content (%s) than what was approved", [name, found.sha256]) if {
	some name, found in input.record.data
	count(approved_data[name]) > 0
	not found.sha256 in approved_data[name]
}

deny contains sprintf("%d fairness checks were evaluated, %d are required", [found, fairness_checks_at_least]) if {
	found := input.record.policy_inputs.fairness_checks
	found < fairness_checks_at_least
}

deny contains "explainability was not done" if {
	not input.record.policy_inputs.explainability_done
}

deny contains "no drill of this gate is known" if {
	drill_faults_at_least > 0
	not input.record.drill
}

deny contains sprintf("the drill tried %d faults, %d are required", [input.record.drill.faults, drill_faults_at_least]) if {
	input.record.drill.faults < drill_faults_at_least
}

deny contains sprintf("the drill blocked a share of %v, %v is required", [input.record.drill.score, drill_score_at_least]) if {
	drill_faults_at_least > 0
	input.record.drill.score < drill_score_at_least
}

deny contains sprintf("the drill is %v days old, at most %v are allowed", [input.record.drill.age_days, drill_age_days_at_most]) if {
	drill_faults_at_least > 0
	input.record.drill.age_days > drill_age_days_at_most
}

deny contains "the drill is of another contract" if {
	drill_faults_at_least > 0
	not input.record.drill.same_contract
}

# One person counts once, whichever way they approved, and nobody approves what they promote themselves.
approvers := {lower(approval.name) | some approval in input.approvals} - {lower(input.promoter)}

deny contains sprintf("%d approvals by others than %s, %d are required", [count(approvers), input.promoter, approvers_at_least]) if {
	count(approvers) < approvers_at_least
}
