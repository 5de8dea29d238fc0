`default_nettype none

// The order of work of the serial engine: for each layer, for each group of units, for each bit plane of the inputs
// (highest first), for each word of 16 inputs: read the word and the weights of all units of the group.
//
// A group's last word is read only when the sums of the group before it are worked off (i_busy low), and is
// followed by one clock without a read, in which the sums are taken over. A layer begins when all values of the one
// before are stored.
module qhn_sequencer #(
  parameter X_BITS = 8,      // of an address of inputs
  parameter W_BITS = 8,      // of an address of weights
  parameter LAYER_BITS = 1,
  parameter GROUP_BITS = 8,
  parameter WORD_BITS = 8,
  parameter PLANES = 1       // the most bit planes that inputs of a layer have
) (
  input  wire i_clk,
  input  wire i_rst,
  input  wire i_start,
  input  wire i_busy,

  // what the present layer needs
  output reg  [LAYER_BITS-1:0] o_layer,
  input  wire [X_BITS-1:0] i_x_first,       // its first and its last word of inputs
  input  wire [X_BITS-1:0] i_x_last,
  input  wire [GROUP_BITS-1:0] i_groups,    // its groups less one
  input  wire [WORD_BITS-1:0] i_words,      // its words in a plane less one
  input  wire i_is_last,

  output reg  [X_BITS-1:0] o_x,
  output reg  [W_BITS-1:0] o_w,
  output wire o_setup,   // a layer begins
  output wire o_read,    // o_x and o_w are read now
  output wire o_double,  // ... for the first word of a plane that is not the first
  output wire o_last,    // ... for the last word of a group
  output wire o_done     // the last layer is finished
);
  localparam [2:0] IDLE = 3'd0, SETUP = 3'd1, READ = 3'd2, GAP = 3'd3, DRAIN = 3'd4;

  reg [2:0] state;
  reg [GROUP_BITS-1:0] group;

  wire at_last = o_x == i_x_last;
  wire layer_done = state == DRAIN && !i_busy;

  assign o_setup = state == SETUP;
  assign o_read = state == READ && !(at_last && i_busy);
  assign o_last = o_read && at_last;
  assign o_done = layer_done && i_is_last;

  always @(posedge i_clk)
    if (i_rst) state <= IDLE;
    else
      case (state)
        IDLE: if (i_start) state <= SETUP;
        SETUP: state <= READ;
        READ: if (o_last) state <= group == {GROUP_BITS{1'b0}} ? DRAIN : GAP;
        GAP: state <= READ;
        default: if (layer_done) state <= i_is_last ? IDLE : SETUP;
      endcase

  always @(posedge i_clk)
    if (state == IDLE) o_layer <= {LAYER_BITS{1'b0}};
    else if (layer_done) o_layer <= o_layer + 1'b1;

  always @(posedge i_clk)
    if (state == SETUP) group <= i_groups;
    else if (state == GAP) group <= group - 1'b1;

  always @(posedge i_clk)
    if (state == SETUP || state == GAP) o_x <= i_x_first;
    else if (o_read) o_x <= o_x + 1'b1;

  generate
    if (PLANES > 1) begin : planes
      // The weights of a group are read once for each plane.
      reg [W_BITS-1:0] w_first;
      reg [WORD_BITS-1:0] word;
      reg later;
      wire plane_ends = word == {WORD_BITS{1'b0}};

      always @(posedge i_clk)
        if (state == IDLE) begin
          o_w <= {W_BITS{1'b0}};
          w_first <= {W_BITS{1'b0}};
        end else if (o_read) begin
          o_w <= plane_ends && !at_last ? w_first : o_w + 1'b1;
          if (at_last) w_first <= o_w + 1'b1;
        end

      always @(posedge i_clk)
        if (state == SETUP || state == GAP) begin
          word <= i_words;
          later <= 1'b0;
        end else if (o_read) begin
          word <= plane_ends ? i_words : word - 1'b1;
          later <= later | plane_ends;
        end

      assign o_double = later && word == i_words;
    end else begin : one_plane
      always @(posedge i_clk)
        if (state == IDLE) o_w <= {W_BITS{1'b0}};
        else if (o_read) o_w <= o_w + 1'b1;

      wire unused = &{1'b0, i_words};
      assign o_double = 1'b0;
    end
  endgenerate
endmodule

`default_nettype wire
