"""Layers that hls4ml lacks, registered with it: a relu with offset, shift and limit, a table, and a sign.

The sign has a threshold a channel, which hls4ml has for streams of some vendors only. Their C++ is
``export/hls4ml/nnet_qhn.h.in``. hls4ml and its classes are looked up when they are needed.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import Any

HEADER = "nnet_utils/nnet_qhn.h"
RELU, TABLE, SIGN = "QhnRelu", "QhnTable", "QhnSign"

_CONFIG = """struct config{index} : nnet::qhn_config {{
    static const unsigned n_in = {n_in};
    static const unsigned n_offsets = {n_offsets};
    static const int shift = {shift};
    static const int limit = {limit};
    static const int low = {low};
    static const unsigned table_size = {table_size};
    typedef {accum_t.name} accum_t;
    typedef {offset_t.name} offset_t;
    typedef {table_type} table_t;
}};\n"""
_SIGN_CONFIG = """struct config{index} : nnet::qhn_config {{
    static const unsigned n_in = {n_in};
    static const unsigned n_offsets = {n_offsets};
    typedef {threshold_t.name} threshold_t;
}};\n"""
_SIGN_CALL = "nnet::qhn_sign<{input_t}, {output_t}, {config}>({input}, {output}, {threshold});"
_RELU_CALL = "nnet::qhn_relu<{input_t}, {output_t}, {config}>({input}, {output}, {offset});"
_TABLE_CALL = "nnet::qhn_table<{input_t}, {output_t}, {config}>({input}, {output}, {offset}, {table});"


@functools.cache
def register(backend: str) -> None:
    """Make the layers known to hls4ml and to one of its backends; a second call does nothing."""
    found = importlib.import_module("hls4ml.backends").get_backend(backend)
    for template in _templates(importlib.import_module("hls4ml.backends.template")):
        found.register_template(template)


@functools.cache
def _layer_classes() -> tuple[Any, Any, Any]:
    """Return the classes of the layers, which are registered on the first call."""
    layers = importlib.import_module("hls4ml.model.layers")
    attributes = importlib.import_module("hls4ml.model.attributes")
    weights = [attributes.WeightAttribute, attributes.TypeAttribute]
    common = [attributes.TypeAttribute("accum"), *(kind("offset") for kind in weights)]

    class QhnRelu(layers.Layer):  # type: ignore[name-defined,misc]
        """min(max(x + offset, 0) >> shift, limit)."""

        _expected_attributes = common

        def initialize(self) -> None:
            """Add the output and the offsets."""
            self.add_output_variable(self.get_input_variable().shape)
            self.add_weights_variable(name="offset", var_name="o{index}", type_name="offset{index}_t")

    class QhnTable(layers.Layer):  # type: ignore[name-defined,misc]
        """table[clip(x + offset - low, 0, size - 1)]."""

        _expected_attributes = [*common, *(kind("table") for kind in weights)]  # noqa: RUF012  (hls4ml's way)

        def initialize(self) -> None:
            """Add the output, the offsets and the table."""
            self.add_output_variable(self.get_input_variable().shape)
            self.add_weights_variable(name="offset", var_name="o{index}", type_name="offset{index}_t")
            self.add_weights_variable(name="table", var_name="table{index}", type_name="table{index}_t")

    class QhnSign(layers.Layer):  # type: ignore[name-defined,misc]
        """x >= threshold."""

        _expected_attributes = [kind("threshold") for kind in weights]  # noqa: RUF012  (hls4ml's way)

        def initialize(self) -> None:
            """Add the output and the thresholds."""
            self.add_output_variable(self.get_input_variable().shape)
            self.add_weights_variable(name="threshold", var_name="t{index}", type_name="threshold{index}_t")

    layers.register_layer(RELU, QhnRelu)
    layers.register_layer(TABLE, QhnTable)
    layers.register_layer(SIGN, QhnSign)
    return QhnRelu, QhnTable, QhnSign


def _templates(template: ModuleType) -> list[Any]:
    classes = _layer_classes()
    calls = {RELU: _RELU_CALL, TABLE: _TABLE_CALL, SIGN: _SIGN_CALL}

    class Config(template.LayerConfigTemplate):  # type: ignore[name-defined,misc]
        """Writes the ``struct`` of a layer into parameters.h."""

        def __init__(self) -> None:
            super().__init__(classes)

        def format(self, node: Any) -> str:  # noqa: ANN401
            """Return the text."""
            values = self._default_config_params(node)
            if node.class_name == SIGN:
                return _SIGN_CONFIG.format(**values)
            values["table_type"] = node.get_attr("table_t").name if node.class_name == TABLE else "int"
            return _CONFIG.format(**values)

    class Call(template.FunctionCallTemplate):  # type: ignore[name-defined,misc]
        """Writes the call of a layer into the top function."""

        def __init__(self) -> None:
            super().__init__(classes, include_header=[HEADER])

        def format(self, node: Any) -> str:  # noqa: ANN401
            """Return the text."""
            values = self._default_function_params(node)
            values |= {name: weights.name for name, weights in node.weights.items()}
            return calls[node.class_name].format(**values)

    return [Config, Call]
