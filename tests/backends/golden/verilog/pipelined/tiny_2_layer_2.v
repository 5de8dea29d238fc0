`default_nettype none

// Layer 2: 4 inputs, 3 units, weights -3 and 1, relu.
module tiny_2_layer_2 (
  input  wire i_clk,
  input  wire i_en,  // high: all registers move
  input  wire [3:0] i_x,
  output wire [6:0] o_y
);

  // the number of ones among two bits
  function [1:0] count2(input a, input b);
    count2 = {a & b, a ^ b};
  endfunction

  // ---- stage 1 of 3
  wire [1:0] c0 = count2(~i_x[0], ~i_x[1]);
  wire [1:0] c1 = count2(i_x[2], i_x[3]);
  reg [2:0] s2;
  reg [3:2] x_1;
  reg [1:0] c0_1;
  reg [1:0] c1_1;
  always @(posedge i_clk) if (i_en) begin
    s2 <= {1'b0, c1} + {1'b0, ~c0};  // common to units, and 1
    x_1 <= i_x[3:2];
    c0_1 <= c0;
    c1_1 <= c1;
  end

  // ---- stage 2 of 3
  wire [3:0] s3 = {~c1_1, 2'b00} + {1'b0, s2};  // common to units, and 1
  reg [3:0] s4;
  reg [3:2] x_2;
  reg [1:0] c0_2;
  always @(posedge i_clk) if (i_en) begin
    s4 <= s3 + 4'd2;  // common to units, and 1
    x_2 <= x_1[3:2];
    c0_2 <= c0_1;
  end

  // ---- stage 3 of 3
  wire [2:0] s5 = s4[2:0] + {x_2[3], 2'b01};  // unit 0
  wire [3:0] s6 = s4 + {c0_2, 2'b00};  // unit 1
  wire [2:0] s7 = s4[2:0] + {x_2[2], 2'b00};  // unit 2
  reg [1:0] r8;
  reg [2:0] r9;
  reg [1:0] r10;
  always @(posedge i_clk) if (i_en) begin
    r8 <= {2{~s5[2]}} & s5[1:0];  // unit 0
    r9 <= {3{~s6[3]}} & s6[2:0];  // unit 1
    r10 <= {2{~s7[2]}} & s7[1:0];  // unit 2
  end

  assign o_y = {r10, r9, r8};
endmodule

`default_nettype wire
