/* Entry of an RV32 core: the two pointers that C needs, the trap vector, then qhn_start() in riscv32.c. */
    .section .vectors, "ax", @progbits
    .globl _start
    .type _start, @function
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, qhn_stack_top
    la t0, qhn_fault
    csrw mtvec, t0
    tail qhn_start
    .size _start, . - _start
