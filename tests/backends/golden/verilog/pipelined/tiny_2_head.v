`default_nettype none

// Head: the index of the first largest logit, then the logits.
module tiny_2_head (
  input  wire i_clk,
  input  wire i_en,  // high: all registers move
  input  wire [15:0] i_x,
  output wire [17:0] o_y
);

  // ---- stage 1 of 2
  wire ge0 = {~i_x[4], i_x[4:0]} >= {~i_x[9], i_x[9:5]};
  reg [5:0] m1;
  reg [1:0] m2;
  reg [15:0] x_1;
  always @(posedge i_clk) if (i_en) begin
    m1 <= ge0 ? {~i_x[4], i_x[4:0]} : {~i_x[9], i_x[9:5]};
    m2 <= ge0 ? 2'd0 : 2'd1;
    x_1 <= i_x;
  end

  // ---- stage 2 of 2
  wire ge3 = m1 >= {~x_1[15], x_1[14:10]};
  reg [1:0] m4;
  reg [15:0] x_2;
  always @(posedge i_clk) if (i_en) begin
    m4 <= ge3 ? m2 : 2'd2;
    x_2 <= x_1;
  end

  assign o_y = {x_2, m4};
endmodule

`default_nettype wire
