/* Issued certificates: requested at registration, stored, used at the hub, renewed there, expired, lost, recovered. The second
   service of `c-service` issues them, and its clock is moved together with the device's. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "hosted.h"

#define DAY (24 * 3600)
#define ID "dev-issued"

/* What the device's clock shows. */
static uint64_t now_unix_s;

static uint64_t device_clock(void *unused)
{
    (void)unused;
    return now_unix_s;
}

/* Sends a line to `c-service` and returns the number that it answers; -1 for anything else, which is printed. */
static long ask(const char *line)
{
    char answer[256] = "", *end;
    size_t length = 0;
    const struct sockaddr_in control = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(getenv("DPS_TEST_CONTROL_PORT"))),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    const int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(socket_, (const struct sockaddr *)&control, sizeof control) == 0);
    CHECK(write(socket_, line, strlen(line)) == (ssize_t)strlen(line) && write(socket_, "\n", 1) == 1);
    for (ssize_t got; length < sizeof answer - 1; length += (size_t)got)
        if ((got = read(socket_, answer + length, sizeof answer - 1 - length)) <= 0)
            break;
    close(socket_);
    const long number = strtol(answer, &end, 10);
    if (end != answer && *end == '\n')
        return number;
    fprintf(stderr, "  %s: %s", line, answer);
    return -1;
}

/* Lets time pass for the service and the device. */
static void pass(unsigned long seconds)
{
    char line[64];
    snprintf(line, sizeof line, "advance %lu", seconds);
    const long now = ask(line);
    CHECK(now > 0);
    now_unix_s = (uint64_t)now;
}

/* Returns the path of a directory for an identity, or of a file in one. */
static const char *path_of(const char *directory, const char *file)
{
    static char paths[4][512];
    static unsigned next;
    char *const path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s%s%s", getenv("DPS_TEST_IDENTITIES"), directory, *file ? "/" : "", file);
    return path;
}

/* Signs in to the hub with files of a directory, and returns the code of CONNACK. */
static long sign_in(const char *directory, const char *certificates, const char *key)
{
    char line[1100];
    snprintf(line, sizeof line, "sign-in %s %s", path_of(directory, certificates), path_of(directory, key));
    return ask(line);
}

/* Expects success, and prints an error. */
static void is_ok(dps_result result, dps_error **error)
{
    CHECK(result == DPS_OK && *error == NULL);
    if (*error != NULL)
        fprintf(stderr, "  %s\n", dps_error_text(*error));
    dps_error_free(*error);
    *error = NULL;
}

/* Expects an error whose text contains these words, and frees it. */
static void is_refused(dps_result expected, const char *words, dps_result found, dps_error **error)
{
    const bool as_expected = found == expected && *error != NULL && strstr(dps_error_text(*error), words) != NULL;
    CHECK(as_expected);
    if (!as_expected)
        fprintf(stderr, "  it returned %d: %s\n", (int)found, dps_error_text(*error));
    dps_error_free(*error);
    *error = NULL;
}

/* The configuration of a call to the service that issues certificates; the credential is missing. */
static dps_client_config device(dps_transport transport)
{
    static const char *const endpoints[] = {"DPS_TEST_ISSUING_HTTPS", "DPS_TEST_ISSUING_MQTT", "DPS_TEST_ISSUING_WSS"};
    dps_client_config config = begin(ID);
    config.transport = transport;
    config.endpoint = env(endpoints[transport]);
    config.ca_file = env("DPS_TEST_ISSUING_CA_FILE");
    config.clock = device_clock;
    return config;
}

static dps_identity_store *open_store(const char *directory)
{
    dps_identity_store *store = NULL;
    dps_error *error = NULL;
    mkdir(path_of(directory, ""), 0700);
    is_ok(dps_identity_store_open(dps_span_of(path_of(directory, "")), DPS_SPAN(ID), &store, &error), &error);
    return store;
}

