/* What a RISC-V core does before main: stack, trap handler, initial values of variables. A real board adds its clocks and
 * pins. */
#include <stdint.h>

#include "board.h"

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);
void reset(void);
void trap(void);

/* The first instructions of the image; C needs a stack. */
__asm(".section .start, \"ax\"\n"
      ".option arch, +zicsr\n"
      ".globl start\n"
      "start:\n"
      "    la sp, stack_top\n"
      "    la t0, trap\n"
      "    csrw mtvec, t0\n"
      "    j reset\n"
      ".text\n");

void reset(void)
{
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++)
        *to = *from++;
    for (uint32_t *to = bss_start; to < bss_end; to++)
        *to = 0;
    board_exit(main());
}

/* Called for exceptions; interrupts stay off (clock.c). The two low bits of its address select the mode of mtvec. */
__attribute__((aligned(4))) void trap(void)
{
    board_print("trap\n");
    board_exit(1);
}
