/* What a Cortex-M does before main: vector table, FPU, initial values of variables. Portable over Cortex-M0+ and M4; a
 * real board adds its clocks and pins. */
#include <stdint.h>

#include "board.h"

extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);

/* Switches the floating-point unit on, where the code was built for one. */
static void start_fpu(void)
{
#ifdef __ARM_FP
    volatile uint32_t *const coprocessor_access = (uint32_t *)0xE000ED88u;
    *coprocessor_access |= 0xFu << 20;
    __asm volatile("dsb\nisb");
#endif
}

void reset(void);

void reset(void)
{
    start_fpu();
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++)
        *to = *from++;
    for (uint32_t *to = bss_start; to < bss_end; to++)
        *to = 0;
    board_exit(main());
}

/* Called every millisecond where the program has started the clock (clock.c). */
void systick(void);

static void fault(void)
{
    board_print("fault\n");
    board_exit(1);
}

/* What the hardware reads first: the stack's top, then what to call for the reset and the fourteen exceptions after it. */
__attribute__((weak)) void systick(void)
{
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {
    stack_top,
    {reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, systick},
};
