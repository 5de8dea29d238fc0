"""What can be proved of a model, and how the files for each are made and run."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends import to_c, to_verilog
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.verilog_options import STYLES, VerilogOptions
from qhn2edge.building.fpga_tools import yosys_version
from qhn2edge.errors import ExportError
from qhn2edge.model import Model
from qhn2edge.storage import digest_json, sha256
from qhn2edge.verify.proving import prove_c, rv32_unicorn, yosys
from qhn2edge.verify.runners import find_runner

Int64Array = NDArray[np.int64]
Run = Callable[[Int64Array], tuple[Int64Array, Int64Array]]
"""Class indices [n] and logits [n, n_logits] of inputs [n, n_features]."""


@dataclass(frozen=True)
class Files:
    """What a proof reads.

    Attributes:
        product: path of the netlist, the ELF file or the graph.
        style: of a Verilog design.
        versions: tools that took part, by name.
        digest: SHA-256 of the exported files that it was made from.
    """

    product: str = ""
    style: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None


@dataclass(frozen=True)
class Product:
    """Something that can be proved.

    Attributes:
        name: its name.
        kind: which prover it is for (see work.py).
        target: the export target that it is made from; empty for none.
        missing: returns None when it can be made here, else one line that says what it lacks.
        export: writes the target's files into a folder.
        prepare: makes what the prover reads from an exported folder, in a folder for builds, within seconds.
        runs: yields what can run inputs: a name, None or what it lacks, and how.
    """

    name: str
    kind: str
    target: str
    missing: Callable[[], str | None]
    export: Callable[[Model, Path], object]
    prepare: Callable[[Model, Path, Path, float], Files]
    runs: Callable[[Model, Path, str], Iterator[tuple[str, str | None, Run]]]


def version_of(distribution: str) -> str:
    """Return the version of an installed package."""
    return f"{distribution} {importlib.metadata.version(distribution)}"


def _digest(folder: Path, names: Sequence[str]) -> str:
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise ExportError(
            f"{folder} lacks files of the export", got=", ".join(absent), next_step="export the model again"
        )
    return digest_json({name: sha256((folder / name).read_bytes()) for name in sorted(names)})


def _runner(name: str) -> Callable[[Model, Path, str], Iterator[tuple[str, str | None, Run]]]:
    """Return what runs an exported folder with the runner of the cross-check."""

    def runs(model: Model, folder: Path, _product: str) -> Iterator[tuple[str, str | None, Run]]:
        runner = find_runner(name)

        def run(x: Int64Array) -> tuple[Int64Array, Int64Array]:
            result = runner.run(model, x, folder)
            return result.labels, result.logits

        yield f"the exported {name}", runner.missing(), run

    return runs


# ---- Verilog ----


def _netlist(*, synthesized: bool) -> Callable[[Model, Path, Path, float], Files]:
    def prepare(model: Model, folder: Path, build: Path, seconds: float) -> Files:
        style = style_of(model, folder)
        made = to_verilog.verilog_files(model, VerilogOptions(style))
        data = [name for name in made.files if name.endswith((".hex",)) and not _is_test_data(name)]
        digest = _digest(folder, [*made.sources, *data])
        path = build / "netlist.json"
        sources = [folder.resolve() / name for name in made.sources]
        top = f"{to_verilog.verilog_name(model)}_binn"
        yosys.write_netlist(sources, top, path, synthesized=synthesized, timeout_s=seconds)
        return Files(str(path), style, {"yosys": yosys_version()}, digest)

    return prepare


def _is_test_data(name: str) -> bool:
    return name.endswith(("_vectors.hex", "_expected.hex"))


def style_of(model: Model, folder: Path) -> str:
    """Return the style that a folder was exported in, as its top module says.

    Raises:
        ExportError: it does not say.
    """
    top = folder / f"{to_verilog.verilog_name(model)}_binn.v"
    lines = top.read_text(encoding="ascii", errors="replace").splitlines() if top.is_file() else []
    mark = "// Style: "
    style = next((line.removeprefix(mark) for line in lines if line.startswith(mark)), "")
    if style not in STYLES:
        raise ExportError(f"{top} does not say its style", next_step="export the model again")
    return style


# ---- C ----


def _elf(model: Model, folder: Path, build: Path, seconds: float) -> Files:
    names = (f"{c_name(model.name)}.c", f"{c_name(model.name)}.h", *to_c.RUNTIME_FILES)
    digest = _digest(folder, names)
    path = build / "program.elf"
    compiler = prove_c.build(model, folder, path, seconds)
    return Files(str(path), "", {compiler.name: compiler.version}, digest)


def _c_runs(model: Model, folder: Path, product: str) -> Iterator[tuple[str, str | None, Run]]:
    yield from _runner("c")(model, folder, product)
    yield (
        "the RV32 program in Unicorn",
        rv32_unicorn.missing(),
        lambda x: rv32_unicorn.run(model, Path(product), x),
    )


# ---- ONNX ----


def _graph(_model: Model, folder: Path, _build: Path, _seconds: float) -> Files:
    name = "model.onnx"
    return Files(str((folder / name).resolve()), "", {"onnx": version_of("onnx")}, _digest(folder, [name]))


def _emit_onnx(model: Model, folder: Path) -> object:
    from qhn2edge.backends.to_onnx import emit

    return emit(model, folder)


def _onnx_missing() -> str | None:
    return find_runner("onnx").missing()


# ---- ranges ----


def _nothing(_model: Model, _folder: Path, _build: Path, _seconds: float) -> Files:
    return Files()


def _range_runs(_model: Model, _folder: Path, _product: str) -> Iterator[tuple[str, str | None, Run]]:
    yield from ()


PRODUCTS: dict[str, Product] = {
    product.name: product
    for product in (
        Product("ranges", "ranges", "", lambda: None, lambda m, f: None, _nothing, _range_runs),
        Product("c", "c", "c", prove_c.missing, to_c.emit, _elf, _c_runs),
        Product(
            "verilog",
            "verilog",
            "verilog",
            yosys.missing,
            to_verilog.emit,
            _netlist(synthesized=False),
            _runner("verilog"),
        ),
        Product(
            "verilog-ice40",
            "verilog",
            "verilog",
            yosys.missing,
            to_verilog.emit,
            _netlist(synthesized=True),
            _runner("verilog"),
        ),
        Product("onnx", "onnx", "onnx", _onnx_missing, _emit_onnx, _graph, _runner("onnx")),
    )
}
DEFAULT = ("ranges", "c", "verilog", "onnx")
"""What is proved where nothing is named."""
