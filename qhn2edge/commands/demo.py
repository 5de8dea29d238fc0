"""``qhn2edge demo``: the whole way once, from handwritten digits to checked firmware, and a bitstream."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from qhn2edge.backends import export_model
from qhn2edge.baselines import logistic_regression_accuracy
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.firmware import Firmware, build_firmware
from qhn2edge.building.fpga_tools import missing
from qhn2edge.building.gateware import Gateware, build_gateware
from qhn2edge.commands.gateware import gateware_document
from qhn2edge.commands.train import describe, run_training, stop_cleanly
from qhn2edge.commands.verify import tell_report
from qhn2edge.emulators.counts import Counts, bench_inputs
from qhn2edge.emulators.registry import find_emulator
from qhn2edge.errors import StorageError
from qhn2edge.model import Model
from qhn2edge.report.tables import percent, plain_table
from qhn2edge.request import config_of, data_of, settings_of, space_of
from qhn2edge.runs import RunFolder
from qhn2edge.storage import JsonObject
from qhn2edge.verify import Report, verify_model, write_certificate
from qhn2edge.verify.runners import Runner, board_runner

if TYPE_CHECKING:
    from rich.console import Console

    from qhn2edge.results import TrainingResult

# What ``qhn2edge train`` would be given, apart from defaults.
DEMO: Mapping[str, Any] = {
    "data": "digits:3,7",
    "size": "4x4",
    "depth": 4,
    "restarts": 8,
    "optimizer": "lbfgs",
    "engine": "auto",
    "shots": 1000,
    "loss": "auto",
    "pick": "measured",
    "memory": 1.0,
}
BOARD, FPGA_BOARD = "cortex-m0", "icebreaker"


def demo(options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Train, export, build, run, check, build for an FPGA; print a short table."""
    out = Path(options["out"])
    settings = {**DEMO, "seed": options["seed"], **{k: options[k] for k in ("quiet", "as_json", "cache")}}
    data = data_of(settings)
    space = space_of(settings, data)
    _clear(out, options["replace"])
    run = RunFolder.create(out, config_of({**DEMO, "seed": options["seed"]}))
    console.print("[bold]1. Train[/] a binary neural network: every bit of it is a qubit")
    describe(console, data, space, settings_of(settings))
    with stop_cleanly(run, console):
        result = run_training(run, space, data, settings_of(settings), settings)
    files = run.write_result(result)
    console.print("[bold]2. Export[/] it as C, and [bold]build[/] firmware for a Cortex-M0")
    folder, runner = export_model(result.model, "c", out / "c"), board_runner(BOARD)
    firmware = _build(result.model, runner, out / BOARD, console)
    console.print("[bold]3. Run[/] both, and [bold]compare[/] every integer")
    artifacts = {"c": folder, **({runner.name: firmware.folder} if firmware else {})}
    report = verify_model(result.model, data.x_test_int, artifacts=artifacts)
    files += [*artifacts.values(), write_certificate(report.certificate, out / "certificate.json")]
    tell_report(console, report)
    baseline = logistic_regression_accuracy(data)
    counts = _count(result.model, firmware) if firmware else None
    console.print("[bold]4. Build[/] a bitstream for an FPGA board, the iCEBreaker")
    gateware = _build_gateware(result.model, out / FPGA_BOARD, console)
    files += [gateware.bitstream] if gateware else []
    console.print("[bold]5. Result[/]")
    rows = [*summary(result, report, baseline), *chip_rows(firmware, counts), *fpga_rows(gateware)]
    console.print(plain_table(("", ""), rows))
    _tell_next(console, files)
    document = {
        **result.to_json(),
        "logistic_regression_test": baseline,
        "verify": report.certificate.to_json(),
        "firmware": None if firmware is None else _firmware_json(firmware, counts),
        "gateware": None if gateware is None else gateware_document(gateware, result.model),
    }
    return {**document, "files": [str(file) for file in files]}, 0 if report.exact else 1


