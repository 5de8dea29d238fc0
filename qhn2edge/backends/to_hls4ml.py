"""hls4ml export: a project for a vendor's high-level synthesis, with test bench, vectors and a page."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter, modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.hls4ml_options import DEFAULT, Hls4mlOptions
from qhn2edge.backends.hls4ml_page import page
from qhn2edge.backends.hls4ml_plan import LayerPlan, Plan, PoolPlan, plan_layers
from qhn2edge.backends.hls4ml_targets import PRAGMA_PLACES, TARGETS, Target, call_text, compile_words
from qhn2edge.backends.verilog_bench import bench_vectors
from qhn2edge.errors import ExportError, UnsupportedModelError
from qhn2edge.layers import Relu, Table, activation_kind
from qhn2edge.model import Model
from qhn2edge.resources import resource_text

GET_HLS4ML = "get it with: pip install 'qhn2edge[hls]'"
MAX_PARALLEL_WEIGHTS = 500_000
CHECK_FILE = "check.cpp"
_CONFIG_FILE = "hls4ml_config.yml"
_STAMP_CHARACTERS = 8
_WITH_EXTENSION = "use --backend Vitis, Vivado, Quartus or Catapult"
_BENCH_ARGUMENTS = '/SCVerify/INVOKE_ARGS "$sfd/firmware/weights'
_BENCH_VECTORS = " $sfd/tb_data/tb_input_features.dat $sfd/tb_data/tb_output_predictions.dat"


def project_name(model: Model) -> str:
    """Return the name of the project and of its top function."""
    return f"{model.name.replace('-', '_')}_binn"


def emit(model: Model, folder: Path, options: Hls4mlOptions = DEFAULT) -> tuple[str, ...]:
    """Write an hls4ml project into a folder; equal models and options give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: the vendor's tool, kind of ports, reuse, part.

    Returns:
        The names of the files.

    Raises:
        UnsupportedModelError: the model has something that cannot be written for this tool.
        ExportError: hls4ml is missing.
    """
    target, name = TARGETS[options.backend], project_name(model)
    plans = plan_layers(model, halves_n=target.halves_n)
    _check(plans, options)
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as made:
        project = Path(made) / "project"  # hls4ml writes an archive beside it
        project.mkdir()
        reuse = _write_project(model, plans, project, options)
        _tidy(project, target, name, model.digest)
        shutil.copytree(project, folder, dirs_exist_ok=True)
    x = bench_vectors(model)
    _write_vectors(model, x, folder)
    if target.has_extension:
        for header in ("nnet_qhn.h", "nnet_qhn_image.h") if has_images(plans) else ("nnet_qhn.h",):
            _write_text(folder / target.firmware / "nnet_utils" / header, _extension_header(target, header))
    if target.compiles_on_host:
        _write_text(folder / CHECK_FILE, check_program(model, options))
    _write_text(folder / "README.md", page(model, plans, reuse, options, n_vectors=len(x)))
    modelfile.write(model, folder / MODEL_FILE)
    return tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))


def has_images(plans: Sequence[Plan]) -> bool:
    """Return whether a project has convolutions or poolings."""
    return any(plan.image is not None for plan in plans)


def _check(plans: Sequence[Plan], options: Hls4mlOptions) -> None:
    beat = None
    for plan in plans:
        _check_extension(plan, TARGETS[options.backend])
        if isinstance(plan, LayerPlan):
            _check_size(plan, options)
        if options.io == "stream":
            beat = _check_beat(plan, beat)
    if importlib.util.find_spec("hls4ml") is None:
        raise ExportError("hls4ml was not found", next_step=GET_HLS4ML)


def _check_extension(plan: Plan, target: Target) -> None:
    """Refuse what is ours where only the vendor's compiler could tell whether it compiles."""
    if target.has_extension:
        return
    if plan.image is not None:
        raise UnsupportedModelError(
            f"layer {plan.number} is not written for {target.name}",
            got="a pooling" if isinstance(plan, PoolPlan) else "a convolution",
            expected="dense layers",
            next_step=_WITH_EXTENSION,
        )
    if isinstance(plan.activation, Relu | Table):
        raise UnsupportedModelError(
            f"layer {plan.number} has an activation that is not written for {target.name}",
            got=f"{activation_kind(plan.activation)}, which hls4ml has no exact form of",
            expected="sign",
            next_step=_WITH_EXTENSION,
        )


