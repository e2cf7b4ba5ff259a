"""Drift: current features, labels and predictions are close enough to the reference."""

SUITE = "drift"


def test_drift(outcome):
    """One test per check of the contract: measured by weighin.suites.drift, decided by weighin.outcome.decide."""
    assert outcome.goes_on, outcome
