"""Performance: the candidate meets its limits and is not worse than the champion by more than the margins."""

SUITE = "performance"


def test_performance(outcome):
    """One test per check of the contract: measured by weighin.suites.performance, decided by weighin.outcome.decide."""
    assert outcome.goes_on, outcome
