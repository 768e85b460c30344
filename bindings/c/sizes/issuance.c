/* A whole registration over MQTT with a certificate, which asks for another one: the certificate request is read by a function,
 * and the issued chain is read from the reply, one certificate at a time. */
#define BY_CERTIFICATE
#define WITH_ISSUANCE

#include "registration.c"

static struct {
    char user_name[128], topic[128], payload[768], reply[16384];
    /* How many certificates the service issues, each with so many digits of base64. */
    unsigned certificates, digits;
} buffers;

const uint32_t row_object_bytes = REGISTRATION_BYTES, row_buffer_bytes = sizeof buffers;

enum { CSR_BYTES = 500 };

/* A secure element that would make the request. */
static bool read_request(void *context, size_t offset, dps_buffer out)
{
    (void)context;
    for (size_t at = 0; at < out.len; at++)
        ((uint8_t *)out.ptr)[at] = (uint8_t)(offset + at);
    return true;
}

static int ask_for_certificate(void)
{
    if (dps_certificate_request_init_reader(&memory.csr, CSR_BYTES, read_request, 0) != DPS_OK)
        return 50;
    return dps_registration_set_certificate_request(&memory.registration, &memory.csr) == DPS_OK ? 0 : 51;
}

static size_t put(size_t at, dps_span text)
{
    for (size_t from = 0; from < text.len && at < sizeof buffers.reply; from++)
        buffers.reply[at++] = text.ptr[from];
    return at;
}

/* The digits of a certificate are all the same letter: A for the first one. */
static size_t put_chain(size_t at)
{
    at = put(at, ROW_SPAN(",\"issuedCertificateChain\":["));
    for (unsigned index = 0; index < buffers.certificates; index++) {
        at = put(at, index == 0 ? ROW_SPAN("\"") : ROW_SPAN(",\""));
        for (unsigned digit = 0; digit < buffers.digits && at < sizeof buffers.reply; digit++)
            buffers.reply[at++] = (char)('A' + (char)index);
        at = put(at, ROW_SPAN("\""));
    }
    return put(at, ROW_SPAN("]"));
}

static int chain_is_read(dps_buffer reply)
{
    dps_span certificate;
    for (unsigned index = 0; index <= buffers.certificates; index++) {
        if (dps_registration_issued_certificate(&memory.registration, reply, index, &certificate) != DPS_OK)
            return 60;
        if (index == buffers.certificates)
            return certificate.len == 0 ? 0 : 61;
        if (certificate.len != buffers.digits / 4 * 3)
            return 62;
        const uint8_t last = (uint8_t)certificate.ptr[certificate.len - 1];
        if ((uint8_t)certificate.ptr[0] != index << 2 || last != (uint8_t)(index << 6 | index))
            return 63;
    }
    return 64;
}

int registration_exchange(dps_registration *registration, const dps_action *action, uint64_t now_ms, unsigned turn,
                          dps_buffer *reply)
{
    static const dps_span topics[] = {
        ROW_TEXT("$dps/registrations/res/202/?$rid=" FIRST_ID "&retry-after=3"),
        ROW_TEXT("$dps/registrations/res/200/?$rid=" SECOND_ID),
        ROW_TEXT("$dps/registrations/res/401/?$rid=" FIRST_ID),
    };
    static const dps_span bodies[] = {ROW_TEXT(BODY_ASSIGNING), ROW_TEXT(BODY_ASSIGNED), ROW_TEXT(BODY_REFUSED)};
    size_t length;
    (void)action;
    if (turn >= sizeof topics / sizeof *topics ||
        dps_mqtt_write_versioned_user_name(registration, ROW_SPAN(DPS_API_VERSION_ISSUANCE), ROW_SPAN("row/1"),
                                           ROW_BUFFER(buffers.user_name), &length) != DPS_OK ||
        dps_mqtt_write_topic(registration, ROW_BUFFER(buffers.topic), &length) != DPS_OK ||
        dps_mqtt_write_payload(registration, ROW_BUFFER(buffers.payload), &length) != DPS_OK)
        return 1;
    size_t end = put(0, bodies[turn]);
    if (turn == 1) {
        /* Before the two brackets at the end: inside the registration state. */
        end = put_chain(end - 2);
        end = put(end, ROW_SPAN("}}"));
    }
    *reply = (dps_buffer){buffers.reply, end};
    return dps_registration_handle_mqtt(registration, now_ms, topics[turn], *reply) == DPS_OK ? 0 : 1;
}

/* Three certificates of P-384 through 8 KB, and five of RSA-2048 through 16 KB. */
int row(void)
{
    buffers.certificates = 3;
    buffers.digits = 1068;
    int status = registration_run();
    if (status == 0) {
        buffers.certificates = 5;
        buffers.digits = 1640;
        status = registration_run();
    }
    return status;
}
