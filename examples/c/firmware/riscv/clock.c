/* The core's own timer (RISC-V Privileged Architecture, section 3.2.1: mtime, mtimecmp), where QEMU's virt board has it. */
#include "clock.h"

/* What the timer of the board runs at. */
#define TICKS_PER_MS (10000000u / 1000u)

static volatile uint32_t *const time_low = (uint32_t *)0x0200BFF8u;
static volatile uint32_t *const time_high = (uint32_t *)0x0200BFFCu;
static volatile uint32_t *const compare_low = (uint32_t *)0x02004000u;
static volatile uint32_t *const compare_high = (uint32_t *)0x02004004u;

static uint64_t milliseconds, ticks_counted;

static uint64_t ticks(void)
{
    uint32_t high, low;
    do {
        high = *time_high;
        low = *time_low;
    } while (high != *time_high);
    return (uint64_t)high << 32 | low;
}

void clock_start(void)
{
    ticks_counted = ticks();
    /* The timer's interrupt ends wfi; interrupts as a whole stay off, so that nothing is called. */
    __asm volatile(".option push\n"
                   ".option arch, +zicsr\n"
                   "csrs mie, %0\n"
                   ".option pop"
                   :
                   : "r"(1u << 7));
}

/* Counts by subtraction: a division of 64-bit numbers would take more flash than the rest of this file. */
uint64_t clock_now_ms(void)
{
    for (const uint64_t now = ticks(); now - ticks_counted >= TICKS_PER_MS; milliseconds++)
        ticks_counted += TICKS_PER_MS;
    return milliseconds;
}

void clock_sleep_until_ms(uint64_t until_ms)
{
    for (uint64_t now_ms; (now_ms = clock_now_ms()) < until_ms;) {
        const uint64_t wake = ticks_counted + (until_ms - now_ms) * TICKS_PER_MS;
        *compare_high = UINT32_MAX; /* nothing between the two writes is due */
        *compare_low = (uint32_t)wake;
        *compare_high = (uint32_t)(wake >> 32);
        __asm volatile("wfi");
    }
}
