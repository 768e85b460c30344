/* Registration of a device without a clock, of one with a certificate, and of one with a TPM: what is sent, and in which
 * order. */
#include <stdio.h>

#include "check.h"
#include "scene.h"

static scene memory;
static char reply[1024], request[DPS_HTTP_REQUEST_SIZE];

static const char assigning[] = "{\"operationId\":\"5.abc\",\"status\":\"assigning\"}";
static const char assigned[] = "{\"operationId\":\"5.abc\",\"status\":\"assigned\",\"registrationState\":{"
                               "\"assignedHub\":\"hub-a.test\",\"deviceId\":\"" DEVICE "\","
                               "\"tpm\":{\"authenticationKey\":\"ExIREA8ODQwLCgkIBwYFBAMCAQA=\"}}}";
static const char challenge[] = "{\"message\":\"TPM\",\"authenticationKey\":\"AAECAwQFBgcICQoLDA0OD\\u0078AREhM=\"}";
static const char refused[] = "{\"errorCode\":401002,\"message\":\"no\"}";

/* Passes a whole message to the registration; the message stays in the buffer. */
static dps_result answer(uint32_t id, unsigned status, const char *date, const char *body)
{
    dps_http_progress progress;
    const int length = snprintf(reply, sizeof reply, "HTTP/1.1 %u -\r\nDate: %s\r\nContent-Length: %zu\r\n\r\n%s", status,
                                date, strlen(body), body);
    const dps_result result = dps_registration_receive_http(&memory.registration, 0, id, DPS_BUFFER(reply), (size_t)length,
                                                            false, &progress);
    CHECK(result != DPS_OK || progress.complete);
    return result;
}

/* Returns whether the next request contains this string. */
static bool sends(const char *text)
{
    size_t length = 0;
    RETURNS(DPS_OK, dps_http_write_request(&memory.registration, DPS_SPAN("t/1"), DPS_BUFFER(request), &length));
    return strstr(request, text) != NULL;
}

static void begin_without_time(uint64_t earliest_unix_s)
{
    scene_begin(&memory);
    dps_registration_clear(&memory.registration);
    memory.config.payload = DPS_SPAN("{\"line\":7}");
    memory.config.earliest_unix_s = earliest_unix_s;
    RETURNS(DPS_OK, dps_registration_init(&memory.registration, &memory.config, DPS_BUFFER(memory.storage)));
}

void a_time_that_is_learned(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    begin_without_time(UNIX_S);
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SEND && dps_registration_call(registration) == DPS_CALL_TIME);
    CHECK(dps_registration_token(registration).len == 0 && dps_registration_token_generation(registration) == 0);
    CHECK(span_is(dps_http_method(registration), "PUT") && sends("/register?api-version="));
    CHECK(!sends("Authorization") && !sends("line"));
    RETURNS(DPS_OK, answer(action.id, 401, "Thu, 01 Jan 2026 02:00:00 GMT", refused));
    CHECK(dps_registration_is_time_learned(registration));

    CHECK(scene_until_send(&memory, 0, &action) && dps_registration_call(registration) == DPS_CALL_REGISTER);
    CHECK(sends("\r\nAuthorization: SharedAccessSignature sr=") && sends("{\"line\":7}"));
    CHECK(strstr(dps_registration_token(registration).ptr, "&se=1767236400&") != NULL);
    RETURNS(DPS_OK, answer(action.id, 202, "Thu, 01 Jan 2026 02:00:00 GMT", assigning));
    dps_registration_clear(registration);
    CHECK(!dps_registration_is_time_learned(registration));
}

void times_that_must_not_be_believed(void)
{
    static const char *const dates[] = {"Wed, 31 Dec 2025 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT",
                                        "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 01 Jan 2047 00:00:00 GMT", "yesterday", ""};
    dps_action action;
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        begin_without_time(UNIX_S);
        RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
        RETURNS(DPS_OK, answer(action.id, 401, dates[i], refused));
        RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
        CHECK(action.kind == DPS_ACTION_FINISHED && !dps_registration_is_time_learned(&memory.registration));
        RETURNS(DPS_ERROR_CLOCK_NEEDED, dps_registration_result(&memory.registration));
        CHECK(dps_registration_verdict(&memory.registration) == DPS_VERDICT_RECONFIGURE);
        dps_registration_clear(&memory.registration);
    }
}

