"""How far proofs over all inputs reach: networks, what is proved of each, time and nodes.

Writes results/proofs.json and results/proofs.md. Each proof has the limit of ``SECONDS``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

from qhn2edge.backends import export_model
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Activation, Dense, Identity, Relu, Sign
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
        bits = rng.integers(0, 2, (n_out, n_in), dtype=np.uint8)
        layers.append(Dense(bits, rng.integers(-3, 4, n_out, dtype=np.int32), (-1, 1), activation))
    n = widths[-1]
    head = Head("threshold", ("a", "b")) if n == 1 else Head("argmax", tuple(map(str, range(n))))
    return Model("net", Input(widths[0], encoder), tuple(layers), head)


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
    """Prove all cases and write the results."""
    rows = [row(title, model, name) for title, model, names in CASES for name in names]
    content = {"machine": machine(), "limit_s": SECONDS, "proofs": rows}
    (RESULTS / "proofs.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "proofs.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
