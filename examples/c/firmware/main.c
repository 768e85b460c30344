/* Firmware that provisions itself: runs the project's test data, then registers over MQTT through the serial port.
 *
 * The loop carries out the actions of the registration, with the processor's timer and a modem. A real device
 * keeps its names and its key in flash or in a secure element, which would answer DPS_ACTION_SIGN. Compiled with
 * -DWITH_CERTIFICATE, it registers by the certificate that the modem presents in TLS, and has no key. */
#include "board.h"
#include "clock.h"
#include "dps.h"
#include "modem.h"
#include "packets.h"
#include "serial.h"
#include "vectors_run.h"

#define ID_SCOPE "0ne00A1B2C3"
#ifdef WITH_CERTIFICATE
/* The common name of the certificate. */
#define REGISTRATION_ID "sensor-12"
#else
#define REGISTRATION_ID "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
/* Derived from the published example's group key. */
#define DEVICE_KEY "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
#endif

static struct {
#ifndef WITH_CERTIFICATE
    dps_key key;
#endif
    dps_registration registration;
    uint8_t storage[DPS_STORAGE_SIZE];
    char user_name[DPS_MQTT_USER_NAME_SIZE], topic[DPS_MQTT_TOPIC_SIZE], payload[DPS_MQTT_PAYLOAD_SIZE];
    uint8_t sent[1024], received[1024];
    bool connected;
    /* The generation of the token with which the connection was opened; always 0 with a certificate. */
    uint32_t generation;
} device;

static void print(dps_span span)
{
    char piece[2] = "";
    for (size_t i = 0; i < span.len; i++) {
        piece[0] = span.ptr[i];
        board_print(piece);
    }
}

static bool send(size_t length)
{
    modem_send(device.sent, length);
    return length > 0;
}

/* Receives the next packet; returns DPS_OK, or the DPS_ERROR_* of the link. */
static dps_result receive(packet *packet, uint64_t until_ms)
{
    uint8_t first, byte = 128;
    size_t length = 0;
    if (!modem_receive(&first, until_ms))
        return clock_now_ms() < until_ms ? DPS_ERROR_CONNECTION_CUT : DPS_ERROR_TIMEOUT;
    for (unsigned shift = 0; (byte & 128) != 0; shift += 7) {
        if (shift > 21 || !modem_receive(&byte, until_ms))
            return DPS_ERROR_CONNECTION_CUT;
        length |= (size_t)(byte & 127) << shift;
    }
    if (length > sizeof device.received)
        return DPS_ERROR_REPLY_TOO_LARGE;
    for (size_t i = 0; i < length; i++)
        if (!modem_receive(&device.received[i], until_ms))
            return DPS_ERROR_CONNECTION_CUT;
    return packet_parse(first, device.received, length, packet) ? DPS_OK : DPS_ERROR_INVALID_REPLY;
}

/* Skips packets until one of this kind arrives. */
static dps_result await(unsigned kind, packet *packet, uint64_t until_ms)
{
    dps_result result;
    do
        result = receive(packet, until_ms);
    while (result == DPS_OK && packet->kind != kind);
    return result;
}

static void disconnect(void)
{
    if (device.connected) {
        send(packet_disconnect(device.sent, sizeof device.sent));
        modem_close();
    }
    device.connected = false;
}

/* Connects, sends CONNECT, and subscribes to the replies. */
static dps_result connect(const dps_action *action, uint32_t *code)
{
    static const char filter[] = DPS_MQTT_SUBSCRIBE_FILTER;
    size_t length;
    packet packet;
    dps_result result = modem_open();
    if (result != DPS_OK)
        return result;
    const dps_span token = dps_registration_token(&device.registration);
    device.connected = true;
    device.generation = dps_registration_token_generation(&device.registration);
    if (dps_mqtt_write_user_name(&device.registration, DPS_SPAN("firmware/1"), DPS_BUFFER(device.user_name), &length) != DPS_OK ||
        !send(packet_connect(device.sent, sizeof device.sent, (packet_text){REGISTRATION_ID, sizeof REGISTRATION_ID - 1},
                             (packet_text){device.user_name, length}, (packet_text){token.ptr, token.len})))
        return DPS_ERROR_REQUEST_TOO_LARGE;
    result = await(PACKET_CONNACK, &packet, action->until_ms);
    if (result != DPS_OK)
        return result;
    if (packet.code != 0) {
        *code = packet.code;
        return DPS_ERROR_MQTT_REFUSED;
    }
    send(packet_subscribe(device.sent, sizeof device.sent, (packet_text){filter, sizeof filter - 1}));
    result = await(PACKET_SUBACK, &packet, action->until_ms);
    return result == DPS_OK && packet.code > 1 ? DPS_ERROR_SUBSCRIBE_REFUSED : result;
}

