"""One exception tree. Every error says what failed, what was got, what was expected, and what to do next.

The command line prints ``str(error)`` on one line and exits with 2; the API raises the same objects.
"""

from __future__ import annotations

_LONGEST_VALUE = 160


class QhnError(Exception):
    """Base of all expected errors.

    Args:
        what: what failed, a clause without a full stop ("cannot read the model file m.json").
        got: the offending value, shortened to one line for the message.
        expected: what would have been right.
        next_step: an action the user can take.
    """

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.what = what
        self.got = got
        self.expected = expected
        self.next_step = next_step
        super().__init__(what)

    def __str__(self) -> str:
        """Join the parts to one line."""
        text = self.what
        if self.got is not None:
            text += f": got {_one_line(self.got)}"
        if self.expected is not None:
            text += f"{',' if self.got is not None else ':'} expected {self.expected}"
        if self.next_step is not None:
            text += f". {self.next_step[:1].upper()}{self.next_step[1:]}"
        return _printable(text if text.endswith((".", "?")) else text + ".")


def _one_line(value: object) -> str:
    try:
        text = " ".join(str(value).split())
    except (RecursionError, ValueError):  # nested too deeply, or an integer of too many digits
        text = f"a value of type {type(value).__name__} that is too large to show"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def _printable(text: str) -> str:
    """Escape line breaks, terminal controls and lone surrogates, which file names and contents can hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class DataError(QhnError):
    """A data set cannot be read, or cannot be learned from."""


class SpaceError(QhnError):
    """A search space is impossible, or a bitstring does not belong to it."""


class CostError(QhnError):
    """A cost cannot be computed (wrong loss for the head, too many bits to enumerate)."""


class CircuitError(QhnError):
    """Angles, costs or sizes do not fit the circuit or its engine."""


class OptimizerError(QhnError):
    """An optimiser is unknown, or its options or its saved state are invalid."""


class TrainingError(QhnError):
    """A training run cannot start or cannot be resumed."""


class ModelError(QhnError):
    """A model violates its own rules (shapes, levels, int32 range)."""


class ModelFileError(ModelError):
    """A model file is missing, truncated, edited, or of an unknown version."""


class ModelImportError(QhnError):
    """Another tool's network cannot be read, or has no exact integer form."""


class InputError(QhnError):
    """Input vectors do not fit the model (count, range, type)."""


class ExportError(QhnError):
    """A model cannot be exported to the target asked for."""


class UnsupportedModelError(ExportError):
    """A target has no form for a layer of the model; another target may have one."""


class ToolError(QhnError):
    """An external tool is missing, failed, or ran out of time."""


class BoardError(QhnError):
    """A board is unknown, or its file breaks a rule."""


class BuildError(QhnError):
    """Firmware cannot be built (it does not fit, or a needed file is missing)."""


class EmulatorError(QhnError):
    """An emulated board faulted, ran into an endless loop, or cannot be emulated."""


class LinkError(QhnError):
    """A line to a board failed, or what answers is not the board expected."""


class FlashError(QhnError):
    """Firmware cannot be written into a board (no such board, wrong image, or the tool failed)."""


class StorageError(QhnError):
    """A file or folder cannot be read or written."""


class ConfigError(QhnError):
    """An option or a configuration file is invalid."""
