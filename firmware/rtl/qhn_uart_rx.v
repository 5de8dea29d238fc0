`default_nettype none

// Receives bytes from a serial line: 8 data bits, lowest first, no parity, 1 stop bit. A byte whose start or stop bit
// is wrong is dropped.
module qhn_uart_rx #(
  parameter DIVISOR = 104  // clocks a bit, at least 4
) (
  input  wire i_clk,
  input  wire i_rx,
  output wire [7:0] o_byte,
  output reg  o_valid       // high for one clock, in which o_byte is the byte
);
  localparam COUNT_BITS = $clog2(DIVISOR);
  localparam integer HALF = DIVISOR / 2 - 1, WHOLE = DIVISOR - 1;

  reg [1:0] line;                 // synchroniser
  reg [COUNT_BITS-1:0] count;     // clocks to the next look at the line, which is in the middle of a bit
  reg [8:0] bits;                 // above the mark, a 1, the bits so far
  reg busy, starting;

  wire look = count == {COUNT_BITS{1'b0}};

  assign o_byte = bits[8:1];

  initial begin
    busy = 1'b0;
    o_valid = 1'b0;
  end

  always @(posedge i_clk) begin
    line <= {line[0], i_rx};
    count <= !busy ? HALF[COUNT_BITS-1:0] : look ? WHOLE[COUNT_BITS-1:0] : count - 1'b1;
    o_valid <= busy && look && !starting && bits[0] && line[1];
    if (!busy) begin
      busy <= !line[1];
      starting <= 1'b1;
      bits <= 9'h100;
    end else if (look) begin
      starting <= 1'b0;
      if (starting ? line[1] : bits[0]) busy <= 1'b0;  // no start bit after all; or this is the stop bit
      if (!starting && !bits[0]) bits <= {line[1], bits[8:1]};
    end
  end
endmodule

`default_nettype wire
