/* A whole registration over recorded replies, whatever carries them. */
#ifndef REGISTRATION_H
#define REGISTRATION_H

#include "row.h"

/* Bytes of memory that the registration itself takes; what carries it adds its buffers. */
#define REGISTRATION_BYTES (2 * sizeof(dps_key) + sizeof(dps_signature) + sizeof(dps_registration) + 768)

/* Registers, is assigned after a wait, and registers once more, which is refused; 0 when all came out as it should. */
int registration_run(void);

/* Writes the request as the transport sends it, and hands over the recorded reply numbered `turn`; 0 when it could. The
 * payload of the outcome is in `*reply` then. */
int registration_exchange(dps_registration *registration, const dps_action *action, uint64_t now_ms, unsigned turn,
                          dps_buffer *reply);

/* The bodies of the replies: under way, assigned, refused. */
#define BODY_ASSIGNING "{\"operationId\":\"5.abc\",\"status\":\"assigning\"}"
#define BODY_ASSIGNED                                                                                                     \
    "{\"operationId\":\"5.abc\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"hub\\u002da.test\","      \
    "\"deviceId\":\"" ROW_REGISTRATION_ID "\",\"substatus\":\"initialAssignment\",\"payload\":{\"line\":7}}}"
#define BODY_REFUSED "{\"errorCode\":401002,\"trackingId\":\"9f-1\",\"message\":\"Unauthorized\"}"

#endif
