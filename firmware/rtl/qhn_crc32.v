`default_nettype none

// The CRC-32 of Ethernet, a bit a clock, lowest bit first, without the final inversion.
//
//   i_start  i_step  i_around   the CRC becomes
//      1       -        -       all ones
//      0       1        0       itself with i_bit taken in
//      0       1        1       turned around by one bit: 32 of these show each in o_crc[0], and change nothing
//      0       0        -       itself
module qhn_crc32 (
  input  wire i_clk,
  input  wire i_start,
  input  wire i_step,
  input  wire i_around,
  input  wire i_bit,
  output wire [7:0] o_crc   // the lowest byte
);
  reg [31:0] crc;
  localparam [30:0] TAPS = 31'h6db88320;  // the polynomial without its highest bit, lowest power highest

  wire feedback = !i_around && (crc[0] ^ i_bit);

  assign o_crc = crc[7:0];

  always @(posedge i_clk)
    if (i_start) crc <= 32'hffffffff;
    else if (i_step) crc <= {i_around ? crc[0] : feedback, crc[31:1] ^ (feedback ? TAPS : 31'd0)};
endmodule

`default_nettype wire
