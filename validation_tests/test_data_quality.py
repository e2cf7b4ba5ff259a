"""Data quality: the column rules of the contract hold in every dataset that a decision rests on."""

SUITE = "data_quality"


def test_data_quality(outcome):
    """One test per check of the contract: measured by weighin.suites.data_quality, decided by outcome.decide."""
    assert outcome.goes_on, outcome
