"""Counts a model's instructions (32-bit cores) or cycles (ATmega328P), and checks the answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bare_avr
import bare_cores
import numpy as np
from kernel_networks import as_bytes, as_c, c_types, inputs, n_scratch, write_peer

from qhn2edge import interpreter
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.to_c import RUNTIME_FILES, emit
from qhn2edge.model import Model
from qhn2edge.resources import resource

N_VECTORS = 10
PEER = "int8 loop"


@dataclass(frozen=True)
class Count:
    """The cost of one prediction: the mean over the vectors, of each layer too; stack and flash in bytes."""

    total: float
    most: int
    layers: tuple[float, ...]
    stack_bytes: int
    flash_bytes: int


def count(model: Model, core: str, compiler: str, kernel: str = "auto", optimize: str = "speed") -> Count:
    """Return what NAME_predict costs, from its first instruction to its return.

    Args:
        model: the model.
        core: a core of bare_cores, or "avr" (cycles).
        compiler: "gcc" or "zig".
        kernel: a kernel, "auto", or :data:`PEER` for the int8 multiply loop.
        optimize: "speed" or "size".
    """
    with tempfile.TemporaryDirectory(prefix="kernels-") as name:
        folder, build = Path(name) / "model", Path(name) / "build"
        folder.mkdir()
        build.mkdir()
        types = _write(model, folder, COptions(core=core, optimize=optimize), kernel)
        if core == "avr":
            return _count_avr(model, types, folder, build, kernel, optimize)
        return _count_core(model, folder, build, (core, compiler), kernel, optimize)


def _write(model: Model, folder: Path, options: COptions, kernel: str) -> tuple[str, ...]:
    if kernel != PEER:
        emit(model, folder, COptions(options.core, kernel, options.optimize))
        return c_types(model, options)
    for file_name in RUNTIME_FILES:
        shutil.copyfile(resource("firmware", "runtime", file_name), folder / file_name)
    return write_peer(model, folder)


def _count_core(
    model: Model, folder: Path, build: Path, target: tuple[str, str], kernel: str, optimize: str
) -> Count:
    core, compiler = target
    name = c_name(model.name)
    sources = [folder / f"{name}.c", folder / "qhn_binn.c"]
    program = bare_cores.build(
        sources,
        build / "program.elf",
        compiler=compiler,
        core=core,
        keep=[f"{name}_predict"],
        optimize=optimize,
    )
    machine = bare_cores.BareCore(program, core)
    x = inputs(model, N_VECTORS)
    expected = interpreter.class_indices(model, interpreter.logits(model, x))
    calls = []
    for vector, label in zip(_memory(model, x, kernel), expected, strict=True):
        machine.write(bare_cores.INPUT, vector)
        calls.append(machine.call(f"{name}_predict", bare_cores.INPUT, bare_cores.OUTPUT))
        got = int.from_bytes(machine.read(bare_cores.OUTPUT, 2), "little")
        if (calls[-1].status, got) != (0, label):
            raise AssertionError(f"{name} with {kernel} on {core}: label {got} instead of {label}")
    layers = tuple(_mean([c.inside[f"layer_{k}"] for c in calls]) for k in range(1, len(model.layers) + 1))
    totals = [c.instructions for c in calls]
    stack = max(c.stack_bytes for c in calls)
    return Count(_mean(totals), max(totals), layers, stack, machine.flash_bytes)


def _memory(model: Model, x: np.ndarray[tuple[int, ...], np.dtype[np.int64]], kernel: str) -> list[bytes]:
    return [row.astype(np.int8).tobytes() for row in x] if kernel == PEER else as_bytes(model, x)


def _count_avr(
    model: Model, types: tuple[str, ...], folder: Path, build: Path, kernel: str, optimize: str
) -> Count:
    x = inputs(model, N_VECTORS)
    vectors = x.tolist() if kernel == PEER else as_c(model, x)
    wrapped = bare_avr.AvrModel(
        c_name(model.name), folder, types, n_scratch(model), model.head.n_logits, vectors
    )
    (calls,) = bare_avr.run([wrapped], build, optimize=optimize)
    expected = interpreter.logits(model, x)
    if [list(c.logits) for c in calls] != expected.tolist():
        raise AssertionError(f"{model.name} with {kernel} on AVR: wrong logits")
    layers = tuple(_mean([c.layers[k] for c in calls]) for k in range(len(model.layers)))
    totals = [c.cycles for c in calls]
    stack = max(c.stack_bytes for c in calls)
    return Count(_mean(totals), max(totals), layers, stack, bare_avr.model_flash_bytes([wrapped], build))


def _mean(values: Sequence[int]) -> float:
    return round(float(np.mean(values)), 1)


def can_count(core: str, compiler: str) -> bool:
    """Return whether the tools for a core are installed."""
    is_there: Callable[[], bool] = bare_avr.is_installed
    return is_there() if core == "avr" else bare_cores.has_compiler(compiler, core)
