// SPDX-License-Identifier: Apache-2.0
// objc_msgSend and its kin, for callers in C and the languages that call as C does: the method is looked up, and jumped
// to with every register as it was that can hold an argument. What a method of nil returns is zero.
#include "runtime.h"

#if defined(APPLEVZ_FRAMEWORKS) && !defined(APPLEVZ_FRAMEWORKS_PROGRAM)
#define SHOWN(name) ".globl " #name "\n"
#else
#define SHOWN(name) ".globl " #name "\n.hidden " #name "\n"
#endif

#pragma GCC visibility push(hidden)

IMP runtime_lookup_in_super(struct objc_super *super, SEL selector);
IMP runtime_lookup_above(struct objc_super *super, SEL selector);

// libobjc's, for a receiver that may be nil.
IMP runtime_lookup_in_super(struct objc_super *super, SEL selector) {
    return objc_msg_lookup_super(super, selector);
}

IMP runtime_lookup_above(struct objc_super *super, SEL selector) {
    struct objc_super above = {super->self, class_getSuperclass(super->super_class)};
    return objc_msg_lookup_super(&above, selector);
}

#if defined(__x86_64__)

// Vectors of 32 bytes may be arguments where the processor has them.
unsigned char runtime_has_avx;

__attribute__((constructor(101))) static void ask_for_avx(void) {
    __builtin_cpu_init();
    runtime_has_avx = __builtin_cpu_supports("avx") != 0;
}

// With the pushed rbp, rsp is a multiple of 16 again for the call: 8 general registers, 8 vectors of 32 bytes, and some
// more.
#define SAVE                                                                                                           \
    "pushq %rbp\n .cfi_def_cfa_offset 16\n .cfi_offset %rbp, -16\n movq %rsp, %rbp\n .cfi_def_cfa_register %rbp\n"     \
    "subq $352, %rsp\n"                                                                                                \
    "movq %rdi, 0(%rsp)\n movq %rsi, 8(%rsp)\n movq %rdx, 16(%rsp)\n movq %rcx, 24(%rsp)\n movq %r8, 32(%rsp)\n"       \
    "movq %r9, 40(%rsp)\n movq %rax, 48(%rsp)\n movq %r10, 56(%rsp)\n"                                                 \
    "cmpb $0, runtime_has_avx(%rip)\n je 1f\n"                                                                         \
    "vmovups %ymm0, 64(%rsp)\n vmovups %ymm1, 96(%rsp)\n vmovups %ymm2, 128(%rsp)\n vmovups %ymm3, 160(%rsp)\n"        \
    "vmovups %ymm4, 192(%rsp)\n vmovups %ymm5, 224(%rsp)\n vmovups %ymm6, 256(%rsp)\n vmovups %ymm7, 288(%rsp)\n jmp " \
    "2f\n"                                                                                                             \
    "1: movups %xmm0, 64(%rsp)\n movups %xmm1, 96(%rsp)\n movups %xmm2, 128(%rsp)\n movups %xmm3, 160(%rsp)\n"         \
    "movups %xmm4, 192(%rsp)\n movups %xmm5, 224(%rsp)\n movups %xmm6, 256(%rsp)\n movups %xmm7, 288(%rsp)\n2:\n"

#define RESTORE_AND_JUMP(adjust)                                                                                       \
    "movq %rax, %r11\n cmpb $0, runtime_has_avx(%rip)\n je 3f\n"                                                       \
    "vmovups 64(%rsp), %ymm0\n vmovups 96(%rsp), %ymm1\n vmovups 128(%rsp), %ymm2\n vmovups 160(%rsp), %ymm3\n"        \
    "vmovups 192(%rsp), %ymm4\n vmovups 224(%rsp), %ymm5\n vmovups 256(%rsp), %ymm6\n vmovups 288(%rsp), %ymm7\n jmp " \
    "4f\n"                                                                                                             \
    "3: movups 64(%rsp), %xmm0\n movups 96(%rsp), %xmm1\n movups 128(%rsp), %xmm2\n movups 160(%rsp), %xmm3\n"         \
    "movups 192(%rsp), %xmm4\n movups 224(%rsp), %xmm5\n movups 256(%rsp), %xmm6\n movups 288(%rsp), %xmm7\n4:\n"      \
    "movq 0(%rsp), %rdi\n movq 8(%rsp), %rsi\n movq 16(%rsp), %rdx\n movq 24(%rsp), %rcx\n movq 32(%rsp), %r8\n"       \
    "movq 40(%rsp), %r9\n movq 48(%rsp), %rax\n movq 56(%rsp), %r10\n"                                                 \
    "movq %rbp, %rsp\n popq %rbp\n .cfi_def_cfa %rsp, 8\n" adjust "jmp *%r11\n"

