"""How far proofs over all inputs reach: networks, what is proved of each, time and nodes.

Writes results/proofs.json and results/proofs.md. Each proof has the limit of ``SECONDS``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

from qhn2edge.backends import export_model
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.building.fpga_tools import VARIABLE
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign
from qhn2edge.model import Head, Input, Model
from qhn2edge.verify.proving.proofs import prove_model
from qhn2edge.verify.proving.results import Proof

SECONDS = 100.0
RESULTS = Path(__file__).parent / "results"
BIT, BYTE = Encoder.bits(), Encoder.uint8_unit()


def network(widths: Sequence[int], encoder: Encoder, hidden: Activation) -> Model:
    """Return a random network with weights -1 and +1."""
    rng = np.random.default_rng(0)
    layers = []
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        activation = Identity() if i == len(widths) - 2 else hidden
        layers.append(random_layer(rng, n_in, n_out, activation))
    n = widths[-1]
    head = Head("threshold", ("a", "b")) if n == 1 else Head("argmax", tuple(map(str, range(n))))
    return Model("net", Input(widths[0], encoder), tuple(layers), head)


def images(side: int, channels: Sequence[int], encoder: Encoder, n_classes: int) -> Model:
    """Return padded convolutions of 3 x 3 with signs, each followed by a pooling, and scaled logits."""
    rng = np.random.default_rng(0)
    layers: list[Layer] = []
    shape = (side, side, 1)
    for n in channels:
        kernel = random_layer(rng, 9 * shape[2], n, Sign())
        conv = Conv2D(kernel, shape, (3, 3), padding=(1, 1, 1, 1))
        layers += [conv, MaxPool2D(conv.shape_out, (2, 2), (2, 2), (np.arange(n) % 2).astype(np.uint8))]
        shape = layers[-1].shape_out  # type: ignore[union-attr]  # a pooling
    scales, offsets = (tuple(rng.integers(1, 9, n_classes).tolist()) for _ in range(2))
    layers.append(random_layer(rng, int(np.prod(shape)), n_classes, Affine(scales, offsets)))
    head = Head("argmax", tuple(map(str, range(n_classes))))
    return Model("net", Input(side * side, encoder), tuple(layers), head)


def random_layer(rng: np.random.Generator, n_in: int, n_out: int, activation: Activation) -> Dense:
    """Return a random dense layer with weights -1 and +1."""
    bits = rng.integers(0, 2, (n_out, n_in), dtype=np.uint8)
    return Dense(bits, rng.integers(-3, 4, n_out, dtype=np.int32), (-1, 1), activation)


CASES = (
    (
        "16 bits",
        network((16, 8, 4), BIT, Sign()),
        ("ranges", "c", "onnx", "combinational", "pipelined", "verilog-ice40", "serial"),
    ),
    ("2 bytes, relu", network((2, 6, 3), BYTE, Relu(2, 6)), ("ranges", "c", "onnx", "pipelined")),
    ("64 bits", network((64, 32, 10), BIT, Sign()), ("ranges", "c", "onnx", "pipelined", "combinational")),
    ("16 bytes", network((16, 8, 4), BYTE, Sign()), ("ranges", "c", "onnx", "pipelined")),
    ("one unit of 784 bits", network((784, 1), BIT, Sign()), ("ranges", "c", "onnx", "pipelined")),
    ("784 bits", network((784, 16, 10), BIT, Sign()), ("ranges", "c", "pipelined")),
    ("image of 8 x 8 bits", images(8, (4, 8), BIT, 4), ("ranges", "c", "onnx")),
    ("image of 8 x 8 bytes", images(8, (4, 8), BYTE, 4), ("ranges", "c")),
    ("image of 28 x 28 bits", images(28, (16, 32), BIT, 10), ("ranges", "c", "onnx")),
)


def prove(model: Model, name: str) -> Proof:
    """Prove one thing of a model; a style of Verilog stands for itself."""
    if name not in {"combinational", "pipelined", "serial"}:
        return prove_model(model, [name], seconds=SECONDS)[0]
    with tempfile.TemporaryDirectory() as folder:
        path = export_model(model, "verilog", Path(folder) / "out", options=VerilogOptions(name))
        return prove_model(model, ["verilog"], artifacts={"verilog": path}, seconds=SECONDS)[0]


def row(title: str, model: Model, name: str) -> dict[str, Any]:
    """Return what came of one proof."""
    proof = prove(model, name)
    found = {
        "network": f"{title}: {model.architecture}",
        "proof of": name,
        "result": proof.verdict,
        "how": proof.method,
        "text": "" if proof.verdict == "proved" else proof.text,
        "seconds": round(proof.seconds, 1),
        "nodes": proof.peak_nodes,
    }
    print(found, flush=True)
    return found


def page(rows: Sequence[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Proofs over all inputs",
        "",
        f"On {machine()}; limit {SECONDS:g} s a proof. Time includes export and compiler or synthesis; nodes",
        "are the most that the diagrams had at a time.",
        "",
        "| network | proof of | result | how | s | nodes |",
        "| --- | --- | --- | --- | ---: | ---: |",
    ]
    for r in rows:
        result = f"{r['result']}: {r['text']}" if r["text"] else r["result"]
        cells = (r["network"], r["proof of"], result, r["how"], str(r["seconds"]), f"{r['nodes']:,}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prove all cases and write the results, always with pip's yosys, whatever the system has."""
    os.environ[VARIABLE] = "pip"
    rows = [row(title, model, name) for title, model, names in CASES for name in names]
    content = {"machine": machine(), "limit_s": SECONDS, "proofs": rows}
    (RESULTS / "proofs.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "proofs.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
