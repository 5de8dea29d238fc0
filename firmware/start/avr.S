/* Start-up of an AVR: stack, watchdog, RAM, then main(). Interrupts stay disabled, so there is no vector table: the
 * reset vector at address 0 is this code itself. Register numbers are those of the ATmega48..328 and 640..2561.
 */
#define SREG 0x3f   /* in I/O space, for `out` */
#define SPH 0x3e
#define SPL 0x3d
#define RAMPZ 0x3b
#define MCUSR 0x34
#define WDTCSR 0x60 /* in data space, for `sts` */
#define WATCHDOG_CHANGE 0x18 /* WDCE and WDE: the next write may change the watchdog */

    .section .vectors, "ax", @progbits
    .globl _start
    .type _start, @function
_start:
    clr r1 /* what C expects in r1 */
    out SREG, r1
    ldi r16, lo8(qhn_stack_top - 1) /* a push stores first, then moves down */
    ldi r17, hi8(qhn_stack_top - 1)
    out SPH, r17
    out SPL, r16

    /* A boot loader leaves by a watchdog reset; while its flag is in MCUSR the watchdog stays on. */
    wdr
    out MCUSR, r1
    ldi r16, WATCHDOG_CHANGE
    sts WDTCSR, r16
    sts WDTCSR, r1

    ldi r26, lo8(qhn_data_start)
    ldi r27, hi8(qhn_data_start)
    ldi r18, lo8(qhn_data_end)
    ldi r19, hi8(qhn_data_end)
    ldi r30, lo8(qhn_data_load)
    ldi r31, hi8(qhn_data_load)
#ifdef QHN_LARGE_FLASH
    ldi r16, hh8(qhn_data_load)
    out RAMPZ, r16
#endif
    rjmp 2f
1:
#ifdef QHN_LARGE_FLASH
    elpm r0, Z+
#else
    lpm r0, Z+
#endif
    st X+, r0
2:
    cp r26, r18
    cpc r27, r19
    brne 1b
#ifdef QHN_LARGE_FLASH
    out RAMPZ, r1
#endif

    /* .bss follows .data, so that X is at its start. */
    ldi r18, lo8(qhn_bss_end)
    ldi r19, hi8(qhn_bss_end)
    rjmp 4f
3:
    st X+, r1
4:
    cp r26, r18
    cpc r27, r19
    brne 3b

    call main
    .size _start, . - _start

    .globl qhn_fault
    .type qhn_fault, @function
qhn_fault:
    rjmp qhn_fault
    .size qhn_fault, . - qhn_fault
