/* The registration state machine from C: whole flows, calls in the wrong order, invalid objects. */
#include "check.h"
#include "scene.h"
#include "vectors.h"

static scene memory;
static char reply[1024];

static dps_buffer said(const char *text)
{
    const size_t length = strlen(text);
    memcpy(reply, text, length);
    return (dps_buffer){reply, length};
}

static const char assigning[] = "{\"operationId\":\"5.abc\",\"status\":\"assigning\"}";
static const char assigned[] = "{\"operationId\":\"5.abc\",\"status\":\"assigned\",\"registrationState\":{"
                               "\"assignedHub\":\"hub\\u002da.test\",\"deviceId\":\"" DEVICE "\","
                               "\"substatus\":\"initialAssignment\",\"payload\":{\"line\":7}}}";

/* Answers over MQTT; the request's number is that of the action. */
static dps_result answer(uint64_t now_ms, unsigned status, uint32_t id, const char *more, const char *body)
{
    char topic[128];
    snprintf(topic, sizeof topic, "$dps/registrations/res/%u/?$rid=%u%s", status, (unsigned)id, more);
    return dps_registration_handle_mqtt(&memory.registration, now_ms, dps_span_of(topic), said(body));
}

void a_registration_over_mqtt(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    scene_begin(&memory);
    CHECK(scene_until_send(&memory, 0, &action));
    CHECK(dps_registration_call(registration) == DPS_CALL_REGISTER && action.until_ms == 30000);
    CHECK(dps_registration_token_generation(registration) == 1 && dps_registration_to_sign(registration).len == 0);
    dps_span token = dps_registration_token(registration);
    CHECK(token.len > 25 && strncmp(token.ptr, "SharedAccessSignature sr=", 25) == 0);
    RETURNS(DPS_ERROR_MISUSE, dps_registration_result(registration));

    RETURNS(DPS_OK, answer(0, 202, action.id, "&retry-after=3", assigning));
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_WAIT && action.until_ms == 3000);
    RETURNS(DPS_OK, dps_registration_poll(registration, 3000, &action));
    CHECK(action.kind == DPS_ACTION_SEND && dps_registration_call(registration) == DPS_CALL_STATUS);
    RETURNS(DPS_OK, answer(3000, 200, action.id, "", assigned));
    RETURNS(DPS_OK, dps_registration_poll(registration, 3000, &action));
    CHECK(action.kind == DPS_ACTION_FINISHED);

    RETURNS(DPS_OK, dps_registration_result(registration));
    CHECK(dps_registration_status(registration) == DPS_STATUS_ASSIGNED);
    CHECK(span_is(dps_registration_assigned_hub(registration), "hub-a.test"));
    CHECK(span_is(dps_registration_device_id(registration), DEVICE));
    CHECK(span_is(dps_registration_substatus(registration), "initialAssignment"));
    CHECK(span_is(dps_registration_operation_id(registration), "5.abc"));
    const dps_span payload = dps_registration_payload(registration, DPS_BUFFER(reply));
    CHECK(span_is(payload, "{\"line\":7}"));
    /* A buffer that cannot be the one of the reply returns an empty span. */
    const size_t end = (size_t)(payload.ptr - reply) + payload.len;
    CHECK(dps_registration_payload(registration, (dps_buffer){reply, end}).len == payload.len);
    CHECK(dps_registration_payload(registration, (dps_buffer){reply, end - 1}).len == 0);
    CHECK(dps_registration_payload(registration, NO_BUFFER(end)).len == 0);
    CHECK(dps_registration_verdict(registration) == DPS_VERDICT_NEVER && dps_registration_retry_after_ms(registration) == 0);
    CHECK(dps_registration_http_status(registration) == 0 && dps_registration_service_code(registration) == 0);
    CHECK(dps_registration_message(registration).len == 0 && dps_registration_tracking_id(registration).len == 0);
    dps_hint hint;
    RETURNS(DPS_ERROR_MISUSE, dps_registration_hint(registration, 0, &hint));

    dps_registration_clear(registration);
    for (size_t at = 0; at < sizeof memory.storage; at++)
        if (memory.storage[at] != 0) {
            CHECK(!"the storage is wiped");
            break;
        }
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_poll(registration, 3000, &action));
    dps_registration_clear(registration);
}

