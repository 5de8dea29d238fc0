"""The QONNX export in qonnx's own executor: the interpreter's integers, or a refusal that names the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from graph_models import hidden_model, image_model, mixed_model, reshaped_model, single_model
from hypothesis import given, settings
from hypothesis import strategies as st
from image_strategies import image_models
from numpy.typing import NDArray
from strategies import models, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model, target_of
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.backends.onnx_graph import properties_of
from qhn2edge.backends.to_qonnx import QONNX_FILE, qonnx_model
from qhn2edge.convolution import Conv2D
from qhn2edge.errors import ExportError
from qhn2edge.layers import Affine, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.verify import run_qonnx
from qhn2edge.verify.vectors import corners

Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module", autouse=True)
def _packages(need: Load) -> None:
    for name in ("onnx", "onnxruntime", "qonnx"):
        need(name)


def assert_equal(model: Model, x: NDArray[np.integer[Any]]) -> None:
    """Compare the executor's logits with the interpreter's."""
    np.testing.assert_array_equal(run_qonnx.run(model, x, None).logits, interpreter.logits(model, x))


def nodes(model: Model) -> dict[str, Any]:
    """Return the nodes of a model's graph by name."""
    return {node.name: node for node in qonnx_model(model).graph.node}


class TestIntegers:
    @settings(max_examples=60, deadline=None)
    @given(model=models(), seed=st.integers(0, 2**32 - 1))
    def test_equal_to_the_interpreter_or_refused(self, model: Model, seed: int) -> None:
        """Any model: exact, or refused with the layer; refused only for a reason that holds."""
        x = np.concatenate([corners(model.input), random_inputs(model, 20, seed)])
        try:
            assert_equal(model, x)
        except ExportError as error:
            assert "layer" in error.what
            falls = any(
                isinstance(layer.activation, Table) and (np.diff(layer.activation.values) < 0).any()
                for layer in model.dense_layers
            )
            assert falls or max(int(ranges.partial.max()) for ranges in model.ranges) > 2**24

    @pytest.mark.parametrize(
        "activation",
        [
            Sign(), Relu(), Relu(3), Relu(0, 4), Relu(2, 5), Relu(31), Relu(1, 31),
            Table(-20, tuple(range(-40, 41, 2))), Table(3, (7,)), Table(-300, (-1, 300)),
            Table(2**31 - 1, (5, 6)), Table(-(2**31), (4, 9)), Table(-4, (-9, -9, 0, 2, 2, 2, 40, 41), "a b"),
        ],
        ids=str,
    )  # fmt: skip
    def test_every_activation(self, activation: Any) -> None:  # noqa: ANN401
        """Signs, shifts, clips and tables that never fall are exact."""
        model = hidden_model(activation, bias=9)
        assert_equal(model, random_inputs(model, 300, 1))

    @pytest.mark.parametrize(
        "levels", [(-1, 1), (-5, 5), (0, 1), (0, 127), (-1, 0), (-128, 127), (-128, -3), (2, 3)]
    )
    def test_every_kind_of_levels(self, levels: tuple[int, int]) -> None:
        """Weights come through BipolarQuant (-s, s) or through a Quant with just enough bits."""
        layer = random_dense(np.random.default_rng(0), 20, 3, levels, Identity())
        model = Model(
            "levels", Input(20, mixed_model().input.encoder), (layer,), Head("argmax", ("a", "b", "c"))
        )
        assert_equal(model, random_inputs(model, 100, 2))

    def test_the_largest_sums(self) -> None:
        """Sums of 2^24 are exact; one more is refused."""
        model = single_model(2**24 - 2)
        assert_equal(model, corners(model.input))
        with pytest.raises(ExportError, match=r"layer 1 is not exact in QONNX.*got up to 16,777,217"):
            qonnx_model(single_model(2**24 - 1))


