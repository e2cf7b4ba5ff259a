"""The first contract, drafted from a team's own data and model, and a small repository around it.

What is drafted follows from measurements: the draft is resolved, the model is asked, and the suites measure, with the
same code as `weighin validate`. Limits are set from the intervals that come out.
"""