void a_time_that_may_not_be_learned(void)
{
    dps_action action;
    char topic[DPS_MQTT_TOPIC_SIZE];
    size_t length;
    begin_without_time(0);
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    RETURNS(DPS_ERROR_CLOCK_NEEDED, dps_registration_result(&memory.registration));
    CHECK(action.kind == DPS_ACTION_FINISHED);
    dps_registration_clear(&memory.registration);

    /* Replies over MQTT do not contain the time. */
    begin_without_time(UNIX_S);
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    RETURNS(DPS_ERROR_UNSUPPORTED_BY_TRANSPORT, dps_mqtt_write_topic(&memory.registration, DPS_BUFFER(topic), &length));
    RETURNS(DPS_OK, dps_registration_handle_link_error(&memory.registration, 0, action.id, DPS_ERROR_UNSUPPORTED_BY_TRANSPORT, 0));
    RETURNS(DPS_ERROR_CLOCK_NEEDED, dps_registration_result(&memory.registration));
    CHECK(dps_registration_verdict(&memory.registration) == DPS_VERDICT_RECONFIGURE);
    dps_registration_clear(&memory.registration);
}

static void begin_with_certificate(void)
{
    scene_begin(&memory);
    dps_registration_clear(&memory.registration);
    memory.config.correct_clock = true;
    memory.config.earliest_unix_s = UNIX_S;
    RETURNS(DPS_OK, dps_registration_init_x509(&memory.registration, &memory.config, DPS_BUFFER(memory.storage)));
}

void a_certificate_that_registers_over_http(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    begin_with_certificate();
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SEND && dps_registration_call(registration) == DPS_CALL_REGISTER);
    CHECK(!sends("Authorization") && sends("{\"registrationId\":\"" DEVICE "\"}"));
    CHECK(dps_registration_to_sign(registration).len == 0 && dps_registration_token(registration).len == 0);
    CHECK(dps_registration_token_generation(registration) == 0);
    RETURNS(DPS_OK, answer(action.id, 202, "", assigning));

    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_WAIT);
    RETURNS(DPS_OK, dps_registration_poll(registration, action.until_ms, &action));
    CHECK(action.kind == DPS_ACTION_SEND && dps_registration_call(registration) == DPS_CALL_STATUS);
    CHECK(!sends("Authorization"));
    RETURNS(DPS_OK, answer(action.id, 200, "", assigned));
    RETURNS(DPS_OK, dps_registration_result(registration));
    CHECK(span_is(dps_registration_assigned_hub(registration), "hub-a.test"));
    CHECK(dps_registration_hub_key(registration, DPS_BUFFER(reply)).len == 0);
    dps_registration_clear(registration);
}

void a_certificate_that_registers_over_mqtt(void)
{
    static const char *const topics[] = {"$dps/registrations/PUT/iotdps-register/?$rid=1",
                                         "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.abc"};
    static const char *const answers[] = {"$dps/registrations/res/202/?$rid=1&retry-after=3",
                                          "$dps/registrations/res/200/?$rid=2"};
    static const char user_name[] = ID_SCOPE "/registrations/" DEVICE "/api-version=2019-03-31";
    dps_registration *const registration = &memory.registration;
    dps_action action = {0};
    size_t length;
    begin_with_certificate();
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        RETURNS(DPS_OK, dps_registration_poll(registration, action.until_ms, &action));
        CHECK(action.kind == DPS_ACTION_SEND && dps_registration_token(registration).len == 0);
        RETURNS(DPS_OK, dps_mqtt_write_user_name(registration, DPS_SPAN(""), DPS_BUFFER(request), &length));
        CHECK(strcmp(request, user_name) == 0);
        RETURNS(DPS_OK, dps_mqtt_write_topic(registration, DPS_BUFFER(request), &length));
        CHECK(strcmp(request, topics[i]) == 0);
        const int body = snprintf(reply, sizeof reply, "%s", i == 0 ? assigning : assigned);
        RETURNS(DPS_OK, dps_registration_handle_mqtt(registration, 0, dps_span_of(answers[i]), (dps_buffer){reply, (size_t)body}));
        RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    }
    CHECK(action.kind == DPS_ACTION_FINISHED && dps_registration_result(registration) == DPS_OK);
    dps_registration_clear(registration);
}

