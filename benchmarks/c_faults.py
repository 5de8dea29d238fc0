"""C with a planted fault: texts of :data:`_BATCH` mutants in one library, each with names of its own."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from planted_faults import (
    NO_SIGN_CHANGES,
    PADDING,
    Answers,
    Case,
    Fault,
    IntMatrix,
    c_arrays,
    c_number,
    flip_c,
    same_sign_everywhere,
    sums_of,
)

from qhn2edge.backends import export_model
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.to_c_batch import BLOCK_UNITS
from qhn2edge.errors import ToolError
from qhn2edge.layers import Dense, Sign
from qhn2edge.toolchain import host_c_compiler, run_tool
from qhn2edge.verify.run_c_batch import native_flags

_BATCH = 50

_DRIVER = """
typedef qhn_result (*logits_of)(const {type} *, int32_t *);
typedef qhn_result (*label_of)(const {type} *, uint16_t *);
static const logits_of LOGITS[] = {{{logits}}};
static const label_of LABELS[] = {{{labels}}};

int answers(int mutant, const int8_t *x, long n, int32_t *out)
{{
    for (long i = 0; i < n; i++, x += {n_in}, out += {n_out} + 1) {{
        uint16_t label = 0;
        {feed}
        if (LOGITS[mutant](input, out + 1) != QHN_OK || LABELS[mutant](input, &label) != QHN_OK) return 1;
        out[0] = label;
    }}
    return 0;
}}
"""
_FEED_BITS = """uint8_t bits[{n_in}];
        uint32_t input[({n_in} + 31) / 32];
        for (int j = 0; j < {n_in}; j++) bits[j] = x[j] > 0;
        if ({name}_pack_m0(bits, input) != QHN_OK) return 1;"""


class CFiles:
    """The C export."""

    target, suffix, runtime = "c", "", "qhn_binn.c"
    flags: tuple[str, ...] = ("-std=c99", "-O1", "-shared", "-fPIC", "-w", "-I.")
    names = r"\b(LAYER_\d+_\w+|layer_\d+\w*|{0}_(?:pack|logits|predict)|{1}_CLASSES)\b"

    def __init__(self, case: Case, folder: Path) -> None:
        """Export the model."""
        self.model, self.folder = case.model, export_model(case.model, self.target, folder / self.target)
        self.name = c_name(self.model.name)
        self.text = (self.folder / f"{self.name}{self.suffix}.c").read_text()
        self.arrays = c_arrays(self.text)
        self.libraries: dict[Fault, tuple[Any, int]] = {}

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Compile all texts."""
        distinct = list(dict.fromkeys(faults))
        for start in range(0, len(distinct), _BATCH):
            some = distinct[start : start + _BATCH]
            library = self._library(some, start)
            self.libraries.update({fault: (library, i) for i, fault in enumerate(some)})

    def _library(self, faults: Sequence[Fault], number: int) -> Any:  # noqa: ANN401  (a CDLL)
        pattern = re.compile(self.names.format(self.name, self.name.upper()))
        texts = [pattern.sub(rf"\1_m{i}", flip_c(self.text, fault)) for i, fault in enumerate(faults)]
        source = self.folder / f"mutants_{number}.c"
        source.write_text("\n".join([*texts, self._driver(len(faults))]))
        made = source.with_suffix(".so").resolve()
        command = [*host_c_compiler().command, *self.flags, "-o", str(made), source.name, self.runtime]
        run_tool(command, timeout_s=600, cwd=self.folder)
        return ctypes.CDLL(str(made))

    def _driver(self, n: int) -> str:
        """Return C that feeds rows of int8 to the n-th mutant."""
        bits, n_in = self.model.input.kind == "bit", self.model.input.n_features
        feed = _FEED_BITS.format(n_in=n_in, name=self.name) if bits else "const int8_t *input = x;"
        return _DRIVER.format(
            type="uint32_t" if bits else "int8_t", feed=feed, n_in=n_in, n_out=self.model.head.n_logits,
            logits=", ".join(f"{self.name}_logits_m{i}" for i in range(n)),
            labels=", ".join(f"{self.name}_predict_m{i}" for i in range(n)),
        )  # fmt: skip

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Run the library's copy of the text."""
        library, mutant = self.libraries[fault]
        rows = np.ascontiguousarray(x, np.int8)
        out = np.empty((len(x), 1 + self.model.head.n_logits), np.int32)
        inputs, outputs = ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(out.ctypes.data)
        if library.answers(mutant, inputs, ctypes.c_long(len(x)), outputs):
            raise ToolError("the generated code refused a vector")
        return out[:, 0], out[:, 1:]

    def reason(self, fault: Fault) -> str | None:
        """Look whether a sign's bias still cuts its sums in the same place."""
        first = self.model.layers[0]
        if fault.where not in {"LAYER_1_BIAS", "bias_1"} or not isinstance(first, Dense):
            return None
        if fault.index >= first.n_out or not isinstance(first.activation, Sign):
            return None
        before = int(first.bias[fault.index])
        moved = c_number(flip_c(self.text, fault), fault) - c_number(self.text, fault)
        same = same_sign_everywhere(before, before + moved, sums_of(self.model))
        return NO_SIGN_CHANGES if same else None


