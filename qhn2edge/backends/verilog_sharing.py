"""Plans many subset sums with few adders: what several sums have in common is added once.

Given terms u_j and subsets D_i, the sums C_i = sum_{j in D_i} u_j are built from three kinds of nodes: a
term, a *count* of two or three one-bit terms (a half or full adder, two lookup tables), and an *add* of
two nodes (a carry chain, one lookup table a bit of the result), whose carry input takes a further one-bit
term for nothing. The search is greedy: the triple of one-bit terms that most subsets contain becomes a
node, then the next, then the pair of nodes (of equal width first) that
most subsets contain, and what is left of
each subset is added for itself, smallest first. Ties are broken at random; the cheapest of several tries
is kept. Common-subexpression elimination of this kind goes back to Hartley (IEEE TCAS-II 43, 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

BLOCK_TERMS = 64
"""Terms among which common triples are looked for; larger sets are cut into blocks of this many."""
_MAX_TRIES = 24
_TRY_WORK = 60_000
"""Terms times subsets that all tries together may look at."""

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Node:
    """A node of a plan: a term, or a sum of other nodes.

    Attributes:
        parts: the nodes added, none for a term. Up to three one-bit nodes make a count; otherwise the first
            two are added, and a third one, of one bit, is the carry.
        largest: the largest value.
        plus_one: an add without a third part whose carry input is the constant 1.
    """

    parts: tuple[int, ...]
    largest: int
    plus_one: bool = False

    @property
    def width(self) -> int:
        """Bits of the value."""
        return self.largest.bit_length()


@dataclass(frozen=True)
class SumPlan:
    """Nodes in an order in which each follows its parts; the first ones are the terms.

    Attributes:
        nodes: the nodes.
        roots: for each subset the node of its sum; None for the empty subset.
        slots: for each subset its own adds whose carry input is free; each can add 1 to this sum alone.
    """

    nodes: tuple[Node, ...]
    roots: tuple[int | None, ...]
    slots: tuple[tuple[int, ...], ...]

    @property
    def cost(self) -> int:
        """Lookup tables needed, about."""
        return sum(_cost(self, node) for node in self.nodes)

    def is_count(self, node: Node) -> bool:
        """Whether a node is a half or full adder of one-bit nodes."""
        return len(node.parts) > 1 and all(self.nodes[part].largest == 1 for part in node.parts)


def _cost(plan: SumPlan, node: Node) -> int:
    if not node.parts:
        return 0
    return 2 if plan.is_count(node) else node.width


def plan_sums(largest: Sequence[int], subsets: Sequence[frozenset[int]], seed: int = 0) -> SumPlan:
    """Return a plan for the sums of subsets of terms.

    Args:
        largest: the largest value of each term, at least 1.
        subsets: indices of the terms of each sum.
        seed: of the random choices; equal arguments give equal plans.
    """
    rng = np.random.default_rng(seed)
    work = max(1, len(largest) * len(subsets))
    plans = (_Planner(largest, subsets, rng).plan() for _ in range(_n_tries(work)))
    return min(plans, key=lambda plan: plan.cost)


def _n_tries(work: int) -> int:
    return max(1, min(_MAX_TRIES, _TRY_WORK // work))


def add_constant(plan: SumPlan, subset: int, value: int) -> SumPlan:
    """Return the plan with a constant added to one sum through its free carry inputs.

    Args:
        plan: the plan.
        subset: the index of the sum.
        value: from 0 to the number of the sum's slots.
    """
    if value == 0:
        return plan
    nodes = list(plan.nodes)
    # Where there is room for it, one more does not make the word wider.
    slots = sorted(plan.slots[subset], key=lambda slot: nodes[slot].largest + 1 == 1 << nodes[slot].width)
    for slot in slots[:value]:
        nodes[slot] = replace(nodes[slot], plus_one=True)
    for index in sorted(_above(plan, subset)):
        node = nodes[index]
        nodes[index] = replace(node, largest=sum(nodes[part].largest for part in node.parts) + node.plus_one)
    return replace(plan, nodes=tuple(nodes))


def _above(plan: SumPlan, subset: int) -> set[int]:
    """Return the nodes from a root down to its slots, none of which another sum uses."""
    own: set[int] = set()
    first = min(plan.slots[subset])
    stack = [plan.roots[subset]]
    while stack:
        index = stack.pop()
        if index is not None and index >= first and index not in own:
            own.add(index)
            stack += plan.nodes[index].parts
    return own


# ---- the greedy search ----


class _Planner:
    """One try: nodes so far, and which subsets still hold which of them."""

    def __init__(
        self, largest: Sequence[int], subsets: Sequence[frozenset[int]], rng: np.random.Generator
    ) -> None:
        self.nodes = [Node((), top) for top in largest]
        self.n_subsets = len(subsets)
        self.rng = rng
        self.held: dict[int, BoolArray] = {
            term: np.array([term in subset for subset in subsets], dtype=bool) for term in range(len(largest))
        }

    def plan(self) -> SumPlan:
        """Share, then add up what is left of each subset."""
        for block in self._blocks():
            self._share_triples(block)
        for block in self._blocks():
            self._share_pairs(block, equal=True)
        for block in self._blocks():
            self._share_pairs(block, equal=False)
        n_shared = len(self.nodes)
        roots = self._roots()
        return SumPlan(tuple(self.nodes), tuple(roots), self._slots(roots, n_shared))

    def _slots(self, roots: Sequence[int | None], first: int) -> tuple[tuple[int, ...], ...]:
        """Return for each subset the adds that are its own; its root is the last node of its assembly."""
        slots: list[tuple[int, ...]] = []
        for root in roots:
            if root is None or root < first or list(roots).count(root) > 1:
                slots.append(())
                first = max(first, (root or 0) + 1)
            else:
                slots.append(tuple(index for index in range(first, root + 1) if self._is_free(index)))
                first = root + 1
        return tuple(slots)

    def _roots(self) -> list[int | None]:
        """Add up what is left of each subset; of equal rests, once."""
        made: dict[bytes, int | None] = {}
        left = np.array([self.held[index] for index in sorted(self.held)], dtype=bool)
        keys = [left[:, subset].tobytes() for subset in range(self.n_subsets)]
        for subset, key in enumerate(keys):
            if key not in made:
                made[key] = self._assemble(subset)
        return [made[key] for key in keys]

    def _new(self, parts: tuple[int, ...]) -> int:
        self.nodes.append(Node(parts, sum(self.nodes[part].largest for part in parts)))
        return len(self.nodes) - 1

    def _is_free(self, index: int) -> bool:
        parts = self.nodes[index].parts
        return len(parts) == 2 and any(self.nodes[part].largest > 1 for part in parts)

    def _blocks(self) -> list[list[int]]:
        """Return the nodes in groups within which something is shared; a node belongs to its first term."""
        blocks: dict[int, list[int]] = {}
        for index in self.held:
            blocks.setdefault(self._first_term(index) // BLOCK_TERMS, []).append(index)
        return list(blocks.values())

    def _first_term(self, index: int) -> int:
        while self.nodes[index].parts:
            index = self.nodes[index].parts[0]
        return index

    def _share_triples(self, block: list[int]) -> None:
        """Make nodes of triples of one-bit terms as long as two subsets have one in common."""
        terms = [index for index in block if self.nodes[index].largest == 1]
        if len(terms) < 3:
            return
        held = np.array([self.held[term] for term in terms], dtype=np.float32)
        common = _common_triples(held)
        while True:
            most = common.max()
            if most < 2:
                break
            best = np.flatnonzero(common.ravel() == most)
            chosen = np.unravel_index(best[self.rng.integers(len(best))], common.shape)
            subsets = np.prod(held[list(chosen)], axis=0)
            held[list(chosen)] *= 1 - subsets
            self.held[self._new(tuple(terms[i] for i in sorted(chosen)))] = subsets.astype(bool)
            _update_triples(common, held, [int(i) for i in chosen])
        for term, row in zip(terms, held, strict=True):
            self.held[term] = row.astype(bool)

    def _share_pairs(self, block: list[int], *, equal: bool) -> None:
        """Make nodes of pairs of (equally wide) nodes as long as two subsets have one in common."""
        block = [index for index in block if self.nodes[index].largest > 1 and self.held[index].sum() > 1]
        while len(block) > 1:
            held = np.array([self.held[index] for index in block], dtype=np.float32)
            widths = np.array([self.nodes[index].width for index in block])
            saved = np.triu((held @ held.T - 1) * np.maximum(widths + 1, widths[:, None]), 1)
            if equal:
                saved *= widths == widths[:, None]
            most = saved.max()
            if most <= 0:
                break
            best = np.flatnonzero(saved.ravel() == most)
            i, j = np.unravel_index(best[self.rng.integers(len(best))], saved.shape)
            block.append(self._share_pair(block[int(i)], block[int(j)]))

    def _share_pair(self, a: int, b: int) -> int:
        subsets = self.held[a] & self.held[b]
        ones = [i for i, held in self.held.items() if self.nodes[i].largest == 1 and held[subsets].all()]
        parts = (a, b, ones[self.rng.integers(len(ones))]) if ones else (a, b)
        for part in parts:
            self.held[part] = self.held[part] & ~subsets
        node = self._new(parts)
        self.held[node] = subsets
        return node

    def _assemble(self, subset: int) -> int | None:
        """Add up what is left of one subset, smallest first, with single bits as carries."""
        mine = [index for index, held in self.held.items() if held[subset]]
        ones = [index for index in mine if self.nodes[index].largest == 1]
        words = [index for index in mine if self.nodes[index].largest > 1]
        while len(ones) > 2 and len(ones) > len(words) - 1:
            words.append(self._new((ones.pop(), ones.pop(), ones.pop())))
        if not words:
            return None if not ones else ones[0] if len(ones) == 1 else self._new(tuple(ones))
        while len(words) > 1 or ones:
            words.sort(key=lambda index: self.nodes[index].largest)
            parts = [words.pop(0), words.pop(0) if words else ones.pop()]
            words.append(self._new((*parts, ones.pop()) if ones else tuple(parts)))
        return words[0]


def _common_triples(held: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return for every i < j < k how many subsets hold all three, int32 [n, n, n], and 0 elsewhere."""
    n = len(held)
    common = np.zeros((n, n, n), dtype=np.int32)
    for i in range(n):
        common[i] = np.triu((held * held[i]) @ held.T, 1)
        common[i, : i + 1] = 0
    return common


def _update_triples(common: NDArray[np.int32], held: NDArray[np.float32], changed: list[int]) -> None:
    """Count the triples with a changed term again."""
    for i in changed:
        pairs = np.triu((held * held[i]) @ held.T, 1).astype(np.int32)
        pairs[i] = pairs[:, i] = 0
        common[i, i + 1 :, :] = pairs[i + 1 :]
        common[:i, i, :] = pairs[:i, :] * (np.arange(len(held)) > i)
        common[:i, :, i] = pairs[:i, :] * (np.arange(len(held)) < i)
