/* The switch of fiber.h. */
#include "fiber.h"

#if defined(__x86_64__)
asm(R"(
.text
.globl ingot_emulator_switch
.hidden ingot_emulator_switch
.type ingot_emulator_switch, @function
ingot_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size ingot_emulator_switch, .-ingot_emulator_switch
)");
#endif
