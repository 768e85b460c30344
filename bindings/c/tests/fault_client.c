/* A client for the fault matrix: makes the call that its environment describes, and prints the outcome in one line. */
#include <stdio.h>

#include "environment.h"

static uint32_t number(const char *name)
{
    return (uint32_t)strtoul(getenv(name), NULL, 10);
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
    config.endpoint = setting("DPS_FAULT_ENDPOINT");
    config.ca_pem = setting("DPS_FAULT_CA_PEM");
    config.id_scope = setting("DPS_FAULT_ID_SCOPE");
    config.registration_id = setting("DPS_FAULT_REGISTRATION_ID");
    config.device_key = setting("DPS_FAULT_DEVICE_KEY");
    config.certificate_file = setting("DPS_FAULT_CERTIFICATE_FILE");
    config.certificate_key_file = setting("DPS_FAULT_CERTIFICATE_KEY_FILE");
    config.transport = transport_setting("DPS_FAULT_TRANSPORT");
    config.seed = number("DPS_FAULT_SEED");
    config.timeout_ms = number("DPS_FAULT_TIMEOUT_MS");
    config.request_timeout_ms = number("DPS_FAULT_REQUEST_TIMEOUT_MS");
    config.poll_interval_ms = number("DPS_FAULT_POLL_INTERVAL_MS");
    config.minimum_spacing_ms = number("DPS_FAULT_MINIMUM_SPACING_MS");
    config.keep_alive_s = config.transport == DPS_TRANSPORT_HTTPS ? 0 : number("DPS_FAULT_KEEP_ALIVE_S");
    config.reply_limit = number("DPS_FAULT_REPLY_LIMIT");
    config.proxy = setting("DPS_FAULT_PROXY");
    config.no_proxy = config.proxy.len == 0;
    const bool lookup = span_is(setting("DPS_FAULT_CALL"), "lookup");
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
