`default_nettype none

// The clock of a design: a fourth of the 48 MHz of the oscillator inside an iCE40 UltraPlus.
module qhn_clock_hfosc (
  output wire o_clk
);
  SB_HFOSC #(.CLKHF_DIV("0b10")) oscillator (.CLKHFPU(1'b1), .CLKHFEN(1'b1), .CLKHF(o_clk));
endmodule

`default_nettype wire
