/* What stands for a modem: the bridge at the other end of the serial port does TCP and TLS, and knows the time.
 *
 * Frames go both ways: a letter, two bytes of length with the higher first, and that many bytes.
 *
 *     to the bridge:    T            what time is it?
 *                       O            open a connection to the service
 *                       D bytes      send these
 *                       C            close the connection
 *     from the bridge:  T 8 bytes    Unix seconds, the highest byte first
 *                       O 4 bytes    0, or the DPS_ERROR_* why there is no connection
 *                       D bytes      these have come
 *                       C            the connection has ended
 */
#ifndef MODEM_H
#define MODEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest frame, in bytes. */
enum { MODEM_FRAME = 512 };

/* Unix seconds; 0 when the bridge does not say. */
uint64_t modem_unix_s(void);

/* Connects to the service; 0, or a DPS_ERROR_* of the link. */
int32_t modem_open(void);
void modem_close(void);
void modem_send(const uint8_t *bytes, size_t length);

/* One byte that has come over the connection; false when it has ended, or none came until then. */
bool modem_receive(uint8_t *byte, uint64_t until_ms);

#endif
