"""Every backend of small models is proved, every planted fault is found, and nothing else is ever said."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import absent
from proof_cases import all_inputs, byte_model, differs, mixed_model, proved, sign_model

from qhn2edge.backends import export_model
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.cli import cli
from qhn2edge.errors import ConfigError, ToolError
from qhn2edge.layers import Dense, Table
from qhn2edge.model import Model, save_model
from qhn2edge.verify.proving import diagrams, work
from qhn2edge.verify.proving.products import PRODUCTS
from qhn2edge.verify.proving.proofs import prove_model
from qhn2edge.verify.proving.reference import Reference
from qhn2edge.verify.proving.work import Job, decided

pytest.importorskip("dd.cudd")

KINDS = [
    ("c", ""),
    ("onnx", ""),
    ("verilog", "combinational"),
    ("verilog", "pipelined"),
    ("verilog", "serial"),
    ("verilog-ice40", "pipelined"),
]


def need(name: str) -> None:
    """Skip, or fail in CI, where the files of a kind cannot be made."""
    lack = PRODUCTS[name].missing()
    if lack is not None:
        absent(lack)


def with_layer(model: Model, number: int, **changed: object) -> Model:
    """Return a model with something of one layer changed."""
    layers = list(model.dense_layers)
    old = layers[number]
    given = {
        "weights_bin": old.weights_bin,
        "bias": old.bias,
        "levels": old.levels,
        "activation": old.activation,
    }
    layers[number] = Dense(**{**given, **changed})  # type: ignore[arg-type]
    return replace(model, layers=tuple(layers))


def faults(model: Model) -> list[Model]:
    """Return models with one fault each: a weight bit, a bias, a table entry, a threshold."""
    found = []
    for number, layer in enumerate(model.dense_layers):
        bits = layer.weights_bin.copy()
        bits[-1, 0] ^= 1
        bias = layer.bias.copy()
        bias[0] += 1  # of a layer of signs it is the threshold
        found += [with_layer(model, number, weights_bin=bits), with_layer(model, number, bias=bias)]
        if isinstance(layer.activation, Table):
            values = list(layer.activation.values)
            values[1] += 1
            table = Table(layer.activation.low, tuple(values), "sigmoid")
            found.append(with_layer(model, number, activation=table))
    return found


class TestWholeNetworks:
    @pytest.mark.parametrize(("name", "style"), KINDS)
    def test_sound_files_are_proved(self, name: str, style: str) -> None:
        """The files of networks with every kind of layer and input are proved, from any state at power-up."""
        need(name)
        # The serial design of bytes takes half a minute, and synthesis seconds.
        few = style == "serial" or name == "verilog-ice40"
        for model in (mixed_model(),) if few else (mixed_model(), byte_model()):
            found = proved(model, name, style=style)
            assert (found["verdict"], found["method"]) == ("proved", "whole network"), found
            assert "power-up" not in json.dumps(found["assumptions"])

    @pytest.mark.parametrize(("name", "style"), [k for k in KINDS if k[1] not in {"combinational", "serial"}])
    def test_every_fault_is_found(self, name: str, style: str) -> None:
        """Files with one fault are refuted, by inputs for which they do differ, or proved where none does."""
        need(name)
        model = mixed_model()
        x = all_inputs(model)
        n_refuted = 0
        planted = faults(model)
        for fault in planted[:2] if name == "verilog-ice40" else planted[::2] if style else planted:
            found = proved(model, name, style=style, made_of=fault)
            changed = differs(model, fault, x).any()
            assert found["verdict"] == ("counter-example" if changed else "proved"), found
            if changed:
                n_refuted += 1
                reached = np.array(found["candidates"])
                assert differs(model, fault, reached).all()
        assert n_refuted >= 1


class TestLayers:
    @pytest.mark.parametrize(("name", "style"), [k for k in KINDS if k[1] != "serial"])
    def test_sound_files_are_proved(self, name: str, style: str) -> None:
        """A network of more inputs is proved layer by layer; whole, where synthesis loses its layers."""
        need(name)
        found = proved(sign_model((20, 6, 3)), name, style=style)
        method = "whole network" if name == "verilog-ice40" else "layer by layer"
        assert (found["verdict"], found["method"]) == ("proved", method), found

    @pytest.mark.parametrize(("name", "style"), [KINDS[1], KINDS[3]])
    @pytest.mark.parametrize("number", [0, 1])
    def test_a_fault_is_followed_to_an_input(self, name: str, style: str, number: int) -> None:
        """A fault in any layer ends in inputs of the network, some of which show it."""
        need(name)
        model = sign_model((30, 6, 3))
        bits = model.dense_layers[number].weights_bin.copy()
        bits[1, 2] ^= 1
        fault = with_layer(model, number, weights_bin=bits)
        found = proved(model, name, style=style, made_of=fault)
        assert found["verdict"] == "counter-example", found
        assert differs(model, fault, np.array(found["candidates"])).any()

    def test_small_memory_decides_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Diagrams that outgrow their memory end in "not decided", with that reason."""

        def prove(_job: Job, reference: Reference) -> None:
            d = reference.d  # equality of two words is exponential where one stands above the other
            a, b = (tuple(d.variable(f"{name}{i}") for i in range(30)) for name in "ab")
            d.unlike(a, b)

        monkeypatch.setattr(work, "_prove", prove)
        save_model(mixed_model(), tmp_path / "model.json")
        found = decided(Job(str(tmp_path / "model.json"), "ranges", "", "", 30 * 2**20), mixed_model())
        assert (found["verdict"], found["text"]) == ("not decided", "the diagrams outgrew 30 MiB")


