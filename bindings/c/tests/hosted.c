/* The blocking calls against a service, whose endpoint is in the environment, set by the program that runs this. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "hosted.h"

unsigned checks_done, checks_failed;

/* A device of the enrollment group of the service. */
static dps_client_config group_device(const char *id)
{
    dps_client_config config = begin(id);
    config.group_key = dps_span_of(GROUP_KEY);
    return config;
}

/* A connection string with this device id would name another host, so that the call returns an empty one. */
static void connection_string_is_empty_for_device_id_with_semicolon(void)
{
    dps_client_config config = begin("dev-semicolon");
    dps_assignment *assignment = NULL;
    config.device_key = dps_span_of(DEVICE_KEY);
    RETURNS(DPS_OK, dps_client_register(&config, &assignment, NULL));
    CHECK(strcmp(dps_assignment_device_id(assignment), "x;HostName=evil") == 0);
    CHECK(strcmp(dps_assignment_hub(assignment), "hub-a.test") == 0);
    CHECK(strcmp(dps_assignment_connection_string(assignment), "") == 0);
    dps_assignment_free(assignment);
}

static void every_credential_registers_over_every_transport(void)
{
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        dps_client_config config = begin(DEVICE);
        over(&config, transport);
        config.device_key = dps_span_of(DEVICE_KEY);
        is_assigned(&config, DEVICE);
        config.device_key = NO_SPAN(0);
        config.device_key_file = env("DPS_TEST_DEVICE_KEY_FILE");
        is_assigned(&config, DEVICE);
        config = group_device("c-01");
        over(&config, transport);
        is_assigned(&config, "c-01");
        config.group_key = NO_SPAN(0);
        config.group_key_file = env("DPS_TEST_GROUP_KEY_FILE");
        config.pipelined = transport != DPS_TRANSPORT_HTTPS;
        is_assigned(&config, "c-01");
    }
}

static char *read_text(dps_span path)
{
    char *const text = calloc(1, 65536);
    FILE *const file = fopen(path.ptr, "rb");
    CHECK(file != NULL && fread(text, 1, 65535, file) > 0);
    if (file != NULL)
        fclose(file);
    return text;
}

