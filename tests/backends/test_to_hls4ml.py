"""The hls4ml export: exact with every backend a host can compile, true XNOR, the same every time."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import absent
from numpy.typing import NDArray
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import BACKENDS, export_model, target_of
from qhn2edge.backends.hls4ml_options import BACKENDS as TOOLS
from qhn2edge.backends.hls4ml_options import IO_TYPES, Hls4mlOptions
from qhn2edge.backends.hls4ml_plan import XNOR, Integer, LayerPlan, integer_for, plan_layers
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.errors import ConfigError, ExportError
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model, load_model
from qhn2edge.verify import run_hls4ml

SIGNS = (-1, 1)


@pytest.fixture(scope="session", autouse=True)
def hls4ml_tools() -> None:
    """Skip without hls4ml and a C++ compiler."""
    if importlib.util.find_spec("hls4ml") is None:
        absent("hls4ml")
    missing = run_hls4ml.missing()
    if missing is not None:
        absent(missing)


def network(
    seed: int,
    kind: str,
    widths: tuple[int, ...],
    activations: tuple[Activation, ...] = (),
    levels: tuple[tuple[int, int], ...] = (),
    biases: int = 4,
) -> Model:
    """Return a random model; hidden activations are signs and levels -1/+1 where nothing else is given."""
    rng, n = np.random.default_rng(seed), len(widths) - 1
    following = (*(activations or (Sign(),) * (n - 1)), Identity())
    layers = []
    for number, activation in enumerate(following):
        pair = levels[number] if levels else SIGNS
        bare = random_dense(rng, widths[number], widths[number + 1], pair, activation)
        bias = rng.integers(-biases, biases + 1, size=widths[number + 1]).astype(np.int32)
        layers.append(Dense(bare.weights_bin, bias, pair, activation))
    classes = tuple(f"c{i}" for i in range(max(2, widths[-1])))
    head = Head("threshold" if widths[-1] == 1 else "argmax", classes)
    return Model(f"n{seed}", Input(widths[0], ENCODERS[kind]), tuple(layers), head)


def image_network(
    kind: str, shape: tuple[int, int, int], pad_value: int, hidden: tuple[Activation, Activation]
) -> Model:
    """Return a padded convolution, a pooling with smallest values, a convolution, scaled logits."""
    rng = np.random.default_rng(8)
    first = Conv2D(
        random_dense(rng, 9 * shape[2], 5, SIGNS, hidden[0]), shape, (3, 3), (1, 1), (1, 1, 1, 1), pad_value
    )
    pool = MaxPool2D(first.shape_out, (2, 2), (2, 1), np.array([0, 1, 1, 0, 0], np.uint8))
    levels = SIGNS if kind == "bit" else (-2, 1)
    second = Conv2D(random_dense(rng, 10, 4, levels, hidden[1]), pool.shape_out, (1, 2), (1, 2))
    last = random_dense(rng, second.n_out, 3, SIGNS, Affine((3, -7, 2**20), (5, 2**30, -9)))
    source = Input(first.n_in, ENCODERS[kind])
    return Model("images", source, (first, pool, second, last), Head("argmax", ("a", "b", "c")))


def image_of_row(n_channels: int = 2) -> Model:
    """Return a dense layer whose 12 outputs are the pixels of a pooling and a convolution."""
    rng, shape = np.random.default_rng(9), (12 // n_channels, 1, n_channels)
    pool = MaxPool2D(shape, (2, 1), (1, 1))
    conv = Conv2D(random_dense(rng, n_channels, 3, (0, 1), Sign()), pool.shape_out, (1, 1), (2, 1))
    dense = random_dense(rng, 11, 12, SIGNS, Sign())
    last = random_dense(rng, conv.n_out, 2, SIGNS, Identity())
    return Model("rows", Input(11, ENCODERS["bit"]), (dense, pool, conv, last), Head("argmax", ("a", "b")))


def all_bits(n: int) -> NDArray[np.int64]:
    """Return all 2^n inputs of n bits, -1 and +1."""
    bits: NDArray[np.int64] = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    return 2 * bits - 1


TABLE = Table(-9, (-5, 3, 3, 0, 7, -2, 11, 250, -1, 4, 0, 6, 9, -7))
CASES = {
    "16 bits, three xnor layers": (
        network(0, "bit", (16, 9, 7, 3)), Hls4mlOptions()
    ),
    "64-32-10, reuse": (
        network(1, "bit", (64, 32, 10)), Hls4mlOptions(reuse=8)
    ),
    "uint8 first, stream": (
        network(2, "uint8", (12, 8, 5, 3), biases=300), Hls4mlOptions(io="stream", reuse=4)
    ),
    "all activations, Vivado": (
        network(3, "bit", (13, 7, 6, 5, 1), (Relu(1, 2), TABLE, Sign()), (SIGNS, SIGNS, (-2, 1), (0, 1))),
        Hls4mlOptions("Vivado"),
    ),
    "odd xnor layers without biases, Quartus": (
        network(4, "bit", (11, 7, 5, 2), biases=0), Hls4mlOptions("Quartus")
    ),
    "int8 first, all activations, Quartus stream": (
        network(5, "int8", (7, 6, 5, 4, 3), (Relu(3), Sign(), TABLE), ((-128, 127), SIGNS, (3, 7), SIGNS)),
        Hls4mlOptions("Quartus", "stream", 3),
    ),
    "one bit, Quartus": (
        network(6, "bit", (1, 3, 2), biases=1), Hls4mlOptions("Quartus", "stream")
    ),
    "uint8 first, Catapult": (
        network(7, "uint8", (9, 6, 5, 3), (Sign(), TABLE), (SIGNS, SIGNS, (-3, 2))), Hls4mlOptions("Catapult")
    ),
    "relu, Catapult stream": (
        network(8, "bit", (9, 6, 5, 3), (Sign(), Relu(0, 1))), Hls4mlOptions("Catapult", "stream", 2)
    ),
    "images of signs, outside adds nothing, Vitis stream": (
        image_network("bit", (3, 4, 1), 0, (Sign(), Sign())), Hls4mlOptions(io="stream", reuse=4)
    ),
    "images of signs, +1 outside, Catapult stream": (
        image_network("bit", (3, 4, 1), 1, (Sign(), Relu(1, 3))), Hls4mlOptions("Catapult", "stream", 3)
    ),
    "images of bytes, relu and table, Quartus": (
        image_network("uint8", (4, 3, 2), 255, (Relu(4, 6), Table(-9, tuple(range(-30, 90, 7))))),
        Hls4mlOptions("Quartus"),
    ),
    "image made of a row, Vivado": (
        image_of_row(), Hls4mlOptions("Vivado")
    ),
    "image made of a row, Quartus stream": (
        image_of_row(), Hls4mlOptions("Quartus", "stream")
    ),
}  # fmt: skip


def cut_files(folder: Path) -> dict[str, bytes]:
    """Return the contents of a folder's files by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def export(model: Model, folder: Path, options: Hls4mlOptions) -> Path:
    """Export a model."""
    return export_model(model, "hls4ml", folder, options=options)


