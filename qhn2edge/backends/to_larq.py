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

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.float32_bounds import check_float32
from qhn2edge.backends.graph_options import INTEGER_INPUT, GraphOptions
from qhn2edge.backends.graph_page import page_values
from qhn2edge.backends.larq_encoder import ENCODED, check_encoder, encode
from qhn2edge.backends.larq_layers import Keras, LayerMaker, Values, check_paddings
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.errors import ToolError
from qhn2edge.layers import Affine, Dense
from qhn2edge.model import Model
from qhn2edge.resources import resource_text

RAW_NOTES = """
`predict` rounds NumPy arrays to float32 before the model gets them, which moves ties: give it float64
tensors, as above, or call `tf.keras.backend.set_floatx("float64")` first; `model(raw)` takes arrays as they
are. XLA (`jit_compile=True`) multiplies where the encoder divides: do not compile the model with it.
"""
"""What the page says of raw input."""
IMAGE_NOTES = """
They also may choose convolutions that round (Winograd's): hide them with
`tf.config.set_visible_devices([], "GPU")`.
"""
"""What the page says of convolutions."""

KERAS_FILE, HDF5_FILE, SAVED_MODEL = "model.keras", "model.h5", "saved_model"

INTEGERS, RAW = ENCODED, "raw"
"""Names of the input: integers, or raw features."""

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

_FINGERPRINT = "fingerprint.pb"
"""An optional file of a SavedModel; it holds a random number."""
_NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP archive can say."""


def emit(model: Model, folder: Path, options: GraphOptions = INTEGER_INPUT) -> tuple[str, ...]:
    """Write a model as Keras and TensorFlow files into a folder.

    Equal models give equal files; only a SavedModel differs where TensorFlow has traced functions before in
    the same process, as it counts them.

    Args:
        model: the model.
        folder: an existing folder.
        options: whether the model starts with the encoder.

    Returns:
        The names of the files, and of the SavedModel's folder.

    Raises:
        UnsupportedModelError: the model, or its encoder where it was asked for, has no exact form in Larq.
        ToolError: TensorFlow or Larq is missing, or TensorFlow was imported before in a way Larq cannot use.
    """
    made = keras_model(model, options)
    with quiet():
        _save(made, folder)
    page = resource_text("export", "larq", "README.md.in")
    text = Template(page).substitute({**_page(model), **_input_page(model, options)})
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    modelfile.write(model, folder / MODEL_FILE)
    return (KERAS_FILE, HDF5_FILE, SAVED_MODEL, "README.md", MODEL_FILE)


def check_fit(model: Model) -> None:
    """Refuse a model that has no exact form in Larq; TensorFlow is not needed for that.

    Raises:
        UnsupportedModelError: float32 is not exact for the model.
    """
    check_float32(model, "Larq")
    check_paddings(model)


def keras_model(model: Model, options: GraphOptions = INTEGER_INPUT) -> Keras:
    """Return a model as a Keras model whose logits are the interpreter's integers.

    ==================  ================================================================================
    input ``x``         [N, n_features], integers of the model's input kind; or ``raw``, float64
    weights -1, +1      QuantDense, QuantConv2D; kernel_quantizer SteSign
    inputs -1, +1       (bits, or a sign before the layer) input_quantizer SteSign
    other weights       QuantDense, QuantConv2D without a kernel_quantizer; the two levels as they are
    padding             "same" with pad_values where it is that; else ZeroPadding2D, between Rescalings by -v
                        and +v where it is not of zeros, and after a SteSign where zeros stay among signs
    one column          Cropping2D to it, see larq_layers.py
    pooling             MaxPooling2D of accumulators; between Rescalings by -1 where the smallest is taken
    relu                Rescaling 2^-shift, ReLU with a maximum, Rescaling to int32, which cuts the fraction
    table               Rescaling -low, ReLU with a maximum, Embedding that holds the values, Reshape
    scaled logits       Rescaling in float64
    ``logits``          [N, n_logits], float32 or, if scaled, float64; the label is the caller's to pick
    ==================  ================================================================================

    SteSign(0) is +1, as ours. A layer's accumulators, or a pooling's results, are the output of
    ``layer_<number>``. A pooling before a sign has not taken it yet.

    Raises:
        UnsupportedModelError: the model, or its encoder where it was asked for, has no exact form in Larq.
        ToolError: TensorFlow or Larq is missing, or TensorFlow was imported before in a way Larq cannot use.
    """
    check_fit(model)
    if options.raw_input:
        check_encoder(model.input)
    with quiet():
        keras, larq = import_larq()
        source, x = _input(keras, model, raw=options.raw_input)
        values, maker = Values(x, model.input.kind == "bit"), LayerMaker(keras, larq)
        for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
            values = maker.add(layer, values, ranges, number, last=number == len(model.layers))
        return keras.Model(source, values.x, name=model.name)


def _input(keras: ModuleType, model: Model, *, raw: bool) -> tuple[Keras, Keras]:
    """Return the input, and the integers that the first layer reads."""
    shape = (model.input.n_features,)
    if not raw:
        integers = keras.Input(shape, name=INTEGERS)
        return integers, integers
    source = keras.Input(shape, name=RAW, dtype="float64")
    return source, encode(sys.modules["tensorflow"], model.input, source)


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
    from_signs = [kernel.weights_bin.size for kernel in model.kernels if kernel.levels == (-1, 1)]
    is_scaled = isinstance(model.kernels[-1].activation, Affine)
    return {
        **page_values(model),
        "n_bits": f"{sum(from_signs):,}",
        "n_weights": f"{model.n_weight_bits:,}",
        "logits_type": "float64" if is_scaled else "float32",
        "image_notes": "" if all(isinstance(layer, Dense) for layer in model.layers) else IMAGE_NOTES,
    }


def _input_page(model: Model, options: GraphOptions) -> dict[str, object]:
    if not options.raw_input:
        return {
            "input": INTEGERS,
            "input_type": "float32",
            "input_text": f"features, encoded as {model.input.kind}: integers",
            "call": "logits = model.predict(x)",
            "input_notes": "",
        }
    return {
        "input": RAW,
        "input_type": "float64",
        "input_text": "raw features, finite; the model holds the encoder",
        "call": "logits = model.predict(tf.constant(raw, tf.float64))",
        "input_notes": RAW_NOTES,
    }
