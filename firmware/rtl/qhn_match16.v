`default_nettype none

// Counts in how many of 16 places two words agree, two clocks later: the XNOR-popcount of 16 weights.
//
// A pair of places is one function of four bits for each bit of its count, so the XNOR costs nothing.
module qhn_match16 (
  input  wire i_clk,
  input  wire [15:0] i_a,
  input  wire [15:0] i_b,
  output reg  [4:0] o_count
);
  reg [2:0] quad0, quad1, quad2, quad3;  // 0..4 each

  // {both agree, exactly one agrees}
  function [1:0] pair(input [1:0] a, input [1:0] b);
    pair = {a == b, (a[1] ^ b[1]) ^ (a[0] ^ b[0])};
  endfunction

  always @(posedge i_clk) begin
    quad0 <= {1'b0, pair(i_a[1:0], i_b[1:0])} + {1'b0, pair(i_a[3:2], i_b[3:2])};
    quad1 <= {1'b0, pair(i_a[5:4], i_b[5:4])} + {1'b0, pair(i_a[7:6], i_b[7:6])};
    quad2 <= {1'b0, pair(i_a[9:8], i_b[9:8])} + {1'b0, pair(i_a[11:10], i_b[11:10])};
    quad3 <= {1'b0, pair(i_a[13:12], i_b[13:12])} + {1'b0, pair(i_a[15:14], i_b[15:14])};
    o_count <= ({2'b00, quad0} + {2'b00, quad1}) + ({2'b00, quad2} + {2'b00, quad3});
  end
endmodule

`default_nettype wire
