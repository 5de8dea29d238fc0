`default_nettype none

// The clock of a design: that of the board's oscillator.
module qhn_clock_pin (
  input  wire i_clk,
  output wire o_clk
);
  assign o_clk = i_clk;
endmodule

`default_nettype wire
