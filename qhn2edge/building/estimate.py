"""Estimates what a Verilog export takes of an FPGA, and its clock, without synthesis or place and route.

``estimate_table.json`` holds designs that were measured (``benchmarks/fpga_estimate.py`` writes it): what
was known of each before synthesis, and what yosys and nextpnr then said. Sizes and the length of a clock
are fitted to them, a family of chips, a device and a group of designs at a time. Block memories and
clocks from input to output are counted, not fitted.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from qhn2edge.backends.to_verilog import chosen_style, design_of
from qhn2edge.backends.verilog_options import DEFAULT, VerilogOptions
from qhn2edge.boards.board import Fpga
from qhn2edge.building.estimate_features import FEATURES, Features, features_of, memory_blocks
from qhn2edge.building.estimate_fit import Fit, fit
from qhn2edge.errors import ConfigError
from qhn2edge.model import Model

TABLE = "estimate_table.json"

SAME_SPEED = {"hx1k": "hx8k", "hx4k": "hx8k", "lp1k": "lp8k", "lp4k": "lp8k"}
"""Devices that differ from a measured one in size only."""
MEASURED_ALONE = {"ecp5": ("", "85k"), "gowin": ("GW1N", "GW1N-9C")}
"""For families of one speed: how names of devices of that speed begin, and which of them was measured."""
SERVER_CELLS = {"ice40": 400, "ecp5": 500, "gowin": 500}
"""Logic cells that a board's serial line and its protocol take beside a design (measured, rounded up)."""
SIZES = ("luts", "registers", "cells")
MOST_ERROR = 1.0
"""An estimate that was off by more than this, relatively, for any measured design is not told at all."""


@dataclass(frozen=True)
class Estimate:
    """What a design is expected to take.

    Attributes:
        style: "combinational", "pipelined" or "serial".
        family, device: of the chip, as the placer calls them.
        luts, registers: lookup tables and flip-flops, as synthesis counts them.
        cells: logic cells: pairs of a lookup table and a flip-flop, of which either may be unused.
        blocks: block memories.
        clock_mhz: the fastest clock.
        latency_cycles: clocks from the last beat of a vector to the first of its result.
        results_per_s: at the fastest clock.
        errors: for each fitted quantity, the median and the worst relative error, cross-validated.
        n_designs: designs that the fit has seen.
        is_beyond: whether the design is far larger than all of these, so that errors may be larger too.
    """

    style: str
    family: str
    device: str
    luts: int
    registers: int
    cells: int
    blocks: int
    clock_mhz: float
    latency_cycles: int
    results_per_s: float
    errors: Mapping[str, tuple[float, float]] = field(repr=False)
    n_designs: int
    is_beyond: bool

    @property
    def latency_us(self) -> float:
        """Microseconds from the last beat of a vector to the first of its result."""
        return self.latency_cycles / self.clock_mhz


@dataclass(frozen=True)
class Measured:
    """A measured design: a row of the table.

    Attributes:
        name: the model and its style.
        family: of the chip.
        group: of the design, a key of ``FEATURES``.
        features: what was known before synthesis.
        found: "luts", "registers", "cells", "blocks", and "period_ns DEVICE" for each device.
        held_out: whether fits leave it out, so that they can be tested on it.
    """

    name: str
    family: str
    group: str
    features: Mapping[str, float]
    found: Mapping[str, float]
    held_out: bool


@functools.cache
def measured_designs() -> tuple[Measured, ...]:
    """Return the table."""
    text = (resources.files("qhn2edge.building") / TABLE).read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["designs"]
    return tuple(Measured(**row) for row in rows)


