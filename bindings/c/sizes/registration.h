/* A whole registration over recorded replies, for any transport. */
#ifndef REGISTRATION_H
#define REGISTRATION_H

#include "row.h"

/* Bytes of memory that the registration itself uses; the transport adds its buffers. */
#ifdef WITH_ISSUANCE
#define REGISTRATION_BYTES (sizeof(dps_registration) + sizeof(dps_certificate_request) + 768)
#elif defined BY_CERTIFICATE
#define REGISTRATION_BYTES (sizeof(dps_registration) + 768)
#else
#define REGISTRATION_BYTES (2 * sizeof(dps_key) + sizeof(dps_signature) + sizeof(dps_registration) + 768)
#endif

/* The ids of the first request and of the one after it: a signature comes first, which has an id too. */
#ifdef BY_CERTIFICATE
#define FIRST_ID "1"
#define SECOND_ID "2"
#else
#define FIRST_ID "2"
#define SECOND_ID "3"
#endif

/* Registers, is assigned after a wait, and registers once more, which is refused; returns 0 if all results are correct. */
int registration_run(void);

/* Writes the request as the transport sends it, and passes on the recorded reply numbered `turn`; returns 0 on success. The
 * payload of the outcome is in `*reply` then. */
int registration_exchange(dps_registration *registration, const dps_action *action, uint64_t now_ms, unsigned turn,
                          dps_buffer *reply);

/* The bodies of the replies: assigning, assigned, refused. */
#define BODY_ASSIGNING "{\"operationId\":\"5.abc\",\"status\":\"assigning\"}"
#define BODY_ASSIGNED                                                                                                     \
    "{\"operationId\":\"5.abc\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"hub\\u002da.test\","      \
    "\"deviceId\":\"" ROW_REGISTRATION_ID "\",\"substatus\":\"initialAssignment\",\"payload\":{\"line\":7}}}"
#define BODY_REFUSED "{\"errorCode\":401002,\"trackingId\":\"9f-1\",\"message\":\"Unauthorized\"}"

#endif
