"""Every board that can be emulated: it answers what the interpreter says, and its counts repeat."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import BuildOnce, absent
from strategies import ENCODERS, random_dense

from qhn2edge import interpreter
from qhn2edge.boards.catalog import find_board, microcontroller_boards
from qhn2edge.emulators import qemu
from qhn2edge.emulators.counts import bench_inputs
from qhn2edge.emulators.registry import EMULATORS, Emulator, find_emulator
from qhn2edge.emulators.simavr import SimavrBoard
from qhn2edge.errors import EmulatorError
from qhn2edge.layers import Identity, Relu, Sign
from qhn2edge.link.client import BoardClient
from qhn2edge.model import Head, Input, Model

PAIRS = [(board.name, emulator) for board in microcontroller_boards() for emulator in board.emulators]
COUNTED = ("arduino-uno", "pico", "cortex-m0")


def bits() -> Model:
    rng = np.random.default_rng(3)
    layers = (random_dense(rng, 45, 34, (-1, 1), Sign()), random_dense(rng, 34, 4, (-1, 1), Identity()))
    return Model("bits", Input(45, ENCODERS["bit"]), layers, Head("argmax", ("a", "b", "c", "d")))


def integers() -> Model:
    rng = np.random.default_rng(4)
    layers = (
        random_dense(rng, 13, 6, (0, 1), Relu(shift=1, clip_bits=7)),
        random_dense(rng, 6, 1, (-1, 2), Identity()),
    )
    return Model("integers", Input(13, ENCODERS["uint8"]), layers, Head("threshold", ("no", "yes")))


def usable(name: str) -> Emulator:
    """Return an emulator, or skip (fail, in continuous integration)."""
    lack = EMULATORS[name].missing()
    if lack is not None:
        absent(lack)
    return EMULATORS[name]


@pytest.mark.parametrize("model", [bits(), integers()], ids=lambda model: str(model.name))
@pytest.mark.parametrize(("board", "name"), PAIRS)
def test_board_is_exact(board: str, name: str, model: Model, build_once: BuildOnce) -> None:
    """The system's compiler and the board's emulator give the interpreter's logits and labels."""
    check_exact(board, name, model, build_once, "auto")


@pytest.mark.parametrize(
    ("board", "name"), [("arduino-uno", "simavr"), ("pico", "rp2040py"), ("hifive1", "qemu")]
)
def test_zig_builds_are_exact(board: str, name: str, build_once: BuildOnce) -> None:
    """The compiler that pip installs gives the same."""
    check_exact(board, name, bits(), build_once, "zig")


def check_exact(board: str, name: str, model: Model, build_once: BuildOnce, compiler: str) -> None:
    x = bench_inputs(model, 25, seed=1)
    with usable(name).open_line(build_once(model, board, compiler)) as line:
        answers = BoardClient(line, model).infer_many(x)
    assert answers.logits.tolist() == interpreter.logits(model, x).tolist()
    assert answers.labels.tolist() == interpreter.class_indices(model, interpreter.logits(model, x)).tolist()


@pytest.mark.parametrize("board", COUNTED)
def test_counts_repeat(board: str, build_once: BuildOnce) -> None:
    """Counts are the same on every run; each layer costs something, and all of them less than the whole."""
    model = bits()
    emulator = usable(next(iter(find_board(board).emulators)))
    firmware, x = build_once(model, board), bench_inputs(model, 3, seed=0)
    counts = emulator.count(firmware, model, x)
    assert emulator.count(firmware, model, x) == counts
    for one in counts:
        assert len(one.per_layer) == 2
        assert min(one.per_layer) > 0
        assert sum(one.per_layer) < one.total
        assert 0 < one.stack_bytes <= (firmware.sizes.stack_bytes or 0)


def test_no_counts_of_qemu() -> None:
    """QEMU does not count, and says which emulators of the board do."""
    with pytest.raises(EmulatorError, match="no emulator of microbit counts: got QEMU"):
        find_emulator(find_board("microbit"), "qemu", counting=True)


def test_wrong_qemu_options(build_once: BuildOnce, tmp_path: Path) -> None:
    """A board file that QEMU cannot use is one line."""
    text = find_board("cortex-m0").source.read_text(encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(text + '\n[emulators.qemu]\nsystem = "z80"\nmachine = "none"\n', encoding="utf-8")
    firmware = build_once(bits(), str(path))
    with pytest.raises(EmulatorError, match=r"\[emulators.qemu\] of cortex-m0 does not fit"):
        qemu.command(firmware)


def test_qemu_that_ends(build_once: BuildOnce, tmp_path: Path) -> None:
    """QEMU's own complaint reaches the user."""
    usable("qemu")
    text = find_board("cortex-m0").source.read_text(encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(text + '\n[emulators.qemu]\nsystem = "arm"\nmachine = "no-such"\n', encoding="utf-8")
    firmware = build_once(bits(), str(path))
    complaint = "QEMU ended while it ran cortex-m0: got qemu-system-arm: unsupported machine type"
    with EMULATORS["qemu"].open_line(firmware) as line, pytest.raises(EmulatorError, match=complaint):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            line.read(0.2)


def test_processes_end_with_the_line(build_once: BuildOnce) -> None:
    """Closing a line leaves no process behind."""
    usable("qemu"), usable("simavr")
    with qemu.open_line(build_once(bits(), "microbit")) as line:
        process = line._process.pid
    assert not running(process)
    firmware = build_once(bits(), "arduino-uno")
    with SimavrBoard(firmware.board, firmware.hex) as emulated:
        process = emulated._process.pid
        assert emulated.is_running
    assert not running(process)


@pytest.mark.parametrize("board", ["microbit", "arduino-uno"])
def test_emulators_end_with_their_parent(board: str, build_once: BuildOnce, tmp_path: Path) -> None:
    """A program that dies without closing its line leaves no emulator behind."""
    emulator = usable(next(iter(find_board(board).emulators)))
    firmware = build_once(bits(), board)
    code = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "from qhn2edge.boards.catalog import find_board\n"
        "from qhn2edge.building.firmware import read_firmware\n"
        "from qhn2edge.emulators.registry import EMULATORS\n"
        f"firmware = read_firmware(Path({str(firmware.folder)!r}), find_board({board!r}))\n"
        f"line = EMULATORS[{emulator.name!r}].open_line(firmware)\n"
        "process = getattr(line, '_emulated', line)._process\n"
        "print(process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    process = int(result.stdout)
    deadline = time.monotonic() + 20
    while running(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(process)


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = (
        Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        if Path(f"/proc/{process}").exists()
        else " Z "
    )
    return " Z " not in stat
