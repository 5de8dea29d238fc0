"""The page of an hls4ml project: layers, ports, commands, and what is known not to work."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from string import Template

from qhn2edge.backends.hls4ml_graph import CLOCK_NS, DEFAULT_PARTS
from qhn2edge.backends.hls4ml_options import Hls4mlOptions
from qhn2edge.backends.hls4ml_plan import Integer, LayerPlan, Plan, PoolPlan
from qhn2edge.backends.hls4ml_targets import TARGETS, Target, compile_words
from qhn2edge.convolution import describe_shape
from qhn2edge.layers import Affine, Identity, Relu, Sign, Table
from qhn2edge.model import Input, Model
from qhn2edge.resources import resource_text

_PRINTED_BITS = 20
_LARGE = 4096
"""Products of one layer at once that the vendors' tools still unroll in reasonable time."""

_IMAGES = """
Convolutions and poolings are no layers of hls4ml, but those of `{header}`:
one window after the other, all its units at once, a window every `reuse` cycles. Convolutions of bits are
XNOR and popcount too. `m*.h` holds a 1 for each channel of a pooling that takes the smallest value.
"""


def page(
    model: Model,
    plans: Sequence[Plan],
    reuse: Sequence[int],
    options: Hls4mlOptions,
    *,
    n_vectors: int,
) -> str:
    """Return the text of README.md.

    Args:
        model: the model.
        plans: its layers as they were written.
        reuse: the reuse factor that each layer got.
        options: of the export.
        n_vectors: vectors of the test bench.
    """
    target = TARGETS[options.backend]
    name = f"{model.name.replace('-', '_')}_binn"
    values: dict[str, object] = {
        "model": model.name,
        "name": name,
        "backend": target.name,
        "tool": target.tool,
        "architecture": model.architecture,
        "version": importlib.metadata.version("hls4ml"),
        "digest": model.digest,
        "layer_rows": "\n".join(_row(plan, factor) for plan, factor in zip(plans, reuse, strict=True)),
        "firmware": target.firmware,
        "image_text": _image_text(plans, target),
        "io_text": _io_text(plans[0], options),
        "input_text": _input_text(model.input, plans[0], options),
        "output_text": _output_text(model, plans[-1], options),
        "head_text": _head_text(model),
        "encoder_text": _encoder_text(model.input),
        "part": options.part or DEFAULT_PARTS[target.name],
        "clock_ns": CLOCK_NS,
        "settings_file": target.settings_file,
        "commands": target.commands.replace("NAME", name),
        "bench": target.bench.replace("NAME", name),
        "n_vectors": n_vectors,
        "results": target.results,
        "local_text": _local_text(target, name),
        "limits": "\n".join(f"- {line}" for line in _limits(plans, reuse, target)),
    }
    return Template(resource_text("export", "hls4ml", "README.md.in")).substitute(values)


def _row(plan: Plan, reuse: int) -> str:
    if isinstance(plan, PoolPlan):
        what = "largest" if not plan.image.takes_minimum.any() else "largest or smallest"
        return f"| {plan.number} | {_shape(plan)} | {what} of each window | | | nothing | {reuse} |"
    return (
        f"| {plan.number} | {_shape(plan)} | {_arithmetic(plan)} | {_bits(plan.weight)} "
        f"| {_bits(plan.accum)} | {_follows(plan)} | {reuse} |"
    )


def _shape(plan: Plan) -> str:
    if plan.image is not None:
        return describe_shape(plan.image)
    n_in, n_out = plan.weights.shape
    return f"{n_in} x {n_out}"


def _arithmetic(plan: LayerPlan) -> str:
    if plan.is_xnor:
        return "XNOR and popcount"
    if plan.weight.xnor:
        return "sums and differences of integers"
    return "whole weights, input -1 or +1" if plan.data.xnor else "whole weights times integers"


def _bits(kind: Integer) -> str:
    if kind.xnor:
        return "1 bit"
    return f"{kind.width} bits{', signed' if kind.signed else ''}"


def _follows(plan: LayerPlan) -> str:
    match plan.activation:
        case Sign():
            return "a threshold a unit"
        case Relu(shift=shift, clip_bits=clip):
            limit = "" if clip is None else f", at most {2**clip - 1}"
            return f"relu, shifted right by {shift}{limit}"
        case Table(name=table, values=values):
            return f"table of {len(values)} values ({_plain(table)})"
        case Identity():
            return "a bias a unit" if plan.offset.any() else "nothing"
        case Affine():
            return "a scale and an offset a unit"
    raise TypeError(f"unknown activation {plan.activation!r}")


