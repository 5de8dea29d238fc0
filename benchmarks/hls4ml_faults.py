"""hls4ml projects with a planted fault: compiled once, with a program that reads the headers at its start.

Of a copy of the project, ``T name[n] = {...};`` in the headers of constants becomes ``T name[n];`` and a call
that reads the numbers from the exported header itself, before the first vector. So a fault stands in the
exported file, as an edit of it would, and the rest is the compiled project. The first faults of each model
are also compiled anew by the runner of ``verify``; both ways must give the same logits.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from planted_faults import (
    NO_SIGN_CHANGES,
    Answers,
    Case,
    Fault,
    IntMatrix,
    Numbers,
    flipped_integer,
    same_sign_everywhere,
    sums_of,
)

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.hls4ml_options import DEFAULT
from qhn2edge.backends.hls4ml_plan import LayerPlan, plan_layers
from qhn2edge.backends.to_hls4ml import port_values, rows_text
from qhn2edge.model import Model
from qhn2edge.toolchain import run_tool
from qhn2edge.verify import run_hls4ml

N_COMPILED = 4
"""Faults of each model that are also compiled."""
COMPILED_ROWS = 512
_RUN_S = 900.0
_PLACE = re.compile(
    r"(?:typedef ap_u?int<|static const \w+ \w+ = )(?:(?P<number>-?\d+)|(?P<flag>true|false))(?:> \w+)?;"
)
_HEADER = re.compile(r"^(\w+) (\w+)\[(\d+)\] = \{([^}]*)\};", re.MULTILINE)
_TYPE = re.compile(r"typedef ap_(u?)int<(\d+)> (\w+);")
_KINDS = {"w": "weight", "b": "bias", "o": "bias", "t": "threshold", "s": "other", "m": "other"}
_READER = """\
#pragma once
#include <cstdio>
#include <cstdlib>

