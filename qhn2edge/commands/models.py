"""Commands on a model file: export, info, predict; and random models for benchmarks."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from qhn2edge import interpreter
from qhn2edge.backends import Options, export_model, find_backend
from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.backends.hls4ml_options import Hls4mlOptions
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.data.encoder import Encoder
from qhn2edge.data.samples import read_samples
from qhn2edge.errors import ConfigError
from qhn2edge.model import Model, load_model, save_model
from qhn2edge.report.tables import layer_table, model_facts, plain_table
from qhn2edge.request import integers, pair
from qhn2edge.space import SearchSpace
from qhn2edge.storage import JsonObject, check_new, write_text
from qhn2edge.verify.runners import RUNNERS

if TYPE_CHECKING:
    from rich.console import Console

HLS_OPTIONS = ("backend", "io", "reuse", "part")

ENCODERS = {"bit": Encoder.bits, "uint8": Encoder.uint8_unit, "int8": Encoder.int8_fixed}


def export(
    path: Path, target: str, out: Path | None, options: Mapping[str, Any], console: Console
) -> tuple[JsonObject, int]:
    """Write a model for a target and list the files."""
    model = load_model(path)
    folder = export_model(
        model,
        target,
        out or Path(f"{model.name}-{target}"),
        replace=options["replace"],
        options=export_options(target, options),
    )
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    rows = [(file.relative_to(folder), f"{file.stat().st_size:,}") for file in files]
    console.print(plain_table(("file", "bytes"), rows, f"{model.name} for {target}, in {folder}"))
    console.print(f"next     {_next(path, target, folder)}", markup=False)
    return {"folder": str(folder), "files": [str(file) for file in files], "digest": model.digest}, 0


def _next(path: Path, target: str, folder: Path) -> str:
    """Return what to do with an exported folder: the cross-check runs some, the others check themselves."""
    if target == "hls4ml" and (folder / "src").is_dir():
        return f"not compiled and not compared here: oneAPI's icpx is needed, see {folder / 'README.md'}"
    if target in RUNNERS:
        return f"qhn2edge verify {quote(str(path))} --artifacts {quote(str(folder))}"
    return f"read {quote(str(folder / 'README.md'))}"


def export_options(target: str, options: Mapping[str, Any]) -> Options:
    """Return what the command line chose for a target.

    Raises:
        ConfigError: an option is given that means nothing to the target.
    """
    kind = find_backend(target).options
    style = None if options["style"] == "auto" else options["style"]
    for_c = COptions(options["core"], options["kernel"], options["optimize"])
    for_hls = {key: options[f"hls_{key}"] for key in HLS_OPTIONS if options.get(f"hls_{key}") is not None}
    if kind is not COptions and for_c != PORTABLE:
        raise ConfigError("--core, --kernel and --optimize are for C", got=f"--target {target}")
    for name, given, meant_for, owner in (
        ("--raw-input", options["raw_input"], GraphOptions, "onnx or larq"),
        ("--style", style is not None, VerilogOptions, "verilog"),
        ("--clock-mhz", options["clock_mhz"] is not None, VerilogOptions, "verilog"),
        *((f"--{key}", True, Hls4mlOptions, "hls4ml") for key in for_hls),
    ):
        if given and kind is not meant_for:
            raise ConfigError(f"{name} is for --target {owner}", got=f"--target {target}")
    if kind is VerilogOptions:
        return VerilogOptions(style, options["clock_mhz"])
    if kind is Hls4mlOptions:
        return Hls4mlOptions(**for_hls)
    return GraphOptions(options["raw_input"]) if kind is GraphOptions else for_c


def info(path: Path, console: Console) -> tuple[JsonObject, int]:
    """Tell what a model is."""
    model = load_model(path)
    facts = model_facts(model)
    space = facts["search_space"]
    made_of = " + ".join(f"{name} {n}" for name, n in space["fields"]) if space else ""
    rows: list[tuple[str, object]] = [
        ("network", f"{model.architecture}, {model.head.kind} head, classes {', '.join(model.head.classes)}"),
        ("input", f"{model.input.n_features} features as {model.input.kind} ({model.input.n_bits} bits)"),
        ("weights", f"{model.n_weight_bits:,} bits, {model.n_weight_bytes:,} bytes packed"),
        ("biases", f"{facts['bias_bytes']:,} bytes as int32"),
        (
            "trained as",
            f"{space['bits']} bits = {made_of} ({facts['qubits']} qubits)" if space else "not recorded",
        ),
        ("encoder", describe_encoder(model)),
        ("features", ", ".join(model.input.feature_names) or "not named"),
        ("data", model.provenance.get("data", {}).get("name", "not recorded")),
        ("digest", model.digest),
    ]
    console.print(f"[bold]{model.name}[/]")
    for name, value in rows:
        console.print(f"  {name:<11}{value}", markup=False)
    console.print(layer_table(model))
    console.print("accumulator ranges: reached in layer 1, safe bounds in later layers", style="dim")
    return facts, 0


def describe_encoder(model: Model) -> str:
    """Return the encoder in words, with the raw range of the first feature."""
    encoder = model.input.encoder
    if encoder.kind == "bit":
        return f"+1 where the raw value is at least {encoder.offset[0]:g}, else -1 (first feature)"
    low, high = encoder.raw_range
    return f"{encoder.kind} = round((raw - offset) / scale); raw {low:g} to {high:g} (first feature)"


def predict(
    path: Path, samples: Path, options: Mapping[str, Any], console: Console
) -> tuple[JsonObject, int]:
    """Label samples with the interpreter."""
    model = load_model(path)
    if options["out"]:
        check_new(Path(options["out"]), replace=options["replace"])
    names = () if options["by_position"] else model.input.feature_names
    raw = read_samples(samples, model.input.n_features, names)
    warn_of_clipping(model, raw)
    logits = interpreter.logits(model, model.input.encoder.encode(raw))
    labels = [model.head.classes[i] for i in interpreter.class_indices(model, logits)]
    text = predictions_csv(labels, logits if options["logits"] else None)
    document: JsonObject = {"model": model.digest, "n": len(labels), "labels": labels}
    if options["logits"]:
        document["logits"] = logits.tolist()
    if options["out"]:
        write_text(Path(options["out"]), text)
        console.print(f"wrote {len(labels):,} labels to {options['out']}")
    else:
        console.print(text, end="", markup=False)
    return document, 0


def warn_of_clipping(model: Model, raw: np.ndarray[Any, Any]) -> None:
    """Say on standard error how many raw values the model's encoder cannot represent."""
    clipped = model.input.encoder.n_clipped(raw)
    if clipped:
        from rich.console import Console

        low, high = model.input.encoder.raw_range
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"warning: {clipped:,} of {raw.size:,} values are outside what the encoder represents "
            f"({low:g} to {high:g} for the first feature) and were clipped; is the unit right?"
        )


