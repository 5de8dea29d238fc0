"""Nothing in the C is undefined for any input: Frama-C's EVA follows all of them at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from analysis_models import NAMED_KERNELS, PAIR, SIGNED_TABLE, Written, model_of, write_model
from eva import (
    EXACT_POPCOUNT,
    INT_16,
    INT_32,
    Proof,
    frama_c_file,
    models_header,
    prove,
    prove_models,
    sources_of,
)

from qhn2edge.backends.c_adapter import emit_adapter
from qhn2edge.backends.c_kernels import fitting
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import plan_layers
from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import microcontroller_boards
from qhn2edge.layers import Relu, Sign
from qhn2edge.model import Model
from qhn2edge.resources import resource

MODELS = {
    model.name: model
    for model in (
        model_of("bits", "bit", 35, [(33, PAIR, Sign())], 3),
        model_of("levels", "bit", 17, [(18, (-3, 1), Relu(2, 6)), (5, (-2, 1), Sign())], 1, (0, 1)),
        model_of("uint8", "uint8", 19, [(9, PAIR, SIGNED_TABLE)], 2),
        model_of("int8", "int8", 18, [(5, (-3, 1), Sign())], 1),
        model_of("wide", "int8", 6, [(3, PAIR, Relu())], 2),
    )
}
AVR = ("-D__AVR__",)
SIMD = ("-D__ARM_FEATURE_SIMD32=1", f"-I{frama_c_file('acle')}")


def written_with(folder: Path, core: str | None, kernel: str, models: Iterable[Model]) -> list[Written]:
    """Write the models whose first layer a kernel can run."""
    options = COptions(core, kernel)
    fit = [m for m in models if kernel == "auto" or kernel in fitting(plan_layers(m, options)[0])]
    found = [write_model(folder, model, options, f"_{kernel}") for model in fit]
    return [one for one in found if one is not None]


@dataclass(frozen=True)
class Case:
    """Models with a kernel, as generated for a core, on a machine."""

    kernel: str
    core: str | None
    machine: str
    defines: tuple[str, ...]
    models: tuple[str, ...]

    def prove(self, folder: Path) -> Proof:
        """Analyse the models of the case that the kernel can run."""
        written = written_with(folder, self.core, self.kernel, [MODELS[name] for name in self.models])
        assert written
        return prove_models(folder, written, self.machine, defines=self.defines)


CASES = (
    *(Case(kernel, None, INT_32, EXACT_POPCOUNT, tuple(MODELS)) for kernel in NAMED_KERNELS),
    *(Case(kernel, "avr", INT_16, AVR, ("levels", "int8")) for kernel in NAMED_KERNELS if kernel != "adds"),
    *(Case(kernel, "cortex-m4", INT_32, SIMD, ("uint8", "int8")) for kernel in ("masks", "packed")),
)
"""Every kernel in portable code, and where int has 16 bits; two with instructions on four bytes at once."""


@pytest.fixture(scope="module")
def proofs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Case, Future[Proof]]]:
    """The proofs of the chosen cases, which run side by side."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    chosen = {item.callspec.params["case"] for item in items if item.function is test_every_kernel}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            case: pool.submit(case.prove, tmp_path_factory.mktemp("proof"))
            for case in CASES
            if case in chosen
        }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kernel}-{case.core}")
def test_every_kernel(proofs: dict[Case, Future[Proof]], case: Case) -> None:
    """For inputs of every value: nothing undefined, refused where it must be, and a class as the label."""
    proof = proofs[case].result()
    proof.assert_holds()
    assert proof.n_proved == 3  # the assertions of any_input.c
    assert proof.ends


LIMITS = {
    "deep": (model_of("deep", "bit", 33, [(7, PAIR, Sign())], 3), ("xnor",)),
    "bits": (model_of("bits", "bit", 31, [], 3), ("xnor", "nibbles")),
    "uint8": (model_of("uint8", "uint8", 9, [], 3, (0, 1), bias=0), ("plain", "columns")),
}
"""Models and kernels whose logits EVA keeps in range. The other kernels hold several numbers in a word,
or reckon modulo 2^32; of these EVA knows too little."""


