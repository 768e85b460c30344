/* One connection: socket, context, session, independent of what is sent over it. The socket does not block: every wait is
 * in `wait_for`, and ends at the caller's deadline. */
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dps.h"

struct tls {
    int socket;
    SSL_CTX *context;
    SSL *session;
};

uint64_t tls_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Returns whether the socket can be read from, or written to, before the deadline. */
static bool wait_for(int socket, short events, uint64_t until_ms)
{
    for (;;) {
        const uint64_t now_ms = tls_now_ms(), left = until_ms > now_ms ? until_ms - now_ms : 0;
        struct pollfd waiting = {socket, events, 0};
        const int ready = poll(&waiting, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (ready > 0)
            return true;
        if (ready == 0 && left <= INT_MAX)
            return false;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

/* Connects to one address; returns DPS_OK, or the error. */
static int32_t connect_to(int socket, const struct addrinfo *address, uint64_t until_ms)
{
    int problem = 0;
    socklen_t length = sizeof problem;
    if (fcntl(socket, F_SETFL, O_NONBLOCK) != 0)
        return DPS_ERROR_CONNECT;
    if (connect(socket, address->ai_addr, address->ai_addrlen) == 0)
        return DPS_OK;
    if (errno != EINPROGRESS)
        return DPS_ERROR_CONNECT;
    if (!wait_for(socket, POLLOUT, until_ms))
        return DPS_ERROR_TIMEOUT;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, &problem, &length) == 0 && problem == 0 ? DPS_OK : DPS_ERROR_CONNECT;
}

static int dial(const char *host, const char *port, uint64_t until_ms, int32_t *error)
{
    struct addrinfo hints, *found = NULL;
    int connected = -1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    /* The resolver has its own time limits. */
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        *error = DPS_ERROR_DNS;
        return -1;
    }
    *error = DPS_ERROR_CONNECT;
    for (const struct addrinfo *at = found; at != NULL && connected < 0; at = at->ai_next) {
        connected = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (connected < 0)
            continue;
        *error = connect_to(connected, at, until_ms);
        if (*error != DPS_OK) {
            close(connected);
            connected = -1;
        }
    }
    freeaddrinfo(found);
    return connected;
}

/* Returns whether the server refused the device's certificate, as the alert says (RFC 8446, section 6.2). With TLS 1.3 it
 * arrives after the handshake. */
static bool is_certificate_refused(void)
{
    switch (ERR_GET_REASON(ERR_peek_error()) - SSL_AD_REASON_OFFSET) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case TLS13_AD_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

/* Returns why the session failed, as a number of the catalogue. */
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

/* Returns whether the device's certificate can be used, or there is none. */
static bool present(SSL_CTX *context, tls_files files)
{
    return files.chain == NULL || (SSL_CTX_use_certificate_chain_file(context, files.chain) == 1 &&
                                   SSL_CTX_use_PrivateKey_file(context, files.key, SSL_FILETYPE_PEM) == 1);
}

/* Waits for what the last call on the session, which returned `result`, requires; returns 1 to call again, else what to
 * return. */
static int call_again(const tls *tls, int result, uint64_t until_ms)
{
    switch (SSL_get_error(tls->session, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(tls->socket, POLLIN, until_ms) ? 1 : TLS_TIMED_OUT;
    case SSL_ERROR_WANT_WRITE:
        return wait_for(tls->socket, POLLOUT, until_ms) ? 1 : TLS_TIMED_OUT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return is_certificate_refused() ? TLS_REFUSED : TLS_BROKEN;
    }
}

static int32_t shake_hands(tls *tls, uint64_t until_ms)
{
    for (;;) {
        const int result = SSL_connect(tls->session);
        if (result == 1)
            return DPS_OK;
        const int again = call_again(tls, result, until_ms);
        if (again == TLS_TIMED_OUT)
            return DPS_ERROR_TIMEOUT;
        if (again == TLS_REFUSED)
            return DPS_ERROR_CLIENT_CERTIFICATE_REFUSED;
        if (again != 1)
            return reason(tls->session);
    }
}

tls *tls_open(const char *host, const char *port, tls_files files, uint64_t until_ms, int32_t *error)
{
    tls *const opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        *error = DPS_ERROR_INTERNAL;
        return NULL;
    }
    opened->socket = dial(host, port, until_ms, error);
    opened->context = SSL_CTX_new(TLS_client_method());
    if (opened->socket >= 0 && opened->context != NULL) {
        *error = DPS_ERROR_TLS;
        SSL_CTX_set_verify(opened->context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_min_proto_version(opened->context, TLS1_2_VERSION);
        SSL_CTX_set_mode(opened->context, SSL_MODE_ENABLE_PARTIAL_WRITE);
        if (trust(opened->context, files.ca) != 1)
            *error = DPS_ERROR_UNKNOWN_CA;
        else if (present(opened->context, files) && (opened->session = SSL_new(opened->context)) != NULL &&
                 SSL_set_fd(opened->session, opened->socket) == 1 && SSL_set1_host(opened->session, host) == 1 &&
                 SSL_set_tlsext_host_name(opened->session, host) == 1) {
            *error = shake_hands(opened, until_ms);
            if (*error == DPS_OK)
                return opened;
        }
    }
    ERR_clear_error();
    tls_close(opened);
    return NULL;
}

int tls_write(tls *tls, const void *bytes, size_t length, uint64_t until_ms)
{
    for (size_t done = 0, written = 0; done < length; done += written) {
        int again = 1;
        written = 0;
        ERR_clear_error();
        if (SSL_write_ex(tls->session, (const char *)bytes + done, length - done, &written) != 1)
            again = call_again(tls, 0, until_ms);
        if (again != 1)
            return again == 0 ? TLS_BROKEN : again;
    }
    return 0;
}

int tls_read(tls *tls, void *bytes, size_t capacity, uint64_t until_ms)
{
    for (;;) {
        size_t length = 0;
        ERR_clear_error();
        if (SSL_read_ex(tls->session, bytes, capacity, &length) == 1)
            return (int)length;
        const int again = call_again(tls, 0, until_ms);
        if (again != 1)
            return again;
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
