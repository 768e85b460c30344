/* The 16550 serial port of QEMU's virt board. */
#include "serial.h"

static volatile uint8_t *const data = (uint8_t *)0x10000000u;
static volatile uint8_t *const line_state = (uint8_t *)0x10000005u;

enum { RECEIVED = 0x01, READY_TO_SEND = 0x20 };

void serial_start(void)
{
}

void serial_write(uint8_t byte)
{
    while ((*line_state & READY_TO_SEND) == 0) {
    }
    *data = byte;
}

bool serial_read(uint8_t *byte)
{
    if ((*line_state & RECEIVED) == 0)
        return false;
    *byte = *data;
    return true;
}
