"""Faults of one bit in the numbers of exported files: where they can lie, and what becomes of them."""

from __future__ import annotations

import functools
import re
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model, load_model
from qhn2edge.verify import make_vectors
from qhn2edge.verify.vectors import all_inputs, random_inputs

FOUND = "found"
REFUSED = "refused"
"""The tool does not take the file, or stops; the check ends with an error."""
UNCHANGED = "unchanged"
MISSED = "missed"
NO_SIGN_CHANGES = "a hidden bias moves between two values that the sum can have"
SIGN_ALONE = "the quantizer takes the weight's sign alone"
MAX_COUNTED_BITS = 18
"""Inputs of so many bits are all run where the fewer vectors of ``verify`` do not show a fault."""
PADDING = "the word is of a unit that does not exist"
KINDS = ("weight", "bias", "threshold", "table", "other")

IntMatrix = NDArray[np.integer[Any]]
Answers = tuple[IntMatrix, IntMatrix]
"""Labels and logits."""


@dataclass(frozen=True)
class Numbers:
    """An array of numbers in a file.

    Attributes:
        where: what the backend calls it.
        kind: one of :data:`KINDS`.
        n: how many.
        bits: of each.
    """

    where: str
    kind: str
    n: int
    bits: int


@dataclass(frozen=True)
class Fault:
    """One flipped bit."""

    where: str
    kind: str
    index: int
    bit: int


@dataclass(frozen=True)
class Verdict:
    """What became of a fault: one of FOUND, REFUSED, UNCHANGED, MISSED, and how that is known."""

    model: str
    fault: Fault
    outcome: str
    why: str


@dataclass(frozen=True, eq=False)
class Case:
    """A model, the vectors that ``verify`` uses for it, and the right answers.

    Attributes:
        model: the model.
        x: int16 [n, n_features].
        logits, labels: the interpreter's.
        exhaustive: whether x is every input.
    """

    model: Model
    x: IntMatrix
    logits: IntMatrix
    labels: IntMatrix
    exhaustive: bool

    def differs(self, labels: IntMatrix, logits: IntMatrix, rows: slice = slice(None)) -> bool:
        """Return whether any integer differs on some rows."""
        return not (np.array_equal(logits, self.logits[rows]) and np.array_equal(labels, self.labels[rows]))


# ---- models ----


def case_of(model: Model, x: IntMatrix | None = None) -> Case:
    """Return a model with the vectors of ``verify``, or with others."""
    vectors = make_vectors(model)
    rows = vectors.x if x is None else x
    logits = interpreter.logits(model, rows)
    labels = interpreter.class_indices(model, logits)
    return Case(model, rows, logits, labels, vectors.exhaustive)


@functools.cache
def further_vectors(case: Case, times: int = 20) -> Case:
    """Return a case with every input, or with that many times as many random vectors of another seed."""
    if case.model.input.n_bits <= MAX_COUNTED_BITS:
        return case_of(case.model, all_inputs(case.model.input))
    rng = np.random.default_rng(20_000)
    return case_of(case.model, random_inputs(case.model.input, times * len(case.x), rng))


def models() -> dict[str, Model]:
    """Return networks of 64 bits, of 12 and 18 bits with every activation, of two bytes, and of images."""
    path = Path(__file__).parent.parent / "examples" / "models" / "bench-64-32-10.model.json"
    return {
        "bits": load_model(path),
        "mixed": _mixed(12),
        "wide": _mixed(MAX_COUNTED_BITS),
        "bytes": _bytes(),
        "image": _image(),
    }


def _dense(rng: np.random.Generator, n_in: int, n_out: int, levels: tuple[int, int], **rest: Any) -> Dense:  # noqa: ANN401
    bits = rng.integers(0, 2, (n_out, n_in), dtype=np.uint8)
    bias = rng.integers(-rest["bias"], rest["bias"] + 1, n_out, dtype=np.int32)
    return Dense(bits, bias, levels, rest["activation"])