class TestExactness:
    @pytest.mark.parametrize("case", CASES)
    def test_every_logit_is_the_interpreters(self, tmp_path: Path, case: str) -> None:
        """The compiled project gives the interpreter's logits: for all 2^n inputs, or for 10,000."""
        model, options = CASES[case]
        folder = export(model, tmp_path / "out", options)
        n = model.input.n_features
        is_small = model.input.kind == "bit" and n <= 16
        x = all_bits(n) if is_small else random_inputs(model, 10_000, 9)
        result = run_hls4ml.run(model, x, folder)
        expected = interpreter.logits(model, x)
        assert np.array_equal(result.logits, expected)
        assert np.array_equal(result.labels, interpreter.class_indices(model, expected))


class TestProject:
    def test_bits_are_multiplied_by_xnor(self, tmp_path: Path) -> None:
        """parameters.h names the XNOR product for each layer of bits, and their types are one bit wide."""
        model = network(0, "bit", (16, 9, 7, 3))
        files = cut_files(export(model, tmp_path / "out", Hls4mlOptions()))
        parameters, defines = (files[f"firmware/{name}"].decode() for name in ("parameters.h", "defines.h"))
        assert parameters.count("using product = nnet::product::both_binary<x_T, y_T>;") == 3
        assert parameters.count("using product = ") == 4  # the fourth adds the biases of the last layer
        for name in ("input_t", "dense1_weight_t", "dense2_weight_t", "dense3_weight_t"):
            assert f"typedef ap_uint<1> {name};" in defines

    def test_weights_stand_in_headers_as_bits(self, tmp_path: Path) -> None:
        """w2.h holds the first layer's bits, input by input, and t*.h its thresholds: minus the biases."""
        model = network(0, "bit", (16, 9, 7, 3))
        files = cut_files(export(model, tmp_path / "out", Hls4mlOptions()))
        first = model.dense_layers[0]
        bits = ", ".join(str(bit) for bit in first.weights_bin.T.ravel())
        assert f"w2[144] = {{{bits}}};" in files["firmware/weights/w2.h"].decode()
        thresholds = ", ".join(str(-bias) for bias in first.bias)
        headers = [text.decode() for name, text in files.items() if "/weights/t" in name]
        assert any(f"[9] = {{{thresholds}}};" in header for header in headers)

    def test_a_window_of_signs_is_xnor(self, tmp_path: Path) -> None:
        """parameters.h says what is outside; headers hold bits by patch, thresholds, smallest channels."""
        model = image_network("bit", (3, 4, 1), 0, (Sign(), Sign()))
        files = cut_files(export(model, tmp_path / "out", Hls4mlOptions(io="stream")))
        parameters, page = (files[name].decode() for name in ("firmware/parameters.h", "README.md"))
        first, second = parameters.split("typedef nnet::qhn_conv window;")[1:]
        for config, counts in ((first, "false"), (second, "true")):
            assert "data_is_sign = true;" in config.split("}")[0]
            assert "weight_is_sign = true;" in config.split("}")[0]
            assert f"pad_counts = {counts};" in config.split("}")[0]
        bits = ", ".join(str(bit) for bit in model.kernels[0].weights_bin.T.ravel())
        headers = {name: text.decode() for name, text in files.items() if "/weights/" in name}
        assert f"w2[45] = {{{bits}}};" in headers["firmware/weights/w2.h"]
        thresholds = ", ".join(str(-bias) for bias in model.kernels[0].bias)
        assert f"t3[5] = {{{thresholds}}};" in headers["firmware/weights/t3.h"]
        assert "m4[5] = {0, 1, 1, 0, 0};" in headers["firmware/weights/m4.h"]
        assert (
            "| 1 | 3x4x1 -> 3x4x5, 3x3 | XNOR and popcount | 1 bit | 4 bits | a threshold a unit | 1 |"
            in page
        )
        assert "element j of beat y 4 + x, pixel (y, x) of 3 x 4" in page

    def test_rows_have_no_header_for_images(self, tmp_path: Path) -> None:
        """A project without images does not hold their C++."""
        files = cut_files(export(network(0, "bit", (16, 9, 7, 3)), tmp_path / "out", Hls4mlOptions()))
        assert "firmware/nnet_utils/nnet_qhn.h" in files
        assert "firmware/nnet_utils/nnet_qhn_image.h" not in files

    @pytest.mark.parametrize("tool", TOOLS)
    @pytest.mark.parametrize("io", IO_TYPES)
    def test_equal_models_give_equal_files(self, tmp_path: Path, tool: str, io: str) -> None:
        """Two exports into different folders hold the same bytes, and no path of this machine."""
        model, options = network(0, "bit", (16, 9, 7, 3)), Hls4mlOptions(tool, io)
        one = cut_files(export(model, tmp_path / "one", options))
        other = cut_files(export(model, tmp_path / "two" / "deeper", options))
        assert one == other
        for name, text in one.items():
            assert str(tmp_path).encode() not in text, name
            assert f"{tempfile.gettempdir()}/qhn2edge-".encode() not in text, name

    @pytest.mark.parametrize("tool", TOOLS)
    def test_project_is_complete(self, tmp_path: Path, tool: str) -> None:
        """A folder holds the model, vectors with the interpreter's logits, and a page with commands."""
        model = network(0, "bit", (16, 9, 7, 3))
        folder = export(model, tmp_path / "out", Hls4mlOptions(tool, part="some-part-1"))
        assert target_of(folder) == "hls4ml"
        assert load_model(folder / "model.json") == model
        x = np.loadtxt(folder / "tb_data/tb_input_features.dat", dtype=np.int64) * 2 - 1
        logits = np.loadtxt(folder / "tb_data/tb_output_predictions.dat", dtype=np.int64)
        assert np.array_equal(logits, interpreter.logits(model, x))
        page = (folder / "README.md").read_text()
        assert model.digest in page
        assert "some-part-1" in page
        assert "bit j, counted from the least significant" in page
        assert "NAME" not in page
        assert ("neither compiled nor compared" in page) == (tool == "oneAPI")
        assert "$" not in page

    def test_part_and_reuse_reach_the_project(self, tmp_path: Path) -> None:
        """The part stands in project.tcl, the reuse factor in parameters.h and on the page."""
        model = network(1, "bit", (64, 32, 10))
        files = cut_files(export(model, tmp_path / "out", Hls4mlOptions(reuse=8, part="xc7z020clg400-1")))
        assert b'set part "xc7z020clg400-1"' in files["project.tcl"]
        assert files["firmware/parameters.h"].count(b"static const unsigned reuse_factor = 8;") == 3
        assert (
            b"| 1 | 64 x 32 | XNOR and popcount | 1 bit | 7 bits | a threshold a unit | 8 |"
            in files["README.md"]
        )


