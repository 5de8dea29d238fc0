"""Tables for the terminal."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.report.tables import describe_activation, layer_table, model_facts, plain_table


def shown(table: object, width: int = 120) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue()


def small_model() -> Model:
    first = Dense(np.array([[1, 0], [1, 1]]), np.array([3, -3]), (-1, 1), Sign())
    last = Dense(np.array([[1, 0]]), np.array([0]), (0, 1), Identity())
    return Model("m", Input(2, Encoder.uint8_unit()), (first, last), Head("threshold", ("a", "b")))


def test_brackets_are_shown() -> None:
    """Cells that look like markup are printed as they are."""
    assert "qhn2edge[mcu] [red]" in shown(plain_table(("a",), [("qhn2edge[mcu] [red]",)]))


def test_numbers_are_aligned_right() -> None:
    """A column of numbers is aligned to the right, one of words to the left."""
    lines = [line.rstrip() for line in shown(plain_table(("n", "w"), [(1, "x"), (100, "y")])).splitlines()]
    assert "  1   x" in lines[-3]
    assert "100   y" in lines[-2]


def test_words_are_whole_at_any_width() -> None:
    """Where columns would break a word, each row is a list; from the width on that they need, a table."""
    table = plain_table(
        ("name", "chip", "MHz"), [("microbit-v2", "nRF52833", 64), ("cortex-m0", "", 16)], "Boards"
    )
    assert shown(table, 20).splitlines() == [
        "Boards",
        "name microbit-v2",
        "  chip: nRF52833",
        "  MHz: 64",
        "name cortex-m0",
        "  MHz: 16",
    ]
    for width in range(20, 60):
        text = shown(table, width)
        assert {"microbit-v2", "nRF52833", "64"} <= set(text.split()), width
        assert max(map(len, text.splitlines())) <= width
    assert "─" not in shown(table, 26)
    assert "─" in shown(table, 27)


def test_no_head() -> None:
    """Empty column names give a table without a head."""
    assert "─" not in shown(plain_table(("", ""), [("a", "b")]))


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        (Sign(), "sign"),
        (Relu(), "relu"),
        (Relu(2, 8), "relu >> 2, 8 bits"),
        (Table(0, (1, 2, 3), "sigmoid"), "sigmoid table (3)"),
    ],
)
def test_activations_in_words(activation: Activation, text: str) -> None:
    """Every activation has words."""
    assert describe_activation(activation) == text


def test_model_facts() -> None:
    """Ranges, their bits, and bytes are those computed by hand."""
    facts = model_facts(small_model())
    # Unit 1: 255 - 0 + 3 down to 0 - 255 + 3; unit 2: 510 - 3 down to -3.
    assert facts["layers"][0]["accumulator"] == [-252, 507]
    assert facts["layers"][0]["accumulator_bits"] == 10
    assert facts["layers"][1]["accumulator"] == [-1, 1]
    assert facts["layers"][1]["accumulator_bits"] == 2
    assert (facts["weight_bits"], facts["weight_bytes"], facts["bias_bytes"]) == (6, 12, 12)
    assert facts["search_space"] is None
    assert "-252 .. 507" in shown(layer_table(small_model()))
