"""C99 export: one folder with the model's tables and layers, the runtime, and a program for a host."""

from __future__ import annotations

import shutil
from pathlib import Path
from string import Template

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.c_text import c_name, int32_rows, integer, string_literal, word_rows
from qhn2edge.layers import WORD_BITS, Activation, Dense, Relu, Sign, Table, pack_bits
from qhn2edge.model import Input, Model
from qhn2edge.resources import resource, resource_text

RUNTIME_FILES = ("qhn_binn.h", "qhn_binn.c")

_INPUT_TYPES = {"bit": "uint32_t", "uint8": "uint8_t", "int8": "int8_t"}
_INPUT_TEXTS = {"bit": "-1 or 1", "uint8": "0 to 255", "int8": "-128 to 127"}
_KERNELS = {"uint8": "qhn_dense_u8", "int8": "qhn_dense_i8", "int32": "qhn_dense_i32"}


def emit(model: Model, folder: Path) -> tuple[str, ...]:
    """Write the C99 files of a model into a folder; equal models give equal files.

    Args:
        model: the model.
        folder: an existing folder.

    Returns:
        The names of the files.

    Raises:
        ExportError: a class name is too long for a C string.
        StorageError: the folder is not writable.
    """
    names = c_name(model.name)
    templates = {
        f"{names}.h": "model.h.in",
        f"{names}.c": "model.c.in",
        "main.c": "main.c.in",
        "CMakeLists.txt": "CMakeLists.txt.in",
        "README.md": "README.md.in",
    }
    values = _values(model)
    for file_name, template in templates.items():
        (folder / file_name).write_text(_fill(template, values), encoding="ascii", newline="\n")
    for file_name in RUNTIME_FILES:
        shutil.copyfile(resource("firmware", "runtime", file_name), folder / file_name)
    modelfile.write(model, folder / MODEL_FILE)
    return (*templates, *RUNTIME_FILES, MODEL_FILE)


def _fill(template: str, values: dict[str, object]) -> str:
    return Template(resource_text("export", "c", template)).substitute(values)


def _values(model: Model) -> dict[str, object]:
    values = {**_names_and_counts(model), **_input_values(model.input)}
    example = "example_bits.c.in" if model.input.kind == "bit" else "example_integers.c.in"
    return {
        **values,
        **_input_fragments(model.input, values),
        **_layer_values(model),
        "classes": "\n".join(f"    {string_literal(name)}," for name in model.head.classes),
        "example": _fill(example, values).rstrip(),
    }


def _names_and_counts(model: Model) -> dict[str, object]:
    name, head = c_name(model.name), model.head
    threshold = head.kind == "threshold"
    return {
        "model": model.name,
        "name": name,
        "NAME": name.upper(),
        "digest": model.digest,
        "architecture": model.architecture,
        "n_features": model.input.n_features,
        "n_logits": head.n_logits,
        "n_classes": len(head.classes),
        "last_class": len(head.classes) - 1,
        "n_weight_bits": model.n_weight_bits,
        "n_weight_bytes": model.n_weight_bytes,
        "n_stack_bytes": stack_bytes(model),
        "head_text": "1 where the logit is >= 0"
        if threshold
        else "the largest logit, the lowest index of a tie",
        "head_call": "qhn_threshold(logits[0])" if threshold else f"qhn_argmax(logits, {head.n_logits}u)",
    }


def stack_bytes(model: Model) -> int:
    """Return the bytes of the arrays that a prediction holds on the stack at its peak, at most."""
    between = sum(_buffer_bytes(layer) for layer in model.layers[:-1])
    inside = max((4 * layer.n_out for layer in model.layers if isinstance(layer.activation, Sign)), default=0)
    return between + inside + 4 * model.head.n_logits


def _buffer_bytes(layer: Dense) -> int:
    return 4 * _buffer_length(layer)


