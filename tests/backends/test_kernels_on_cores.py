"""Every kernel on emulated cores: exact, and the counts that the project promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import absent
from kernel_benchmark import bare_avr, bare_cores, counts, networks
from kernel_programs import memory, variants, write_variants
from strategies import random_inputs
from test_kernels import network

from qhn2edge import interpreter
from qhn2edge.building.sizes import inference_limit
from qhn2edge.layers import Relu, Sign, Table

N_VECTORS = 4
MODELS = {
    "bit": network("bit", (53, 34, 20, 4), Sign(), Relu(1, 8)),
    "uint8": network("uint8", (37, 18, 9, 4), Relu(3, 8), Sign()),
    "int8": network("int8", (30, 17, 4), Table(-300, tuple(range(-128, 128))), bias=100),
}
CORES = [
    (core, compiler)
    for core in bare_cores.CORES
    for compiler in ("gcc", "zig")
    if (core, compiler) != ("cortex-m3", "zig")
]


def need(core: str, compiler: str) -> None:
    """Skip a test whose compiler or emulator is missing; where the variable CI is set, fail."""
    if not counts.can_count(core, compiler):
        absent(f"a compiler or emulator for {core}")


@pytest.mark.parametrize(("core", "compiler"), CORES)
def test_every_kernel_is_exact(tmp_path: Path, core: str, compiler: str) -> None:
    """Every kernel's logits on the core are the interpreter's."""
    need(core, compiler)
    for kind, model in MODELS.items():
        folder = tmp_path / kind
        folder.mkdir()
        options = variants(model, (core,))
        names = write_variants(model, options, folder)
        functions = [f"{name}_logits" for name in names]
        sources = [*(folder / f"{name}.c" for name in names), folder / "qhn_binn.c"]
        program = bare_cores.build(
            sources, folder / "program.elf", compiler=compiler, core=core, keep=functions
        )
        machine = bare_cores.BareCore(program, core)
        x = random_inputs(model, N_VECTORS, 0)
        for row, expected in zip(x, interpreter.logits(model, x), strict=True):
            for offset in (0,) if kind == "bit" else (0, 1):
                machine.write(bare_cores.INPUT + offset, memory(model, row[None]))
                for chosen, function in zip(options, functions, strict=True):
                    call = machine.call(function, bare_cores.INPUT + offset, bare_cores.OUTPUT)
                    got = np.frombuffer(machine.read(bare_cores.OUTPUT, 4 * len(expected)), "<i4")
                    assert (call.status, got.tolist()) == (0, expected.tolist()), chosen


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_kernel_is_exact_on_avr(tmp_path: Path, kind: str) -> None:
    """Every kernel's logits on the ATmega328P, whose tables lie in program memory, are the interpreter's."""
    need("avr", "gcc")
    model = MODELS[kind]
    options = variants(model, ("avr",))
    x = random_inputs(model, N_VECTORS, 0)
    vectors = networks.as_c(model, x.astype(np.int64))
    programs = []
    for number, chosen in enumerate(options):
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        (name,) = write_variants(model, [chosen], folder)
        programs.append(
            bare_avr.AvrModel(
                name, folder, networks.c_types(model, chosen), networks.n_scratch(model), 4, vectors
            )
        )
    for number, (chosen, program) in enumerate(zip(options, programs, strict=True)):
        build = tmp_path / f"build-{number}"
        build.mkdir()
        (calls,) = bare_avr.run([program], build)
        assert [list(c.logits) for c in calls] == interpreter.logits(model, x).tolist(), chosen


class TestPromises:
    @pytest.mark.parametrize("compiler", ["gcc", "zig"])
    @pytest.mark.parametrize(("core", "limit"), [("cortex-m0", 800), ("cortex-m4", 600)])
    def test_instructions_for_bits(self, core: str, compiler: str, limit: int) -> None:
        """64 -> 32 -> 10 bits takes no more instructions than the recorded counts say, with a little room."""
        need(core, compiler)
        taken = counts.count(networks.NETWORKS["bits-64"].model(), core, compiler)
        assert taken.total < limit
        assert taken.stack_bytes <= inference_limit(networks.NETWORKS["bits-64"].model())

    def test_cycles_for_bits_on_avr(self) -> None:
        """64 -> 32 -> 10 bits takes under 5,000 cycles of an ATmega328P."""
        need("avr", "gcc")
        assert counts.count(networks.NETWORKS["bits-64"].model(), "avr", "gcc").total < 5000

    @pytest.mark.parametrize(("core", "ratio"), [("cortex-m0", 6.0), ("cortex-m4", 6.0), ("avr", 3.0)])
    def test_bytes_against_the_int8_loop(self, core: str, ratio: float) -> None:
        """64 (uint8) -> 32 -> 10 takes several times fewer instructions than the int8 multiply loop."""
        need(core, "gcc")
        model = networks.NETWORKS["bytes-64"].model()
        peer, ours = counts.count(model, core, "gcc", counts.PEER), counts.count(model, core, "gcc")
        assert peer.total > ratio * ours.total
        assert ours.stack_bytes <= inference_limit(model)

    @pytest.mark.parametrize("compiler", ["gcc", "zig"])
    def test_flash_for_size(self, compiler: str) -> None:
        """64 -> 32 -> 10 bits takes at most 640 bytes of a Cortex-M0's flash when made for size."""
        need("cortex-m0", compiler)
        assert (
            counts.count(
                networks.NETWORKS["bits-64"].model(), "cortex-m0", compiler, optimize="size"
            ).flash_bytes
            <= 640
        )


def test_sources_for_each_core_are_clean_on_the_others(tmp_path: Path) -> None:
    """C made for one core compiles without a warning for another: it is portable, only not the best."""
    need("cortex-m0", "gcc")
    need("rv32imac", "gcc")
    model = MODELS["uint8"]
    for made_for, core in (("cortex-m4", "cortex-m0"), ("avr", "rv32imac"), ("rv32imac", "cortex-m0")):
        folder = tmp_path / made_for
        folder.mkdir()
        options = variants(model, (made_for,))
        names = write_variants(model, options, folder)
        sources = [*(folder / f"{name}.c" for name in names), folder / "qhn_binn.c"]
        keep = [f"{name}_logits" for name in names]
        program = folder / "program.elf"
        assert bare_cores.build(sources, program, compiler="gcc", core=core, keep=keep).exists()
