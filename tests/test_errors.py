from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge import errors
from qhn2edge.errors import ModelError, ModelFileError, QhnError

ANYTHING = st.one_of(st.text(), st.integers(), st.floats(), st.lists(st.text()), st.binary(max_size=500))


class TestMessage:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (QhnError("it failed"), "it failed."),
            (QhnError("it failed."), "it failed."),
            (QhnError("it failed", got=3), "it failed: got 3."),
            (QhnError("it failed", got=0), "it failed: got 0."),
            (QhnError("it failed", got=False), "it failed: got False."),
            (QhnError("it failed", expected="4"), "it failed: expected 4."),
            (QhnError("it failed", got=3, expected="4"), "it failed: got 3, expected 4."),
            (QhnError("it failed", next_step="try again"), "it failed. Try again."),
            (QhnError("it failed", next_step="use --size."), "it failed. Use --size."),
            (
                QhnError("it failed", got="x", expected="y", next_step="write y"),
                "it failed: got x, expected y. Write y.",
            ),
        ],
    )
    def test_parts(self, error: QhnError, message: str) -> None:
        """The parts that are given are joined: what: got, expected. Next step."""
        assert str(error) == message

    @settings(deadline=None, max_examples=200)
    @given(ANYTHING, st.text(), st.text())
    def test_one_printable_line(self, got: object, what: str, path: str) -> None:
        """Whatever the values hold, the message is one line that a terminal and a UTF-8 log can take."""
        message = str(QhnError(f"{what} {path}", got=got, expected=path, next_step=what))
        assert len(message.splitlines()) == 1
        assert message.isprintable()
        assert message.encode("utf-8").decode("utf-8") == message

    def test_control_characters_are_escaped(self) -> None:
        """A file's content cannot send commands to the terminal."""
        assert str(QhnError("name is wrong", got="\x1b[2Ja\ud800")) == r"name is wrong: got \x1b[2Ja\ud800."
        assert str(QhnError("cannot read a\nb")) == r"cannot read a\nb."

    @settings(deadline=None, max_examples=100)
    @given(st.integers(0, 1000))
    def test_long_values_are_shortened(self, length: int) -> None:
        """A value takes at most 160 characters and shows where it was cut."""
        shown = str(QhnError("too long", got="x" * length))[len("too long: got ") :]
        # Text that ends with a full stop gets no second one.
        assert shown == ("x" * length + "." if length <= 160 else "x" * 157 + "...")

    def test_values_without_text(self) -> None:
        """A value that cannot be written, for its nesting or its digits, still gives a message."""
        nested: list[object] = []
        for _ in range(100_000):
            nested = [nested]
        expected = "wrong: got a value of type {} that is too large to show."
        assert str(QhnError("wrong", got=nested)) == expected.format("list")
        assert str(QhnError("wrong", got=10**5000)) == expected.format("int")
        while nested:  # freed level by level, not by recursion
            nested = nested.pop()  # type: ignore[assignment]


class TestTree:
    def test_every_error_is_a_qhn_error(self) -> None:
        """One except clause catches them all."""
        classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
        assert len(classes) > 10
        assert all(issubclass(c, QhnError) for c in classes)
        assert issubclass(ModelFileError, ModelError)

    def test_parts_survive_pickle_and_copy(self) -> None:
        """An error that crosses a process boundary keeps its parts and its message."""
        error = ModelFileError("what", got=[1, 2], expected="three", next_step="count")
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(twin) is ModelFileError
            assert str(twin) == str(error)
            assert (twin.what, twin.got, twin.expected, twin.next_step) == (
                error.what,
                error.got,
                error.expected,
                error.next_step,
            )
