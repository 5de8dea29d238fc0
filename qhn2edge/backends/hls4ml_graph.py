"""Turns a plan into hls4ml's own graph, with a type for every value, and lets hls4ml write its project.

hls4ml is asked for nothing but layers it has: dense layers, batch normalisations with scale 1 that it merges
with the sign after them into thresholds, and, where an offset goes with no sign, the same normalisation
alone. Relu and table are the two layers of ``hls4ml_extension.py``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends import hls4ml_extension
from qhn2edge.backends.hls4ml_options import Hls4mlOptions
from qhn2edge.backends.hls4ml_plan import Integer, LayerPlan
from qhn2edge.layers import Identity, Relu, Sign, Table

INPUT = "features"
DEFAULT_PARTS = {
    "Vitis": "xcvu13p-flga2577-2-e",
    "Vivado": "xcvu13p-flga2577-2-e",
    "Quartus": "Arria10",
    "oneAPI": "Agilex7",
    "Catapult": "xcku115-flvb2104-2-i",
}
CLOCK_NS = 5


@dataclass(frozen=True)
class Entry:
    """One layer for hls4ml.

    Attributes:
        layer: what hls4ml's converters would say about it.
        types: its types by hls4ml's names.
        counts: its accumulator counts equal bits.
    """

    layer: dict[str, Any]
    types: dict[str, Integer]
    counts: bool = False


def entries(n_features: int, plans: Sequence[LayerPlan]) -> list[Entry]:
    """Return the layers of a project, first to last, the input included."""
    found = [
        Entry(
            {"class_name": "InputLayer", "name": INPUT, "input_shape": [n_features]},
            {"result": plans[0].data},
        )
    ]
    for plan in plans:
        found += [_dense(plan), *_after(plan)]
    return found


def _dense(plan: LayerPlan) -> Entry:
    n_in, n_out = plan.weights.shape
    layer = {
        "class_name": "Dense",
        "name": f"dense{plan.number}",
        "n_in": n_in,
        "n_out": n_out,
        "weight_data": plan.weights,
        "bias_data": plan.bias,
    }
    bias = {} if plan.bias is None else {"bias": plan.bias_type}
    types = {"weight": plan.weight, "accum": plan.accum, "result": plan.result, **bias}
    return Entry(layer, types, counts=plan.is_xnor)


def _after(plan: LayerPlan) -> list[Entry]:
    """Return what follows the dense layer: thresholds, an offset, a relu or a table."""
    number, n = plan.number, plan.weights.shape[1]
    match plan.activation:
        case Sign():
            sign = {
                "class_name": "Activation",
                "name": f"sign{number}",
                "n_in": n,
                "activation": "binary_tanh",
            }
            # hls4ml floors -offset, so half a step changes nothing; but a normalisation without effect is
            # removed, and the backends do not agree on the sign of 0.
            bias = plan.offset - 0.5
            one = _normalisation("BatchNormalization", f"threshold{number}", plan, bias, plan.result)
            return [one, Entry(sign, {"result": plan.out})]
        case Identity():
            if not plan.offset.any():
                return []
            return [_normalisation("ApplyAlpha", f"bias{number}", plan, plan.offset, plan.out)]
        case Relu(shift=shift, limit=limit):
            values = {"shift": shift, "limit": limit, "low": 0, "table_size": 1}
            return [_extension(hls4ml_extension.RELU, f"relu{number}", plan, values, {})]
        case Table(low=low, values=table):
            values = {"shift": 0, "limit": 0, "low": low, "table_size": len(table)}
            data = {"table_data": np.asarray(table, dtype=np.int64)}
            types = {"table": plan.out}
            return [_extension(hls4ml_extension.TABLE, f"table{number}", plan, values | data, types)]
    raise TypeError(f"unknown activation {plan.activation!r}")


def _normalisation(
    kind: str, name: str, plan: LayerPlan, bias: NDArray[np.generic], result: Integer
) -> Entry:
    """Return x * 1 + bias."""
    n = plan.weights.shape[1]
    layer = {
        "class_name": kind,
        "name": name,
        "n_in": n,
        "n_filt": -1,
        "scale_data": np.ones(n),
        "bias_data": bias.astype(np.float64),
    }
    return Entry(layer, {"scale": Integer(2, signed=False), "bias": _offset_type(plan), "result": result})


def _extension(
    kind: str, name: str, plan: LayerPlan, values: dict[str, Any], types: dict[str, Integer]
) -> Entry:
    layer = {
        "class_name": kind,
        "name": name,
        "n_in": plan.weights.shape[1],
        "offset_data": plan.offset,
        **values,
    }
    return Entry(layer, {"accum": plan.total, "offset": _offset_type(plan), "result": plan.out, **types})


def _offset_type(plan: LayerPlan) -> Integer:
    worst = int(np.abs(plan.offset).max())
    return Integer(worst.bit_length() + 1 if worst else 2, signed=True)


def write_project(
    n_features: int, plans: Sequence[LayerPlan], folder: Path, name: str, options: Hls4mlOptions
) -> tuple[int, ...]:
    """Let hls4ml write a project into a folder.

    Args:
        n_features: number of features.
        plans: the layers.
        folder: an existing folder.
        name: the project's and its top function's name.
        options: the vendor's backend, io, reuse, part.

    Returns:
        The reuse factor that each dense layer got.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said), warnings.catch_warnings(), _without_keras():
        warnings.simplefilter("ignore")  # hls4ml warns of passes and reuse factors that it changes
        graph = _graph(entries(n_features, plans), folder, name, options)
        graph.write()
    layers = [layer for layer in graph.get_layers() if layer.class_name == "Dense"]
    return tuple(int(layer.get_attr("reuse_factor")) for layer in layers)


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """Keep hls4ml from importing Keras, which takes seconds, only to learn that no Keras model is at hand."""
    absent = [name for name in ("keras", "tensorflow") if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail at once
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _graph(layers: Sequence[Entry], folder: Path, name: str, options: Hls4mlOptions) -> Any:  # noqa: ANN401
    get_backend = importlib.import_module("hls4ml.backends").get_backend
    graphs = importlib.import_module("hls4ml.model.graph")
    hls4ml_extension.register(options.backend)
    config = get_backend(options.backend).create_initial_config(
        part=options.part or DEFAULT_PARTS[options.backend],
        clock_period=CLOCK_NS,
        io_type=f"io_{options.io}",
    )
    config |= {"Backend": options.backend, "ProjectName": name, "OutputDir": str(folder)}
    # Weights stand in headers only, so that what is compiled is what is synthesised.
    config["WriterConfig"] = {
        "Namespace": None,
        "WriteWeightsTxt": False,
        "WriteTar": False,
        "TBOutputStream": "both",
        "WriteEmulationConstants": False,
    }
    config["HLSConfig"] = _hls_config(layers, options)
    return graphs.ModelGraph.from_layer_list(config, [entry.layer for entry in layers])


def _hls_config(layers: Sequence[Entry], options: Hls4mlOptions) -> dict[str, Any]:
    # The cast after XNOR asks the count for to_ac_int(), which only fixed-point types of ac_types have.
    fixes_counts = options.backend not in {"Vitis", "Vivado"}
    strategy = "Latency" if options.reuse == 1 and options.backend != "Quartus" else "Resource"
    return {
        "Model": {"Precision": "ap_int<32>", "ReuseFactor": options.reuse, "Strategy": strategy},
        "LayerName": {
            entry.layer["name"]: {
                "Precision": {
                    what: _precision(kind, is_fixed=entry.counts and what == "accum" and fixes_counts)
                    for what, kind in entry.types.items()
                }
            }
            for entry in layers
        },
    }


def _precision(kind: Integer, *, is_fixed: bool) -> Any:  # noqa: ANN401
    """Return hls4ml's own object for a type: a new one each time, because hls4ml changes them."""
    types = importlib.import_module("hls4ml.model.types")
    if kind.xnor:
        return types.XnorPrecisionType()
    if is_fixed:
        return types.FixedPrecisionType(kind.width + 1, kind.width + 1, signed=True)
    return types.IntegerPrecisionType(kind.width, kind.signed)
