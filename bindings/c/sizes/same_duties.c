/* What the best C peer does, with functions that need no object: key, token, user name, topics, body, and the reading of
 * a recorded reply. No state machine, retries or packets. */
#include "row.h"

static struct {
    dps_key group, device;
    dps_signature signature;
    char token[320], user_name[128], topic[128], payload[96], reply[256];
} memory;

#define OBJECT_BYTES (2 * sizeof(dps_key) + sizeof(dps_signature))
const uint32_t row_object_bytes = OBJECT_BYTES, row_buffer_bytes = sizeof memory - OBJECT_BYTES;

static const dps_span id_scope = ROW_TEXT(ROW_ID_SCOPE), registration_id = ROW_TEXT(ROW_REGISTRATION_ID);
static const dps_span topic = ROW_TEXT("$dps/registrations/res/200/?$rid=2");
static const dps_span body =
    ROW_TEXT("{\"operationId\":\"5.abc\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"hub\\u002da.test\","
             "\"deviceId\":\"" ROW_REGISTRATION_ID "\",\"payload\":{\"line\":7}}}");

static int token(void)
{
    const dps_sas sas = {DPS_SAS_REGISTRATION, id_scope, registration_id, ROW_UNIX_S};
    const dps_buffer out = ROW_BUFFER(memory.token);
    dps_span to_sign, made;
    size_t needed;
    if (dps_key_from_base64(&memory.group, ROW_SPAN(ROW_GROUP_KEY)) != DPS_OK ||
        dps_key_derive(&memory.group, registration_id, &memory.device) != DPS_OK)
        return 1;
    if (dps_sas_prepare(&sas, out, &to_sign, &needed) != DPS_OK ||
        dps_key_sign(&memory.device, to_sign, &memory.signature) != DPS_OK ||
        dps_sas_finish(&memory.signature, out, &made) != DPS_OK)
        return 2;
    return 0;
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