void a_refusal_over_http(void)
{
    static const char refusal[] = "HTTP/1.1 401 Unauthorized\r\nDate: Thu, 01 Jan 2026 02:00:00 GMT\r\n"
                                  "Content-Length: 65\r\n\r\n"
                                  "{\"errorCode\":401002,\"trackingId\":\"9f-1\",\"message\":\"Unauthorized\"}";
    dps_registration *const registration = &memory.registration;
    dps_action action;
    dps_http_progress progress;
    dps_hint hint;
    scene_begin(&memory);
    CHECK(scene_until_send(&memory, 0, &action));
    CHECK(span_is(dps_http_method(registration), "PUT"));
    const size_t whole = strlen(refusal);
    memcpy(reply, refusal, whole);
    for (size_t received = 0; received < whole; received++) {
        RETURNS(DPS_OK, dps_registration_receive_http(registration, 0, action.id, DPS_BUFFER(reply), received, false, &progress));
        CHECK(!progress.complete);
    }
    RETURNS(DPS_ERROR_MISUSE,
            dps_registration_receive_http(registration, 0, action.id + 1, DPS_BUFFER(reply), whole, false, &progress));
    RETURNS(DPS_OK, dps_registration_receive_http(registration, 0, action.id, DPS_BUFFER(reply), whole, false, &progress));
    CHECK(progress.complete && !progress.close);

    RETURNS(DPS_ERROR_UNAUTHORIZED, dps_registration_result(registration));
    CHECK(dps_registration_verdict(registration) == DPS_VERDICT_NEVER && dps_registration_retry_after_ms(registration) == 0);
    CHECK(dps_registration_http_status(registration) == 401 && dps_registration_service_code(registration) == 401002);
    CHECK(dps_registration_clock_skew_s(registration) == 7200 && dps_registration_needed(registration) == 0);
    CHECK(span_is(dps_registration_tracking_id(registration), "9f-1"));
    CHECK(span_is(dps_registration_message(registration), "Unauthorized"));
    CHECK(dps_registration_timestamp(registration).len == 0 && dps_registration_assigned_hub(registration).len == 0);
    RETURNS(DPS_OK, dps_registration_hint(registration, 0, &hint));
    CHECK(span_is(hint.name, "clock-behind") && hint.text.len > 20);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_hint(registration, 99, &hint));
    CHECK(dps_result_family(dps_registration_result(registration)) == DPS_FAMILY_SERVICE);
    dps_registration_clear(registration);
}

/* Replies over MQTT do not contain the time: after it is set, the registration continues, once. */
void a_clock_that_is_corrected_over_mqtt(void)
{
    static const char refusal[] = "{\"errorCode\":401000,\"trackingId\":\"9f-1\",\"message\":\"Unauthorized\"}";
    dps_registration *const registration = &memory.registration;
    dps_action action;
    bool again = true;
    for (int allowed = 0; allowed <= 1; allowed++) {
        scene_begin(&memory);
        dps_registration_clear(registration);
        memory.config.correct_clock = allowed;
        RETURNS(DPS_OK, dps_registration_init(registration, &memory.config, DPS_BUFFER(memory.storage)));
        RETURNS(DPS_OK, dps_registration_set_time(registration, 0, UNIX_S));
        CHECK(scene_until_send(&memory, 0, &action));
        RETURNS(DPS_ERROR_MISUSE, dps_registration_correct_clock(registration, 0, UNIX_S + 7200, &again));
        RETURNS(DPS_OK, answer(0, 401, action.id, "", refusal));
        RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_correct_clock(registration, 10, UNIX_S + 7200, NULL));
        RETURNS(DPS_OK, dps_registration_correct_clock(registration, 10, UNIX_S + 7200, &again));
        CHECK(again == allowed);
        if (allowed) {
            CHECK(scene_until_send(&memory, 10, &action) && dps_registration_token_generation(registration) == 2);
            CHECK(strstr(dps_registration_token(registration).ptr, "&se=1767236") != NULL);
            RETURNS(DPS_OK, answer(20, 401, action.id, "", refusal));
            RETURNS(DPS_OK, dps_registration_correct_clock(registration, 20, UNIX_S + 14400, &again));
            CHECK(!again);
        }
        RETURNS(DPS_ERROR_UNAUTHORIZED, dps_registration_result(registration));
        CHECK(dps_registration_clock_skew_s(registration) == 7200);
        dps_registration_clear(registration);
    }
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_correct_clock(registration, 0, UNIX_S, &again));
}

