"""Convolutions and poolings for hls4ml: layers of ours, because padding and strides there are not free.

hls4ml pads images of signs with bits 0, which stand for -1, where a network may ask for 0 or +1; and its
poolings know no smallest value. The C++ is ``export/hls4ml/nnet_qhn_image.h.in``: the same windows for both,
as arrays or with a buffer of rows in streams. hls4ml and its classes are looked up when they are needed.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from qhn2edge.backends.hls4ml_plan import LayerPlan, Plan, PoolPlan
from qhn2edge.convolution import Conv2D, MaxPool2D

HEADER = "nnet_utils/nnet_qhn_image.h"
CONV, POOL = "QhnFilterImage", "QhnPoolImage"
"""Names without Conv and Conv2D: hls4ml takes layers with these in their names for its own."""

_CONFIG = """struct config{index} : nnet::qhn_window_config {{
    typedef nnet::{window} window;
    static const unsigned in_height = {in_height};
    static const unsigned in_width = {in_width};
    static const unsigned n_channels = {n_channels};
    static const unsigned out_height = {out_height};
    static const unsigned out_width = {out_width};
    static const unsigned n_units = {n_units};
    static const unsigned height = {window_height};
    static const unsigned width = {window_width};
    static const unsigned down = {down};
    static const unsigned right = {right};
    static const unsigned pad_top = {pad_top};
    static const unsigned pad_bottom = {pad_bottom};
    static const unsigned pad_left = {pad_left};
    static const unsigned pad_right = {pad_right};
    static const int pad_value = {pad_value};
    static const bool pad_counts = {pad_counts};
    static const bool data_is_sign = {data_is_sign};
    static const bool weight_is_sign = {weight_is_sign};
    static const unsigned n_weights = {n_weights};
    static const unsigned reuse_factor = {reuse};
    typedef {accum_t.name} accum_t;
    typedef {weight_t.name} weight_t;
}};\n"""
_CALL = "nnet::qhn_windows<{input_t}, {output_t}, {config}>({input}, {output}, {constants});"


def window_values(plan: Plan) -> dict[str, Any]:
    """Return what the ``struct`` of a convolution or a pooling says of its windows, by name.

    Args:
        plan: a pooling, or a layer that is a convolution.
    """
    image = plan.image
    if image is None:
        raise TypeError(f"layer {plan.number} is dense")
    edges = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    return {
        "in_height": image.shape[0],
        "in_width": image.shape[1],
        "n_channels": image.shape[2],
        "out_height": image.n_rows,
        "out_width": image.n_columns,
        "n_units": image.n_channels_out,
        "window_height": image.size[0],
        "window_width": image.size[1],
        "down": image.strides[0],
        "right": image.strides[1],
        **dict(zip(edges, image.padding, strict=True)),
        **(_pool_values(plan) if isinstance(plan, PoolPlan) else _conv_values(plan, image)),
    }


def _pool_values(plan: PoolPlan) -> dict[str, Any]:
    return {
        "window": "qhn_pool",
        "pad_value": 0,
        "pad_counts": True,
        "data_is_sign": plan.data.xnor,
        "weight_is_sign": False,
        "n_weights": plan.image.shape[2],
    }


def _conv_values(plan: LayerPlan, image: Conv2D | MaxPool2D) -> dict[str, Any]:
    """Return what a convolution adds: of signs, +1 stands outside as a bit 1, -1 as 0, and 0 as nothing."""
    outside = image.pad_value if isinstance(image, Conv2D) else 0
    return {
        "window": "qhn_conv",
        "pad_value": int(outside > 0) if plan.data.xnor else outside,
        "pad_counts": not (plan.data.xnor and outside == 0 and any(image.padding)),
        "data_is_sign": plan.data.xnor,
        "weight_is_sign": plan.weight.xnor,
        "n_weights": plan.weights.size,
    }


@functools.cache
def register(backend: str) -> None:
    """Make both layers known to hls4ml and to one of its backends; a second call does nothing."""
    found = importlib.import_module("hls4ml.backends").get_backend(backend)
    for template in _templates(importlib.import_module("hls4ml.backends.template")):
        found.register_template(template)


@functools.cache
def _layer_classes() -> tuple[Any, Any]:
    """Return the classes of both layers, which are registered on the first call."""
    layers = importlib.import_module("hls4ml.model.layers")
    attributes = importlib.import_module("hls4ml.model.attributes")
    common = [
        attributes.TypeAttribute("accum"),
        attributes.WeightAttribute("weight"),
        attributes.TypeAttribute("weight"),
    ]

    class QhnPoolImage(layers.Layer):  # type: ignore[name-defined,misc]
        """The largest or the smallest value of each window, channel by channel."""

        _expected_attributes = common
        constants = "m{index}"

        def initialize(self) -> None:
            """Add the output and the constants."""
            shape = [self.get_attr(name) for name in ("out_height", "out_width", "n_units")]
            self.add_output_variable(shape)
            self.add_weights_variable(name="weight", var_name=self.constants)

    class QhnFilterImage(QhnPoolImage):
        """The sum of weight times value of each window, unit by unit."""

        constants = "w{index}"

    layers.register_layer(CONV, QhnFilterImage)
    layers.register_layer(POOL, QhnPoolImage)
    return QhnFilterImage, QhnPoolImage


def _templates(template: ModuleType) -> list[Any]:
    classes = _layer_classes()

    class WindowConfig(template.LayerConfigTemplate):  # type: ignore[name-defined,misc]
        """Writes the ``struct`` of a layer into parameters.h."""

        def __init__(self) -> None:
            super().__init__(classes)

        def format(self, node: Any) -> str:  # noqa: ANN401
            """Return the text."""
            return _CONFIG.format(**self._default_config_params(node))

    class WindowCall(template.FunctionCallTemplate):  # type: ignore[name-defined,misc]
        """Writes the call of a layer into the top function."""

        def __init__(self) -> None:
            super().__init__(classes, include_header=[HEADER])

        def format(self, node: Any) -> str:  # noqa: ANN401
            """Return the text."""
            values: Mapping[str, Any] = self._default_function_params(node)
            return _CALL.format(**values, constants=node.get_weights("weight").name)

    return [WindowConfig, WindowCall]
