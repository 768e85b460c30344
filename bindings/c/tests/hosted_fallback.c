/* Several credentials: the next one is tried when the service refuses one, and after no other failure. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hosted.h"

#define WRONG_KEY "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="

static uint64_t fixed_clock(void *unused)
{
    (void)unused;
    return UNIX_S;
}

/* Counts the changes of the credential, and notes the last one. */
typedef struct changes {
    unsigned count;
    uint32_t refused, next;
    bool stops;
} changes;

static int note_change(void *context, const dps_progress *progress)
{
    changes *const noted = context;
    if (progress->kind != DPS_PROGRESS_SWITCHING)
        return 0;
    noted->count++;
    noted->refused = progress->refused_credential;
    noted->next = progress->next_credential;
    return noted->stops;
}

static void watch(dps_client_config *config, changes *noted)
{
    *noted = (changes){0};
    config->progress = note_change;
    config->progress_context = noted;
}

static dps_credential key(const char *base64)
{
    dps_credential credential;
    RETURNS(DPS_OK, dps_credential_default(&credential));
    credential.device_key = dps_span_of(base64);
    return credential;
}

/* Registers, and expects that the credential with this index is accepted. */
static void is_accepted(const dps_client_config *config, uint32_t index)
{
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    RETURNS(DPS_OK, dps_client_register(config, &assignment, &error));
    if (error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));
    CHECK(dps_assignment_credential_index(assignment) == index);
    dps_assignment_free(assignment);
    dps_error_free(error);
}

static void refused_key_is_followed_by_the_next_over_every_transport(void)
{
    const dps_credential second = key(DEVICE_KEY);
    dps_credential first = key(WRONG_KEY);
    first.fallback = &second;
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        dps_client_config config = begin(DEVICE);
        changes noted;
        over(&config, transport);
        watch(&config, &noted);
        config.device_key = dps_span_of(WRONG_KEY);
        config.fallback = &first;
        is_accepted(&config, 2);
        CHECK(noted.count == 2 && noted.refused == 1 && noted.next == 2);
        /* The next call begins with the one that was accepted. */
        config.credential_index = 2;
        noted.count = 0;
        is_accepted(&config, 2);
        CHECK(noted.count == 0);
    }
}

static void refused_certificate_is_followed_by_a_key(void)
{
    static char certificate[256], private_key[256];
    snprintf(certificate, sizeof certificate, "%s/rsa-2048.cert.pem", getenv("DPS_TEST_CERTIFICATES"));
    snprintf(private_key, sizeof private_key, "%s/rsa-2048-pkcs1.pem", getenv("DPS_TEST_CERTIFICATES"));
    dps_credential group;
    RETURNS(DPS_OK, dps_credential_default(&group));
    group.group_key = dps_span_of(GROUP_KEY);
    dps_client_config config = begin(NULL);
    changes noted;
    watch(&config, &noted);
    config.certificate_file = dps_span_of(certificate);
    config.certificate_key_file = dps_span_of(private_key);
    config.fallback = &group;
    dps_error *const error = ends(DPS_ERROR_UNAUTHORIZED, &config);
    /* `dev-01` has an enrollment of its own, for another certificate. */
    CHECK(noted.count == 1 && noted.refused == 0 && noted.next == 1);
    dps_refused_credential refused;
    for (uint32_t i = 0; i < 2; i++) {
        RETURNS(DPS_OK, dps_error_refused_credential(error, i, &refused));
        CHECK(refused.credential_index == i && refused.result == DPS_ERROR_UNAUTHORIZED && refused.http_status == 401);
        CHECK(refused.service_code / 1000 == 401 && refused.tracking_id.len > 0 && refused.message.len > 0);
    }
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_refused_credential(error, 2, &refused));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_refused_credential(NULL, 0, &refused));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_refused_credential(error, 0, NULL));
    CHECK(strstr(dps_error_text(error), "credential 1 (certificate)") != NULL);
    CHECK(strstr(dps_error_text(error), "credential 2 (symmetric key)") != NULL);
    dps_error_free(error);
}

static void silent_service_is_not_answered_with_the_next_credential(void)
{
    const dps_credential next = key(DEVICE_KEY);
    dps_client_config config = begin(DEVICE);
    changes noted;
    watch(&config, &noted);
    config.endpoint = env("DPS_TEST_SILENT");
    config.timeout_ms = 300;
    config.device_key = dps_span_of(DEVICE_KEY);
    config.fallback = &next;
    dps_error *const error = ends(DPS_ERROR_TIMEOUT, &config);
    dps_refused_credential refused;
    CHECK(noted.count == 0);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_refused_credential(error, 0, &refused));
    dps_error_free(error);
}

