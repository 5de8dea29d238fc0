"""What ``--port`` means for each kind of flashing tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flash_boards import board_with, firmware_for

from qhn2edge.errors import FlashError
from qhn2edge.flashing.plan import plan_flash
from qhn2edge.flashing.ports import check_port, is_serial, tool_port
from qhn2edge.flashing.registry import flash_tool


@dataclass(frozen=True)
class UsbPort:
    device: str
    serial_number: str | None


@pytest.fixture
def usb_ports(need: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """Three serial ports, one of them without a number; opening any of them fails the test."""
    listed = [UsbPort("/dev/ttyACM0", "9900"), UsbPort("/dev/ttyS9", None), UsbPort("COM3", "ABC")]

    def refuse(*_: object, **__: object) -> Any:  # noqa: ANN401
        pytest.fail("a port was opened")

    monkeypatch.setattr(need("serial.tools.list_ports"), "comports", lambda: listed)
    monkeypatch.setattr(need("serial"), "Serial", refuse)


@pytest.mark.usefixtures("usb_ports")
class TestToolPort:
    @pytest.mark.parametrize("tool", ["avrdude", "esptool"])
    def test_a_serial_port_must_be_named(self, tool: str) -> None:
        """None is guessed or tried; the message lists those there are."""
        with pytest.raises(
            FlashError, match=rf"{tool} needs the board's serial port\. Name it with --port"
        ) as e:
            tool_port(flash_tool(board_with(tool)), None)
        assert "/dev/ttyACM0" in str(e.value)

    @pytest.mark.parametrize("tool", ["pyocd", "openocd", "dfu-util"])
    def test_a_serial_port_stands_for_the_probe_beside_it(self, tool: str) -> None:
        """The same --port serves for flashing and for talking to the board; other texts are probe numbers."""
        found = flash_tool(board_with(tool))
        assert tool_port(found, "/dev/ttyACM0") == "9900"
        assert tool_port(found, "COM3") == "ABC"
        assert tool_port(found, "066BFF50") == "066BFF50"
        assert tool_port(found, None) is None

    @pytest.mark.parametrize("port", ["/dev/ttyS9", "/dev/ttyACM7"])
    def test_a_port_without_a_known_probe(self, port: str) -> None:
        """Where the probe is unknown, none is picked: it could be another board's."""
        with pytest.raises(FlashError, match=f"cannot tell which debug probe belongs to {port}"):
            tool_port(flash_tool(board_with("pyocd")), port)

    def test_a_port_that_is_not_there(self, tmp_path: Path) -> None:
        """The message says what to plug in and which ports there are; other names are left to the tool."""
        tool = flash_tool(board_with("avrdude"))
        with pytest.raises(FlashError, match="there is no port /dev/nope.*USB socket.*/dev/ttyACM0"):
            check_port(tool, "/dev/nope")
        (tmp_path / "port").touch()
        check_port(tool, str(tmp_path / "port"))
        check_port(tool, "COM77")
        check_port(flash_tool(board_with("pyocd")), None)

    def test_a_drive_that_is_not_there(self, tmp_path: Path) -> None:
        """A folder must exist; the message says how to enter the boot loader."""
        tool = flash_tool(board_with("uf2-copy"))
        check_port(tool, str(tmp_path))
        with pytest.raises(FlashError, match=r"there is no folder .*/none.*BOOTSEL"):
            check_port(tool, str(tmp_path / "none"))

    def test_names_of_serial_ports(self) -> None:
        """Device files and COM ports are serial ports, other texts are not."""
        assert is_serial("/dev/cu.usbmodem1")
        assert is_serial("COM12")
        assert not is_serial("COMPUTER")
        assert not is_serial("/media/RPI-RP2")
        assert not is_serial(None)


class TestPlan:
    @pytest.mark.parametrize(
        ("tool", "suffix"),
        [
            ("avrdude", "hex"),
            ("pyocd", "hex"),
            ("openocd", "hex"),
            ("esptool", "bin"),
            ("dfu-util", "bin"),
            ("uf2-copy", "uf2"),
        ],
    )
    def test_each_tool_gets_the_file_it_takes(self, tool: str, suffix: str) -> None:
        """The image is the built one, by its full path; the command holds it."""
        firmware = firmware_for(board_with(tool))
        plan = plan_flash(firmware, "/tmp" if tool == "uf2-copy" else "x1")
        assert plan.image == (firmware.folder / f"firmware.{suffix}").resolve()
        assert any(str(plan.image) in word for word in plan.command)

    def test_a_build_without_that_file(self) -> None:
        """A board that takes UF2 but builds none is told which entry lacks."""
        firmware = firmware_for(board_with("uf2-copy"))
        object.__setattr__(firmware, "uf2", None)
        with pytest.raises(FlashError, match='has no uf2 file.*Add "uf2" to formats in .*cortex-m0.toml'):
            plan_flash(firmware)