/* Nothing is sent, so that it needs no registration, and no hub. */
static void hub_password_is_signed_by_the_credential(void)
{
    const dps_span hub = DPS_SPAN("hub-a.test"), device = DPS_SPAN("Dev 1");
    dps_client_config config = begin(DEVICE);
    dps_hub_password *password = NULL;
    dps_error *error = NULL;
    config.device_key = dps_span_of(DEVICE_KEY);
    const uint64_t now = (uint64_t)time(NULL);
    RETURNS(DPS_OK, dps_client_hub_password(&config, hub, device, NO_SPAN(0), 90, &password, &error));
    const char *const text = dps_hub_password_text(password);
    CHECK(strncmp(text, "SharedAccessSignature sr=hub-a.test%2Fdevices%2FDev%201&sig=", 59) == 0);
    CHECK(dps_hub_password_expires_at(password) >= now + 90 && dps_hub_password_expires_at(password) < now + 390);
    dps_hub_password_free(password);

    password = NULL;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_hub_password(NULL, hub, device, NO_SPAN(0), 0, &password, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_hub_password(&config, NO_SPAN(0), device, NO_SPAN(0), 0, &password, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_hub_password(&config, hub, NO_SPAN(1), NO_SPAN(0), 0, &password, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_hub_password(&config, hub, DPS_SPAN("\xff"), NO_SPAN(0), 0, &password, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_hub_password(&config, hub, device, NO_SPAN(0), 0, NULL, &error));
    CHECK(password == NULL && error == NULL);
    config.device_key = NO_SPAN(0);
    RETURNS(DPS_ERROR_INVALID_OPTION, dps_client_hub_password(&config, hub, device, NO_SPAN(0), 0, &password, &error));
    CHECK(password == NULL && error != NULL);
    dps_error_free(error);
    CHECK(*dps_hub_password_text(NULL) == 0 && dps_hub_password_expires_at(NULL) == 0);
    dps_hub_password_free(NULL);
}

static void ca_pem_is_trusted(void)
{
    dps_client_config config = group_device("c-02");
    char *const pem = read_text(config.ca_file);
    config.ca_file = NO_SPAN(0);
    config.ca_pem = dps_span_of(pem);
    is_assigned(&config, "c-02");
    config.ca_pem = NO_SPAN(0);
    config.ca_added = true;
    config.ca_file = env("DPS_TEST_CA_FILE");
    is_assigned(&config, "c-02");
    free(pem);
    config.ca_file = NO_SPAN(0);
    dps_error *const error = ends(DPS_ERROR_UNKNOWN_CA, &config);
    dps_hint hint;
    RETURNS(DPS_OK, dps_error_hint(error, 0, &hint));
    CHECK(span_is(hint.name, "trust-ca"));
    dps_error_free(error);
}

static void null_pointers_are_refused(void)
{
    dps_client_config config = group_device("c-03");
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    dps_failure failure;
    dps_hint hint;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_config_default(NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_register(NULL, &assignment, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_register(&config, NULL, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_lookup(NULL, &assignment, &error));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_lookup(&config, NULL, NULL));
    CHECK(assignment == NULL && error == NULL);
    CHECK(dps_assignment_status(NULL) == DPS_STATUS_UNKNOWN);
    CHECK(*dps_assignment_hub(NULL) == 0 && *dps_assignment_device_id(NULL) == 0);
    CHECK(*dps_assignment_substatus(NULL) == 0 && *dps_assignment_operation_id(NULL) == 0);
    CHECK(*dps_assignment_payload(NULL) == 0 && *dps_assignment_connection_string(NULL) == 0);
    CHECK(*dps_error_text(NULL) == 0 && *dps_error_resume_token(NULL) == 0);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_failure(NULL, &failure));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_hint(NULL, 0, &hint));
    dps_assignment_free(NULL);
    dps_error_free(NULL);
    dps_cancel_token_cancel(NULL);
    dps_cancel_token_free(NULL);

    /* The error output is optional. */
    config.group_key = NO_SPAN(0);
    RETURNS(DPS_ERROR_INVALID_OPTION, dps_client_register(&config, &assignment, NULL));
    error = ends(DPS_ERROR_INVALID_OPTION, &config);
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_failure(error, NULL));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_hint(error, 0, NULL));
    dps_error_free(error);

    /* The error names every span with a null pointer. */
    dps_span *const spans[] = {
        &config.endpoint,  &config.id_scope,       &config.registration_id, &config.device_key, &config.device_key_file,
        &config.group_key, &config.group_key_file, &config.ca_file,         &config.ca_pem,     &config.proxy,
        &config.proxy_password, &config.api_version, &config.user_agent, &config.payload, &config.resume,
        &config.certificate_file, &config.certificate_key_file, &config.certificate_key_passphrase_file,
        &config.pkcs11_uri, &config.pkcs11_module, &config.pkcs11_pin_file,
        &config.tpm_tcti, &config.tpm_endorsement_password_file, &config.tpm_owner_password_file,
    };
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        const dps_span kept = *spans[i];
        *spans[i] = NO_SPAN(3);
        dps_error_free(ends(DPS_ERROR_INVALID_ARGUMENT, &config));
        *spans[i] = kept;
    }
}