void a_reply_that_cannot_be_used(void)
{
    static const struct {
        const char *body;
        dps_reply_problem problem;
    } cases[] = {
        {"{}", DPS_REPLY_PROBLEM_NO_STATUS},
        {"{\"status\":\"assigned\",\"registrationState\":{\"deviceId\":\"a\"}}", DPS_REPLY_PROBLEM_NO_HUB},
        {"{\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"a;b\",\"deviceId\":\"a\"}}", DPS_REPLY_PROBLEM_HUB},
    };
    dps_action action;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene_begin(&memory);
        CHECK(scene_until_send(&memory, 0, &action));
        RETURNS(DPS_OK, answer(0, 200, action.id, "", cases[i].body));
        /* The request is retried until the timeout. */
        RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 3600000, &action));
        RETURNS(DPS_ERROR_INVALID_REPLY, dps_registration_result(&memory.registration));
        CHECK(dps_registration_reply_problem(&memory.registration) == cases[i].problem);
        CHECK(dps_registration_verdict(&memory.registration) == DPS_VERDICT_AFTER);
        CHECK(dps_registration_retry_after_ms(&memory.registration) > 0);
        dps_registration_clear(&memory.registration);
    }
}

void a_connection_that_ends_too_early(void)
{
    dps_action action;
    dps_http_progress progress;
    scene_begin(&memory);
    CHECK(scene_until_send(&memory, 0, &action));
    memcpy(reply, "HTTP/1.1 200 OK\r\n", 17);
    RETURNS(DPS_OK, dps_registration_receive_http(&memory.registration, 0, action.id, DPS_BUFFER(reply), 17, true, &progress));
    CHECK(progress.complete && progress.close);
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_WAIT);
    dps_registration_clear(&memory.registration);
}

void a_lookup(void)
{
    static const char record[] = "{\"registrationId\":\"" DEVICE "\",\"status\":\"disabled\",\"errorCode\":401003}";
    dps_registration *const registration = &memory.registration;
    dps_action action;
    size_t length;
    const dps_http_head head = {.size = sizeof head, .status = 200, .date = dps_span_of("no date")};
    scene_begin(&memory);
    dps_registration_clear(registration);
    RETURNS(DPS_OK, dps_registration_init_lookup(registration, &memory.config, DPS_BUFFER(memory.storage)));
    RETURNS(DPS_OK, dps_registration_set_time(registration, 0, UNIX_S));
    CHECK(scene_until_send(&memory, 0, &action) && dps_registration_call(registration) == DPS_CALL_LOOKUP);
    CHECK(span_is(dps_http_method(registration), "POST"));
    RETURNS(DPS_ERROR_UNSUPPORTED_BY_TRANSPORT, dps_mqtt_write_topic(registration, DPS_BUFFER(reply), &length));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_http(registration, 0, action.id + 1, &head, said(record)));
    RETURNS(DPS_OK, dps_registration_handle_http(registration, 0, action.id, &head, said(record)));
    RETURNS(DPS_OK, dps_registration_result(registration));
    CHECK(dps_registration_status(registration) == DPS_STATUS_DISABLED);
    CHECK(dps_registration_service_code(registration) == 401003 && dps_registration_assigned_hub(registration).len == 0);
    dps_registration_clear(registration);
}

void an_operation_that_is_resumed(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    char operation[256];
    size_t length = 0;
    scene_begin(&memory);
    RETURNS(DPS_ERROR_MISUSE, dps_registration_write_operation(registration, DPS_BUFFER(operation), &length));
    CHECK(scene_until_send(&memory, 0, &action));
    RETURNS(DPS_OK, answer(0, 202, action.id, "", assigning));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_write_operation(registration, NO_BUFFER(9), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_write_operation(registration, DPS_BUFFER(operation), NULL));
    RETURNS(DPS_OK, dps_registration_write_operation(registration, DPS_BUFFER(operation), &length));
    dps_registration_clear(registration);

    const dps_span saved = {operation, length};
    RETURNS(DPS_OK, dps_registration_init_resumed(registration, &memory.config, DPS_BUFFER(memory.storage), saved));
    RETURNS(DPS_OK, dps_registration_set_time(registration, 0, UNIX_S));
    CHECK(scene_until_send(&memory, 0, &action) && dps_registration_call(registration) == DPS_CALL_STATUS);
    dps_registration_clear(registration);
    memory.config.registration_id = dps_span_of("another");
    RETURNS(DPS_ERROR_OPERATION_MISMATCH,
            dps_registration_init_resumed(registration, &memory.config, DPS_BUFFER(memory.storage), saved));
    for (size_t at = 0; at < sizeof memory.storage; at++)
        if (memory.storage[at] != 0) {
            CHECK(!"the storage is wiped");
            break;
        }
}

