"""The tests that judge: one for each check of the contract, and one for each outcome of the repository's own code.

`weighin step judge` runs this file, of the engine, whatever `validation_tests/` holds.
"""


def test_check(outcome):  # type: ignore[no-untyped-def]
    """Measure one check of the contract and decide."""
    assert outcome.goes_on, outcome


def test_own(own_outcome):  # type: ignore[no-untyped-def]
    """Show what a test of the repository came to, in a judge of its own."""
    assert own_outcome.goes_on, own_outcome
