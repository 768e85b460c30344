/* The connection profile of the assigned hub and the issued chain, by each API version and over each transport. `c-service` enrolls
 * a device on a hub of each profile. */
#include <stdio.h>

#include "check.h"
#include "hosted.h"
#include "vectors.h"

#define CLASSIC_DEVICE "on-classic"
#define MQTT_V5_DEVICE "on-mqtt-v5"

static dps_client_config device(const char *id, dps_transport transport)
{
    dps_client_config config = begin(id);
    over(&config, transport);
    config.device_key_file = env("DPS_TEST_DEVICE_KEY_FILE");
    return config;
}

/* Compares a word of the vectors with what an assignment has. */
static void has_profile(const dps_assignment *assignment, const char *expected)
{
    const dps_connection_profile profile = dps_assignment_connection_profile(assignment);
    const char *const word = dps_assignment_connection_profile_word(assignment);
    if (strcmp(expected, "not reported") == 0)
        CHECK(profile == DPS_CONNECTION_PROFILE_NOT_REPORTED && *word == 0);
    else if (strcmp(expected, "classic") == 0)
        CHECK(profile == DPS_CONNECTION_PROFILE_CLASSIC && strcmp(word, expected) == 0);
    else
        CHECK(profile == DPS_CONNECTION_PROFILE_MQTT_V5 && strcmp(word, expected) == 0);
    /* The connection string is that of MQTT 3.1.1. */
    CHECK((*dps_assignment_connection_string(assignment) == 0) == (profile == DPS_CONNECTION_PROFILE_MQTT_V5));
}

static void registers(const dps_client_config *config, const char *expected)
{
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    RETURNS(DPS_OK, dps_client_register(config, &assignment, &error));
    if (error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));
    has_profile(assignment, expected);
    dps_assignment_free(assignment);
    dps_error_free(error);
}

/* Registers with a request for a new key, and compares the chain with a word of the vectors. */
static void requests(dps_client_config config, const char *expected)
{
    static unsigned char request[DPS_OPERATIONAL_REQUEST_SIZE];
    size_t length = 0;
    dps_operational_key *key = NULL;
    dps_assignment *assignment = NULL;
    RETURNS(DPS_OK, dps_operational_key_generate(DPS_KEY_ALGORITHM_EC_P256, &key, NULL));
    RETURNS(DPS_OK, dps_operational_key_write_request(key, config.registration_id, DPS_BUFFER(request), &length, NULL));
    config.certificate_request = (dps_span){(const char *)request, length};
    RETURNS(DPS_OK, dps_client_register(&config, &assignment, NULL));
    const dps_certificate_chain *const chain = dps_assignment_issued_chain(assignment);
    CHECK((chain != NULL) == (strcmp(expected, "issued") == 0));
    dps_assignment_free(assignment);
    dps_operational_key_free(key);
}

static void profile_and_chain_follow_the_api_version_over_each_transport(void)
{
    for (size_t i = 0; i < sizeof vectors_api_version / sizeof *vectors_api_version; i++)
        for (dps_transport over_it = DPS_TRANSPORT_HTTPS; over_it <= DPS_TRANSPORT_MQTT_WEBSOCKET; over_it++) {
            dps_client_config config = device(CLASSIC_DEVICE, over_it);
            config.api_version = dps_span_of(vectors_api_version[i].api_version);
            registers(&config, vectors_api_version[i].classic);
            requests(config, vectors_api_version[i].certificate_request);
            config.registration_id = DPS_SPAN(MQTT_V5_DEVICE);
            registers(&config, vectors_api_version[i].mqtt_v5);
        }
}

static void profile_is_asked_for_by_an_option(void)
{
    dps_client_config config = device(MQTT_V5_DEVICE, DPS_TRANSPORT_HTTPS);
    dps_assignment *record = NULL;
    registers(&config, "not reported");
    config.connection_profile = true;
    registers(&config, "mqttV5");
    RETURNS(DPS_OK, dps_client_lookup(&config, &record, NULL));
    CHECK(dps_assignment_connection_profile(record) == DPS_CONNECTION_PROFILE_MQTT_V5);
    CHECK(strcmp(dps_assignment_connection_profile_word(record), "mqttV5") == 0);
    dps_assignment_free(record);
    config.api_version = DPS_SPAN(DPS_API_VERSION_ISSUANCE);
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    CHECK(dps_assignment_connection_profile(NULL) == DPS_CONNECTION_PROFILE_NOT_REPORTED);
    CHECK(*dps_assignment_connection_profile_word(NULL) == 0);
}

static void hub_password_is_refused_for_a_hub_that_is_not_classic(void)
{
    static const struct {
        const char *profile;
        dps_result expected;
    } cases[] = {
        {"", DPS_OK},
        {"classic", DPS_OK},
        {"mqttV5", DPS_ERROR_UNSUPPORTED_PROFILE},
        {"mqttV6", DPS_ERROR_UNSUPPORTED_PROFILE},
        {"mqtt v5", DPS_ERROR_INVALID_ARGUMENT},
    };
    const dps_client_config config = device(MQTT_V5_DEVICE, DPS_TRANSPORT_HTTPS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dps_hub_password *password = NULL;
        dps_error *error = NULL;
        const dps_span hub = DPS_SPAN("hub-5.test"), id = DPS_SPAN(MQTT_V5_DEVICE);
        RETURNS(cases[i].expected,
                dps_client_hub_password(&config, hub, id, dps_span_of(cases[i].profile), 0, &password, &error));
        CHECK((password != NULL) == (cases[i].expected == DPS_OK));
        dps_hub_password_free(password);
        dps_error_free(error);
    }
}

void profiles(void)
{
    profile_and_chain_follow_the_api_version_over_each_transport();
    profile_is_asked_for_by_an_option();
    hub_password_is_refused_for_a_hub_that_is_not_classic();
}