void answers_that_nobody_asked_for(void)
{
    dps_registration *const registration = &memory.registration;
    const dps_signature signature = {{0}};
    dps_action action, again;
    char text[256];
    size_t length;
    scene_begin(&memory);
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_signature(registration, 0, 1, &signature));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_sign_error(registration, 0, 1));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_link_error(registration, 0, 1, DPS_ERROR_DNS, 0));
    RETURNS(DPS_ERROR_MISUSE, answer(0, 200, 1, "", assigned));
    RETURNS(DPS_ERROR_MISUSE, dps_mqtt_write_topic(registration, DPS_BUFFER(text), &length));
    RETURNS(DPS_ERROR_MISUSE, dps_http_write_target(registration, DPS_BUFFER(text), &length));
    CHECK(dps_http_method(registration).len == 0);

    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SIGN);
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &again));
    CHECK(again.kind == DPS_ACTION_WAIT && again.until_ms == action.until_ms);
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_signature(registration, 0, action.id + 1, &signature));
    RETURNS(DPS_OK, dps_registration_handle_signature(registration, 0, action.id, &signature));
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_signature(registration, 0, action.id, &signature));
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &action));
    CHECK(action.kind == DPS_ACTION_SEND);
    RETURNS(DPS_ERROR_MISUSE, dps_registration_handle_mqtt(registration, 0, dps_span_of("hello"), said(assigned)));
    RETURNS(DPS_ERROR_MISUSE, answer(0, 200, action.id + 1, "", assigned));
    RETURNS(DPS_OK, dps_registration_abandon(registration));
    RETURNS(DPS_ERROR_MISUSE, answer(0, 200, action.id, "", assigned));
    RETURNS(DPS_OK, dps_registration_poll(registration, 0, &again));
    CHECK(again.kind == DPS_ACTION_SEND && again.id != action.id);
    RETURNS(DPS_OK, dps_registration_cancel(registration));
    RETURNS(DPS_OK, dps_registration_cancel(registration));
    RETURNS(DPS_ERROR_CANCELLED, dps_registration_result(registration));
    RETURNS(DPS_ERROR_MISUSE, answer(0, 200, again.id, "", assigned));
    dps_registration_clear(registration);
}

void objects_that_are_none(void)
{
    static dps_registration never, copy;
    static dps_key no_key;
    dps_action action;
    dps_hint hint;
    dps_signature signature;
    char text[DPS_KEY_TEXT_SIZE];
    size_t length;
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_poll(&never, 0, &action));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_set_time(&never, 0, UNIX_S));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_abandon(&never));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_cancel(&never));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_result(&never));
    CHECK(dps_registration_status(&never) == DPS_STATUS_UNKNOWN && dps_registration_assigned_hub(&never).len == 0);
    CHECK(dps_registration_operation_id(&never).len == 0 && dps_registration_payload(&never, DPS_BUFFER(reply)).len == 0);
    CHECK(dps_registration_verdict(&never) == DPS_VERDICT_NEVER && dps_registration_retry_after_ms(&never) == 0);
    CHECK(dps_registration_http_status(&never) == 0 && dps_registration_service_code(&never) == 0);
    CHECK(dps_registration_clock_skew_s(&never) == 0 && dps_registration_needed(&never) == 0);
    CHECK(dps_registration_reply_problem(&never) == DPS_REPLY_PROBLEM_NONE);
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_hint(&never, 0, &hint));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_write_operation(&never, DPS_BUFFER(text), &length));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_mqtt_write_topic(&never, DPS_BUFFER(text), &length));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_handle_sign_error(&never, 0, 1));
    dps_registration_clear(&never);
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_key_sign(&no_key, DPS_SPAN("x"), &signature));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_key_write_base64(&no_key, DPS_BUFFER(text), &length));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_key_derive(&no_key, DPS_SPAN("x"), &memory.key));
    dps_key_wipe(&no_key);
    CHECK(dps_result_family(DPS_ERROR_INVALID_OBJECT) == DPS_FAMILY_MISUSE);

    /* A copy of an object is refused, since both would use the same storage. */
    scene_begin(&memory);
    memcpy(&copy, &memory.registration, sizeof copy);
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_poll(&copy, 0, &action));
    dps_registration_clear(&copy);
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    dps_registration_clear(&memory.registration);
}

