/* The features of the smallest comparable C library, with functions that need no object: key, token, user name, topics,
 * body, and reading a recorded reply. No state machine, retries or packets. */
#include "row.h"

static struct {
    char key[DPS_DERIVED_KEY_SIZE + 3], token[320], user_name[128], topic[128], payload[96], reply[256];
} memory;

const uint32_t row_object_bytes = 0, row_buffer_bytes = sizeof memory;

static const dps_span id_scope = ROW_TEXT(ROW_ID_SCOPE), registration_id = ROW_TEXT(ROW_REGISTRATION_ID);
static const dps_span topic = ROW_TEXT("$dps/registrations/res/200/?$rid=2");
static const dps_span body =
    ROW_TEXT("{\"operationId\":\"5.abc\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"hub\\u002da.test\","
             "\"deviceId\":\"" ROW_REGISTRATION_ID "\",\"payload\":{\"line\":7}}}");

static int token(void)
{
    size_t length;
    if (dps_derive_key(ROW_SPAN(ROW_GROUP_KEY), registration_id, ROW_BUFFER(memory.key), &length) != DPS_OK)
        return 1;
    const dps_span device_key = {memory.key, length};
    return dps_sas_make(device_key, id_scope, registration_id, ROW_UNIX_S, ROW_BUFFER(memory.token), &length) == DPS_OK ? 0 : 2;
}

int row(void)
{
    dps_wire_reply reply;
    size_t length;
    if (token() != 0)
        return 1;
    if (dps_wire_write_user_name(id_scope, registration_id, ROW_SPAN("row/1"), ROW_BUFFER(memory.user_name), &length) !=
            DPS_OK ||
        dps_wire_write_topic(1, ROW_SPAN(""), ROW_BUFFER(memory.topic), &length) != DPS_OK ||
        dps_wire_write_payload(registration_id, ROW_SPAN(""), ROW_BUFFER(memory.payload), &length) != DPS_OK ||
        dps_wire_write_topic(2, ROW_SPAN("5.abc"), ROW_BUFFER(memory.topic), &length) != DPS_OK)
        return 2;
    for (size_t at = 0; at < body.len; at++)
        memory.reply[at] = body.ptr[at];
    if (dps_wire_read_reply(topic, (dps_buffer){memory.reply, body.len}, &reply) != DPS_OK)
        return 3;
    return reply.request_id == 2 && reply.status == DPS_STATUS_ASSIGNED && reply.assigned_hub.len == 10 ? 0 : 4;
}
