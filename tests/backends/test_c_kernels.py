"""Every kernel computes what the interpreter says; a kernel that does not fit a layer is refused."""

from __future__ import annotations

import numpy as np
import pytest
from c_programs import assert_equal_to_interpreter, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge.backends.c_options import CORES, KERNELS, COptions
from qhn2edge.errors import ExportError
from qhn2edge.layers import Activation, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound
from qhn2edge.verify.vectors import all_inputs

FORCED = tuple(name for name in KERNELS if name != "auto")
LEVELS = ((-1, 1), (0, 1), (-3, 1), (-128, 127))
KINDS = ("bit", "uint8", "int8")
ACTIVATIONS: tuple[Activation, ...] = (
    Sign(),
    Relu(shift=2, clip_bits=8),
    Relu(shift=1, clip_bits=12),
    Table(-9, tuple(range(-40, 41, 5))),
)


def network(
    kind: str, widths: tuple[int, ...], activation: Activation, levels: tuple[int, int], seed: int
) -> Model:
    """Return a random network; the last width is the number of classes, 1 for a threshold."""
    rng = np.random.default_rng(seed)
    hidden = [activation] * (len(widths) - 2)
    layers = tuple(
        random_dense(rng, n_in, n_out, levels if number % 2 == 0 else (-1, 1), act)
        for number, (n_in, n_out, act) in enumerate(
            zip(widths, widths[1:], [*hidden, Identity()], strict=False)
        )
    )
    n = widths[-1]
    head = Head("threshold", ("no", "yes")) if n == 1 else Head("argmax", tuple(f"c{i}" for i in range(n)))
    return Model("net", Input(widths[0], ENCODERS[kind]), layers, head)


def check(model: Model, options: COptions, compiler: CompilerFound) -> bool:
    """Compare a kernel with the interpreter; return whether it fits the model."""
    try:
        program = build(model, compiler, options=options, optimize="-O1")
    except ExportError:
        return False
    assert_equal_to_interpreter(program, model, random_inputs(model, 60, 0))
    return True


@pytest.mark.parametrize("kernel", FORCED)
def test_each_kernel_fits_something(kernel: str, host_compiler: CompilerFound) -> None:
    """Each kernel runs a network of some kind of input, exactly."""
    fits = [
        check(network(kind, (70, 33, 5), Sign(), (-1, 1), seed=1), COptions(kernel=kernel), host_compiler)
        for kind in KINDS
    ]
    assert any(fits)


@pytest.mark.parametrize("kernel", FORCED)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_kernels_are_exact(kernel: str, data: st.DataObject, host_compiler: CompilerFound) -> None:
    """Widths from 1 to 200, levels, biases, activations, up to three layers."""
    widths = data.draw(st.lists(st.integers(1, 200), min_size=2, max_size=4).map(tuple))
    model = network(
        data.draw(st.sampled_from(KINDS)),
        widths,
        data.draw(st.sampled_from(ACTIVATIONS)),
        data.draw(st.sampled_from(LEVELS)),
        data.draw(st.integers(0, 999)),
    )
    core = data.draw(st.sampled_from((None, "cortex-m0", "cortex-m4", "avr")))
    check(model, COptions(core=core, kernel=kernel), host_compiler)


@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize("core", [None, *CORES])
def test_automatic_choice(core: str | None, optimize: str, host_compiler: CompilerFound) -> None:
    """Whatever is chosen for a core is exact."""
    for kind in ("bit", "uint8"):
        model = network(kind, (64, 32, 10), Sign(), (-1, 1), seed=3)
        assert check(model, COptions(core=core, optimize=optimize), host_compiler)


@pytest.mark.parametrize("kernel", [*FORCED, "auto"])
def test_all_inputs_of_16_bits(kernel: str, host_compiler: CompilerFound) -> None:
    """All 65,536 inputs of a 16-bit network agree."""
    model = network("bit", (16, 9, 3), Sign(), (-1, 1), seed=4)
    try:
        program = build(model, host_compiler, options=COptions(kernel=kernel))
    except ExportError:
        return
    assert_equal_to_interpreter(program, model, all_inputs(model.input))


def test_unknown_kernel() -> None:
    """A wrong name is one line that names the nearest."""
    with pytest.raises(ExportError, match="unknown kernel: got slicd, .* Did you mean sliced"):
        COptions(kernel="slicd")
