/* One connection: socket, context, session. Knows nothing of what is sent over it. */
#include "tls.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "dps.h"

struct tls {
    int socket;
    SSL_CTX *context;
    SSL *session;
};

static int dial(const char *host, const char *port, unsigned timeout_ms, int32_t *error)
{
    struct addrinfo hints, *found = NULL;
    int connected = -1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        *error = DPS_ERROR_DNS;
        return -1;
    }
    const struct timeval limit = {(time_t)(timeout_ms / 1000), (suseconds_t)(timeout_ms % 1000) * 1000};
    for (const struct addrinfo *at = found; at != NULL && connected < 0; at = at->ai_next) {
        connected = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (connected < 0)
            continue;
        setsockopt(connected, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(connected, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (connect(connected, at->ai_addr, at->ai_addrlen) != 0) {
            close(connected);
            connected = -1;
        }
    }
    freeaddrinfo(found);
    *error = connected < 0 ? DPS_ERROR_CONNECT : DPS_OK;
    return connected;
}

/* Why there is no session, in the catalogue's numbers. */
static int32_t reason(const SSL *session)
{
    switch (SSL_get_verify_result(session)) {
    case X509_V_OK:
        return DPS_ERROR_TLS;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return DPS_ERROR_NAME_MISMATCH;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return DPS_ERROR_CERTIFICATE_EXPIRED;
    default:
        return DPS_ERROR_UNKNOWN_CA;
    }
}

static int trust(SSL_CTX *context, const char *ca_file)
{
    return ca_file == NULL ? SSL_CTX_set_default_verify_paths(context)
                           : SSL_CTX_load_verify_locations(context, ca_file, NULL);
}

tls *tls_open(const char *host, const char *port, const char *ca_file, unsigned timeout_ms, int32_t *error)
{
    tls *const opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        *error = DPS_ERROR_INTERNAL;
        return NULL;
    }
    opened->socket = dial(host, port, timeout_ms, error);
    opened->context = SSL_CTX_new(TLS_client_method());
    if (opened->socket >= 0 && opened->context != NULL) {
        *error = DPS_ERROR_TLS;
        SSL_CTX_set_verify(opened->context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_min_proto_version(opened->context, TLS1_2_VERSION);
        /* What only TLS wants to know, such as a session ticket, must not make a read wait for more. */
        SSL_CTX_clear_mode(opened->context, SSL_MODE_AUTO_RETRY);
        if (trust(opened->context, ca_file) != 1)
            *error = DPS_ERROR_UNKNOWN_CA;
        else if ((opened->session = SSL_new(opened->context)) != NULL &&
                 SSL_set_fd(opened->session, opened->socket) == 1 && SSL_set1_host(opened->session, host) == 1 &&
                 SSL_set_tlsext_host_name(opened->session, host) == 1) {
            if (SSL_connect(opened->session) == 1)
                return opened;
            *error = reason(opened->session);
        }
    }
    ERR_clear_error();
    tls_close(opened);
    return NULL;
}

int tls_write(tls *tls, const void *bytes, size_t length)
{
    size_t written = 0;
    return SSL_write_ex(tls->session, bytes, length, &written) == 1 && written == length ? 0 : -1;
}

int tls_read(tls *tls, void *bytes, size_t room)
{
    size_t length = 0;
    errno = 0;
    if (SSL_read_ex(tls->session, bytes, room, &length) == 1)
        return (int)length;
    const int timed_out = errno == EAGAIN || errno == EWOULDBLOCK;
    switch (SSL_get_error(tls->session, 0)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
        return timed_out ? -1 : TLS_NOTHING_YET;
    default:
        return -1;
    }
}

int tls_pending(const tls *tls)
{
    return SSL_pending(tls->session) > 0;
}

int tls_socket(const tls *tls)
{
    return tls->socket;
}

void tls_close(tls *tls)
{
    if (tls == NULL)
        return;
    if (tls->session != NULL) {
        if (SSL_is_init_finished(tls->session))
            SSL_shutdown(tls->session);
        SSL_free(tls->session);
    }
    SSL_CTX_free(tls->context);
    if (tls->socket >= 0)
        close(tls->socket);
    free(tls);
}
