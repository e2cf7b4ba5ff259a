"""weighin: release gates for machine-learning models.

A suite *measures*; one function decides. The tour, in the order in which a decision is made:

    contract   what must hold, written by the team           (model_contract.yaml)
    subject    candidate and champion, resolved once to version, run and digest
    predict    the only place that loads a model: features in, predictions out
    suites     contract + subject + data + predictions -> measurements
    outcome    decide(measurement, limit) -> outcome; nothing else compares a number with a limit
    record     the decision, as canonical bytes that anyone can recompute
    registry   the alias, moved only for a record that passed
"""

__version__ = "0.1.0"
