// Cells of an iCE40 of which yosys knows the ports only. Source: iCECube2 technology library, "SB_HFOSC".
// A module that is not there refuses, by its name, what is not modelled.

// The oscillator of an iCE40 UltraPlus: the simulated clock is its 48 MHz after division by 4.
module SB_HFOSC #(
  parameter TRIM_EN = "0b0",
  parameter CLKHF_DIV = "0b00"
) (
  input  TRIM0, TRIM1, TRIM2, TRIM3, TRIM4, TRIM5, TRIM6, TRIM7, TRIM8, TRIM9,
  input  CLKHFPU, CLKHFEN,
  output CLKHF
);
  generate
    if (CLKHF_DIV == "0b10" && TRIM_EN == "0b0") begin : modelled
      assign CLKHF = harness.clk & CLKHFPU & CLKHFEN;
    end else begin : other
      SB_HFOSC_is_modelled_as_divided_by_4_only refused ();
    end
  endgenerate
endmodule