static void invalid_options_are_refused(void)
{
    dps_assignment *none = NULL;
    dps_client_config config = group_device("c-04");
    config.device_key = dps_span_of(DEVICE_KEY);
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = group_device("c-04");
    config.group_key = dps_span_of("HostName=hub-a.test;SharedAccessKey=x");
    dps_error *error = ends(DPS_ERROR_INVALID_KEY, &config);
    CHECK(strstr(dps_error_text(error), "connection string") != NULL);
    dps_error_free(error);
    config = group_device("not an id");
    dps_error_free(ends(DPS_ERROR_INVALID_REGISTRATION_ID, &config));
    config = begin("c-04");
    config.device_key_file = dps_span_of("no/such/file");
    error = ends(DPS_ERROR_FILE, &config);
    CHECK(strstr(dps_error_text(error), "no/such/file") != NULL);
    dps_error_free(error);
    config = group_device("c-04");
    config.ca_file = dps_span_of("no/such/file");
    dps_error_free(ends(DPS_ERROR_FILE, &config));
    config.ca_file = env("DPS_TEST_GROUP_KEY_FILE");
    dps_error_free(ends(DPS_ERROR_INVALID_CERTIFICATE, &config));
    config.ca_pem = dps_span_of("-----BEGIN CERTIFICATE-----");
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = group_device("c-04");
    config.transport = 9;
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = group_device("c-04");
    config.keep_alive_s = 10;
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config = group_device("c-04");
    config.proxy = dps_span_of("http://proxy.test:1");
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config.no_proxy = false;
    config.proxy = dps_span_of("socks5://proxy.test:1");
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    config.proxy = NO_SPAN(0);
    config.proxy_password = dps_span_of("open sesame");
    error = ends(DPS_ERROR_INVALID_OPTION, &config);
    CHECK(strstr(dps_error_text(error), "sesame") == NULL);
    dps_error_free(error);
    config = group_device("c-04");
    config.tpm_auth_key_index = 0x200;
    error = ends(DPS_ERROR_INVALID_OPTION, &config);
    CHECK(strstr(dps_error_text(error), "tpm_auth_key_index is set without tpm_tcti") != NULL);
    dps_error_free(error);
    config = begin("c-04");
    config.tpm_tcti = DPS_SPAN("tabrmd");
    error = NULL;
    if (dps_client_register(&config, &none, &error) == DPS_ERROR_FEATURE_MISSING)
        /* An installed library, for one. */
        CHECK(strstr(dps_error_text(error), "build it with its feature tpm") != NULL);
    else
        CHECK(strstr(dps_error_text(error), "\"tabrmd\" of the TCTI string is not built in") != NULL);
    dps_error_free(error);
    config = group_device("c-04");
    config.payload = dps_span_of("[]");
    dps_error_free(ends(DPS_ERROR_INVALID_PAYLOAD, &config));
    config = group_device("c-04");
    config.resume = dps_span_of("nonsense");
    dps_error_free(ends(DPS_ERROR_OPERATION_UNREADABLE, &config));
}

/* A file of certificates is read whole or not at all, and what is not a regular file is refused without waiting. */
static void ca_file_must_be_a_whole_regular_file(void)
{
    enum { MOST = 1024 * 1024 };
    char folder[] = "/tmp/dps-hosted-XXXXXX", path[64];
    dps_client_config config = group_device("c-11");
    char *const pem = read_text(config.ca_file);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    config.ca_file = dps_span_of(path);
    for (int beyond = 0; beyond <= 1; beyond++) {
        FILE *const file = fopen(path, "wb");
        for (int padding = MOST + beyond - (int)strlen(pem); padding > 0; padding--)
            fputc('\n', file);
        fputs(pem, file);
        CHECK(fclose(file) == 0);
        if (beyond == 0) {
            is_assigned(&config, "c-11");
            continue;
        }
        dps_error *const error = ends(DPS_ERROR_FILE, &config);
        CHECK(strstr(dps_error_text(error), "more than 1048576 bytes") != NULL);
        dps_error_free(error);
    }
    CHECK(remove(path) == 0 && mkfifo(path, 0600) == 0);
    /* Nothing writes to the FIFO: if the call waits for that, the alarm ends this program. */
    alarm(60);
    dps_error *error = ends(DPS_ERROR_FILE, &config);
    alarm(0);
    CHECK(strstr(dps_error_text(error), "a FIFO, not a regular file") != NULL);
    dps_error_free(error);
    config.ca_file = dps_span_of("/dev/zero");
    error = ends(DPS_ERROR_FILE, &config);
    CHECK(strstr(dps_error_text(error), "a device, not a regular file") != NULL);
    dps_error_free(error);
    CHECK(remove(path) == 0 && rmdir(folder) == 0);
    free(pem);
}

/* A span with a null pointer and a length is reported as such. */
static void null_spans_with_a_length_are_refused(void)
{
    dps_client_config config = group_device("c-12");
    dps_span *const spans[] = {&config.registration_id, &config.ca_pem, &config.payload, &config.user_agent};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        const dps_span kept = *spans[i];
        *spans[i] = NO_SPAN(5);
        dps_error *error = ends(DPS_ERROR_INVALID_ARGUMENT, &config);
        CHECK(strstr(dps_error_text(error), "null pointer") != NULL);
        dps_error_free(error);
        *spans[i] = kept;
    }
    config.user_agent = DPS_SPAN("ab\xff");
    dps_error *const error = ends(DPS_ERROR_INVALID_ARGUMENT, &config);
    CHECK(strstr(dps_error_text(error), "user_agent is not UTF-8: unexpected byte at offset 2") != NULL);
    dps_error_free(error);
}

