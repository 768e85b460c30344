/* A TLS connection by OpenSSL, for programs that bring their own network stack. The server's certificate and its name are
 * always verified. Every call except the resolver's ends by `until_ms` on the clock of `tls_now_ms`. */
#ifndef TLS_H
#define TLS_H

#include <stddef.h>
#include <stdint.h>

typedef struct tls tls;

/* Milliseconds on a clock that never goes back. */
uint64_t tls_now_ms(void);

/* PEM files. */
typedef struct {
    /* The certificates to trust; null for the system's. */
    const char *ca;
    /* The device's certificate with its chain, and its private key; null for a device without one. */
    const char *chain, *key;
} tls_files;

/* Connects to a host. Returns null, and in `*error` a DPS_ERROR_* of the link, when it cannot. */
tls *tls_open(const char *host, const char *port, tls_files files, uint64_t until_ms, int32_t *error);

/* Why nothing was sent or read: the connection broke, the time was up, or the server refused the device's certificate. */
enum { TLS_BROKEN = -1, TLS_TIMED_OUT = -2, TLS_REFUSED = -3 };

/* Sends everything; 0 when it could. */
int tls_write(tls *tls, const void *bytes, size_t length, uint64_t until_ms);

/* What has come, up to `capacity` bytes; 0 when the other side has closed. */
int tls_read(tls *tls, void *bytes, size_t capacity, uint64_t until_ms);

/* Whether bytes wait that the socket does not show any more. */
int tls_pending(const tls *tls);

/* The socket, to wait on. */
int tls_socket(const tls *tls);

/* Closes the connection in good order and frees it. Null does no harm. */
void tls_close(tls *tls);

#endif
