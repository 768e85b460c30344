/* The blocking calls with keys in a PKCS#11 token. `cargo xtask pkcs11` makes the token, in the folder of DPS_TEST_TOKEN, and
   runs this beside `c-service`. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hosted.h"

unsigned checks_done, checks_failed;

static const char key[] = "pkcs11:token=dps;object=device-key", tls[] = "pkcs11:token=dps;object=device-tls";

/* Returns the path of a file in a folder that a variable names. */
static const char *in(const char *variable, const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *const path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", getenv(variable), name);
    return path;
}

static dps_client_config with_token(const char *id, const char *uri)
{
    dps_client_config config = begin(id);
    config.pkcs11_uri = dps_span_of(uri);
    config.pkcs11_module = dps_span_of(in("DPS_TEST_TOKEN", "module.so"));
    config.pkcs11_pin_file = dps_span_of(in("DPS_TEST_TOKEN", "pin"));
    return config;
}

static void registers(const dps_client_config *config, const char *id)
{
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    RETURNS(DPS_OK, dps_client_register(config, &assignment, &error));
    if (error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));
    CHECK(strcmp(dps_assignment_device_id(assignment), id) == 0);
    /* A key that cannot leave its token is in no connection string. */
    CHECK(strstr(dps_assignment_connection_string(assignment), "SharedAccessKey") == NULL);
    dps_assignment_free(assignment);
    dps_error_free(error);
}

static void keys_in_a_token_register_over_every_transport(void)
{
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        dps_client_config config = with_token(DEVICE, key);
        over(&config, transport);
        registers(&config, DEVICE);
        config = with_token(NULL, tls);
        over(&config, transport);
        config.certificate_file = dps_span_of(in("DPS_TEST_CERTIFICATES", "ec.pem"));
        registers(&config, "dev-01");
    }
}

static void failures_of_a_token_are_errors_of_the_catalogue(void)
{
    dps_client_config config = with_token(DEVICE, "pkcs11:token=dps;object=another");
    dps_error_free(ends(DPS_ERROR_PKCS11_NO_OBJECT, &config));
    config = with_token(DEVICE, "pkcs11:token=another;object=device-key");
    dps_error_free(ends(DPS_ERROR_PKCS11_NO_TOKEN, &config));
    config = with_token(DEVICE, key);
    config.pkcs11_module = DPS_SPAN("no/such/module.so");
    dps_error *error = ends(DPS_ERROR_PKCS11_MODULE, &config);
    CHECK(strstr(dps_error_text(error), "no/such/module.so") != NULL);
    dps_error_free(error);
    config = with_token(DEVICE, "pkcs11:token=dps;object=device-key?pin-value=open-sesame");
    error = ends(DPS_ERROR_INVALID_PKCS11_URI, &config);
    CHECK(strstr(dps_error_text(error), "sesame") == NULL);
    dps_error_free(error);
    config = with_token(NULL, tls);
    config.certificate_file = dps_span_of(in("DPS_TEST_CERTIFICATES", "rsa-2048.cert.pem"));
    dps_error_free(ends(DPS_ERROR_CLIENT_KEY_MISMATCH, &config));
}

static void options_that_exclude_each_other_are_refused(void)
{
    dps_client_config config = with_token(DEVICE, key);
    config.device_key = dps_span_of(DEVICE_KEY);
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = with_token(DEVICE, tls);
    config.certificate_file = dps_span_of(in("DPS_TEST_CERTIFICATES", "ec.pem"));
    config.certificate_key_file = config.certificate_file;
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = with_token(DEVICE, NULL);
    dps_error *const error = ends(DPS_ERROR_INVALID_OPTION, &config);
    CHECK(strstr(dps_error_text(error), "pkcs11_module is set without pkcs11_uri") != NULL);
    dps_error_free(error);
}

/* Opens the directory of an identity whose key is in the token; with an empty URI, as if the key were not. */
static dps_identity_store *open_store(dps_span uri)
{
    const dps_span directory = env("DPS_TEST_IDENTITIES"), module = dps_span_of(in("DPS_TEST_TOKEN", "module.so"));
    const dps_span pin_file = dps_span_of(in("DPS_TEST_TOKEN", "pin"));
    dps_identity_store *store = NULL;
    if (uri.len == 0)
        RETURNS(DPS_OK, dps_identity_store_open(directory, NO_SPAN(0), &store, NULL));
    else
        RETURNS(DPS_OK, dps_identity_store_open_pkcs11(directory, NO_SPAN(0), uri, module, pin_file, &store, NULL));
    return store;
}

