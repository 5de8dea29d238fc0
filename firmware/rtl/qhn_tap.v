`default_nettype none

// One of the units of the image engine: counts agreements of 16 weights with 16 bits a clock, or takes one integer a clock
// (as it is where its weight is 1, complemented where it is 0), and adds up.
//
// i_x and i_w enter two clocks before the i_add that adds their count; i_value and i_weight in that clock.
//
//   i_take  i_add   total becomes     drained becomes
//     1       -       0                 total
//     0       1       total + addend    as i_shift says
//     0       0       total             i_above if i_shift, else drained
module qhn_tap #(
  parameter SUM_BITS = 16,   // at least 6, at least VALUE_BITS
  parameter HAS_BITS = 1,
  parameter HAS_VALUES = 0,
  parameter VALUE_BITS = 1
) (
  input  wire i_clk,
  input  wire [15:0] i_x,
  input  wire [15:0] i_w,
  input  wire [VALUE_BITS-1:0] i_value,
  input  wire i_weight,
  input  wire i_is_value,
  input  wire i_add,
  input  wire i_take,
  input  wire i_shift,
  input  wire [SUM_BITS-1:0] i_above,  // the drained sum of the next unit
  output wire [SUM_BITS-1:0] o_drained
);
  localparam COUNT_BITS = HAS_BITS != 0 && (HAS_VALUES == 0 || VALUE_BITS < 5) ? 5 : VALUE_BITS;

  wire [COUNT_BITS-1:0] addend;
  reg [SUM_BITS-1:0] total, drained;

  generate
    if (HAS_BITS != 0) begin : bits
      wire [4:0] count;
      qhn_match16 match (.i_clk(i_clk), .i_a(i_x), .i_b(i_w), .o_count(count));
      if (HAS_VALUES != 0) begin : both
        wire [COUNT_BITS-1:0] value, wide;
        if (COUNT_BITS > VALUE_BITS) begin : narrow
          assign value = {{COUNT_BITS-VALUE_BITS{1'b0}}, i_value ^ {VALUE_BITS{!i_weight}}};
        end else begin : full
          assign value = i_value ^ {VALUE_BITS{!i_weight}};
        end
        if (COUNT_BITS > 5) begin : more
          assign wide = {{COUNT_BITS-5{1'b0}}, count};
        end else begin : five
          assign wide = count;
        end
        assign addend = i_is_value ? value : wide;
      end else begin : only
        wire unused = &{1'b0, i_value, i_weight, i_is_value};
        assign addend = count;
      end
    end else begin : values
      wire unused = &{1'b0, i_x, i_w, i_is_value};
      assign addend = i_value ^ {VALUE_BITS{!i_weight}};
    end
  endgenerate

  wire [SUM_BITS-1:0] sum;

  generate
    if (SUM_BITS > COUNT_BITS) begin : wider
      assign sum = total + {{SUM_BITS-COUNT_BITS{1'b0}}, addend};
    end else begin : equal
      assign sum = total + addend;
    end
  endgenerate

  always @(posedge i_clk)
    if (i_take) total <= {SUM_BITS{1'b0}};
    else if (i_add) total <= sum;

  always @(posedge i_clk)
    if (i_take) drained <= total;
    else if (i_shift) drained <= i_above;

  assign o_drained = drained;
endmodule

`default_nettype wire
