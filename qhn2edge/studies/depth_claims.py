"""What success counts at several depths say about the source's claims 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping

from qhn2edge.studies.intervals import (
    FAILS,
    HOLDS,
    MIXED,
    OPEN,
    Interval,
    above,
    corrected,
    difference,
    wilson,
)
from qhn2edge.studies.study import Finding

NEAR_OPTIMAL = "Training finds near-optimal networks with high probability"
ENTANGLEMENT = "Entanglement (depth > 1) raises the success probability over the product state"
INTERMEDIATE = "An intermediate depth is best"

# A success probability above one half is called high.
HIGH = 0.5
# Differences below this many points of probability are called none.
NO_DIFFERENCE = 0.05

Counts = Mapping[int, tuple[int, int]]  # depth -> (successes, runs)


def depth_findings(where: str, counts: Counts, random_share: float) -> list[Finding]:
    """Return the findings of one data set at one tolerance.

    Args:
        where: data set and tolerance.
        counts: successes and runs at each depth, at least one depth.
        random_share: success probability of a network drawn at random, 0..1.
    """
    return [
        near_optimal(where, counts, random_share),
        entanglement(where, counts),
        intermediate(where, counts),
    ]


def near_optimal(where: str, counts: Counts, random_share: float) -> Finding:
    """Claim 1: the best depth's success probability is above one half."""
    depth = _best(counts)
    share = wilson(*counts[depth], corrected(len(counts)))
    found = f"best at depth {depth}: {share.text('.1%')}; a random network {_small(random_share)}"
    return Finding(NEAR_OPTIMAL, where, found, above(share, HIGH))


def entanglement(where: str, counts: Counts) -> Finding:
    """Claim 2, first half: each entangled depth against depth 1."""
    entangled = [depth for depth in counts if depth > 1]
    if 1 not in counts or not entangled:
        return Finding(ENTANGLEMENT, where, "needs depth 1 and a deeper circuit", OPEN)
    confidence = corrected(len(entangled))
    gains = {depth: difference(counts[depth], counts[1], confidence) for depth in entangled}
    found = "; ".join(f"depth {depth}: {_points(gain)}" for depth, gain in gains.items())
    return Finding(ENTANGLEMENT, where, found, _verdict_of_gains(list(gains.values())))


def intermediate(where: str, counts: Counts) -> Finding:
    """Claim 2, second half: some inner depth beats both the shallowest and the deepest."""
    depths = sorted(counts)
    if len(depths) < 3:
        return Finding(INTERMEDIATE, where, "needs three depths or more", OPEN)
    inner, ends = depths[1:-1], (depths[0], depths[-1])
    confidence = corrected(2 * len(inner))
    leads = {d: {end: difference(counts[d], counts[end], confidence) for end in ends} for d in inner}
    best = _best({depth: counts[depth] for depth in inner})
    found = f"best inner depth {best}; " + "; ".join(
        f"against depth {end}: {_points(lead)}" for end, lead in leads[best].items()
    )
    if any(all(lead.low > 0 for lead in pair.values()) for pair in leads.values()):
        return Finding(INTERMEDIATE, where, found, HOLDS)
    refuted = all(any(_no_gain(lead) for lead in pair.values()) for pair in leads.values())
    return Finding(INTERMEDIATE, where, found, FAILS if refuted else OPEN)


def _no_gain(lead: Interval) -> bool:
    return lead.low <= 0 and lead.high < NO_DIFFERENCE


def _verdict_of_gains(gains: list[Interval]) -> str:
    raised, lowered = any(g.low > 0 for g in gains), any(g.high < 0 for g in gains)
    if raised:
        return MIXED if lowered else HOLDS
    # None raises it: refuted where one lowers it, or where none can raise it by a noticeable amount.
    return FAILS if lowered or all(g.high < NO_DIFFERENCE for g in gains) else OPEN


def _best(counts: Counts) -> int:
    return max(counts, key=lambda depth: (counts[depth][0] / counts[depth][1], -depth))


def _points(gain: Interval) -> str:
    return f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}] points"


def _small(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else f"{share:.1e}"
