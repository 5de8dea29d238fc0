"""The emulators: one line of :data:`EMULATORS` each."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qhn2edge.boards.board import Board
from qhn2edge.errors import EmulatorError
from qhn2edge.optional_tools import find_tool, tool_status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qhn2edge.building.builds import Emulated
    from qhn2edge.emulators.counts import Counts
    from qhn2edge.link.line import SerialLine
    from qhn2edge.model import Model


@dataclass(frozen=True)
class Emulator:
    """Something that runs firmware on this machine.

    Attributes:
        name: as in ``[emulators.NAME]`` of a board's file.
        title: what people call it.
        module: the module of the functions below; imported when it is used. ``open_line(firmware)`` gives the
            line. Where ``counts`` is set, ``count(firmware, model, x)`` counts one vector [n_features];
            ``count_all(firmware, model, x)``, if there is one, yields the counts of several [n, n_features].
            ``missing()``, if there is one, tells what else it lacks, and ``version()`` the version of what is
            no Python package.
        tools: the names in ``optional_tools.TOOLS`` that it needs.
        counts: the unit of its counts ("instructions", "cycles"), or None where it cannot count.
    """

    name: str
    title: str
    module: str
    tools: tuple[str, ...]
    counts: str | None

    def missing(self) -> str | None:
        """Return None when it can run here, else one line that says what is missing and how to get it."""
        for name in self.tools:
            tool = find_tool(name)
            if not tool_status(tool).found:
                return f"{name} is missing: {tool.how_to_get}"
        module = import_module(self.module)
        return module.missing() if hasattr(module, "missing") else None

    def version(self) -> str:
        """Return its name and version; its name alone where the version is not known."""
        if self.name in self.tools:
            return f"{self.name} {tool_status(find_tool(self.name)).version}"
        module = import_module(self.module)
        return (module.version() if hasattr(module, "version") else None) or self.name

    def open_line(self, firmware: Emulated) -> AbstractContextManager[SerialLine]:
        """Start firmware and return the line to it, to be used in a ``with`` statement.

        Raises:
            EmulatorError: the firmware cannot be emulated.
            ToolError: a tool is missing or failed.
        """
        line: AbstractContextManager[SerialLine] = import_module(self.module).open_line(firmware)
        return line

    def count(self, firmware: Emulated, model: Model, x: NDArray[np.integer[Any]]) -> tuple[Counts, ...]:
        """Count the inference of each input vector, integers [n, n_features].

        Raises:
            EmulatorError: the emulator cannot count, or the firmware failed.
            ToolError: a tool is missing or failed.
        """
        if self.counts is None:
            raise EmulatorError(
                f"{self.title} cannot count", next_step="choose another emulator of the board"
            )
        module = import_module(self.module)
        if hasattr(module, "count_all"):
            return tuple(module.count_all(firmware, model, x))
        return tuple(module.count(firmware, model, vector) for vector in x)


EMULATORS: dict[str, Emulator] = {
    emulator.name: emulator
    for emulator in (
        Emulator(
            "unicorn",
            "Unicorn",
            "qhn2edge.emulators.unicorn_emulator",
            ("unicorn", "pyelftools"),
            "instructions",
        ),
        Emulator("simavr", "simavr", "qhn2edge.emulators.simavr", ("pyserial", "pyelftools"), "cycles"),
        Emulator("rp2040py", "rp2040py", "qhn2edge.emulators.rp2040", ("rp2040py", "pyelftools"), "cycles"),
        Emulator("qemu", "QEMU", "qhn2edge.emulators.qemu", (), None),
        Emulator("verilator", "Verilator", "qhn2edge.emulators.verilator_board", (), "cycles"),
    )
}


def find_emulator(board: Board, name: str | None = None, *, counting: bool = False) -> Emulator:
    """Return an emulator of a board.

    Args:
        board: the board.
        name: the one to take; None means the first in the board's file that can run here.
        counting: take only one that can count.

    Raises:
        EmulatorError: the board has none, or not that one, or nothing that it has can run here.
    """
    known = [EMULATORS[key] for key in board.emulators if key in EMULATORS]
    if counting:
        known = _counting(board, known)
    if name is not None and name not in {emulator.name for emulator in known}:
        raise EmulatorError(f"{board.name} is not emulated by that", got=name, expected=_names(known))
    candidates = [emulator for emulator in known if name in {None, emulator.name}]
    absent = [emulator.missing() for emulator in candidates]
    for emulator, lack in zip(candidates, absent, strict=True):
        if lack is None:
            return emulator
    raise EmulatorError(
        f"{board.name} cannot be emulated here", next_step=next(iter(absent), None) or "use the real board"
    )


def _counting(board: Board, known: list[Emulator]) -> list[Emulator]:
    found = [emulator for emulator in known if emulator.counts is not None]
    if known and not found:
        raise EmulatorError(
            f"no emulator of {board.name} counts",
            got=", ".join(emulator.title for emulator in known),
            next_step="count on a board with the same core (see qhn2edge boards)",
        )
    return found


def _names(emulators: list[Emulator]) -> str:
    return f"one of {', '.join(e.name for e in emulators)}" if emulators else "no emulator: it has none"
