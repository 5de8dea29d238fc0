"""Verilog export: one folder with the design, its test bench with vectors, and a page that describes it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.verilog_accumulator import AccumulatorDesign, accumulator_body, suits_accumulator
from qhn2edge.backends.verilog_bench import bench_files
from qhn2edge.backends.verilog_images import ImageDesign, image_design, suits_images
from qhn2edge.backends.verilog_images_text import ImageText
from qhn2edge.backends.verilog_options import DEFAULT, VerilogOptions
from qhn2edge.backends.verilog_page import describe_streams, page_values
from qhn2edge.backends.verilog_parallel import (
    ParallelDesign,
    parallel_design,
    part_body,
    part_ports,
    top_body,
)
from qhn2edge.backends.verilog_serial import SerialDesign, serial_design
from qhn2edge.backends.verilog_serial_text import SerialText
from qhn2edge.backends.verilog_unrolled import n_unrolled
from qhn2edge.errors import ExportError
from qhn2edge.layers import Dense
from qhn2edge.model import Model
from qhn2edge.resources import resource, resource_text

Design = ParallelDesign | SerialDesign | AccumulatorDesign | ImageDesign

PARALLEL_LIBRARY: tuple[str, ...] = ("qhn_valid.v",)
ACCUMULATOR_LIBRARY: tuple[str, ...] = ("qhn_accumulator.v",)
SERIAL_LIBRARY: tuple[str, ...] = (
    "qhn_collector.v",
    "qhn_match16.v",
    "qhn_ram.v",
    "qhn_rom.v",
    "qhn_sequencer.v",
    "qhn_serial.v",
    "qhn_unit.v",
)

IMAGE_LIBRARY: tuple[str, ...] = (
    "qhn_image.v",
    "qhn_lanes.v",
    "qhn_largest.v",
    "qhn_match16.v",
    "qhn_ram.v",
    "qhn_rom.v",
    "qhn_scale.v",
    "qhn_tap.v",
    "qhn_windows.v",
)

DEFAULT_LEVELS = 3.5
"""Levels of logic between two registers where no clock is asked for."""
MAX_PARALLEL_WEIGHTS = 1_000_000
MAX_UNROLLED_WEIGHTS = 200_000
_LEVEL_NS = 2.0
_OVERHEAD_NS = 1.5
"""A level of logic with its wires, and a register, on an iCE40 HX."""
_TINY_BITS, _TINY_WEIGHTS = 16, 256
_SMALL_WEIGHTS = 8192


@dataclass(frozen=True)
class VerilogFiles:
    """A design and everything that is written of it.

    Attributes:
        design: the design.
        sources: the Verilog files of the design, library included, top module first.
        files: the text of every file but those of the library and the model.
        library: the files copied from the library.
    """

    design: Design
    sources: tuple[str, ...]
    files: Mapping[str, str]
    library: tuple[str, ...]


def verilog_name(model: Model) -> str:
    """Return the prefix of the files and modules of a model: the top module is this and ``_binn``."""
    return model.name.replace("-", "_")


def chosen_style(model: Model, options: VerilogOptions) -> str:
    """Return the style asked for, else the one that suits the model's size."""
    if options.style is not None:
        return options.style
    if suits_images(model) or suits_accumulator(model):
        return "serial"
    if model.input.n_bits <= _TINY_BITS and model.n_weight_bits <= _TINY_WEIGHTS:
        return "combinational"
    return "pipelined" if model.n_weight_bits <= _SMALL_WEIGHTS else "serial"


def levels_for(clock_mhz: float | None) -> float:
    """Return the levels of logic between two registers for a clock (measured on an iCE40 HX, at least 1)."""
    if clock_mhz is None:
        return DEFAULT_LEVELS
    return max(1.0, (1000 / clock_mhz - _OVERHEAD_NS) / _LEVEL_NS)


def design_of(model: Model, options: VerilogOptions = DEFAULT) -> Design:
    """Return the design of a model.

    Raises:
        UnsupportedModelError: the model has a layer that has no form in Verilog.
        ExportError: the model has too many weights to be all logic.
    """
    style = chosen_style(model, options)
    if style == "serial" and suits_images(model):
        return image_design(model)
    if style == "serial":
        return AccumulatorDesign(model) if suits_accumulator(model) else serial_design(model)
    _check_parallel(model, style)
    return parallel_design(model, levels_for(options.clock_mhz) if style == "pipelined" else None)


