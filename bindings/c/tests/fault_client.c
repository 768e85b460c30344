/* A client for the fault matrix: makes the call that its environment describes, and prints the outcome in one line. */
#include <stdio.h>
#include <stdlib.h>

#include "scene.h"

static dps_span text(const char *name)
{
    return dps_span_of(getenv(name));
}

static uint32_t number(const char *name)
{
    return (uint32_t)strtoul(getenv(name), NULL, 10);
}

static uint32_t transport(void)
{
    const dps_span name = text("DPS_FAULT_TRANSPORT");
    return span_is(name, "https") ? DPS_TRANSPORT_HTTPS
           : span_is(name, "mqtt") ? DPS_TRANSPORT_MQTT
                                   : DPS_TRANSPORT_MQTT_WEBSOCKET;
}

static void tell(const dps_error *error)
{
    static const char *const verdicts[] = {"never", "after", "reconfigure"};
    dps_failure failure;
    dps_hint hint;
    if (dps_error_failure(error, &failure) != DPS_OK)
        exit(3);
    if (dps_error_hint(error, 0, &hint) != DPS_OK)
        hint.name = DPS_SPAN("none");
    printf("%d %s %llu %.*s\n", (int)failure.result, verdicts[failure.verdict],
           (unsigned long long)failure.retry_after_ms, (int)hint.name.len, hint.name.ptr);
}

int main(void)
{
    dps_client_config config;
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    if (dps_client_config_default(&config) != DPS_OK)
        return 2;
    config.endpoint = text("DPS_FAULT_ENDPOINT");
    config.ca_pem = text("DPS_FAULT_CA_PEM");
    config.id_scope = text("DPS_FAULT_ID_SCOPE");
    config.registration_id = text("DPS_FAULT_REGISTRATION_ID");
    config.device_key = text("DPS_FAULT_DEVICE_KEY");
    config.certificate_file = text("DPS_FAULT_CERTIFICATE_FILE");
    config.certificate_key_file = text("DPS_FAULT_CERTIFICATE_KEY_FILE");
    config.transport = transport();
    config.seed = number("DPS_FAULT_SEED");
    config.timeout_ms = number("DPS_FAULT_TIMEOUT_MS");
    config.request_timeout_ms = number("DPS_FAULT_REQUEST_TIMEOUT_MS");
    config.poll_interval_ms = number("DPS_FAULT_POLL_INTERVAL_MS");
    config.minimum_spacing_ms = number("DPS_FAULT_MINIMUM_SPACING_MS");
    config.keep_alive_s = config.transport == DPS_TRANSPORT_HTTPS ? 0 : number("DPS_FAULT_KEEP_ALIVE_S");
    config.reply_limit = number("DPS_FAULT_REPLY_LIMIT");
    config.proxy = text("DPS_FAULT_PROXY");
    config.no_proxy = config.proxy.len == 0;
    const bool lookup = span_is(text("DPS_FAULT_CALL"), "lookup");
    const dps_result result = lookup ? dps_client_lookup(&config, &assignment, &error)
                                     : dps_client_register(&config, &assignment, &error);
    if (result == DPS_OK)
        puts("0");
    else
        tell(error);
    dps_assignment_free(assignment);
    dps_error_free(error);
    return 0;
}