class TestRefusals:
    @pytest.mark.parametrize("activation", [Relu(), TABLE])
    def test_oneapi_has_no_relu_and_no_table(self, tmp_path: Path, activation: Activation) -> None:
        """What cannot be written for oneAPI is refused by layer and reason, and nothing is left behind."""
        model = network(3, "bit", (5, 4, 2), (activation,))
        with pytest.raises(
            ExportError, match=r"^layer 1 has an activation that is not written for oneAPI: got"
        ):
            export(model, tmp_path / "out", Hls4mlOptions("oneAPI"))
        assert not list(tmp_path.iterdir())

    def test_oneapi_has_no_images(self, tmp_path: Path) -> None:
        """A convolution and a pooling are refused for oneAPI by layer, for lack of a compiler to try them."""
        options = Hls4mlOptions("oneAPI")
        conv = image_network("bit", (3, 4, 1), 0, (Sign(), Sign()))
        with pytest.raises(ExportError, match=r"^layer 1 is not written for oneAPI: got a convolution"):
            export(conv, tmp_path / "out", options)
        with pytest.raises(ExportError, match=r"^layer 2 is not written for oneAPI: got a pooling"):
            export(image_of_row(), tmp_path / "out", options)

    def test_pixels_that_do_not_divide_beats_are_refused(self, tmp_path: Path) -> None:
        """In a stream, an image of 3 channels cannot be made of 2 values at a time; as arrays it can."""
        rng = np.random.default_rng(2)
        first = Conv2D(random_dense(rng, 4, 2, SIGNS, Sign()), (4, 4, 1), (2, 2))
        second = Conv2D(random_dense(rng, 3, 2, SIGNS, Sign()), (3, 2, 3), (1, 1))
        last = random_dense(rng, 12, 2, SIGNS, Identity())
        model = Model("m", Input(16, ENCODERS["bit"]), (first, second, last), Head("argmax", ("a", "b")))
        with pytest.raises(ExportError, match=r"^layer 2 cannot be written for --io stream: .*--io parallel"):
            export(model, tmp_path / "out", Hls4mlOptions(io="stream"))
        assert export(model, tmp_path / "out", Hls4mlOptions()).is_dir()

    def test_layers_that_no_tool_unrolls_are_refused(self, tmp_path: Path) -> None:
        """More products at once than can be compiled are refused with the reuse factor that helps."""
        model = network(1, "bit", (1001, 500, 2))
        with pytest.raises(
            ExportError, match=r"layer 1 is too large for --reuse 1: .* Use --reuse 2 or more\."
        ):
            export(model, tmp_path / "out", Hls4mlOptions())

    def test_missing_hls4ml_is_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without hls4ml the message names the extra to install."""
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(
            ExportError, match=r"^hls4ml was not found\. Get it with: pip install 'qhn2edge\[hls\]'"
        ):
            export(network(0, "bit", (4, 2)), tmp_path / "out", Hls4mlOptions())

    @pytest.mark.parametrize(
        "options",
        [{"backend": "vitis"}, {"io": "serial"}, {"reuse": 0}, {"reuse": 10**7}, {"part": 'x"; exec rm'}],
    )
    def test_impossible_options_are_refused(self, options: dict[str, str]) -> None:
        """Options outside their ranges are errors, also a part's name that could end a Tcl string."""
        with pytest.raises(ConfigError):
            Hls4mlOptions(**options)  # type: ignore[arg-type]  # wrong on purpose

    def test_the_backend_names_its_extra(self) -> None:
        """The registry says which extra the target needs."""
        assert BACKENDS["hls4ml"].needs == ("hls",)


