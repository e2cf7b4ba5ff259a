"""Distribution functions and quantiles, from `scipy.special`.

`scipy.stats` has the same functions; importing it takes a second of processor time, and every step of a validation is a
process of its own. tests/stats/test_distributions.py compares the two.
"""

from __future__ import annotations

from types import ModuleType


def _special() -> ModuleType:
    """Return `scipy.special`, imported when it is used first: reading a contract needs none of it."""
    from scipy import special

    return special  # type: ignore[no-any-return]


def normal_cdf(x: float) -> float:
    """Return P(Z <= x) of the standard normal distribution."""
    return float(_special().ndtr(x))


def normal_sf(x: float) -> float:
    """Return P(Z > x) of the standard normal distribution."""
    return float(_special().ndtr(-x))


def normal_quantile(level: float) -> float:
    """Return the x with P(Z <= x) = level."""
    return float(_special().ndtri(level))


def t_cdf(x: float, df: float) -> float:
    """Return P(T <= x) of Student's t distribution with `df` degrees of freedom."""
    return float(_special().stdtr(df, x))


def t_sf(x: float, df: float) -> float:
    """Return P(T > x) of Student's t distribution with `df` degrees of freedom."""
    return float(_special().stdtr(df, -x))


def t_quantile(level: float, df: float) -> float:
    """Return the x with P(T <= x) = level."""
    return float(_special().stdtrit(df, level))


def beta_quantile(level: float, a: float, b: float) -> float:
    """Return the x with P(B <= x) = level, of the beta distribution."""
    return float(_special().betaincinv(a, b, level))


def binomial_cdf(k: float, n: int, p: float) -> float:
    """Return P(X <= k) of `n` trials that succeed with probability `p`."""
    return 0.0 if k < 0 else 1.0 if k >= n else float(_special().betainc(n - k, k + 1, 1 - p))


def binomial_sf(k: float, n: int, p: float) -> float:
    """Return P(X > k) of `n` trials that succeed with probability `p`."""
    return 1.0 if k < 0 else 0.0 if k >= n else float(_special().betainc(k + 1, n - k, p))


def binomial_quantile(level: float, n: int, p: float) -> int:
    """Return the smallest k with P(X <= k) >= level."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if binomial_cdf(middle, n, p) >= level else (middle + 1, high)
    return low


def chi2_sf(x: float, df: float) -> float:
    """Return P(X > x) of the chi-squared distribution with `df` degrees of freedom."""
    return float(_special().chdtrc(df, x))