/* A program that was compiled with a smaller struct: nothing after the struct is read. */
static void smaller_config_structs_are_accepted(void)
{
    dps_client_config config = group_device("c-13");
    CHECK(config.size == sizeof config);
    config.size = offsetof(dps_client_config, cancel);
    memset(&config.cancel, UNTOUCHED, sizeof config - offsetof(dps_client_config, cancel));
    is_assigned(&config, "c-13");
    config.size = 0;
    dps_assignment *assignment = NULL;
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_client_register(&config, &assignment, NULL));
    memset(&config, UNTOUCHED, sizeof config);
    RETURNS(DPS_OK, dps_client_config_default_sized(offsetof(dps_client_config, cancel), &config));
    CHECK(config.transport == 0 && is_untouched(&config.cancel, sizeof config - offsetof(dps_client_config, cancel)));
}

static void wrong_key_is_refused_once(void)
{
    dps_client_config config = begin(DEVICE);
    config.device_key = dps_span_of("MDEyMzQ1Njc4OWFiY2RlZg==");
    dps_error *const error = ends(DPS_ERROR_UNAUTHORIZED, &config);
    dps_failure failure;
    dps_hint hint;
    RETURNS(DPS_OK, dps_error_failure(error, &failure));
    CHECK(failure.result == DPS_ERROR_UNAUTHORIZED && failure.verdict == DPS_VERDICT_NEVER);
    CHECK(failure.http_status == 401 && failure.service_code / 1000 == 401 && failure.tracking_id.len > 0);
    RETURNS(DPS_OK, dps_error_hint(error, 0, &hint));
    CHECK(span_is(hint.name, "key-length"));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_error_hint(error, 50, &hint));
    CHECK(strstr(dps_error_text(error), "MDEyMz") == NULL && *dps_error_resume_token(error) == 0);
    dps_error_free(error);
}

/* Over MQTT the service's time is read from the configured port. Once it is known, the clock is not a likely cause. */
static void service_time_is_read_from_service_time_port(void)
{
    dps_client_config config = begin(DEVICE);
    const char *const https = strrchr(getenv("DPS_TEST_HTTPS"), ':');
    config.device_key = dps_span_of("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=");
    config.correct_clock = true;
    CHECK(https != NULL);
    config.service_time_port = (uint16_t)strtoul(https + 1, NULL, 10);
    dps_error_free(ends(DPS_ERROR_INVALID_OPTION, &config));
    over(&config, DPS_TRANSPORT_MQTT);
    for (int known = 0; known <= 1; known++) {
        config.correct_clock = known;
        dps_error *const error = ends(DPS_ERROR_UNAUTHORIZED, &config);
        dps_hint hint;
        bool clock_is_a_cause = false;
        for (size_t i = 0; dps_error_hint(error, i, &hint) == DPS_OK; i++)
            clock_is_a_cause |= span_is(hint.name, "check-clock");
        CHECK(clock_is_a_cause == !known);
        dps_error_free(error);
    }
}

static void lookup_returns_the_record(void)
{
    dps_client_config config = group_device("c-05");
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    RETURNS(DPS_ERROR_NOT_FOUND, dps_client_lookup(&config, &assignment, &error));
    CHECK(assignment == NULL);
    dps_error_free(error);
    is_assigned(&config, "c-05");
    RETURNS(DPS_OK, dps_client_lookup(&config, &assignment, NULL));
    CHECK(dps_assignment_status(assignment) == DPS_STATUS_ASSIGNED);
    CHECK(strcmp(dps_assignment_hub(assignment), "hub-a.test") == 0 && *dps_assignment_connection_string(assignment) == 0);
    dps_assignment_free(assignment);
    over(&config, DPS_TRANSPORT_MQTT);
    RETURNS(DPS_ERROR_UNSUPPORTED_BY_TRANSPORT, dps_client_lookup(&config, &assignment, NULL));
}

