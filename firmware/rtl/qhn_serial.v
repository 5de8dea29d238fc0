`default_nettype none

// The serial engine: UNITS units side by side work through a network, 16 inputs of each a clock.
//
// Inputs of a layer lie in a memory as words of 16 bits, bit plane by bit plane (highest first). With the weights as
// bits (1: the higher level), every unit's sum is
//
//   sum = sum over planes of 2^plane * (number of places in which weight and input agree).
//
// Sums leave one by one. What turns a sum into an accumulator and a value differs from model to model and lies outside:
//
//   clock       o_add     o_use
//   sum         valid
//   accumulator           valid (registered when o_add is high, and held)
//   value                 i_value (RESULT_WAIT clocks later than without), i_logit
//
// A vector is loaded, worked through, and its result is sent, before the next one is loaded.
module qhn_serial #(
  parameter UNITS = 1,
  parameter SUM_BITS = 8,
  parameter PLANES = 1,          // the most bit planes of any layer's inputs
  parameter X_WORDS = 256,       // of the memory of inputs and results
  parameter X_BITS = 8,
  parameter W_BITS = 8,
  parameter LAYER_BITS = 1,
  parameter GROUP_BITS = 8,
  parameter WORD_BITS = 8,
  parameter SLOT_BITS = 8,
  parameter LOAD_BITS = 8,
  parameter LOADS = 1,           // beats of an input vector
  parameter LOAD_WORDS = 1,      // words of a plane of the input
  parameter LOAD_PLANES = 1,     // 1: a beat is a word of 16 bits; 8: a beat is a value of 8 bits
  parameter [15:0] LOAD_MASK = 16'hffff,  // places of the last word that hold features
  parameter RESULT_FIRST = 0,    // where the logits begin in the memory
  parameter RESULTS = 1,         // logits
  parameter LABEL_BITS = 1,
  parameter FIELD_WORDS = 1,     // beats of a field of the result: 1 or 2
  parameter RESULT_WAIT = 0      // 1: i_value comes a clock later
) (
  input  wire i_clk,
  input  wire i_rst,

  input  wire [(LOAD_PLANES == 1 ? 16 : 8)-1:0] s_axis_tdata,
  input  wire s_axis_tvalid,
  output wire s_axis_tready,

  output wire [15:0] m_axis_tdata,
  output wire m_axis_tvalid,
  output wire m_axis_tlast,
  input  wire m_axis_tready,

  // the weights, a clock after their address
  output wire [W_BITS-1:0] o_w,
  input  wire [16*UNITS-1:0] i_w,

  // what the present layer needs
  output wire [LAYER_BITS-1:0] o_layer,
  input  wire [X_BITS-1:0] i_x_first,
  input  wire [X_BITS-1:0] i_x_last,
  input  wire [GROUP_BITS-1:0] i_groups,    // less one
  input  wire [WORD_BITS-1:0] i_words,      // of a plane of its inputs, less one
  input  wire [SLOT_BITS-1:0] i_slots,      // sums of the layer
  input  wire [X_BITS-1:0] i_y_first,       // where its values go
  input  wire [X_BITS-1:0] i_y_words,       // words of a plane of its values
  input  wire [5:0] i_y_planes,             // planes of its values less one
  input  wire i_first_is_total,             // the first sum is not a unit's
  input  wire i_is_last,

  // finishing
  output wire [SUM_BITS-1:0] o_sum,
  output wire o_add,
  output wire o_use,                        // the value, or the logit, is taken
  output wire o_total,                      // ... from a sum that is not a unit's
  output wire o_first,                      // ... of the first logit
  input  wire [PLANES-1:0] i_value,         // aligned at the highest bit
  input  wire [16*FIELD_WORDS-1:0] i_logit,
  input  wire [LABEL_BITS-1:0] i_label
);
  localparam [1:0] LOAD = 2'd0, RUN = 2'd1, SEND = 2'd2;
  localparam [2:0] IDLE = 3'd0, ADD = 3'd1, WAIT = 3'd2, USE = 3'd3, HIGH = 3'd4, WRITE = 3'd5, PAD = 3'd6;
  localparam LEFT_BITS = $clog2(UNITS + 1);
  localparam [LEFT_BITS-1:0] ONE_LEFT = 1;
  localparam RESULT_WORDS = RESULTS * FIELD_WORDS;

  reg [1:0] phase;
  reg [2:0] finish;
  reg [LOAD_BITS-1:0] loads;       // beats of the vector still to come
  reg [X_BITS-1:0] row;            // where the next word is stored, or read when sending
  reg [3:0] filled;                // values in the collector
  reg [LEFT_BITS-1:0] in_group;    // sums of the group still to be worked off
  reg [SLOT_BITS-1:0] left;        // sums of the layer still to be worked off
  reg taking;                      // a group's last word is on its way
  reg [3:1] reads, doubles;
  reg [4:1] lasts;

  // ---- reading and adding up

  wire setup, read, double, last, done;
  wire [X_BITS-1:0] x_address;
  wire loaded = phase == LOAD && loads == {LOAD_BITS{1'b0}} && finish == IDLE;
  wire take = lasts[4];

  qhn_sequencer #(
    .X_BITS(X_BITS), .W_BITS(W_BITS), .LAYER_BITS(LAYER_BITS), .GROUP_BITS(GROUP_BITS),
    .WORD_BITS(WORD_BITS), .PLANES(PLANES)
  ) sequencer (
    .i_clk(i_clk), .i_rst(i_rst), .i_start(loaded), .i_busy(taking || finish != IDLE),
    .o_layer(o_layer), .i_x_first(i_x_first), .i_x_last(i_x_last), .i_groups(i_groups),
    .i_words(i_words), .i_is_last(i_is_last),
    .o_x(x_address), .o_w(o_w), .o_setup(setup), .o_read(read), .o_double(double), .o_last(last), .o_done(done)
  );

  always @(posedge i_clk) begin
    reads <= i_rst ? 3'd0 : {reads[2:1], read};
    doubles <= {doubles[2:1], double};
    lasts <= i_rst ? 4'd0 : {lasts[3:1], last};
    taking <= !i_rst && (last || (taking && !take));
  end

  wire [15:0] x_word;
  wire [SUM_BITS*(UNITS+1)-1:0] drained;
  assign drained[SUM_BITS*UNITS +: SUM_BITS] = {SUM_BITS{1'b0}};
  assign o_sum = drained[SUM_BITS-1:0];

  genvar u;
  generate
    for (u = 0; u < UNITS; u = u + 1) begin : units
      qhn_unit #(.SUM_BITS(SUM_BITS)) unit (
        .i_clk(i_clk), .i_x(x_word), .i_w(i_w[16*u +: 16]),
        .i_add(reads[3]), .i_double(doubles[3]), .i_take(take || i_rst), .i_shift(o_use),
        .i_above(drained[SUM_BITS*(u+1) +: SUM_BITS]), .o_drained(drained[SUM_BITS*u +: SUM_BITS])
      );
    end
  endgenerate

  // ---- working off the sums

  wire is_total = i_first_is_total && left == i_slots;
  wire keeps = !i_is_last && !is_total;  // a value for the next layer
  wire full = filled == 4'd15;
  wire group_over = in_group == {LEFT_BITS{1'b0}};
  wire layer_over = left == {SLOT_BITS{1'b0}};
  wire ends_group = in_group == ONE_LEFT;
  wire ends_layer = left == {{SLOT_BITS-1{1'b0}}, 1'b1};

  wire [2:0] after_use =
    keeps && full ? WRITE :
    keeps && ends_layer ? PAD :
    ends_layer || ends_group ? IDLE : ADD;
  wire [2:0] after_write = phase == LOAD || layer_over || group_over ? IDLE : ADD;
  wire stores_last;

  assign o_add = finish == ADD;
  assign o_use = finish == USE;
  assign o_total = is_total;
  assign o_first = left == i_slots - {{SLOT_BITS-1{1'b0}}, i_first_is_total};

  wire loads_value = LOAD_PLANES != 1 && s_axis_tvalid && s_axis_tready;

  always @(posedge i_clk)
    if (i_rst) finish <= IDLE;
    else
      case (finish)
        IDLE:
          if (take) finish <= ADD;
          else if (loads_value && full) finish <= WRITE;
          else if (loads_value && loads == {{LOAD_BITS-1{1'b0}}, 1'b1}) finish <= PAD;
        ADD: finish <= RESULT_WAIT != 0 ? WAIT : USE;
        WAIT: finish <= USE;
        USE: finish <= FIELD_WORDS == 2 && i_is_last && !is_total ? HIGH : after_use;
        HIGH: finish <= after_write;
        PAD: if (full) finish <= WRITE;
        default: if (stores_last) finish <= after_write;
      endcase

  always @(posedge i_clk)
    if (setup) left <= i_slots;
    else if (o_use) left <= left - 1'b1;

  always @(posedge i_clk)
    if (take) in_group <= UNITS[LEFT_BITS-1:0];
    else if (o_use) in_group <= in_group - 1'b1;

  // ---- values to words

  wire put = loads_value || (o_use && keeps) || finish == PAD;
  wire [15:0] collected;
  reg [PLANES-1:0] value;

  generate
    if (LOAD_PLANES == 1) begin : bits
      always @* value = finish == PAD ? {PLANES{1'b0}} : i_value;
    end else begin : bytes
      always @* begin
        value = finish == PAD ? {PLANES{1'b0}} : i_value;
        if (phase == LOAD && finish != PAD) begin
          value = {PLANES{1'b0}};
          value[PLANES-1 -: 8] = s_axis_tdata;
        end
      end
    end
  endgenerate

  qhn_collector #(.PLANES(PLANES)) collector (
    .i_clk(i_clk), .i_put(put), .i_value(value), .i_step(finish == WRITE), .o_word(collected)
  );

  always @(posedge i_clk)
    if (i_rst) filled <= 4'd0;
    else if (put) filled <= filled + 4'd1;

  // ---- the memory of inputs and results

  wire [X_BITS-1:0] store_row;

  generate
    if (PLANES == 1) begin : one_row
      wire unused = &{1'b0, i_y_words, i_y_planes};
      assign store_row = row;
      assign stores_last = 1'b1;
    end else begin : rows
      reg [X_BITS-1:0] plane_row;
      reg [5:0] planes_left;
      always @(posedge i_clk)
        if (finish != WRITE) begin
          plane_row <= row;
          planes_left <= phase == LOAD ? LOAD_PLANES[5:0] - 6'd1 : i_y_planes;
        end else begin
          plane_row <= plane_row + (phase == LOAD ? LOAD_WORDS[X_BITS-1:0] : i_y_words);
          planes_left <= planes_left - 6'd1;
        end
      assign store_row = finish == WRITE ? plane_row : row;
      assign stores_last = planes_left == 6'd0;
    end
  endgenerate

  wire loads_word = LOAD_PLANES == 1 && s_axis_tvalid && s_axis_tready;
  wire last_load = loads == {{LOAD_BITS-1{1'b0}}, 1'b1};
  wire stores_logit = (o_use && i_is_last && !is_total) || finish == HIGH;
  wire stores_row = finish == WRITE && stores_last;
  wire [15:0] logit_word = finish == HIGH ? i_logit[16*FIELD_WORDS-1 -: 16] : i_logit[15:0];
  wire [15:0] made = finish == WRITE ? collected : logit_word;
  wire [15:0] stored;

  generate
    if (LOAD_PLANES == 1) begin : words
      assign stored = phase == LOAD ? s_axis_tdata & (last_load ? LOAD_MASK : 16'hffff) : made;
    end else begin : values
      wire unused = last_load;
      assign stored = made;
    end
  endgenerate

  qhn_ram #(.WIDTH(16), .DEPTH(X_WORDS), .ADDRESS_BITS(X_BITS)) memory (
    .i_clk(i_clk), .i_write(loads_word || stores_logit || finish == WRITE), .i_write_address(store_row),
    .i_data(stored), .i_read_address(phase == SEND ? row : x_address), .o_data(x_word)
  );

  // ---- the streams

  reg ready;
  reg [1:0] label_left;  // beats of the class index still to be sent
  wire gives = m_axis_tvalid && m_axis_tready;
  wire at_end = row == RESULT_FIRST[X_BITS-1:0] + RESULT_WORDS[X_BITS-1:0] - 1'b1;

  assign s_axis_tready = phase == LOAD && finish == IDLE && loads != {LOAD_BITS{1'b0}};
  assign m_axis_tvalid = phase == SEND && ready;
  assign m_axis_tlast = label_left == 2'd0 && at_end;
  assign m_axis_tdata =
    label_left == 2'd0 ? x_word :
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
    if (i_rst || phase == RUN) loads <= LOADS[LOAD_BITS-1:0];
    else if (s_axis_tvalid && s_axis_tready) loads <= loads - 1'b1;

  always @(posedge i_clk)
    if (i_rst || (gives && m_axis_tlast)) row <= {X_BITS{1'b0}};
    else if (done) row <= RESULT_FIRST[X_BITS-1:0];
    else if (setup) row <= i_y_first;
    else if (loads_word || stores_logit || stores_row || (gives && label_left == 2'd0)) row <= row + 1'b1;

  always @(posedge i_clk) begin
    ready <= !i_rst && phase == SEND && !(gives && label_left == 2'd0);
    if (phase != SEND) label_left <= FIELD_WORDS[1:0];
    else if (gives && label_left != 2'd0) label_left <= label_left - 2'd1;
  end
endmodule

`default_nettype wire
