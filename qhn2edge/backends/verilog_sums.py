"""Makes circuits of a layer's accumulators from their parts (``verilog_split.py``).

The sums C_i and the parts of B are planned together (``verilog_sharing.py``). What differs in the
constants of the units goes where it costs nothing, into carry inputs and into the low bits of step C_i;
the rest is added to B, once for all units that need the same rest. Of a sign, only the highest bit of the
last adder is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qhn2edge.backends.verilog_circuit import ONE, ZERO, Circuit, Word, constant, extend, invert
from qhn2edge.backends.verilog_formats import Format, signed_width
from qhn2edge.backends.verilog_linear import linear
from qhn2edge.backends.verilog_sharing import SumPlan, add_constant, plan_sums
from qhn2edge.backends.verilog_split import Split


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a layer: some of its units, and the ranges of their accumulators.

    Attributes:
        units: indices of units.
        low, high: for each of them, the least and the greatest accumulator.
    """

    units: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True)
class _Goal:
    """step C + B + rest in ``width`` bits of two's complement, complemented if ``inverted``."""

    unit: int
    rest: int
    width: int
    inverted: bool = False


def terms_of(split: Split, inputs: Sequence[Format], words: Sequence[Word]) -> list[Word]:
    """Return the words of the terms v_j, given the formats and words of all inputs."""
    plain = [inputs[j].unsigned(words[j]) for j in split.live]
    return [
        invert(word) if is_complement else word
        for word, is_complement in zip(plain, split.complemented, strict=True)
    ]


