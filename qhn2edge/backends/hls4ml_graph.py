"""Turns a plan into hls4ml's own graph, with a type for every value, and lets hls4ml write its project.

Of hls4ml's own layers it has dense layers, batch normalisations with scale 1 that hls4ml merges with the
sign after them into thresholds, and, where an offset or a scale goes with no sign, the same normalisation
alone. Relu, table and the sign of an image are layers of ``hls4ml_extension.py``, convolution and pooling
those of ``hls4ml_images.py``. Between layers that see images and layers that see rows stand its reshapes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends import hls4ml_extension, hls4ml_images
from qhn2edge.backends.hls4ml_options import Hls4mlOptions
from qhn2edge.backends.hls4ml_plan import XNOR, Integer, LayerPlan, Plan, PoolPlan, integer_for
from qhn2edge.layers import Affine, Identity, Relu, Sign, Table

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


def entries(plans: Sequence[Plan]) -> list[Entry]:
    """Return the layers of a project, first to last, the input included."""
    shape = shape_in(plans[0])
    found = [
        Entry({"class_name": "InputLayer", "name": INPUT, "input_shape": shape}, {"result": plans[0].data})
    ]
    for plan in plans:
        if shape != shape_in(plan):
            found.append(_reshape(plan))
        shape = shape_out(plan)
        found += [_pool(plan)] if isinstance(plan, PoolPlan) else [_units(plan), *_after(plan)]
    return found


def shape_in(plan: Plan) -> list[int]:
    """Return height, width and channels of what enters a layer, or the number of values."""
    if plan.image is not None:
        return list(plan.image.shape)
    return [len(plan.weights)]


def shape_out(plan: Plan) -> list[int]:
    """Return height, width and channels of what leaves a layer, or the number of values."""
    if plan.image is not None:
        return list(plan.image.shape_out)
    return [plan.weights.shape[1]]


def _reshape(plan: Plan) -> Entry:
    layer = {"class_name": "Reshape", "name": f"shape{plan.number}", "target_shape": shape_in(plan)}
    return Entry(layer, {"result": plan.data})


def _pool(plan: PoolPlan) -> Entry:
    layer = {
        "class_name": hls4ml_images.POOL,
        "name": f"pool{plan.number}",
        "weight_data": plan.image.takes_minimum.astype(np.int64),
        **hls4ml_images.window_values(plan),
    }
    return Entry(layer, {"weight": XNOR, "accum": plan.data, "result": plan.data})


def _units(plan: LayerPlan) -> Entry:
    if plan.image is None:
        return _dense(plan)
    layer = {
        "class_name": hls4ml_images.CONV,
        "name": f"conv{plan.number}",
        "weight_data": plan.weights,
        **hls4ml_images.window_values(plan),
    }
    return Entry(layer, {"weight": plan.weight, "accum": plan.accum, "result": plan.result})


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
    """Return what follows the sums: thresholds, an offset, a scale, a relu or a table."""
    number = plan.number
    match plan.activation:
        case Sign():
            return [_image_sign(plan)] if plan.image is not None else _row_sign(plan)
        case Identity():
            if not plan.offset.any():
                return []
            return [_normalisation("ApplyAlpha", f"bias{number}", plan)]
        case Affine(scale=scale):
            return [
                _normalisation("ApplyAlpha", f"scale{number}", plan, scale=np.array(scale, dtype=np.int64))
            ]
        case Relu(shift=shift, limit=limit):
            values = {"shift": shift, "limit": limit, "low": 0, "table_size": 1}
            return [_extension(hls4ml_extension.RELU, f"relu{number}", plan, values, {})]
        case Table(low=low, values=table):
            values = {"shift": 0, "limit": 0, "low": low, "table_size": len(table)}
            data = {"table_data": np.asarray(table, dtype=np.int64)}
            types = {"table": plan.out}
            return [_extension(hls4ml_extension.TABLE, f"table{number}", plan, values | data, types)]
    raise TypeError(f"unknown activation {plan.activation!r}")


def _row_sign(plan: LayerPlan) -> list[Entry]:
    n = plan.weights.shape[1]
    sign = {"class_name": "Activation", "name": f"sign{plan.number}", "n_in": n, "activation": "binary_tanh"}
    # hls4ml floors -offset, so half a step changes nothing; but a normalisation without effect is removed,
    # and the backends do not agree on the sign of 0.
    bias, name = plan.offset.astype(np.float64) - 0.5, f"threshold{plan.number}"
    one = _normalisation("BatchNormalization", name, plan, bias=bias, result=plan.result)
    return [one, Entry(sign, {"result": plan.out})]


def _image_sign(plan: LayerPlan) -> Entry:
    layer = {
        "class_name": hls4ml_extension.SIGN,
        "name": f"sign{plan.number}",
        "n_in": math.prod(shape_out(plan)),
        "n_offsets": plan.weights.shape[1],
        "threshold_data": plan.thresholds,
    }
    return Entry(layer, {"threshold": plan.result, "result": plan.out})


def _normalisation(
    kind: str,
    name: str,
    plan: LayerPlan,
    *,
    scale: NDArray[np.int64] | None = None,
    bias: NDArray[np.float64] | None = None,
    result: Integer | None = None,
) -> Entry:
    """Return x * scale + bias with one of each a unit; by default x * 1 + offset, as it leaves the layer."""
    n = plan.weights.shape[1]
    layer = {
        "class_name": kind,
        "name": name,
        "n_in": n,
        "n_filt": -1,
        "scale_data": np.ones(n) if scale is None else scale.astype(np.float64),
        "bias_data": plan.offset.astype(np.float64) if bias is None else bias,
    }
    types = {"scale": _scale_type(scale), "bias": _offset_type(plan), "result": result or plan.out}
    return Entry(layer, types)


def _scale_type(scale: NDArray[np.int64] | None) -> Integer:
    if scale is None:
        return Integer(2, signed=False)
    kind = integer_for(int(scale.min()), int(scale.max()))
    return Integer(max(3, kind.width), kind.signed)  # hls4ml takes scales of two bits for -1, 0 and +1


def _extension(
    kind: str, name: str, plan: LayerPlan, values: dict[str, Any], types: dict[str, Integer]
) -> Entry:
    layer = {
        "class_name": kind,
        "name": name,
        "n_in": math.prod(shape_out(plan)),
        "n_offsets": plan.weights.shape[1],
        "offset_data": plan.offset,
        **values,
    }
    return Entry(layer, {"accum": plan.total, "offset": _offset_type(plan), "result": plan.out, **types})


def _offset_type(plan: LayerPlan) -> Integer:
    worst = int(np.abs(plan.offset).max())
    return Integer(worst.bit_length() + 1 if worst else 2, signed=True)


def write_project(plans: Sequence[Plan], folder: Path, name: str, options: Hls4mlOptions) -> tuple[int, ...]:
    """Let hls4ml write a project into a folder.

    Args:
        plans: the layers.
        folder: an existing folder.
        name: the project's and its top function's name.
        options: the vendor's backend, io, reuse, part.

    Returns:
        The reuse factor that each layer got, poolings included.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said), warnings.catch_warnings(), _without_keras():
        warnings.simplefilter("ignore")  # hls4ml warns of passes and reuse factors that it changes
        graph = _graph(entries(plans), folder, name, options)
        graph.write()
    kinds = {"Dense", hls4ml_images.CONV, hls4ml_images.POOL}
    layers = [layer for layer in graph.get_layers() if layer.class_name in kinds]
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
    hls4ml_images.register(options.backend)
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
