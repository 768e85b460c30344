/* Certificates that the service issues, and the hub's protocol, from the vectors: what is sent, and what is read. */
#include <stdio.h>

#include "check.h"
#include "scene.h"
#include "vectors.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static scene memory;
static dps_certificate_request csr;
static char body[4096];

static unsigned value_of(char digit)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return (unsigned)(strchr(digits, digit) - digits);
}

/* Decodes base64 by other code than the library's. */
static dps_span decoded(const char *text, char *out)
{
    size_t length = 0;
    for (size_t at = 0; text[at] != 0; at += 4) {
        unsigned bits = 0;
        for (size_t i = 0; i < 4; i++)
            bits = bits << 6 | (text[at + i] == '=' ? 0 : value_of(text[at + i]));
        const size_t count = text[at + 2] == '=' ? 1 : text[at + 3] == '=' ? 2 : 3;
        for (size_t i = 0; i < count; i++)
            out[length++] = (char)(bits >> (16 - 8 * i));
    }
    return (dps_span){out, length};
}

static bool spans_are_equal(dps_span one, dps_span other)
{
    return one.len == other.len && (one.len == 0 || memcmp(one.ptr, other.ptr, one.len) == 0);
}

/* A registration by a certificate, with a payload if it is not null. */
static void begin(const char *payload)
{
    scene_begin(&memory);
    dps_registration_clear(&memory.registration);
    memory.config.registration_id = DPS_SPAN("dev-01");
    memory.config.payload = dps_span_of(payload);
    RETURNS(DPS_OK, dps_registration_init_x509(&memory.registration, &memory.config, DPS_BUFFER(memory.storage)));
}

/* Registers, and is assigned by this reply over MQTT or HTTP, which stays in `body`. */
static dps_buffer assigned_over(bool http, const char *reply)
{
    char topic[64];
    dps_action action;
    const dps_http_head head = {.size = sizeof head, .status = 200};
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SEND && strlen(reply) < sizeof body);
    snprintf(topic, sizeof topic, "$dps/registrations/res/200/?$rid=%u", (unsigned)action.id);
    const dps_buffer buffer = {body, strlen(reply)};
    memcpy(body, reply, buffer.len);
    if (http)
        RETURNS(DPS_OK, dps_registration_handle_http(&memory.registration, 0, action.id, &head, buffer));
    else
        RETURNS(DPS_OK, dps_registration_handle_mqtt(&memory.registration, 0, dps_span_of(topic), buffer));
    RETURNS(DPS_OK, dps_registration_result(&memory.registration));
    return buffer;
}

static dps_buffer assigned_by(const char *reply)
{
    return assigned_over(false, reply);
}

/* The bytes of a request, and how often they were read; `changed` makes them others. */
typedef struct reader {
    dps_span der;
    unsigned calls;
    bool changed, fails;
} reader;

static bool read_der(void *context, size_t offset, dps_buffer out)
{
    reader *const from = context;
    from->calls++;
    if (from->fails || offset + out.len > from->der.len)
        return false;
    memcpy(out.ptr, from->der.ptr + offset, out.len);
    if (from->changed)
        ((char *)out.ptr)[0] ^= 1;
    return true;
}

void certificate_requests_that_are_sent(void)
{
    static char der[1024], out[2048];
    size_t length;
    dps_action action;
    for (size_t i = 0; i < COUNT(vectors_csr); i++) {
        for (unsigned by_function = 0; by_function < 2; by_function++) {
            reader from = {decoded(vectors_csr[i].csr, der), 0, false, false};
            begin(vectors_csr[i].payload);
            if (by_function)
                RETURNS(DPS_OK, dps_certificate_request_init_reader(&csr, from.der.len, read_der, &from));
            else
                RETURNS(DPS_OK, dps_certificate_request_init(&csr, from.der));
            RETURNS(DPS_OK, dps_registration_set_certificate_request(&memory.registration, &csr));
            RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
            RETURNS(DPS_OK, dps_http_write_body(&memory.registration, DPS_BUFFER(out), &length));
            CHECK(strcmp(out, vectors_csr[i].body) == 0);
            RETURNS(DPS_OK, dps_mqtt_write_payload(&memory.registration, DPS_BUFFER(out), &length));
            CHECK(strcmp(out, vectors_csr[i].body) == 0 && length == strlen(out));
            CHECK((from.calls > 0) == (by_function == 1));
            dps_registration_clear(&memory.registration);
        }
    }
}