// Reads the numbers between the braces of a header; all of them, or the program ends.
template <class value_t> bool read_numbers(const char *path, value_t *values, int n) {
    std::FILE *file = std::fopen(path, "r");
    long long value = 0;
    int c = file ? std::fgetc(file) : EOF;
    while (c != '{' && c != EOF)
        c = std::fgetc(file);
    for (int i = 0; i < n; i++) {
        char end = 0;
        if (c == EOF || std::fscanf(file, " %lld %c", &value, &end) != 2 || end != (i + 1 < n ? ',' : '}'))
            std::exit(3);
        values[i] = value;
    }
    std::fclose(file);
    return true;
}
"""


@dataclass(frozen=True)
class _Array:
    """An array of a header: its numbers, and the type that holds each."""

    numbers: tuple[int, ...]
    bits: int
    signed: bool

    def flipped(self, fault: Fault) -> tuple[int, ...]:
        """Return the numbers with one bit flipped."""
        old = self.numbers[fault.index]
        new = flipped_integer(old, fault.bit, self.bits) if self.signed else old ^ (1 << fault.bit)
        return (*self.numbers[: fault.index], new, *self.numbers[fault.index + 1 :])


class Hls4mlFiles:
    """hls4ml for Vitis: a header with one bit of a number flipped."""

    def __init__(self, case: Case, folder: Path) -> None:
        """Export the model, and compile the program that reads the headers."""
        self.model = case.model
        self.folder = export_model(case.model, "hls4ml", folder / "hls4ml")
        self.weights = self.folder / "firmware" / "weights"
        self.texts = {path.name: path.read_text() for path in sorted(self.weights.glob("*.h"))}
        types = _types((self.folder / "firmware" / "defines.h").read_text())
        self.found = {name: found for name, text in self.texts.items() if (found := _array(text, types))}
        self.arrays = [
            Numbers(name, "table" if name.startswith("table") else _KINDS[name[0]], len(a.numbers), a.bits)
            for name, a in self.found.items()
        ]
        self.program = self._build(folder / "build")
        self.first_rows = case.x[:COMPILED_ROWS]

    def _build(self, build: Path) -> Path:
        shutil.copytree(self.folder / "firmware", build / "firmware")
        for name in self.found:
            path = build / "firmware" / "weights" / name
            path.write_text(_HEADER.sub(rf'#include "read_numbers.h"\n\1 \2[\3];\n{_CALL}', self.texts[name]))
        (build / "firmware" / "weights" / "read_numbers.h").write_text(_READER)
        return run_hls4ml._compile(self.model, build, DEFAULT, run_hls4ml._compiler())

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Compile the first faults, and see that the logits are those of the program that reads them."""
        for fault in faults[:N_COMPILED]:
            _, read = self.run(fault, self.first_rows)
            self._write(fault)
            compiled = run_hls4ml.run(self.model, self.first_rows, self.folder).logits
            self._restore(fault)
            if not np.array_equal(read, compiled):
                raise AssertionError(f"{fault} is not the same compiled and read")

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Write the header with the fault, run, and put the header back."""
        self._write(fault)
        try:
            return _answers(self.model, self.program, x, self.weights)
        finally:
            self._restore(fault)

    def _write(self, fault: Fault) -> None:
        numbers = ", ".join(map(str, self.found[fault.where].flipped(fault)))
        text = _HEADER.sub(rf"\1 \2[\3] = {{{numbers}}};", self.texts[fault.where])
        (self.weights / fault.where).write_text(text)

    def _restore(self, fault: Fault) -> None:
        (self.weights / fault.where).write_text(self.texts[fault.where])

    def reason(self, fault: Fault) -> str | None:
        """Look whether a threshold of the first layer still cuts its sums in the same place."""
        first, array = plan_layers(self.model)[0], self.found[fault.where]
        if not isinstance(first, LayerPlan) or first.image is not None or not first.is_xnor:
            return None
        if fault.kind != "threshold" or array.numbers != tuple(first.thresholds):
            return None
        before, after = (-numbers[fault.index] for numbers in (array.numbers, array.flipped(fault)))
        return NO_SIGN_CHANGES if same_sign_everywhere(before, after, sums_of(self.model)) else None


_CALL = r'static const bool \2_read = read_numbers("\2.h", \2, \3);'


class Hls4mlText:
    """hls4ml for Vitis: a width of a type or a constant of a layer, compiled by the runner of ``verify``."""

    def __init__(self, case: Case, folder: Path) -> None:
        """Export the model."""
        self.model, self.work = case.model, folder
        self.folder = export_model(case.model, "hls4ml", folder / "hls4ml")
        firmware = self.folder / "firmware"
        self.texts = {name: (firmware / name).read_text() for name in ("defines.h", "parameters.h")}
        self.places = {
            f"{name} {place[0]} at {place.start()}": (name, place)
            for name, text in self.texts.items()
            for place in _PLACE.finditer(text)
        }
        self.arrays = [
            Numbers(where, "other", 1, 1 if place["flag"] else max(2, int(place["number"]).bit_length()))
            for where, (_, place) in self.places.items()
        ]
        self.built: tuple[Fault, Path] | None = None

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Nothing to prepare."""

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Compile the text with the fault, unless that was the last one, and run."""
        if self.built is None or self.built[0] != fault:
            self.built = fault, self._build(fault)
        return _answers(self.model, self.built[1], x, self.work)

    def _build(self, fault: Fault) -> Path:
        name, place = self.places[fault.where]
        new = {"true": "false", "false": "true"}.get(place["flag"]) or int(place["number"]) ^ (1 << fault.bit)
        start, end = place.span("flag" if place["flag"] else "number")
        build = self.work / "build"
        shutil.rmtree(build, ignore_errors=True)
        shutil.copytree(self.folder / "firmware", build / "firmware")
        text = self.texts[name]
        (build / "firmware" / name).write_text(f"{text[:start]}{new}{text[end:]}")
        return run_hls4ml._compile(self.model, build, DEFAULT, run_hls4ml._compiler())

    def reason(self, fault: Fault) -> str | None:
        """Nothing follows from the text alone."""
        return None


def _answers(model: Model, program: Path, x: IntMatrix, folder: Path) -> Answers:
    text = _fed(model, x.shape, x.tobytes(), x.dtype.str)
    result = run_tool([str(program)], input=text, timeout_s=_RUN_S, cwd=folder)
    logits = np.array(result.stdout.split(), dtype=np.int64).reshape(len(x), -1)
    return interpreter.class_indices(model, logits), logits


@functools.lru_cache(maxsize=3)
def _fed(model: Model, shape: tuple[int, ...], content: bytes, dtype: str) -> bytes:
    """Return rows as the program reads them."""
    x = np.frombuffer(content, dtype).reshape(shape)
    return rows_text(port_values(model, x)).encode("ascii")


def _types(defines: str) -> dict[str, tuple[int, bool]]:
    """Return width and sign of every integer type of a project."""
    return {name: (int(width), not unsigned) for unsigned, width, name in _TYPE.findall(defines)}


def _array(text: str, types: dict[str, tuple[int, bool]]) -> _Array | None:
    """Return the array of a header; None where it has none."""
    found = _HEADER.search(text)
    if found is None:
        return None
    bits, signed = types[found[1]]
    return _Array(tuple(int(word) for word in found[4].split(",")), bits, signed)
