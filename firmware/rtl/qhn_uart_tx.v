`default_nettype none

// Sends bytes over a serial line: 8 data bits, lowest first, no parity, 1 stop bit.
module qhn_uart_tx #(
  parameter DIVISOR = 104  // clocks a bit, at least 2
) (
  input  wire i_clk,
  input  wire [7:0] i_byte,
  input  wire i_send,       // takes i_byte, when o_ready is high
  output wire o_ready,
  output wire o_tx
);
  localparam COUNT_BITS = $clog2(DIVISOR);
  localparam integer WHOLE = DIVISOR - 1;

  reg [COUNT_BITS-1:0] count;  // clocks to the next bit
  reg [8:0] rest;              // the bits to come, the stop bit highest; 0 in the stop bit
  reg busy, low;               // low: the line, inverted, so that it is idle when the device starts with zeros

  wire next = count == {COUNT_BITS{1'b0}};

  assign o_ready = !busy;
  assign o_tx = !low;

  initial begin
    busy = 1'b0;
    low = 1'b0;
  end

  always @(posedge i_clk)
    if (!busy) begin
      count <= WHOLE[COUNT_BITS-1:0];
      rest <= {1'b1, i_byte};
      busy <= i_send;
      low <= i_send;
    end else begin
      count <= next ? WHOLE[COUNT_BITS-1:0] : count - 1'b1;
      if (next) begin
        rest <= {1'b0, rest[8:1]};
        low <= rest != 9'd0 && !rest[0];
        busy <= rest != 9'd0;
      end
    end
endmodule

`default_nettype wire
