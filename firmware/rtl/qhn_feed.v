`default_nettype none

// Makes beats of a stream from bytes, lowest byte first.
//
// A beat is complete with its S_BYTES bytes or the vector's last byte. It is taken before the next byte comes.
module qhn_feed #(
  parameter S_BYTES = 2,      // of a beat: 1, 2, or those of a vector
  parameter VECTOR_BYTES = 2
) (
  input  wire i_clk,
  input  wire i_rst,
  input  wire [7:0] i_byte,
  input  wire i_put,
  input  wire i_last,         // i_byte is the last of its vector
  output wire [8*S_BYTES-1:0] m_axis_tdata,
  output wire m_axis_tvalid,
  output wire m_axis_tlast,
  input  wire m_axis_tready
);
  reg [8*S_BYTES-1:0] beat;
  reg valid, last;

  assign m_axis_tdata = beat;
  assign m_axis_tvalid = valid;
  assign m_axis_tlast = last;

  wire complete;

  always @(posedge i_clk) begin
    if (i_rst) valid <= 1'b0;
    else if (i_put && complete) valid <= 1'b1;
    else if (m_axis_tready) valid <= 1'b0;
    if (i_put) last <= i_last;
  end

  generate
    if (S_BYTES == 1) begin : bytes
      assign complete = 1'b1;
      always @(posedge i_clk) if (i_put) beat <= i_byte;
    end else if (S_BYTES == 2 && VECTOR_BYTES != 2) begin : pairs
      reg second;
      assign complete = second || i_last;
      always @(posedge i_clk) begin
        if (i_rst) second <= 1'b0;
        else if (i_put) second <= !second;
        if (i_put && second) beat[15:8] <= i_byte;
        if (i_put && !second) beat[7:0] <= i_byte;
      end
    end else begin : vectors
      assign complete = i_last;
      always @(posedge i_clk) if (i_put) beat <= {i_byte, beat[8*S_BYTES-1:8]};
    end
  endgenerate
endmodule

`default_nettype wire
