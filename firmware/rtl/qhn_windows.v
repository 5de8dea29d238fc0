`default_nettype none

// The order of work of the image engine: for each layer, for each window of its image (rows first to last), for each group
// of units, for each row of the window: read its words, which lie side by side. A pooling's groups are the words of a
// pixel; it reads one word of each pixel.
//
// A group's last word is followed by one clock without a read, and comes i_pause clocks after that of the group before,
// or later. A layer begins when the one before is worked off (i_busy low).
module qhn_windows #(
  parameter X_BITS = 8,        // of an address of inputs
  parameter W_BITS = 8,        // of an address of weights
  parameter LAYER_BITS = 1,
  parameter RUN_BITS = 4,      // of the words of a window's row
  parameter ROW_BITS = 2,      // of the rows of a window
  parameter GROUP_BITS = 4,
  parameter POSITION_BITS = 4, // of the windows in a row of windows, and of these rows
  parameter PAUSE_BITS = 4,
  parameter PADDED = 0,        // 1: windows may reach outside
  parameter PIXEL_BITS = 6,    // of a coordinate, outside too: two's complement
  parameter WORD_BITS = 2      // of the words of a pixel
) (
  input  wire i_clk,
  input  wire i_rst,
  input  wire i_start,
  input  wire i_busy,

  // what the present layer needs; counts are less one
  output reg  [LAYER_BITS-1:0] o_layer,
  input  wire [X_BITS-1:0] i_x_first,   // the first word of the first window
  input  wire [X_BITS-1:0] i_x_step,    // from a word to the next one of its row
  input  wire [X_BITS-1:0] i_x_row,     // from a row's last word to the next row's first
  input  wire [X_BITS-1:0] i_x_group,   // from a group's first word to the next one's
  input  wire [X_BITS-1:0] i_x_column,  // from the last group's to the next window's
  input  wire [X_BITS-1:0] i_x_line,    // from a row of windows to the next
  input  wire [W_BITS-1:0] i_w_first,
  input  wire [RUN_BITS-1:0] i_run,
  input  wire [ROW_BITS-1:0] i_rows,
  input  wire [GROUP_BITS-1:0] i_groups,
  input  wire [POSITION_BITS-1:0] i_columns,
  input  wire [POSITION_BITS-1:0] i_lines,
  input  wire [PAUSE_BITS-1:0] i_pause,
  input  wire i_is_last,

  // ... where windows reach outside
  input  wire [WORD_BITS-1:0] i_words,   // of a pixel, less one
  input  wire [PIXEL_BITS-1:0] i_left,   // the first window's first column and row
  input  wire [PIXEL_BITS-1:0] i_top,
  input  wire [PIXEL_BITS-1:0] i_across, // from a window to the next
  input  wire [PIXEL_BITS-1:0] i_down,
  input  wire [PIXEL_BITS-1:0] i_width,  // of the image
  input  wire [PIXEL_BITS-1:0] i_height,

  output reg  [X_BITS-1:0] o_x,
  output reg  [W_BITS-1:0] o_w,
  output wire o_setup,    // a layer begins
  output wire o_read,     // o_x and o_w are read now
  output wire o_first,    // ... for the first word of a group
  output wire o_last,     // ... for the last one
  output wire o_outside,  // ... for a pixel outside the image
  output wire o_pixel,    // ... for the first word of a pixel
  output wire o_done      // the last layer is finished
);
  localparam [2:0] IDLE = 3'd0, SETUP = 3'd1, READ = 3'd2, GAP = 3'd3, DRAIN = 3'd4;

  reg [2:0] state;
  reg [X_BITS-1:0] x_window, x_line;  // the first word of the group, and of the row of windows
  reg [RUN_BITS-1:0] run;
  reg [ROW_BITS-1:0] rows;
  reg [GROUP_BITS-1:0] groups;
  reg [POSITION_BITS-1:0] columns, lines;
  reg [PAUSE_BITS-1:0] pause;
  reg fresh;

  wire row_ends = run == {RUN_BITS{1'b0}};
  wire at_last = row_ends && rows == {ROW_BITS{1'b0}};
  wire window_ends = groups == {GROUP_BITS{1'b0}};
  wire line_ends = columns == {POSITION_BITS{1'b0}};
  wire all_end = window_ends && line_ends && lines == {POSITION_BITS{1'b0}};
  wire layer_done = state == DRAIN && !i_busy;
  wire begins = state == SETUP || state == GAP;

  assign o_setup = state == SETUP;
  assign o_read = state == READ && !(at_last && pause != {PAUSE_BITS{1'b0}});
  assign o_first = o_read && fresh;
  assign o_last = o_read && at_last;
  assign o_done = layer_done && i_is_last;

  always @(posedge i_clk)
    if (i_rst) state <= IDLE;
    else
      case (state)
        IDLE: if (i_start) state <= SETUP;
        SETUP: state <= READ;
        READ: if (o_last) state <= all_end ? DRAIN : GAP;
        GAP: state <= READ;
        default: if (layer_done) state <= i_is_last ? IDLE : SETUP;
      endcase

  always @(posedge i_clk)
    if (state == IDLE) o_layer <= {LAYER_BITS{1'b0}};
    else if (layer_done) o_layer <= o_layer + 1'b1;

  always @(posedge i_clk)
    if (o_last) pause <= i_pause;
    else if (state == SETUP) pause <= {PAUSE_BITS{1'b0}};
    else if (pause != {PAUSE_BITS{1'b0}}) pause <= pause - 1'b1;

  // ---- what is left

  always @(posedge i_clk) begin
    fresh <= begins || (fresh && !o_read);
    if (begins || (o_read && row_ends)) run <= i_run;
    else if (o_read) run <= run - 1'b1;
    if (begins) rows <= i_rows;
    else if (o_read && row_ends) rows <= rows - 1'b1;
    if (state == SETUP || (state == GAP && window_ends)) groups <= i_groups;
    else if (state == GAP) groups <= groups - 1'b1;
    if (state == SETUP || (state == GAP && window_ends && line_ends)) columns <= i_columns;
    else if (state == GAP && window_ends) columns <= columns - 1'b1;
    if (state == SETUP) lines <= i_lines;
    else if (state == GAP && window_ends && line_ends) lines <= lines - 1'b1;
  end

  // ---- addresses

  wire next_line = window_ends && line_ends;
  wire [X_BITS-1:0] from = state == READ ? o_x : next_line ? x_line : x_window;
  wire [X_BITS-1:0] by =
    state == READ ? (row_ends ? i_x_row : i_x_step) :
    next_line ? i_x_line :
    window_ends ? i_x_column : i_x_group;
  wire [X_BITS-1:0] x_next = from + by;

  always @(posedge i_clk) begin
    if (state == SETUP) o_x <= i_x_first;
    else if (o_read || state == GAP) o_x <= x_next;
    if (state == SETUP) x_window <= i_x_first;
    else if (state == GAP) x_window <= x_next;
    if (state == SETUP) x_line <= i_x_first;
    else if (state == GAP && next_line) x_line <= x_next;
    if (state == SETUP || (state == GAP && window_ends)) o_w <= i_w_first;
    else if (o_read) o_w <= o_w + 1'b1;
  end

  // ---- what is outside

  generate
    if (PADDED != 0) begin : padded
      reg [PIXEL_BITS-1:0] column, first_column, row, first_row;
      reg [WORD_BITS-1:0] words;
      wire pixel_ends = words == {WORD_BITS{1'b0}};

      assign o_outside = column >= i_width || row >= i_height;  // what is below 0 is large
      assign o_pixel = words == i_words;

      always @(posedge i_clk) begin
        if (begins || (o_read && pixel_ends)) words <= i_words;
        else if (o_read) words <= words - 1'b1;

        if (state == SETUP || (state == GAP && next_line)) begin
          column <= i_left;
          first_column <= i_left;
        end else if (state == GAP && window_ends) begin
          column <= first_column + i_across;
          first_column <= first_column + i_across;
        end else if (state == GAP || (o_read && row_ends)) column <= first_column;
        else if (o_read && pixel_ends) column <= column + 1'b1;

        if (state == SETUP) begin
          row <= i_top;
          first_row <= i_top;
        end else if (state == GAP && next_line) begin
          row <= first_row + i_down;
          first_row <= first_row + i_down;
        end else if (state == GAP) row <= first_row;
        else if (o_read && row_ends) row <= row + 1'b1;
      end
    end else begin : unpadded
      wire unused = &{1'b0, i_words, i_left, i_top, i_across, i_down, i_width, i_height};
      assign o_outside = 1'b0;
      assign o_pixel = 1'b0;
    end
  endgenerate
endmodule

`default_nettype wire
