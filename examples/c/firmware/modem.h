/* A simulated modem: the bridge at the other end of the serial port does TCP and TLS, and knows the time.
 *
 * Frames go both ways: a letter, two bytes of length with the higher first, and that many bytes.
 *
 *     to the bridge:    T            what time is it?
 *                       O            open a connection to the service
 *                       D bytes      send these
 *                       C            close the connection
 *     from the bridge:  T 8 bytes    Unix seconds, the highest byte first
 *                       O 4 bytes    0 if the connection is open, else a DPS_ERROR_*
 *                       D bytes      these were received
 *                       C            the connection has ended
 */
#ifndef MODEM_H
#define MODEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest frame, in bytes. */
enum { MODEM_FRAME = 512 };

/* Returns the time in Unix seconds; 0 if the bridge does not answer. */
uint64_t modem_unix_s(void);

/* Connects to the service; returns 0, or a DPS_ERROR_* of the link. */
int32_t modem_open(void);
void modem_close(void);
void modem_send(const uint8_t *bytes, size_t length);

/* Receives one byte; returns false if the connection was closed, or no byte arrived until then. */
bool modem_receive(uint8_t *byte, uint64_t until_ms);

#endif
