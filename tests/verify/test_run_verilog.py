"""The runner of the Verilog export: exact on what is exported, strict about folders, and it finds faults."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from strategies import random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_stream import StreamShape
from qhn2edge.cli import cli
from qhn2edge.data.encoder import Encoder
from qhn2edge.emulators import verilator as tools
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.layers import Identity, Sign
from qhn2edge.model import Head, Input, Model, save_model
from qhn2edge.verify import run_verilog, verify_model, verilator
from qhn2edge.verify.runners import RUNNERS


def small_model() -> Model:
    """Return a network of 11 bits, checked on all its inputs."""
    rng = np.random.default_rng(4)
    layers = (random_dense(rng, 11, 6, (-1, 1), Sign()), random_dense(rng, 6, 3, (-1, 1), Identity()))
    return Model("small", Input(11, Encoder.bits()), layers, Head("argmax", ("a", "b", "c")))


def export(model: Model, folder: Path, style: str) -> Path:
    """Export a model in a style."""
    return export_model(model, "verilog", folder, options=VerilogOptions(style))


@pytest.mark.usefixtures("verilator_tools")
class TestRun:
    def test_a_fresh_export_is_exact(self) -> None:
        """Without a folder the model is exported anew, and all of its inputs agree."""
        report = verify_model(small_model(), backends=["verilog"])
        (backend,) = report.certificate.backends
        assert (backend.name, backend.status, backend.n_vectors) == ("verilog", "exact", 2048)
        assert report.exact
        assert backend.versions is not None
        assert "erilator" in backend.versions["verilator"]

    @pytest.mark.parametrize(
        ("style", "file"), [("serial", "small_weights.hex"), ("pipelined", "small_layer_1.v")]
    )
    def test_a_fault_in_a_folder_is_found(self, tmp_path: Path, style: str, file: str) -> None:
        """The files of the folder are run as they are: a changed weight or adder shows, with its vector."""
        model = small_model()
        path = export(model, tmp_path / "out", style) / file
        text = path.read_text()
        if style == "serial":
            lines = text.splitlines()
            lines[0] = f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}"
            path.write_text("\n".join(lines) + "\n")
        else:
            path.write_text(text.replace("~i_x[", "i_x[", 1))
        report = verify_model(model, artifacts=tmp_path / "out")
        (mismatch,) = report.mismatches
        assert not report.exact
        x = mismatch.x[None, :]
        assert mismatch.expected_logits.tolist() == interpreter.logits(model, x)[0].tolist()
        assert mismatch.got_logits.tolist() != mismatch.expected_logits.tolist()
        assert mismatch.layers == ()

    def test_verify_command_knows_the_folder(self, tmp_path: Path) -> None:
        """``verify --artifacts`` of a Verilog folder runs Verilog, not C."""
        model = small_model()
        path = save_model(model, tmp_path / "m.json")
        folder = export(model, tmp_path / "out", "combinational")
        result = CliRunner().invoke(
            cli, ["verify", str(path), "--artifacts", str(folder), "--json", "--quiet"]
        )
        assert result.exit_code == 0, result.output
        assert [backend["name"] for backend in json.loads(result.output)["backends"]] == ["verilog"]


class TestRefusals:
    def test_another_model(self, tmp_path: Path) -> None:
        """A folder of another model proves nothing and is refused."""
        model = small_model()
        folder = export(model, tmp_path / "out", "pipelined")
        other = replace(
            model,
            layers=(
                replace(model.dense_layers[0], bias=model.dense_layers[0].bias + 1),
                model.dense_layers[1],
            ),
        )
        with pytest.raises(ExportError, match="missing or of another model"):
            run_verilog.run(other, random_inputs(other, 5, 0), folder)

    @pytest.mark.parametrize("name", ["small_layer_2.v", "qhn_valid.v"])
    def test_missing_files(self, tmp_path: Path, name: str) -> None:
        """A folder without one of its sources is refused by name."""
        model = small_model()
        folder = export(model, tmp_path / "out", "pipelined")
        (folder / name).unlink()
        with pytest.raises(ExportError, match=f"lacks files of the Verilog export: got {name}"):
            run_verilog.run(model, random_inputs(model, 5, 0), folder)

    def test_unknown_style_in_the_folder(self, tmp_path: Path) -> None:
        """A top module that does not say its style is refused."""
        model = small_model()
        top = export(model, tmp_path / "out", "pipelined") / "small_binn.v"
        top.write_text(top.read_text().replace("// Style: pipelined", "// Style: fast"))
        with pytest.raises(ExportError, match="does not say its style: got fast"):
            run_verilog.run(model, random_inputs(model, 5, 0), top.parent)

    def test_missing_tools_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without Verilator the runner says how to get it, and a check lists it as missing."""

        def none() -> tools.Verilator:
            raise ToolError("Verilator was not found", next_step=tools.GET_VERILATOR)

        monkeypatch.setattr(tools, "find_verilator", none)
        missing = RUNNERS["verilog"].missing()
        assert missing is not None
        assert "pip install 'qhn2edge[fpga]'" in missing
        report = verify_model(small_model(), backends=["verilog"])
        assert report.certificate.backends[0].status == "missing"


LIAR = """
module {name}_binn (
  input wire i_clk, input wire i_rst,
  input wire [7:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
  output wire [15:0] m_axis_tdata, output wire m_axis_tvalid, output wire m_axis_tlast,
  input wire m_axis_tready
);
  reg [7:0] held, clock;
  reg full;
  assign s_axis_tready = {ready};
  assign m_axis_tvalid = full;
  assign m_axis_tdata = {{8'd0, {data}}};
  assign m_axis_tlast = {last};
  always @(posedge i_clk) begin
    clock <= clock + 8'd1;
    if (i_rst) full <= 1'b0;
    else if (s_axis_tvalid && s_axis_tready) begin
      held <= s_axis_tdata;
      full <= 1'b1;
    end else if (m_axis_tready) full <= 1'b0;
  end
endmodule
"""
LIARS = {
    "a waiting output changed": ("!full", "held ^ clock", "1'b1"),
    "tlast is wrong": ("!full", "held", "1'b0"),
    "nothing moves any more": ("1'b0", "held", "1'b1"),
}


@pytest.fixture(scope="module")
def liars(tmp_path_factory: pytest.TempPathFactory, verilator_tools: None) -> verilator.Simulation:
    """One simulation of designs that break the rules of their streams."""
    folder = tmp_path_factory.mktemp("liars")
    source, designs, texts = folder / "liars.v", [], []
    for number, (ready, data, last) in enumerate(LIARS.values()):
        texts.append(LIAR.format(name=f"liar{number}", ready=ready, data=data, last=last))
        designs.append(verilator.Design(f"liar{number}_binn", StreamShape("uint8", 1, 1, 1, 1, 2)))
    source.write_text("".join(texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verilator, "_PATIENCE_CYCLES", 1000)
        return verilator.build([source], designs, folder)


@pytest.mark.parametrize("index", range(len(LIARS)), ids=list(LIARS))
def test_broken_rules_are_named(liars: verilator.Simulation, index: int) -> None:
    """Outputs that change while they wait, a wrong tlast, and a standstill are errors with their cycle."""
    rule = list(LIARS)[index]
    with pytest.raises(ToolError, match=f"simulation of liar{index}_binn failed: .*{rule} in cycle"):
        liars.run(index, np.arange(50)[:, None], stall_percent=50)