class TestLogits:
    @pytest.mark.parametrize("name", LIMITS)
    def test_stay_in_the_exact_ranges(self, tmp_path: Path, name: str) -> None:
        """Where an interval for each variable is enough, EVA derives the ranges that the model states."""
        model, kernels = LIMITS[name]
        written = [one for kernel in kernels for one in written_with(tmp_path, None, kernel, [model])]
        assert len(written) == len(kernels)
        prove_models(tmp_path, written, exact=True, defines=EXACT_POPCOUNT).assert_holds()

    def test_narrower_ranges_are_not_proved(self, tmp_path: Path) -> None:
        """The ranges cannot be narrowed by 1."""
        written = written_with(tmp_path, None, "xnor", [LIMITS["bits"][0]])
        low = int(written[0].model.ranges[-1].low[0])
        header = models_header(written, exact=True)
        assert f"{{{low}," in header
        (tmp_path / "models.h").write_text(header.replace(f"{{{low},", f"{{{low + 1},"))
        (alarm,) = prove(sources_of(tmp_path, written), [tmp_path], defines=EXACT_POPCOUNT).alarms
        assert "logits_are_in_range" in alarm


def defective(folder: Path, right: str, wrong: str) -> Proof:
    """Analyse a model whose text has a defect."""
    written = written_with(folder, None, "xnor", [model_of("small", "bit", 35, [(33, PAIR, Sign())], 1)])
    path = folder / f"{written[0].prefix}.c"
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    return prove_models(folder, written, defines=EXACT_POPCOUNT)


@pytest.mark.parametrize(
    ("right", "wrong", "alarm"),
    [
        ("i < 33u; i++", "i < 34u; i++", "out of bounds read"),
        ("y[1] = word", "y[2] = word", "out of bounds write"),
        ("word >> 31", "word >> 32", "invalid RHS operand for shift"),
        ("2 * (int32_t)", "61356676 * (int32_t)", "signed overflow"),
        ("uint32_t word = 0u;", "uint32_t word;", "uninitialized"),
    ],
)
def test_a_defect_raises_an_alarm(tmp_path: Path, right: str, wrong: str, alarm: str) -> None:
    """An index off by one, a shift by 32, an overflow, a value that is not set: each is seen."""
    assert any(alarm in found for found in defective(tmp_path, right, wrong).alarms)


class TestFirmware:
    @pytest.mark.parametrize(
        ("model", "core", "machine", "defines"),
        [
            ("bits", None, INT_32, ()),
            ("uint8", "cortex-m4", INT_32, SIMD),
            ("levels", "avr", INT_16, AVR),
            ("int8", "avr", INT_16, AVR),
        ],
    )
    def test_any_bytes(
        self, tmp_path: Path, model: str, core: str | None, machine: str, defines: Sequence[str]
    ) -> None:
        """Server, adapter and model together: no stream of bytes makes them do anything undefined."""
        (written,) = written_with(tmp_path, core, "auto", [MODELS[model]])
        emit_adapter(written.model, tmp_path)
        sources = [
            *(tmp_path / name for name in (f"{written.prefix}.c", "qhn_binn.c", "qhn_adapter.c")),
            resource("firmware", "protocol", "qhn_server.c"),
            resource("firmware", "app", "main.c"),
            frama_c_file("any_bytes.c"),
        ]
        includes = [tmp_path, *(resource("firmware", room) for room in ("protocol", "board"))]
        proof = prove(sources, includes, machine, defines, ["-eva-slevel-function", "qhn_serve:0"])
        proof.assert_holds()
        assert not proof.ends  # it serves for ever

    @pytest.mark.parametrize(
        "uart", sorted({name for board in microcontroller_boards() for name in board.build.uart})
    )
    def test_uart(self, uart: str) -> None:
        """A driver does nothing undefined, whatever the registers hold, and receives -1 or a byte."""
        board = next(board for board in microcontroller_boards() if uart in board.build.uart)
        is_avr = board.core == "avr"
        registers = "0x20-0xff" if is_avr else "0x10000000-0x6fffffff"
        proof = prove(
            [resource("firmware", "uart", uart), frama_c_file("any_call.c")],
            [resource("firmware", "board")],
            INT_16 if is_avr else INT_32,
            macros(board),
            ["-absolute-valid-range", registers, "-eva-slevel", "0"],
        )
        proof.assert_holds()
        assert proof.ends
        assert proof.n_proved == 1  # of any_call.c


def macros(board: Board) -> list[str]:
    """Return what a build defines for a board."""
    own = [f"-D{name}={value}" for name, value in board.build.defines.items()]
    return [f"-DQHN_CLOCK_HZ={board.clock_hz}ul", f"-DQHN_BAUD={board.serial.baud}ul", *own]
