"""Which emulator is taken for a board, and what is said where there is none."""

from __future__ import annotations

import dataclasses
import importlib

import pytest

from qhn2edge.boards.catalog import all_boards, find_board
from qhn2edge.emulators.registry import EMULATORS, find_emulator
from qhn2edge.errors import EmulatorError
from qhn2edge.optional_tools import find_tool


def test_rows() -> None:
    """Every row names a module with the functions that it promises, and tools that doctor knows."""
    for emulator in EMULATORS.values():
        module = importlib.import_module(emulator.module)
        assert callable(module.open_line)
        assert emulator.counts is None or hasattr(module, "count") or hasattr(module, "count_all")
        assert [find_tool(name).name for name in emulator.tools] == list(emulator.tools)


def test_every_emulator_of_a_board_exists() -> None:
    """No shipped board names an emulator that is not there."""
    assert {name for board in all_boards() for name in board.emulators} <= EMULATORS.keys()


def test_first_that_can_run() -> None:
    """Without a name, the board's first emulator that can run here is taken."""
    assert find_emulator(find_board("cortex-m0")).name == "unicorn"
    assert find_emulator(find_board("cortex-m0"), "unicorn", counting=True).name == "unicorn"


def test_one_that_lacks_a_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator whose program is missing is passed over, and told of where nothing else is left."""
    monkeypatch.setenv("PATH", "")
    board = dataclasses.replace(find_board("cortex-m0"), emulators={"qemu": {"system": "arm"}, "unicorn": {}})
    assert find_emulator(board).name == "unicorn"
    with pytest.raises(EmulatorError, match="cannot be emulated here.*Apt install qemu-system-arm"):
        find_emulator(board, "qemu")


@pytest.mark.parametrize(
    ("emulators", "name", "counting", "message"),
    [
        ({}, None, False, "cortex-m0 cannot be emulated here. Use the real board"),
        ({"unicorn": {}}, "qemu", False, "is not emulated by that: got qemu, expected one of unicorn"),
        ({}, "qemu", False, "expected no emulator: it has none"),
        ({"qemu": {}}, None, True, "no emulator of cortex-m0 counts: got QEMU"),
    ],
)
def test_what_is_refused(
    emulators: dict[str, dict[str, str]], name: str | None, counting: bool, message: str
) -> None:
    """No emulator at all, another one, and none that counts are told apart."""
    board = dataclasses.replace(find_board("cortex-m0"), emulators=emulators)
    with pytest.raises(EmulatorError, match=message):
        find_emulator(board, name, counting=counting)