@dataclass(frozen=True)
class Range:
    """A range and the type that holds it."""

    low: int
    high: int
    width: int
    signed: bool


class TestPlan:
    @pytest.mark.parametrize(
        "case",
        [
            Range(0, 0, 2, signed=False),
            Range(0, 1, 2, signed=False),
            Range(0, 256, 9, signed=False),
            Range(-1, 0, 2, signed=True),
            Range(-128, 127, 8, signed=True),
            Range(-129, 0, 9, signed=True),
            Range(-1, 128, 9, signed=True),
        ],
    )
    def test_types_are_as_wide_as_needed(self, case: Range) -> None:
        """A type holds its range and no bit more; one unsigned bit is kept for -1 and +1."""
        assert integer_for(case.low, case.high) == Integer(case.width, case.signed)

    def test_thresholds_that_no_sum_reaches_stay_in_the_type(self) -> None:
        """Biases far outside the sums give thresholds just outside them, which have the same effect."""
        layer = Dense(np.ones((2, 4), np.uint8), np.array([10**6, -(10**6)], np.int32), SIGNS, Sign())
        last = Dense(np.ones((2, 2), np.uint8), np.zeros(2, np.int32), SIGNS, Identity())
        model = Model("m", Input(4, ENCODERS["bit"]), (layer, last), Head("argmax", ("a", "b")))
        plan = plan_layers(model)[0]
        assert isinstance(plan, LayerPlan)
        assert plan.thresholds.tolist() == [-4, 5]
        assert (plan.data, plan.weight, plan.out) == (XNOR, XNOR, XNOR)
        assert plan.result == Integer(4, signed=True)

    def test_weights_of_two_bits_never_hold_minus_two(self) -> None:
        """hls4ml takes weights of two bits for -1, 0 and +1, so levels with -2 get three."""
        for levels, width in (((-2, 1), 3), ((-1, 0), 2), ((0, 1), 2), ((-3, 1), 3)):
            model = network(3, "uint8", (5, 2), levels=(levels,))
            (plan,) = plan_layers(model)
            assert isinstance(plan, LayerPlan)
            assert plan.weight == Integer(width, signed=True)
