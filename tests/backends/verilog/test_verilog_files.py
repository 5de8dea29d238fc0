"""The files of an export: golden text, equal exports, names, options, and what the page says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from verilog_builds import library_files
from verilog_models import sign_model, tiny_model

from qhn2edge import modelfile
from qhn2edge.backends import export_model
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.to_verilog import chosen_style, design_of, emit, levels_for, verilog_files
from qhn2edge.backends.verilog_accumulator import AccumulatorDesign, suits_accumulator
from qhn2edge.backends.verilog_options import STYLES, VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.cli import cli
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ConfigError, ExportError
from qhn2edge.model import Head, Input, Model, save_model
from qhn2edge.storage import new_folder

GOLDEN = Path(__file__).parent.parent / "golden" / "verilog"
GOLDEN_FILES = {
    "pipelined": (
        "tiny_2_binn.v",
        *(f"tiny_2_layer_{i}.v" for i in (1, 2, 3, 4)),
        "tiny_2_head.v",
        "README.md",
    ),
    "combinational": ("tiny_2_binn.v", "tiny_2_layer_1.v"),
    "serial": ("tiny_2_binn.v", "tiny_2_weights.hex", "tiny_2_biases.hex", "tiny_2_tables.hex", "README.md"),
}
HOSTILE = ("*/ endmodule", '`include "x"', "a|b\n# c", "<script>", "\\", "Ωμέγα \ud800", "; evil();")


def export(model: Model, folder: Path, style: str | None) -> Path:
    """Export a model in a style into a new folder."""
    return export_model(model, "verilog", folder, options=VerilogOptions(style))


class TestGolden:
    @pytest.mark.parametrize(
        ("style", "name"), [(style, name) for style, names in GOLDEN_FILES.items() for name in names]
    )
    def test_text_is_the_golden_text(self, tmp_path: Path, style: str, name: str) -> None:
        """The text of a small model changes only on purpose (copy the new files here and read the diff)."""
        folder = export(tiny_model(), tmp_path / "out", style)
        assert (folder / name).read_text("ascii") == (GOLDEN / style / name).read_text("ascii")

    @pytest.mark.parametrize("style", STYLES)
    def test_two_exports_are_equal(self, tmp_path: Path, style: str) -> None:
        """Every byte of every file depends on the model and the options only."""
        folders = [export(tiny_model(), tmp_path / name, style) for name in "ab"]
        first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        assert first == second
        assert modelfile.read(folders[0] / "model.json") == tiny_model()


class TestFiles:
    @pytest.mark.parametrize("style", STYLES)
    def test_emit_names_its_files(self, tmp_path: Path, style: str) -> None:
        """The names that are returned are the files that are there, and the page lists the sources."""
        with new_folder(tmp_path / "out") as folder:
            names = emit(tiny_model(), folder, VerilogOptions(style))
            assert sorted(names) == sorted(path.name for path in folder.iterdir())
            page = (folder / "README.md").read_text()
        sources = verilog_files(tiny_model(), VerilogOptions(style)).sources
        assert sources[0] == "tiny_2_binn.v"
        assert all(f"| `{name}` |" in page for name in sources)

    @pytest.mark.parametrize("style", STYLES)
    def test_sources_are_plain(self, tmp_path: Path, style: str) -> None:
        """One module a file, no implicit nets, no line over 120, nothing but ASCII, no tabs."""
        folder = export(sign_model((40, 9, 4)), tmp_path / "out", style)
        for path in [*folder.glob("*.v"), *library_files()]:
            text = path.read_text("ascii")
            assert text.startswith("`default_nettype none\n")
            assert text.endswith("`default_nettype wire\n")
            assert re.findall(r"(?m)^module (\w+)", text) == [path.stem]
            assert "\t" not in text
            assert not re.search(r"(?m)[ ]$", text)

    def test_no_latches_and_no_initial_values(self) -> None:
        """The library starts from reset: the only initial block fills a memory that is never written."""
        for path in library_files():
            text = path.read_text()
            assert path.stem == "qhn_rom" or "initial" not in text
            assert not re.search(r"(?m)^\s*reg [^;]*=", text)

    def test_class_names_stay_in_the_page(self, tmp_path: Path) -> None:
        """Hostile class names reach no Verilog, and cannot break the page."""
        layer = sign_model((4, 7)).layers[0]
        model = Model("m", Input(4, Encoder.bits()), (layer,), Head("argmax", HOSTILE))
        folder = export(model, tmp_path / "out", "pipelined")
        for path in folder.glob("*.v"):
            assert all(name not in path.read_text("ascii") for name in HOSTILE if len(name) > 1)
        (line,) = [li for li in (folder / "README.md").read_text().splitlines() if "Class indices" in li]
        assert not set("<>|`") & set(line)

    @pytest.mark.parametrize("style", STYLES)
    def test_page_tells_latency_and_digest(self, tmp_path: Path, style: str) -> None:
        """The page holds the digest, the latency of the design, and the commands to simulate it."""
        model = sign_model((40, 9, 4))
        page = (export(model, tmp_path / "out", style) / "README.md").read_text()
        design = design_of(model, VerilogOptions(style))
        latency = design.latency_cycles if isinstance(design, ParallelDesign) else design.n_cycles
        assert model.digest in page
        assert f"| latency | {latency:,} clock" in page
        assert "verilator --binary --timing" in page
        assert "$" not in page


class TestOptions:
    def test_wrong_values_are_refused(self) -> None:
        """An unknown style and an impossible clock are one line each."""
        with pytest.raises(ConfigError, match="unknown style: got fast, expected one of combinational"):
            VerilogOptions("fast")
        for clock in (0.0, -1.0, 1e9, float("nan")):
            with pytest.raises(ConfigError, match="the clock is impossible"):
                VerilogOptions(clock_mhz=clock)

    @pytest.mark.parametrize(
        ("widths", "style"),
        [((16, 3, 1), "combinational"), ((64, 32, 10), "pipelined"), ((784, 128, 10), "serial")],
    )
    def test_style_suits_the_size(self, widths: tuple[int, ...], style: str) -> None:
        """Without a style, tiny models become logic, small ones pipelines, and large ones serial."""
        assert chosen_style(sign_model(widths), VerilogOptions()) == style

    def test_one_unit_on_bytes_is_an_accumulator(self) -> None:
        """A classifier of 16 bytes is serial without being asked, and needs no memory."""
        model = replace(sign_model((16, 1)), input=Input(16, Encoder.uint8_unit()))
        made = verilog_files(model, VerilogOptions())
        assert isinstance(made.design, AccumulatorDesign)
        assert made.sources == ("net_binn.v", "qhn_accumulator.v")
        assert "| latency | 1 clock from" in made.files["README.md"]
        assert "a result every 18 clocks" in made.files["README.md"]
        assert not suits_accumulator(sign_model((16, 1)))
        assert not suits_accumulator(replace(sign_model((16, 2)), input=model.input))

    def test_levels_fall_with_the_clock(self) -> None:
        """A faster clock leaves fewer levels between registers, and never less than one."""
        levels = [levels_for(clock) for clock in (10.0, 45.0, 120.0, 250.0, 1000.0)]
        assert levels == sorted(levels, reverse=True)
        assert levels[-1] == 1
        assert 3 < levels_for(None) < 4

    def test_too_large_for_logic(self) -> None:
        """A model with a million weights is refused as logic, with the style that takes it."""
        model = sign_model((2000, 600, 2))
        with pytest.raises(
            ExportError, match="too large for style pipelined: got 1,201,200 weights"
        ) as caught:
            design_of(model, VerilogOptions("pipelined"))
        assert "--style serial" in str(caught.value)

    def test_options_of_another_target_mean_nothing(self, tmp_path: Path) -> None:
        """Options for C leave a Verilog export at its defaults."""
        model = sign_model((16, 1))
        first = export_model(model, "verilog", tmp_path / "a", options=COptions(optimize="size"))
        second = export_model(model, "verilog", tmp_path / "b")
        assert (first / "net_binn.v").read_text() == (second / "net_binn.v").read_text()


class TestCommand:
    def test_export_takes_style_and_clock(self, tmp_path: Path) -> None:
        """``export --target verilog --style --clock-mhz`` writes that design."""
        path = save_model(sign_model((40, 9, 4)), tmp_path / "m.json")
        arguments = ["export", str(path), "--target", "verilog", "--json", "--out"]
        out = [str(tmp_path / name) for name in "abc"]
        assert CliRunner().invoke(cli, [*arguments, out[0], "--style", "serial"]).exit_code == 0
        fast = CliRunner().invoke(cli, [*arguments, out[1], "--style", "pipelined", "--clock-mhz", "300"])
        assert CliRunner().invoke(cli, [*arguments, out[2], "--style", "pipelined"]).exit_code == 0
        assert json.loads(fast.output)["folder"] == out[1]
        styles = [re.search(r"// Style: (\w+)", (Path(f) / "net_binn.v").read_text()) for f in out]
        assert [style and style[1] for style in styles] == ["serial", "pipelined", "pipelined"]
        latencies = [
            re.search(r"latency \| (\d+)", (Path(f) / "README.md").read_text()) for f in (out[1], out[2])
        ]
        assert latencies[0] and latencies[1] and int(latencies[0][1]) > int(latencies[1][1])

    def test_style_is_for_verilog(self, tmp_path: Path) -> None:
        """Asking C for a style is an error that says so."""
        path = save_model(sign_model((16, 1)), tmp_path / "m.json")
        result = CliRunner().invoke(
            cli, ["export", str(path), "--style", "serial", "--out", str(tmp_path / "o")]
        )
        assert result.exit_code != 0
        assert "--style is for --target verilog" in str(result.exception or result.output)
