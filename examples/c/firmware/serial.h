/* The board's first serial port. */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdbool.h>
#include <stdint.h>

void serial_start(void);
void serial_write(uint8_t byte);

/* Returns whether a byte was received; if so, it is in `*byte`. */
bool serial_read(uint8_t *byte);

#endif
