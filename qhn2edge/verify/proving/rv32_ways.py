"""Where the ways through a function of RV32IMC come together again."""

from __future__ import annotations

from collections.abc import Callable

from qhn2edge.verify.proving.rv32 import BRANCHES, RA, Instruction


def postdominators(bounds: tuple[int, int], fetch: Callable[[int], Instruction]) -> dict[int, int | None]:
    """Return the immediate postdominator of each branch of a function; None: its exit.

    A node's postdominators are itself and those that all of its successors have; sets, to the fixed point.
    Of a branch's own, the nearest is the one that all the others postdominate: it has the most itself.
    """
    follow = _successors(bounds, fetch)
    everything = frozenset(follow) | {None}
    found: dict[int | None, frozenset[int | None]] = dict.fromkeys(follow, everything)
    found[None] = frozenset({None})
    changed = True
    while changed:
        changed = False
        for node in sorted(follow, reverse=True):
            new = frozenset({node}) | frozenset.intersection(*(found[n] for n in follow[node]))
            if new != found[node]:
                found[node], changed = new, True
    return {
        node: max(found[node] - {node}, key=lambda other: len(found[other]))
        for node, successors in follow.items()
        if len(successors) > 1
    }


def _successors(bounds: tuple[int, int], fetch: Callable[[int], Instruction]) -> dict[int, list[int | None]]:
    """Return where each instruction of a function leads; leaving the function is None."""
    follow: dict[int, list[int | None]] = {}
    waiting = [bounds[0]]
    while waiting:
        pc = waiting.pop()
        if pc in follow:
            continue
        instruction = fetch(pc)
        after, there = pc + instruction.size, pc + instruction.imm
        targets = [after]
        if instruction.name in BRANCHES:
            targets = list(dict.fromkeys((there, after)))
        elif instruction.name in {"jal", "jalr"} and instruction.rd != RA:
            targets = [there] if instruction.name == "jal" else []
        inside = [target for target in targets if bounds[0] <= target < bounds[1]]
        follow[pc] = [*inside, *([None] if len(inside) < len(targets) or not targets else [])]
        waiting += inside
    return follow