/* A key does not point to other memory, so that it can be copied and moved. */
void keys_that_are_copied(void)
{
    dps_key original, copy;
    dps_signature first, second;
    char text[DPS_KEY_TEXT_SIZE];
    size_t length;
    RETURNS(DPS_OK, dps_key_from_base64(&original, DPS_SPAN(GROUP_KEY)));
    copy = original;
    RETURNS(DPS_OK, dps_key_sign(&copy, DPS_SPAN("x"), &first));
    RETURNS(DPS_OK, dps_key_sign(&original, DPS_SPAN("x"), &second));
    CHECK(memcmp(&first, &second, sizeof first) == 0);
    dps_key_wipe(&original);
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_key_sign(&original, DPS_SPAN("x"), &first));

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_derive(&copy, DPS_SPAN(DEVICE), &copy));
    RETURNS(DPS_OK, dps_key_derive(&copy, DPS_SPAN(DEVICE), &original));
    RETURNS(DPS_OK, dps_key_write_base64(&original, DPS_BUFFER(text), &length));
    CHECK(strcmp(text, DEVICE_KEY) == 0);
    dps_key_wipe(&copy);
}

/* Programs that were compiled with another header, where structs and objects are smaller. */
void sizes_of_other_headers(void)
{
    dps_registration *const registration = &memory.registration;
    dps_action action;
    scene_begin(&memory);
    CHECK(memory.config.size == sizeof memory.config);
    dps_registration_clear(registration);

    /* Nothing after a smaller struct is read: here an invalid payload. */
    dps_config config = memory.config;
    config.payload = dps_span_of("[1]");
    RETURNS(DPS_ERROR_INVALID_PAYLOAD, dps_registration_init(registration, &config, DPS_BUFFER(memory.storage)));
    config.size = offsetof(dps_config, payload);
    RETURNS(DPS_OK, dps_registration_init(registration, &config, DPS_BUFFER(memory.storage)));
    RETURNS(DPS_OK, dps_registration_set_time(registration, 0, UNIX_S));
    CHECK(scene_until_send(&memory, 0, &action));
    dps_http_head head = {.size = offsetof(dps_http_head, date), .status = 200, .date = NO_SPAN(4)};
    RETURNS(DPS_OK, dps_registration_handle_http(registration, 0, action.id, &head, said(assigned)));
    dps_registration_clear(registration);

    /* A larger struct is accepted as long as its unknown members are not set. */
    struct {
        dps_config known;
        uint64_t unknown;
    } larger = {memory.config, 0};
    larger.known.size = sizeof larger;
    RETURNS(DPS_OK, dps_registration_init(registration, &larger.known, DPS_BUFFER(memory.storage)));
    dps_registration_clear(registration);
    larger.unknown = 1;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init(registration, &larger.known, DPS_BUFFER(memory.storage)));
    config.size = 0;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init(registration, &config, DPS_BUFFER(memory.storage)));

    /* Defaults are written only within the caller's memory. */
    memset(&config, UNTOUCHED, sizeof config);
    RETURNS(DPS_OK, dps_config_default_sized(offsetof(dps_config, payload), &config));
    CHECK(config.size == offsetof(dps_config, payload) && config.registration_id.len == 0);
    CHECK(is_untouched(&config.payload, sizeof config - offsetof(dps_config, payload)));

    /* An object that is too small for the library is refused before anything is written to it. */
    dps_key key;
    memset(&key, UNTOUCHED, sizeof key);
    memset(registration, UNTOUCHED, sizeof *registration);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_base64_sized(sizeof key - 8, &key, DPS_SPAN(DEVICE_KEY)));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_bytes_sized(sizeof key - 8, &key, DPS_SPAN(DEVICE_KEY)));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_derive_sized(sizeof key - 8, &memory.key, DPS_SPAN(DEVICE), &key));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init_sized(sizeof *registration - 8, registration, &memory.config,
                                                                    DPS_BUFFER(memory.storage)));
    CHECK(is_untouched(&key, sizeof key) && is_untouched(registration, sizeof *registration));
    RETURNS(DPS_OK, dps_key_from_base64_sized(sizeof key + 8, &key, DPS_SPAN(DEVICE_KEY)));
    dps_key_wipe(&key);
}

