"""Explainability: forbidden features do not matter, none matters too much, and the rest matter as in the champion."""

SUITE = "explainability"


def test_explainability(outcome):
    """One test per check of the contract: measured by weighin.suites.explainability, decided by outcome.decide."""
    assert outcome.goes_on, outcome
