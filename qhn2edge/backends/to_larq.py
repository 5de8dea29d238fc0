"""Larq export: a Keras model of Larq's layers, as .keras, .h5 and SavedModel; it needs none of our code.

Everything is computed in float32 there, so a model is taken only where float32 holds every sum.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.float32_bounds import FLOAT32_EXACT, check_float32, reached_part
from qhn2edge.backends.graph_options import INTEGER_INPUT, GraphOptions
from qhn2edge.backends.graph_page import page_values
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.backends.refusals import refuse_new_layers
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.layers import Activation, Dense, Relu, Sign, Table
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange
from qhn2edge.resources import resource_text

KERAS_FILE, HDF5_FILE, SAVED_MODEL = "model.keras", "model.h5", "saved_model"

INPUT, LOGITS = "x", "logits"

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

_FINGERPRINT = "fingerprint.pb"
"""An optional file of a SavedModel; it holds a random number."""
_NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP archive can say."""

Keras: TypeAlias = Any
"""A Keras model, layer or tensor; the packages are optional."""


def emit(model: Model, folder: Path, options: GraphOptions = INTEGER_INPUT) -> tuple[str, ...]:
    """Write a model as Keras and TensorFlow files into a folder.

    Equal models give equal files; only a SavedModel differs where TensorFlow has traced functions before in
    the same process, as it counts them.

    Args:
        model: the model.
        folder: an existing folder.
        options: raw input is refused, as Keras rounds every input to float32.

    Returns:
        The names of the files, and of the SavedModel's folder.

    Raises:
        ExportError: float32 is not exact for the model, or the encoder was asked for.
        ToolError: TensorFlow or Larq is missing, or TensorFlow was imported before in a way Larq cannot use.
    """
    if options.raw_input:
        raise ExportError(
            "Larq cannot hold the encoder, which rounds in float64: Keras rounds every input to float32",
            next_step="use --target onnx with --raw-input, or encode the features yourself",
        )
    made = keras_model(model)
    with quiet():
        _save(made, folder)
    text = Template(resource_text("export", "larq", "README.md.in")).substitute(_page(model))
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    modelfile.write(model, folder / MODEL_FILE)
    return (KERAS_FILE, HDF5_FILE, SAVED_MODEL, "README.md", MODEL_FILE)


def check_fit(model: Model) -> None:
    """Refuse a model that has no exact form in Larq; TensorFlow is not needed for that.

    Raises:
        UnsupportedModelError: the model has a convolution, a pooling, or scaled logits.
        ExportError: float32 is not exact for the model.
    """
    refuse_new_layers(model, "the Larq export")
    check_float32(model, "Larq")


def keras_model(model: Model) -> Keras:
    """Return a model as a Keras model whose logits, float32, are the interpreter's integers.

    ==================  ================================================================================
    input ``x``         [N, n_features], integers of the model's input kind
    weights -1, +1      QuantDense, kernel_quantizer SteSign
    inputs -1, +1       (bits, or a sign before the layer) input_quantizer SteSign
    other weights       QuantDense without a kernel_quantizer; the two levels as they are
    relu                Rescaling 2^-shift, ReLU with a maximum, Rescaling to int32, which cuts the fraction
    table               Rescaling -low, ReLU with a maximum, Embedding that holds the values, Reshape
    ``logits``          [N, n_logits]; the label is the caller's to pick
    ==================  ================================================================================

    SteSign(0) is +1, as ours. A layer's accumulators are the output of ``layer_<number>``.

    Raises:
        ExportError: float32 is not exact for the model.
        ToolError: TensorFlow or Larq is missing, or TensorFlow was imported before in a way Larq cannot use.
    """
    check_fit(model)
    with quiet():
        keras, larq = import_larq()
        inputs = keras.Input((model.input.n_features,), name=INPUT)
        binary, x = model.input.kind == "bit", inputs
        for number, (layer, ranges) in enumerate(zip(model.dense_layers, model.ranges, strict=True), start=1):
            last = number == len(model.dense_layers)
            name = LOGITS if last else f"layer_{number}"
            x = _dense(larq, layer, x, name, binary=binary)
            binary = isinstance(layer.activation, Sign)
            if not last:
                x = _activation(keras, layer.activation, x, ranges, name)
        return keras.Model(inputs, x, name=model.name)


