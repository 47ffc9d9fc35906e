"""Were visitors split as declared? A sample-ratio check that may be looked at any number of times.

The Dirichlet-multinomial mixture of M. Lindon and A. Malek, "Anytime-valid inference for multinomial count data"
(NeurIPS 2022, arXiv 2011.03567), theorem 1: an e-value against the declared shares from the counts alone, exact at
every look. Its prior is centred at the declared shares; how closely is not known in advance, so the mean of several
e-values is taken, which is one again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

ALARM_BELOW = 0.001  # a broken split makes every other number wrong, and chance must hardly ever say so
# Of the prior, in visitors: from "any split may come" to "a thousandth beside the declared one".
CONCENTRATIONS = (10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """What was declared and what came. `p`: how often chance alone would at some time look this odd, at the most."""

    expected: dict[str, float]  # shares that sum to 1
    observed: dict[str, int]
    p: float

    @property
    def broken(self) -> bool:
        """Whether chance does not explain it."""
        return self.p < ALARM_BELOW


def log_e_value(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Logarithm of the e-value against `shares` (which sum to 1). A visitor in an arm of no share is the end of it."""
    x, share = np.asarray(counts, dtype=float), np.asarray(shares, dtype=float)
    if np.any((share == 0) & (x > 0)):
        return float("inf")
    x, share = x[share > 0], share[share > 0]
    expected = float(np.sum(xlogy(x, share)))
    values = [
        gammaln(k) - gammaln(k + x.sum()) + float(np.sum(gammaln(k * share + x) - gammaln(k * share))) - expected
        for k in CONCENTRATIONS
    ]
    return float(logsumexp(values) - np.log(len(values)))


def check_split(observed: dict[str, int], declared: dict[str, float]) -> Split | None:
    """The check of all arms that were declared; None where fewer than two of them have a share."""
    whole = sum(declared.values())
    if whole <= 0 or sum(share > 0 for share in declared.values()) < 2:
        return None
    expected = {arm: share / whole for arm, share in declared.items()}
    counts = {arm: observed.get(arm, 0) for arm in expected}
    log_e = log_e_value(list(counts.values()), list(expected.values()))
    return Split(expected=expected, observed=counts, p=float(np.exp(-max(log_e, 0.0))))
