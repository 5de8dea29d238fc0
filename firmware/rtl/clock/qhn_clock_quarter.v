`default_nettype none

// The clock of a design: a fourth of that of the board's oscillator, by two flip-flops.
module qhn_clock_quarter (
  input  wire i_clk,
  output wire o_clk
);
  reg half, quarter;

  assign o_clk = quarter;

  initial begin
    half = 1'b0;
    quarter = 1'b0;
  end

  always @(posedge i_clk) begin
    half <= !half;
    quarter <= quarter ^ half;
  end
endmodule

`default_nettype wire
