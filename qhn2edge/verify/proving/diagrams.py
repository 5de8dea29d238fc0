"""Binary decision diagrams, and integers whose bits are diagrams.

A bit is ``False``, ``True``, or a diagram (a Boolean function of free variables). Constants never reach the
diagram package, so that a computation without free variables costs what plain integers cost. A word is a
tuple of bits, least significant first; a signed word is in two's complement.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias

from qhn2edge.errors import ToolError

Bit: TypeAlias = Any  # bool, or a diagram of dd.cudd, which has no types
Word: TypeAlias = tuple[Bit, ...]

Reading = Mapping[str, bool]
"""Free variables and their values."""


_COUNT_SHARE = 50
"""Of the time, one part in so many may go into counting nodes."""


def missing() -> str | None:
    """Return None when the package of diagrams is installed, else one line that says how to get it."""
    try:
        importlib.import_module("dd.cudd")
    except ImportError:
        return str(_absent())
    return None


def _absent() -> ToolError:
    return ToolError(
        "the package dd with CUDD is missing, which proofs are made with",
        next_step="get it with: pip install 'qhn2edge[prove]'",
    )


class Diagrams:
    """A set of free variables, and the Boolean functions over them.

    Args:
        max_bytes: memory that the diagrams may take.

    Raises:
        ToolError: the package dd is missing.
    """

    def __init__(self, max_bytes: int = 2**30) -> None:
        try:
            cudd = importlib.import_module("dd.cudd")
        except ImportError as error:
            raise _absent() from error
        self._bdd: Any = cudd.BDD(memory_estimate=max_bytes)
        # The order of variables is chosen by what they mean; a search for a better one would take minutes.
        self._bdd.configure(reordering=False, max_memory=max_bytes)
        self._true, self._false = self._bdd.true, self._bdd.false
        self._n_nodes, self._next_count = 0, 0.0

    # ---- variables ----

    def variable(self, name: str) -> Bit:
        """Return a new free variable; those made first stand at the top of diagrams."""
        self._bdd.declare(name)
        return self._bdd.var(name)

    def variable_of(self, name: str) -> Bit:
        """Return a free variable that was made before."""
        return self._bdd.var(name)

    def level(self, name: str) -> int:
        """Return the place of a variable in the order."""
        return int(self._bdd.level_of_var(name))

    @property
    def n_nodes(self) -> int:
        """Nodes of all diagrams in use, counted a while ago: a count visits all variables."""
        start = time.monotonic()
        if start >= self._next_count:
            self._n_nodes = len(self._bdd)
            self._next_count = start + max(1.0, _COUNT_SHARE * (time.monotonic() - start))
        return self._n_nodes

    @property
    def peak_nodes(self) -> int:
        """The most nodes that there were at a time, in use or not yet collected."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one tells of a change in how another figure is counted
            return int(self._bdd.statistics()["peak_nodes"])

    # ---- bits ----

    def _bit(self, node: Bit) -> Bit:
        if node == self._false:
            return False
        return True if node == self._true else node

    def invert(self, a: Bit) -> Bit:
        """Return not a."""
        return not a if isinstance(a, bool) else ~a

    def both(self, a: Bit, b: Bit) -> Bit:
        """Return a and b."""
        if a is False or b is False:
            return False
        if a is True:
            return b
        return a if b is True else self._bit(a & b)

    def either(self, a: Bit, b: Bit) -> Bit:
        """Return a or b."""
        if a is True or b is True:
            return True
        if a is False:
            return b
        return a if b is False else self._bit(a | b)

    def differ(self, a: Bit, b: Bit) -> Bit:
        """Return a exclusive-or b."""
        if isinstance(a, bool):
            return self.invert(b) if a else b
        if isinstance(b, bool):
            return ~a if b else a
        return self._bit(self._bdd.apply("xor", a, b))

    def choose(self, condition: Bit, a: Bit, b: Bit) -> Bit:
        """Return a where the condition holds, else b."""
        if isinstance(condition, bool):
            return a if condition else b
        if isinstance(a, bool):
            return self.either(condition, b) if a else self.both(~condition, b)
        if isinstance(b, bool):
            return self.either(~condition, a) if b else self.both(condition, a)
        return a if a == b else self._bit(self._bdd.ite(condition, a, b))

    def majority(self, a: Bit, b: Bit, c: Bit) -> Bit:
        """Return whether at least two of three bits are set."""
        return self.choose(c, self.either(a, b), self.both(a, b))

    def any_of(self, bits: Iterable[Bit]) -> Bit:
        """Return whether at least one bit is set."""
        found: Bit = False
        for bit in bits:
            found = self.either(found, bit)
        return found

    # ---- what a diagram says ----

    def one_of(self, a: Bit) -> Reading:
        """Return values for which a diagram that is not False holds; variables left out do not matter."""
        return {} if a is True else dict(self._bdd.pick(a))

    def all_of(self, a: Bit) -> Iterator[Reading]:
        """Yield the values for which a diagram holds, in groups; variables left out do not matter."""
        if a is True:
            yield {}
        elif a is not False:
            yield from self._bdd.pick_iter(a, care_vars=set())

    def support(self, a: Bit) -> frozenset[str]:
        """Return the variables on which a diagram depends."""
        return frozenset() if isinstance(a, bool) else frozenset(self._bdd.support(a))

    def value(self, a: Bit, reading: Reading) -> bool:
        """Return the value of a diagram for given values of all its variables."""
        if isinstance(a, bool):
            return a
        return bool(self._bdd.let({name: reading[name] for name in self.support(a)}, a) == self._true)

    def number(self, word: Word, reading: Reading, *, signed: bool) -> int:
        """Return the integer that a word stands for, for given values of its variables."""
        bits = [self.value(bit, reading) for bit in word]
        number = sum(1 << place for place, bit in enumerate(bits) if bit)
        return number - (1 << len(bits)) if signed and bits and bits[-1] else number

    def substitute(self, a: Bit, functions: Mapping[str, Bit]) -> Bit:
        """Return a diagram with functions in the place of variables."""
        if isinstance(a, bool):
            return a
        inside = {name: self._node(functions[name]) for name in self.support(a) & functions.keys()}
        return self._bit(self._bdd.let(inside, a)) if inside else a

    def _node(self, a: Bit) -> Bit:
        if isinstance(a, bool):
            return self._true if a else self._false
        return a

    def branches(self, a: Bit) -> tuple[str, Bit, Bit]:
        """Return the top variable of a diagram that is no constant, and what it is for False and for True."""
        low, high = (~a.low, ~a.high) if a.negated else (a.low, a.high)
        return a.var, self._bit(low), self._bit(high)

    # ---- words ----

    def add(self, a: Word, b: Word, carry: Bit = False) -> Word:
        """Return a + b + carry, modulo 2^n for words of n bits each."""
        total = []
        for x, y in zip(a, b, strict=True):
            half = self.differ(x, y)
            total.append(self.differ(half, carry))
            carry = self.majority(x, y, carry)
        return tuple(total)

    def add_unsigned(self, a: Word, b: Word) -> Word:
        """Return the sum of two unsigned words, one bit wider than the wider one."""
        n = max(len(a), len(b)) + 1
        return self.add(zero_extended(a, n), zero_extended(b, n))

    def inverted(self, a: Word) -> Word:
        """Return the word with each bit inverted."""
        return tuple(self.invert(bit) for bit in a)

    def subtract(self, a: Word, b: Word) -> Word:
        """Return a - b, modulo 2^n for words of n bits each."""
        return self.add(a, self.inverted(b), True)

    def times(self, a: Word, factor: int) -> Word:
        """Return an unsigned word times a constant of at least 0, wide enough for every product."""
        parts = [(False,) * place + a for place in range(factor.bit_length()) if factor >> place & 1]
        total: Word = ()
        for part in parts:
            total = self.add_unsigned(total, part) if total else part
        return total

    def add_signed(self, a: Word, b: Word) -> Word:
        """Return the sum of two signed words, one bit wider than the wider one."""
        n = max(len(a), len(b)) + 1
        return self.add(sign_extended(a, n), sign_extended(b, n))

    def scaled(self, factor: int, a: Word) -> Word:
        """Return a signed word times a constant, exact."""
        if not factor:
            return (False,)
        n = len(a) + abs(factor).bit_length() + 1
        product = sign_extended(self.times(sign_extended(a, n), abs(factor))[:n], n)
        return self.subtract(constant(0, n), product) if factor < 0 else product

    def total(self, words: Sequence[Word]) -> Word:
        """Return the sum of unsigned words, neighbours first.

        Partial sums then belong to neighbouring variables, so that their diagrams are small.
        """
        words = list(words)
        while len(words) > 1:
            pairs = zip_longest(words[::2], words[1::2])
            words = [a if b is None else self.add_unsigned(a, b) for a, b in pairs]
        return words[0] if words else ()

    def pick(self, condition: Bit, a: Word, b: Word) -> Word:
        """Return the word a where the condition holds, else b."""
        return tuple(self.choose(condition, x, y) for x, y in zip(a, b, strict=True))

    def unlike(self, a: Word, b: Word) -> Bit:
        """Return whether two words differ."""
        return self.any_of(self.differ(x, y) for x, y in zip(a, b, strict=True))

    def is_less(self, a: Word, b: Word) -> Bit:
        """Return whether a < b, for unsigned words of equal width."""
        less: Bit = False
        for x, y in zip(a, b, strict=True):
            less = self.choose(self.differ(x, y), y, less)
        return less

    def is_less_signed(self, a: Word, b: Word) -> Bit:
        """Return whether a < b, for signed words of equal width."""
        return self.is_less((*a[:-1], self.invert(a[-1])), (*b[:-1], self.invert(b[-1])))

    def looked_up(self, index: Word, entries: Sequence[Word]) -> Word:
        """Return entries[index]; an index beyond the last entry gives the last one."""
        if not index:
            return entries[0]
        half = 1 << (len(index) - 1)
        low = self.looked_up(index[:-1], entries[:half])
        if index[-1] is False:
            return low
        high = self.looked_up(index[:-1], entries[half:] or entries[-1:])
        return self.pick(index[-1], high, low)

    def is_member(self, word: Word, numbers: Sequence[int]) -> Bit:
        """Return whether an unsigned word is one of some numbers, sorted, that it can be."""
        if not word:
            return bool(numbers)
        if len(numbers) == 1 << len(word) or not numbers:
            return bool(numbers)
        top = 1 << (len(word) - 1)
        low = self.is_member(word[:-1], [number for number in numbers if number < top])
        high = self.is_member(word[:-1], [number - top for number in numbers if number >= top])
        return self.choose(word[-1], high, low)


