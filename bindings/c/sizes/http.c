/* A whole registration over HTTP/1.1, including the messages, without TLS. */
#include "registration.h"

static struct {
    char request[768], reply[512];
} memory;

const uint32_t row_object_bytes = REGISTRATION_BYTES, row_buffer_bytes = sizeof memory;

static const dps_span replies[] = {
    ROW_TEXT("HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\nContent-Length: 44\r\n\r\n" BODY_ASSIGNING),
    ROW_TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc8\r\n" BODY_ASSIGNED "\r\n0\r\n\r\n"),
    ROW_TEXT("HTTP/1.1 401 Unauthorized\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 65\r\n\r\n" BODY_REFUSED),
};

int registration_exchange(dps_registration *registration, const dps_action *action, uint64_t now_ms, unsigned turn,
                          dps_buffer *reply)
{
    size_t length;
    dps_http_progress progress;
    if (turn >= sizeof replies / sizeof *replies ||
        dps_http_write_request(registration, ROW_SPAN("row/1"), ROW_BUFFER(memory.request), &length) != DPS_OK)
        return 1;
    const dps_span whole = replies[turn];
    for (size_t at = 0; at < whole.len; at++)
        memory.reply[at] = whole.ptr[at];
    *reply = ROW_BUFFER(memory.reply);
    const dps_result taken =
        dps_registration_receive_http(registration, now_ms, action->id, *reply, whole.len, true, &progress);
    return taken == DPS_OK && progress.complete ? 0 : 1;
}

int row(void)
{
    return registration_run();
}
