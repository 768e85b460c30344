/* The calls that tests start with, and checks of their results. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hosted.h"

dps_span env(const char *name)
{
    const char *const value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set: `cargo xtask c` runs this program\n", name);
        exit(2);
    }
    return dps_span_of(value);
}

dps_client_config begin(const char *id)
{
    dps_client_config config;
    RETURNS(DPS_OK, dps_client_config_default(&config));
    config.endpoint = env("DPS_TEST_HTTPS");
    config.id_scope = env("DPS_TEST_ID_SCOPE");
    config.ca_file = env("DPS_TEST_CA_FILE");
    config.registration_id = dps_span_of(id);
    config.no_proxy = true;
    config.timeout_ms = 60000;
    return config;
}

void over(dps_client_config *config, dps_transport transport)
{
    static const char *const endpoints[] = {"DPS_TEST_HTTPS", "DPS_TEST_MQTT", "DPS_TEST_WSS"};
    config->transport = transport;
    config->endpoint = env(endpoints[transport]);
}

dps_error *ends(dps_result expected, const dps_client_config *config)
{
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    const dps_result found = dps_client_register(config, &assignment, &error);
    CHECK(found == expected);
    if (found != expected)
        fprintf(stderr, "  it returned %d: %s\n", (int)found, dps_error_text(error));
    CHECK((found == DPS_OK) == (assignment != NULL) && (found == DPS_OK) == (error == NULL));
    dps_assignment_free(assignment);
    return error;
}

void is_assigned(const dps_client_config *config, const char *id)
{
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    RETURNS(DPS_OK, dps_client_register(config, &assignment, &error));
    CHECK(error == NULL && assignment != NULL);
    if (error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));
    CHECK(dps_assignment_status(assignment) == DPS_STATUS_ASSIGNED);
    CHECK(strcmp(dps_assignment_hub(assignment), "hub-a.test") == 0);
    CHECK(strcmp(dps_assignment_device_id(assignment), id) == 0);
    CHECK(strcmp(dps_assignment_substatus(assignment), "initialAssignment") == 0 ||
          strcmp(dps_assignment_substatus(assignment), "deviceDataMigrated") == 0);
    CHECK(strncmp(dps_assignment_connection_string(assignment), "HostName=hub-a.test;DeviceId=", 29) == 0);
    CHECK(strcmp(dps_assignment_payload(assignment), "") == 0);
    dps_assignment_free(assignment);
    dps_error_free(error);
}
