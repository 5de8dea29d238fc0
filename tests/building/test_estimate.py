"""Estimates of designs on FPGAs: exact where nothing is fitted, as wrong as stated where it is."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from qhn2edge.backends.to_verilog import design_of
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.catalog import find_board, fpga_boards
from qhn2edge.building.estimate import (
    MOST_ERROR,
    SERVER_CELLS,
    Measured,
    blocks_of,
    estimate,
    fits_on,
    fitted,
    measured_designs,
    measured_families,
    speed_of,
)
from qhn2edge.building.estimate_features import FEATURES, features_of, memory_blocks
from qhn2edge.building.estimate_fit import fit, nonnegative
from qhn2edge.cli import cli
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ConfigError
from qhn2edge.layers import Dense, Identity, Sign
from qhn2edge.model import Head, Input, Model, save_model

HELD_OUT = [row for row in measured_designs() if row.held_out]


def network(*widths: int) -> Model:
    """Return a network of signs on bits with random weights."""
    rng = np.random.default_rng(1)
    layers: list[Dense] = []
    for n_in, n_out in pairwise(widths):
        bits = rng.integers(0, 2, (n_out, n_in), dtype=np.uint8)
        is_last = len(layers) == len(widths) - 2
        layers.append(Dense(bits, np.zeros(n_out, np.int32), (-1, 1), Identity() if is_last else Sign()))
    head = Head("argmax", tuple(map(str, range(widths[-1]))))
    return Model("net", Input(widths[0], Encoder.bits()), tuple(layers), head)


def byte_unit(n: int) -> Model:
    """Return one unit on bytes, which becomes an accumulator."""
    bits = np.random.default_rng(1).integers(0, 2, (1, n), dtype=np.uint8)
    layer = Dense(bits, np.zeros(1, np.int32), (-1, 1), Identity())
    return Model("unit", Input(n, Encoder.uint8_unit()), (layer,), Head("threshold", ("a", "b")))


class TestFit:
    def test_finds_constants_that_are_exact(self) -> None:
        """Where the quantity is a sum of the features, its constants are found and no error is left."""
        rows = [{"one": 1.0, "a": float(n), "b": float(n * n % 7)} for n in range(1, 12)]
        found = fit(("one", "a", "b"), rows, [5 + 2 * row["a"] + 3 * row["b"] for row in rows])
        assert found.factors == pytest.approx({"one": 5, "a": 2, "b": 3})
        assert found.worst_error < 1e-9
        assert found.value({"one": 1, "a": 100, "b": 10}) == pytest.approx(235)

    def test_constants_are_not_negative(self) -> None:
        """A feature with which the quantity falls is left out, though the error grows."""
        x = np.array([[1.0, float(n)] for n in range(1, 6)])
        factors = nonnegative(x, 20.0 - 2 * x[:, 1])
        assert factors[1] == 0
        assert factors[0] > 0

    def test_least_relative_error(self) -> None:
        """No other constants that are not negative have less relative error."""
        rng = np.random.default_rng(0)
        x, y = rng.random((9, 3)) + 0.1, rng.random(9) + 0.5
        best = nonnegative(x, y)

        def error(beta: NDArray[np.float64]) -> float:
            return float(((x @ beta / y - 1) ** 2).sum())

        for _ in range(300):
            assert error(best) <= error(np.clip(best + rng.normal(0, 0.05, 3), 0, None)) + 1e-12

    def test_errors_are_those_of_designs_left_out(self) -> None:
        """Each error is that of a fit to the others: of three values that is far worse than the fit's own."""
        found = fit(("one",), [{"one": 1.0}] * 3, [1.0, 1.0, 2.0])
        assert found.median_error == pytest.approx(
            1 / 5
        )  # 1 against 6/5, which has least relative error for 1, 2
        assert found.worst_error == pytest.approx(1 / 2)


class TestTable:
    def test_enough_was_measured(self) -> None:
        """At least twelve designs of iCE40, every style among them, and none that tests are held out of."""
        rows = [row for row in measured_designs() if row.family == "ice40" and not row.held_out]
        assert len(rows) >= 12
        assert {row.group for row in rows} == set(FEATURES)
        assert len(HELD_OUT) >= 4

    @pytest.mark.parametrize("row", HELD_OUT, ids=[f"{row.family} {row.name}" for row in HELD_OUT])
    def test_stated_error_holds_for_designs_held_out(self, row: Measured) -> None:
        """Designs that no fit has seen are at most 1.5 times as wrong as the worst stated, or 5 %."""
        checked = 0
        for key, value in row.found.items():
            quantity, _, device = key.partition(" ")
            if quantity == "blocks":
                continue
            found = fitted(row.family, row.group, quantity, device or None)
            assert found is not None
            assert abs(found.value(row.features) - value) / value <= max(1.5 * found.worst_error, 0.05), key
            checked += 1
        assert checked >= 4

    def test_features_are_those_of_the_generator(self) -> None:
        """A row's features are what the generator counts today, so fits are used as they were made."""
        (row,) = [
            each
            for each in measured_designs()
            if each.name == "64-32-10 bit serial" and each.family == "ice40"
        ]
        features = features_of(design_of(network(64, 32, 10), VerilogOptions("serial")))
        shared = ("units", "planes", "a_bits")
        assert {name: features.values[name] for name in shared} == {
            name: row.features[name] for name in shared
        }

    def test_blocks_are_counted_not_fitted(self) -> None:
        """A large serial network takes the block memories that synthesis takes, 30 or fewer of an iCE40."""
        features = features_of(design_of(network(784, 128, 10), VerilogOptions("serial")))
        assert 28 <= memory_blocks(features, "ice40") <= 30
        assert memory_blocks(features, "ecp5") < memory_blocks(features, "ice40")


