/* The loop of firmware around a registration. */
#include "registration.h"

static struct {
#ifndef BY_CERTIFICATE
    dps_key group, device;
    dps_signature signature;
#endif
    dps_registration registration;
#ifdef WITH_ISSUANCE
    dps_certificate_request csr;
#endif
    uint8_t storage[768];
} memory;

#ifdef WITH_ISSUANCE
/* Set the certificate request, and check the issued chain; both return 0 if all results are correct. */
static int ask_for_certificate(void);
static int chain_is_read(dps_buffer reply);
#endif

_Static_assert(sizeof memory == REGISTRATION_BYTES, "what is stated is what is taken");

static int is(dps_span found, const char *expected, size_t length)
{
    if (found.len != length)
        return 0;
    for (size_t at = 0; at < length; at++)
        if (found.ptr[at] != expected[at])
            return 0;
    return 1;
}

#define IS(found, literal) is(found, literal, sizeof literal - 1)

/* Carries out the actions until the registration is finished; returns 0 if every answer was accepted. */
static int play(unsigned turn, uint64_t *now_ms, dps_buffer *reply)
{
    for (;;) {
        dps_action action;
        if (dps_registration_poll(&memory.registration, *now_ms, &action) != DPS_OK)
            return 10;
        switch (action.kind) {
#ifndef BY_CERTIFICATE
        case DPS_ACTION_SIGN:
            if (dps_key_sign(&memory.device, dps_registration_to_sign(&memory.registration), &memory.signature) != DPS_OK ||
                dps_registration_handle_signature(&memory.registration, *now_ms, action.id, &memory.signature) != DPS_OK)
                return 11;
            break;
#endif
        case DPS_ACTION_SEND:
            if (registration_exchange(&memory.registration, &action, *now_ms, turn++, reply) != 0 &&
                dps_registration_handle_link_error(&memory.registration, *now_ms, action.id, DPS_ERROR_CONNECTION_CUT,
                                                   0) != DPS_OK)
                return 12;
            break;
        case DPS_ACTION_WAIT:
            *now_ms = action.until_ms;
            break;
        default:
            return 0;
        }
    }
}

static int begin(uint64_t now_ms)
{
    dps_config config;
    if (dps_config_default(&config) != DPS_OK)
        return 1;
    config.id_scope = ROW_SPAN(ROW_ID_SCOPE);
    config.registration_id = ROW_SPAN(ROW_REGISTRATION_ID);
    config.payload = ROW_SPAN("{\"line\":7}");
#ifdef BY_CERTIFICATE
    (void)now_ms;
    if (dps_registration_init_x509(&memory.registration, &config, ROW_BUFFER(memory.storage)) != DPS_OK)
        return 2;
#ifdef WITH_ISSUANCE
    return ask_for_certificate();
#else
    return 0;
#endif
#else
    if (dps_registration_init(&memory.registration, &config, ROW_BUFFER(memory.storage)) != DPS_OK)
        return 2;
    return dps_registration_set_time(&memory.registration, now_ms, ROW_UNIX_S) == DPS_OK ? 0 : 3;
#endif
}

static int assigned(void)
{
    uint64_t now_ms = 1000;
    const dps_registration *const registration = &memory.registration;
    dps_buffer reply = {0, 0};
    int status = begin(now_ms);
    if (status == 0)
        status = play(0, &now_ms, &reply);
    if (status == 0 && dps_registration_result(registration) != DPS_OK)
        status = 20;
    if (status == 0 && !(now_ms == 4000 && IS(dps_registration_assigned_hub(registration), "hub-a.test") &&
                         IS(dps_registration_device_id(registration), ROW_REGISTRATION_ID) &&
                         IS(dps_registration_substatus(registration), "initialAssignment")))
        status = 21;
    if (status == 0 && !IS(dps_registration_payload(registration, reply), "{\"line\":7}"))
        status = 22;
#ifdef WITH_ISSUANCE
    if (status == 0)
        status = chain_is_read(reply);
#endif
    dps_registration_clear(&memory.registration);
    return status;
}

static int refused(void)
{
    uint64_t now_ms = 1000;
    const dps_registration *const registration = &memory.registration;
    dps_buffer reply = {0, 0};
    int status = begin(now_ms);
    if (status == 0)
        status = play(2, &now_ms, &reply);
    if (status == 0 && dps_registration_result(registration) != DPS_ERROR_UNAUTHORIZED)
        status = 30;
    if (status == 0 && !(dps_registration_service_code(registration) == 401002 &&
                         dps_registration_verdict(registration) == DPS_VERDICT_NEVER &&
                         IS(dps_registration_tracking_id(registration), "9f-1")))
        status = 31;
    dps_registration_clear(&memory.registration);
    return status;
}

int registration_run(void)
{
#ifndef BY_CERTIFICATE
    if (dps_key_from_base64(&memory.group, ROW_SPAN(ROW_GROUP_KEY)) != DPS_OK ||
        dps_key_derive(&memory.group, ROW_SPAN(ROW_REGISTRATION_ID), &memory.device) != DPS_OK)
        return 40;
#endif
    const int status = assigned();
    return status == 0 ? refused() : status;
}
