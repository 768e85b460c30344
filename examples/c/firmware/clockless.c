/* Firmware without a clock: registers over HTTPS through the serial port, and learns the time for its token from the
 * service's first answer.
 *
 * Only for devices whose TLS library decides without the time what to trust: without the time, it cannot tell that a
 * certificate has expired. The learned time is for this registration only. */
#include "board.h"
#include "clock.h"
#include "dps.h"
#include "modem.h"
#include "serial.h"

#define ID_SCOPE "0ne00A1B2C3"
#define REGISTRATION_ID "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
/* Derived from the published example's group key. */
#define DEVICE_KEY "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
/* The time of the build; a build that does not set it uses 2026-01-01T00:00:00Z. */
#define BUILT_UNIX_S 1767225600u

static struct {
    dps_key key;
    dps_registration registration;
    uint8_t storage[DPS_STORAGE_SIZE];
    char request[DPS_HTTP_REQUEST_SIZE];
    uint8_t reply[2048];
    bool is_connected;
} device;

static void print(dps_span span)
{
    char piece[2] = "";
    for (size_t i = 0; i < span.len; i++) {
        piece[0] = span.ptr[i];
        board_print(piece);
    }
}

static void disconnect(void)
{
    if (device.is_connected)
        modem_close();
    device.is_connected = false;
}

/* Reads until the whole reply has been passed on; returns DPS_OK, or the DPS_ERROR_* of the link. */
static dps_result receive(const dps_action *action)
{
    dps_http_progress progress = {false, false};
    size_t received = 0;
    while (!progress.complete) {
        const bool came = received < sizeof device.reply && modem_receive(&device.reply[received], action->until_ms);
        if (!came && clock_now_ms() >= action->until_ms)
            return DPS_ERROR_TIMEOUT;
        received += came;
        const dps_result result = dps_registration_receive_http(&device.registration, clock_now_ms(), action->id,
                                                                DPS_BUFFER(device.reply), received, !came, &progress);
        if (result != DPS_OK)
            return result;
    }
    if (progress.close)
        disconnect();
    return DPS_OK;
}

/* Sends the request and passes on the reply; returns DPS_OK, or the DPS_ERROR_* of the link. */
static dps_result exchange(const dps_action *action)
{
    size_t length;
    if (!device.is_connected) {
        const dps_result result = modem_open();
        if (result != DPS_OK)
            return result;
        device.is_connected = true;
    }
    if (dps_registration_call(&device.registration) == DPS_CALL_TIME)
        board_print("asking for the time\n");
    if (dps_http_write_request(&device.registration, DPS_SPAN("clockless/1"), DPS_BUFFER(device.request), &length) != DPS_OK)
        return DPS_ERROR_REQUEST_TOO_LARGE;
    modem_send((const uint8_t *)device.request, length);
    dps_wipe(device.request, length);
    return receive(action);
}

static dps_result sign(const dps_action *action)
{
    dps_signature signature;
    if (dps_key_sign(&device.key, dps_registration_to_sign(&device.registration), &signature) != DPS_OK)
        return dps_registration_handle_sign_error(&device.registration, clock_now_ms(), action->id);
    return dps_registration_handle_signature(&device.registration, clock_now_ms(), action->id, &signature);
}

static dps_result run(void)
{
    dps_action action;
    dps_result result;
    while ((result = dps_registration_poll(&device.registration, clock_now_ms(), &action)) == DPS_OK) {
        switch (action.kind) {
        case DPS_ACTION_SIGN:
            result = sign(&action);
            break;
        case DPS_ACTION_ACTIVATE: /* only with a TPM */
            result = dps_registration_handle_activate_error(&device.registration, clock_now_ms(), action.id);
            break;
        case DPS_ACTION_SEND: {
            const dps_result failed = exchange(&action);
            if (failed != DPS_OK) {
                print(dps_result_name(failed));
                board_print("\n");
                disconnect();
                result = dps_registration_handle_link_error(&device.registration, clock_now_ms(), action.id, failed, 0);
            }
            break;
        }
        case DPS_ACTION_WAIT:
            clock_sleep_until_ms(action.until_ms);
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
    config.earliest_unix_s = BUILT_UNIX_S;
    if (result == DPS_OK)
        result = dps_key_from_base64(&device.key, DPS_SPAN(DEVICE_KEY));
    return result == DPS_OK ? dps_registration_init(&device.registration, &config, DPS_BUFFER(device.storage)) : result;
}

/* Prints the result. */
static int report(void)
{
    const dps_result result = dps_registration_result(&device.registration);
    if (result == DPS_OK) {
        print(dps_registration_device_id(&device.registration));
        board_print(" is assigned to ");
        print(dps_registration_assigned_hub(&device.registration));
        board_print(dps_registration_is_time_learned(&device.registration) ? ", by the service's time" : "");
    } else {
        print(dps_result_name(result));
    }
    board_print("\n");
    return result == DPS_OK ? 0 : 1;
}

int main(void)
{
    int status = 1;
    serial_start();
    clock_start();
    if (begin() == DPS_OK && run() == DPS_OK)
        status = report();
    disconnect();
    dps_registration_clear(&device.registration);
    dps_key_wipe(&device.key);
    return status;
}
