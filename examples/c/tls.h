/* A TLS connection by OpenSSL, for programs that bring their own network stack. The server's certificate and its name are
 * always verified. */
#ifndef TLS_H
#define TLS_H

#include <stddef.h>
#include <stdint.h>

typedef struct tls tls;

/* Connects to a host; `ca_file` holds the authorities to trust, or is null for the system's. Gives null, and in `*error` a
 * DPS_ERROR_* of the link, when it cannot. Waits `timeout_ms` at most for each byte, also later. */
tls *tls_open(const char *host, const char *port, const char *ca_file, unsigned timeout_ms, int32_t *error);

/* Sends everything; 0 when it could. */
int tls_write(tls *tls, const void *bytes, size_t length);

/* What has come was only for TLS itself: read again, or do something else first. */
enum { TLS_NOTHING_YET = -2 };

/* What has come, up to `room` bytes; 0 when the other side has closed, -1 when the connection broke or time was up, or
 * TLS_NOTHING_YET. */
int tls_read(tls *tls, void *bytes, size_t room);

/* Whether bytes wait that the socket does not show any more. */
int tls_pending(const tls *tls);

/* The socket, to wait on. */
int tls_socket(const tls *tls);

/* Says goodbye and frees it. Null does no harm. */
void tls_close(tls *tls);

#endif