void a_certificate_that_looks_up(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    begin_with_certificate();
    dps_registration_clear(registration);
    RETURNS(DPS_OK, dps_registration_init_x509_lookup(registration, &memory.config, DPS_BUFFER(memory.storage)));
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SEND && dps_registration_call(registration) == DPS_CALL_LOOKUP);
    CHECK(sends("POST ") && !sends("Authorization") && dps_registration_token(registration).len == 0);
    RETURNS(DPS_OK, answer(action.id, 200, "", "{\"status\":\"assigned\",\"assignedHub\":\"hub-a.test\",\"deviceId\":\"d\"}"));
    RETURNS(DPS_OK, dps_registration_result(registration));
    CHECK(dps_registration_status(registration) == DPS_STATUS_ASSIGNED);
    CHECK(span_is(dps_registration_assigned_hub(registration), "hub-a.test"));
    dps_registration_clear(registration);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_registration_init_x509_lookup(registration, NULL, DPS_BUFFER(memory.storage)));
}

void a_certificate_that_resumes(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    char operation[256];
    size_t length;
    begin_with_certificate();
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    RETURNS(DPS_OK, answer(action.id, 202, "", assigning));
    RETURNS(DPS_OK, dps_registration_write_operation(registration, DPS_BUFFER(operation), &length));
    dps_registration_clear(registration);

    const dps_buffer storage = DPS_BUFFER(memory.storage);
    const dps_span saved = {operation, length};
    RETURNS(DPS_OK, dps_registration_init_x509_resumed(registration, &memory.config, storage, saved));
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SEND && dps_registration_call(registration) == DPS_CALL_STATUS);
    CHECK(sends("/operations/5.abc?") && !sends("Authorization"));
    RETURNS(DPS_OK, answer(action.id, 200, "", assigned));
    RETURNS(DPS_OK, dps_registration_result(registration));
    dps_registration_clear(registration);

    memory.config.registration_id = DPS_SPAN("another");
    RETURNS(DPS_ERROR_OPERATION_MISMATCH,
            dps_registration_init_x509_resumed(registration, &memory.config, storage, saved));
    RETURNS(DPS_ERROR_OPERATION_UNREADABLE,
            dps_registration_init_x509_resumed(registration, &memory.config, storage, DPS_SPAN("x")));
}

/* Returns whether the failure has the hints of a refused certificate, none of which is about a clock or a key. */
static bool hints_at_certificate(void)
{
    static const char *const names[] = {"missing-intermediate", "unverified-root", "wrong-thumbprint", "certificate-name",
                                        "no-enrollment", "disabled-group", "wrong-id-scope", "network-rules"};
    dps_hint hint;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (dps_registration_hint(&memory.registration, i, &hint) != DPS_OK || !span_is(hint.name, names[i]))
            return false;
    return dps_registration_hint(&memory.registration, sizeof names / sizeof *names, &hint) != DPS_OK;
}

void a_certificate_that_is_refused(void)
{
    dps_action action;
    bool again = true;
    begin_with_certificate();
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    /* The date of the refusal is of no use, and a challenge is for a TPM. */
    RETURNS(DPS_OK, answer(action.id, 401, "Thu, 01 Jan 2026 02:00:00 GMT", challenge));
    RETURNS(DPS_ERROR_UNAUTHORIZED, dps_registration_result(&memory.registration));
    CHECK(!dps_registration_is_time_learned(&memory.registration) && hints_at_certificate());
    RETURNS(DPS_OK, dps_registration_correct_clock(&memory.registration, 0, UNIX_S + 7200, &again));
    CHECK(!again && hints_at_certificate());
    dps_registration_clear(&memory.registration);

    begin_with_certificate();
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    RETURNS(DPS_OK, dps_registration_handle_link_error(&memory.registration, 0, action.id, DPS_ERROR_MQTT_REFUSED, 5));
    RETURNS(DPS_ERROR_UNAUTHORIZED, dps_registration_result(&memory.registration));
    CHECK(hints_at_certificate());
    dps_registration_clear(&memory.registration);

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init_x509(NULL, &memory.config, DPS_BUFFER(memory.storage)));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init_x509(&memory.registration, NULL, DPS_BUFFER(memory.storage)));
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL,
            dps_registration_init_x509(&memory.registration, &memory.config, (dps_buffer){memory.storage, 64}));
}

