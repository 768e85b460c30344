/* Time since power-on. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

void clock_start(void);

/* Milliseconds since the start. */
uint64_t clock_now_ms(void);

/* Sleeps until this time, or returns immediately if it has passed. */
void clock_sleep_until_ms(uint64_t until_ms);

#endif