def sign_bits(circuit: Circuit, split: Split, terms: Sequence[Word], wanted: Wanted) -> list[int]:
    """Return for each unit the literal of a >= 0.

    With F = step C + B, this is F >= t where the unit's sign is +1, and F < t where it is -1.
    """
    goals = []
    for unit, low, high in zip(wanted.units, wanted.low, wanted.high, strict=True):
        whole, sign = split.constants[unit], split.signs[unit]
        threshold = -(whole // split.unit) if sign > 0 else whole // split.unit + 1
        ends = [sign * (end - whole) // split.unit - threshold for end in (low, high)]
        goals.append(_Goal(unit, -threshold, signed_width(min(ends), max(ends))))
    if not split.base:
        return _compared(circuit, split, terms, goals)
    words = _joined(circuit, split, terms, goals)
    return [word[-1] ^ int(split.signs[goal.unit] > 0) for goal, word in zip(goals, words, strict=True)]


def accumulators(
    circuit: Circuit, split: Split, terms: Sequence[Word], wanted: Wanted, shift: int = 0
) -> list[Word]:
    """Return for each unit the word of a + shift in two's complement; the ranges are those of a + shift."""
    if split.unit & (split.unit - 1):
        return _multiplied(circuit, split, terms, wanted, shift)
    n_low = split.unit.bit_length() - 1
    goals, lowest = [], []
    for unit, low, high in zip(wanted.units, wanted.low, wanted.high, strict=True):
        whole, is_plain = split.constants[unit] + shift, split.signs[unit] > 0
        rest = whole >> n_low if is_plain else -(whole >> n_low) - 1  # -F + r = ~(F - r - 1)
        goals.append(_Goal(unit, rest, signed_width(low >> n_low, high >> n_low), inverted=not is_plain))
        lowest.append(constant(whole, n_low))
    words = _joined(circuit, split, terms, goals)
    return [bits + word for bits, word in zip(lowest, words, strict=True)]


def _multiplied(
    circuit: Circuit, split: Split, terms: Sequence[Word], wanted: Wanted, shift: int
) -> list[Word]:
    """Return the accumulators where ``unit`` is not a power of two: F first, then unit F."""
    goals, rests = [], []
    for unit, low, high in zip(wanted.units, wanted.low, wanted.high, strict=True):
        whole, is_plain = split.constants[unit] + shift, split.signs[unit] > 0
        ends = [(end - whole) // split.unit for end in (low, high)]
        goals.append(_Goal(unit, 0 if is_plain else -1, signed_width(*ends), inverted=not is_plain))
        rests.append(whole)
    words = []
    for number, word in enumerate(_joined(circuit, split, terms, goals)):
        # Two's complement is unsigned with the highest bit complemented, less 2^(width - 1).
        plain = (*word[:-1], word[-1] ^ 1)
        offset = rests[number] - (split.unit << (goals[number].width - 1))
        width = signed_width(wanted.low[number], wanted.high[number])
        words.append(linear(circuit, [(split.unit, plain)], offset, width, f"unit {goals[number].unit}"))
    return words


def _compared(circuit: Circuit, split: Split, terms: Sequence[Word], goals: Sequence[_Goal]) -> list[int]:
    """Return the literals of step C >= -rest; without B there is nothing to add."""
    plan = _plan(split, goals)
    nodes = _build(circuit, plan, terms)
    found = []
    for goal, root in zip(goals, plan.roots, strict=True):
        least = -(goal.rest // split.step)
        word = () if root is None else nodes[root]
        if least <= 0:
            found.append(ONE)
        else:
            found.append(circuit.at_least(word, constant(least, len(word)), f"unit {goal.unit}"))
    return found


def _joined(circuit: Circuit, split: Split, terms: Sequence[Word], goals: Sequence[_Goal]) -> list[Word]:
    """Return the word of each goal."""
    plan = _plan(split, goals)
    offered = [_offered(split, plan, index) for index in range(len(goals))]
    shares = common_points([(goal.rest - most, goal.rest) for goal, most in zip(goals, offered, strict=True)])
    if not split.base:  # there is nothing to share, and adding 0 costs nothing
        shares = [
            0 if goal.rest - most <= 0 <= goal.rest else share
            for goal, most, share in zip(goals, offered, shares, strict=True)
        ]
    for index, (goal, share) in enumerate(zip(goals, shares, strict=True)):
        plan = add_constant(plan, index, (goal.rest - share) // split.step)
    nodes = _build(circuit, plan, terms)
    bases = _bases(circuit, split, plan, nodes, goals, shares)
    words = [() if root is None else nodes[root] for root in plan.roots]
    return [
        _join(circuit, split, words[index], bases[share], goal, goal.rest - share)
        for index, (goal, share) in enumerate(zip(goals, shares, strict=True))
    ]


def _plan(split: Split, goals: Sequence[_Goal]) -> SumPlan:
    return plan_sums(split.largest, [*(split.subsets[goal.unit] for goal in goals), *split.base.values()])


def _offered(split: Split, plan: SumPlan, index: int) -> int:
    """Return the most that a goal takes for nothing, with all below it: low bits, and free carry inputs."""
    if plan.roots[index] is None:
        return 0
    low_bits = (split.step & -split.step) - 1
    is_power = split.step & (split.step - 1) == 0
    return low_bits + (split.step * len(plan.slots[index]) if is_power else 0)


def common_points(intervals: Sequence[tuple[int, int]]) -> list[int]:
    """Return a point in each closed interval, with as few different points as possible."""
    chosen = [0] * len(intervals)
    point: int | None = None
    for index in sorted(range(len(intervals)), key=lambda i: intervals[i][1]):
        low, high = intervals[index]
        if point is None or point < low:
            point = high
        chosen[index] = point
    return chosen


def _build(circuit: Circuit, plan: SumPlan, terms: Sequence[Word]) -> list[Word]:
    """Return the words of all nodes of a plan."""
    words = list(terms)
    for node in plan.nodes[len(terms) :]:
        parts = [words[part] for part in node.parts]
        if plan.is_count(node):
            words.append(circuit.count(tuple(part[0] for part in parts)))
        else:
            carry = parts[2][0] if len(parts) > 2 else ONE if node.plus_one else ZERO
            words.append(circuit.add(parts[0], parts[1], node.width, carry=carry))
    return words


def _bases(
    circuit: Circuit,
    split: Split,
    plan: SumPlan,
    nodes: Sequence[Word],
    goals: Sequence[_Goal],
    shares: Sequence[int],
) -> dict[int, Word]:
    """Return the word of B + share for each share."""
    width = max((goal.width for goal in goals), default=1)
    roots = plan.roots[len(goals) :]
    parts = [(beta, nodes[root]) for beta, root in zip(split.base, roots, strict=True) if root is not None]
    return {
        share: linear(circuit, parts, share, width, f"common to units, and {share}")
        for share in sorted(set(shares))
    }


def _join(circuit: Circuit, split: Split, word: Word, base: Word, goal: _Goal, rest: int) -> Word:
    """Return step * word + base and the part of ``rest`` that fits into the low bits."""
    if word:
        n_low = (split.step & -split.step).bit_length() - 1
        odd = split.step >> n_low
        if odd > 1:
            word = linear(circuit, [(odd, word)], 0, len(word) + odd.bit_length(), f"unit {goal.unit}")
        word = constant(rest % split.step, n_low) + word
    word, base = extend(word, goal.width), base[: goal.width]
    return circuit.add(base, word, goal.width, inverted=goal.inverted, note=f"unit {goal.unit}")
