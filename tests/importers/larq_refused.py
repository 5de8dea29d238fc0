"""Builds Larq networks that have no exact integer form: ``python larq_refused.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Save all networks."""
    for name, model in networks().items():
        model.save(Path(sys.argv[1]) / f"{name}.h5")


def networks() -> dict[str, Any]:
    """Return networks by the reason for which they are refused."""
    import larq as lq
    from tensorflow.keras import Input, Model, Sequential, layers

    def chain(*parts: Any, shape: tuple[int, ...] = (8,)) -> Any:  # noqa: ANN401  (Keras has no types)
        return Sequential([layers.Input(shape), *parts])

    def quant(n: int, **options: Any) -> Any:  # noqa: ANN401
        return lq.layers.QuantDense(n, **{"kernel_quantizer": "ste_sign", "use_bias": False, **options})

    start = Input((8,))
    branch = layers.add([quant(8)(start), start])
    return {
        "magnitude": chain(quant(4, kernel_quantizer="magnitude_aware_sign", name="scaled")),
        "real_weights": chain(quant(4), layers.Dense(3, name="real")),
        "real_first": chain(layers.Dense(3, name="real")),
        "no_sign": chain(quant(4), layers.BatchNormalization(), quant(3, name="unsigned")),
        "ternary": chain(quant(4), quant(3, input_quantizer="ste_tern", name="third")),
        "rounded": chain(
            layers.Rescaling(1 / 255), quant(4, name="first"), quant(3, input_quantizer="ste_sign")
        ),
        "normed_input": chain(layers.BatchNormalization(name="norm"), quant(4)),
        "normed_sign": chain(
            quant(4), lq.quantizers.SteSign(), layers.BatchNormalization(name="norm"), quant(3)
        ),
        "unknown": chain(
            quant(4), layers.LayerNormalization(name="odd"), quant(3, input_quantizer="ste_sign")
        ),
        "hump": chain(
            quant(4),
            layers.Activation("gelu"),
            layers.BatchNormalization(),
            quant(3, input_quantizer="ste_sign"),
        ),
        "branch": Model(start, quant(3)(branch)),
        "nested": chain(chain(quant(4)), quant(3, input_quantizer="ste_sign")),
        "padded_oddly": chain(
            lq.layers.QuantConv2D(
                4, 3, kernel_quantizer="ste_sign", padding="same", pad_values=0.5, name="padded"
            ),
            shape=(6, 6, 1),
        ),
        "averaged": chain(
            lq.layers.QuantConv2D(4, 3, kernel_quantizer="ste_sign"),
            layers.AveragePooling2D(2, name="mean"),
            shape=(6, 6, 1),
        ),
        "depthwise": chain(
            lq.layers.QuantDepthwiseConv2D(3, depthwise_quantizer="ste_sign", name="deep"), shape=(6, 6, 2)
        ),
        "after_flatten": chain(
            lq.layers.QuantConv2D(4, 3, kernel_quantizer="ste_sign"),
            layers.Flatten(),
            layers.BatchNormalization(name="norm"),
            quant(3, input_quantizer="ste_sign"),
            shape=(6, 6, 1),
        ),
        "ends_in_signs": chain(quant(4), lq.quantizers.SteSign()),
    }


if __name__ == "__main__":
    main()