static void certificate_is_issued_for_a_key_in_a_token_and_signs_in_to_the_hub(void)
{
    unsigned char request[DPS_OPERATIONAL_REQUEST_SIZE];
    size_t length = 0;
    dps_operational_key *operational = NULL;
    dps_assignment *assignment = NULL;
    dps_issued_identity *identity = NULL, *loaded = NULL;
    dps_certificate_chain *chain = NULL;
    dps_error *error = NULL;
    dps_client_config config = begin("dev-issued");
    const dps_span uri = dps_span_of(tls), module = dps_span_of(in("DPS_TEST_TOKEN", "module.so"));
    const dps_span pin_file = dps_span_of(in("DPS_TEST_TOKEN", "pin"));
    RETURNS(DPS_OK, dps_operational_key_from_pkcs11(uri, module, pin_file, &operational, &error));
    RETURNS(DPS_OK, dps_operational_key_write_request(operational, config.registration_id, DPS_BUFFER(request), &length, &error));
    config.endpoint = env("DPS_TEST_ISSUING_HTTPS");
    config.ca_file = env("DPS_TEST_ISSUING_CA_FILE");
    config.device_key = dps_span_of(DEVICE_KEY);
    config.certificate_request = (dps_span){(const char *)request, length};
    RETURNS(DPS_OK, dps_client_register(&config, &assignment, &error));
    RETURNS(DPS_OK, dps_issued_identity_accept(operational, dps_assignment_issued_chain(assignment), config.registration_id, 0, &identity, &error));
    dps_identity_store *store = open_store(uri);
    RETURNS(DPS_OK, dps_identity_store_save(store, identity, &error));
    RETURNS(DPS_OK, dps_identity_store_load(store, &loaded, &error));
    CHECK(dps_issued_identity_certificate(loaded, 0).len > 0);
    dps_identity_store_free(store);

    /* The token signs the handshake with the hub. */
    dps_hub_renewal renewal;
    RETURNS(DPS_OK, dps_hub_renewal_default(&renewal));
    renewal.hub = dps_span_of(dps_assignment_hub(assignment));
    renewal.device_id = dps_span_of(dps_assignment_device_id(assignment));
    renewal.certificate_request = config.certificate_request;
    renewal.address = DPS_SPAN("127.0.0.1");
    renewal.port = (uint16_t)atoi(strrchr(getenv("DPS_TEST_ISSUING_MQTT"), ':') + 1);
    config.device_key = config.certificate_request = NO_SPAN(0);
    config.issued_identity = loaded;
    RETURNS(DPS_OK, dps_client_renew_at_hub(&config, &renewal, &chain, &error));
    if (error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));

    dps_error_free(error);
    error = NULL;
    store = open_store(NO_SPAN(0));
    RETURNS(DPS_ERROR_INVALID_OPTION, dps_identity_store_load(store, &loaded, &error));
    CHECK(strstr(dps_error_text(error), tls) != NULL);
    dps_error_free(error);
    dps_identity_store_free(store);
    dps_certificate_chain_free(chain);
    dps_issued_identity_free(loaded);
    dps_issued_identity_free(identity);
    dps_assignment_free(assignment);
    dps_operational_key_free(operational);
}

/* Last, since a PIN that was refused is not tried again before the token has accepted another. */
static void wrong_pin_is_reported(void)
{
    dps_client_config config = with_token(DEVICE, key);
    config.pkcs11_pin_file = env("DPS_TEST_GROUP_KEY_FILE");
    dps_error *const error = ends(DPS_ERROR_PKCS11_WRONG_PIN, &config);
    CHECK(strstr(dps_error_text(error), "8isrFI") == NULL);
    dps_error_free(error);
}

int main(void)
{
    keys_in_a_token_register_over_every_transport();
    failures_of_a_token_are_errors_of_the_catalogue();
    options_that_exclude_each_other_are_refused();
    certificate_is_issued_for_a_key_in_a_token_and_signs_in_to_the_hub();
    wrong_pin_is_reported();
    printf("keys in tokens from C: %u checks, %u failed\n", checks_done, checks_failed);
    return checks_failed == 0 ? 0 : 1;
}
