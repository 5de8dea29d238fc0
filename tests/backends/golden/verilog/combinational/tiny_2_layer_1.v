`default_nettype none

// Layer 1: 10 inputs, 4 units, weights -1 and 1, sign.
module tiny_2_layer_1 (
  input  wire [9:0] i_x,
  output wire [3:0] o_y
);

  // the number of ones among three bits
  function [1:0] count3(input a, input b, input c);
    count3 = {(a & b) | (c & (a ^ b)), a ^ b ^ c};
  endfunction
  wire [1:0] c0 = count3(~i_x[2], i_x[3], i_x[5]);
  wire [1:0] c1 = count3(~i_x[4], i_x[6], i_x[8]);
  wire [1:0] c2 = count3(i_x[9], i_x[8], i_x[5]);
  wire [2:0] s3 = {1'b0, c2} + {2'b00, ~i_x[1]};
  wire [1:0] c4 = count3(i_x[9], i_x[7], ~i_x[1]);
  wire [2:0] s5 = {1'b0, c0} + {1'b0, c1} + {2'b00, ~i_x[0]};
  wire [3:0] s6 = {2'b00, c4} + {1'b0, s5};
  wire [3:0] s7 = ~(s6 + 4'd13);  // common to units, and 2
  wire [3:0] s8 = ~(s6 + 4'd11);  // common to units, and 4
  wire s9 = (~s6 + {s3, 1'b0}) >= 4'd8;  // unit 0
  wire s10 = (s8 + {2'b00, ~i_x[0], 1'b0}) >= 4'd8;  // unit 1
  wire s11 = (s7 + {1'b0, c1, 1'b0}) >= 4'd8;  // unit 2
  wire s12 = (s7 + {1'b0, c0, 1'b1}) >= 4'd8;  // unit 3

  assign o_y = {~s12, ~s11, ~s10, s9};
endmodule

`default_nettype wire
