/* The firmware's end of the frames. */
#include "modem.h"

#include "clock.h"
#include "dps.h"
#include "serial.h"

enum { ANSWER_MS = 10000 };

/* The rest of the current data frame. */
static uint16_t data_left;

static void frame(char kind, const uint8_t *bytes, uint16_t length)
{
    serial_write((uint8_t)kind);
    serial_write((uint8_t)(length >> 8));
    serial_write((uint8_t)length);
    for (uint16_t i = 0; i < length; i++)
        serial_write(bytes[i]);
}

static bool next(uint8_t *byte, uint64_t until_ms)
{
    while (!serial_read(byte))
        if (clock_now_ms() >= until_ms)
            return false;
    return true;
}

/* Reads the head of the next frame: its letter, and its length; returns 0 if no frame arrives. */
static uint8_t head(uint16_t *length, uint64_t until_ms)
{
    uint8_t kind, high, low;
    if (!next(&kind, until_ms) || !next(&high, until_ms) || !next(&low, until_ms))
        return 0;
    *length = (uint16_t)(high << 8 | low);
    return kind;
}

/* Waits for a frame of this kind, whose bytes are one number; other frames are of an earlier connection. */
static bool answer(char wanted, uint64_t *number)
{
    const uint64_t until_ms = clock_now_ms() + ANSWER_MS;
    uint16_t length = 0;
    uint8_t byte = 0;
    for (;;) {
        const uint8_t kind = head(&length, until_ms);
        if (kind == 0)
            return false;
        for (*number = 0; length > 0; length--) {
            if (!next(&byte, until_ms))
                return false;
            *number = *number << 8 | byte;
        }
        if (kind == (uint8_t)wanted)
            return true;
    }
}

uint64_t modem_unix_s(void)
{
    uint64_t unix_s = 0;
    frame('T', 0, 0);
    return answer('T', &unix_s) ? unix_s : 0;
}

int32_t modem_open(void)
{
    uint64_t error = 0;
    data_left = 0;
    frame('O', 0, 0);
    return answer('O', &error) ? (int32_t)error : DPS_ERROR_TIMEOUT;
}

void modem_close(void)
{
    frame('C', 0, 0);
}

void modem_send(const uint8_t *bytes, size_t length)
{
    for (size_t sent = 0; sent < length; sent += MODEM_FRAME) {
        const size_t rest = length - sent;
        frame('D', bytes + sent, (uint16_t)(rest < MODEM_FRAME ? rest : MODEM_FRAME));
    }
}

bool modem_receive(uint8_t *byte, uint64_t until_ms)
{
    while (data_left == 0)
        if (head(&data_left, until_ms) != 'D')
            return false;
    data_left--;
    return next(byte, until_ms);
}