void certificate_requests_that_are_refused(void)
{
    static char out[1024];
    size_t length;
    dps_action action;
    dps_registration *const registration = &memory.registration;
    reader from = {DPS_SPAN("a certificate request of more than one piece of 48 bytes"), 0, false, false};
    const dps_buffer storage = DPS_BUFFER(memory.storage);

    RETURNS(DPS_ERROR_CERTIFICATE_REQUEST, dps_certificate_request_init(&csr, DPS_SPAN("")));
    begin(NULL);
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_set_certificate_request(registration, &csr));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_certificate_request_init(&csr, NO_SPAN(9)));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_certificate_request_init(NULL, DPS_SPAN("x")));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_certificate_request_init_reader(&csr, 9, NULL, NULL));
    from.fails = true;
    RETURNS(DPS_ERROR_CERTIFICATE_REQUEST, dps_certificate_request_init_reader(&csr, from.der.len, read_der, &from));
    from.fails = false;
    RETURNS(DPS_OK, dps_certificate_request_init_reader(&csr, from.der.len, read_der, &from));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_set_certificate_request(registration, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_set_certificate_request(NULL, &csr));
    RETURNS(DPS_OK, dps_registration_set_certificate_request(registration, &csr));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_set_certificate_request(registration, &csr));

    /* Bytes that are others before the message is signed, and while it is written. */
    from.changed = true;
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    RETURNS(DPS_ERROR_CERTIFICATE_REQUEST, dps_registration_result(registration));
    dps_registration_clear(registration);
    from.changed = false;
    begin(NULL);
    RETURNS(DPS_OK, dps_registration_set_certificate_request(registration, &csr));
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_set_certificate_request(registration, &csr));
    from.changed = true;
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, dps_mqtt_write_payload(registration, DPS_BUFFER(out), &length));
    dps_registration_clear(registration);
    from.changed = false;

    /* A lookup cannot carry a request. */
    RETURNS(DPS_OK, dps_registration_init_x509_lookup(registration, &memory.config, storage));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_set_certificate_request(registration, &csr));
    dps_registration_clear(registration);
}

void certificates_that_are_issued(void)
{
    static char der[1024];
    dps_span certificate;
    for (size_t twice = 0; twice < 2 * COUNT(vectors_issued); twice++) {
        const size_t i = twice / 2;
        begin(NULL);
        const dps_buffer buffer = assigned_over(twice % 2 == 1, vectors_issued[i].body);
        const size_t index = (size_t)(vectors_issued[i].index[0] - '0');
        memset(&certificate, UNTOUCHED, sizeof certificate);
        const dps_result result =
            dps_registration_issued_certificate(&memory.registration, buffer, index, &certificate);
        if (vectors_issued[i].problem != NULL) {
            CHECK(result == DPS_ERROR_INVALID_REPLY && is_untouched(&certificate, sizeof certificate));
        } else {
            const dps_span expected = decoded(vectors_issued[i].certificate ? vectors_issued[i].certificate : "", der);
            CHECK(result == DPS_OK && spans_are_equal(certificate, expected));
            CHECK(certificate.len == 0 || (certificate.ptr > body && certificate.ptr < body + buffer.len));
        }
        dps_registration_clear(&memory.registration);
    }
    begin(NULL);
    RETURNS(DPS_ERROR_MISUSE, dps_registration_issued_certificate(&memory.registration, DPS_BUFFER(body), 0, &certificate));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_issued_certificate(NULL, DPS_BUFFER(body), 0, &certificate));
    assigned_by(vectors_issued[0].body);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_issued_certificate(&memory.registration, NO_BUFFER(9), 0, &certificate));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_issued_certificate(&memory.registration, DPS_BUFFER(body), 0, NULL));
    dps_registration_clear(&memory.registration);
}