static dps_issued_identity *load(dps_identity_store *store)
{
    dps_issued_identity *identity = NULL;
    dps_error *error = NULL;
    is_ok(dps_identity_store_load(store, &identity, &error), &error);
    return identity;
}

static dps_operational_key *generate(dps_key_algorithm algorithm)
{
    dps_operational_key *key = NULL;
    dps_error *error = NULL;
    is_ok(dps_operational_key_generate(algorithm, &key, &error), &error);
    return key;
}

/* A request for the key, in memory of its own. */
static dps_span request_of(const dps_operational_key *key)
{
    static unsigned char request[DPS_OPERATIONAL_REQUEST_SIZE];
    size_t length = 0;
    dps_error *error = NULL;
    is_ok(dps_operational_key_write_request(key, DPS_SPAN(ID), DPS_BUFFER(request), &length, &error), &error);
    return (dps_span){(const char *)request, length};
}

/* Accepts what was issued, and stores it unless the store is null. */
static dps_issued_identity *keep(dps_identity_store *store, const dps_operational_key *key, const dps_certificate_chain *chain)
{
    dps_issued_identity *identity = NULL;
    dps_error *error = NULL;
    is_ok(dps_issued_identity_accept(key, chain, DPS_SPAN(ID), now_unix_s, &identity, &error), &error);
    if (store != NULL) {
        is_ok(dps_identity_store_save(store, identity, &error), &error);
    }
    return identity;
}

/* Registers with the bootstrap credential and a request for a new key. */
static dps_issued_identity *provision(dps_identity_store *store, dps_transport transport)
{
    dps_operational_key *const key = generate(DPS_KEY_ALGORITHM_EC_P256);
    dps_client_config config = device(transport);
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    config.device_key = dps_span_of(DEVICE_KEY);
    config.certificate_request = request_of(key);
    is_ok(dps_client_register(&config, &assignment, &error), &error);
    CHECK(strcmp(dps_assignment_hub(assignment), "hub-a.test") == 0);
    dps_issued_identity *const identity = keep(store, key, dps_assignment_issued_chain(assignment));
    dps_assignment_free(assignment);
    dps_operational_key_free(key);
    return identity;
}

static dps_hub_renewal renewal_of(dps_span request, dps_transport transport)
{
    dps_hub_renewal renewal;
    RETURNS(DPS_OK, dps_hub_renewal_default(&renewal));
    renewal.hub = DPS_SPAN("hub-a.test");
    renewal.device_id = DPS_SPAN(ID);
    renewal.certificate_request = request;
    renewal.address = DPS_SPAN("127.0.0.1");
    const char *const endpoint = getenv(transport == DPS_TRANSPORT_MQTT_WEBSOCKET ? "DPS_TEST_ISSUING_WSS" : "DPS_TEST_ISSUING_MQTT");
    renewal.port = (uint16_t)atoi(strrchr(endpoint, ':') + 1);
    return renewal;
}

/* Renews at the hub, with the identity that there is. */
static dps_issued_identity *renew(dps_identity_store *store, const dps_issued_identity *old, dps_transport transport)
{
    dps_operational_key *const key = generate(DPS_KEY_ALGORITHM_EC_P384);
    const dps_hub_renewal renewal = renewal_of(request_of(key), transport);
    dps_client_config config = device(transport);
    dps_certificate_chain *chain = NULL;
    dps_error *error = NULL;
    config.issued_identity = old;
    is_ok(dps_client_renew_at_hub(&config, &renewal, &chain, &error), &error);
    CHECK(dps_certificate_chain_certificate(chain, 2).len > 0 && dps_certificate_chain_certificate(chain, 3).len == 0);
    dps_issued_identity *const identity = keep(store, key, chain);
    dps_certificate_chain_free(chain);
    dps_operational_key_free(key);
    return identity;
}

static bool is_same(const dps_issued_identity *one, const dps_issued_identity *other)
{
    const dps_span first = dps_issued_identity_certificate(one, 0), second = dps_issued_identity_certificate(other, 0);
    return first.len > 0 && first.len == second.len && memcmp(first.ptr, second.ptr, first.len) == 0;
}

