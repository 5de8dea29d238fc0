`default_nettype none

// Layer 3: 3 inputs, 2 units, weights 0 and 1, table.
module tiny_2_layer_3 (
  input  wire i_clk,
  input  wire i_en,  // high: all registers move
  input  wire [6:0] i_x,
  output wire [7:0] o_y
);

  function [3:0] table0(input [1:0] a);
    case (a)
      2'd0: table0 = 4'd0;
      2'd1: table0 = 4'd4;
      2'd2: table0 = 4'd7;
      default: table0 = 4'd10;
    endcase
  endfunction

  function [3:0] table1(input [2:0] a);
    case (a)
      3'd0: table1 = 4'd0;
      3'd1: table1 = 4'd4;
      3'd2: table1 = 4'd7;
      3'd3: table1 = 4'd10;
      default: table1 = 4'd14;
    endcase
  endfunction

  // ---- stage 1 of 2
  wire [3:0] s0 = {2'b00, i_x[6:5]} + {1'b0, i_x[4:2]};
  reg [3:0] s1;
  reg [3:0] y2;
  always @(posedge i_clk) if (i_en) begin
    s1 <= 4'd13 + s0;  // unit 1
    y2 <= table0(i_x[1:0]);  // unit 0
  end

  // ---- stage 2 of 2
  wire [2:0] t3 = s1[3] ? 3'd0 : s1[2:0] > 3'd4 ? 3'd4 : s1[2:0];  // unit 1
  reg [3:0] y4;
  reg [3:0] y2_2;
  always @(posedge i_clk) if (i_en) begin
    y4 <= table1(t3);  // unit 1
    y2_2 <= y2;
  end

  assign o_y = {y4, y2_2};
endmodule

`default_nettype wire
