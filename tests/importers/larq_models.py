"""Builds Larq networks with random weights and statistics, for the tests; run as a program.

``python larq_models.py FOLDER`` saves each network as FOLDER/NAME.h5 (and others) and FOLDER/NAME.npz with
integer inputs ``x`` and what Keras makes of them: ``labels`` and the outputs ``z``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N_VECTORS = 400


def main() -> None:
    """Save all networks."""
    folder = Path(sys.argv[1])
    for number, (name, make) in enumerate(NETWORKS.items()):
        rng = np.random.default_rng(number)
        model, kind = make()
        shake(model, rng)
        shape = tuple(model.input_shape[1:])
        low, high = {"uint8": (0, 255), "bit": (-1, 1), "centred": (0, 255)}[kind]
        x = rng.integers(low, high + 1, (N_VECTORS, *shape))
        if kind == "bit":
            x = np.where(x > 0, 1, -1)
        real = x / 128 - 1 if kind == "centred" else x
        settle(model, real.astype(np.float32))
        model.save(folder / f"{name}.h5")
        z = model.predict(real.astype(np.float32), verbose=0)
        np.savez(folder / f"{name}.npz", x=x.reshape(len(x), -1), z=z, labels=z.argmax(axis=1))
        if name == "dense":
            model.save(folder / "dense.keras")
            model.save(folder / "dense_saved")


def shake(model: Any, rng: np.random.Generator) -> None:  # noqa: ANN401  (Keras has no types)
    """Give every weight a random value: statistics of all sizes, gammas of both signs and 0."""
    for layer in model.layers:
        layer.set_weights([_random(variable, rng) for variable in layer.weights])


def settle(model: Any, x: Any) -> None:  # noqa: ANN401
    """Let each normalisation learn the mean and variance of what it gets, so that no unit is constant."""
    for layer in model.layers:
        if hasattr(layer, "momentum"):
            layer.momentum = 0.0
    model(x, training=True)


def _random(variable: Any, rng: np.random.Generator) -> Any:  # noqa: ANN401
    value = rng.normal(size=variable.shape).astype(np.float32)
    if "moving_variance" in variable.name:
        value = rng.uniform(0.01, 40, size=variable.shape).astype(np.float32)
    elif "moving_mean" in variable.name:
        value *= 4
    elif "gamma" in variable.name and len(value) > 3:
        value[:2] = 0.0, -1.0
    return value


def dense() -> tuple[Any, str]:
    """Return bytes in, three layers, all kinds of normalisation, a softmax."""
    import larq as lq
    from tensorflow.keras import Sequential, layers

    sign = {"kernel_quantizer": "ste_sign", "use_bias": False}
    return Sequential(
        [
            layers.Input((23,)),
            lq.layers.QuantDense(33, **sign),
            layers.BatchNormalization(),
            lq.layers.QuantDense(12, input_quantizer="approx_sign", **sign),
            layers.BatchNormalization(scale=False),
            layers.Dropout(0.3),
            lq.quantizers.SteSign(),
            lq.layers.QuantDense(5, input_quantizer="swish_sign", kernel_quantizer="approx_sign"),
            layers.BatchNormalization(),
            layers.Activation("softmax"),
        ]
    ), "uint8"


def bits() -> tuple[Any, str]:
    """Return signs in, biases instead of normalisations, a hard tanh, a plain dense layer's activation."""
    import larq as lq
    from tensorflow.keras import Sequential, layers

    sign = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    return Sequential(
        [
            layers.Input((40,)),
            lq.layers.QuantDense(17, activation="tanh", **sign),
            lq.layers.QuantDense(3, **sign),
        ]
    ), "bit"


def two_classes() -> tuple[Any, str]:
    """Return one logit behind a normalisation and a sigmoid."""
    import larq as lq
    from tensorflow.keras import Sequential, layers

    sign = {"kernel_quantizer": "ste_sign", "use_bias": False}
    return Sequential(
        [
            layers.Input((9,)),
            layers.Rescaling(1 / 128, offset=-1.0),
            lq.layers.QuantDense(6, **sign),
            layers.BatchNormalization(),
            lq.layers.QuantDense(1, input_quantizer="ste_sign", **sign),
            layers.BatchNormalization(),
            layers.Activation("sigmoid"),
        ]
    ), "uint8"


def centred() -> tuple[Any, str]:
    """Return inputs q / 128 - 1, which the user states."""
    import larq as lq
    from tensorflow.keras import Sequential, layers

    sign = {"kernel_quantizer": "ste_sign", "use_bias": False}
    return Sequential(
        [
            layers.Input((60,)),
            lq.layers.QuantDense(48, **sign),
            layers.BatchNormalization(),
            lq.layers.QuantDense(4, input_quantizer="ste_sign", **sign),
            layers.BatchNormalization(),
        ]
    ), "centred"


def images() -> tuple[Any, str]:
    """Return bytes in, pooling before a normalisation of both signs, padding with +1, pooling after one."""
    import larq as lq
    from tensorflow.keras import Sequential, layers

    sign = {"kernel_quantizer": "ste_sign", "use_bias": False}
    return Sequential(
        [
            layers.Input((10, 9, 2)),
            lq.layers.QuantConv2D(6, 3, padding="same", **sign),
            layers.MaxPooling2D(2),
            layers.BatchNormalization(),
            lq.layers.QuantConv2D(
                7, (3, 2), input_quantizer="ste_sign", padding="same", pad_values=1.0, **sign
            ),
            layers.BatchNormalization(),
            layers.MaxPooling2D((2, 1), strides=(1, 2)),
            layers.Flatten(),
            lq.layers.QuantDense(9, input_quantizer="ste_sign", **sign),
            layers.BatchNormalization(),
            lq.layers.QuantDense(4, input_quantizer="ste_sign", **sign),
            layers.BatchNormalization(),
        ]
    ), "uint8"


def padded() -> tuple[Any, str]:
    """Return signs in, padding with the 0 that is no sign, strides, zeros that become +1, biases."""
    import larq as lq
    from tensorflow.keras import Sequential, layers

    sign = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    return Sequential(
        [
            layers.Input((9, 8, 1)),
            lq.layers.QuantConv2D(5, 3, padding="same", strides=2, use_bias=False, **sign),
            layers.BatchNormalization(),
            layers.ZeroPadding2D(((1, 0), (1, 1))),
            lq.layers.QuantConv2D(6, 3, **sign),
            layers.BatchNormalization(center=False),
            lq.quantizers.SteSign(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            lq.layers.QuantDense(3, **sign),
        ]
    ), "bit"


def centred_images() -> tuple[Any, str]:
    """Return images q / 128 - 1, padded with the byte that stands for 0."""
    import larq as lq
    from tensorflow.keras import Sequential, layers

    sign = {"kernel_quantizer": "ste_sign", "use_bias": False}
    return Sequential(
        [
            layers.Input((6, 6, 3)),
            layers.Rescaling(1 / 128, offset=-1.0),
            lq.layers.QuantConv2D(4, 3, padding="same", **sign),
            layers.BatchNormalization(),
            layers.Flatten(),
            lq.layers.QuantDense(3, input_quantizer="ste_sign", **sign),
            layers.BatchNormalization(),
        ]
    ), "uint8"


NETWORKS: dict[str, Callable[[], tuple[Any, str]]] = {
    "dense": dense,
    "bits": bits,
    "two_classes": two_classes,
    "centred": centred,
    "images": images,
    "padded": padded,
    "centred_images": centred_images,
}

if __name__ == "__main__":
    main()