static dps_tpm tpm;

static void begin_with_tpm(void)
{
    scene_begin(&memory);
    dps_registration_clear(&memory.registration);
    RETURNS(DPS_OK, dps_tpm_init(&tpm, DPS_SPAN("endorsement"), DPS_SPAN("storage root")));
    RETURNS(DPS_OK, dps_registration_init_tpm(&memory.registration, &memory.config, &tpm, DPS_BUFFER(memory.storage)));
    RETURNS(DPS_OK, dps_registration_set_time(&memory.registration, 0, UNIX_S));
}

static bool counts(dps_span bytes, int first, int step)
{
    for (size_t at = 0; at < bytes.len; at++)
        if ((unsigned char)bytes.ptr[at] != (unsigned char)(first + step * (int)at))
            return false;
    return bytes.len == 20;
}

void a_tpm_that_registers(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    begin_with_tpm();
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SEND && dps_registration_call(registration) == DPS_CALL_REGISTER);
    CHECK(!sends("Authorization"));
    CHECK(sends(",\"tpm\":{\"endorsementKey\":\"ZW5kb3JzZW1lbnQ=\",\"storageRootKey\":\"c3RvcmFnZSByb290\"}}"));
    CHECK(dps_registration_challenge(registration, DPS_BUFFER(reply)).len == 0);
    RETURNS(DPS_OK, answer(action.id, 401, "", challenge));

    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_ACTIVATE && action.until_ms == 30000);
    CHECK(counts(dps_registration_challenge(registration, DPS_BUFFER(reply)), 0, 1));
    CHECK(counts(dps_registration_challenge(registration, DPS_BUFFER(reply)), 0, 1));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_activation(registration, 0, action.id + 1));
    RETURNS(DPS_OK, dps_registration_handle_activation(registration, 0, action.id));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_activation(registration, 0, action.id));

    CHECK(scene_until_send(&memory, 0, &action) && sends("Authorization") && sends("endorsementKey"));
    CHECK(dps_registration_hub_key(registration, DPS_BUFFER(reply)).len == 0);
    RETURNS(DPS_OK, answer(action.id, 200, "", assigned));
    CHECK(counts(dps_registration_hub_key(registration, DPS_BUFFER(reply)), 19, -1));
    dps_registration_clear(registration);
    CHECK(dps_registration_hub_key(registration, DPS_BUFFER(reply)).len == 0);
}

void a_tpm_that_is_refused(void)
{
    dps_action action;
    begin_with_tpm();
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    RETURNS(DPS_OK, answer(action.id, 401, "", challenge));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_activate_error(&memory.registration, 0, action.id));
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    RETURNS(DPS_OK, dps_registration_handle_activate_error(&memory.registration, 0, action.id));
    RETURNS(DPS_ERROR_ACTIVATION_FAILED, dps_registration_result(&memory.registration));
    CHECK(dps_registration_verdict(&memory.registration) == DPS_VERDICT_NEVER);
    dps_registration_clear(&memory.registration);

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_tpm_init(NULL, DPS_SPAN("e"), DPS_SPAN("s")));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_tpm_init(&tpm, DPS_SPAN("e"), DPS_SPAN("")));
    RETURNS(DPS_ERROR_INVALID_OBJECT,
            dps_registration_init_tpm(&memory.registration, &memory.config, &tpm, DPS_BUFFER(memory.storage)));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_registration_init_tpm(&memory.registration, &memory.config, NULL, DPS_BUFFER(memory.storage)));
}
