`default_nettype none

// Layer 4: 2 inputs, 3 units, weights -1 and 1, identity.
module tiny_2_layer_4 (
  input  wire i_clk,
  input  wire i_en,  // high: all registers move
  input  wire [7:0] i_x,
  output wire [15:0] o_y
);

  // ---- stage 1 of 1
  wire [4:0] s0 = {1'b0, i_x[3:0]} + {1'b0, ~i_x[7:4]};
  reg [5:0] s1;
  reg [5:0] s2;
  reg [5:0] s3;
  always @(posedge i_clk) if (i_en) begin
    s1 <= ~({1'b0, s0} + 6'd48);  // common to units, and 15
    s2 <= ~({1'b0, s0} + 6'd47);  // common to units, and 16
    s3 <= ~({1'b0, s0} + 6'd46);  // common to units, and 17
  end

  wire unused = &{1'b0,
      s1[5], s2[5]};

  assign o_y = {s3, ~s1[4:0], s2[4:0]};
endmodule

`default_nettype wire