#define DISPATCHER(name, nil, arguments, lookup, adjust)                                                               \
    __asm__(".text\n" SHOWN(name) ".type " #name ", @function\n.p2align 4\n" #name                                     \
                                  ":\n .cfi_startproc\n" nil SAVE arguments "call " #lookup                            \
                                  "@PLT\n" RESTORE_AND_JUMP(adjust) ".cfi_endproc\n .size " #name ", . - " #name "\n")

#define NO_NIL ""
#define NIL_IN(register, result) "testq " register ", " register "\n jne 5f\n" result " ret\n5:\n"
#define ZERO "xorl %eax, %eax\n xorl %edx, %edx\n xorps %xmm0, %xmm0\n xorps %xmm1, %xmm1\n"
#define SAME ""
// The result's address is the first argument, and returned.
#define SECOND_AND_THIRD "movq 8(%rsp), %rdi\n movq 16(%rsp), %rsi\n"
#define RECEIVER_OF(register) "movq (" register "), " register "\n"

DISPATCHER(objc_msgSend, NIL_IN("%rdi", ZERO), SAME, objc_msg_lookup, SAME);
DISPATCHER(objc_msgSend_fpret, NIL_IN("%rdi", ZERO "fldz\n"), SAME, objc_msg_lookup, SAME);
DISPATCHER(objc_msgSend_fp2ret, NIL_IN("%rdi", ZERO "fldz\n fldz\n"), SAME, objc_msg_lookup, SAME);
DISPATCHER(objc_msgSend_stret, NIL_IN("%rsi", "movq %rdi, %rax\n"), SECOND_AND_THIRD, objc_msg_lookup, SAME);
DISPATCHER(objc_msgSendSuper, NO_NIL, SAME, runtime_lookup_in_super, RECEIVER_OF("%rdi"));
DISPATCHER(objc_msgSendSuper2, NO_NIL, SAME, runtime_lookup_above, RECEIVER_OF("%rdi"));
DISPATCHER(objc_msgSendSuper_stret, NO_NIL, SECOND_AND_THIRD, runtime_lookup_in_super, RECEIVER_OF("%rsi"));
DISPATCHER(objc_msgSendSuper2_stret, NO_NIL, SECOND_AND_THIRD, runtime_lookup_above, RECEIVER_OF("%rsi"));

#elif defined(__aarch64__)

// x8 is the address of a result in memory.
#define SAVE                                                                                                           \
    "stp x29, x30, [sp, #-224]!\n .cfi_def_cfa_offset 224\n .cfi_offset x29, -224\n .cfi_offset x30, -216\n mov x29, " \
    "sp\n"                                                                                                             \
    "stp x0, x1, [sp, #16]\n stp x2, x3, [sp, #32]\n stp x4, x5, [sp, #48]\n stp x6, x7, [sp, #64]\n str x8, [sp, "    \
    "#80]\n"                                                                                                           \
    "stp q0, q1, [sp, #96]\n stp q2, q3, [sp, #128]\n stp q4, q5, [sp, #160]\n stp q6, q7, [sp, #192]\n"

#define RESTORE_AND_JUMP(adjust)                                                                                       \
    "mov x16, x0\n"                                                                                                    \
    "ldp q0, q1, [sp, #96]\n ldp q2, q3, [sp, #128]\n ldp q4, q5, [sp, #160]\n ldp q6, q7, [sp, #192]\n"               \
    "ldp x0, x1, [sp, #16]\n ldp x2, x3, [sp, #32]\n ldp x4, x5, [sp, #48]\n ldp x6, x7, [sp, #64]\n ldr x8, [sp, "    \
    "#80]\n"                                                                                                           \
    "ldp x29, x30, [sp], #224\n .cfi_def_cfa_offset 0\n .cfi_restore x29\n .cfi_restore x30\n" adjust "br x16\n"

#define DISPATCHER(name, nil, lookup, adjust)                                                                          \
    __asm__(".text\n" SHOWN(name) ".type " #name ", %function\n.p2align 4\n" #name                                     \
                                  ":\n .cfi_startproc\n hint #34\n" nil SAVE "bl " #lookup                             \
                                  "\n" RESTORE_AND_JUMP(adjust) ".cfi_endproc\n .size " #name ", . - " #name "\n")

#define NIL "cbnz x0, 5f\n mov x1, #0\n movi v0.2d, #0\n movi v1.2d, #0\n movi v2.2d, #0\n movi v3.2d, #0\n ret\n5:\n"

DISPATCHER(objc_msgSend, NIL, objc_msg_lookup, "");
DISPATCHER(objc_msgSendSuper, "", runtime_lookup_in_super, "ldr x0, [x0]\n");
DISPATCHER(objc_msgSendSuper2, "", runtime_lookup_above, "ldr x0, [x0]\n");

#endif

#pragma GCC visibility pop