_BATCH_DRIVER = """
typedef void (*run_of)(const uint8_t *, size_t, int32_t *, uint16_t *);
static const run_of RUNS[] = {{{runs}}};

int answers(int mutant, const int8_t *x, long n, int32_t *out)
{{
    for (long i = 0; i < n; i += 64) {{
        const size_t rows = n - i < 64 ? (size_t)(n - i) : 64u;
        uint8_t input[64 * {n_bytes}] = {{0}};
        int32_t logits[64 * {n_out}];
        uint16_t labels[64];
        for (size_t r = 0; r < rows; r++)
            for (int j = 0; j < {n_in}; j++) {feed};
        RUNS[mutant](input, rows, logits, labels);
        for (size_t r = 0; r < rows; r++) {{
            *out++ = labels[r];
            for (int j = 0; j < {n_out}; j++) *out++ = logits[r * {n_out} + j];
        }}
    }}
    return 0;
}}
"""


class CBatchFiles(CFiles):
    """The C export for many inputs at once."""

    target, suffix, runtime = "c-batch", "_batch", "qhn_batch.c"
    flags = (*CFiles.flags, *native_flags())
    names = (
        r"\b((?:weights|bias|table)_\d+|layers|model(?=[ ,])|{0}_batch_(?:run|logits|labels)"
        r"|{1}_BATCH_CLASSES)\b"
    )

    def _driver(self, n: int) -> str:
        """Return C that feeds rows of int8, packed, to the n-th mutant."""
        bits, n_in = self.model.input.kind == "bit", self.model.input.n_features
        n_bytes = -(-n_in // 8) if bits else n_in
        value = f"x[(i + (long)r) * {n_in} + j]"
        packed = f"input[r * {n_bytes} + j / 8] |= (uint8_t)(({value} > 0) << (j % 8))"
        return _BATCH_DRIVER.format(
            runs=", ".join(f"{self.name}_batch_run_m{i}" for i in range(n)),
            n_bytes=n_bytes, n_in=n_in, n_out=self.model.head.n_logits,
            feed=packed if bits else f"input[r * {n_bytes} + j] = (uint8_t){value}",
        )  # fmt: skip

    def reason(self, fault: Fault) -> str | None:
        """Look for words that fill up a block of units, and then as for the other C."""
        if fault.kind in {"weight", "bias"}:
            n_out = self.model.dense_layers[int(fault.where.rpartition("_")[2]) - 1].n_out
            n = next(array.n for array in self.arrays if array.where == fault.where)
            blocks = -(-n_out // BLOCK_UNITS)
            block, unit = fault.index // (n // blocks), fault.index % BLOCK_UNITS
            if block * BLOCK_UNITS + unit >= n_out:
                return PADDING
        return super().reason(fault)