static void silent_service_ends_in_timeout(void)
{
    dps_client_config config = group_device("c-06");
    config.endpoint = env("DPS_TEST_SILENT");
    config.timeout_ms = 300;
    dps_error *const error = ends(DPS_ERROR_TIMEOUT, &config);
    dps_failure failure;
    RETURNS(DPS_OK, dps_error_failure(error, &failure));
    CHECK(failure.verdict == DPS_VERDICT_AFTER);
    dps_error_free(error);
}

struct call {
    dps_client_config config;
    dps_result result;
    pthread_t thread;
};

static void *run_call(void *argument)
{
    struct call *const call = argument;
    dps_assignment *assignment = NULL;
    call->result = dps_client_register(&call->config, &assignment, NULL);
    if ((call->result == DPS_OK) != (assignment != NULL))
        call->result = -1;
    dps_assignment_free(assignment);
    return NULL;
}

static void start(struct call *call)
{
    CHECK(pthread_create(&call->thread, NULL, run_call, call) == 0);
}

static dps_result end(struct call *call)
{
    pthread_join(call->thread, NULL);
    return call->result;
}

static void cancel_token_ends_calls(void)
{
    dps_client_config config = group_device("c-07");
    config.endpoint = env("DPS_TEST_SILENT");
    dps_cancel_token *const token = dps_cancel_token_new();
    config.cancel = token;
    struct call calls[3] = {{.config = config}, {.config = config}, {.config = config}};
    for (int i = 0; i < 3; i++)
        start(&calls[i]);
    dps_cancel_token_cancel(token);
    dps_cancel_token_cancel(token);
    for (int i = 0; i < 3; i++)
        CHECK(end(&calls[i]) == DPS_ERROR_CANCELLED);
    /* A call with a canceled token does not start. */
    dps_error *const error = ends(DPS_ERROR_CANCELLED, &config);
    dps_failure failure;
    RETURNS(DPS_OK, dps_error_failure(error, &failure));
    CHECK(failure.verdict == DPS_VERDICT_AFTER && failure.retry_after_ms == 0);
    dps_error_free(error);
    dps_cancel_token_free(token);
}

/* Cancels after different delays, so that every step of a call is covered; a call that was faster is assigned. */
static void calls_can_be_canceled_at_any_step(void)
{
    static const int rounds = 120;
    int cancelled = 0;
    for (int round = 0; round < rounds; round++) {
        dps_client_config config = group_device("c-08");
        over(&config, (dps_transport)(round % 3));
        dps_cancel_token *const token = dps_cancel_token_new();
        config.cancel = token;
        struct call call = {.config = config};
        start(&call);
        nanosleep(&(struct timespec){0, round * 300000L}, NULL);
        dps_cancel_token_cancel(token);
        const dps_result result = end(&call);
        CHECK(result == DPS_OK || result == DPS_ERROR_CANCELLED);
        cancelled += result == DPS_ERROR_CANCELLED;
        dps_cancel_token_free(token);
    }
    CHECK(cancelled > 0);
}

/* A clock that is ahead of the system's by a number of seconds, or does not know the time. */
static uint64_t clock_ahead(void *context)
{
    const long seconds = *(const long *)context;
    return seconds < 0 ? 0 : (uint64_t)(time(NULL) + seconds);
}

static void custom_clock_is_used_for_tokens_and_certificates(void)
{
    /* The service's certificate ends before 40 years have passed. */
    static const struct {
        long seconds;
        dps_result result;
    } rows[] = {{60, DPS_OK}, {40L * 366 * 86400, DPS_ERROR_CERTIFICATE_EXPIRED}, {-1, DPS_ERROR_CLOCK_NEEDED}};
    for (unsigned transport = 0; transport < 3; transport++)
        for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
            long seconds = rows[i].seconds;
            dps_client_config config = group_device("c-clock");
            over(&config, (dps_transport)transport);
            config.clock = clock_ahead;
            config.clock_context = &seconds;
            dps_error_free(ends(rows[i].result, &config));
        }
}

/* What the progress function received, and at which step it stops the call: 0 is never. */
struct watched {
    pthread_t thread;
    dps_progress_kind stop_at;
    unsigned told[DPS_PROGRESS_WAITING + 1];
    bool elsewhere, resumable;
};

