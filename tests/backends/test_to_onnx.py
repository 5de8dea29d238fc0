"""The ONNX export in onnxruntime: the interpreter's integers for any model, and a graph that others read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from graph_models import ACTIVATIONS, hidden_model, image_model, mixed_model, reshaped_model, single_model
from hypothesis import given, settings
from hypothesis import strategies as st
from image_strategies import image_models
from numpy.typing import NDArray
from strategies import ENCODERS, models, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import BACKENDS, export_model, find_backend, target_of
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.backends.onnx_graph import IR_VERSION, OPSET, properties_of
from qhn2edge.backends.to_onnx import ONNX_FILE, onnx_model
from qhn2edge.commands.models import export_options
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ConfigError, ToolError, UnsupportedModelError
from qhn2edge.layers import Affine, Identity, Sign, Table
from qhn2edge.model import Head, Input, Model, load_model
from qhn2edge.verify.vectors import corners

LAW = settings(max_examples=120, deadline=None)
IMAGES = settings(max_examples=40, deadline=None)
RAW = GraphOptions(raw_input=True)

Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module", autouse=True)
def onnxruntime(need: Load) -> ModuleType:
    """The package that runs graphs."""
    need("onnx")
    return need("onnxruntime")


def run(onnxruntime: ModuleType, graph: Any, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:  # noqa: ANN401
    """Return logits and labels of a graph for its one input."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    types = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8, "tensor(double)": np.float64}
    logits, labels = session.run(["logits", "label"], {source.name: values.astype(types[source.type])})
    return logits, labels


def assert_equal(onnxruntime: ModuleType, model: Model, x: NDArray[np.integer[Any]]) -> None:
    """Compare logits, labels and their types with the interpreter's."""
    logits, labels = run(onnxruntime, onnx_model(model), x)
    expected = interpreter.logits(model, x)
    assert (logits.dtype.name, labels.dtype.name) == ("int32", "int64")
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(labels, interpreter.class_indices(model, expected))