class TestProveModel:
    def test_results(self) -> None:
        """Backends are proved in processes of their own, with their tools and digests."""
        need("c")
        ranges, c = prove_model(mixed_model(), ["ranges", "c"])
        assert (ranges.verdict, c.verdict, c.n_compared) == ("proved", "proved", 4)
        assert c.files_digest is not None
        assert "dd" in c.versions
        assert c.counter_example is None

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("a >= 0", "a > 0"),
            ("LAYER_1_WEIGHTS[4] = {\n    0x000000", "LAYER_1_WEIGHTS[4] = {\n    0x000001"),
        ],
    )
    def test_a_counter_example_in_c_was_run(self, tmp_path: Path, old: str, new: str) -> None:
        """A fault in the files of a folder is shown with an input for which their program was wrong."""
        need("c")
        model = mixed_model()
        folder = export_model(model, "c", tmp_path / "out")
        path = folder / "mixed.c"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        (proof,) = prove_model(model, ["c"], artifacts={"c": folder})
        assert proof.verdict == "counter-example", proof
        example = proof.counter_example
        assert example is not None
        assert example.ran == "the exported c"
        assert (example.got_logits != example.expected_logits).any()
        assert f"expected label {example.expected_label}" in str(example)

    @pytest.mark.usefixtures("verilator_tools")
    def test_a_counter_example_in_verilog_was_run(self, tmp_path: Path) -> None:
        """A changed gate is shown with an input for which the design in Verilator was wrong."""
        need("verilog")
        model = mixed_model()
        options = VerilogOptions("combinational")
        folder = export_model(model, "verilog", tmp_path / "out", options=options)
        path = folder / "mixed_layer_1.v"
        text = path.read_text()
        assert "~i_x[" in text
        path.write_text(text.replace("~i_x[", "i_x[", 1))
        (proof,) = prove_model(model, ["verilog"], artifacts={"verilog": folder})
        assert proof.verdict == "counter-example", proof
        assert proof.counter_example is not None
        assert proof.counter_example.ran == "the exported verilog"

    def test_time_is_kept(self) -> None:
        """When the time is over, that is what is said, within two seconds."""
        need("c")
        start = time.monotonic()
        (proof,) = prove_model(sign_model((784, 128, 10)), ["c"], seconds=3)
        assert time.monotonic() - start < 5
        assert proof.verdict == "not decided"
        assert proof.text.startswith("not within 3 s (")

    def test_impossible_requests(self) -> None:
        """Unknown backends and impossible times are refused."""
        with pytest.raises(ConfigError, match="nothing to prove by this name: got vhdl"):
            prove_model(mixed_model(), ["vhdl"])
        with pytest.raises(ConfigError, match="expected seconds above 0"):
            prove_model(mixed_model(), ["ranges"], seconds=0)

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without dd one clear line names the extra."""
        monkeypatch.setitem(sys.modules, "dd.cudd", None)
        assert "pip install 'qhn2edge[prove]'" in (diagrams.missing() or "")
        with pytest.raises(ToolError, match=r"pip install 'qhn2edge\[prove\]'"):
            prove_model(mixed_model(), ["ranges"])


def test_command_line(tmp_path: Path) -> None:
    """``verify --prove`` adds a table and the certificate's proofs; a counter-example is exit code 1."""
    need("c")
    path = save_model(mixed_model(), tmp_path / "m.json")
    out = tmp_path / "certificate.json"
    words = ["verify", str(path), "--backend", "c", "--prove", "--out", str(out), "--quiet"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "the model's, for every input" in done.output
    certificate = json.loads(out.read_text())
    assert certificate["version"] == 2
    assert [(p["backend"], p["verdict"]) for p in certificate["proofs"]] == [("c", "proved")]
    refused = CliRunner().invoke(cli, [*words[:2], "--prove", "--backend", "vhdl"])
    assert isinstance(refused.exception, ConfigError)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a child ends with its parent on Linux")
def test_a_proof_ends_with_its_parent(tmp_path: Path) -> None:
    """Where the process that asked for a proof is killed, the one that makes it ends too."""
    path = save_model(sign_model((300, 40, 10)), tmp_path / "m.json")
    code = (
        "from qhn2edge.model import load_model\n"
        "from qhn2edge.verify.proving.proofs import prove_model\n"
        f"prove_model(load_model({str(path)!r}), ['ranges'], say=lambda text: print(text, flush=True))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = iter(parent.stdout)
        while "layer by layer" not in next(lines):  # the first word of the process that proves
            pass
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        parent.kill()
    assert len(children) == 1
    deadline = time.monotonic() + 5
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{children[0]}").exists()
