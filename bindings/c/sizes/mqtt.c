/* A whole registration over MQTT, without the packets. */
#include "registration.h"

static struct {
    char user_name[128], topic[128], payload[96], reply[256];
} buffers;

const uint32_t row_object_bytes = REGISTRATION_BYTES, row_buffer_bytes = sizeof buffers;

static const struct {
    dps_span topic, body;
} replies[] = {
    {ROW_TEXT("$dps/registrations/res/202/?$rid=" FIRST_ID "&retry-after=3"), ROW_TEXT(BODY_ASSIGNING)},
    {ROW_TEXT("$dps/registrations/res/200/?$rid=" SECOND_ID), ROW_TEXT(BODY_ASSIGNED)},
    {ROW_TEXT("$dps/registrations/res/401/?$rid=" FIRST_ID), ROW_TEXT(BODY_REFUSED)},
};

int registration_exchange(dps_registration *registration, const dps_action *action, uint64_t now_ms, unsigned turn,
                          dps_buffer *reply)
{
    size_t length;
    (void)action;
    if (turn >= sizeof replies / sizeof *replies ||
        dps_mqtt_write_user_name(registration, ROW_SPAN("row/1"), ROW_BUFFER(buffers.user_name), &length) != DPS_OK ||
        dps_mqtt_write_topic(registration, ROW_BUFFER(buffers.topic), &length) != DPS_OK ||
        dps_mqtt_write_payload(registration, ROW_BUFFER(buffers.payload), &length) != DPS_OK)
        return 1;
    const dps_span body = replies[turn].body;
    for (size_t at = 0; at < body.len; at++)
        buffers.reply[at] = body.ptr[at];
    *reply = (dps_buffer){buffers.reply, body.len};
    return dps_registration_handle_mqtt(registration, now_ms, replies[turn].topic, *reply) == DPS_OK ? 0 : 1;
}

int row(void)
{
    return registration_run();
}
