/* MQTT by hand: names, topics, bodies and replies without a registration. */
#include <string.h>

#include "check.h"
#include "scene.h"

static char text[512];
static const dps_buffer out = {text, sizeof text};

static bool written(size_t length, const char *expected)
{
    return length == strlen(expected) && strcmp(text, expected) == 0;
}

/* Reads a reply whose payload is copied into `text` first. */
static dps_result read_reply(const char *topic, const char *payload, dps_wire_reply *reply)
{
    memcpy(text, payload, strlen(payload));
    return dps_wire_read_reply(dps_span_of(topic), (dps_buffer){text, strlen(payload)}, reply);
}

void requests_by_hand(void)
{
    size_t length;
    RETURNS(DPS_OK, dps_wire_write_user_name(DPS_SPAN(ID_SCOPE), DPS_SPAN("dev-01"), DPS_SPAN("c/1.2"), out, &length));
    CHECK(written(length, ID_SCOPE "/registrations/dev-01/api-version=2019-03-31&ClientVersion=c%2F1.2"));
    RETURNS(DPS_OK, dps_wire_write_user_name(DPS_SPAN(ID_SCOPE), DPS_SPAN("dev-01"), DPS_SPAN("\xC3\xA9"), out, &length));
    CHECK(written(length, ID_SCOPE "/registrations/dev-01/api-version=2019-03-31&ClientVersion=%C3%A9"));
    RETURNS(DPS_OK, dps_wire_write_user_name(DPS_SPAN(ID_SCOPE), DPS_SPAN("dev-01"), DPS_SPAN(""), out, &length));
    CHECK(written(length, ID_SCOPE "/registrations/dev-01/api-version=2019-03-31"));

    RETURNS(DPS_OK, dps_wire_write_topic(7, DPS_SPAN(""), out, &length));
    CHECK(written(length, "$dps/registrations/PUT/iotdps-register/?$rid=7"));
    RETURNS(DPS_OK, dps_wire_write_topic(4294967295u, DPS_SPAN("5.31.b-1"), out, &length));
    CHECK(written(length, "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=4294967295&operationId=5.31.b-1"));

    RETURNS(DPS_OK, dps_wire_write_payload(DPS_SPAN("dev-01"), DPS_SPAN(""), out, &length));
    CHECK(written(length, "{\"registrationId\":\"dev-01\"}"));
    RETURNS(DPS_OK, dps_wire_write_payload(DPS_SPAN("dev-01"), DPS_SPAN("{\"a\":1}"), out, &length));
    CHECK(written(length, "{\"registrationId\":\"dev-01\",\"payload\":{\"a\":1}}"));
}

/* A registration writes the same. */
void requests_by_hand_are_those_of_a_registration(void)
{
    static scene scene;
    static char theirs[512];
    dps_action action;
    size_t length, expected;
    scene_begin(&scene);
    CHECK(scene_until_send(&scene, 0, &action));
    const dps_buffer other = DPS_BUFFER(theirs);
    RETURNS(DPS_OK, dps_mqtt_write_user_name(&scene.registration, DPS_SPAN("c/1"), other, &expected));
    RETURNS(DPS_OK, dps_wire_write_user_name(scene.config.id_scope, scene.config.registration_id, DPS_SPAN("c/1"), out, &length));
    CHECK(length == expected && strcmp(text, theirs) == 0);
    RETURNS(DPS_OK, dps_mqtt_write_topic(&scene.registration, other, &expected));
    RETURNS(DPS_OK, dps_wire_write_topic(action.id, DPS_SPAN(""), out, &length));
    CHECK(length == expected && strcmp(text, theirs) == 0);
    RETURNS(DPS_OK, dps_mqtt_write_payload(&scene.registration, other, &expected));
    RETURNS(DPS_OK, dps_wire_write_payload(scene.config.registration_id, scene.config.payload, out, &length));
    CHECK(length == expected && strcmp(text, theirs) == 0);
    dps_registration_clear(&scene.registration);
}