def _build(model: Model, runner: Runner, folder: Path, console: Console) -> Firmware | None:
    """Build the firmware; without the packages for it, say how to get them and go on."""
    lack = runner.missing()
    if lack is not None:
        console.print(f"no firmware: {lack}", markup=False)
        return None
    return build_firmware(model, find_board(BOARD), folder)


def _build_gateware(model: Model, folder: Path, console: Console) -> Gateware | None:
    """Build the bitstream; without the packages for it, say how to get them and go on."""
    board = find_board(FPGA_BOARD)
    lack = missing(board.core)
    if lack is not None:
        console.print(f"no bitstream: {lack}", markup=False)
        return None
    return build_gateware(
        model, board, folder, say=lambda text: console.print(text, style="dim", markup=False)
    )


def _count(model: Model, firmware: Firmware) -> Counts:
    (counts,) = find_emulator(firmware.board, counting=True).count(firmware, model, bench_inputs(model, 1, 0))
    return counts


def chip_rows(firmware: Firmware | None, counts: Counts | None) -> list[tuple[str, str]]:
    """Return the rows of the demo's table about the microcontroller."""
    if firmware is None or counts is None:
        return []
    chip = firmware.board.title
    return [
        (f"bytes of flash of the whole firmware ({chip})", f"{firmware.sizes.flash_bytes:,}"),
        ("bytes of RAM, worst case of the stack included", f"{firmware.sizes.ram_bytes:,}"),
        (f"{counts.unit} an inference", f"{counts.total:,}"),
    ]


def fpga_rows(gateware: Gateware | None) -> list[tuple[str, str]]:
    """Return the rows of the demo's table about the FPGA."""
    if gateware is None:
        return []
    usage = gateware.usage
    return [
        (f"look-up tables on the {gateware.board.chip}, serial port included", f"{usage.luts:,}"),
        ("share of its logic cells", percent(usage.cells / usage.all_cells)),
        (f"MHz that it allows (the board has {gateware.board.clock_hz / 1e6:g})", f"{gateware.fmax_mhz:.0f}"),
    ]


def _firmware_json(firmware: Firmware, counts: Counts | None) -> JsonObject:
    return {
        "board": firmware.board.name,
        "compiler": firmware.compiler.version,
        "flash_bytes": firmware.sizes.flash_bytes,
        "ram_bytes": firmware.sizes.ram_bytes,
        "count": None if counts is None else {counts.unit: counts.total},
    }


def summary(result: TrainingResult, report: Report, baseline: float) -> list[tuple[str, str]]:
    """Return the rows of the demo's table."""
    figures = result.to_json()["accuracy"]
    mismatches = sum(backend.n_mismatches for backend in report.certificate.backends)
    return [
        ("test accuracy, trained network", percent(figures["model_test"])),
        ("test accuracy, best of all networks", percent(figures["optimum_test"])),
        ("test accuracy, logistic regression with real weights", percent(baseline)),
        ("bits trained (qubits)", f"{result.space.n_bits}"),
        ("bytes of weights on the chip", f"{result.model.n_weight_bytes}"),
        ("vectors compared on each backend", f"{report.certificate.n_vectors:,}"),
        ("mismatches", f"{mismatches}"),
    ]


def _clear(out: Path, replace: bool) -> None:
    """Remove an earlier demo where that was asked for; refuse to touch anything else."""
    if out.exists() and not replace:
        raise StorageError(f"{out} exists already", next_step="choose another --out, or add --replace")
    if out.exists():
        RunFolder.open(out)
        shutil.rmtree(out)


def _tell_next(console: Console, files: list[Path]) -> None:
    model = files[0]
    console.print("wrote    " + "\n         ".join(str(file) for file in files))
    for what, command in (
        ("look inside", f"qhn2edge info {quote(str(model))}"),
        ("a real board", f"qhn2edge flash {quote(str(model))} --board microbit --dry-run"),
        ("three classes", "qhn2edge train --data iris --depth 2"),
        (
            "architecture as bits",
            "qhn2edge train --data gaussian --hidden 3 --activation relu,sigmoid --width 2,3",
        ),
        ("your own data", "qhn2edge train --data my.csv --label column"),
    ):
        console.print(f"next     {command}   [dim]# {what}[/]")