void profiles_of_hubs(void)
{
    dps_connection_profile profile;
    dps_span word;
    for (size_t i = 0; i < COUNT(vectors_profile); i++) {
        const char *const expected = vectors_profile[i].profile;
        begin(NULL);
        const dps_buffer buffer = assigned_by(vectors_profile[i].body);
        const dps_result result = dps_registration_connection_profile(
            &memory.registration, dps_span_of(vectors_profile[i].api_version), buffer, &profile, &word);
        if (vectors_profile[i].problem != NULL) {
            CHECK(result == DPS_ERROR_INVALID_REPLY);
        } else if (strcmp(expected, "not reported") == 0) {
            CHECK(result == DPS_OK && profile == DPS_CONNECTION_PROFILE_NOT_REPORTED && word.len == 0);
        } else {
            const dps_connection_profile known = strcmp(expected, "classic") == 0  ? DPS_CONNECTION_PROFILE_CLASSIC
                                                 : strcmp(expected, "mqttV5") == 0 ? DPS_CONNECTION_PROFILE_MQTT_V5
                                                                                   : DPS_CONNECTION_PROFILE_OTHER;
            CHECK(result == DPS_OK && profile == known && span_is(word, expected));
        }
        dps_registration_clear(&memory.registration);
    }
    const dps_span version = DPS_SPAN(DPS_API_VERSION_PROFILE);
    begin(NULL);
    RETURNS(DPS_ERROR_MISUSE,
            dps_registration_connection_profile(&memory.registration, version, DPS_BUFFER(body), &profile, &word));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_registration_connection_profile(&memory.registration, version, DPS_BUFFER(body), NULL, &word));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_registration_connection_profile(&memory.registration, DPS_SPAN("a b"), DPS_BUFFER(body), &profile, &word));
    dps_registration_clear(&memory.registration);
}

void versions_of_the_api(void)
{
    static char out[DPS_HTTP_REQUEST_SIZE];
    const dps_span version = DPS_SPAN(DPS_API_VERSION_ISSUANCE), none = {NULL, 0};
    dps_registration *const registration = &memory.registration;
    dps_action action;
    size_t length;
    begin(NULL);
    RETURNS(DPS_OK, dps_mqtt_write_versioned_user_name(registration, version, DPS_SPAN("t/1"), DPS_BUFFER(out), &length));
    CHECK(strcmp(out, ID_SCOPE "/registrations/dev-01/api-version=2026-11-01&ClientVersion=t%2F1") == 0);
    RETURNS(DPS_ERROR_MISUSE, dps_http_write_versioned_target(registration, version, DPS_BUFFER(out), &length));
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    RETURNS(DPS_OK, dps_http_write_versioned_target(registration, version, DPS_BUFFER(out), &length));
    CHECK(strcmp(out, "/" ID_SCOPE "/registrations/dev-01/register?api-version=2026-11-01") == 0);
    RETURNS(DPS_OK, dps_http_write_versioned_request(registration, version, DPS_SPAN("t/1"), DPS_BUFFER(out), &length));
    CHECK(strstr(out, "/register?api-version=2026-11-01 HTTP/1.1\r\n") != NULL);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_http_write_versioned_request(registration, version, DPS_SPAN("t\r\n1"), DPS_BUFFER(out), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_versioned_target(registration, none, DPS_BUFFER(out), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_mqtt_write_versioned_user_name(registration, DPS_SPAN("1&x=y"), none, DPS_BUFFER(out), &length));
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL,
            dps_mqtt_write_versioned_user_name(registration, version, none, (dps_buffer){out, 9}, &length));
    dps_registration_clear(registration);
}
