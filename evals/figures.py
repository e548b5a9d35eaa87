"""Shares with their uncertainty, a paired test between two endpoints, percentiles.

A case is drawn as a whole, so that many calls or arguments in one case do not pass for independent evidence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
FLIPS = 10_000
_CELLS = 2_000_000
"""Draws held in memory at once."""
_Z = 1.959964
"""Of a 95 % interval of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, 0 to 1, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float
    count: int
    """What it is a share of: calls, arguments or cases."""


def share_of(scores: Sequence[tuple[float, float]], seed: int = 0) -> Share:
    """Sum of parts by sum of wholes, one entry a case; percentile bootstrap over the cases (Efron 1979).

    Where all cases agree, resampling them knows no doubt; then the bounds are Wilson's (1927), for as many yes or no
    answers as there are cases.
    """
    parts, wholes = np.array([entry for entry in scores if entry[1]], dtype=float).reshape(-1, 2).T
    total = wholes.sum()
    if not total:
        return Share(0.0, 0.0, 0.0, 0)
    value = float(parts.sum() / total)
    shares = parts / wholes
    if (shares == shares[0]).all():
        low, high = wilson(value, len(parts)) if value <= 1 else (value, value)
    else:
        drawn = _resampled(parts, wholes, np.random.default_rng(seed))
        low, high = (float(bound) for bound in np.percentile(drawn, [2.5, 97.5]))
    return Share(value, low, high, int(total))


def wilson(share: float, count: int) -> tuple[float, float]:
    """Bounds of the 95 % interval of a share of `count` yes or no answers."""
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    spread = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return max(0.0, middle - spread), min(1.0, middle + spread)


def paired_p(first: Sequence[float], second: Sequence[float], seed: int = 0) -> float:
    """Probability of a mean difference this large if the endpoints were alike, by random sign flips, two-sided.

    Entries at the same place are the same case. (Fisher's randomisation test; +1 as Phipson and Smyth 2010 advise.)
    """
    differences = np.array(first, dtype=float) - np.array(second, dtype=float)
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    observed = abs(differences.sum())
    rng = np.random.default_rng(seed)
    rows = max(1, min(FLIPS, _CELLS // len(differences)))
    extreme = done = 0
    while done < FLIPS:
        signs = rng.choice([-1.0, 1.0], size=(min(rows, FLIPS - done), len(differences)))
        extreme += int((abs(signs @ differences) >= observed - 1e-9).sum())
        done += len(signs)
    return (extreme + 1) / (FLIPS + 1)


def holm(probabilities: Sequence[float]) -> list[float]:
    """The same probabilities as if each had been the only question asked (Holm 1979)."""
    order = sorted(range(len(probabilities)), key=lambda index: probabilities[index])
    adjusted = [0.0] * len(probabilities)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * probabilities[index]))
        adjusted[index] = highest
    return adjusted


def percentile(values: Sequence[float], share: float) -> float:
    """Linear between neighbours; 0 where there is nothing."""
    return float(np.percentile(values, 100 * share)) if values else 0.0


def _resampled(
    parts: np.ndarray[tuple[int], np.dtype[np.float64]],
    wholes: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator,
) -> list[float]:
    """The share of each of the drawn samples."""
    found: list[float] = []
    rows = max(1, min(RESAMPLES, _CELLS // len(parts)))
    while len(found) < RESAMPLES:
        drawn = rng.integers(len(parts), size=(min(rows, RESAMPLES - len(found)), len(parts)))
        found += (parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1)).tolist()
    return found
