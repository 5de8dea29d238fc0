"""Really run: avrdude into emulated AVR boards with Debian's boot loaders; what was flashed then answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import absent
from flash_boards import small_model

from qhn2edge import cli, interpreter
from qhn2edge.boards.board import Board, Flash
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.firmware import Firmware, build_firmware
from qhn2edge.emulators.simavr import SimavrBoard
from qhn2edge.emulators.simavr_program import simavr_program
from qhn2edge.errors import FlashError, ToolError
from qhn2edge.flashing.plan import plan_flash
from qhn2edge.link.client import BoardClient
from qhn2edge.link.ports import open_port
from qhn2edge.model import save_model
from qhn2edge.toolchain import run_tool

LOADERS = Path("/usr/share/arduino/hardware/arduino/avr/bootloaders")
TIMEOUT_S = 60.0
OPTIBOOT_START = 0x7C00


@pytest.fixture(autouse=True)
def _tools() -> None:
    try:
        simavr_program()
    except ToolError as error:
        absent(str(error))
    if not LOADERS.is_dir():
        absent("the boot loaders of arduino-core-avr")


@pytest.fixture(scope="module")
def optiboot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Uno's boot loader, compiled from Debian's source for a boot section of 1 KiB.

    Debian's own image of it has 532 bytes and starts at 0x7E00: it reaches beyond the end of the flash.
    """
    folder = tmp_path_factory.mktemp("optiboot")
    elf, image = folder / "optiboot.elf", folder / "optiboot.hex"
    chip = ["-mmcu=atmega328p", "-DF_CPU=16000000L", "-DLED_START_FLASHES=3", "-DBAUD_RATE=115200"]
    place = [f"-Wl,--section-start=.text={OPTIBOOT_START:#x}", "-Wl,--section-start=.version=0x7ffe"]
    link = ["-Wl,--relax", "-Wl,--gc-sections", "-nostartfiles", "-nostdlib", "-o", str(elf)]
    source = str(LOADERS / "optiboot" / "optiboot.c")
    run_tool(["avr-gcc", "-g", "-Os", *chip, *place, *link, source], timeout_s=TIMEOUT_S)
    sections = ["-j", ".text", "-j", ".data", "-j", ".version", "--set-section-flags", ".version=alloc,load"]
    run_tool(["avr-objcopy", *sections, "-O", "ihex", str(elf), str(image)], timeout_s=TIMEOUT_S)
    return image


@pytest.fixture
def uno(optiboot: Path) -> Iterator[SimavrBoard]:
    """An emulated Uno with nothing but its boot loader."""
    with SimavrBoard(find_board("arduino-uno"), None, loader=optiboot) as emulated:
        yield emulated


@pytest.fixture(scope="module")
def uno_firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    """The Uno's firmware for the small model."""
    return build_firmware(small_model(), find_board("arduino-uno"), tmp_path_factory.mktemp("uno") / "fw")


def assert_runs(port: str, board: Board, n_vectors: int) -> None:
    """Check that the board computes the model's integers, over the port that it was flashed through."""
    model = small_model()
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (n_vectors, model.input.n_features)) * 2 - 1
    with open_port(port, board.serial.baud, board.serial.settle_s) as line:
        answers = BoardClient(line, model).infer_many(x)
    logits = interpreter.logits(model, x)
    np.testing.assert_array_equal(answers.logits, logits)
    np.testing.assert_array_equal(answers.labels, interpreter.class_indices(model, logits))


class TestUno:
    def test_from_a_model_to_a_thousand_answers(
        self,
        uno: SimavrBoard,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """One command builds and flashes; then 1,000 vectors through the same port are exact."""
        monkeypatch.chdir(tmp_path)
        save_model(small_model(), tmp_path / "small.model.json")
        assert cli.run(["flash", "small.model.json", "--board", "arduino-uno", "--port", uno.port]) == 0
        following = f"qhn2edge verify small.model.json --board arduino-uno --port {uno.port}"
        assert following in capsys.readouterr().out
        assert_runs(uno.port, find_board("arduino-uno"), 1_000)

    def test_flashing_replaces_what_was_there(self, uno: SimavrBoard, uno_firmware: Firmware) -> None:
        """A board that runs firmware is flashed again, now by the command that --dry-run shows."""
        plan = plan_flash(uno_firmware, uno.port)
        plan.carry_out(TIMEOUT_S)
        run_tool(plan.command, timeout_s=TIMEOUT_S)
        assert_runs(uno.port, uno_firmware.board, 10)


def test_mega_with_its_boot_loader(tmp_path: Path) -> None:
    """The Mega's STK500v2 loader takes the firmware, which then answers exactly."""
    board = find_board("arduino-mega")
    loader = LOADERS / "stk500v2" / "stk500boot_v2_mega2560.hex"
    firmware = build_firmware(small_model(), board, tmp_path / "fw")
    with SimavrBoard(board, None, loader=loader) as mega:
        plan_flash(firmware, mega.port).carry_out(TIMEOUT_S)
        assert_runs(mega.port, board, 100)


def test_older_boot_loader_with_its_own_speed(uno_firmware: Firmware) -> None:
    """A board file may name another rate: Debian's image of the Duemilanove's loader talks at 57,600 baud."""
    flash = Flash("avrdude", {"part": "m328p", "programmer": "arduino", "baud": 57_600})
    board = dataclasses.replace(uno_firmware.board, flash=flash)
    loader = LOADERS / "atmega" / "ATmegaBOOT_168_atmega328.hex"
    with SimavrBoard(board, None, loader=loader) as emulated:
        plan_flash(dataclasses.replace(uno_firmware, board=board), emulated.port).carry_out(TIMEOUT_S)
        assert_runs(emulated.port, board, 10)


def test_a_board_with_another_chip_is_left_alone(uno_firmware: Firmware) -> None:
    """An ATmega168 says what it is, and avrdude's refusal is the error."""
    board = uno_firmware.board
    emulators = {"simavr": {"mcu": "atmega168"}}
    flash = Flash("avrdude", {"part": "m328p", "programmer": "arduino", "baud": 19_200})
    other = dataclasses.replace(board, emulators=emulators, flash=flash)
    loader = LOADERS / "atmega" / "ATmegaBOOT_168_diecimila.hex"
    plan = plan_flash(dataclasses.replace(uno_firmware, board=other), "unused")
    with SimavrBoard(other, None, loader=loader) as emulated:
        plan = dataclasses.replace(plan, port=emulated.port)
        with pytest.raises(FlashError, match="avrdude did not flash the board: got .*[Ee]xpected signature"):
            plan.carry_out(TIMEOUT_S)