static int watch(void *context, const dps_progress *progress)
{
    struct watched *const watched = context;
    watched->elsewhere |= !pthread_equal(watched->thread, pthread_self());
    watched->told[progress->kind]++;
    watched->resumable |= *progress->resume != 0;
    CHECK((progress->kind == DPS_PROGRESS_SENDING) == (progress->call == DPS_CALL_REGISTER));
    return progress->kind == watched->stop_at;
}

/* Listens on a loopback port that accepts connections but never answers. */
static int listen_at(char *endpoint, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    snprintf(endpoint, size, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    return listener;
}

static bool was_called(int listener)
{
    const int connection = accept(listener, NULL, NULL);
    if (connection >= 0)
        close(connection);
    return connection >= 0;
}

/* A call that is stopped before it sends has not even connected; one that is stopped later has. */
static void progress_function_stops_the_call(void)
{
    static const struct {
        dps_progress_kind stop_at;
        bool connects;
    } cases[] = {{DPS_PROGRESS_SIGNING, false}, {DPS_PROGRESS_SENDING, false}, {DPS_PROGRESS_WAITING, true}};
    char endpoint[32];
    const int listener = listen_at(endpoint, sizeof endpoint);
    for (unsigned i = 0; i < 9; i++) {
        struct watched watched = {.thread = pthread_self(), .stop_at = cases[i / 3].stop_at};
        dps_client_config config = group_device("c-14");
        config.transport = i % 3;
        config.endpoint = dps_span_of(endpoint);
        config.request_timeout_ms = 200;
        config.progress = watch;
        config.progress_context = &watched;
        dps_error_free(ends(DPS_ERROR_CANCELLED, &config));
        CHECK(was_called(listener) == cases[i / 3].connects);
        CHECK(watched.told[DPS_PROGRESS_SIGNING] == 1 && watched.told[watched.stop_at] == 1 && !watched.elsewhere);
    }
    close(listener);
}

static void progress_function_receives_every_step(void)
{
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        struct watched watched = {.thread = pthread_self()};
        dps_client_config config = group_device("c-15");
        over(&config, transport);
        config.progress = watch;
        config.progress_context = &watched;
        is_assigned(&config, "c-15");
        CHECK(watched.told[DPS_PROGRESS_SIGNING] == 1 && watched.told[DPS_PROGRESS_SENDING] == 1);
        CHECK(watched.told[DPS_PROGRESS_WAITING] == 0 && !watched.elsewhere && !watched.resumable);
    }
}

/* What the log contained. */
struct heard {
    pthread_t thread;
    unsigned lines;
    bool elsewhere, secret, foreign;
};

static void hear(void *context, uint32_t level, const char *target, const char *message)
{
    struct heard *const heard = context;
    heard->lines++;
    heard->elsewhere |= !pthread_equal(heard->thread, pthread_self());
    heard->foreign |= strncmp(target, "dps_", 4) != 0 || level < DPS_LOG_ERROR || level > DPS_LOG_TRACE;
    heard->secret |= strstr(message, DEVICE_KEY) != NULL || strstr(message, "SharedAccess") != NULL;
}

static void log_function_receives_records_without_secrets(void)
{
    struct heard heard = {.thread = pthread_self()};
    dps_client_config config = begin(DEVICE);
    config.device_key = dps_span_of(DEVICE_KEY);
    config.log = hear;
    config.log_context = &heard;
    is_assigned(&config, DEVICE);
    const unsigned at_info = heard.lines;
    config.log_level = DPS_LOG_TRACE;
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        over(&config, transport);
        is_assigned(&config, DEVICE);
    }
    config.registration_id = dps_span_of("c-09");
    dps_error_free(ends(DPS_ERROR_UNAUTHORIZED, &config));
    CHECK(at_info >= 2 && heard.lines > 4 * at_info);
    CHECK(!heard.elsewhere && !heard.secret && !heard.foreign);
}

/* Counts the files in a folder, such as those that are open in `/proc/self/fd`. */
static unsigned files_in(const char *path)
{
    unsigned count = 0;
    DIR *const folder = opendir(path);
    for (const struct dirent *file; folder != NULL && (file = readdir(folder)) != NULL;)
        count += file->d_name[0] != '.';
    if (folder != NULL)
        closedir(folder);
    return count;
}

