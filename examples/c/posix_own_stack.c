/* Registers a device over this program's own sockets and TLS, by carrying out the actions of a registration.
 *
 *     posix_own_stack ID_SCOPE REGISTRATION_ID KEY_FILE HOST PORT CA_FILE [TIMEOUT_MS]
 *
 * HTTP/1.1 over one connection. It uses only the part of the library that firmware has too: no heap, no threads. */
#include <dps.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls.h"

enum { REPLY_SIZE = 16 * 1024 };

static struct {
    const char *host, *port, *ca_file;
    tls *connection;
    dps_key key;
    dps_registration registration;
    unsigned char storage[DPS_STORAGE_SIZE];
    char request[DPS_HTTP_REQUEST_SIZE], reply[REPLY_SIZE];
} device;

static void sleep_until_ms(uint64_t until_ms)
{
    const uint64_t now = tls_now_ms();
    if (until_ms > now) {
        const uint64_t wait = until_ms - now;
        nanosleep(&(struct timespec){(time_t)(wait / 1000), (long)(wait % 1000) * 1000000}, NULL);
    }
}

static dps_result read_key(const char *path)
{
    char text[DPS_KEY_TEXT_SIZE + 2] = "";
    FILE *const file = fopen(path, "r");
    if (file == NULL)
        return DPS_ERROR_FILE;
    /* Otherwise the key would stay in the stream's own memory. */
    setvbuf(file, NULL, _IONBF, 0);
    const size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    const dps_result result = dps_key_from_base64(&device.key, (dps_span){text, strcspn(text, "\r\n")});
    /* A compiler removes a memset of memory that is not used again, but not this. */
    dps_wipe(text, sizeof text);
    return result;
}

static dps_result sign(const dps_action *action)
{
    dps_signature signature;
    if (dps_key_sign(&device.key, dps_registration_to_sign(&device.registration), &signature) != DPS_OK)
        return dps_registration_handle_sign_error(&device.registration, tls_now_ms(), action->id);
    const dps_result taken = dps_registration_handle_signature(&device.registration, tls_now_ms(), action->id, &signature);
    dps_wipe(&signature, sizeof signature);
    return taken;
}

static void disconnect(void)
{
    tls_close(device.connection);
    device.connection = NULL;
}

/* Returns the error as a number of the catalogue. */
static dps_result failure(int tls_result)
{
    return tls_result == TLS_TIMED_OUT ? DPS_ERROR_TIMEOUT : DPS_ERROR_CONNECTION_CUT;
}

/* Sends the request; returns DPS_OK, or the error. */
static dps_result send_request(uint64_t until_ms)
{
    dps_result error = DPS_OK;
    size_t length = 0;
    if (device.connection == NULL)
        device.connection = tls_open(device.host, device.port, (tls_files){device.ca_file, NULL, NULL}, until_ms, &error);
    if (device.connection == NULL)
        return error;
    const dps_buffer out = DPS_BUFFER(device.request);
    if (dps_http_write_request(&device.registration, DPS_SPAN("posix-own-stack/1"), out, &length) != DPS_OK)
        return DPS_ERROR_REQUEST_TOO_LARGE;
    const int sent = tls_write(device.connection, device.request, length, until_ms);
    /* It contained the token. */
    dps_wipe(device.request, sizeof device.request);
    return sent == 0 ? DPS_OK : failure(sent);
}

/* Reports to the registration that there will be no reply. */
static dps_result give_up(const dps_action *action, dps_result reason)
{
    disconnect();
    return dps_registration_handle_link_error(&device.registration, tls_now_ms(), action->id, reason, 0);
}

/* Sends the request and passes on the reply, piece by piece, or the error of the connection. */
static dps_result exchange(const dps_action *action)
{
    const dps_result sent = send_request(action->until_ms);
    if (sent != DPS_OK)
        return give_up(action, sent);
    dps_http_progress progress = {false, false};
    size_t received = 0;
    while (!progress.complete) {
        const int more =
            tls_read(device.connection, device.reply + received, sizeof device.reply - received, action->until_ms);
        if (more < 0)
            return give_up(action, failure(more));
        received += (size_t)more;
        const dps_result taken = dps_registration_receive_http(&device.registration, tls_now_ms(), action->id,
                                                               DPS_BUFFER(device.reply), received, more == 0, &progress);
        if (taken != DPS_OK)
            return taken;
    }
    if (progress.close)
        disconnect();
    return DPS_OK;
}

static dps_result run(void)
{
    for (;;) {
        dps_action action;
        dps_result result = dps_registration_poll(&device.registration, tls_now_ms(), &action);
        if (result != DPS_OK || action.kind == DPS_ACTION_FINISHED)
            return result;
        switch (action.kind) {
        case DPS_ACTION_SIGN:
            result = sign(&action);
            break;
        case DPS_ACTION_SEND:
            result = exchange(&action);
            break;
        default:
            sleep_until_ms(action.until_ms);
            break;
        }
        if (result != DPS_OK)
            return result;
    }
}

static int report(void)
{
    dps_hint hint;
    const dps_result result = dps_registration_result(&device.registration);
    if (result == DPS_OK) {
        const dps_span device_id = dps_registration_device_id(&device.registration);
        const dps_span hub = dps_registration_assigned_hub(&device.registration);
        printf("%.*s is assigned to %.*s\n", (int)device_id.len, device_id.ptr, (int)hub.len, hub.ptr);
        return 0;
    }
    const dps_span text = dps_result_text(result);
    fprintf(stderr, "%.*s\n", (int)text.len, text.ptr);
    for (size_t i = 0; dps_registration_hint(&device.registration, i, &hint) == DPS_OK; i++)
        fprintf(stderr, "  - %.*s\n", (int)hint.text.len, hint.text.ptr);
    return 1;
}

static dps_result begin(char **argv)
{
    dps_config config;
    dps_result result = read_key(argv[3]);
    device.host = argv[4];
    device.port = argv[5];
    device.ca_file = argv[6];
    if (result == DPS_OK)
        result = dps_config_default(&config);
    if (result != DPS_OK)
        return result;
    /* The strings live as long as the program, and so longer than the registration. */
    config.id_scope = dps_span_of(argv[1]);
    config.registration_id = dps_span_of(argv[2]);
    config.endpoint = dps_span_of(argv[4]);
    config.seed = (uint32_t)time(NULL);
    config.timeout_ms = argv[7] == NULL ? 0 : (uint32_t)strtoul(argv[7], NULL, 10);
    result = dps_registration_init(&device.registration, &config, DPS_BUFFER(device.storage));
    return result == DPS_OK ? dps_registration_set_time(&device.registration, tls_now_ms(), (uint64_t)time(NULL)) : result;
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 8) {
        fprintf(stderr, "usage: %s ID_SCOPE REGISTRATION_ID KEY_FILE HOST PORT CA_FILE [TIMEOUT_MS]\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    dps_result result = begin(argv);
    if (result == DPS_OK)
        result = run();
    if (result != DPS_OK) {
        const dps_span text = dps_result_text(result);
        fprintf(stderr, "%.*s\n", (int)text.len, text.ptr);
    }
    const int status = result == DPS_OK ? report() : 1;
    disconnect();
    dps_registration_clear(&device.registration);
    dps_key_wipe(&device.key);
    return status;
}
