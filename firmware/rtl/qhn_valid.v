`default_nettype none

// Tells which stages of a stalling pipeline hold a value: the handshakes of both streams around STAGES registers.
//
// All registers of the pipeline move together when o_en is high. They stand still while the last stage holds a
// value that nobody takes:
//
//   m_tvalid  m_tready  o_en
//       0         -       1
//       1         0       0
//       1         1       1
module qhn_valid #(
  parameter STAGES = 1  // at least 1
) (
  input  wire i_clk,
  input  wire i_rst,  // synchronous: forgets what is under way
  input  wire s_tvalid,
  output wire s_tready,
  output wire o_en,
  output wire m_tvalid,
  input  wire m_tready
);
  reg [STAGES-1:0] valid;

  wire [STAGES:0] moved = {valid, s_tvalid};

  assign m_tvalid = valid[STAGES-1];
  assign o_en = m_tready | ~m_tvalid;
  assign s_tready = o_en;

  always @(posedge i_clk)
    if (i_rst) valid <= {STAGES{1'b0}};
    else if (o_en) valid <= moved[STAGES-1:0];

  wire unused = moved[STAGES];
endmodule

`default_nettype wire