class TestIntegers:
    @LAW
    @given(model=models(), seed=st.integers(0, 2**32 - 1))
    def test_equal_to_the_interpreter(self, onnxruntime: ModuleType, model: Model, seed: int) -> None:
        """Any model, any input: logits and labels are the interpreter's."""
        assert_equal(
            onnxruntime, model, np.concatenate([corners(model.input), random_inputs(model, 50, seed)])
        )

    @pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
    def test_every_activation(self, onnxruntime: ModuleType, activation: Any) -> None:  # noqa: ANN401
        """Shifts, clips and tables at the ends of int32 are exact."""
        model = hidden_model(activation, bias=2**31 - 600)
        assert_equal(onnxruntime, model, random_inputs(model, 300, 1))

    @pytest.mark.parametrize(
        ("values", "narrow"),
        [
            ((-255, 0), True), ((-1, 254), True), ((0, 255), True), ((3, 200), True), ((-9, -2), True),
            ((-256,), False), ((-300, -280), False), ((-1, 255), False), ((0, 256), False), ((2000,), False),
        ],
    )  # fmt: skip
    def test_inputs_of_a_byte(self, onnxruntime: ModuleType, values: tuple[int, ...], narrow: bool) -> None:
        """Inputs whose range, zero included, has 256 values go through MatMulInteger; wider ones do not."""
        model = hidden_model(Table(0, values))
        assert_equal(onnxruntime, model, random_inputs(model, 300, 1))
        kinds = {node.name: node.op_type for node in onnx_model(model).graph.node}
        assert kinds["layer_2_products"] == ("MatMulInteger" if narrow else "MatMul")

    @pytest.mark.parametrize("levels", [(-1, 1), (-64, 64), (-128, 127), (126, 127)])
    @pytest.mark.parametrize("kind", [Encoder.uint8_unit(), Encoder.int8_fixed()], ids=lambda e: e.kind)
    def test_extreme_products(self, onnxruntime: ModuleType, levels: tuple[int, int], kind: Encoder) -> None:
        """Sums of largest products are exact; weights that could overflow 16 bits in pairs use int32."""
        rng = np.random.default_rng(2)
        layer = random_dense(rng, 784, 40, levels, Identity())
        model = Model(
            "wide",
            Input(784, kind),
            (layer,),
            Head("argmax", tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN")),
        )
        assert_equal(onnxruntime, model, corners(model.input))
        kinds = {node.op_type for node in onnx_model(model).graph.node}
        assert ("MatMulInteger" in kinds) == (levels in {(-1, 1), (-64, 64)})
        assert ("MatMul" in kinds) == (levels not in {(-1, 1), (-64, 64)})

    @pytest.mark.parametrize("bias", [2**31 - 3, -(2**31) + 3])
    def test_ends_of_int32(self, onnxruntime: ModuleType, bias: int) -> None:
        """Logits at the ends of int32 come out as they are."""
        model = single_model(bias)
        assert_equal(onnxruntime, model, corners(model.input))


class TestImages:
    @IMAGES
    @given(model=image_models(), seed=st.integers(0, 2**32 - 1))
    def test_equal_to_the_interpreter(self, onnxruntime: ModuleType, model: Model, seed: int) -> None:
        """Any convolutions, poolings and scaled logits, any input: all integers are the interpreter's."""
        assert_equal(
            onnxruntime, model, np.concatenate([corners(model.input), random_inputs(model, 20, seed)])
        )

    @settings(IMAGES, max_examples=15)
    @given(model=image_models(), seed=st.integers(0, 2**32 - 1))
    def test_raw_input(self, onnxruntime: ModuleType, model: Model, seed: int) -> None:
        """The graph with the encoder is the interpreter after the encoder, on images too."""
        raw = np.random.default_rng(seed).normal(size=(10, model.input.n_features)) * 3
        logits, _ = run(onnxruntime, onnx_model(model, RAW), raw)
        np.testing.assert_array_equal(logits, interpreter.logits(model, model.input.encoder.encode(raw)))

    @settings(IMAGES, max_examples=15)
    @given(model=image_models())
    def test_is_clean(self, need: Load, model: Model) -> None:
        """Checker and strict inference accept the graph; what is between layers is a row a sample."""
        onnx = need("onnx")
        graph = onnx_model(model)
        onnx.checker.check_model(graph, full_check=True)
        shapes = {
            tensor.name: [d.dim_value or d.dim_param for d in tensor.type.tensor_type.shape.dim]
            for tensor in graph.graph.value_info
        }
        assert {node.name for node in graph.graph.node} <= {*shapes, "logits", "label"}
        for number, layer in enumerate(model.layers[:-1], start=1):
            assert shapes[f"layer_{number}_outputs"] == ["N", layer.n_out]

    @pytest.mark.parametrize("kind", ["bit", "uint8", "int8"])
    @pytest.mark.parametrize("minimum", [(0, 0, 0), (1, 1, 1), (0, 1, 0)])
    def test_poolings_of_inputs(self, onnxruntime: ModuleType, kind: str, minimum: tuple[int, ...]) -> None:
        """Inputs of every kind are pooled, the largest, the smallest, or some of both."""
        pool = MaxPool2D((4, 4, 3), (3, 2), (1, 2), np.array(minimum, dtype=np.uint8))
        last = random_dense(np.random.default_rng(1), pool.n_out, 2, (-1, 1), Identity())
        model = Model("pool", Input(48, ENCODERS[kind]), (pool, last), Head("argmax", ("a", "b")))
        assert_equal(onnxruntime, model, random_inputs(model, 60, 1))

    @pytest.mark.parametrize("pad_value", [-1, 0, 1])
    @pytest.mark.parametrize("kind", ["bit", "uint8", "int8"])
    def test_what_stands_around_signs(self, onnxruntime: ModuleType, kind: str, pad_value: int) -> None:
        """-1, +1 and the 0 that is neither."""
        model = image_model(kind=kind, pad_value=pad_value)
        assert_equal(onnxruntime, model, random_inputs(model, 100, 2))

    def test_images_of_other_shapes(self, onnxruntime: ModuleType) -> None:
        """Features keep their order where an image follows a row, or an image of another shape."""
        assert_equal(onnxruntime, reshaped_model(), random_inputs(reshaped_model(), 200, 1))

    @pytest.mark.parametrize(
        ("bias", "scale", "offset", "wide"),
        [
            (0, 7, -3, False),
            (0, -(2**29), 1, False),
            (4000, 2**20, -(2**31), True),
            (-4000, 2**20, 2**31 - 1, True),
        ],
    )
    def test_scaled_logits(
        self, onnxruntime: ModuleType, bias: int, scale: int, offset: int, wide: bool
    ) -> None:
        """Products that leave int32 before an offset brings them back go through int64."""
        single = single_model(bias)
        layer = replace(single.dense_layers[0], activation=Affine((scale,), (offset,)))
        model = replace(single, layers=(layer,))
        assert_equal(onnxruntime, model, corners(model.input))
        assert ("layer_1_wide" in {node.name for node in onnx_model(model).graph.node}) == wide

    def test_too_many_windows(self) -> None:
        """Windows whose indices would fill memory are refused."""
        kernel = random_dense(np.random.default_rng(0), 100 * 100, 1, (-1, 1), Sign())
        conv = Conv2D(kernel, (250, 250, 1), (100, 100))
        last = random_dense(np.random.default_rng(0), conv.n_out, 1, (-1, 1), Identity())
        model = Model("w", Input(62_500, ENCODERS["bit"]), (conv, last), Head("threshold", ("a", "b")))
        with pytest.raises(UnsupportedModelError, match=r"windows of layer 1 .* for ONNX: got 228,010,000"):
            onnx_model(model)

    def test_the_operators(self) -> None:
        """Images add no operator but these, which the proofs interpret."""
        kinds = {node.op_type for node in onnx_model(image_model()).graph.node}
        dense = {node.op_type for node in onnx_model(mixed_model()).graph.node}
        assert kinds - dense == {"Reshape", "Pad", "ReduceMax", "ReduceMin", "Mul"}

    def test_the_page(self, tmp_path: Path) -> None:
        """The page says in which order the features of an image are."""
        text = (export_model(image_model(), "onnx", tmp_path / "out") / "README.md").read_text("utf-8")
        assert "Images of 6 x 5 with 2 channels: feature (y * 5 + x) * 2 + k is row y, column x" in text


def tie_features(encoder: Encoder, n_features: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return raw features at and right beside the points where the encoder's result changes."""
    offset, scale = np.asarray(encoder.offset), np.asarray(encoder.scale)
    halves = rng.integers(-300, 600, size=(200, n_features)) + 0.5
    at = offset + halves * scale if encoder.kind != "bit" else np.broadcast_to(offset, halves.shape)
    beside = [np.nextafter(at, np.inf), np.nextafter(at, -np.inf)]
    far = np.array([[0.0], [-0.0], [1e308], [-1e308], [5e-324]]) * np.ones(n_features)
    return np.concatenate([at, *beside, rng.normal(size=at.shape) * 100, far])


class TestRawInput:
    @pytest.mark.parametrize(
        "encoder",
        [
            Encoder("uint8", (0.25,), (0.0,), 255),
            Encoder("int8", (2.0, 0.5, 0.125), (-1.0, 0.0, 3.0), 32),
            Encoder("int8", (0.1, 1 / 3, 1e-3), (0.7,), 32),
            Encoder("uint8", (5e-324,), (1e300,), 255),
            Encoder.uint8_unit(),
            Encoder("bit", (1.0,), (0.1, -2.5, 0.0), 1),
            Encoder.bits(),
        ],
        ids=lambda encoder: f"{encoder.kind}-{encoder.scale[0]}",
    )
    def test_ties_round_as_the_encoder_does(self, onnxruntime: ModuleType, encoder: Encoder) -> None:
        """Raw features at ties, beside them and far away give what the encoder and the interpreter give."""
        rng = np.random.default_rng(5)
        layer = random_dense(rng, 3, 2, (0, 1), Identity())
        bits = np.array([[1, 0, 0], [0, 1, 1]], dtype=np.uint8)
        layer = type(layer)(bits, layer.bias, layer.levels, Identity())
        model = Model("raw", Input(3, encoder), (layer,), Head("argmax", ("a", "b")))
        raw = tie_features(encoder, 3, rng)
        logits, labels = run(onnxruntime, onnx_model(model, RAW), raw)
        expected = interpreter.logits(model, encoder.encode(raw))
        np.testing.assert_array_equal(logits, expected)
        np.testing.assert_array_equal(labels, interpreter.class_indices(model, expected))

    def test_halves_go_to_even(self, onnxruntime: ModuleType) -> None:
        """0.5, 1.5 and 2.5 steps become 0, 2 and 2, in either direction."""
        layer = random_dense(np.random.default_rng(0), 1, 1, (0, 1), Identity(), bias=0)
        layer = type(layer)(np.ones((1, 1), np.uint8), layer.bias, (0, 1), Identity())
        model = Model(
            "one", Input(1, Encoder("int8", (2.0,), (1.0,), 1)), (layer,), Head("threshold", ("n", "p"))
        )
        raw = 1.0 + 2.0 * np.array([[0.5], [1.5], [2.5], [-0.5], [-1.5], [126.5], [127.5], [-128.5]])
        logits, _ = run(onnxruntime, onnx_model(model, RAW), raw)
        assert logits[:, 0].tolist() == [0, 2, 2, 0, -2, 126, 127, -128]

    @LAW
    @given(model=models(), seed=st.integers(0, 2**32 - 1))
    def test_any_model(self, onnxruntime: ModuleType, model: Model, seed: int) -> None:
        """Any model, any raw features: the graph with the encoder is the interpreter after the encoder."""
        raw = np.random.default_rng(seed).normal(size=(20, model.input.n_features)) * 3
        logits, _ = run(onnxruntime, onnx_model(model, RAW), raw)
        np.testing.assert_array_equal(logits, interpreter.logits(model, model.input.encoder.encode(raw)))


class TestGraph:
    @LAW
    @given(model=models(), options=st.sampled_from((GraphOptions(), RAW)))
    def test_is_clean(self, need: Load, model: Model, options: GraphOptions) -> None:
        """The checker and strict shape inference accept the graph; all nodes and tensors have names."""
        onnx = need("onnx")
        graph = onnx_model(model, options)
        onnx.checker.check_model(graph, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(graph, check_type=True, strict_mode=True)
        described = {tensor.name for tensor in (*inferred.graph.value_info, *graph.graph.output)}
        names = [node.name for node in graph.graph.node]
        assert [node.output[0] for node in graph.graph.node] == names
        assert len(set(names)) == len(names)
        assert set(names) <= described
        assert {node.domain for node in graph.graph.node} == {""}

    def test_says_what_it_is(self) -> None:
        """Versions, documents and metadata: digest, name, classes and encoder."""
        model = mixed_model()
        graph = onnx_model(model)
        found = properties_of(graph)
        assert (graph.ir_version, [opset.version for opset in graph.opset_import]) == (IR_VERSION, [OPSET])
        assert found["qhn2edge_digest"] == model.digest
        assert found["qhn2edge_name"] == "mixed"
        assert json.loads(found["qhn2edge_classes"]) == ["a", "b", "c"]
        assert Encoder.from_json(json.loads(found["qhn2edge_encoder"])) == model.input.encoder
        assert found["qhn2edge_input"] == "x"
        assert properties_of(onnx_model(model, RAW))["qhn2edge_input"] == "raw"
        assert graph.doc_string == "mixed: binary neural network 12 -> 9 -> 6 -> 5 -> 3, integers throughout"
        docs = {node.name: node.doc_string for node in graph.graph.node}
        assert docs["layer_1_products"] == "12 inputs, 9 units, weights -1 and 1"

    def test_weights_take_a_byte(self) -> None:
        """Weights are stored as int8, whatever computes with them."""
        types = {tensor.name: tensor.data_type for tensor in onnx_model(mixed_model()).graph.initializer}
        assert {types[f"layer_{number}_weights"] for number in range(1, 5)} == {3}


class TestFolder:
    def test_files(self, tmp_path: Path) -> None:
        """An export is the graph, the model and a page; its files say that it is ONNX."""
        model = mixed_model()
        folder = export_model(model, "onnx", tmp_path / "out")
        assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.json", ONNX_FILE]
        assert load_model(folder / "model.json") == model
        assert target_of(folder) == "onnx"
        text = (folder / "README.md").read_text("utf-8")
        assert model.digest in text
        assert "input `x` | int8 [N, 12]" in text
        assert "$" not in text

    @pytest.mark.parametrize("target", ["onnx", "qonnx"])
    def test_two_exports_are_equal(self, tmp_path: Path, target: str) -> None:
        """Equal models give equal bytes."""
        folders = [export_model(mixed_model(), target, tmp_path / name) for name in "ab"]
        for path in folders[0].iterdir():
            assert path.read_bytes() == (folders[1] / path.name).read_bytes()

    def test_raw_input_is_an_option(self, tmp_path: Path) -> None:
        """``--raw-input`` makes the graph take doubles called ``raw``."""
        folder = export_model(mixed_model(), "onnx", tmp_path / "out", options=RAW)
        assert "input `raw` | double [N, 12] | raw features" in (folder / "README.md").read_text("utf-8")

    def test_missing_package_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without onnx one line says how to get it, and nothing is left behind."""
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(
            ToolError, match=r"package onnx cannot be imported.*pip install 'qhn2edge\[onnx\]'"
        ):
            export_model(mixed_model(), "onnx", tmp_path / "out")
        assert not (tmp_path / "out").exists()


GIVEN: dict[str, object] = {
    "style": "auto", "clock_mhz": None, "core": None, "kernel": "auto", "optimize": "speed",
    "raw_input": False,
}  # fmt: skip


class TestOptions:
    @pytest.mark.parametrize("target", ["larq", "onnx", "qonnx"])
    def test_reach_their_target(self, target: str) -> None:
        """Targets that are graphs get graph options, and say which extra they need."""
        assert export_options(target, {**GIVEN, "raw_input": True}) == RAW
        assert export_options(target, GIVEN) == GraphOptions()
        assert find_backend(target).needs in {("keras",), ("onnx",)}

    @pytest.mark.parametrize(
        ("target", "given_option", "message"),
        [
            ("c", {"raw_input": True}, "--raw-input is for --target onnx or larq: got --target c"),
            (
                "verilog",
                {"raw_input": True},
                "--raw-input is for --target onnx or larq: got --target verilog",
            ),
            ("onnx", {"kernel": "rows"}, "unknown kernel"),
            ("onnx", {"kernel": "plain"}, "--core, --kernel and --optimize are for C: got --target onnx"),
            ("qonnx", {"style": "serial"}, "--style is for --target verilog: got --target qonnx"),
        ],
    )
    def test_of_other_targets_are_refused(
        self, target: str, given_option: dict[str, object], message: str
    ) -> None:
        """An option that means nothing to the target is refused by name."""
        with pytest.raises(Exception, match=message) as caught:
            export_options(target, {**GIVEN, **given_option})
        assert message.startswith("unknown") or isinstance(caught.value, ConfigError)

    def test_marks_are_apart(self, tmp_path: Path) -> None:
        """No target's folder is taken for another's."""
        for target in ("c", "verilog", "onnx", "qonnx"):
            assert target_of(export_model(mixed_model("qonnx"), target, tmp_path / target)) == target
        marks = [backend.mark for backend in BACKENDS.values() if backend.mark]
        assert len(set(marks)) == len(marks)