/* Publishes the request and passes on the reply; returns DPS_OK, or the DPS_ERROR_* of the link. */
static dps_result exchange(const dps_action *action, uint32_t *code)
{
    size_t topic, payload;
    packet packet;
    dps_result result = DPS_OK;
    if (!device.connected || device.generation != dps_registration_token_generation(&device.registration)) {
        disconnect();
        result = connect(action, code);
    }
    if (result != DPS_OK)
        return result;
    if (dps_mqtt_write_topic(&device.registration, DPS_BUFFER(device.topic), &topic) != DPS_OK ||
        dps_mqtt_write_payload(&device.registration, DPS_BUFFER(device.payload), &payload) != DPS_OK ||
        !send(packet_publish(device.sent, sizeof device.sent, (packet_text){device.topic, topic},
                             (packet_text){device.payload, payload})))
        return DPS_ERROR_REQUEST_TOO_LARGE;
    for (;;) {
        result = await(PACKET_PUBLISH, &packet, action->until_ms);
        if (result != DPS_OK)
            return result;
        if (packet.id != 0)
            send(packet_acknowledge(device.sent, sizeof device.sent, packet.id));
        /* Everything except a reply to this request is ignored. */
        if (dps_registration_handle_mqtt(&device.registration, clock_now_ms(), (dps_span){packet.topic.ptr, packet.topic.len},
                                         (dps_buffer){packet.payload, packet.payload_length}) == DPS_OK)
            return DPS_OK;
    }
}

#ifdef WITH_CERTIFICATE
static dps_result sign(const dps_action *action) /* only with a key */
{
    return dps_registration_handle_sign_error(&device.registration, clock_now_ms(), action->id);
}
#else
static dps_result sign(const dps_action *action)
{
    dps_signature signature;
    if (dps_key_sign(&device.key, dps_registration_to_sign(&device.registration), &signature) != DPS_OK)
        return dps_registration_handle_sign_error(&device.registration, clock_now_ms(), action->id);
    return dps_registration_handle_signature(&device.registration, clock_now_ms(), action->id, &signature);
}
#endif

static dps_result run(void)
{
    dps_action action;
    dps_result result;
    while ((result = dps_registration_poll(&device.registration, clock_now_ms(), &action)) == DPS_OK) {
        uint32_t code = 0;
        switch (action.kind) {
        case DPS_ACTION_SIGN:
            result = sign(&action);
            break;
        case DPS_ACTION_SEND: {
            const dps_result failed = exchange(&action, &code);
            if (failed != DPS_OK) {
                print(dps_result_name(failed));
                board_print("\n");
                disconnect();
                result = dps_registration_handle_link_error(&device.registration, clock_now_ms(), action.id, failed, code);
            }
            break;
        }
        case DPS_ACTION_WAIT:
            clock_sleep_until_ms(action.until_ms);
            break;
        case DPS_ACTION_ACTIVATE: /* only with a TPM */
            result = dps_registration_handle_activate_error(&device.registration, clock_now_ms(), action.id);
            break;
        case DPS_ACTION_FINISHED:
            return DPS_OK;
        }
        if (result != DPS_OK)
            return result;
    }
    return result;
}

static dps_result begin(void)
{
    dps_config config;
    dps_result result = dps_config_default(&config);
    config.id_scope = DPS_SPAN(ID_SCOPE);
    config.registration_id = DPS_SPAN(REGISTRATION_ID);
#ifdef WITH_CERTIFICATE
    if (result == DPS_OK)
        result = dps_registration_init_x509(&device.registration, &config, DPS_BUFFER(device.storage));
#else
    if (result == DPS_OK)
        result = dps_key_from_base64(&device.key, DPS_SPAN(DEVICE_KEY));
    if (result == DPS_OK)
        result = dps_registration_init(&device.registration, &config, DPS_BUFFER(device.storage));
    if (result == DPS_OK)
        result = dps_registration_set_time(&device.registration, clock_now_ms(), modem_unix_s());
#endif
    return result;
}

/* Prints the result. */
static int report(void)
{
    const dps_result result = dps_registration_result(&device.registration);
    if (result == DPS_OK) {
        print(dps_registration_device_id(&device.registration));
        board_print(" is assigned to ");
        print(dps_registration_assigned_hub(&device.registration));
    } else {
        print(dps_result_name(result));
    }
    board_print("\n");
    return result == DPS_OK ? 0 : 1;
}

int main(void)
{
    unsigned vectors;
    const char *const failed = vectors_run(&vectors);
    if (failed != 0) {
        board_print("vectors fail: ");
        board_print(failed);
        board_print("\n");
        return 1;
    }
    board_print("all vectors pass\n");
    serial_start();
    clock_start();
    int status = 1;
    if (begin() == DPS_OK && run() == DPS_OK)
        status = report();
    disconnect();
    dps_registration_clear(&device.registration);
#ifndef WITH_CERTIFICATE
    dps_key_wipe(&device.key);
#endif
    return status;
}