static void identity_is_used_renewed_at_the_hub_and_recovered_with_the_bootstrap_credential(void)
{
    dps_identity_store *const store = open_store("life"), *const store_of_old = open_store("life-old");
    dps_error *error = NULL;
    CHECK(load(store) == NULL);
    dps_issued_identity *const first = provision(store, DPS_TRANSPORT_HTTPS);
    is_ok(dps_identity_store_save(store_of_old, first, &error), &error);
    CHECK(dps_issued_identity_state(first, now_unix_s) == DPS_ISSUED_STATE_VALID);
    CHECK(strcmp(dps_issued_identity_registration_id(first), ID) == 0);
    CHECK(sign_in("life", "chain.pem", "key.pem") == 0);

    /* 80 % of its life. */
    pass(24 * DAY);
    dps_issued_identity *const due = load(store);
    CHECK(is_same(due, first) && dps_issued_identity_renew_at(due) == dps_issued_identity_renew_at(first));
    CHECK(dps_issued_identity_state(due, now_unix_s) == DPS_ISSUED_STATE_RENEWAL_DUE);
    dps_issued_identity *const second = renew(store, due, DPS_TRANSPORT_MQTT);
    CHECK(dps_issued_identity_state(second, now_unix_s) == DPS_ISSUED_STATE_VALID && !is_same(second, first));
    CHECK(sign_in("life", "identity.pem", "identity.pem") == 0);
    /* The old one is valid until it expires. */
    CHECK(sign_in("life-old", "identity.pem", "identity.pem") == 0);

    pass(7 * DAY);
    CHECK(dps_issued_identity_state(first, now_unix_s) == DPS_ISSUED_STATE_EXPIRED);
    CHECK(sign_in("life-old", "identity.pem", "identity.pem") == 5);
    CHECK(sign_in("life", "identity.pem", "identity.pem") == 0);
    dps_client_config config = device(DPS_TRANSPORT_HTTPS);
    config.issued_identity = first;
    dps_error_free(ends(DPS_ERROR_CLIENT_CERTIFICATE_EXPIRED, &config));

    is_ok(dps_identity_store_clear(store, &error), &error);
    CHECK(load(store) == NULL);
    dps_issued_identity *const third = provision(store, DPS_TRANSPORT_MQTT);
    CHECK(sign_in("life", "identity.pem", "identity.pem") == 0);
    dps_issued_identity *const stored = load(store);
    CHECK(is_same(stored, third));
    dps_issued_identity *const all[] = {first, due, second, third, stored};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dps_issued_identity_free(all[i]);
    dps_identity_store_free(store);
    dps_identity_store_free(store_of_old);
}

static void chain_is_issued_over_every_transport_and_only_for_a_request(void)
{
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        dps_issued_identity *const identity = provision(NULL, transport);
        CHECK(dps_issued_identity_certificate(identity, 2).len > 0);
        CHECK(dps_issued_identity_certificate(identity, 3).len == 0);
        CHECK(dps_issued_identity_not_before(identity) < now_unix_s);
        CHECK(dps_issued_identity_not_after(identity) > now_unix_s + 29 * DAY);
        dps_issued_identity_free(identity);
        dps_client_config config = device(transport);
        dps_assignment *assignment = NULL;
        config.device_key = dps_span_of(DEVICE_KEY);
        RETURNS(DPS_OK, dps_client_register(&config, &assignment, NULL));
        CHECK(dps_assignment_issued_chain(assignment) == NULL);
        dps_assignment_free(assignment);
    }
}

