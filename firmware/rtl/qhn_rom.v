`default_nettype none

// A memory that is only read, one clock after its address, and filled from a file when the device is configured.
//
// It becomes block memory, or logic where IN_LOGIC is set: for few words that do not deserve a block.
module qhn_rom #(
  parameter WIDTH = 16,
  parameter DEPTH = 256,
  parameter ADDRESS_BITS = 8,
  parameter IN_LOGIC = 0,
  parameter FILE = ""  // DEPTH words, for $readmemh
) (
  input  wire i_clk,
  input  wire [ADDRESS_BITS-1:0] i_address,
  output reg  [WIDTH-1:0] o_data
);
  generate
    if (IN_LOGIC != 0) begin : logic_cells
      (* rom_style = "logic" *) reg [WIDTH-1:0] words [0:DEPTH-1];
      if (FILE != "") begin : filled
        initial $readmemh(FILE, words);
      end
      always @(posedge i_clk) o_data <= words[i_address];
    end else begin : blocks
      reg [WIDTH-1:0] words [0:DEPTH-1];
      if (FILE != "") begin : filled
        initial $readmemh(FILE, words);
      end
      always @(posedge i_clk) o_data <= words[i_address];
    end
  endgenerate
endmodule

`default_nettype wire