def _mixed(n_features: int) -> Model:
    rng = np.random.default_rng(3)
    layers = (
        _dense(rng, n_features, 9, (-1, 1), activation=Sign(), bias=3),
        _dense(rng, 9, 6, (-2, 1), activation=Table(-8, tuple(range(-40, 40, 5))), bias=3),
        _dense(rng, 6, 5, (-1, 1), activation=Relu(shift=1, clip_bits=6), bias=3),
        _dense(rng, 5, 3, (-3, 1), activation=Identity(), bias=3),
    )
    return Model("mixed", Input(n_features, Encoder.bits()), layers, Head("argmax", ("a", "b", "c")))


def _bytes() -> Model:
    rng = np.random.default_rng(5)
    layers = (
        _dense(rng, 2, 8, (-1, 1), activation=Relu(shift=2, clip_bits=6), bias=40),
        _dense(rng, 8, 6, (-1, 1), activation=Table(-16, tuple(range(-70, 90, 5))), bias=9),
        _dense(rng, 6, 3, (-2, 1), activation=Identity(), bias=9),
    )
    return Model("bytes", Input(2, Encoder.int8_fixed()), layers, Head("argmax", ("a", "b", "c")))


def _image() -> Model:
    """Return a network of images of 3 x 6 bits: a padding that is no sign, both poolings, scaled logits."""
    rng = np.random.default_rng(7)
    first = _dense(rng, 9, 4, (-1, 1), activation=Sign(), bias=3)
    second = _dense(rng, 16, 5, (-2, 1), activation=Table(-6, tuple(range(-24, 24, 4))), bias=3)
    third = _dense(rng, 20, 4, (-1, 1), activation=Relu(shift=1, clip_bits=6), bias=9)
    layers = (
        Conv2D(first, (3, 6, 1), (3, 3), padding=(1, 1, 1, 1)),
        MaxPool2D((3, 6, 4), (2, 2), (1, 1), np.array([0, 1, 0, 1], np.uint8)),
        Conv2D(second, (2, 5, 4), (2, 2)),
        third,
        _dense(rng, 4, 3, (-1, 1), activation=Affine((3, -2, 5), (-7, 0, 40)), bias=9),
    )
    return Model("image", Input(MAX_COUNTED_BITS, Encoder.bits()), layers, Head("argmax", ("a", "b", "c")))


# ---- drawing ----


def draw(arrays: Sequence[Numbers], n: int, seed: int) -> list[Fault]:
    """Return random faults: kinds in turn, then uniformly a number of that kind and one of its bits."""
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in KINDS if any(array.kind == kind for array in arrays)]
    return [_draw_one([a for a in arrays if a.kind == kinds[i % len(kinds)]], rng) for i in range(n)]


def _draw_one(arrays: Sequence[Numbers], rng: np.random.Generator) -> Fault:
    at = int(rng.integers(sum(array.n for array in arrays)))
    for array in arrays:
        if at < array.n:
            return Fault(array.where, array.kind, at, int(rng.integers(array.bits)))
        at -= array.n
    raise AssertionError("a position beyond the last number")


def flipped_integer(value: int, bit: int, bits: int) -> int:
    """Return a two's complement number of some bits with one bit flipped."""
    flipped = (value ^ (1 << bit)) & ((1 << bits) - 1)
    return flipped - (1 << bits) if flipped >> (bits - 1) else flipped


