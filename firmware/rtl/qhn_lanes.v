`default_nettype none

// Makes the words of an image in memory from values that come one by one, channel by channel: 16 bits a word, a pixel's
// last word filled up with zeros; or an integer a word.
//
// A word is complete in the clock of its last value.
module qhn_lanes #(
  parameter WIDTH = 16,
  parameter VALUE_BITS = 1,
  parameter HAS_BITS = 1,
  parameter CHANNEL_BITS = 4
) (
  input  wire i_clk,
  input  wire i_clear,                       // begin a word and a pixel
  input  wire i_put,
  input  wire [VALUE_BITS-1:0] i_value,
  input  wire i_is_value,                    // an integer
  input  wire [CHANNEL_BITS-1:0] i_channels, // of a pixel, less one
  output wire [WIDTH-1:0] o_word,
  output wire o_complete
);
  wire [WIDTH+VALUE_BITS-1:0] wide = {{WIDTH{1'b0}}, i_value};
  wire unused = &{1'b0, wide[WIDTH+VALUE_BITS-1:WIDTH]};

  generate
    if (HAS_BITS != 0) begin : bits
      reg [15:0] word;
      reg [3:0] lane;
      reg [CHANNEL_BITS-1:0] left;

      wire pixel_ends = left == {CHANNEL_BITS{1'b0}};
      wire ends = pixel_ends || lane == 4'd15;
      wire [15:0] here = 16'd1 << lane;
      wire [15:0] joined = word | ({16{i_value[0]}} & here);
      wire [WIDTH+15:0] wide_joined = {{WIDTH{1'b0}}, joined};
      wire unused_bits = &{1'b0, wide_joined[WIDTH+15:WIDTH]};

      always @(posedge i_clk)
        if (i_clear) begin
          word <= 16'd0;
          lane <= 4'd0;
          left <= i_channels;
        end else if (i_put) begin
          word <= ends ? 16'd0 : joined;
          lane <= ends ? 4'd0 : lane + 4'd1;
          left <= pixel_ends ? i_channels : left - 1'b1;
        end

      assign o_word = i_is_value ? wide[WIDTH-1:0] : wide_joined[WIDTH-1:0];
      assign o_complete = i_put && (i_is_value || ends);
    end else begin : values
      wire unused_bits = &{1'b0, i_clk, i_clear, i_is_value, i_channels};
      assign o_word = wide[WIDTH-1:0];
      assign o_complete = i_put;
    end
  endgenerate
endmodule

`default_nettype wire