def import_larq() -> tuple[ModuleType, ModuleType]:
    """Import Keras 2, as TensorFlow carries it, and Larq.

    Raises:
        ToolError: one is missing, or TensorFlow was imported before with Keras 3.
    """
    os.environ.setdefault(LOG_LEVEL, "3")
    if "tensorflow" not in sys.modules:
        os.environ[LEGACY_KERAS] = "1"
    for name in ("tensorflow", "tf_keras"):
        load_package(name, "keras")
    keras: ModuleType = sys.modules["tensorflow"].keras
    if not keras.layers.Layer.__module__.startswith("tf_keras"):
        raise ToolError(
            "TensorFlow was imported before with Keras 3, which Larq cannot use",
            next_step=f"set {LEGACY_KERAS}=1 before TensorFlow is imported, or export before it is",
        )
    return keras, load_package("larq", "keras")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what TensorFlow logs off standard error, which its C++ parts write to directly."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            os.dup2(sink.fileno(), 2)
            logger.setLevel(logging.ERROR)
            yield
        finally:
            logger.setLevel(level)
            os.dup2(kept, 2)
            os.close(kept)


# ---- layers ----


def _dense(larq: ModuleType, layer: Dense, x: Keras, name: str, *, binary: bool) -> Keras:
    """Apply a dense layer with its weights."""
    has_signs, has_bias = layer.levels == (-1, 1), bool(layer.bias.any())
    sign = larq.quantizers.SteSign  # named: names that Larq counts up would differ from export to export
    made = larq.layers.QuantDense(
        layer.n_out,
        use_bias=has_bias,
        input_quantizer=sign(name=f"{name}_input_sign") if binary else None,
        kernel_quantizer=sign(name=f"{name}_kernel_sign") if has_signs else None,
        kernel_constraint="weight_clip" if has_signs else None,
        name=name,
    )
    accumulators = made(x)
    weights = layer.weights.T.astype(np.float32)
    made.set_weights([weights, layer.bias.astype(np.float32)] if has_bias else [weights])
    return accumulators


def _activation(keras: ModuleType, activation: Activation, a: Keras, ranges: LayerRange, name: str) -> Keras:
    """Apply an activation; a sign is left to the next layer's input quantiser, as Larq has it."""
    match activation:
        case Sign():
            return a
        case Relu():
            return _relu(keras, activation, a, name)
        case Table():
            return _table(keras, reached_part(activation, ranges), a, name)
    raise TypeError(f"unknown activation {activation!r}")


def _relu(keras: ModuleType, relu: Relu, a: Keras, name: str) -> Keras:
    """Apply min(max(a, 0) >> shift, limit); the limit is an integer, so the cut may come after it."""
    # No accumulator exceeds 2^24, and larger limits need not be float32 numbers.
    limit = float(relu.limit) if relu.limit < FLOAT32_EXACT else None
    layers = keras.layers
    if not relu.shift:
        return layers.ReLU(limit, name=f"{name}_relu")(a)
    scaled = layers.Rescaling(2.0**-relu.shift, name=f"{name}_scaled")(a)
    positive = layers.ReLU(limit, name=f"{name}_relu")(scaled)
    return layers.Rescaling(1, dtype="int32", name=f"{name}_floor")(positive)


def _table(keras: ModuleType, table: Table, a: Keras, name: str) -> Keras:
    """Apply values[clip(a - low, 0, n - 1)]; where a - low is rounded, it is far above n and clipped."""
    layers = keras.layers
    n_values = len(table.values)
    steps = layers.Rescaling(1.0, offset=float(-table.low), name=f"{name}_steps")(a)
    index = layers.ReLU(float(n_values - 1), name=f"{name}_index")(steps)
    embedding = layers.Embedding(n_values, 1, trainable=False, name=f"{name}_table")
    looked_up = embedding(index)
    embedding.set_weights([np.array(table.values, dtype=np.float32)[:, None]])
    return layers.Reshape((a.shape[1],), name=f"{name}_values")(looked_up)


# ---- files ----


def _save(made: Keras, folder: Path) -> None:
    made.save(folder / KERAS_FILE)
    made.save(folder / HDF5_FILE, include_optimizer=False)
    made.save(folder / SAVED_MODEL, save_format="tf", include_optimizer=False)
    (folder / SAVED_MODEL / _FINGERPRINT).unlink(missing_ok=True)
    (folder / KERAS_FILE).write_bytes(_without_time((folder / KERAS_FILE).read_bytes()))


def _without_time(archive: bytes) -> bytes:
    """Return a .keras archive without the time at which it was written, so that equal models are equal."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == "metadata.json":
                content = json.dumps({**json.loads(content), "date_saved": "1980-01-01@00:00:00"}).encode()
            new.writestr(zipfile.ZipInfo(name, _NO_TIME), content)
    return target.getvalue()


def _page(model: Model) -> dict[str, object]:
    from_signs = [layer.weights_bin.size for layer in model.dense_layers if layer.levels == (-1, 1)]
    return {**page_values(model), "n_bits": f"{sum(from_signs):,}", "n_weights": f"{model.n_weight_bits:,}"}
