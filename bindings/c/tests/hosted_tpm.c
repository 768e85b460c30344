/* The blocking calls with a TPM. `cargo xtask tpm` starts swtpm, and runs this beside `c-service`, which has an enrollment of it
   and checks the passwords that are written here. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hosted.h"

unsigned checks_done, checks_failed;

static dps_client_config with_tpm(const char *id)
{
    dps_client_config config = begin(id);
    config.tpm_tcti = env("DPS_TEST_TPM_TCTI");
    return config;
}

/* Signs a password for the hub, which the service is to accept or refuse after this program. */
static dps_hub_password *sign_in(const dps_client_config *config, const char *hub, const char *id)
{
    dps_hub_password *password = NULL;
    dps_error *error = NULL;
    RETURNS(DPS_OK, dps_client_hub_password(config, dps_span_of(hub), dps_span_of(id), NO_SPAN(0), 0, &password, &error));
    if (error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));
    dps_error_free(error);
    return password;
}

static void is_to_be(const char *expected, const char *hub, const char *id, dps_hub_password *password)
{
    FILE *const file = fopen(getenv("DPS_TEST_HUB_PASSWORDS"), "a");
    CHECK(file != NULL && fprintf(file, "%s %s %s %s\n", expected, hub, id, dps_hub_password_text(password)) > 0);
    if (file != NULL)
        fclose(file);
    dps_hub_password_free(password);
}

static void hub_password_needs_a_registration(void)
{
    const dps_client_config config = with_tpm(NULL);
    dps_hub_password *password = NULL;
    dps_error *error = NULL;
    dps_hint hint;
    const dps_span hub = DPS_SPAN("hub-a.test"), device = DPS_SPAN("dev-01");
    RETURNS(DPS_ERROR_TPM_KEY_MISSING, dps_client_hub_password(&config, hub, device, NO_SPAN(0), 0, &password, &error));
    RETURNS(DPS_OK, dps_error_hint(error, 0, &hint));
    CHECK(span_is(hint.name, "register-again"));
    dps_error_free(error);
}

/* Without a registration id: it is derived from the endorsement key. */
static void tpm_registers_looks_up_and_signs_in_to_its_hub(void)
{
    const char *const id = getenv("DPS_TEST_TPM_ID"), *const hub = "hub-a.test";
    const dps_client_config config = with_tpm(NULL);
    dps_hub_password *first = NULL;
    for (int time = 0; time < 2; time++) {
        dps_assignment *assignment = NULL;
        dps_error *error = NULL;
        RETURNS(DPS_OK, dps_client_register(&config, &assignment, &error));
        if (error != NULL)
            fprintf(stderr, "  %s\n", dps_error_text(error));
        CHECK(strcmp(dps_assignment_device_id(assignment), id) == 0);
        CHECK(strcmp(dps_assignment_hub(assignment), hub) == 0);
        /* A key that cannot leave the TPM is in no connection string. */
        CHECK(strcmp(dps_assignment_connection_string(assignment), "") == 0);
        dps_assignment_free(assignment);
        dps_error_free(error);
        if (time == 0)
            first = sign_in(&config, hub, id);
    }
    dps_assignment *record = NULL;
    RETURNS(DPS_OK, dps_client_lookup(&config, &record, NULL));
    CHECK(strcmp(dps_assignment_hub(record), hub) == 0);
    dps_assignment_free(record);
    /* Each registration has a new key for the hub. */
    is_to_be("refused", hub, id, first);
    is_to_be("accepted", hub, id, sign_in(&config, hub, id));
}

static void failures_of_a_tpm_are_errors_of_the_catalogue(void)
{
    dps_client_config config = with_tpm("another");
    dps_error *error = ends(DPS_ERROR_NOT_FOUND, &config);
    dps_hint hint;
    RETURNS(DPS_OK, dps_error_hint(error, 1, &hint));
    CHECK(span_is(hint.name, "compare-endorsement-key"));
    dps_error_free(error);
    config = begin("dev-01");
    config.tpm_tcti = DPS_SPAN("swtpm:path=/no/such/socket");
    error = ends(DPS_ERROR_TPM_UNAVAILABLE, &config);
    CHECK(strstr(dps_error_text(error), "/no/such/socket") != NULL);
    dps_error_free(error);
    config.tpm_tcti = DPS_SPAN("mssim:port=2321");
    dps_error_free(ends(DPS_ERROR_INVALID_TCTI, &config));
    config = with_tpm("dev-01");
    over(&config, DPS_TRANSPORT_MQTT);
    dps_error_free(ends(DPS_ERROR_UNSUPPORTED_BY_TRANSPORT, &config));
    config = with_tpm("dev-01");
    config.tpm_auth_key_index = 0x10001;
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = with_tpm("dev-01");
    config.device_key = dps_span_of(DEVICE_KEY);
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = with_tpm("dev-01");
    config.tpm_owner_password_file = DPS_SPAN("no/such/file");
    dps_error_free(ends(DPS_ERROR_FILE, &config));
}

/* Last, since the TPM counts it. */
static void wrong_password_is_reported(void)
{
    dps_client_config config = with_tpm(NULL);
    config.tpm_endorsement_password_file = env("DPS_TEST_PASSPHRASE_FILE");
    dps_error *const error = ends(DPS_ERROR_TPM_WRONG_PASSWORD, &config);
    CHECK(strstr(dps_error_text(error), "correct-horse") == NULL);
    dps_error_free(error);
}

int main(void)
{
    hub_password_needs_a_registration();
    tpm_registers_looks_up_and_signs_in_to_its_hub();
    failures_of_a_tpm_are_errors_of_the_catalogue();
    wrong_password_is_reported();
    printf("a TPM from C: %u checks, %u failed\n", checks_done, checks_failed);
    return checks_failed == 0 ? 0 : 1;
}
