"""What is distinguishable from chance: bootstrap intervals and the paired t-test of differences over seeds."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike

from ...sim.errors import InvalidInput

RESAMPLES = 10_000
LISTED = 5  # up to so many values all resamples are listed (5**5 = 3125), so nothing is left to chance


def bootstrap_interval(values: ArrayLike, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean.

    Parameters
    ----------
    values : array (n,)
        One paired difference per seed.
    level : float
        Coverage aimed at.
    seed : int
        Of the resampling; not used for up to five values, whose resamples are all listed.

    Returns
    -------
    (float, float)
        Never outside the smallest and largest value. With three different values it is just these two, because a
        resample of one value alone has probability 1/27, more than 2.5 %. NaN for fewer than two values.

    References
    ----------
    B. Efron, Bootstrap methods, Annals of Statistics 7 (1979), doi:10.1214/aos/1176344552.

    Examples
    --------
    >>> bootstrap_interval([-3.0, -1.0, -2.0])
    (-3.0, -1.0)
    """
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or not np.isfinite(data).all():
        raise InvalidInput(f"bootstrap: values {data.shape} must be finite and one per seed")
    if len(data) < 2:
        return float("nan"), float("nan")
    if len(data) <= LISTED:
        picks = np.array(list(itertools.product(range(len(data)), repeat=len(data))))
    else:
        picks = np.random.default_rng(seed).integers(len(data), size=(RESAMPLES, len(data)))
    # sorted, and from the smallest up: resamples of the same values then have the same mean to the last bit
    samples = np.sort(data[picks], axis=1)
    means = samples[:, 0] + (samples - samples[:, :1]).mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
    return float(max(low, data.min())), float(min(high, data.max()))


def distinguishable(values: ArrayLike, *, level: float = 0.95) -> bool:
    """Whether the mean of paired differences differs from zero by two tests: bootstrap interval and paired t.

    Few values make the percentile bootstrap too sure: of three draws of pure noise its 95 % interval leaves out zero in
    a quarter of all cases, of five in one of seven. Student's t (Biometrika 6, 1908, doi:10.2307/2331554) does so in
    5 % if the differences are normal. Both must agree.

    Examples
    --------
    >>> distinguishable([-3.0, -1.0, -2.0]), distinguishable([-2.1, -2.0, -1.9])
    (False, True)
    """
    from scipy.stats import t

    data = np.asarray(values, np.float64)
    low, high = bootstrap_interval(data, level=level)
    if not (low > 0 or high < 0):
        return False
    margin = t.ppf((1 + level) / 2, len(data) - 1) * data.std(ddof=1) / np.sqrt(len(data))
    return bool(abs(data.mean()) > margin)
