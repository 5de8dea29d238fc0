`default_nettype none

// Answers a host's requests over a serial line, with a model behind it: firmware/protocol/PROTOCOL.md tells what is on
// the line. It hears nothing while it answers.
//
// Nothing of a request is stored but what the answer repeats. Its input vector goes to the model as it comes in, and
// the byte 7E, which begins every request, resets the model: so a result is always that of all bytes since then, and
// it is sent only if their CRC is right.
//
// Receiving and answering share one byte, which passes the CRC a bit a clock, and the count of the frame:
//
//   body  left   the byte is
//     0     -    byte `index` of the header
//     1    > 0   of the payload, `left` bytes before its end
//     1     0    byte `index` of the CRC
module qhn_server #(
  parameter DIVISOR = 104,        // clocks a bit of the line, at least 4
  parameter [223:0] HELLO = 0,    // payload of the answer to HELLO, its first byte highest
  parameter VECTOR_BYTES = 2,     // of an input vector
  parameter [7:0] PADDING = 0,    // bits of its last byte that are no features
  parameter S_BYTES = 2,          // of a beat to the model
  parameter M_BYTES = 2,          // of a beat from it, at least 2
  parameter FIELD_BYTES = 2,      // of the label and of each logit, 1 to 4
  parameter LOGITS = 1,
  parameter TICK_BITS = 16        // of the clocks of an inference
) (
  input  wire i_clk,
  input  wire i_rx,
  output wire o_tx,
  output wire o_busy,             // an answer is under way

  output wire o_rst,
  output wire [8*S_BYTES-1:0] m_axis_tdata,
  output wire m_axis_tvalid,
  input  wire m_axis_tready,
  input  wire [8*M_BYTES-1:0] s_axis_tdata,
  input  wire s_axis_tvalid,
  output wire s_axis_tready
);
  localparam [7:0] FLAG = 8'h7e, ESCAPE = 8'h7d, TOGGLE = 8'h20;
  localparam [7:0] VERSION = 8'd1, HELLO_TYPE = 8'd1, INFER_TYPE = 8'd2, ANSWER = 8'h80, ERROR = 8'hff;
  localparam [15:0] HELLO_BYTES = 16'd28, INFER_BYTES = 16'd4 + {LOGITS[13:0], 2'b00}, CODE = VECTOR_BYTES[15:0];
  localparam [2:0] USED = FIELD_BYTES[2:0];
  localparam AT_BITS = $clog2(M_BYTES);
  localparam integer M_LAST = M_BYTES - 1;
  localparam [AT_BITS-1:0] AT_LAST = M_LAST[AT_BITS-1:0];

  // ---- the line

  wire [7:0] received, sending;
  wire heard, send, tx_ready;

  qhn_uart_rx #(.DIVISOR(DIVISOR)) rx (.i_clk(i_clk), .i_rx(i_rx), .o_byte(received), .o_valid(heard));
  qhn_uart_tx #(.DIVISOR(DIVISOR)) tx (
    .i_clk(i_clk), .i_byte(sending), .i_send(send), .o_ready(tx_ready), .o_tx(o_tx)
  );

  // ---- the frame

  reg open, answering;     // a request is under way; an answer is
  reg body;
  reg [2:0] index;
  reg [15:0] left;
  reg toggle;                // the next byte is meant, or sent, xor TOGGLE
  reg [7:0] data;
  reg [2:0] steps;           // of the CRC
  reg stepping, counted;     // counted: the CRC has all bits of the byte
  reg differs;               // from the CRC that was received
  reg is_hello, is_infer;    // type of the request, if its version is right
  reg fits;                  // its length is that of an input vector; whose padding is 0
  reg [23:0] echo;           // version and number
  wire [7:0] crc;            // its lowest byte

  wire flag = heard && !answering && received == FLAG;
  wire escape = heard && !answering && received == ESCAPE;
  wire takes = heard && !answering && received != FLAG && received != ESCAPE && open;
  wire in_payload = body && left != 16'd0;
  wire in_crc = body && left == 16'd0;
  wire received_one = counted && !answering;
  wire ends = in_crc && index == 3'd3;
  wire right = received_one && ends && !differs;  // the request has arrived

  qhn_crc32 check (
    .i_clk(i_clk), .i_start(flag), .i_step(stepping), .i_around(in_crc), .i_bit(data[0]), .o_crc(crc)
  );

  // ---- the model

  wire put = received_one && in_payload && is_infer && fits;
  wire last_beat;

  assign o_rst = flag;

  qhn_feed #(.S_BYTES(S_BYTES), .VECTOR_BYTES(VECTOR_BYTES)) feed (
    .i_clk(i_clk), .i_rst(flag), .i_byte(data), .i_put(put), .i_last(left == 16'd1),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tlast(last_beat),
    .m_axis_tready(m_axis_tready)
  );

  reg running;
  reg [TICK_BITS-1:0] ticks;  // clocks from the last beat of the vector to the first of the result
  wire [31:0] all_ticks = {{32-TICK_BITS{1'b0}}, ticks};

  always @(posedge i_clk) begin
    if (flag) running <= 1'b0;
    else if (m_axis_tvalid && m_axis_tready && last_beat) running <= 1'b1;
    else if (s_axis_tvalid) running <= 1'b0;
    if (flag) ticks <= {TICK_BITS{1'b0}};
    else if (running) ticks <= ticks + 1'b1;
  end

  // ---- the answer: each byte is selected, counted, sent

  localparam [1:0] SELECT = 2'd0, COUNT = 2'd1, SEND = 2'd2, BEGIN = 2'd3;

  reg [1:0] stage;
  reg in_ticks;              // the payload's first four bytes
  reg sign;                  // of the field before its last bytes, which repeat it
  reg [AT_BITS-1:0] at;      // byte of the beat
  reg ready;
  wire is_result = is_infer && fits;
  wire [1:0] slot = body ? 2'd0 - left[1:0] : index[1:0];  // byte of a field of four
  wire in_field = is_result && (body ? in_payload && !in_ticks : index[2]);
  wire from_model = in_field && {1'b0, slot} < USED;
  wire [7:0] field = s_axis_tdata[8*at +: 8];
  wire selects = answering && stage == SELECT && (!from_model || s_axis_tvalid);
  wire special = !toggle && (data == FLAG || data == ESCAPE);
  wire sent = send && stage == SEND && !special;

  reg [7:0] next;
  wire [255:0] hellos = {24'd0, HELLO, 8'h00};

  always @*
    if (in_crc) next = crc;
    else if (body)
      if (is_hello) next = hellos[8*left[4:0] +: 8];
      else if (in_ticks) next = all_ticks[8*slot +: 8];
      else next = from_model ? field : {8{sign}};
    else
      case (index)
        3'd0: next = is_hello ? HELLO_TYPE | ANSWER : is_result ? INFER_TYPE | ANSWER : ERROR;
        3'd1, 3'd2, 3'd3: next = echo[7:0];
        3'd4: next = is_hello ? CODE[7:0] : is_infer ? field & {8{fits}} : VERSION;
        3'd5: next = is_hello ? CODE[15:8] : from_model ? field : 8'h00;
        3'd6: next = left[7:0];
        default: next = left[15:8];
      endcase

  assign o_busy = answering;
  assign s_axis_tready = ready;
  assign send = answering && tx_ready && (stage == SEND || stage == BEGIN);
  assign sending = stage == BEGIN ? FLAG : special ? ESCAPE : data ^ (toggle ? TOGGLE : 8'h00);

  always @(posedge i_clk) begin
    ready <= selects && from_model && at == AT_LAST;
    if (flag) at <= {AT_BITS{1'b0}};
    else if (selects && from_model) at <= at == AT_LAST ? {AT_BITS{1'b0}} : at + 1'b1;
    if (selects && from_model) sign <= field[7];
    if (right) in_ticks <= 1'b1;
    else if (sent && body && slot == 2'd3) in_ticks <= 1'b0;
    if (right) stage <= BEGIN;
    else if (selects) stage <= COUNT;
    else if (counted) stage <= SEND;
    else if (send && !(stage == SEND && special)) stage <= SELECT;
  end

  // ---- one byte after the other

  wire advances = received_one || sent;

  initial begin
    open = 1'b0;
    answering = 1'b0;
    stepping = 1'b0;
    counted = 1'b0;
  end

  always @(posedge i_clk) begin
    if (flag) open <= 1'b1;
    else if (received_one && ends) open <= 1'b0;

    if (right) answering <= 1'b1;
    else if (sent && ends) answering <= 1'b0;

    if (flag || right || takes || sent) toggle <= 1'b0;
    else if (escape || (send && stage == SEND)) toggle <= 1'b1;

    if (takes || selects) begin
      stepping <= 1'b1;
      steps <= 3'd0;
    end else if (flag || steps == 3'd7) stepping <= 1'b0;
    else steps <= steps + 3'd1;
    counted <= stepping && steps == 3'd7 && !flag;

    if (takes) data <= received ^ (toggle ? TOGGLE : 8'h00);
    else if (selects) data <= next;
    else if (stepping) data <= {data[0], data[7:1]};

    if (flag) differs <= 1'b0;
    else if (stepping && in_crc && data[0] != crc[0]) differs <= 1'b1;

    if (flag || right) {body, index} <= 4'd0;
    else if (advances && !in_payload) {body, index} <= {body || index == 3'd7, index + 3'd1};

    if (received_one && !body && index[2:1] == 2'd3) left <= {data, left[15:8]};
    else if (right) left <= is_hello ? HELLO_BYTES : is_result ? INFER_BYTES : 16'd0;
    else if (advances && in_payload) left <= left - 16'd1;

    if (advances && !body && (index != 3'd0 && !index[2])) echo <= {data, echo[23:8]};
  end

  // ---- what is asked

  always @(posedge i_clk)
    if (received_one)
      if (!body) begin
        if (index == 3'd0) begin
          is_hello <= data == HELLO_TYPE;
          is_infer <= data == INFER_TYPE;
        end else if (index == 3'd1 && data != VERSION) begin
          is_hello <= 1'b0;
          is_infer <= 1'b0;
        end
        if (index == 3'd7) fits <= {data, left[15:8]} == CODE;
      end else if (left == 16'd1 && (data & PADDING) != 8'h00) fits <= 1'b0;
endmodule

`default_nettype wire