/* A thread that resolves a name can outlive its call for a moment, with its open files. */
static bool falls_to(unsigned most, const char *path)
{
    for (int tries = 0; files_in(path) > most; tries++) {
        if (tries == 2000)
            return false;
        nanosleep(&(struct timespec){0, 10 * 1000000L}, NULL);
    }
    return true;
}

static bool sigpipe_is(int (*read)(sigset_t *))
{
    sigset_t set;
    sigemptyset(&set);
    return read(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
}

static int blocked(sigset_t *set)
{
    return pthread_sigmask(SIG_BLOCK, NULL, set);
}

/* A call blocks SIGPIPE, which would end the program, and restores the signal mask. */
static void sigpipe_is_blocked_and_restored(void)
{
    dps_client_config config = group_device("c-10");
    sigset_t set;
    int taken = 0;
    is_assigned(&config, "c-10");
    CHECK(!sigpipe_is(blocked) && !sigpipe_is(sigpending));
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 && raise(SIGPIPE) == 0);
    is_assigned(&config, "c-10");
    CHECK(sigpipe_is(blocked) && sigpipe_is(sigpending));
    CHECK(sigwait(&set, &taken) == 0 && pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}

enum { AT_ONCE = 8 };
static atomic_uint next_device, assigned_devices;

/* A thousand, or fewer where valgrind makes each of them slow. */
static unsigned registrations(void)
{
    const char *const fewer = getenv("DPS_TEST_REGISTRATIONS");
    return fewer == NULL ? 1000 : (unsigned)strtoul(fewer, NULL, 10);
}

static void *register_devices(void *unused)
{
    (void)unused;
    for (unsigned i; (i = atomic_fetch_add(&next_device, 1)) < registrations();) {
        char id[16];
        snprintf(id, sizeof id, "many-%u", i);
        dps_client_config config = group_device(id);
        over(&config, (dps_transport)(i % 3));
        dps_assignment *assignment = NULL;
        if (dps_client_register(&config, &assignment, NULL) == DPS_OK &&
            strcmp(dps_assignment_device_id(assignment), id) == 0)
            atomic_fetch_add(&assigned_devices, 1);
        dps_assignment_free(assignment);
    }
    return NULL;
}

static void many_registrations_close_their_files(void)
{
    pthread_t threads[AT_ONCE];
    const unsigned before = files_in("/proc/self/fd");
    for (int i = 0; i < AT_ONCE; i++)
        CHECK(pthread_create(&threads[i], NULL, register_devices, NULL) == 0);
    for (int i = 0; i < AT_ONCE; i++)
        pthread_join(threads[i], NULL);
    CHECK(assigned_devices == registrations());
    CHECK(falls_to(before, "/proc/self/fd"));
}

static void *run_all(void *unused)
{
    (void)unused;
    every_credential_registers_over_every_transport();
    connection_string_is_empty_for_device_id_with_semicolon();
    hub_password_is_signed_by_the_credential();
    ca_pem_is_trusted();
    null_pointers_are_refused();
    invalid_options_are_refused();
    ca_file_must_be_a_whole_regular_file();
    null_spans_with_a_length_are_refused();
    smaller_config_structs_are_accepted();
    wrong_key_is_refused_once();
    service_time_is_read_from_service_time_port();
    custom_clock_is_used_for_tokens_and_certificates();
    lookup_returns_the_record();
    silent_service_ends_in_timeout();
    cancel_token_ends_calls();
    calls_can_be_canceled_at_any_step();
    progress_function_stops_the_call();
    progress_function_receives_every_step();
    log_function_receives_records_without_secrets();
    certificates();
    issued();
    profiles();
    fallbacks();
    sigpipe_is_blocked_and_restored();
    many_registrations_close_their_files();
    return NULL;
}

/* Runs on a separate thread; when that ends, everything must be freed, and no other thread be left. */
int main(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run_all, NULL) == 0 && pthread_join(thread, NULL) == 0);
    /* What a thread still has when the process ends counts as lost. */
    CHECK(falls_to(1, "/proc/self/task"));
    printf("hosted: %u registrations in a row, %u checks, %u failed\n", registrations(), checks_done, checks_failed);
    return checks_failed == 0 ? 0 : 1;
}
