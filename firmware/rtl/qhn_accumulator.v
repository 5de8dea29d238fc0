`default_nettype none

// One unit with weights -1 and +1 that adds up a feature a beat: a = BIAS + sum w_j x_j.
//
// A subtraction is an addition to the complement, ~a + x = ~(a - x). The register therefore holds a where the next
// weight is +1, and ~a where it is -1; turning the sum over fits into the lookup tables of the adder.
//
//   beat of the result   m_axis_tdata
//   first                1 where a >= 0, else 0
//   second               a in two's complement
module qhn_accumulator #(
  parameter FEATURES = 2,
  parameter COUNT_BITS = 1,
  parameter A_BITS = 9,                     // of the accumulator, 9 to 16
  parameter IS_SIGNED = 0,                  // 1: features are in two's complement
  parameter [FEATURES-1:0] NEGATIVE = 0,    // bit j: the weight of feature j is -1
  parameter [A_BITS-1:0] BIAS = 0
) (
  input  wire i_clk,
  input  wire i_rst,

  input  wire [7:0] s_axis_tdata,
  input  wire s_axis_tvalid,
  output wire s_axis_tready,

  output wire [15:0] m_axis_tdata,
  output wire m_axis_tvalid,
  output wire m_axis_tlast,
  input  wire m_axis_tready
);
  localparam [FEATURES-1:0] CHANGES = NEGATIVE ^ (NEGATIVE >> 1);  // bit j: the weight after feature j has another sign
  localparam [A_BITS-1:0] START = BIAS ^ {A_BITS{NEGATIVE[0]}};
  localparam LAST_FEATURE = FEATURES - 1;

  reg [COUNT_BITS-1:0] count;  // the feature that comes next
  reg [A_BITS-1:0] a;
  reg sending, second;

  wire take = s_axis_tvalid && !sending;
  wire last = count == LAST_FEATURE[COUNT_BITS-1:0];
  wire give = sending && m_axis_tready;
  wire over = i_rst || (give && second);
  wire [A_BITS-1:0] x = {{A_BITS-8{IS_SIGNED != 0 && s_axis_tdata[7]}}, s_axis_tdata};

  always @(posedge i_clk)
    if (over) a <= START;
    else if (take) a <= (a + x) ^ {A_BITS{CHANGES[count]}};

  always @(posedge i_clk)
    if (over) count <= {COUNT_BITS{1'b0}};
    else if (take) count <= count + 1'b1;

  always @(posedge i_clk)
    if (over) sending <= 1'b0;
    else if (take && last) sending <= 1'b1;

  always @(posedge i_clk)
    if (over) second <= 1'b0;
    else if (give) second <= 1'b1;

  assign s_axis_tready = !sending;
  assign m_axis_tvalid = sending;
  assign m_axis_tlast = second;
  assign m_axis_tdata = second ? {{17-A_BITS{a[A_BITS-1]}}, a[A_BITS-2:0]} : {15'd0, !a[A_BITS-1]};
endmodule

`default_nettype wire