static void progress_function_stops_a_change_of_the_credential(void)
{
    const dps_credential next = key(DEVICE_KEY);
    dps_client_config config = begin(DEVICE);
    changes noted;
    watch(&config, &noted);
    noted.stops = true;
    config.device_key = dps_span_of(WRONG_KEY);
    config.fallback = &next;
    dps_error_free(ends(DPS_ERROR_CANCELLED, &config));
    CHECK(noted.count == 1);
}

/* A password of the first minute of 2026, so that two of the same key are equal. */
static void password_is(const dps_client_config *config, const char *expected)
{
    dps_hub_password *password = NULL;
    RETURNS(DPS_OK, dps_client_hub_password(config, DPS_SPAN("hub-a.test"), DPS_SPAN(DEVICE), NO_SPAN(0), 60, &password, NULL));
    CHECK(strcmp(dps_hub_password_text(password), expected) == 0);
    dps_hub_password_free(password);
}

static void accepted_credential_signs_the_password_for_the_hub(void)
{
    const dps_credential next = key(DEVICE_KEY);
    dps_client_config config = begin(DEVICE);
    dps_hub_password *by_next = NULL;
    config.clock = fixed_clock;
    config.device_key = dps_span_of(DEVICE_KEY);
    RETURNS(DPS_OK, dps_client_hub_password(&config, DPS_SPAN("hub-a.test"), DPS_SPAN(DEVICE), NO_SPAN(0), 60, &by_next, NULL));
    config.device_key = dps_span_of(WRONG_KEY);
    config.fallback = &next;
    config.credential_index = 1;
    password_is(&config, dps_hub_password_text(by_next));
    dps_hub_password_free(by_next);
}

/* Nothing was issued yet: the key is the second credential, as it will be then. */
static void empty_place_of_an_issued_certificate_is_left_out(void)
{
    dps_credential next = key(DEVICE_KEY);
    dps_client_config config = begin(DEVICE);
    changes noted;
    watch(&config, &noted);
    config.issued_place = true;
    config.fallback = &next;
    is_accepted(&config, 1);
    CHECK(noted.count == 0);
    config.credential_index = 1;
    is_accepted(&config, 1);
    /* In the list of fallbacks too. */
    RETURNS(DPS_OK, dps_credential_default(&next));
    next.issued_place = true;
    config.issued_place = false;
    config.credential_index = 0;
    config.device_key = dps_span_of(DEVICE_KEY);
    is_accepted(&config, 0);
}

/* Ends before anything is sent, with this in its text. */
static void is_invalid(const dps_client_config *config, const char *expected)
{
    dps_error *const error = ends(DPS_ERROR_INVALID_OPTION, config);
    CHECK(strstr(dps_error_text(error), expected) != NULL);
    if (strstr(dps_error_text(error), expected) == NULL)
        fprintf(stderr, "  %s\n", dps_error_text(error));
    dps_error_free(error);
}

static void fallbacks_that_cannot_work_are_refused(void)
{
    dps_client_config config = begin(DEVICE);
    dps_credential fallback = key(DEVICE_KEY), second = key(DEVICE_KEY);
    config.endpoint = env("DPS_TEST_SILENT");
    config.device_key = dps_span_of(DEVICE_KEY);
    config.fallback = &fallback;
    config.credential_index = 2;
    is_invalid(&config, "the first credential has the index 2, but the client has 2");
    config.credential_index = 0;
    fallback.device_key_file = env("DPS_TEST_GROUP_KEY_FILE");
    is_invalid(&config, "fallback 1 has two credentials");
    fallback.device_key_file = NO_SPAN(0);
    fallback.pkcs11_module = DPS_SPAN("module.so");
    is_invalid(&config, "pkcs11_module is set without pkcs11_uri");
    fallback = key(DEVICE_KEY);
    fallback.fallback = &second;
    second.device_key = NO_SPAN(0);
    is_invalid(&config, "fallback 2 has no credential");
    second = fallback;
    second.size = 0;
    fallback.fallback = &second;
    is_invalid(&config, "fallback 2 was not made by dps_credential_default");
    /* A list that is a circle. */
    fallback.fallback = &fallback;
    is_invalid(&config, "there are more than 7 fallbacks");
    /* The first credential is missing. */
    config.device_key = NO_SPAN(0);
    fallback.fallback = NULL;
    is_invalid(&config, "a credential (a key");
    config.fallback = NULL;
    config.issued_place = true;
    is_invalid(&config, "a credential (a key");
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_credential_default(NULL));
}

void fallbacks(void)
{
    refused_key_is_followed_by_the_next_over_every_transport();
    refused_certificate_is_followed_by_a_key();
    silent_service_is_not_answered_with_the_next_credential();
    progress_function_stops_a_change_of_the_credential();
    accepted_credential_signs_the_password_for_the_hub();
    empty_place_of_an_issued_certificate_is_left_out();
    fallbacks_that_cannot_work_are_refused();
}
