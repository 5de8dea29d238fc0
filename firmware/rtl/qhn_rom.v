`default_nettype none

// A memory that is only read, one clock after its address: block memory, filled from a file when the device is
// configured.
module qhn_rom #(
  parameter WIDTH = 16,
  parameter DEPTH = 256,
  parameter ADDRESS_BITS = 8,
  parameter FILE = "rom.hex"  // DEPTH words, for $readmemh
) (
  input  wire i_clk,
  input  wire [ADDRESS_BITS-1:0] i_address,
  output reg  [WIDTH-1:0] o_data
);
  reg [WIDTH-1:0] words [0:DEPTH-1];

  initial $readmemh(FILE, words);

  always @(posedge i_clk) o_data <= words[i_address];
endmodule

`default_nettype wire
