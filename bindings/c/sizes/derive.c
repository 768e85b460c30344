/* Derives a device's key from the group key, as base64. */
#include "row.h"

static struct {
    dps_key group, device;
    char text[DPS_KEY_TEXT_SIZE];
} memory;

#define OBJECT_BYTES (2 * sizeof(dps_key))
const uint32_t row_object_bytes = OBJECT_BYTES, row_buffer_bytes = sizeof memory - OBJECT_BYTES;

int row(void)
{
    size_t length = 0;
    if (dps_key_from_base64(&memory.group, ROW_SPAN(ROW_GROUP_KEY)) != DPS_OK)
        return 1;
    if (dps_key_derive(&memory.group, ROW_SPAN(ROW_REGISTRATION_ID), &memory.device) != DPS_OK)
        return 2;
    if (dps_key_write_base64(&memory.device, ROW_BUFFER(memory.text), &length) != DPS_OK)
        return 3;
    for (size_t at = 0; at < length; at++)
        if (memory.text[at] != ROW_DEVICE_KEY[at])
            return 4;
    return length == sizeof ROW_DEVICE_KEY - 1 ? 0 : 5;
}
