"""Ports: pseudo-terminals work like ports, and every refusal says what to do."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from types import ModuleType

import pytest

from qhn2edge.errors import LinkError, ToolError
from qhn2edge.link.ports import open_port, port_names, ports_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")


@pytest.fixture(autouse=True)
def serial(need: Callable[[str], ModuleType]) -> ModuleType:
    """The module pyserial."""
    return need("serial")


@pytest.fixture
def terminal() -> Iterator[tuple[FileIO, str]]:
    """A pseudo-terminal: its far end, and the path of its near one."""
    far, near = os.openpty()
    with FileIO(far, "r+") as file, FileIO(near, "r+"):
        yield file, os.ttyname(near)


def test_bytes_pass(terminal: tuple[FileIO, str]) -> None:
    """All 256 byte values pass in both directions as they are, and silence is empty."""
    far, name = terminal
    content = bytes(range(256))
    with open_port(name) as line:
        line.write(content)
        assert far.read(1000) == content
        far.write(content)
        got = b""
        while len(got) < 256:
            got += line.read(1.0)
        assert got == content
        assert line.read(0.01) == b""


def test_pulled_out(terminal: tuple[FileIO, str]) -> None:
    """A port whose device vanishes raises OSError; it can still be closed."""
    far, name = terminal
    with open_port(name) as line:
        far.close()
        with pytest.raises(OSError, match=r".+"):
            line.read(1.0)


def test_in_use(terminal: tuple[FileIO, str]) -> None:
    """A port that another program has open is refused."""
    with open_port(terminal[1]), pytest.raises(LinkError, match="in use by another program. Close serial"):
        open_port(terminal[1])


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing port is refused with the list of those that exist, none of which is opened."""
    monkeypatch.setattr("qhn2edge.link.ports.port_names", lambda: ("/dev/ttyACM0", "/dev/ttyUSB3"))
    with pytest.raises(
        LinkError, match=r"no port /dev/ttyNOT. Plug in.*ports here are /dev/ttyACM0, /dev/ttyUSB3"
    ):
        open_port("/dev/ttyNOT")
    monkeypatch.setattr("qhn2edge.link.ports.port_names", tuple)
    assert ports_text() == "there is no serial port here"


def test_listing_opens_nothing(serial: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of ports is made without opening one."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr(serial, "Serial", refuse)
    names = port_names()
    assert list(names) == sorted(names)


def test_forbidden(serial: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A port of another group is refused with the group's name."""

    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr(serial, "Serial", refuse)
    monkeypatch.setattr(Path, "group", lambda _: "dialout")
    with pytest.raises(LinkError, match=r"may not open.*Join the group dialout: sudo usermod -aG dialout"):
        open_port(str(tmp_path))


def test_no_port_at_all(tmp_path: Path) -> None:
    """A file and a folder are no serial ports."""
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file, tmp_path):
        with pytest.raises(LinkError, match="cannot be used as a serial port"):
            open_port(str(path))


def test_without_pyserial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyserial the error says how to get it."""
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(
        ToolError, match=r"pyserial is not installed. Get it with: pip install 'qhn2edge\[mcu\]'"
    ):
        open_port("/dev/ttyS0")


def test_settling(terminal: tuple[FileIO, str]) -> None:
    """What a board sends while it settles is dropped."""
    far, name = terminal
    far.write(b"boot loader")
    with open_port(name, settle_s=0.05) as line:
        assert line.read(0.02) == b""