void names_for_the_hub(void)
{
    char text[DPS_MQTT_HUB_USER_NAME_SIZE];
    size_t length;
    RETURNS(DPS_OK, dps_mqtt_write_hub_user_name(DPS_SPAN("hub-a.test"), DPS_SPAN(DEVICE), NO_SPAN(0), DPS_BUFFER(text), &length));
    CHECK(strcmp(text, "hub-a.test/" DEVICE "/?api-version=2021-04-12") == 0 && length == strlen(text));
    RETURNS(DPS_OK, dps_mqtt_write_hub_user_name(DPS_SPAN("h"), DPS_SPAN("d"), DPS_SPAN("test/1"), DPS_BUFFER(text), &length));
    CHECK(strcmp(text, "h/d/?api-version=2021-04-12&DeviceClientType=test%2F1") == 0);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_hub_user_name(NO_SPAN(0), DPS_SPAN("d"), NO_SPAN(0), DPS_BUFFER(text), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_hub_user_name(DPS_SPAN("h"), NO_SPAN(0), NO_SPAN(0), DPS_BUFFER(text), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_hub_user_name(DPS_SPAN("h"), NO_SPAN(1), NO_SPAN(0), DPS_BUFFER(text), &length));

    /* The user name for the service is available before there is a request, and after. */
    scene_begin(&memory);
    RETURNS(DPS_OK, dps_mqtt_write_user_name(&memory.registration, NO_SPAN(0), DPS_BUFFER(text), &length));
    CHECK(strcmp(text, ID_SCOPE "/registrations/" DEVICE "/api-version=2019-03-31") == 0);
    RETURNS(DPS_OK, dps_registration_cancel(&memory.registration));
    RETURNS(DPS_OK, dps_mqtt_write_user_name(&memory.registration, NO_SPAN(0), DPS_BUFFER(text), &length));
    dps_registration_clear(&memory.registration);
}

void secrets_that_are_wiped(void)
{
    char text[] = DEVICE_KEY;
    dps_wipe(text, 4);
    CHECK(memcmp(text, "\0\0\0\0" "lyGp", 8) == 0);
    dps_wipe(text, sizeof text);
    for (size_t at = 0; at < sizeof text; at++)
        CHECK(text[at] == 0);
    dps_wipe(NULL, 8);
}

/* Every hint of a failure is in the catalogue. */
static void hints_are_known(void)
{
    dps_hint hint;
    size_t index = 0;
    for (; dps_registration_hint(&memory.registration, index, &hint) == DPS_OK; index++) {
        bool known = false;
        for (size_t at = 0; at < sizeof vectors_hint / sizeof *vectors_hint; at++)
            known |= span_is(hint.name, vectors_hint[at].name) && span_is(hint.text, vectors_hint[at].text);
        CHECK(known);
    }
    CHECK(index > 0);
}

void failures_of_the_link_and_the_signer(void)
{
    static const struct {
        dps_result error;
        uint32_t detail;
        bool retried;
        dps_result outcome;
    } cases[] = {
        {DPS_ERROR_DNS, 0, true, DPS_OK},
        {DPS_ERROR_CONNECT, 0, true, DPS_OK},
        {DPS_ERROR_CONNECTION_CUT, 0, true, DPS_OK},
        {DPS_ERROR_TIMEOUT, 0, true, DPS_OK},
        {DPS_ERROR_INVALID_REPLY, 0, true, DPS_OK},
        {DPS_ERROR_PROXY_UNREACHABLE, 0, true, DPS_OK},
        {DPS_ERROR_MQTT_REFUSED, 3, true, DPS_OK},
        {DPS_ERROR_MQTT_REFUSED, 2, false, DPS_ERROR_MQTT_REFUSED},
        {DPS_ERROR_MQTT_REFUSED, 5, false, DPS_ERROR_UNAUTHORIZED},
        {DPS_ERROR_SUBSCRIBE_REFUSED, 0, false, DPS_ERROR_SUBSCRIBE_REFUSED},
        {DPS_ERROR_CLIENT_CERTIFICATE_REFUSED, 0, false, DPS_ERROR_CLIENT_CERTIFICATE_REFUSED},
        {DPS_ERROR_RENEGOTIATION_UNSUPPORTED, 0, false, DPS_ERROR_RENEGOTIATION_UNSUPPORTED},
        {DPS_ERROR_UNKNOWN_CA, 0, false, DPS_ERROR_UNKNOWN_CA},
        {DPS_ERROR_NAME_MISMATCH, 0, false, DPS_ERROR_NAME_MISMATCH},
        {DPS_ERROR_CERTIFICATE_EXPIRED, 0, false, DPS_ERROR_CERTIFICATE_EXPIRED},
        {DPS_ERROR_TLS, 0, false, DPS_ERROR_TLS},
        {DPS_ERROR_PROXY_REFUSED, 407, false, DPS_ERROR_PROXY_REFUSED},
        {DPS_ERROR_REPLY_TOO_LARGE, 5000, false, DPS_ERROR_REPLY_TOO_LARGE},
        {DPS_ERROR_REQUEST_TOO_LARGE, 700, false, DPS_ERROR_REQUEST_TOO_LARGE},
        {DPS_ERROR_UNSUPPORTED_BY_TRANSPORT, 0, false, DPS_ERROR_UNSUPPORTED_BY_TRANSPORT},
    };
    dps_action action;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene_begin(&memory);
        CHECK(scene_until_send(&memory, 0, &action));
        RETURNS(DPS_OK, dps_registration_handle_link_error(&memory.registration, 0, action.id, cases[i].error, cases[i].detail));
        RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
        CHECK((action.kind == DPS_ACTION_WAIT) == cases[i].retried);
        if (!cases[i].retried) {
            RETURNS(cases[i].outcome, dps_registration_result(&memory.registration));
            if (cases[i].error != DPS_ERROR_UNSUPPORTED_BY_TRANSPORT)
                hints_are_known();
            CHECK(cases[i].error != DPS_ERROR_PROXY_REFUSED || dps_registration_http_status(&memory.registration) == 407);
            CHECK(cases[i].error != DPS_ERROR_REPLY_TOO_LARGE || dps_registration_needed(&memory.registration) == 5000);
            CHECK(cases[i].error != DPS_ERROR_REQUEST_TOO_LARGE || dps_registration_needed(&memory.registration) == 700);
        }
        dps_registration_clear(&memory.registration);
    }
    scene_begin(&memory);
    RETURNS(DPS_OK, dps_registration_poll(&memory.registration, 0, &action));
    RETURNS(DPS_OK, dps_registration_handle_sign_error(&memory.registration, 0, action.id));
    RETURNS(DPS_ERROR_SIGNER_FAILED, dps_registration_result(&memory.registration));
    dps_registration_clear(&memory.registration);
}

