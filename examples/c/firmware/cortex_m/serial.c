/* The CMSDK serial port of mps2-an386 (Arm, "Cortex-M System Design Kit", section 4.3). */
#include "serial.h"

static struct {
    volatile uint32_t data, state, control, interrupt, divisor;
} *const port = (void *)0x40004000u;

enum { SENDING = 1, RECEIVED = 2, SEND_AND_RECEIVE = 3 };

void serial_start(void)
{
    port->divisor = 16;
    port->control = SEND_AND_RECEIVE;
}

void serial_write(uint8_t byte)
{
    while ((port->state & SENDING) != 0) {
    }
    port->data = byte;
}

bool serial_read(uint8_t *byte)
{
    if ((port->state & RECEIVED) == 0)
        return false;
    *byte = (uint8_t)port->data;
    return true;
}