def _buffer_length(layer: Dense) -> int:
    return n_words(layer.n_out) if isinstance(layer.activation, Sign) else layer.n_out


def n_words(n: int) -> int:
    """Return the number of 32-bit words of a packed row of n elements."""
    return -(-n // WORD_BITS)


# ---- the input ----


def _input_values(source: Input) -> dict[str, object]:
    return {
        "input_type": _INPUT_TYPES[source.kind],
        "input_text": f"each {_INPUT_TEXTS[source.kind]}",
        "value_range": _INPUT_TEXTS[source.kind],
        "encoder_text": _encoder_text(source),
        "feature_table": _feature_table(source),
        "n_input_words": n_words(source.n_features),
    }


def _encoder_text(source: Input) -> str:
    encoder = source.encoder
    if encoder.kind == "bit":
        return f"1 where x >= offset, else 0, {_constant('offset', encoder.offset)}."
    return (
        f"clip(round((x - offset) / scale), {source.low}, {source.high}), halves to even, "
        f"{_constant('scale', encoder.scale)}, {_constant('offset', encoder.offset)}."
    )


def _feature_table(source: Input) -> str:
    """Return the features in order, with the constants that make each an integer, as a Markdown table."""
    encoder = source.encoder
    names = source.feature_names or [f"feature {i}" for i in range(source.n_features)]
    scale, offset = (
        values * source.n_features if len(values) == 1 else values
        for values in (encoder.scale, encoder.offset)
    )
    rows = [f"| {i} | {_cell(name)} | {scale[i]!r} | {offset[i]!r} |" for i, name in enumerate(names)]
    return "\n".join(["| index | feature | scale | offset |", "| ---: | --- | ---: | ---: |", *rows])


def _cell(text: str) -> str:
    """Return a text that cannot break out of a table's cell."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain.replace("&", "&amp;").replace("|", "&#124;").encode("ascii", "xmlcharrefreplace").decode()


def _constant(name: str, values: tuple[float, ...]) -> str:
    return f"{name} = {values[0]!r}" if len(values) == 1 else f"{name} of each feature in README.md"


def _input_fragments(source: Input, values: dict[str, object]) -> dict[str, object]:
    """Return the parts of the templates that depend on the kind of input."""
    upper = values["NAME"]
    if source.kind == "bit":
        return {
            "input_words_define": f"#define {upper}_INPUT_WORDS {values['n_input_words']}u\n",
            "input_length": f"{upper}_INPUT_WORDS",
            "input_storage": f"static uint8_t bits[{upper}_N_FEATURES];\n"
            f"static uint32_t input[{upper}_INPUT_WORDS];\n",
            "pack_declaration": _fill("pack.h.in", values),
            "pack_definition": _fill("pack.c.in", values),
            "pack_call": _fill("pack_call.c.in", values),
            "padding_check": _padding_check(source.n_features),
            "store": _fill("store_bit.c.in", values).rstrip(),
        }
    empty = ("input_words_define", "pack_declaration", "pack_definition", "pack_call", "padding_check")
    return {
        **dict.fromkeys(empty, ""),
        "input_length": f"{upper}_N_FEATURES",
        "input_storage": f"static {values['input_type']} input[{upper}_N_FEATURES];\n",
        "store": _fill("store_integer.c.in", {**values, "low": source.low, "high": source.high}).rstrip(),
    }


def _padding_check(n_features: int) -> str:
    """Return the C test that refuses a packed input with an unused bit set; the kernels rely on zeros."""
    n_used = n_features % WORD_BITS
    if n_used == 0:
        return ""
    last = n_words(n_features) - 1
    return f"    if ((x[{last}] >> {n_used}) != 0u) {{\n        return QHN_BAD_INPUT;\n    }}\n"


# ---- the layers ----


def _layer_values(model: Model) -> dict[str, object]:
    layers, buffers, calls = [], [], []
    kind, source, last = model.input.kind, "x", len(model.layers)
    for number, layer in enumerate(model.layers, start=1):
        layers.append(_layer_text(layer, number, kind, is_last=number == last))
        target = "logits" if number == last else f"y{number}"
        if number != last:
            buffers.append(f"    {_value_type(layer.activation)} {target}[{_buffer_length(layer)}];\n")
        calls.append(f"    layer_{number}({source}, {target});")
        kind, source = _value_kind(layer.activation), target
    return {
        "layers": "\n".join(layers),
        "buffers": "".join(buffers) + ("\n" if buffers else ""),
        "calls": "\n".join(calls),
    }


def _value_kind(activation: Activation) -> str:
    return "bit" if isinstance(activation, Sign) else "int32"


def _value_type(activation: Activation) -> str:
    return "uint32_t" if isinstance(activation, Sign) else "int32_t"


def _layer_text(layer: Dense, number: int, kind: str, *, is_last: bool) -> str:
    words = pack_bits(layer.weights_bin).ravel()
    return _fill(
        "layer.c.in",
        {
            "number": number,
            "n_in": layer.n_in,
            "n_out": layer.n_out,
            "lo": layer.levels[0],
            "hi": layer.levels[1],
            "input_kind": "packed -1/+1" if kind == "bit" else kind,
            "input_type": _INPUT_TYPES.get(kind, "int32_t"),
            "output_type": _value_type(layer.activation),
            "activation": _activation_text(layer.activation),
            "n_weight_words": len(words),
            "weights": word_rows(words),
            "bias": int32_rows(layer.bias),
            "table": _table_text(layer.activation, number),
            "body": _body(layer, number, kind),
        },
    )


def _body(layer: Dense, number: int, kind: str) -> str:
    """Return the statements of a layer's function; only a sign keeps its accumulators apart."""
    kernel, n = _kernel(layer, kind), f"{layer.n_out}u"
    accumulate = "    {kernel}(&LAYER_{number}, x, {a});\n    TRACE({number}u, 'a', {a}, {n});"
    if isinstance(layer.activation, Sign):
        lines = [f"    int32_t a[{layer.n_out}];\n"]
        lines.append(accumulate.format(kernel=kernel, number=number, a="a", n=n))
        return "\n".join([*lines, f"    qhn_sign(a, {n}, y);"])
    lines = [accumulate.format(kernel=kernel, number=number, a="y", n=n)]
    activate = _activation_call(layer, number)
    if activate:
        lines += [f"    {activate}", f"    TRACE({number}u, 'y', y, {n});"]
    return "\n".join(lines)


def _kernel(layer: Dense, kind: str) -> str:
    if kind == "bit":
        return "qhn_dense_xnor" if tuple(layer.levels) == (-1, 1) else "qhn_dense_bits"
    return _KERNELS[kind]


def _activation_call(layer: Dense, number: int) -> str:
    """Return the statement that turns y from accumulators into outputs in place, or nothing."""
    n = f"{layer.n_out}u"
    match layer.activation:
        case Relu(shift=shift, limit=limit):
            return f"qhn_relu(y, {n}, {shift}u, {limit}, y);"
        case Table(low=low, values=values):
            return f"qhn_table(y, {n}, {integer(low)}, LAYER_{number}_TABLE, {len(values)}u, y);"
        case _:
            return ""


def _activation_text(activation: Activation) -> str:
    match activation:
        case Sign():
            return "sign"
        case Relu(shift=shift, limit=limit):
            return f"relu with shift {shift} and limit {limit}"
        case Table(low=low, values=values):
            return f"table of {len(values)} value(s) from {low}"
        case _:
            return "identity"


def _table_text(activation: Activation, number: int) -> str:
    if not isinstance(activation, Table):
        return ""
    n = len(activation.values)
    return f"\nstatic const int32_t LAYER_{number}_TABLE[{n}] = {{\n{int32_rows(activation.values)}\n}};\n"