class TestImages:
    @settings(max_examples=20, deadline=None)
    @given(model=image_models(), seed=st.integers(0, 2**32 - 1))
    def test_equal_to_the_interpreter(self, model: Model, seed: int) -> None:
        """Any convolutions, poolings and scaled logits: the integers are the interpreter's."""
        assert_equal(model, np.concatenate([corners(model.input), random_inputs(model, 10, seed)]))

    @pytest.mark.parametrize("pad_value", [-1, 0, 1])
    @pytest.mark.parametrize("kind", ["bit", "uint8", "int8"])
    def test_what_stands_around_signs(self, kind: str, pad_value: int) -> None:
        """0 is the convolution's own padding; -1 and +1 come from a Pad before it."""
        model = image_model(kind=kind, pad_value=pad_value)
        assert_equal(model, random_inputs(model, 60, 2))
        found = nodes(model)
        pads = {a.name: list(a.ints) for a in found["layer_3_accumulators"].attribute}["pads"]
        assert pads == ([0] * 4 if pad_value else [1, 2, 0, 1])
        assert ("layer_3_padded" in found) == bool(pad_value)

    def test_images_of_other_shapes(self) -> None:
        """Features keep their order where an image follows a row, or an image of another shape."""
        assert_equal(reshaped_model(), random_inputs(reshaped_model(), 200, 1))

    @pytest.mark.parametrize(
        ("offset", "dtype"), [(2**24 - 3, "float32"), (2**24 - 2, "float64"), (2**30, "float64")]
    )
    def test_scaled_logits(self, tmp_path: Path, offset: int, dtype: str) -> None:
        """Logits that float32 does not hold are float64, and the page says so."""
        single = single_model(0)
        layer = replace(
            single.dense_layers[0], bias=np.ones(1, dtype=np.int32), activation=Affine((1,), (offset,))
        )
        model = replace(single, layers=(layer,))
        assert_equal(model, corners(model.input))
        page = (export_model(model, "qonnx", tmp_path / "out") / "README.md").read_text("utf-8")
        assert f"integers, exact in {dtype}" in page

    def test_sums_are_still_bounded(self) -> None:
        """A convolution whose sums float32 could round is refused by its number."""
        model = image_model()
        first = model.layers[0]
        assert isinstance(first, Conv2D)
        bias = np.full(5, 2**24, dtype=np.int32)
        wide = replace(first, kernel=replace(first.kernel, bias=bias))
        with pytest.raises(ExportError, match=r"layer 1 is not exact in QONNX: its sums can be rounded"):
            qonnx_model(replace(model, layers=(wide, *model.layers[1:])))

    def test_every_shape_is_told(self, need: Load) -> None:
        """The graph takes images channels first, and tells every tensor's shape as qonnx infers it."""
        made = qonnx_model(image_model(pad_value=1))
        wrapper = need("qonnx.core.modelwrapper").ModelWrapper(made)
        told = {name: wrapper.get_tensor_shape(name) for node in made.graph.node for name in node.output}
        inferred = wrapper.transform(need("qonnx.transformation.infer_shapes").InferShapes())
        assert told == {name: inferred.get_tensor_shape(name) for name in told}
        assert wrapper.get_tensor_shape("x") == [1, 2, 6, 5]

    @pytest.mark.filterwarnings("ignore:Could not find weight init")  # of BipolarQuant: a Transpose stays
    def test_survives_channels_last(self, need: Load) -> None:
        """What hls4ml asks for, a conversion to channels last, takes the graph and computes the same."""
        model = image_model(pad_value=1)
        clean = need("qonnx.util.cleanup").cleanup_model(
            need("qonnx.core.modelwrapper").ModelWrapper(qonnx_model(model))
        )
        last = clean.transform(need("qonnx.transformation.channels_last").ConvertToChannelsLastAndClean())
        for row in random_inputs(model, 4, 0):
            source = {
                last.graph.input[0].name: row.reshape(1, 6, 5, 2).transpose(0, 3, 1, 2).astype(np.float32)
            }
            (logits,) = need("qonnx.core.onnx_exec").execute_onnx(last, source).values()
            np.testing.assert_array_equal(logits, interpreter.logits(model, row[None, :]))


class TestRefusals:
    def test_a_falling_table(self) -> None:
        """A table that falls is refused with the accumulator; out of reach it does not matter."""
        with pytest.raises(ExportError, match=r"table of layer 1 .*'zigzag', which falls at accumulator -4"):
            qonnx_model(hidden_model(Table(-5, (3, -7, 3), "zigzag")))
        model = hidden_model(Table(-(2**20), (9, 1, 2)))
        assert_equal(model, random_inputs(model, 50, 0))

    def test_a_table_of_too_many_steps(self) -> None:
        """A table that rises by more steps than a node is given is refused."""
        with pytest.raises(ExportError, match=r"table of layer 1 has too many steps .*65,536.*65,535"):
            qonnx_model(hidden_model(Table(0, (0, 65_536))))

    def test_the_encoder(self, tmp_path: Path) -> None:
        """The encoder's float64 has no place in QONNX."""
        with pytest.raises(ExportError, match=r"rounds in float64.*--target onnx with --raw-input"):
            export_model(mixed_model(), "qonnx", tmp_path / "out", options=GraphOptions(raw_input=True))


class TestGraph:
    def test_is_the_dialect(self, need: Load) -> None:
        """Signs are BipolarQuant, a relu is a Quant of its bits, and the checker accepts the graph."""
        need("onnx").checker.check_model(qonnx_model(mixed_model()))
        found = nodes(mixed_model())
        assert {name: node.op_type for name, node in found.items() if node.domain} == {
            "input_bipolar": "BipolarQuant",
            "layer_1_weights_bipolar": "BipolarQuant",
            "layer_1_sign_bipolar": "BipolarQuant",
            "layer_2_weights_quantized": "Quant",
            "layer_2_table": "MultiThreshold",
            "layer_3_weights_bipolar": "BipolarQuant",
            "layer_3_quant_quantized": "Quant",
            "layer_4_weights_quantized": "Quant",
        }
        assert {node.domain for node in found.values()} == {"", "qonnx.custom_op.general"}

    def test_no_bias_no_node(self) -> None:
        """A layer without biases has no Add, which some readers of the dialect would take for a layer."""
        model = mixed_model()
        bare = tuple(replace(layer, bias=np.zeros_like(layer.bias)) for layer in model.dense_layers)
        assert not any(node.op_type == "Add" for node in nodes(replace(model, layers=bare)).values())

    def test_survives_the_clean_up_of_qonnx(self, need: Load) -> None:
        """The clean-up that hls4ml and FINN begin with takes the graph, and it still computes the same."""
        wrapper = need("qonnx.core.modelwrapper").ModelWrapper(qonnx_model(mixed_model()))
        clean = need("qonnx.util.cleanup").cleanup_model(wrapper)
        x = random_inputs(mixed_model(), 20, 0)
        for row in x:
            source = {clean.graph.input[0].name: row[None, :].astype(np.float32)}
            (logits,) = need("qonnx.core.onnx_exec").execute_onnx(clean, source).values()
            np.testing.assert_array_equal(logits, interpreter.logits(mixed_model(), row[None, :]))

    def test_says_what_it_is(self, tmp_path: Path) -> None:
        """The folder holds the graph, its page and the model; the metadata hold the digest."""
        model = mixed_model()
        folder = export_model(model, "qonnx", tmp_path / "out")
        assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.json", QONNX_FILE]
        assert target_of(folder) == "qonnx"
        assert properties_of(qonnx_model(model))["qhn2edge_digest"] == model.digest
        assert "$" not in (folder / "README.md").read_text("utf-8")