void requests_by_hand_that_are_refused(void)
{
    const dps_span none = NO_SPAN(0), scope = DPS_SPAN(ID_SCOPE), id = DPS_SPAN("dev-01");
    size_t length = 0;
    RETURNS(DPS_ERROR_INVALID_ID_SCOPE, dps_wire_write_user_name(DPS_SPAN("a/b"), id, none, out, &length));
    RETURNS(DPS_ERROR_INVALID_REGISTRATION_ID, dps_wire_write_user_name(scope, DPS_SPAN("a\"b"), none, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_write_user_name(scope, id, NO_SPAN(1), out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_write_user_name(scope, id, none, NO_BUFFER(9), &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_write_user_name(scope, id, none, out, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_write_topic(1, DPS_SPAN("5&$rid=2"), out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_write_topic(1, NO_SPAN(1), out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_write_topic(1, none, out, NULL));
    RETURNS(DPS_ERROR_INVALID_REGISTRATION_ID, dps_wire_write_payload(none, none, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_write_payload(id, NO_SPAN(1), out, &length));

    const char *const topic = "$dps/registrations/PUT/iotdps-register/?$rid=1";
    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, dps_wire_write_topic(1, none, (dps_buffer){text, strlen(topic)}, &length));
    CHECK(length == strlen(topic) + 1 && text[0] == 0);
    RETURNS(DPS_OK, dps_wire_write_topic(1, none, (dps_buffer){text, length}, &length));
    CHECK(written(length, topic));
}

void replies_by_hand(void)
{
    dps_wire_reply reply;
    RETURNS(DPS_OK, read_reply("$dps/registrations/res/202/?$rid=7&retry-after=3",
                               "{\"operationId\":\"5.abc\",\"status\":\"assigning\"}", &reply));
    CHECK(reply.request_id == 7 && reply.http_status == 202 && reply.retry_after_ms == 3000);
    CHECK(reply.status == DPS_STATUS_ASSIGNING && span_is(reply.operation_id, "5.abc"));
    CHECK(reply.assigned_hub.len == 0 && reply.assigned_hub.ptr == NULL && reply.payload_length == 0);

    RETURNS(DPS_OK, read_reply("$dps/registrations/res/200/?$rid=8",
                               "{\"operationId\":\"..\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":"
                               "\"hub\\u002da.test\",\"deviceId\":\"dev-01\",\"substatus\":\"initialAssignment\",\"payload\":{\"a\":1}}}",
                               &reply));
    CHECK(reply.request_id == 8 && reply.retry_after_ms == 0 && reply.status == DPS_STATUS_ASSIGNED);
    CHECK(span_is(reply.assigned_hub, "hub-a.test") && span_is(reply.device_id, "dev-01"));
    CHECK(span_is(reply.substatus, "initialAssignment"));
    CHECK(span_is((dps_span){text + reply.payload_offset, reply.payload_length}, "{\"a\":1}"));
    CHECK(reply.operation_id.len == 0);

    RETURNS(DPS_OK, read_reply("$dps/registrations/res/401/?$rid=x",
                               "{\"errorCode\":401002,\"trackingId\":\"9f-1\",\"message\":\"say \\\"no\\\"\"}", &reply));
    CHECK(reply.request_id == 0 && reply.http_status == 401 && reply.service_code == 401002);
    CHECK(reply.status == DPS_STATUS_UNKNOWN && span_is(reply.message, "say \"no\"") && span_is(reply.tracking_id, "9f-1"));
    RETURNS(DPS_OK, read_reply("$dps/registrations/res/503/?$rid=1", "<html>", &reply));
    CHECK(reply.http_status == 503 && reply.message.len == 0);
}

void replies_by_hand_that_are_refused(void)
{
    dps_wire_reply reply;
    const char *const topic = "$dps/registrations/res/200/?$rid=1";
    const dps_buffer none = NO_BUFFER(0);
    memset(&reply, 0x5A, sizeof reply);
    RETURNS(DPS_ERROR_MISUSE, read_reply("devices/dev-01/messages/devicebound", "{}", &reply));
    RETURNS(DPS_ERROR_INVALID_REPLY, read_reply(topic, "<html>", &reply));
    RETURNS(DPS_ERROR_INVALID_REPLY, read_reply(topic, "", &reply));
    RETURNS(DPS_ERROR_INVALID_REPLY, read_reply(topic, "{\"message\":\"\xFF\"}", &reply));
    RETURNS(DPS_ERROR_INVALID_REPLY, read_reply(topic, "{\"assignedHub\":\"hub;SharedAccessKey=x\"}", &reply));
    RETURNS(DPS_ERROR_INVALID_REPLY, read_reply(topic, "{\"deviceId\":\"a/b\"}", &reply));
    RETURNS(DPS_ERROR_INVALID_REPLY, read_reply(topic, "{\"substatus\":\"two words\"}", &reply));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_read_reply(NO_SPAN(9), none, &reply));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_read_reply(dps_span_of(topic), NO_BUFFER(9), &reply));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_wire_read_reply(dps_span_of(topic), none, NULL));
    CHECK(reply.request_id == 0x5A5A5A5Au);
}
