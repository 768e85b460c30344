/* Every pointer of every function, as null and misaligned; buffers that are too small. */
#include "check.h"
#include "scene.h"

/* An object at a misaligned address. */
#define ASKEW(type, memory) ((type *)(void *)((unsigned char *)(memory) + 1))

/* Valid arguments of every kind, for calls that must fail on another argument. */
static struct {
    scene scene;
    unsigned char spare[4096];
    uint64_t askew[200];
} memory;

void pointers_of_spans(void)
{
    CHECK(dps_span_of(NULL).len == 0);
    CHECK(dps_span_of("").len == 0);
    CHECK(span_is(dps_span_of("abc"), "abc"));
    CHECK(strcmp(dps_version(), DPS_VERSION) == 0);
}

void pointers_of_keys(void)
{
    dps_key key, device;
    dps_signature signature;
    char text[DPS_KEY_TEXT_SIZE];
    size_t length = 0;
    const dps_span base64 = dps_span_of(DEVICE_KEY), id = dps_span_of(DEVICE);
    RETURNS(DPS_OK, dps_key_from_base64(&key, base64));

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_base64(NULL, base64));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_base64(ASKEW(dps_key, memory.askew), base64));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_base64(&key, NO_SPAN(1)));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_base64(&key, ((dps_span){DEVICE_KEY, SIZE_MAX})));
    RETURNS(DPS_ERROR_INVALID_KEY, dps_key_from_base64(&key, NO_SPAN(0)));
    RETURNS(DPS_ERROR_INVALID_KEY, dps_key_from_base64(&key, dps_span_of("ger\303\244t")));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_bytes(NULL, base64));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_bytes(ASKEW(dps_key, memory.askew), base64));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_bytes(&key, NO_SPAN(16)));

    /* After an init function failed, the memory holds no object. */
    RETURNS(DPS_OK, dps_key_from_base64(&key, base64));
    RETURNS(DPS_ERROR_INVALID_KEY, dps_key_from_base64(&key, dps_span_of("AAAA")));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_key_sign(&key, id, &signature));
    RETURNS(DPS_OK, dps_key_from_base64(&key, base64));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_from_bytes(&key, NO_SPAN(16)));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_key_sign(&key, id, &signature));
    RETURNS(DPS_OK, dps_key_from_base64(&key, base64));
    RETURNS(DPS_OK, dps_key_derive(&key, id, &device));
    RETURNS(DPS_ERROR_INVALID_REGISTRATION_ID, dps_key_derive(&key, dps_span_of("-"), &device));
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_key_sign(&device, id, &signature));

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_derive(NULL, id, &device));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_derive(&key, NO_SPAN(1), &device));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_derive(&key, id, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_derive(&key, id, ASKEW(dps_key, memory.askew)));

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_sign(NULL, id, &signature));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_sign(&key, NO_SPAN(1), &signature));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_sign(&key, id, NULL));

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_write_base64(NULL, DPS_BUFFER(text), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_write_base64(&key, NO_BUFFER(sizeof text), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_write_base64(&key, DPS_BUFFER(text), NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_key_write_base64(&key, DPS_BUFFER(text), ASKEW(size_t, memory.askew)));
    dps_key_wipe(NULL);

    /* Failed calls that only use the key have not changed it. */
    RETURNS(DPS_OK, dps_key_write_base64(&key, DPS_BUFFER(text), &length));
    CHECK(strcmp(text, DEVICE_KEY) == 0 && length == strlen(DEVICE_KEY));
    dps_key_wipe(&key);
}

void pointers_of_tokens(void)
{
    dps_sas sas = {sizeof sas, DPS_SAS_REGISTRATION, DPS_SPAN(ID_SCOPE), DPS_SPAN(DEVICE), UNIX_S};
    dps_signature signature = {{0}};
    dps_span span;
    size_t needed;
    const dps_buffer out = DPS_BUFFER(memory.spare);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_prepare(NULL, out, &span, &needed));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_prepare(&sas, NO_BUFFER(512), &span, &needed));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_prepare(&sas, out, NULL, &needed));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_prepare(&sas, out, &span, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_finish(NULL, out, &span));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_finish(&signature, NO_BUFFER(512), &span));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_finish(&signature, out, NULL));
    sas.audience = 7;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_prepare(&sas, out, &span, &needed));
    sas.audience = DPS_SAS_REGISTRATION;
    sas.authority = NO_SPAN(3);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_prepare(&sas, out, &span, &needed));
    sas.authority = dps_span_of("");
    RETURNS(DPS_ERROR_INVALID_ID_SCOPE, dps_sas_prepare(&sas, out, &span, &needed));
}