static void request_without_a_policy_or_in_a_lookup_is_refused(void)
{
    dps_operational_key *const key = generate(DPS_KEY_ALGORITHM_EC_P384);
    dps_client_config config = begin(DEVICE);
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    config.device_key = dps_span_of(DEVICE_KEY);
    config.certificate_request = request_of(key);
    const dps_result refused = dps_client_register(&config, &assignment, &error);
    is_refused(DPS_ERROR_BAD_REQUEST, "400000", refused, &error);
    const dps_result looked_up = dps_client_lookup(&config, &assignment, &error);
    is_refused(DPS_ERROR_MISUSE, "certificate request", looked_up, &error);
    CHECK(assignment == NULL);
    dps_operational_key_free(key);
}

static void renewal_works_over_websocket_and_its_refusals_have_a_code(void)
{
    dps_issued_identity *const old = provision(NULL, DPS_TRANSPORT_HTTPS);
    dps_issued_identity_free(renew(NULL, old, DPS_TRANSPORT_MQTT_WEBSOCKET));
    dps_hub_renewal renewal = renewal_of(DPS_SPAN("no request"), DPS_TRANSPORT_MQTT);
    dps_client_config config = device(DPS_TRANSPORT_MQTT);
    dps_certificate_chain *chain = NULL;
    dps_error *error = NULL;
    dps_failure failure;
    config.issued_identity = old;
    RETURNS(DPS_ERROR_BAD_REQUEST, dps_client_renew_at_hub(&config, &renewal, &chain, &error));
    RETURNS(DPS_OK, dps_error_failure(error, &failure));
    CHECK(failure.http_status == 400 && failure.service_code == 400040 && failure.tracking_id.len > 0);
    dps_error_free(error);

    renewal.connection_profile = DPS_SPAN("mqttV5");
    dps_result refused = dps_client_renew_at_hub(&config, &renewal, &chain, &error);
    is_refused(DPS_ERROR_UNSUPPORTED_PROFILE, "mqttV5", refused, &error);
    renewal.connection_profile = DPS_SPAN("classic");
    renewal.address = DPS_SPAN("localhost");
    refused = dps_client_renew_at_hub(&config, &renewal, &chain, &error);
    is_refused(DPS_ERROR_INVALID_OPTION, "address", refused, &error);
    renewal.hub = NO_SPAN(0);
    refused = dps_client_renew_at_hub(&config, &renewal, &chain, &error);
    is_refused(DPS_ERROR_INVALID_ARGUMENT, "hub is empty", refused, &error);
    config.device_key = dps_span_of(DEVICE_KEY);
    refused = dps_client_renew_at_hub(&config, &renewal, &chain, &error);
    is_refused(DPS_ERROR_INVALID_OPTION, "", refused, &error);
    CHECK(chain == NULL);
    dps_issued_identity_free(old);
}

/* Cancels the call that logs, once it has begun. */
static void cancel_what_begins(void *token, uint32_t level, const char *target, const char *message)
{
    (void)level, (void)target, (void)message;
    dps_cancel_token_cancel(token);
}

static void silent_hub_ends_in_timeout_and_cancel_token_ends_a_renewal(void)
{
    dps_operational_key *const key = generate(DPS_KEY_ALGORITHM_EC_P256);
    dps_hub_renewal renewal = renewal_of(request_of(key), DPS_TRANSPORT_MQTT);
    dps_client_config config = device(DPS_TRANSPORT_MQTT);
    dps_cancel_token *const token = dps_cancel_token_new();
    dps_certificate_chain *chain = NULL;
    dps_error *error = NULL;
    config.device_key = dps_span_of(DEVICE_KEY);
    config.timeout_ms = 300;
    renewal.port = (uint16_t)atoi(strrchr(getenv("DPS_TEST_SILENT"), ':') + 1);
    const dps_result ended = dps_client_renew_at_hub(&config, &renewal, &chain, &error);
    is_refused(DPS_ERROR_TIMEOUT, "", ended, &error);
    config.timeout_ms = 3600000;
    config.cancel = token;
    config.log = cancel_what_begins;
    config.log_context = token;
    const dps_result cancelled = dps_client_renew_at_hub(&config, &renewal, &chain, &error);
    is_refused(DPS_ERROR_CANCELLED, "", cancelled, &error);
    CHECK(chain == NULL);
    dps_cancel_token_free(token);
    dps_operational_key_free(key);
}