def _check_size(plan: LayerPlan, options: Hls4mlOptions) -> None:
    n_gates = plan.weights.size // options.reuse
    if n_gates > MAX_PARALLEL_WEIGHTS:
        raise UnsupportedModelError(
            f"layer {plan.number} is too large for --reuse {options.reuse}",
            got=f"{n_gates:,} products at once",
            expected=f"at most {MAX_PARALLEL_WEIGHTS:,}",
            next_step=f"use --reuse {-(-plan.weights.size // MAX_PARALLEL_WEIGHTS)} or more",
        )


def _check_beat(plan: Plan, beat: int | None) -> int:
    """Return the values of a layer's beats; refuse pixels that are no whole beats and no parts of beats."""
    if plan.image is None:
        return int(plan.weights.shape[1])
    n, before = plan.image.shape[2], plan.image.shape[2] if beat is None else beat
    if n % before and before % n:
        raise UnsupportedModelError(
            f"layer {plan.number} cannot be written for --io stream",
            got=f"an image of {n} channels made of {before} values at a time",
            expected="channels that are a multiple or a part of these",
            next_step="use --io parallel",
        )
    return plan.image.n_channels_out


def _write_project(
    model: Model, plans: Sequence[Plan], project: Path, options: Hls4mlOptions
) -> tuple[int, ...]:
    graph = importlib.import_module("qhn2edge.backends.hls4ml_graph")
    reuse: tuple[int, ...] = graph.write_project(plans, project, project_name(model), options)
    return reuse


def _tidy(project: Path, target: Target, name: str, digest: str) -> None:
    """Remove what is of no use here or names this machine, and the stamp that changes from run to run."""
    stamp = _stamp_of(project / _CONFIG_FILE)
    for part in (_CONFIG_FILE, *target.dropped):
        found = project / part.replace("NAME", name)
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)
    script = project / "build_prj.tcl"
    if target.name == "Catapult":  # else its simulations run on random inputs
        text = script.read_text(encoding="utf-8")
        script.write_text(text.replace(_BENCH_ARGUMENTS, _BENCH_ARGUMENTS + _BENCH_VECTORS), encoding="utf-8")
    for cache in [*project.rglob("__pycache__")]:
        shutil.rmtree(cache)
    for path in (*project.glob("CMakeLists.txt"), *project.rglob("*_bridge.cpp")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(stamp, digest[:_STAMP_CHARACTERS]), encoding="utf-8", newline="\n")


def _stamp_of(config: Path) -> str:
    lines = config.read_text(encoding="utf-8").splitlines()
    stamps = [line.removeprefix("Stamp:").strip().strip("'\"") for line in lines if line.startswith("Stamp:")]
    return stamps[0]


def _write_vectors(model: Model, x: NDArray[np.int64], folder: Path) -> None:
    data = folder / "tb_data"
    data.mkdir(exist_ok=True)
    _write_text(data / "tb_input_features.dat", rows_text(port_values(model, x)))
    _write_text(data / "tb_output_predictions.dat", rows_text(interpreter.logits(model, x)))


def port_values(model: Model, x: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return inputs [n, n_features] as ports take them: 0 and 1 for bits -1 and +1, integers as they are."""
    return (x > 0).astype(np.int64) if model.input.kind == "bit" else x


def rows_text(rows: NDArray[np.integer[Any]]) -> str:
    """Return integers, a row a line, with blanks between."""
    return "".join(" ".join(map(str, row)) + "\n" for row in rows.tolist())


def check_program(model: Model, options: Hls4mlOptions) -> str:
    """Return the C++ program that runs the project on this computer."""
    target, name = TARGETS[options.backend], project_name(model)
    return _fill(
        "check.cpp.in",
        name=name,
        globals=_GLOBALS.get(target.name, ""),
        n_features=model.input.n_features,
        n_logits=model.head.n_logits,
        call=call_text(options, name),
        compile=" ".join(("g++", *compile_words(target, name), "-o", "check")),
    )


_GLOBALS = {"Catapult": 'const char *get_weights_dir() { return "firmware/weights"; }\n'}


def _extension_header(target: Target, name: str) -> str:
    """Return a header of our layers; a line for a pragma that the tool does not want is left out."""
    unused = "// no pragma"
    pragmas = {place: target.pragmas.get(place, unused) for place in PRAGMA_PLACES}
    text = _fill(f"{name}.in", channel=target.channel, **pragmas)
    return "".join(line for line in text.splitlines(keepends=True) if line.strip() != unused)


def _fill(template: str, **values: object) -> str:
    return Template(resource_text("export", "hls4ml", template)).substitute(values)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="ascii", newline="\n")
