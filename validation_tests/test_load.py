"""Load: the served candidate answers rightly, in time, without errors, and within its memory."""

SUITE = "load"


def test_load(outcome):
    """One test per check of the contract: measured by weighin.suites.load, decided by weighin.outcome.decide."""
    assert outcome.goes_on, outcome
