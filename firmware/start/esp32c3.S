/* Start of an ESP32-C3 image that the ROM runs from flash without a second boot loader ("direct boot", chip revision 3
 * and later): the image begins with this word twice, and the ROM jumps behind them. */
    .section .header, "a", @progbits
    .word 0xaedb041d
    .word 0xaedb041d
