"""Every tool, really run, where no board is: it ends in time, with one line, and exit code 2."""

from __future__ import annotations

import os
import shutil
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from conftest import absent
from flash_boards import ARGUMENTS, board_file, board_with, firmware_for, small_model

from qhn2edge import cli
from qhn2edge.boards.board import Value
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.firmware import build_firmware
from qhn2edge.building.manifest import MANIFEST
from qhn2edge.errors import FlashError
from qhn2edge.flashing.plan import plan_flash
from qhn2edge.flashing.registry import flash_tool

TIMEOUT_S = 25.0


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A serial port whose other side never answers."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def need_program(name: str) -> None:
    if shutil.which(name) is None:
        absent(f"the program {name}")


def commands_with(word: str) -> list[str]:
    """Return the running commands that hold a word."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if word in words:
            found.append(" ".join(words))
    return found


def flash(tool: str, port: str | None, timeout_s: float = TIMEOUT_S, **arguments: Value) -> str:
    """Flash a board with a tool that must fail; return the message."""
    board = board_with(tool, {**ARGUMENTS[tool], **arguments})
    plan = plan_flash(firmware_for(board), port)
    start = time.monotonic()
    with pytest.raises(FlashError) as caught:
        plan.tool.write(plan.image, plan.port, timeout_s, print)  # also where the port is known to be missing
    assert time.monotonic() - start < timeout_s + 5
    return str(caught.value)


class TestProbes:
    def test_pyocd(self, need: Callable[[str], ModuleType]) -> None:
        """It does not wait for a board."""
        need("pyocd")
        message = flash("pyocd", None)
        assert "pyocd did not flash the board: got No target device available." in message
        assert "Connect the board's debug USB socket" in message

    def test_openocd(self) -> None:
        """OpenOCD finds no ST-Link."""
        need_program("openocd")
        message = flash("openocd", None)
        assert "openocd did not flash the board: got Error: open failed" in message

    def test_openocd_with_a_script_that_it_lacks(self) -> None:
        """A board file that names a wrong script is told as OpenOCD tells it."""
        need_program("openocd")
        assert "interface/none.cfg" in flash("openocd", None, configs=("interface/none.cfg",))

    def test_dfu_util(self) -> None:
        """dfu-util finds no device."""
        need_program("dfu-util")
        message = flash("dfu-util", None)
        assert "No DFU capable USB device available" in message
        assert "BOOT0" in message

    @pytest.mark.parametrize("board", ["icebreaker", "ulx3s", "tang-nano-9k"])
    def test_openfpgaloader(self, need: Callable[[str], ModuleType], board: str, tmp_path: Path) -> None:
        """No cable is found, whatever the family of the FPGA."""
        need("openfpgaloader")
        suffix = {"icebreaker": "bin", "ulx3s": "bit", "tang-nano-9k": "fs"}[board]
        image = tmp_path / f"firmware.{suffix}"
        image.write_bytes(bytes(1000))
        with pytest.raises(FlashError) as caught:
            flash_tool(find_board(board)).write(image, None, TIMEOUT_S, print)
        message = str(caught.value)
        assert "openFPGALoader did not flash the board: got unable to open ftdi device" in message
        assert "Connect the board's USB socket" in message


class TestSerial:
    def test_avrdude_without_a_port(self) -> None:
        """A port that is not there is told at once."""
        need_program("avrdude")
        assert "cannot open port /dev/qhn2edge-none" in flash("avrdude", "/dev/qhn2edge-none")

    def test_esptool_without_a_port(self, need: Callable[[str], ModuleType]) -> None:
        """The same for esptool, which without --port would try all others."""
        need("esptool")
        assert "Could not open /dev/qhn2edge-none" in flash("esptool", "/dev/qhn2edge-none")

    def test_avrdude_with_a_silent_board(self, silent_port: str) -> None:
        """It would try for a minute; it ends at the time-out, and is gone."""
        need_program("avrdude")
        message = flash("avrdude", silent_port, timeout_s=2.0)
        assert message.startswith(
            "avrdude ran out of time: got no end after 2 s. Connect the board's USB socket"
        )
        assert commands_with(silent_port) == []

    def test_esptool_with_a_silent_board(self, need: Callable[[str], ModuleType], silent_port: str) -> None:
        """It gives up by itself; the advice says how to enter the boot loader."""
        need("esptool")
        message = flash("esptool", silent_port)
        assert "Failed to connect to ESP32-C3: No serial data received" in message
        assert "hold BOOT" in message
        assert commands_with(silent_port) == []


class TestCommandLine:
    @pytest.mark.parametrize(
        ("tool", "arguments", "said"),
        [
            ("openocd", {"configs": '["interface/stlink.cfg", "target/stm32f4x.cfg"]'}, "open failed"),
            ("dfu-util", {"device": '"0483:df11"', "address": "0x08000000"}, "No DFU capable"),
        ],
    )
    def test_one_line_and_exit_code_2(
        self,
        tool: str,
        arguments: dict[str, str],
        said: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The command ends with 2 and exactly one error line; standard output stays empty."""
        need_program(tool)
        path = board_file(tmp_path, tool, **arguments)
        build_firmware(small_model(), find_board(str(path)), tmp_path / "fw")
        assert (tmp_path / "fw" / MANIFEST).is_file()
        code = cli.run(["flash", str(tmp_path / "fw"), "--board", str(path), "--timeout", str(TIMEOUT_S)])
        shown = capsys.readouterr()
        assert code == 2
        assert shown.out == ""
        errors = [line for line in shown.err.splitlines() if line.startswith("qhn2edge: error:")]
        assert len(errors) == 1
        assert said in errors[0]
