"""Shadow: candidate and champion answer the requests of the prediction log alike, in time, and without errors."""

SUITE = "shadow"


def test_shadow(outcome):
    """One test per check of the contract: measured by weighin.suites.shadow, decided by weighin.outcome.decide."""
    assert outcome.goes_on, outcome