class TestEstimate:
    def test_latency_is_the_designs(self) -> None:
        """Clocks are those of the design, and time is clocks at the estimated clock."""
        model, options = network(64, 32, 10), VerilogOptions("serial")
        found = estimate(model, "ice40", "up5k", options)
        assert found.latency_cycles == features_of(design_of(model, options)).latency_cycles
        assert found.latency_us == pytest.approx(found.latency_cycles / found.clock_mhz)
        assert 1.0 < found.results_per_s * found.latency_us / 1e6 * 2 < 2.0

    def test_larger_is_larger_and_slower_is_slower(self) -> None:
        """More units take more cells; an UltraPlus is slower than an HX, and an HX1K as fast as an HX8K."""
        options = VerilogOptions("pipelined")
        small, large = (estimate(network(32, n, 4), "ice40", "hx8k", options) for n in (8, 32))
        assert large.cells > 2 * small.cells
        slow = estimate(network(32, 8, 4), "ice40", "up5k", options)
        assert 2 < small.clock_mhz / slow.clock_mhz < 4
        assert estimate(network(32, 8, 4), "ice40", "hx1k", options).clock_mhz == small.clock_mhz
        assert speed_of("ecp5", "25k") == "85k"
        assert speed_of("gowin", find_board("tang-nano-9k").fpga.device) == "GW1N-9C"
        assert speed_of("gowin", "GW2A-LV18PG256C8/I7") == "GW2A-LV18PG256C8/I7"

    def test_fitting_leaves_room_for_the_serial_line(self) -> None:
        """A design fits until its cells and those of the serial line are more than the chip has."""
        chip = find_board("icestick").fpga
        small = estimate(network(16, 4, 3), "ice40", "hx1k", VerilogOptions("pipelined"))
        large = estimate(network(64, 32, 10), "ice40", "hx1k", VerilogOptions("pipelined"))
        assert small.cells + SERVER_CELLS["ice40"] < chip.luts
        assert fits_on(small, chip)
        assert not fits_on(large, chip)
        assert blocks_of(chip) == 16

    def test_designs_beyond_the_measured_are_marked(self) -> None:
        """A pipeline twice the size of the largest measured one is marked, that one is not."""
        options = VerilogOptions("pipelined")
        assert not estimate(network(64, 32, 10), "ice40", "up5k", options).is_beyond
        assert estimate(network(64, 64, 10), "ice40", "up5k", options).is_beyond

    def test_unknown_chip_is_one_line(self) -> None:
        """A family that was not measured is refused, and the message names those that were."""
        with pytest.raises(ConfigError, match="no estimate for this chip and style: got gowin"):
            estimate(network(16, 4, 3), "gowin", "x", VerilogOptions("serial"))

    def test_hopeless_estimates_are_not_told(self) -> None:
        """Where a fit was off by more than the quantity itself for any design, there is no estimate."""
        model = byte_unit(64)
        assert estimate(model, "ice40", "up5k").errors["luts"][1] < MOST_ERROR
        fits = fitted("gowin", "accumulator", "luts")
        assert fits is not None and fits.worst_error > MOST_ERROR
        device = find_board("tang-nano-9k").fpga.device
        with pytest.raises(ConfigError, match="too far off: got gowin .*accumulator: luts by up to 1"):
            estimate(model, "gowin", device)


class TestCommand:
    def test_boards_without_an_estimate_are_told(self, tmp_path: Path) -> None:
        """A style that was measured on some families only is estimated there; other boards are named."""
        path = save_model(network(16, 4, 2), tmp_path / "m.json")
        words = ["estimate", str(path), "--style", "combinational"]
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, result.output
        assert "no estimate in style combinational: tang-nano-9k, ulx3s" in result.output
        document = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)
        assert document["left_out"] == ["tang-nano-9k", "ulx3s"]
        assert {board["family"] for board in document["boards"]} == {"ice40"}
        assert CliRunner().invoke(cli, [*words, "--board", "ulx3s"]).exit_code != 0

    def test_table_and_errors(self, tmp_path: Path) -> None:
        """All boards of measured families are in the table, and the errors of each chip follow."""
        path = save_model(network(64, 32, 10), tmp_path / "m.json")
        result = CliRunner().invoke(cli, ["estimate", str(path)])
        assert result.exit_code == 0, result.output
        for board in fpga_boards():
            if board.fpga.family in measured_families():
                assert board.name in result.output
                assert f"error {board.fpga.family} {board.fpga.device}: LUTs" in " ".join(
                    result.output.split()
                )

    def test_json_of_one_board(self, tmp_path: Path) -> None:
        """``--json`` holds the numbers, the errors, and whether the board takes the design."""
        path = save_model(network(64, 32, 10), tmp_path / "m.json")
        arguments = ["estimate", str(path), "--board", "icestick", "--style", "serial", "--json"]
        document = json.loads(CliRunner().invoke(cli, arguments).output)
        (board,) = document["boards"]
        assert document["style"] == "serial"
        assert board["board"] == "icestick"
        assert board["fits"] == (board["cells"] + SERVER_CELLS["ice40"] <= 1280)
        assert set(board["errors"]) == {"luts", "registers", "cells", "period_ns"}
        assert all(0 <= error["median"] <= error["worst"] for error in board["errors"].values())

    def test_microcontroller_is_refused(self, tmp_path: Path) -> None:
        """A board without an FPGA is one line of error."""
        path = save_model(network(16, 4, 3), tmp_path / "m.json")
        result = CliRunner().invoke(cli, ["estimate", str(path), "--board", "cortex-m0"])
        assert "cortex-m0 is a microcontroller board" in str(result.exception or result.output)