void pointers_of_registrations(void)
{
    scene *const scene = &memory.scene;
    dps_registration *const registration = &scene->registration;
    dps_action action;
    dps_hint hint;
    size_t size;
    scene_begin(scene);
    dps_config config = scene->config;
    const dps_buffer storage = DPS_BUFFER(memory.spare);
    dps_registration other;

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_config_default(NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_storage_size(NULL, &size));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_storage_size(&config, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init(NULL, &config, storage));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init(ASKEW(dps_registration, memory.askew), &config, storage));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init(&other, NULL, storage));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init(&other, &config, NO_BUFFER(4096)));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init_lookup(NULL, &config, storage));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init_lookup(&other, NULL, storage));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init_resumed(&other, &config, storage, NO_SPAN(8)));
    RETURNS(DPS_ERROR_OPERATION_UNREADABLE, dps_registration_init_resumed(&other, &config, storage, dps_span_of("x")));

    dps_span *const spans[] = {&config.endpoint, &config.id_scope, &config.registration_id, &config.payload};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        const dps_span kept = *spans[i];
        *spans[i] = NO_SPAN(5);
        RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_init(&other, &config, storage));
        *spans[i] = kept;
    }

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_set_time(NULL, 0, UNIX_S));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_poll(NULL, 0, &action));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_poll(ASKEW(dps_registration, memory.askew), 0, &action));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_poll(registration, 0, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_signature(NULL, 0, 1, &(dps_signature){{0}}));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_signature(registration, 0, 1, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_sign_error(NULL, 0, 1));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_link_error(NULL, 0, 1, DPS_ERROR_DNS, 0));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_link_error(registration, 0, 1, DPS_OK, 0));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_link_error(registration, 0, 1, DPS_ERROR_THROTTLED, 0));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_link_error(registration, 0, 1, DPS_ERROR_MQTT_REFUSED, 999));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_abandon(NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_cancel(NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_write_operation(NULL, storage, &size));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_result(NULL));
    CHECK(dps_registration_device_id(NULL).len == 0 && dps_registration_substatus(NULL).len == 0);
    CHECK(dps_registration_payload(NULL, storage).len == 0 && dps_registration_service_code(NULL) == 0);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_hint(NULL, 0, &hint));
    dps_registration_clear(NULL);
    RETURNS(DPS_OK, dps_registration_cancel(registration));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_hint(registration, 0, NULL));
    dps_registration_clear(registration);
}