def constant(value: int, n_bits: int) -> Word:
    """Return an integer as a word of n bits, modulo 2^n."""
    return tuple(bool(value >> place & 1) for place in range(n_bits))


def zero_extended(word: Word, n_bits: int) -> Word:
    """Return an unsigned word with further bits."""
    return (*word, *(False,) * (n_bits - len(word)))


def sign_extended(word: Word, n_bits: int) -> Word:
    """Return a signed word with further bits, or without superfluous ones."""
    return (*word, *(word[-1:] or (False,)) * (n_bits - len(word)))[:n_bits]


def same_width(a: Word, b: Word) -> tuple[Word, Word]:
    """Return two signed words, the narrower one extended."""
    n = max(len(a), len(b))
    return sign_extended(a, n), sign_extended(b, n)


def are_same(a: Word, b: Word) -> bool:
    """Return whether two words of equal width are the same diagrams, bit by bit."""
    return all(p is q or (_is_diagram(p, q) and p == q) for p, q in zip(a, b, strict=True))


def _is_diagram(*bits: Bit) -> bool:
    return not any(isinstance(bit, bool) for bit in bits)


def signed_bits(low: int, high: int) -> int:
    """Return the bits of two's complement that hold low..high."""
    return 1 + max((value if value >= 0 else ~value).bit_length() for value in (low, high))


Say = Callable[[str], None]
"""Told what is being done, line by line."""
