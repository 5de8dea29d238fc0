`default_nettype none

// One of the units that work side by side: counts agreements of 16 weights with 16 inputs a clock and adds them up.
//
// i_x and i_w enter two clocks before the i_add that adds their count.
//
//   i_take  i_add  i_double   total becomes         drained becomes
//     1       -       -       0                     total
//     0       1       0       total + count         as i_shift says
//     0       1       1       2 total + count       as i_shift says
//     0       0       -       total                 i_above if i_shift, else drained
module qhn_unit #(
  parameter SUM_BITS = 16  // at least 6
) (
  input  wire i_clk,
  input  wire [15:0] i_x,
  input  wire [15:0] i_w,
  input  wire i_add,
  input  wire i_double,
  input  wire i_take,
  input  wire i_shift,
  input  wire [SUM_BITS-1:0] i_above,  // the drained sum of the next unit
  output wire [SUM_BITS-1:0] o_drained
);
  wire [4:0] count;
  reg [SUM_BITS-1:0] total, drained;

  qhn_match16 match (.i_clk(i_clk), .i_a(i_x), .i_b(i_w), .o_count(count));

  wire [SUM_BITS-1:0] doubled = i_double ? {total[SUM_BITS-2:0], 1'b0} : total;

  always @(posedge i_clk)
    if (i_take) total <= {SUM_BITS{1'b0}};
    else if (i_add) total <= doubled + {{SUM_BITS-5{1'b0}}, count};

  always @(posedge i_clk)
    if (i_take) drained <= total;
    else if (i_shift) drained <= i_above;

  assign o_drained = drained;
endmodule

`default_nettype wire