void pointers_of_codecs(void)
{
    scene *const scene = &memory.scene;
    dps_registration *const registration = &scene->registration;
    dps_action action;
    size_t length;
    dps_http_progress progress;
    const dps_buffer out = DPS_BUFFER(memory.spare);
    const dps_span none = NO_SPAN(0);
    scene_begin(scene);
    CHECK(scene_until_send(scene, 0, &action));

    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_user_name(NULL, none, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_user_name(registration, NO_SPAN(1), out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_user_name(registration, none, NO_BUFFER(99), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_user_name(registration, none, out, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_topic(NULL, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_topic(registration, NO_BUFFER(99), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_topic(registration, out, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_payload(NULL, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_payload(registration, NO_BUFFER(99), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_mqtt_write_payload(registration, out, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_mqtt(NULL, 0, none, out));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_mqtt(registration, 0, NO_SPAN(9), out));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_mqtt(registration, 0, none, NO_BUFFER(9)));

    CHECK(dps_http_method(NULL).len == 0);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_target(NULL, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_target(registration, NO_BUFFER(99), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_target(registration, out, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_body(NULL, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_body(registration, NO_BUFFER(99), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_body(registration, out, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_request(NULL, none, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_request(registration, NO_SPAN(1), out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_request(registration, dps_span_of("a\r\nb"), out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_request(registration, none, NO_BUFFER(99), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_http_write_request(registration, none, out, NULL));

    dps_http_head head = {sizeof head, 200, none, none};
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_http(NULL, 0, action.id, &head, out));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_http(registration, 0, action.id, NULL, out));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_http(registration, 0, action.id, &head, NO_BUFFER(9)));
    head.date = NO_SPAN(4);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_http(registration, 0, action.id, &head, out));
    head.date = none;
    head.status = 99;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_handle_http(registration, 0, action.id, &head, out));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_receive_http(NULL, 0, action.id, out, 0, false, &progress));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_registration_receive_http(registration, 0, action.id, NO_BUFFER(9), 0, false, &progress));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_registration_receive_http(registration, 0, action.id, out, 0, false, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT,
            dps_registration_receive_http(registration, 0, action.id, out, out.len + 1, false, &progress));
    dps_registration_clear(registration);
}

/* Calls `write` with a buffer of every size that is too small: each time it must return the same size, leave an empty string
 * in the buffer, and write nothing after it. */
#define EVERY_SIZE_BELOW_IS_TOO_SMALL(size, call)                                                 \
    do {                                                                                          \
        for (size_t capacity = 0; capacity < (size); capacity++) {                                            \
            const dps_buffer out = {memory.spare, capacity};                                          \
            size_t length = 0;                                                                    \
            memset(memory.spare, UNTOUCHED, sizeof memory.spare);                                 \
            RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, call);                                             \
            CHECK(length == (size) && (capacity == 0 || memory.spare[0] == 0));                       \
            CHECK(is_untouched(memory.spare + capacity, sizeof memory.spare - capacity));                 \
        }                                                                                         \
        const dps_buffer out = {memory.spare, (size)};                                            \
        size_t length = 0;                                                                        \
        memset(memory.spare, UNTOUCHED, sizeof memory.spare);                                     \
        RETURNS(DPS_OK, call);                                                                      \
        CHECK(length == (size) - 1 && memory.spare[length] == 0);                                 \
        CHECK(is_untouched(memory.spare + (size), sizeof memory.spare - (size)));                 \
    } while (0)

void buffers_that_are_too_small(void)
{
    scene *const scene = &memory.scene;
    dps_registration *const registration = &scene->registration;
    dps_action action;
    const dps_span agent = dps_span_of("test/1");
    scene_begin(scene);
    CHECK(scene_until_send(scene, 0, &action));
    EVERY_SIZE_BELOW_IS_TOO_SMALL(sizeof DEVICE_KEY, dps_key_write_base64(&scene->key, out, &length));
    const char user[] = ID_SCOPE "/registrations/" DEVICE "/api-version=2019-03-31&ClientVersion=test%2F1";
    EVERY_SIZE_BELOW_IS_TOO_SMALL(sizeof user, dps_mqtt_write_user_name(registration, agent, out, &length));
    CHECK(strcmp((char *)memory.spare, user) == 0);
    const char topic[] = "$dps/registrations/PUT/iotdps-register/?$rid=2";
    EVERY_SIZE_BELOW_IS_TOO_SMALL(sizeof topic, dps_mqtt_write_topic(registration, out, &length));
    CHECK(strcmp((char *)memory.spare, topic) == 0);
    const char payload[] = "{\"registrationId\":\"" DEVICE "\"}";
    EVERY_SIZE_BELOW_IS_TOO_SMALL(sizeof payload, dps_mqtt_write_payload(registration, out, &length));
    EVERY_SIZE_BELOW_IS_TOO_SMALL(sizeof payload, dps_http_write_body(registration, out, &length));
    CHECK(strcmp((char *)memory.spare, payload) == 0);
    const char target[] = "/" ID_SCOPE "/registrations/" DEVICE "/register?api-version=2021-06-01";
    EVERY_SIZE_BELOW_IS_TOO_SMALL(sizeof target, dps_http_write_target(registration, out, &length));
    CHECK(strcmp((char *)memory.spare, target) == 0);

    size_t whole = 0;
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, dps_http_write_request(registration, agent, NO_BUFFER(0), &whole));
    EVERY_SIZE_BELOW_IS_TOO_SMALL(whole, dps_http_write_request(registration, agent, out, &length));
    CHECK(strncmp((char *)memory.spare, "PUT /" ID_SCOPE "/registrations/", strlen("PUT /" ID_SCOPE)) == 0);

    char reply[] = "{\"operationId\":\"5.abc\",\"status\":\"assigning\"}";
    RETURNS(DPS_OK, dps_registration_handle_mqtt(registration, 0, dps_span_of("$dps/registrations/res/202/?$rid=2"),
                                                 ((dps_buffer){reply, sizeof reply - 1})));
    const char operation[] = "dps-operation/1 global.azure-devices-provisioning.net " ID_SCOPE " " DEVICE " 5.abc";
    EVERY_SIZE_BELOW_IS_TOO_SMALL(sizeof operation, dps_registration_write_operation(registration, out, &length));
    CHECK(strcmp((char *)memory.spare, operation) == 0);
    dps_registration_clear(registration);
}

void storage_that_is_too_small(void)
{
    scene *const scene = &memory.scene;
    size_t needed = 0;
    scene_begin(scene);
    dps_registration_clear(&scene->registration);
    RETURNS(DPS_OK, dps_registration_storage_size(&scene->config, &needed));
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, dps_registration_init(&scene->registration, &scene->config,
                                                                ((dps_buffer){scene->storage, needed - 1})));
    dps_action none;
    RETURNS(DPS_ERROR_INVALID_OBJECT, dps_registration_poll(&scene->registration, 0, &none));
    RETURNS(DPS_OK,
            dps_registration_init(&scene->registration, &scene->config, ((dps_buffer){scene->storage, needed})));
    dps_registration_clear(&scene->registration);

    /* DPS_STORAGE_SIZE is enough for the longest names. */
    char scope[64], id[128];
    memset(scope, '-', sizeof scope);
    memset(id, ':', sizeof id);
    id[0] = 'a';
    id[127] = 'z';
    scene->config.id_scope = (dps_span){scope, sizeof scope};
    scene->config.registration_id = (dps_span){id, sizeof id};
    RETURNS(DPS_OK, dps_registration_storage_size(&scene->config, &needed));
    CHECK(needed <= DPS_STORAGE_SIZE);
    RETURNS(DPS_OK, dps_registration_init(&scene->registration, &scene->config, DPS_BUFFER(scene->storage)));
    RETURNS(DPS_OK, dps_registration_set_time(&scene->registration, 0, UNIX_S));
    RETURNS(DPS_OK, dps_key_from_base64(&scene->key, dps_span_of(DEVICE_KEY)));
    dps_action action;
    size_t length;
    char agent[64], out[DPS_HTTP_REQUEST_SIZE];
    memset(agent, 'a', sizeof agent);
    const dps_span longest = {agent, sizeof agent};
    CHECK(scene_until_send(scene, 0, &action));
    RETURNS(DPS_OK, dps_mqtt_write_user_name(&scene->registration, longest, ((dps_buffer){out, DPS_MQTT_USER_NAME_SIZE}), &length));
    RETURNS(DPS_OK, dps_mqtt_write_topic(&scene->registration, ((dps_buffer){out, DPS_MQTT_TOPIC_SIZE}), &length));
    RETURNS(DPS_OK, dps_mqtt_write_payload(&scene->registration, ((dps_buffer){out, DPS_MQTT_PAYLOAD_SIZE}), &length));
    RETURNS(DPS_OK, dps_http_write_target(&scene->registration, ((dps_buffer){out, DPS_HTTP_TARGET_SIZE}), &length));
    RETURNS(DPS_OK, dps_http_write_body(&scene->registration, ((dps_buffer){out, DPS_HTTP_BODY_SIZE}), &length));
    RETURNS(DPS_OK, dps_http_write_request(&scene->registration, longest, DPS_BUFFER(out), &length));
    dps_registration_clear(&scene->registration);
}

void tokens_that_find_no_room(void)
{
    const dps_sas sas = {sizeof sas, DPS_SAS_HUB_DEVICE, DPS_SPAN("hub-a.test"), DPS_SPAN("dev-01"), UNIX_S};
    const dps_signature signature = {{0}};
    dps_span span = {NULL, 77};
    size_t needed = 0;
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, dps_sas_prepare(&sas, NO_BUFFER(0), &span, &needed));
    CHECK(needed > 0 && span.len == 77);
    const dps_buffer short_by_one = {memory.spare, needed - 1}, fits = {memory.spare, needed};
    size_t again = 0;
    memset(memory.spare, UNTOUCHED, sizeof memory.spare);
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, dps_sas_prepare(&sas, short_by_one, &span, &again));
    CHECK(again == needed && span.len == 77);
    CHECK(is_untouched(memory.spare + needed - 1, sizeof memory.spare - needed + 1));
    RETURNS(DPS_OK, dps_sas_prepare(&sas, fits, &span, &again));
    CHECK(span_is(span, "hub-a.test%2Fdevices%2Fdev-01\n1767225600"));
    RETURNS(DPS_OK, dps_sas_finish(&signature, fits, &span));
    CHECK(is_untouched(memory.spare + needed, sizeof memory.spare - needed));
}

/* A token can be finished only in the buffer in which it was prepared, and only once. */
void tokens_that_were_not_prepared(void)
{
    const dps_sas sas = {sizeof sas, DPS_SAS_REGISTRATION, DPS_SPAN(ID_SCOPE), DPS_SPAN(DEVICE), UNIX_S};
    const dps_signature signature = {{0}};
    const dps_buffer out = DPS_BUFFER(memory.spare);
    dps_span span = {NULL, 77}, token;
    size_t needed;
    memset(memory.spare, UNTOUCHED, sizeof memory.spare);
    RETURNS(DPS_ERROR_MISUSE, dps_sas_finish(&signature, NO_BUFFER(0), &span));
    RETURNS(DPS_ERROR_MISUSE, dps_sas_finish(&signature, out, &span));
    CHECK(span.len == 77 && is_untouched(memory.spare, sizeof memory.spare));
    RETURNS(DPS_OK, dps_sas_prepare(&sas, out, &span, &needed));
    RETURNS(DPS_ERROR_MISUSE, dps_sas_finish(&signature, ((dps_buffer){memory.spare, 32}), &token));
    RETURNS(DPS_ERROR_MISUSE, dps_sas_finish(&signature, ((dps_buffer){memory.spare + 1, sizeof memory.spare - 1}), &token));
    RETURNS(DPS_OK, dps_sas_finish(&signature, out, &token));
    RETURNS(DPS_ERROR_MISUSE, dps_sas_finish(&signature, out, &span));
    CHECK(token.len > 25 && memcmp(token.ptr, "SharedAccessSignature sr=", 25) == 0);
}
