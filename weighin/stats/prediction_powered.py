"""A mean of which a biased instrument measures every row, and people measured some.

Source: Angelopoulos, Duchi and Zrnic 2023, "PPI++: Efficient prediction-powered inference", with their power tuning.
"""

from __future__ import annotations

import numpy as np

from weighin.stats.intervals import Floats, Undefined

LEAST = 30
"""Labels by people: of fewer, an interval of their mean is not to be trusted."""
LEAST_RARER = 5
"""Where people say one of two things: labels of the rarer one. With fewer, a mean near 0 or 1 passes too often (7 %
instead of 5 % with 50 labels at 0.95, benchmarks/text_scores.py)."""


def prediction_powered(judged: Floats, labelled: Floats, share: Floats) -> tuple[float, Floats]:
    """Return the mean of what people would say of every row, with (n,) each row's influence on its error.

    judged    (n,) what the instrument says of each row
    labelled  (n,) what people say of it, in the same unit; NaN where nobody was asked
    share     (n,) weights that sum to one
    The rows that were labelled are a random sample of all: then the instrument's bias, whatever it is, cancels, and
    what it knows makes the interval narrower. The weight of the instrument, between 0 (labels alone) and 1, is the one
    that gives the least variance.
    Errors: `Undefined` with fewer than `LEAST` labels, or `LEAST_RARER` of the rarer of two.
    """
    known = np.isfinite(labelled)
    count = int(known.sum())
    if count < LEAST:
        raise Undefined(f"{count} rows are labelled by people, at least {LEAST} are needed")
    said, often = np.unique(labelled[known], return_counts=True)
    if len(said) <= 2 and (rarer := int(count - often.max())) < LEAST_RARER:
        raise Undefined(f"{rarer} of {count} labels by people differ from the rest, at least {LEAST_RARER} must")
    own = np.where(known, share, 0.0) / float(share[known].sum())
    truth = np.where(known, labelled, 0.0)
    mean = float((own * truth).sum())
    rest = 1.0 - float(share[known].sum())
    if rest <= 0:
        return mean, own * (truth - mean)
    other = np.where(known, 0.0, share) / rest
    weight = _weight(judged[known], labelled[known], count / (len(judged) - count))
    seen, unseen = float((own * judged).sum()), float((other * judged).sum())
    estimate = mean + weight * (unseen - seen)
    values = own * ((truth - mean) - weight * (judged - seen)) + other * weight * (judged - unseen)
    return estimate, values


def _weight(judged: Floats, labelled: Floats, ratio: float) -> float:
    """Return how much the instrument counts: its regression on the labels, less for what unlabelled rows add."""
    spread = float(np.var(judged, ddof=1))
    if spread <= 0:
        return 0.0
    joint = float(np.cov(judged, labelled, ddof=1)[0, 1])
    return min(1.0, max(0.0, joint / ((1 + ratio) * spread)))
