/* Derives a device's key from the group key, and makes a token for the provisioning service with it. */
#include "row.h"

static struct {
    dps_key group, device;
    dps_signature signature;
    char token[320];
} memory;

#define OBJECT_BYTES (2 * sizeof(dps_key) + sizeof(dps_signature))
const uint32_t row_object_bytes = OBJECT_BYTES, row_buffer_bytes = sizeof memory - OBJECT_BYTES;

static const char expected[] = "SharedAccessSignature sr=" ROW_ID_SCOPE "%2Fregistrations%2F" ROW_REGISTRATION_ID
                               "&sig=MMjIFrP4z3FgdjrJxaCvI1ad%2FOQhpqpDJsDfTQ30HZ4%3D&se=1767225600&skn=registration";

int row(void)
{
    const dps_sas sas = {DPS_SAS_REGISTRATION, ROW_SPAN(ROW_ID_SCOPE), ROW_SPAN(ROW_REGISTRATION_ID), ROW_UNIX_S};
    const dps_buffer out = ROW_BUFFER(memory.token);
    dps_span to_sign, token;
    size_t needed;
    if (dps_key_from_base64(&memory.group, ROW_SPAN(ROW_GROUP_KEY)) != DPS_OK)
        return 1;
    if (dps_key_derive(&memory.group, ROW_SPAN(ROW_REGISTRATION_ID), &memory.device) != DPS_OK)
        return 2;
    if (dps_sas_prepare(&sas, out, &to_sign, &needed) != DPS_OK)
        return 3;
    if (dps_key_sign(&memory.device, to_sign, &memory.signature) != DPS_OK)
        return 4;
    if (dps_sas_finish(&memory.signature, out, &token) != DPS_OK)
        return 5;
    for (size_t at = 0; at < token.len; at++)
        if (token.ptr[at] != expected[at])
            return 6;
    return token.len == sizeof expected - 1 ? 0 : 7;
}
