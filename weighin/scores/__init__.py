"""Scores of answers that are texts: a number for each row, of which a metric is the mean (weighin/stats/metrics.py)."""
