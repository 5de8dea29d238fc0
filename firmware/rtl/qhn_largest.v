`default_nettype none

// The largest of some words that come one by one, the smallest where i_minimum is 1: of each of 16 bits for itself, or of
// an integer.
//
// i_minimum comes with its word. The result is there the clock after the last word.
module qhn_largest #(
  parameter WIDTH = 16,
  parameter HAS_BITS = 1,
  parameter HAS_VALUES = 0
) (
  input  wire i_clk,
  input  wire [WIDTH-1:0] i_word,
  input  wire [15:0] i_minimum,  // a bit for each bit; bit 0 for an integer
  input  wire i_is_value,
  input  wire i_put,
  input  wire i_first,           // forget what was before
  output wire [WIDTH-1:0] o_word
);
  reg [WIDTH-1:0] best;

  assign o_word = best;

  // With both complemented where the smallest is wanted, the largest is.
  wire [WIDTH-1:0] of_bits, of_value;

  generate
    if (HAS_BITS != 0) begin : bits
      wire [15:0] either = ((best[15:0] ^ i_minimum) | (i_word[15:0] ^ i_minimum)) ^ i_minimum;
      if (WIDTH > 16) begin : wide
        assign of_bits = {{WIDTH-16{1'b0}}, either};
      end else begin : narrow
        assign of_bits = either;
      end
    end else begin : no_bits
      assign of_bits = {WIDTH{1'b0}};
    end
    if (HAS_VALUES != 0) begin : values
      assign of_value = (i_word > best) != i_minimum[0] ? i_word : best;
    end else begin : no_values
      assign of_value = {WIDTH{1'b0}};
    end
  endgenerate

  wire is_value = HAS_BITS == 0 || (HAS_VALUES != 0 && i_is_value);
  wire unused = &{1'b0, i_is_value, i_minimum};

  always @(posedge i_clk) if (i_put) best <= i_first ? i_word : is_value ? of_value : of_bits;
endmodule

`default_nettype wire