def random_model(options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Write a model with random weights."""
    out = Path(options["out"])
    check_new(out, replace=options["replace"])
    model = draw_model(options)
    save_model(model, out)
    console.print(f"wrote {out}: {model.architecture}, {model.n_weight_bits:,} random weight bits")
    return {"file": str(out), "digest": model.digest}, 0


def draw_model(options: Mapping[str, Any]) -> Model:
    """Return a model with random weight and bias bits.

    Args:
        options: ``layers``, ``encoder``, ``activation``, ``levels``, ``seed`` as on the command line.
    """
    widths = integers(options["layers"], "--layers")
    if len(widths) < 2:
        raise ConfigError("--layers is too short", got=options["layers"], expected="two widths or more")
    space = SearchSpace(
        n_features=widths[0],
        classes=tuple(str(i) for i in range(max(2, widths[-1]))),
        encoder=ENCODERS[options["encoder"]](),
        hidden=widths[1:-1],
        activations=(options["activation"],),
        levels=tuple(pair(text) for text in options["levels"]),
    )
    if space.full_widths[-1] != widths[-1]:
        raise ConfigError("--layers ends in an impossible width", got=widths[-1], expected="1, or 3 or more")
    bits = np.random.default_rng(options["seed"]).integers(0, 2, space.n_bits, dtype=np.uint8)
    name = "bench-" + "-".join(str(n) for n in widths)
    return space.decode(bits, name, {"random": {"seed": options["seed"], "layers": list(widths)}})


def predictions_csv(labels: list[str], logits: np.ndarray[Any, Any] | None = None) -> str:
    """Return labels, and logits [n, n_logits] if given, as the text of a CSV file."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    n_logits = 0 if logits is None else logits.shape[1]
    writer.writerow(["label", *(f"logit{i}" for i in range(n_logits))])
    for i, label in enumerate(labels):
        writer.writerow([label, *([] if logits is None else logits[i].tolist())])
    return stream.getvalue()
