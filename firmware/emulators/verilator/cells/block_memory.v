// A block memory with two ports, of 2,048 lanes of 8 or 9 bits. A word is 4, 2 or 1 lanes, or 4, 2 or 1 of the lower
// 8 bits of a lane. An address counts bits of lanes of 8; of a word of several lanes its lowest bits say which of
// them are written. What a port shows when it writes: 0 what it showed, 1 the new word, 2 the old word.
module qhn_block_memory #(
  parameter LANE = 9,
  parameter A_WIDTH = 36, B_WIDTH = 36,
  parameter A_MODE = 0, B_MODE = 0,
  parameter [2048*LANE-1:0] INIT = 0
) (
  input  a_clk, a_on, a_write, a_reset,
  input  [13:0] a_address,
  input  [4*LANE-1:0] a_data,
  output reg [4*LANE-1:0] a_word,
  input  b_clk, b_on, b_write, b_reset,
  input  [13:0] b_address,
  input  [4*LANE-1:0] b_data,
  output reg [4*LANE-1:0] b_word
);
  localparam WIDE = 4 * LANE;

  reg [2048*LANE+WIDE-1:0] bits;  // with a word more, so that none reaches beyond the end

  // The first bit of the word at an address.
  function integer first(input integer width, input [13:0] address);
    case (width)
      4 * LANE: first = LANE * {21'd0, address[13:5], 2'd0};
      2 * LANE: first = LANE * {21'd0, address[13:4], 1'd0};
      LANE:     first = LANE * {21'd0, address[13:3]};
      4:        first = LANE * {21'd0, address[13:3]} + {29'd0, address[2], 2'd0};
      2:        first = LANE * {21'd0, address[13:3]} + {29'd0, address[2:1], 1'd0};
      default:  first = LANE * {21'd0, address[13:3]} + {29'd0, address[2:0]};
    endcase
  endfunction

  // Ones where a write reaches, from the first bit of the word on.
  function [WIDE-1:0] mask(input integer width, input [13:0] address);
    case (width)
      4 * LANE: mask = {{LANE{address[3]}}, {LANE{address[2]}}, {LANE{address[1]}}, {LANE{address[0]}}};
      2 * LANE: mask = {{(2 * LANE){1'b0}}, {LANE{address[1]}}, {LANE{address[0]}}};
      default:  mask = (1 << width) - 1;
    endcase
  endfunction

  // What a word holds before it is written; bits above it are zero.
  function [WIDE-1:0] old(input integer width, input [13:0] address);
    old = bits[first(width, address) +: WIDE] & ({WIDE{1'b1}} >> (WIDE - width));
  endfunction

  function [WIDE-1:0] merged(input [WIDE-1:0] chosen, input [WIDE-1:0] data, input [WIDE-1:0] kept);
    merged = (data & chosen) | (kept & ~chosen);
  endfunction

  initial begin
    bits = INIT;
    a_word = 0;
    b_word = 0;
  end
  wire [WIDE-1:0] a_old = old(A_WIDTH, a_address);
  wire [WIDE-1:0] a_new = merged(mask(A_WIDTH, a_address), a_data, a_old);

  always @(posedge a_clk) begin
    if (a_on && a_write) bits[first(A_WIDTH, a_address) +: A_WIDTH] <= a_new[A_WIDTH-1:0];
    if (a_reset) a_word <= 0;
    else if (a_on && a_write && A_MODE == 1) a_word <= a_new;
    else if (a_on && (!a_write || A_MODE == 2)) a_word <= a_old;
  end

  wire [WIDE-1:0] b_old = old(B_WIDTH, b_address);
  wire [WIDE-1:0] b_new = merged(mask(B_WIDTH, b_address), b_data, b_old);

  always @(posedge b_clk) begin
    if (b_on && b_write) bits[first(B_WIDTH, b_address) +: B_WIDTH] <= b_new[B_WIDTH-1:0];
    if (b_reset) b_word <= 0;
    else if (b_on && b_write && B_MODE == 1) b_word <= b_new;
    else if (b_on && (!b_write || B_MODE == 2)) b_word <= b_old;
  end
endmodule
