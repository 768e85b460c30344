/* One row of the size table: something that firmware does with the library, over recorded replies. */
#ifndef ROW_H
#define ROW_H

#include "dps.h"

/* Runs the row; returns 0 if all results are correct. */
int row(void);

/* Bytes of the caller's memory that it uses: objects of the library and their storage, and buffers for text and messages. */
extern const uint32_t row_object_bytes, row_buffer_bytes;

/* The device that the rows register. */
#define ROW_GROUP_KEY "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
#define ROW_DEVICE_KEY "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
#define ROW_ID_SCOPE "0ne00A1B2C3"
#define ROW_REGISTRATION_ID "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
#define ROW_UNIX_S 1767225600u

#define ROW_TEXT(literal) {literal, sizeof literal - 1}
#define ROW_SPAN(literal) ((dps_span)ROW_TEXT(literal))
#define ROW_BUFFER(array) ((dps_buffer){array, sizeof array})

#endif
