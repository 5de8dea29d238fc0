"""Convolutions and poolings in C: every kernel, on the host and on cores, against the interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from c_programs import build
from conftest import absent
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from image_strategies import image_models
from kernel_benchmark import bare_cores, counts
from kernel_programs import logits_of, memory, variants, write_variants
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.c_kernels import choose_kernels
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import plan_layers
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.errors import ExportError
from qhn2edge.layers import Affine, Identity, Sign
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound
from qhn2edge.verify import verify_model

LAW = settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a compilation for each example is too slow to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def small(kind: str = "uint8", pad_value: int = 0) -> Model:
    """Return two padded convolutions with poolings, one of which takes smallest values."""
    rng = np.random.default_rng(3)
    first = Conv2D(random_dense(rng, 9, 5, (-1, 1), Sign(), 40), (8, 7, 1), (3, 3), padding=(1, 1, 1, 1))
    pool = MaxPool2D(first.shape_out, (2, 2), (2, 2), np.array([0, 1, 0, 1, 1], dtype=np.uint8))
    kernel = random_dense(rng, 45, 34, (-1, 1), Sign(), 5)
    second = Conv2D(kernel, pool.shape_out, (3, 3), (2, 1), (1, 0, 2, 1), pad_value)
    last = random_dense(rng, second.n_out, 3, (-1, 1), Affine((7, 0, 40_000), (-1, 9, 2**28)))
    return Model(
        "net", Input(first.n_in, ENCODERS[kind]), (first, pool, second, last), Head("argmax", ("a", "b", "c"))
    )


@LAW
@given(model=image_models(), seed=st.integers(0, 2**32 - 1))
def test_random_models(host_compiler: CompilerFound, model: Model, seed: int) -> None:
    """Any images, any kernel, any core's form: the logits are the interpreter's."""
    options = variants(model, (None, "cortex-m4", "avr"))
    x = random_inputs(model, 60, seed)
    expected = interpreter.logits(model, x)
    for chosen, got in zip(options, logits_of(model, options, x, host_compiler), strict=True):
        assert np.array_equal(got, expected), chosen


@settings(LAW, max_examples=3)
@given(model=image_models(), seed=st.integers(0, 2**32 - 1))
def test_no_undefined_behaviour(sanitizing_compiler: CompilerFound, model: Model, seed: int) -> None:
    """No sanitizer speaks."""
    options = variants(model, (None, "cortex-m4"))
    x = random_inputs(model, 30, seed)
    got = logits_of(model, options, x, sanitizing_compiler, sanitize=True, optimize="-O0")
    assert all(np.array_equal(logits, interpreter.logits(model, x)) for logits in got)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_what_stands_around_signs(host_compiler: CompilerFound, pad_value: int) -> None:
    """-1, +1 and the 0 that is neither: with 0, windows at the edge have biases of their own."""
    model = small("uint8", pad_value)
    x = random_inputs(model, 300, 1)
    expected = interpreter.logits(model, x)
    assert len(np.unique(expected, axis=0)) > 50
    options = variants(model, (None, "cortex-m4"))
    for got in logits_of(model, options, x, host_compiler):
        assert np.array_equal(got, expected)


def test_only_xnor_adds_zeros() -> None:
    """Kernels whose tables hold the biases are refused where zeros stand around signs."""
    model, options = small("bit", 0), COptions(kernel="sliced")
    with pytest.raises(ExportError, match="fits no layer"):
        choose_kernels(plan_layers(model, options)[1:2], options)


def test_trace_is_the_interpreters(host_compiler: CompilerFound) -> None:
    """A build that traces tells the accumulators of every layer and window."""
    model = small("uint8", 1)
    x = random_inputs(model, 1, 2)
    driver_defines = ["NET_TRACE"]
    program = build(model, host_compiler, defines=driver_defines)
    lines = [
        line.split() for line in program.feed(" ".join(map(str, x[0])) + "\n").stdout.decode().splitlines()
    ]
    told = {(int(w[1]), w[2]): list(map(int, w[3:])) for w in lines if w[0] == "trace"}
    for number, trace in enumerate(interpreter.trace(model, x), start=1):
        assert told[number, "a"] == trace.accumulators[0].tolist()
    assert told[4, "y"] == interpreter.logits(model, x)[0].tolist()


@pytest.mark.parametrize(
    ("core", "compiler"), [("cortex-m0", "gcc"), ("cortex-m4", "zig"), ("rv32imac", "gcc")]
)
def test_exact_on_cores(tmp_path: Path, core: str, compiler: str) -> None:
    """Every kernel's logits on the emulated core are the interpreter's."""
    if not counts.can_count(core, compiler):
        absent(f"a compiler or emulator for {core}")
    model = small("uint8", 0)
    options = variants(model, (core,))
    names = write_variants(model, options, tmp_path)
    functions = [f"{name}_logits" for name in names]
    sources = [*(tmp_path / f"{name}.c" for name in names), tmp_path / "qhn_binn.c"]
    program = bare_cores.build(sources, tmp_path / "p.elf", compiler=compiler, core=core, keep=functions)
    machine = bare_cores.BareCore(program, core)
    x = random_inputs(model, 3, 0)
    for row, expected in zip(x, interpreter.logits(model, x), strict=True):
        machine.write(bare_cores.INPUT, memory(model, row[None]))
        for chosen, function in zip(options, functions, strict=True):
            call = machine.call(function, bare_cores.INPUT, bare_cores.OUTPUT)
            got = np.frombuffer(machine.read(bare_cores.OUTPUT, 4 * len(expected)), "<i4")
            assert (call.status, got.tolist()) == (0, expected.tolist()), chosen


def test_no_backend_lacks_images(host_compiler: CompilerFound) -> None:
    """Every backend that is here carries a convolution, a pooling and scaled logits exactly."""
    assert host_compiler
    report = verify_model(small(), n_random=50)
    assert report.exact
    statuses = {backend.name: backend.status for backend in report.certificate.backends}
    assert statuses["c"] == statuses["c-batch"] == "exact"
    assert set(statuses.values()) <= {"exact", "missing"}


def test_identity_stays_a_plain_layer(tmp_path: Path) -> None:
    """A model without images and scales has none of their C."""
    layer = random_dense(np.random.default_rng(0), 4, 2, (-1, 1), Identity())
    model = Model("net", Input(4, ENCODERS["bit"]), (layer,), Head("argmax", ("a", "b")))
    text = (export_model(model, "c", tmp_path / "c") / "net.c").read_text()
    assert "qhn_images.h" not in text
    assert "trace_from" not in text
