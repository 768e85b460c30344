/* Runs a row on a painted stack and prints the stack that it used. */
#include "board.h"
#include "row.h"

enum { PAINT = 0x5A5A5A5A, PAINTED_BYTES = 16384, SPARED_BYTES = 64 };

static void print_number(const char *name, uint32_t number)
{
    static const uint32_t powers[] = {100000u, 10000u, 1000u, 100u, 10u, 1u};
    char digits[8];
    unsigned at = 0;
    for (unsigned i = 0; i < sizeof powers / sizeof *powers; i++) {
        char digit = '0';
        for (; number >= powers[i]; number -= powers[i])
            digit++;
        digits[at++] = digit;
    }
    digits[at++] = '\n';
    digits[at] = 0;
    board_print(name);
    board_print(digits);
}

#ifdef __riscv
#define READ_STACK_POINTER "mv %0, sp"
#else
#define READ_STACK_POINTER "mov %0, sp"
#endif

/* The current stack pointer, minus what this function may still use itself. */
static uint32_t *painted_top(void)
{
    uint32_t here;
    __asm volatile(READ_STACK_POINTER : "=r"(here));
    return (uint32_t *)(here - SPARED_BYTES);
}

int main(void)
{
    uint32_t *const top = painted_top();
    uint32_t *const bottom = top - PAINTED_BYTES / 4;
    for (volatile uint32_t *word = bottom; word < top; word++)
        *word = PAINT;
    const int status = row();
    const volatile uint32_t *deepest = bottom;
    while (deepest < top && *deepest == PAINT)
        deepest++;
    print_number("stack ", (uint32_t)((const volatile uint32_t *)top - deepest) * 4u);
    print_number("objects ", row_object_bytes);
    print_number("buffers ", row_buffer_bytes);
    return status;
}