def _image_text(plans: Sequence[Plan], target: Target) -> str:
    if all(plan.image is None for plan in plans):
        return ""
    return _IMAGES.format(header=f"{target.firmware}/nnet_utils/nnet_qhn_image.h")


def _io_text(first: Plan, options: Hls4mlOptions) -> str:
    if options.io == "stream":
        beat = (
            "a beat of a stream holds one pixel" if first.image else "one beat of a stream holds all features"
        )
        return f"; {beat}, one all logits"
    return "; all features and all logits are ports"


def _input_text(source: Input, first: Plan, options: Hls4mlOptions) -> str:
    what = {
        "bit": "one bit, 0 for -1 and 1 for +1",
        "uint8": "8 bits, 0 to 255",
        "int8": "8 bits, -128 to 127",
    }[source.kind]
    width = 1 if source.kind == "bit" else 8
    place = "bit j" if width == 1 else "bits 8 j to 8 j + 7"
    if options.io == "stream" and first.image is not None:
        height, columns, n = first.image.shape
        return (
            f"feature (y {columns} + x) {n} + j is element j of beat y {columns} + x, pixel (y, x) of "
            f"{height} x {columns}, {what}. As one word of {width * n} bits, as Vitis and Vivado make of a "
            f"beat, element j is {place}, counted from the least significant."
        )
    element = "`features[j]`" if options.io == "parallel" else "element j of the beat"
    return (
        f"feature j is {element}, {what}. As one word of {width * source.n_features} bits, as "
        f"Vitis and Vivado make of the array, feature j is {place}, counted from the least significant."
    )


def _output_text(model: Model, last: Plan, options: Hls4mlOptions) -> str:
    element = "element i of the result" if options.io == "parallel" else "element i of the beat"
    return f"logit i of {model.head.n_logits} is {element}, {_bits(last.out)}, an integer."


def _head_text(model: Model) -> str:
    names = [_plain(label) for label in model.head.classes]
    if model.head.kind == "threshold":
        return f"{names[1]} where the logit is 0 or more, else {names[0]}."
    classes = ", ".join(f"{index} {name}" for index, name in enumerate(names))
    return f"the index of the largest logit, the lowest index of equal ones: {classes}."


def _encoder_text(source: Input) -> str:
    rule = "1 where x >= offset, else 0"
    if source.kind != "bit":
        rule = f"clip(round((x - offset) / scale), {source.low}, {source.high}), halves to even"
    return f"A raw feature x becomes `{rule}`; the constants are in `model.json` under `input`, `encoder`."


def _local_text(target: Target, name: str) -> str:
    if not target.compiles_on_host:
        return (
            f"hls4ml's sources for {target.name} need the vendor's compiler (`icpx`): they were written, but "
            "neither compiled nor compared with the model. Do that first, with the commands above."
        )
    build = " ".join(("g++", *compile_words(target, name), "-o", "check"))
    return (
        "A C++ compiler is enough; no vendor's tool and no Python:\n\n```\n"
        f"{build}\n./check < tb_data/tb_input_features.dat | diff - tb_data/tb_output_predictions.dat && "
        "echo equal\n```\n\n"
        "`qhn2edge verify model.json --backend hls4ml --artifacts .` does it with many more vectors."
    )


def _limits(plans: Sequence[Plan], reuse: Sequence[int], target: Target) -> list[str]:
    lines = ["Synthesis was not run: area and clock are for the vendor's tool to tell."]
    products = [plan.weights.size if isinstance(plan, LayerPlan) else 0 for plan in plans]
    worst = max(n // factor for n, factor in zip(products, reuse, strict=True))
    if worst > _LARGE:
        lines.append(
            f"A layer makes {worst:,} products at once, which takes synthesis long; a larger `--reuse` helps."
        )
    if target.name in {"Quartus", "oneAPI"} and plans[-1].out.width > _PRINTED_BITS:
        lines.append("hls4ml's bench prints six digits of a logit; the program on this computer prints all.")
    if target.name == "Catapult":
        lines.append(
            "hls4ml's bench for Catapult loads weights from `firmware/weights/*.txt`; synthesis takes those "
            "of the headers. Both hold the same."
        )
    return lines


def _plain(text: str) -> str:
    """Return a name that cannot change the page's markup."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    escaped = "".join(f"&#{ord(c)};" if c in "&|<>`*_[]\\#$" else c for c in plain)
    return escaped.encode("ascii", "xmlcharrefreplace").decode()
