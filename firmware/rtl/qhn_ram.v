`default_nettype none

// A memory with one port to write and one to read, one clock after its address: block memory. Reading a word in the
// clock that writes it gives anything; nobody does.
module qhn_ram #(
  parameter WIDTH = 16,
  parameter DEPTH = 256,
  parameter ADDRESS_BITS = 8
) (
  input  wire i_clk,
  input  wire i_write,
  input  wire [ADDRESS_BITS-1:0] i_write_address,
  input  wire [WIDTH-1:0] i_data,
  input  wire [ADDRESS_BITS-1:0] i_read_address,
  output reg  [WIDTH-1:0] o_data
);
  reg [WIDTH-1:0] words [0:DEPTH-1];

  always @(posedge i_clk) begin
    if (i_write) words[i_write_address] <= i_data;
    o_data <= words[i_read_address];
  end
endmodule

`default_nettype wire
