// Cells of an ECP5 of which yosys knows the ports only. Source: Lattice FPGA-TN-02204, "ECP5 and ECP5-5G memory
// usage guide". A module that is not there refuses, by its name, what is not modelled.

// A block memory of lanes of 9 bits; two of them are 20 bits of INITVAL. Where words of 36 bits are read they are
// read by port B, and written by port A: half of a word is in the data of A, half in that of B.
module DP16KD #(
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18,
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG",
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC",
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000",
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB",
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL",
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0,
  parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0,
  parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0,
  parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0,
  parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0,
  parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
  parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0,
  parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0,
  parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0,
  parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0,
  parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0,
  parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0,
  parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0,
  parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0,
  parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
  parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0,
  parameter GSR = "ENABLED"
) (
  input  DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input  ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input  CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input  DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input  ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input  CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  localparam [20479:0] ALL = {
      INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
      INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
      INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
      INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
      INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
      INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
      INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
      INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };

  function [18431:0] lanes(input [20479:0] all);
    integer i;
    for (i = 0; i < 1024; i = i + 1) lanes[18*i +: 18] = all[20*i +: 18];
  endfunction

  localparam [18431:0] INIT = lanes(ALL);

  wire [17:0] data_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] data_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [35:0] word_a, word_b;

  qhn_block_memory #(
    .LANE(9), .A_WIDTH(DATA_WIDTH_A), .B_WIDTH(DATA_WIDTH_B), .INIT(INIT),
    .A_MODE(WRITEMODE_A == "WRITETHROUGH" ? 1 : WRITEMODE_A == "READBEFOREWRITE" ? 2 : 0),
    .B_MODE(WRITEMODE_B == "WRITETHROUGH" ? 1 : WRITEMODE_B == "READBEFOREWRITE" ? 2 : 0)
  ) memory (
    .a_clk(CLKA), .a_on(CEA), .a_write(WEA), .a_reset(RSTA), .a_data({data_b, data_a}), .a_word(word_a),
    .a_address({ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0}),
    .b_clk(CLKB), .b_on(CEB), .b_write(WEB), .b_reset(RSTB), .b_data({18'd0, data_b}), .b_word(word_b),
    .b_address({ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0})
  );

  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} =
    DATA_WIDTH_B == 36 ? word_b[17:0] : word_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} =
    DATA_WIDTH_B == 36 ? word_b[35:18] : word_b[17:0];

  generate
    if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CLKAMUX == "INV" || CLKBMUX == "INV") begin : other
      DP16KD_is_modelled_without_output_registers_and_inverted_clocks_only refused ();
    end
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") begin : selected
      DP16KD_is_modelled_without_selection_only refused ();
    end
  endgenerate
endmodule

// What follows are cells as nextpnr calls them once they are placed; the mode of a cell is part of its name. Source:
// nextpnr, ecp5/pack.cc and ecp5/bitstream.cc; Lattice FPGA-DS-02012, "Slice".

// A look-up table, and the multiplexer with the table beside it.
module TRELLIS_COMB_LOGIC #(parameter [15:0] INITVAL = 0) (
  input A, B, C, D, M, F1, FXA, FXB,
  output F, OFX
);
  assign F = INITVAL[{D, C, B, A}];
  assign OFX = M ? F1 : F;
endmodule

// The same, with the multiplexer of two such multiplexers.
module TRELLIS_COMB_LOGIC_FX #(parameter [15:0] INITVAL = 0) (
  input A, B, C, D, M, F1, FXA, FXB,
  output F, OFX
);
  assign F = INITVAL[{D, C, B, A}];
  assign OFX = M ? FXB : FXA;
endmodule

// Half of a CCU2C: a sum of a carry and a look-up table.
module TRELLIS_COMB_CCU2 #(
  parameter [15:0] INITVAL = 0,
  parameter CCU2_INJECT1 = "NO",
  parameter WREMUX = "WRE"
) (
  input A, B, C, D, M, F1, FXA, FXB, FCI,
  output F, FCO
);
  localparam CARRIES = CCU2_INJECT1 == "NO";

  wire passes = INITVAL[{D, C, B, A}];

  assign F = passes ^ (CARRIES & FCI);
  assign FCO = passes ? FCI : CARRIES & INITVAL[{2'b00, B, A}];
endmodule

// A memory of 16 bits; the lowest bit of an address is D, then B, C and A.
module TRELLIS_COMB_DPRAM #(
  parameter [15:0] INITVAL = 0,
  parameter CCU2_INJECT1 = "NO",
  parameter WREMUX = "WRE", WCKMUX = "WCK"
) (
  input A, B, C, D, M, F1, FXA, FXB, WD, WAD0, WAD1, WAD2, WAD3, WRE, WCK,
  output F
);
  reg [15:0] bits;

  initial bits = INITVAL;
  always @(posedge WCK) if (WRE) bits[{WAD0, WAD2, WAD1, WAD3}] <= WD;
  assign F = bits[{D, C, B, A}];

  generate
    if (WREMUX != "WRE" || WCKMUX != "WCK") begin : other
      TRELLIS_COMB_is_modelled_without_inverted_writes_only refused ();
    end
  endgenerate
endmodule

// The halves of slices whose inputs are those of the next one.
module TRELLIS_COMB_RAMW_BLOCK #(
  parameter [15:0] INITVAL = 0,
  parameter CCU2_INJECT1 = "NO",
  parameter WREMUX = "WRE"
) (
  input A, B, C, D, M, F1, FXA, FXB
);
endmodule

// Data and address of a write to such memories.
module TRELLIS_RAMW (
  input A0, B0, C0, D0, A1, B1, C1, D1,
  output WDO0, WDO1, WDO2, WDO3, WADO0, WADO1, WADO2, WADO3
);
  assign {WDO0, WDO1, WDO2, WDO3} = {C1, A1, D1, B1};
  assign {WADO0, WADO1, WADO2, WADO3} = {D0, B0, C0, A0};
endmodule

// Pads, and the buffer of a clock.
module TRELLIS_IO_INPUT (input B, output O);
  assign O = B;
endmodule

module TRELLIS_IO_OUTPUT (input I, output B);
  assign B = I;
endmodule

module DCCA (input CLKI, output CLKO);
  assign CLKO = CLKI;
endmodule
