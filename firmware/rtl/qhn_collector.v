`default_nettype none

// Turns values that come one by one into words of 16 bits, one for each bit plane, highest plane first.
//
// The first of 16 values ends in bit 0. Values are aligned at the highest bit: o_word is the plane of that bit, and each
// i_step moves the next lower plane there.
module qhn_collector #(
  parameter PLANES = 1
) (
  input  wire i_clk,
  input  wire i_put,
  input  wire [PLANES-1:0] i_value,
  input  wire i_step,
  output wire [15:0] o_word
);
  reg [15:0] planes [0:PLANES-1];

  assign o_word = planes[PLANES-1];

  genvar p;
  generate
    for (p = 0; p < PLANES; p = p + 1) begin : plane
      if (p == 0) begin : lowest
        always @(posedge i_clk) if (i_put) planes[p] <= {i_value[p], planes[p][15:1]};
      end else begin : other
        always @(posedge i_clk)
          if (i_put) planes[p] <= {i_value[p], planes[p][15:1]};
          else if (i_step) planes[p] <= planes[p-1];
      end
    end
    if (PLANES == 1) begin : one
      wire unused = &{1'b0, i_step};
    end
  endgenerate
endmodule

`default_nettype wire