static void chain_for_another_key_id_or_time_is_refused(void)
{
    dps_operational_key *const key = generate(DPS_KEY_ALGORITHM_EC_P256), *const other = generate(DPS_KEY_ALGORITHM_EC_P256);
    dps_client_config config = device(DPS_TRANSPORT_HTTPS);
    dps_assignment *assignment = NULL;
    dps_issued_identity *identity = NULL;
    dps_error *error = NULL;
    config.device_key = dps_span_of(DEVICE_KEY);
    config.certificate_request = request_of(key);
    RETURNS(DPS_OK, dps_client_register(&config, &assignment, NULL));
    const dps_certificate_chain *const chain = dps_assignment_issued_chain(assignment);
    dps_result refused = dps_issued_identity_accept(other, chain, DPS_SPAN(ID), now_unix_s, &identity, &error);
    is_refused(DPS_ERROR_CLIENT_KEY_MISMATCH, "", refused, &error);
    refused = dps_issued_identity_accept(key, chain, DPS_SPAN("dev-02"), now_unix_s, &identity, &error);
    is_refused(DPS_ERROR_COMMON_NAME_MISMATCH, "dev-02", refused, &error);
    refused = dps_issued_identity_accept(key, chain, DPS_SPAN(ID), now_unix_s + 31 * DAY, &identity, &error);
    is_refused(DPS_ERROR_CLIENT_CERTIFICATE_EXPIRED, "", refused, &error);
    CHECK(identity == NULL);
    /* Without the time, that is not checked. */
    is_ok(dps_issued_identity_accept(key, chain, DPS_SPAN(ID), 0, &identity, &error), &error);
    CHECK(dps_issued_identity_state(identity, 1) == DPS_ISSUED_STATE_NOT_YET_VALID);
    CHECK(dps_issued_identity_state(identity, UINT64_MAX) == DPS_ISSUED_STATE_EXPIRED);
    dps_issued_identity_free(identity);
    dps_assignment_free(assignment);
    dps_operational_key_free(key);
    dps_operational_key_free(other);
}

static void directory_is_locked_and_damage_is_set_aside(void)
{
    dps_identity_store *const store = open_store("store"), *second = NULL;
    dps_issued_identity *const identity = provision(store, DPS_TRANSPORT_HTTPS);
    dps_operational_key *key = NULL;
    dps_error *error = NULL;
    const dps_span directory = dps_span_of(path_of("store", ""));
    const dps_result locked = dps_identity_store_open(directory, NO_SPAN(0), &second, &error);
    is_refused(DPS_ERROR_FILE, "store", locked, &error);
    is_ok(dps_operational_key_from_file(dps_span_of(path_of("store", "key.pem")), &key, &error), &error);
    dps_operational_key_free(key);
    FILE *const file = fopen(path_of("store", "identity.pem"), "w");
    CHECK(file != NULL && fputs("nothing", file) >= 0 && fclose(file) == 0);
    CHECK(load(store) == NULL);
    CHECK(strstr(dps_identity_store_set_aside(store), "identity.pem.corrupt: ") != NULL);
    CHECK(load(store) == NULL && *dps_identity_store_set_aside(store) == 0);
    dps_identity_store_free(store);

    const dps_result opened = dps_identity_store_open(directory, DPS_SPAN("dev-02"), &second, NULL);
    CHECK(opened == DPS_OK);
    const dps_result other = dps_identity_store_save(second, identity, &error);
    is_refused(DPS_ERROR_COMMON_NAME_MISMATCH, "dev-02", other, &error);
    dps_identity_store_free(second);
    dps_issued_identity_free(identity);
}

