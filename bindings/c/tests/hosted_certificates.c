/* The blocking calls with an X.509 certificate. `c-service` writes the files and enrolls the devices. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hosted.h"

/* A device with this certificate and this key, both files of the service's folder. */
static dps_client_config device(dps_transport transport, const char *certificate, const char *key)
{
    static char paths[2][256];
    const char *const names[] = {certificate, key};
    dps_client_config config = begin(NULL);
    for (int i = 0; i < 2; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", getenv("DPS_TEST_CERTIFICATES"), names[i]);
    over(&config, transport);
    config.certificate_file = dps_span_of(paths[0]);
    config.certificate_key_file = dps_span_of(paths[1]);
    return config;
}

/* The registration id is the common name. */
static void certificate_registers(const dps_client_config *config, const char *id)
{
    char expected[128];
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    RETURNS(DPS_OK, dps_client_register(config, &assignment, &error));
    if (error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));
    CHECK(strcmp(dps_assignment_device_id(assignment), id) == 0);
    snprintf(expected, sizeof expected, "HostName=hub-a.test;DeviceId=%s;x509=true", id);
    CHECK(strcmp(dps_assignment_connection_string(assignment), expected) == 0);
    dps_assignment_free(assignment);
    dps_error_free(error);
}

static void certificates_of_every_kind_register_over_every_transport(void)
{
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        dps_client_config config = device(transport, "ec.pem", "ec-sec1.pem");
        certificate_registers(&config, "dev-01");
        config = device(transport, "rsa-4096.cert.pem", "rsa-4096.pem");
        certificate_registers(&config, "dev-01");
        /* Of a group, with the chain and the key in one file. */
        config = device(transport, "group.pem", "");
        config.certificate_key_file = NO_SPAN(0);
        certificate_registers(&config, "dev-02");
    }
}

static void encrypted_key_requires_its_passphrase(void)
{
    dps_client_config config = device(DPS_TRANSPORT_MQTT, "ec.pem", "ec-pbkdf2.pem");
    dps_error *error = ends(DPS_ERROR_WRONG_PASSPHRASE, &config);
    CHECK(strstr(dps_error_text(error), "ec-pbkdf2.pem: the key is encrypted") != NULL);
    dps_error_free(error);
    config.certificate_key_passphrase_file = env("DPS_TEST_PASSPHRASE_FILE");
    certificate_registers(&config, "dev-01");
    config.certificate_key_passphrase_file = env("DPS_TEST_GROUP_KEY_FILE");
    error = ends(DPS_ERROR_WRONG_PASSPHRASE, &config);
    CHECK(strstr(dps_error_text(error), "8isrFI") == NULL);
    dps_error_free(error);
    config.certificate_key_passphrase_file = DPS_SPAN("no/such/file");
    dps_error_free(ends(DPS_ERROR_FILE, &config));
}

static void certificates_that_cannot_work_are_refused_before_connecting(void)
{
    dps_client_config config = device(DPS_TRANSPORT_HTTPS, "ec.pem", "rsa-4096.pem");
    config.endpoint = env("DPS_TEST_SILENT");
    dps_error_free(ends(DPS_ERROR_CLIENT_KEY_MISMATCH, &config));
    config = device(DPS_TRANSPORT_HTTPS, "ec.pem", "ec-sec1.pem");
    config.endpoint = env("DPS_TEST_SILENT");
    config.registration_id = DPS_SPAN("dev-07");
    dps_error *error = ends(DPS_ERROR_COMMON_NAME_MISMATCH, &config);
    dps_hint hint;
    RETURNS(DPS_OK, dps_error_hint(error, 0, &hint));
    CHECK(span_is(hint.name, "certificate-name"));
    dps_error_free(error);
    config = device(DPS_TRANSPORT_HTTPS, "no-such-file", "ec-sec1.pem");
    error = ends(DPS_ERROR_FILE, &config);
    CHECK(strstr(dps_error_text(error), "no-such-file") != NULL);
    dps_error_free(error);

    /* A second credential, and parts of one. */
    config = device(DPS_TRANSPORT_HTTPS, "ec.pem", "ec-sec1.pem");
    config.device_key = dps_span_of(DEVICE_KEY);
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    dps_span *const parts[] = {&config.certificate_key_file, &config.certificate_key_passphrase_file};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        config = begin(DEVICE);
        config.device_key = dps_span_of(DEVICE_KEY);
        *parts[i] = DPS_SPAN("key.pem");
        error = ends(DPS_ERROR_INVALID_OPTION, &config);
        CHECK(strstr(dps_error_text(error), "without certificate_file") != NULL);
        dps_error_free(error);
    }
}

static void other_certificate_is_refused_with_its_likely_causes(void)
{
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        dps_client_config config = device(transport, "rsa-2048.cert.pem", "rsa-2048-pkcs1.pem");
        dps_error *const error = ends(DPS_ERROR_UNAUTHORIZED, &config);
        dps_hint hint;
        RETURNS(DPS_OK, dps_error_hint(error, 0, &hint));
        CHECK(span_is(hint.name, "wrong-thumbprint"));
        dps_error_free(error);
    }
}

static void certificate_looks_up_its_record(void)
{
    dps_client_config config = device(DPS_TRANSPORT_HTTPS, "ec.pem", "ec-sec1.pem");
    dps_assignment *assignment = NULL;
    certificate_registers(&config, "dev-01");
    RETURNS(DPS_OK, dps_client_lookup(&config, &assignment, NULL));
    CHECK(dps_assignment_status(assignment) == DPS_STATUS_ASSIGNED);
    CHECK(strcmp(dps_assignment_device_id(assignment), "dev-01") == 0);
    dps_assignment_free(assignment);
}

/* The service does not know the operation, so that the device registers again. */
static void certificate_resumes(void)
{
    char body[] = "{\"operationId\":\"5.abc\",\"status\":\"assigning\"}", operation[256];
    unsigned char storage[DPS_STORAGE_SIZE];
    dps_client_config config = device(DPS_TRANSPORT_HTTPS, "ec.pem", "ec-sec1.pem");
    dps_registration registration;
    dps_config of_operation;
    dps_action action;
    const dps_http_head head = {.size = sizeof head, .status = 202};
    RETURNS(DPS_OK, dps_config_default(&of_operation));
    of_operation.endpoint = config.endpoint;
    of_operation.id_scope = config.id_scope;
    of_operation.registration_id = DPS_SPAN("dev-01");
    RETURNS(DPS_OK, dps_registration_init_x509(&registration, &of_operation, DPS_BUFFER(storage)));
    RETURNS(DPS_OK, dps_registration_poll(&registration, 0, &action));
    RETURNS(DPS_OK, dps_registration_handle_http(&registration, 0, action.id, &head, (dps_buffer){body, sizeof body - 1}));
    RETURNS(DPS_OK, dps_registration_write_operation(&registration, DPS_BUFFER(operation), &config.resume.len));
    dps_registration_clear(&registration);
    config.resume.ptr = operation;
    certificate_registers(&config, "dev-01");
}

void certificates(void)
{
    certificates_of_every_kind_register_over_every_transport();
    encrypted_key_requires_its_passphrase();
    certificates_that_cannot_work_are_refused_before_connecting();
    other_certificate_is_refused_with_its_likely_causes();
    certificate_looks_up_its_record();
    certificate_resumes();
}