void values_that_can_never_work(void)
{
    dps_registration other;
    scene_begin(&memory);
    dps_registration_clear(&memory.registration);
    const dps_config good = memory.config;
    dps_config config = good;
    const dps_buffer storage = DPS_BUFFER(memory.storage);
    config.id_scope = dps_span_of("0ne/1");
    RETURNS(DPS_ERROR_INVALID_ID_SCOPE, dps_registration_init(&other, &config, storage));
    config = good;
    config.registration_id = dps_span_of("ends-with.");
    RETURNS(DPS_ERROR_INVALID_REGISTRATION_ID, dps_registration_init(&other, &config, storage));
    config = good;
    config.endpoint = dps_span_of("http://dps.test");
    RETURNS(DPS_ERROR_INVALID_ENDPOINT, dps_registration_init(&other, &config, storage));
    config = good;
    config.payload = dps_span_of("[1]");
    RETURNS(DPS_ERROR_INVALID_PAYLOAD, dps_registration_init(&other, &config, storage));
    config.payload = dps_span_of("{\"name\":\"ger\303\244t\"}");
    RETURNS(DPS_OK, dps_registration_init(&other, &config, storage));
    dps_registration_clear(&other);

    /* Without the time no token can be made. */
    dps_action action;
    RETURNS(DPS_OK, dps_registration_init(&other, &good, storage));
    RETURNS(DPS_OK, dps_registration_poll(&other, 0, &action));
    CHECK(action.kind == DPS_ACTION_FINISHED);
    RETURNS(DPS_ERROR_CLOCK_NEEDED, dps_registration_result(&other));
    dps_registration_clear(&other);
}