def flipped_bytes(content: bytes, bit: int) -> bytes:
    """Return bytes with one bit flipped; bits count from the first byte's lowest."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def flipped_float(value: float, bit: int) -> np.float32:
    """Return a float32 with one bit flipped."""
    (word,) = struct.unpack("<I", struct.pack("<f", value))
    changed: np.float32 = np.frombuffer(struct.pack("<I", word ^ (1 << bit)), "<f4")[0]
    return changed


# ---- C text ----

_ARRAY = re.compile(
    r"^(?:static const (?:QHN_FLASH )?|QHN_BATCH_CONST\()(u?)int(\d+)_t\)? (\w+)\[(\d+)\] = \{", re.MULTILINE
)
_NUMBER = re.compile(r"0x[0-9a-f]+|-?\d+")


def c_arrays(text: str) -> list[Numbers]:
    """Return the tables of a C text."""
    found = _ARRAY.findall(text)
    return [Numbers(name, _c_kind(name.lower()), int(n), int(bits)) for _, bits, name, n in found]


def _c_kind(name: str) -> str:
    kinds = {"weights": "weight", "bias": "bias", "table": "table"}
    return next((kind for word, kind in kinds.items() if word in name), "other")


def c_number(text: str, fault: Fault) -> int:
    """Return the number that a fault is in."""
    return int(_c_place(text, fault)[1][0], 0)


def flip_c(text: str, fault: Fault) -> str:
    """Return C text with one bit of one number of a table flipped."""
    start, found = _c_place(text, fault)
    if start[1]:
        digits = len(found[0]) - 2 if found[0].startswith("0x") else 8
        new = f"0x{int(found[0], 0) ^ (1 << fault.bit):0{digits}x}"
    else:
        new = str(flipped_integer(int(found[0], 0), fault.bit, int(start[2])))
    return text[: found.start()] + new + text[found.end() :]


def _c_place(text: str, fault: Fault) -> tuple[re.Match[str], re.Match[str]]:
    start = next(match for match in _ARRAY.finditer(text) if match[3] == fault.where)
    numbers = _NUMBER.finditer(text, start.end())
    return start, next(match for i, match in enumerate(numbers) if i == fault.index)


# ---- memory files of Verilog ----


def hex_arrays(folder: Path, widths: dict[str, int]) -> list[Numbers]:
    """Return the memory files of a folder; widths in bits by the end of their names."""
    kinds = {"weights": "weight", "biases": "bias", "tables": "table"}
    found = []
    for word, kind in kinds.items():
        for path in sorted(folder.glob(f"*_{word}.hex")):
            found.append(Numbers(path.name, kind, len(path.read_text().split()), widths[word]))
    return found


def flip_hex(text: str, fault: Fault) -> str:
    """Return a memory file with one bit of one line flipped."""
    lines = text.splitlines()
    lines[fault.index] = f"{int(lines[fault.index], 16) ^ (1 << fault.bit):0{len(lines[fault.index])}x}"
    return "\n".join(lines) + "\n"


# ---- numbers ----


def same_sign_everywhere(before: float, after: float, sums: Iterable[int]) -> bool:
    """Return whether sum + bias reaches 0 for the same sums, in float32, which holds these integers."""
    s = np.array(list(sums), dtype=np.float32)
    with np.errstate(all="ignore"):
        return bool(np.array_equal(s + np.float32(before) >= 0, s + np.float32(after) >= 0))


def sums_of(model: Model) -> range:
    """Return all sums of the first layer, which is of signs."""
    n = model.dense_layers[0].n_in
    return range(-n, n + 1, 2)


def float_reason(model: Model, where: str, before: Any, after: Any) -> str | None:  # noqa: ANN401  (numbers)
    """Return why a changed weight under a sign, or a changed bias before one, changes nothing."""
    if where.endswith("weights_signs"):
        return SIGN_ALONE if (before >= 0) == (after >= 0) else None
    first = model.layers[0]
    if where == "layer_1_bias" and isinstance(first, Dense) and isinstance(first.activation, Sign):
        return NO_SIGN_CHANGES if same_sign_everywhere(before, after, sums_of(model)) else None
    return None


def table_of(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return counts of verdicts: in all, by kind, and why nothing changed."""
    whys = Counter(v.why for v in verdicts if v.outcome == UNCHANGED)
    return {
        **_counts(verdicts),
        "kinds": {k: _counts(some) for k in KINDS if (some := [v for v in verdicts if v.fault.kind == k])},
        "unchanged_why": dict(whys.most_common()),
        "missed_faults": [asdict(v) for v in verdicts if v.outcome == MISSED],
    }


def _counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    outcomes = Counter(v.outcome for v in verdicts)
    names = (FOUND, REFUSED, UNCHANGED, MISSED)
    return {"planted": len(verdicts), **{name: outcomes[name] for name in names}}
