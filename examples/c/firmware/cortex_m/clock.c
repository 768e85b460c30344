/* The processor's own timer (SysTick), which every Cortex-M of the examples has. */
#include "clock.h"

/* What the board's processor clock runs at. */
#define CYCLES_PER_MS (25000000u / 1000u)

static volatile uint32_t *const control = (uint32_t *)0xE000E010u;
static volatile uint32_t *const reload = (uint32_t *)0xE000E014u;
static volatile uint32_t *const current = (uint32_t *)0xE000E018u;

/* Overflows after 49 days; the registration is over by then. */
static volatile uint32_t milliseconds;

void systick(void);

void systick(void)
{
    milliseconds++;
}

void clock_start(void)
{
    *reload = CYCLES_PER_MS - 1;
    *current = 0;
    *control = 7; /* the processor's clock, with an interrupt, on */
}

uint64_t clock_now_ms(void)
{
    return milliseconds;
}

void clock_sleep_until_ms(uint64_t until_ms)
{
    while (clock_now_ms() < until_ms)
        __asm volatile("wfi");
}
