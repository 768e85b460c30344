/* What the best C peer does, with functions that need no object: key, token, user name, topics, body, and the reading of
 * recorded replies. No state machine, retries or packets. */
#include "row.h"

static struct {
    dps_key group, device;
    dps_signature signature;
    char token[320], user_name[128], topic[128], payload[96], reply[256];
} memory;

#define OBJECT_BYTES (2 * sizeof(dps_key) + sizeof(dps_signature))
const uint32_t row_object_bytes = OBJECT_BYTES, row_buffer_bytes = sizeof memory - OBJECT_BYTES;

static const struct {
    dps_span topic, body;
} replies[] = {
    {ROW_TEXT("$dps/registrations/res/202/?$rid=1&retry-after=3"),
     ROW_TEXT("{\"operationId\":\"5.abc\",\"status\":\"assigning\"}")},
    {ROW_TEXT("$dps/registrations/res/200/?$rid=2"),
     ROW_TEXT("{\"operationId\":\"5.abc\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"hub\\u002da.test\","
              "\"deviceId\":\"" ROW_REGISTRATION_ID "\",\"payload\":{\"line\":7}}}")},
};

/* Hands over a recorded reply, which is changed where it stands. */
static dps_result receive(unsigned turn, dps_wire_reply *reply)
{
    const dps_span body = replies[turn].body;
    for (size_t at = 0; at < body.len; at++)
        memory.reply[at] = body.ptr[at];
    return dps_wire_read_reply(replies[turn].topic, (dps_buffer){memory.reply, body.len}, reply);
}

static int token(void)
{
    const dps_sas sas = {DPS_SAS_REGISTRATION, ROW_SPAN(ROW_ID_SCOPE), ROW_SPAN(ROW_REGISTRATION_ID), ROW_UNIX_S};
    const dps_buffer out = ROW_BUFFER(memory.token);
    dps_span to_sign, made;
    size_t needed;
    if (dps_key_from_base64(&memory.group, ROW_SPAN(ROW_GROUP_KEY)) != DPS_OK ||
        dps_key_derive(&memory.group, ROW_SPAN(ROW_REGISTRATION_ID), &memory.device) != DPS_OK)
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
    if (dps_wire_write_user_name(ROW_SPAN(ROW_ID_SCOPE), ROW_SPAN(ROW_REGISTRATION_ID), ROW_SPAN("row/1"),
                                 ROW_BUFFER(memory.user_name), &length) != DPS_OK)
        return 2;
    if (dps_wire_write_topic(1, ROW_SPAN(""), ROW_BUFFER(memory.topic), &length) != DPS_OK ||
        dps_wire_write_payload(ROW_SPAN(ROW_REGISTRATION_ID), ROW_SPAN("{\"line\":7}"), ROW_BUFFER(memory.payload),
                               &length) != DPS_OK)
        return 3;
    if (receive(0, &reply) != DPS_OK || reply.status != DPS_STATUS_ASSIGNING || reply.retry_after_ms != 3000)
        return 4;
    if (dps_wire_write_topic(2, reply.operation_id, ROW_BUFFER(memory.topic), &length) != DPS_OK)
        return 5;
    if (receive(1, &reply) != DPS_OK || reply.status != DPS_STATUS_ASSIGNED || reply.assigned_hub.len != 10)
        return 6;
    return 0;
}
