`default_nettype none

// The image engine: UNITS units side by side work through convolutions, poolings and dense layers, which are
// convolutions with one window.
//
// An image lies in a memory pixel by pixel: bits as words of 16 channels, integers as a word each. A clock reads one word
// of a window, and what weights each unit has for it: 16 bits from one memory, or one bit from another. With the weights
// as bits (1: the higher level) and inputs of p bits, every unit's sum is
//
//   sum = sum over the window of (weight is 1 ? input : 2^p - 1 - input).
//
// Sums leave one a clock. What turns a sum into an accumulator and a value differs from model to model and lies outside:
//
//   clock       o_add     o_use, o_logit
//   sum         valid
//   accumulator           valid (registered when o_add is high, and held)
//   value                 i_value (RESULT_WAIT clocks later than without), i_logit
//
// Of a pixel outside the image, i_pad is read; or, where i_skips is high, nothing is added up. Either way o_fix is high
// once, so that what is missing can be added to the accumulators; o_take begins a new count of these.
//
// A vector is loaded, worked through, and its result is sent, before the next one is loaded.
module qhn_image #(
  parameter UNITS = 1,
  parameter SUM_BITS = 8,
  parameter WIDTH = 16,          // of a word of the memory, at least 16
  parameter VALUE_BITS = 1,      // of an integer
  parameter HAS_BITS = 1,        // there are images of bits
  parameter HAS_VALUES = 0,      // there are images of integers
  parameter HAS_POOLS = 0,       // 1: poolings of bits, 2: of integers, 3: of both
  parameter PADDED = 0,
  parameter X_WORDS = 256,       // of the memory of images and results
  parameter X_BITS = 8,
  parameter W_BITS = 8,
  parameter LAYER_BITS = 1,
  parameter RUN_BITS = 4,
  parameter ROW_BITS = 2,
  parameter GROUP_BITS = 4,
  parameter POSITION_BITS = 4,
  parameter PAUSE_BITS = 4,
  parameter PIXEL_BITS = 6,
  parameter WORD_BITS = 2,
  parameter SLOT_BITS = 8,
  parameter CHANNEL_BITS = 4,
  parameter LOAD_BITS = 8,
  parameter LOADS = 1,           // features of an input vector
  parameter LOAD_CHANNELS = 1,   // of a pixel, less one
  parameter LOAD_WIDTH = 16,     // 16: a beat is 16 bits; 8: a beat is an integer
  parameter RESULT_FIRST = 0,    // where the logits begin in the memory
  parameter RESULTS = 1,         // logits
  parameter LABEL_BITS = 1,
  parameter FIELD_WORDS = 1,     // beats of a field of the result: 1 or 2
  parameter RESULT_WAIT = 0,     // 1: i_value comes a clock later
  parameter LOGIT_WAIT = 0       // i_logit comes this many clocks later than o_use, up to 62
) (
  input  wire i_clk,
  input  wire i_rst,

  input  wire [LOAD_WIDTH-1:0] s_axis_tdata,
  input  wire s_axis_tvalid,
  output wire s_axis_tready,

  output wire [15:0] m_axis_tdata,
  output wire m_axis_tvalid,
  output wire m_axis_tlast,
  input  wire m_axis_tready,

  // the weights, a clock after their address
  output wire [W_BITS-1:0] o_w,
  input  wire [16*UNITS-1:0] i_w,           // of layers on bits; the places of a pooling's smallest values
  input  wire [UNITS-1:0] i_v,              // of layers on integers; whether a pooling takes the smallest

  // what the present layer needs: see qhn_windows
  output wire [LAYER_BITS-1:0] o_layer,
  input  wire [X_BITS-1:0] i_x_first,
  input  wire [X_BITS-1:0] i_x_step,
  input  wire [X_BITS-1:0] i_x_row,
  input  wire [X_BITS-1:0] i_x_group,
  input  wire [X_BITS-1:0] i_x_column,
  input  wire [X_BITS-1:0] i_x_line,
  input  wire [W_BITS-1:0] i_w_first,
  input  wire [RUN_BITS-1:0] i_run,
  input  wire [ROW_BITS-1:0] i_rows,
  input  wire [GROUP_BITS-1:0] i_groups,
  input  wire [POSITION_BITS-1:0] i_columns,
  input  wire [POSITION_BITS-1:0] i_lines,
  input  wire [PAUSE_BITS-1:0] i_pause,
  input  wire [WORD_BITS-1:0] i_words,
  input  wire [PIXEL_BITS-1:0] i_left,
  input  wire [PIXEL_BITS-1:0] i_top,
  input  wire [PIXEL_BITS-1:0] i_across,
  input  wire [PIXEL_BITS-1:0] i_down,
  input  wire [PIXEL_BITS-1:0] i_width,
  input  wire [PIXEL_BITS-1:0] i_height,

  input  wire i_is_pool,
  input  wire i_minimum,                    // which takes the smallest of some channels
  input  wire i_is_value,                   // its inputs are integers
  input  wire [WIDTH-1:0] i_pad,
  input  wire i_skips,
  input  wire [SLOT_BITS-1:0] i_slots,      // sums of a window, less one
  input  wire [X_BITS-1:0] i_y_first,       // where its values go
  input  wire i_y_is_value,                 // they are integers
  input  wire [CHANNEL_BITS-1:0] i_y_channels, // of them in a pixel, less one
  input  wire i_first_is_total,             // a window's first sum is not a unit's
  input  wire i_is_last,

  // finishing
  output wire [SUM_BITS-1:0] o_sum,
  output wire o_add,
  output wire o_ends,                       // ... for the last sum of a window
  output wire o_use,                        // the accumulator is there
  output wire o_total,                      // ... from a sum that is not a unit's
  output wire o_logit,                      // the logit is taken
  output wire o_first,                      // ... and is the first
  output wire o_setup,                      // a layer begins
  output wire o_take,
  output wire o_fix,
  input  wire [VALUE_BITS-1:0] i_value,
  input  wire [16*FIELD_WORDS-1:0] i_logit,
  input  wire [LABEL_BITS-1:0] i_label
);
  localparam [1:0] LOAD = 2'd0, RUN = 2'd1, SEND = 2'd2;
  localparam LEFT_BITS = $clog2(UNITS + 1);
  localparam integer RESULT_WORDS = RESULTS * FIELD_WORDS;
  localparam integer SUM_CLOCKS = LOGIT_WAIT + FIELD_WORDS;  // that a sum of the last layer takes

  reg [1:0] phase;

  // ---- reading

  wire setup, read, first, last, outside, pixel, done, busy;
  wire [X_BITS-1:0] x_address;
  wire loaded;

  assign o_setup = setup;

  qhn_windows #(
    .X_BITS(X_BITS), .W_BITS(W_BITS), .LAYER_BITS(LAYER_BITS), .RUN_BITS(RUN_BITS), .ROW_BITS(ROW_BITS),
    .GROUP_BITS(GROUP_BITS), .POSITION_BITS(POSITION_BITS), .PAUSE_BITS(PAUSE_BITS),
    .PADDED(PADDED), .PIXEL_BITS(PIXEL_BITS), .WORD_BITS(WORD_BITS)
  ) windows (
    .i_clk(i_clk), .i_rst(i_rst), .i_start(loaded), .i_busy(busy), .o_layer(o_layer),
    .i_x_first(i_x_first), .i_x_step(i_x_step), .i_x_row(i_x_row), .i_x_group(i_x_group),
    .i_x_column(i_x_column), .i_x_line(i_x_line), .i_w_first(i_w_first),
    .i_run(i_run), .i_rows(i_rows), .i_groups(i_groups), .i_columns(i_columns), .i_lines(i_lines),
    .i_pause(i_pause), .i_is_last(i_is_last), .i_words(i_words), .i_left(i_left), .i_top(i_top),
    .i_across(i_across), .i_down(i_down), .i_width(i_width), .i_height(i_height),
    .o_x(x_address), .o_w(o_w), .o_setup(setup), .o_read(read), .o_first(first), .o_last(last),
    .o_outside(outside), .o_pixel(pixel), .o_done(done)
  );

  reg [3:1] adds;
  reg [4:1] lasts;
  reg [2:1] is_first;  // pools only
  reg [2:1] reads;

  wire skipped = (PADDED != 0 && outside && i_skips) || (HAS_POOLS != 0 && i_is_pool);

  always @(posedge i_clk) begin
    reads <= i_rst ? 2'd0 : {reads[1], read};
    adds <= i_rst ? 3'd0 : {adds[2:1], read && !skipped};
    lasts <= i_rst ? 4'd0 : {lasts[3:1], last};
    is_first <= {is_first[1], first};
  end

  wire [WIDTH-1:0] stored_word, x_word;

  generate
    if (PADDED != 0) begin : padded
      reg was_outside;
      reg [3:1] fixes;
      always @(posedge i_clk) begin
        was_outside <= outside;
        fixes <= i_rst ? 3'd0 : {fixes[2:1], read && outside && pixel};
      end
      assign x_word = was_outside ? i_pad : stored_word;
      assign o_fix = fixes[3];
    end else begin : unpadded
      wire unused = &{1'b0, outside, pixel, i_pad, i_skips};
      assign x_word = stored_word;
      assign o_fix = 1'b0;
    end
  endgenerate

  // ---- adding up

  wire is_value = HAS_VALUES != 0 && (HAS_BITS == 0 || i_is_value);
  wire take = lasts[4] && !(HAS_POOLS != 0 && i_is_pool);
  wire [SUM_BITS*(UNITS+1)-1:0] drained;
  wire [VALUE_BITS-1:0] value_word;
  wire [UNITS-1:0] value_weights;

  assign drained[SUM_BITS*UNITS +: SUM_BITS] = {SUM_BITS{1'b0}};
  assign o_sum = drained[SUM_BITS-1:0];
  assign o_take = take || i_rst;

  generate
    if (HAS_VALUES != 0) begin : delayed
      reg [VALUE_BITS-1:0] value_1, value_2;
      reg [UNITS-1:0] weights_1, weights_2;
      always @(posedge i_clk) begin
        {value_2, value_1} <= {value_1, x_word[VALUE_BITS-1:0]};
        {weights_2, weights_1} <= {weights_1, i_v};
      end
      assign value_word = value_2;
      assign value_weights = weights_2;
    end else begin : none
      wire unused = &{1'b0, i_v, i_is_value};
      assign value_word = {VALUE_BITS{1'b0}};
      assign value_weights = {UNITS{1'b0}};
    end
  endgenerate

  genvar u;
  generate
    for (u = 0; u < UNITS; u = u + 1) begin : units
      qhn_tap #(
        .SUM_BITS(SUM_BITS), .HAS_BITS(HAS_BITS), .HAS_VALUES(HAS_VALUES), .VALUE_BITS(VALUE_BITS)
      ) tap (
        .i_clk(i_clk), .i_x(x_word[15:0]), .i_w(i_w[16*u +: 16]),
        .i_value(value_word), .i_weight(value_weights[u]), .i_is_value(is_value),
        .i_add(adds[3]), .i_take(o_take), .i_shift(o_add),
        .i_above(drained[SUM_BITS*(u+1) +: SUM_BITS]), .o_drained(drained[SUM_BITS*u +: SUM_BITS])
      );
    end
  endgenerate

  // ---- working off the sums

  reg [LEFT_BITS-1:0] in_group;   // sums of the group still to be worked off
  reg [SLOT_BITS-1:0] left;       // sums of the window still to be worked off, less one
  reg [5:0] tick;                 // clocks until the next sum
  reg [RESULT_WAIT:0] uses;
  reg was_total;

  wire is_total = i_first_is_total && left == i_slots;

  assign o_add = in_group != {LEFT_BITS{1'b0}} && tick == 6'd0;
  assign o_ends = left == {SLOT_BITS{1'b0}};
  assign o_use = uses[0];
  assign o_total = was_total;

  always @(posedge i_clk) begin
    if (i_rst) in_group <= {LEFT_BITS{1'b0}};
    else if (take) in_group <= UNITS[LEFT_BITS-1:0];
    else if (o_add) in_group <= o_ends ? {LEFT_BITS{1'b0}} : in_group - 1'b1;

    if (setup || (o_add && o_ends)) left <= i_slots;
    else if (o_add) left <= left - 1'b1;

    if (i_rst || take) tick <= 6'd0;
    else if (o_add && i_is_last) tick <= SUM_CLOCKS[5:0] - 6'd1;
    else if (tick != 6'd0) tick <= tick - 6'd1;

    if (o_add) was_total <= is_total;
  end

  generate
    if (RESULT_WAIT != 0) begin : waits
      always @(posedge i_clk) uses <= i_rst ? 2'd0 : {uses[0] && !i_is_last && !was_total, o_add};
    end else begin : at_once
      always @(posedge i_clk) uses <= !i_rst && o_add;
    end
  endgenerate

  wire makes_value = RESULT_WAIT != 0 ? uses[RESULT_WAIT] : uses[0] && !i_is_last && !was_total;
  wire makes_logit = uses[0] && i_is_last && !was_total;

  // ---- logits

  reg [5:0] waiting;
  reg high;       // the upper half of a logit is stored
  reg is_logit_1; // no logit was stored

  assign o_logit = LOGIT_WAIT == 0 ? makes_logit : waiting == 6'd1;
  assign o_first = is_logit_1;

  always @(posedge i_clk) begin
    if (i_rst) waiting <= 6'd0;
    else if (makes_logit) waiting <= LOGIT_WAIT[5:0];
    else if (waiting != 6'd0) waiting <= waiting - 6'd1;
    high <= !i_rst && o_logit && FIELD_WORDS == 2;
    is_logit_1 <= setup || (is_logit_1 && !o_logit);
  end

  assign busy = lasts != 4'd0 || in_group != {LEFT_BITS{1'b0}} || uses != {RESULT_WAIT+1{1'b0}} || waiting != 6'd0 || high;

  // ---- poolings

  wire [WIDTH-1:0] pooled;
  wire stores_pooled = HAS_POOLS != 0 && i_is_pool && lasts[3];

  generate
    if (HAS_POOLS != 0) begin : pools
      reg [WIDTH-1:0] word;
      reg [15:0] minimum;
      always @(posedge i_clk) begin
        word <= stored_word;
        minimum <= !i_minimum ? 16'd0 : is_value ? {15'd0, i_v[0]} : i_w[15:0];
      end
      // A clock later, so that the way through the comparison begins at a register.
      qhn_largest #(.WIDTH(WIDTH), .HAS_BITS(HAS_POOLS % 2), .HAS_VALUES(HAS_POOLS / 2)) largest (
        .i_clk(i_clk), .i_word(word), .i_minimum(minimum), .i_is_value(is_value),
        .i_put(reads[2]), .i_first(is_first[2]), .o_word(pooled)
      );
    end else begin : no_pools
      wire unused = &{1'b0, first, reads, is_first, i_is_pool, i_minimum};
      assign pooled = {WIDTH{1'b0}};
    end
  endgenerate

  // ---- loading

  reg [LOAD_BITS-1:0] loads;  // features still to come
  wire puts_feature;
  wire [VALUE_BITS-1:0] feature;
  wire no_loads = loads == {LOAD_BITS{1'b0}};

  generate
    if (LOAD_WIDTH == 16) begin : bits
      reg [15:0] beat;
      reg [3:0] beat_left;
      reg shifting;
      always @(posedge i_clk)
        if (i_rst) shifting <= 1'b0;
        else if (s_axis_tvalid && s_axis_tready) begin
          shifting <= 1'b1;
          beat <= s_axis_tdata;
          beat_left <= 4'd15;
        end else if (shifting) begin
          shifting <= beat_left != 4'd0 && loads != {{LOAD_BITS-1{1'b0}}, 1'b1};
          beat <= beat >> 1;
          beat_left <= beat_left - 4'd1;
        end
      assign puts_feature = shifting;
      assign s_axis_tready = phase == LOAD && !shifting && !no_loads;
      if (VALUE_BITS > 1) begin : wide
        assign feature = {{VALUE_BITS-1{1'b0}}, beat[0]};
      end else begin : one
        assign feature = beat[0];
      end
    end else begin : bytes
      assign puts_feature = s_axis_tvalid && s_axis_tready;
      assign s_axis_tready = phase == LOAD && !no_loads;
      if (VALUE_BITS > 8) begin : wide
        assign feature = {{VALUE_BITS-8{1'b0}}, s_axis_tdata};
      end else begin : eight
        assign feature = s_axis_tdata;
      end
    end
  endgenerate

  assign loaded = phase == LOAD && no_loads;

  // ---- the memory of images and results

  reg [X_BITS-1:0] row;  // where the next word is stored, or read when sending
  wire loading = phase == LOAD;
  wire completes;
  wire [WIDTH-1:0] made, logit_word, stored;
  wire [15:0] logit_half = high ? i_logit[16*FIELD_WORDS-1 -: 16] : i_logit[15:0];
  wire stores = completes || stores_pooled || o_logit || high;

  qhn_lanes #(
    .WIDTH(WIDTH), .VALUE_BITS(VALUE_BITS), .HAS_BITS(HAS_BITS), .CHANNEL_BITS(CHANNEL_BITS)
  ) lanes (
    .i_clk(i_clk), .i_clear(i_rst || setup || phase == SEND),
    .i_put(puts_feature || makes_value), .i_value(loading ? feature : i_value),
    .i_is_value(loading ? LOAD_WIDTH != 16 : i_y_is_value),
    .i_channels(phase == RUN && !i_rst ? i_y_channels : LOAD_CHANNELS[CHANNEL_BITS-1:0]),  // reset: loads next
    .o_word(made), .o_complete(completes)
  );

  generate
    if (WIDTH > 16) begin : wide
      assign logit_word = {{WIDTH-16{1'b0}}, logit_half};
    end else begin : narrow
      assign logit_word = logit_half;
    end
  endgenerate

  assign stored = o_logit || high ? logit_word : stores_pooled ? pooled : made;

  qhn_ram #(.WIDTH(WIDTH), .DEPTH(X_WORDS), .ADDRESS_BITS(X_BITS)) memory (
    .i_clk(i_clk), .i_write(stores), .i_write_address(row), .i_data(stored),
    .i_read_address(phase == SEND ? row : x_address), .o_data(stored_word)
  );

  // ---- the streams

  reg ready;
  reg [1:0] label_left;  // beats of the class index still to be sent
  wire gives = m_axis_tvalid && m_axis_tready;
  wire at_end = row == RESULT_FIRST[X_BITS-1:0] + RESULT_WORDS[X_BITS-1:0] - 1'b1;

  assign m_axis_tvalid = phase == SEND && ready;
  assign m_axis_tlast = label_left == 2'd0 && at_end;
  assign m_axis_tdata =
    label_left == 2'd0 ? stored_word[15:0] :
    label_left == FIELD_WORDS[1:0] ? {{16-LABEL_BITS{1'b0}}, i_label} : 16'd0;

  always @(posedge i_clk)
    if (i_rst) phase <= LOAD;
    else
      case (phase)
        LOAD: if (loaded) phase <= RUN;
        RUN: if (done) phase <= SEND;
        default: if (gives && m_axis_tlast) phase <= LOAD;
      endcase

  always @(posedge i_clk)
    if (i_rst || phase == SEND) loads <= LOADS[LOAD_BITS-1:0];
    else if (puts_feature) loads <= loads - 1'b1;

  always @(posedge i_clk)
    if (i_rst || (gives && m_axis_tlast)) row <= {X_BITS{1'b0}};
    else if (done) row <= RESULT_FIRST[X_BITS-1:0];
    else if (setup) row <= i_y_first;
    else if (stores || (gives && label_left == 2'd0)) row <= row + 1'b1;

  always @(posedge i_clk) begin
    ready <= !i_rst && phase == SEND && !(gives && label_left == 2'd0);
    if (phase != SEND) label_left <= FIELD_WORDS[1:0];
    else if (gives && label_left != 2'd0) label_left <= label_left - 2'd1;
  end
endmodule

`default_nettype wire