static void null_pointers_and_small_buffers_are_refused(void)
{
    dps_operational_key *const key = generate(DPS_KEY_ALGORITHM_EC_P256), *none = NULL;
    dps_identity_store *store = NULL;
    dps_issued_identity *identity = NULL;
    dps_certificate_chain *chain = NULL;
    dps_error *error = NULL;
    unsigned char small[16];
    size_t length = 0;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_operational_key_generate(DPS_KEY_ALGORITHM_EC_P256, NULL, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_operational_key_write_request(NULL, DPS_SPAN(ID), DPS_BUFFER(small), &length, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_operational_key_write_request(key, DPS_SPAN(ID), NO_BUFFER(16), &length, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_operational_key_write_request(key, DPS_SPAN(ID), DPS_BUFFER(small), NULL, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_issued_identity_accept(NULL, NULL, DPS_SPAN(ID), 0, &identity, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_issued_identity_accept(key, NULL, DPS_SPAN(ID), 0, &identity, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_identity_store_open(DPS_SPAN("x"), NO_SPAN(0), NULL, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_identity_store_load(NULL, &identity, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_identity_store_save(NULL, NULL, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_identity_store_clear(NULL, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_renew_at_hub(NULL, NULL, &chain, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_hub_renewal_default(NULL));
    CHECK(error == NULL && identity == NULL && store == NULL && chain == NULL);
    CHECK(dps_issued_identity_state(NULL, 1) == DPS_ISSUED_STATE_NONE && dps_issued_identity_renew_at(NULL) == 0);
    CHECK(dps_issued_identity_not_before(NULL) == 0 && dps_issued_identity_not_after(NULL) == 0);
    CHECK(dps_issued_identity_certificate(NULL, 0).len == 0 && dps_certificate_chain_certificate(NULL, 0).len == 0);
    CHECK(*dps_issued_identity_registration_id(NULL) == 0 && *dps_identity_store_set_aside(NULL) == 0);
    CHECK(dps_assignment_issued_chain(NULL) == NULL);
    dps_operational_key_free(NULL);
    dps_certificate_chain_free(NULL);
    dps_issued_identity_free(NULL);
    dps_identity_store_free(NULL);

    is_refused(DPS_ERROR_INVALID_OPTION, "algorithm 9", dps_operational_key_generate(9, &none, &error), &error);
    is_refused(DPS_ERROR_INVALID_CLIENT_KEY, "", dps_operational_key_from_pem(DPS_SPAN("nothing"), &none, &error), &error);
    is_refused(DPS_ERROR_FILE, "no/such", dps_operational_key_from_file(DPS_SPAN("no/such"), &none, &error), &error);
    is_refused(DPS_ERROR_INVALID_ARGUMENT, "path is empty", dps_operational_key_from_file(NO_SPAN(0), &none, &error), &error);
    is_refused(DPS_ERROR_FILE, "no/such", dps_identity_store_open(DPS_SPAN("no/such"), NO_SPAN(0), &store, &error), &error);
    memset(small, UNTOUCHED, sizeof small);
    const dps_result too_small = dps_operational_key_write_request(key, DPS_SPAN(ID), DPS_BUFFER(small), &length, &error);
    is_refused(DPS_ERROR_STORAGE_TOO_SMALL, "bytes", too_small, &error);
    CHECK(length > sizeof small && length < DPS_OPERATIONAL_REQUEST_SIZE && is_untouched(small, sizeof small));
    CHECK(none == NULL && store == NULL);
    dps_operational_key_free(key);
}

void issued(void)
{
    pass(0);
    identity_is_used_renewed_at_the_hub_and_recovered_with_the_bootstrap_credential();
    chain_is_issued_over_every_transport_and_only_for_a_request();
    request_without_a_policy_or_in_a_lookup_is_refused();
    renewal_works_over_websocket_and_its_refusals_have_a_code();
    silent_hub_ends_in_timeout_and_cancel_token_ends_a_renewal();
    chain_for_another_key_id_or_time_is_refused();
    directory_is_locked_and_damage_is_set_aside();
    null_pointers_and_small_buffers_are_refused();
}