@functools.cache
def fitted(family: str, group: str, quantity: str, device: str | None = None) -> Fit | None:
    """Return the fit of a quantity for a group of designs; None where too little was measured.

    Args:
        family: of the chip.
        group: a key of ``FEATURES``.
        quantity: a key of its entry there.
        device: for "period_ns", the device.
    """
    key = quantity if device is None else f"{quantity} {device}"
    rows = [
        row
        for row in measured_designs()
        if (row.family, row.group) == (family, group) and not row.held_out and key in row.found
    ]
    names = FEATURES[group][quantity]
    if len(rows) <= len(names):
        return None
    return fit(names, [row.features for row in rows], [row.found[key] for row in rows])


def measured_families() -> tuple[str, ...]:
    """Return the families of chips that the table has designs of."""
    return tuple(sorted({row.family for row in measured_designs()}))


def speed_of(family: str, device: str) -> str:
    """Return the measured device that has the speed of a device."""
    if family in MEASURED_ALONE:
        beginning, measured = MEASURED_ALONE[family]
        return measured if device.startswith(beginning) else device
    return SAME_SPEED.get(device, device)


def estimate(model: Model, family: str, device: str, options: VerilogOptions = DEFAULT) -> Estimate:
    """Return what a model's Verilog export is expected to take.

    Args:
        model: the model.
        family: of the chip: "ice40", "ecp5" or "gowin".
        device: the chip, as the placer calls it ("up5k").
        options: of the export.

    Raises:
        ConfigError: designs of this style were not measured on such a chip, or the fit is too far off.
        ExportError: the model is too large for the style.
    """
    features = features_of(design_of(model, options))
    fits = _fits(features, family, device)
    sizes = {name: max(1, round(fits[name].value(features.values))) for name in SIZES}
    clock_mhz = 1000 / fits["period_ns"].value(features.values)
    return Estimate(
        style=chosen_style(model, options),
        family=family,
        device=device,
        **sizes,
        blocks=memory_blocks(features, family),
        clock_mhz=clock_mhz,
        latency_cycles=features.latency_cycles,
        results_per_s=1e6 * clock_mhz / features.cycles_apart,
        errors={name: (each.median_error, each.worst_error) for name, each in fits.items()},
        n_designs=fits["luts"].n_designs,
        is_beyond=_is_beyond(features, family),
    )


def _is_beyond(features: Features, family: str) -> bool:
    """Return whether a feature is more than 1.5 times that of any measured design."""
    rows = [row for row in measured_designs() if (row.family, row.group) == (family, features.group)]
    names = {name for quantity in FEATURES[features.group].values() for name in quantity}
    return any(features.values[name] > 1.5 * max(row.features[name] for row in rows) for name in names)


def _fits(features: Features, family: str, device: str) -> dict[str, Fit]:
    speed = speed_of(family, device)
    found = {name: fitted(family, features.group, name) for name in SIZES}
    found["period_ns"] = fitted(family, features.group, "period_ns", speed)
    fits = {name: each for name, each in found.items() if each is not None}
    if len(fits) < len(found):
        raise ConfigError(
            "there is no estimate for this chip and style",
            got=f"{family} {device}, {features.group}",
            expected=f"a family of {', '.join(measured_families())}, and a style that was measured on it",
            next_step="build it for the board instead",
        )
    name, worst = max(fits.items(), key=lambda each: each[1].worst_error)
    if worst.worst_error > MOST_ERROR:
        raise ConfigError(
            "estimates of such designs on this chip are too far off",
            got=f"{family} {device}, {features.group}: {name} by up to {worst.worst_error:.0%}",
            next_step="build it for the board instead",
        )
    return fits


def fits_on(estimated: Estimate, chip: Fpga) -> bool:
    """Return whether a design is expected to fit a chip beside the serial line, given the chip's family."""
    needed = estimated.cells + SERVER_CELLS[chip.family]
    return needed <= chip.luts and estimated.blocks <= blocks_of(chip)


def blocks_of(chip: Fpga) -> int:
    """Return the block memories of a chip: 4,096 bits each on an iCE40, 18,432 on the others."""
    return 8 * chip.memory_bytes // (4096 if chip.family == "ice40" else 18_432)
