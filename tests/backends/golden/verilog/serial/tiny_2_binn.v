`default_nettype none

// tiny-2: 10 -> 4 -> 3 -> 2 -> 3, folded over time, 1 unit at a time, 16 weights of each a clock.
// Style: serial
// Model digest: sha256:ff7dab065dd7d633d0eddb65a58689ffa9d3e9526a5cc109f1572213eb97297e
//
// Streams as in AXI4-Stream: a beat moves when tvalid and tready are both high at a rising edge of i_clk.
//   s_axis  one beat a vector: feature j is bit j, 0 for -1 and 1 for +1; unused bits are ignored
//   m_axis  4 beats a result: class index, then 3 logits in two's complement, 16 bits each
module tiny_2_binn (
  input  wire i_clk,
  input  wire i_rst,  // synchronous, high: forgets what is under way

  input  wire [15:0] s_axis_tdata,
  input  wire s_axis_tvalid,
  output wire s_axis_tready,

  output wire [15:0] m_axis_tdata,
  output wire m_axis_tvalid,
  output wire m_axis_tlast,
  input  wire m_axis_tready
);
  wire [15:0] s_data = s_axis_tdata;
  wire [3:0] weight_address;
  wire [15:0] weights;
  wire [1:0] layer;
  wire [5:0] sum;
  wire add, use_value, is_total, is_first;

  // ---- what each layer needs

  reg [2:0] x_first, x_last, y_first, y_words;
  reg [1:0] groups;
  reg [0:0] words;
  reg [3:0] slots;
  reg [5:0] y_planes;
  reg first_is_total, is_last;

  always @*
    case (layer)
      2'd0: begin
        x_first = 3'd0;
        x_last = 3'd0;
        groups = 2'd3;
        words = 1'd0;
        slots = 4'd4;
        y_first = 3'd3;
        y_words = 3'd1;
        y_planes = 6'd0;
        first_is_total = 1'd0;
        is_last = 1'd0;
      end
      2'd1: begin
        x_first = 3'd3;
        x_last = 3'd3;
        groups = 2'd3;
        words = 1'd0;
        slots = 4'd4;
        y_first = 3'd0;
        y_words = 3'd1;
        y_planes = 6'd2;
        first_is_total = 1'd1;
        is_last = 1'd0;
      end
      2'd2: begin
        x_first = 3'd0;
        x_last = 3'd2;
        groups = 2'd2;
        words = 1'd0;
        slots = 4'd3;
        y_first = 3'd3;
        y_words = 3'd1;
        y_planes = 6'd3;
        first_is_total = 1'd1;
        is_last = 1'd0;
      end
      default: begin
        x_first = 3'd3;
        x_last = 3'd6;
        groups = 2'd2;
        words = 1'd0;
        slots = 4'd3;
        y_first = 3'd0;
        y_words = 3'd1;
        y_planes = 6'd0;
        first_is_total = 1'd0;
        is_last = 1'd1;
      end
    endcase

  qhn_rom #(
    .WIDTH(16), .DEPTH(14), .ADDRESS_BITS(4), .FILE("tiny_2_weights.hex")
  ) weight_memory (.i_clk(i_clk), .i_address(weight_address), .o_data(weights));

  // ---- from sums to accumulators and values
  reg [3:0] slot;  // counts all sums of a vector
  always @(posedge i_clk)
    if (i_rst || (m_axis_tvalid && m_axis_tlast)) slot <= 4'd0;
    else if (add) slot <= slot + 1'b1;

  wire [4:0] bias;
  qhn_rom #(
    .WIDTH(5), .DEPTH(14), .ADDRESS_BITS(4),
    .IN_LOGIC(1), .FILE("tiny_2_biases.hex")
  ) bias_memory (.i_clk(i_clk), .i_address(slot), .o_data(bias));

  reg [5:0] a;
  reg [5:0] total;  // what inputs add to each unit of the layer
  always @(posedge i_clk) if (use_value && is_total) total <= (layer == 2'd0 ? 6'd0 : (layer == 2'd1 ? 6'd63 * {sum[4:0], 1'd0} : (layer == 2'd2 ? sum : 6'd0)));
  always @(posedge i_clk) if (add) a <= (layer == 2'd0 ? {sum[4:0], 1'd0} : (layer == 2'd1 ? {sum[3:0], 2'd0} : sum)) + {{1{bias[4]}}, bias} + (first_is_total ? total : 6'd0);

  wire [2:0] entry = (a[5] ? 3'd0 : a[4:1] > 4'd4 ? 3'd4 : 3'd0 + a[3:1]);
  wire [3:0] looked_up;
  qhn_rom #(
    .WIDTH(4), .DEPTH(5), .ADDRESS_BITS(3),
    .FILE("tiny_2_tables.hex")
  ) tables (.i_clk(i_clk), .i_address(entry), .o_data(looked_up));
  wire [3:0] value = layer == 2'd0 ? {~a[5], 3'd0} :
    layer == 2'd1 ? {({3{~a[5]}} & (a[3:1] | {3{|a[4:4]}})), 1'd0} :
    looked_up;

  wire [15:0] logit = {{10{a[5]}}, a[5:0]};
  reg [1:0] label, number;
  reg [5:0] best;
  wire better = is_first || $signed(a) > $signed(best);
  always @(posedge i_clk)
    if (use_value && is_last && !is_total) begin
      number <= is_first ? 2'd1 : number + 1'b1;
      if (better) best <= a;
      if (better) label <= is_first ? 2'd0 : number;
    end
  wire unused = &{1'b0, is_total, is_first, sum, bias, a};  // not every model needs every bit

  // ---- the engine

  qhn_serial #(
    .UNITS(1),
    .SUM_BITS(6),
    .PLANES(4),
    .X_WORDS(7),
    .X_BITS(3),
    .W_BITS(4),
    .LAYER_BITS(2),
    .GROUP_BITS(2),
    .WORD_BITS(1),
    .SLOT_BITS(4),
    .LOAD_BITS(1),
    .LOADS(1),
    .LOAD_WORDS(1),
    .LOAD_PLANES(1),
    .LOAD_MASK(16'h03ff),
    .RESULT_FIRST(0),
    .RESULTS(3),
    .LABEL_BITS(2),
    .FIELD_WORDS(1),
    .RESULT_WAIT(1)
  ) engine (
    .i_clk(i_clk), .i_rst(i_rst),
    .s_axis_tdata(s_data), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tlast(m_axis_tlast),
    .m_axis_tready(m_axis_tready),
    .o_w(weight_address), .i_w(weights), .o_layer(layer),
    .i_x_first(x_first), .i_x_last(x_last), .i_groups(groups), .i_words(words), .i_slots(slots),
    .i_y_first(y_first), .i_y_words(y_words), .i_y_planes(y_planes),
    .i_first_is_total(first_is_total), .i_is_last(is_last),
    .o_sum(sum), .o_add(add), .o_use(use_value), .o_total(is_total), .o_first(is_first),
    .i_value(value), .i_logit(logit), .i_label(label)
  );
endmodule

`default_nettype wire
