`default_nettype none

// Scales an accumulator: i_scale * i_a + i_offset, all in two's complement, a bit of the scale a clock, highest first.
//
// i_scale and i_offset are taken with i_load; i_a comes a clock later and stays. The result is there SCALE_BITS + 2 clocks
// after i_load, and stays until the next one.
module qhn_scale #(
  parameter A_BITS = 8,
  parameter SCALE_BITS = 8,
  parameter OFFSET_BITS = 8,
  parameter BITS = 16      // of the result, at least 2; what is above wraps around
) (
  input  wire i_clk,
  input  wire i_load,
  input  wire [A_BITS-1:0] i_a,
  input  wire [SCALE_BITS-1:0] i_scale,
  input  wire [OFFSET_BITS-1:0] i_offset,
  output wire [BITS-1:0] o_scaled
);
  localparam COUNT_BITS = $clog2(SCALE_BITS + 2);
  localparam integer STEPS = SCALE_BITS + 1;

  reg [SCALE_BITS-1:0] scale;
  reg [OFFSET_BITS-1:0] offset;
  reg [COUNT_BITS-1:0] left;  // steps: a bit of the scale each, and at last the offset
  reg [BITS-1:0] sum;
  reg is_sign;                // the highest bit of the scale counts negative

  wire adds_offset = left == {{COUNT_BITS-1{1'b0}}, 1'b1};
  wire [BITS+A_BITS-1:0] wide_a = {{BITS{i_a[A_BITS-1]}}, i_a};
  wire [BITS+OFFSET_BITS-1:0] wide_offset = {{BITS{offset[OFFSET_BITS-1]}}, offset};
  wire [BITS-1:0] addend =
    adds_offset ? wide_offset[BITS-1:0] : scale[SCALE_BITS-1] ? wide_a[BITS-1:0] ^ {BITS{is_sign}} : {BITS{1'b0}};
  wire carry = is_sign && scale[SCALE_BITS-1];

  assign o_scaled = sum;

  wire [BITS-1:0] so_far = adds_offset ? sum : {sum[BITS-2:0], 1'b0};
  wire unused = &{1'b0, wide_a[BITS+A_BITS-1:BITS], wide_offset[BITS+OFFSET_BITS-1:BITS]};

  always @(posedge i_clk)
    if (i_load) begin
      scale <= i_scale;
      offset <= i_offset;
      left <= STEPS[COUNT_BITS-1:0];
      sum <= {BITS{1'b0}};
      is_sign <= 1'b1;
    end else if (left != {COUNT_BITS{1'b0}}) begin
      scale <= scale << 1;
      left <= left - 1'b1;
      sum <= so_far + addend + {{BITS-1{1'b0}}, carry};
      is_sign <= 1'b0;
    end
endmodule

`default_nettype wire
