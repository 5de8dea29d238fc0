/* Second boot stage of the RP2040: 256 bytes at the start of flash, which the boot ROM copies to RAM and runs (RP2040
 * datasheet, sections 2.8.1.3 and 4.10). It lets the flash be read as memory with the command 03h, which every
 * serial flash knows, then starts the program behind it. Its last four bytes, a CRC-32, are filled in by the build.
 */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ SSI, 0x18000000
    .equ CTRLR0, 0x00
    .equ CTRLR1, 0x04
    .equ SSIENR, 0x08
    .equ BAUDR, 0x14
    .equ SPI_CTRLR0, 0xf4
    .equ VTOR, 0xe000ed08
    .equ PROGRAM, 0x10000100

    .section .boot2, "ax", %progbits
    .global qhn_boot2
    .type qhn_boot2, %function
    .thumb_func
qhn_boot2:
    ldr r3, =SSI
    movs r1, #0
    str r1, [r3, #SSIENR]
    movs r1, #4 /* a quarter of the system clock; an even number */
    str r1, [r3, #BAUDR]
    ldr r1, =(31 << 16) | (3 << 8) /* frames of 32 bits; command and address out, then data in */
    str r1, [r3, #CTRLR0]
    movs r1, #0 /* one frame at a time */
    str r1, [r3, #CTRLR1]
    ldr r1, =(0x03 << 24) | (2 << 8) | (6 << 2) /* command of 8 bits, address of 24 bits */
    ldr r2, =SSI + SPI_CTRLR0
    str r1, [r2]
    movs r1, #1
    str r1, [r3, #SSIENR]

    ldr r0, =PROGRAM
    ldr r1, =VTOR
    str r0, [r1]
    ldmia r0!, {r1, r2}
    msr msp, r1
    bx r2
    .ltorg
    .org 256
    .size qhn_boot2, . - qhn_boot2
