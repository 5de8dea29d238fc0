`default_nettype none

// Layer 1: 10 inputs, 4 units, weights -1 and 1, sign.
module tiny_2_layer_1 (
  input  wire i_clk,
  input  wire i_en,  // high: all registers move
  input  wire [9:0] i_x,
  output wire [3:0] o_y
);

  // the number of ones among three bits
  function [1:0] count3(input a, input b, input c);
    count3 = {(a & b) | (c & (a ^ b)), a ^ b ^ c};
  endfunction

  // ---- stage 1 of 3
  wire [1:0] c0 = count3(~i_x[2], i_x[3], i_x[5]);
  wire [1:0] c1 = count3(~i_x[4], i_x[6], i_x[8]);
  wire [1:0] c2 = count3(i_x[9], i_x[8], i_x[5]);
  reg [2:0] s3;
  reg [1:0] c4;
  reg [2:0] s5;
  reg [0:0] x_1;
  reg [1:0] c0_1;
  reg [1:0] c1_1;
  always @(posedge i_clk) if (i_en) begin
    s3 <= {1'b0, c2} + {2'b00, ~i_x[1]};
    c4 <= count3(i_x[9], i_x[7], ~i_x[1]);
    s5 <= {1'b0, c0} + {1'b0, c1} + {2'b00, ~i_x[0]};
    x_1 <= ~i_x[0];
    c0_1 <= c0;
    c1_1 <= c1;
  end

  // ---- stage 2 of 3
  wire [3:0] s6 = {2'b00, c4} + {1'b0, s5};
  reg [3:0] s7;
  reg [3:0] s8;
  reg s9;
  reg [0:0] x_2;
  reg [1:0] c0_2;
  reg [1:0] c1_2;
  always @(posedge i_clk) if (i_en) begin
    s7 <= ~(s6 + 4'd13);  // common to units, and 2
    s8 <= ~(s6 + 4'd11);  // common to units, and 4
    s9 <= (~s6 + {s3, 1'b0}) >= 4'd8;  // unit 0
    x_2 <= x_1[0];
    c0_2 <= c0_1;
    c1_2 <= c1_1;
  end

  // ---- stage 3 of 3
  reg s10;
  reg s11;
  reg s12;
  reg s9_2;
  always @(posedge i_clk) if (i_en) begin
    s10 <= (s8 + {2'b00, x_2[0], 1'b0}) >= 4'd8;  // unit 1
    s11 <= (s7 + {1'b0, c1_2, 1'b0}) >= 4'd8;  // unit 2
    s12 <= (s7 + {1'b0, c0_2, 1'b1}) >= 4'd8;  // unit 3
    s9_2 <= s9;
  end

  assign o_y = {~s12, ~s11, ~s10, s9_2};
endmodule

`default_nettype wire
