"""What the README files of exported graphs share."""

from __future__ import annotations

from qhn2edge.layers import Dense
from qhn2edge.model import Model


def page_values(model: Model) -> dict[str, object]:
    """Return the fields that every README of an exported graph fills in."""
    head = model.head
    return {
        "model": model.name,
        "architecture": model.architecture,
        "digest": model.digest,
        "n_features": model.input.n_features,
        "n_logits": head.n_logits,
        "kind": model.input.kind,
        "encoder_text": _encoder_text(model),
        "class_text": ", ".join(f"{i} is {_plain(name)}" for i, name in enumerate(head.classes)),
        "image_text": _image_text(model),
        "head_text": "1 where the logit is >= 0, else 0"
        if head.kind == "threshold"
        else "the index of the largest logit, the lowest index of a tie",
    }


def _image_text(model: Model) -> str:
    """Return the order of an image's features, as a paragraph; nothing where there is no image."""
    first = model.layers[0]
    if isinstance(first, Dense):
        return ""
    height, width, channels = first.shape
    order = f"feature (y * {width} + x) * {channels} + k is row y, column x, channel k"
    return f"\nImages of {height} x {width} with {channels} channel{'s'[: channels - 1]}: {order}.\n"


def _encoder_text(model: Model) -> str:
    """Return in words how raw features become the integers of the input."""
    encoder, source = model.input.encoder, model.input
    if encoder.kind == "bit":
        return f"+1 where raw >= offset, else -1; {_constants('offset', encoder.offset)}"
    return (
        f"clip(round((raw - offset) / scale), {source.low}, {source.high}), in float64, halves to even; "
        f"{_constants('scale', encoder.scale)}, {_constants('offset', encoder.offset)}"
    )


def _constants(name: str, values: tuple[float, ...]) -> str:
    return f"{name} {values[0]!r}" if len(values) == 1 else f"a feature's {name} is in `model.json`"


def _plain(text: str) -> str:
    """Return a class name as code that Markdown takes literally."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("`", "'")
    return f"`{shown or ' '}`"