def most_weights(model: Model) -> int:
    """Return the most weights (:func:`n_unrolled`) of a model like this that are made logic."""
    has_windows = not all(isinstance(layer, Dense) for layer in model.layers)
    return MAX_UNROLLED_WEIGHTS if has_windows else MAX_PARALLEL_WEIGHTS


def _check_parallel(model: Model, style: str) -> None:
    """Refuse a model that is too large to be all logic."""
    n_weights, most = n_unrolled(model), most_weights(model)
    if n_weights > most:
        raise ExportError(
            f"the model is too large for style {style}",
            got=f"{n_weights:,} weights"
            + (", each window's counted" if most == MAX_UNROLLED_WEIGHTS else ""),
            expected=f"at most {most:,}",
            next_step="use --style serial",
        )


def emit(model: Model, folder: Path, options: VerilogOptions = DEFAULT) -> tuple[str, ...]:
    """Write the Verilog files of a model into a folder; equal models and options give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: style and clock.

    Returns:
        The names of the files.

    Raises:
        ExportError: the model is too large for the style.
        StorageError: the folder is not writable.
    """
    made = verilog_files(model, options)
    for file_name, text in made.files.items():
        (folder / file_name).write_text(text, encoding="ascii", newline="\n")
    for file_name in made.library:
        shutil.copyfile(resource("firmware", "rtl", file_name), folder / file_name)
    modelfile.write(model, folder / MODEL_FILE)
    return (*made.files, *made.library, MODEL_FILE)


def verilog_files(model: Model, options: VerilogOptions = DEFAULT) -> VerilogFiles:
    """Return everything that :func:`emit` writes."""
    design, name = design_of(model, options), verilog_name(model)
    values: dict[str, object] = {
        "model": model.name,
        "name": name,
        "architecture": model.architecture,
        "digest": model.digest,
        **describe_streams(design),
    }
    parts: dict[str, str] = {}
    data: dict[str, str] = {}
    match design:
        case ParallelDesign():
            parts, body, library = _parts(design, name), top_body(design, name), PARALLEL_LIBRARY
        case SerialDesign():
            text = SerialText(design, name)
            data, body, library = text.files(), text.body(), SERIAL_LIBRARY
        case ImageDesign():
            image = ImageText(design, name)
            data, body, library = image.files(), image.body(), _image_library(design)
        case AccumulatorDesign():
            body, library = accumulator_body(design), ACCUMULATOR_LIBRARY
    modules = {f"{name}_binn.v": _fill("top.v.in", {**values, "body": body}), **parts}
    vectors, n_vectors = bench_files(model, design.shape, name)
    sources = (*modules, *library)
    values |= page_values(design, sources=sources, data=tuple(data), n_vectors=n_vectors)
    pages = {f"{name}_tb.v": _fill("tb.v.in", values), "README.md": _fill("README.md.in", values)}
    return VerilogFiles(design, sources, {**modules, **data, **pages, **vectors}, library)


def _image_library(design: ImageDesign) -> tuple[str, ...]:
    """Return the files that the design needs."""
    absent = set()
    if design.affine is None:
        absent.add("qhn_scale.v")
    if not (design.pools_bits or design.pools_values):
        absent.add("qhn_largest.v")
    return tuple(file for file in IMAGE_LIBRARY if file not in absent)


def _parts(design: ParallelDesign, name: str) -> dict[str, str]:
    return {
        f"{name}_{part.name}.v": _fill(
            "module.v.in",
            {
                "comment": f"// {part.comment}",
                "module": f"{name}_{part.name}",
                "ports": part_ports(part, pipelined=design.pipelined),
                "body": part_body(part, pipelined=design.pipelined),
            },
        )
        for part in design.modules
    }


def _fill(template: str, values: Mapping[str, object]) -> str:
    return Template(resource_text("export", "verilog", template)).substitute(values)
