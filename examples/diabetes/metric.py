"""A metric of one's own: named in the contract, measured like any other."""

import numpy as np


def large_errors(truth, prediction, weight):
    """One number per row: whether the error is larger than 100. Its mean is the metric."""
    return (np.abs(prediction - truth) > 100).astype(float)
