`default_nettype none

// tiny-2: 10 -> 4 -> 3 -> 2 -> 3, a result every clock, 11 clocks after its input.
// Style: pipelined
// Model digest: sha256:ff7dab065dd7d633d0eddb65a58689ffa9d3e9526a5cc109f1572213eb97297e
//
// Streams as in AXI4-Stream: a beat moves when tvalid and tready are both high at a rising edge of i_clk.
//   s_axis  one beat a vector: feature j is bit j, 0 for -1 and 1 for +1; unused bits are ignored
//   m_axis  one beat a result: from bit 0 on: class index, then 3 logits in two's complement, 8 bits each
module tiny_2_binn (
  input  wire i_clk,
  input  wire i_rst,  // synchronous, high: forgets what is under way

  input  wire [15:0] s_axis_tdata,
  input  wire s_axis_tvalid,
  output wire s_axis_tready,

  output wire [31:0] m_axis_tdata,
  output wire m_axis_tvalid,
  output wire m_axis_tlast,
  input  wire m_axis_tready
);
  wire [9:0] x = s_axis_tdata[9:0];
  wire en;

  qhn_valid #(.STAGES(11)) stages (
    .i_clk(i_clk), .i_rst(i_rst), .o_en(en),
    .s_tvalid(s_axis_tvalid), .s_tready(s_axis_tready),
    .m_tvalid(m_axis_tvalid), .m_tready(m_axis_tready)
  );

  wire [3:0] y1;
  tiny_2_layer_1 layer_1 (.i_clk(i_clk), .i_en(en), .i_x(x), .o_y(y1));

  wire [6:0] y2;
  tiny_2_layer_2 layer_2 (.i_clk(i_clk), .i_en(en), .i_x(y1), .o_y(y2));

  wire [7:0] y3;
  tiny_2_layer_3 layer_3 (.i_clk(i_clk), .i_en(en), .i_x(y2), .o_y(y3));

  wire [15:0] y4;
  tiny_2_layer_4 layer_4 (.i_clk(i_clk), .i_en(en), .i_x(y3), .o_y(y4));

  wire [17:0] best;
  tiny_2_head head (.i_clk(i_clk), .i_en(en), .i_x(y4), .o_y(best));

  assign m_axis_tdata = {
    {{2{best[17]}}, best[17:12]},  // logit 2
    {{3{best[11]}}, best[11:7]},  // logit 1
    {{3{best[6]}}, best[6:2]},  // logit 0
    {6'd0, best[1:0]}  // class index
  };
  assign m_axis_tlast = 1'b1;

  wire unused = &{1'b0, s_axis_tdata[15:10]};
endmodule

`default_nettype wire
