"""Student's t distribution for integer degrees of freedom, in closed form (Abramowitz and Stegun, 26.7)."""

from __future__ import annotations

import math


def two_sided_p(t: float, freedom: int) -> float:
    """Two-sided p-value of `t`, for `freedom` >= 1 degrees of freedom."""
    theta = math.atan2(abs(t), math.sqrt(freedom))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * cosine * cosine
    inside = 2 / math.pi * (theta + sine * total) if odd else sine * total
    return max(0.0, 1.0 - inside)


def two_sided_quantile(share: float, freedom: int) -> float:
    """The value x such that `share` of the distribution is in [-x, x]: 12.706 for 0.95 and one degree of freedom."""
    low, high = 0.0, 1.0
    while 1 - two_sided_p(high, freedom) < share:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - two_sided_p(middle, freedom) < share else (low, middle)
    return high
