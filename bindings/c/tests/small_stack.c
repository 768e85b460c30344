/* A registration over each transport, with a key and with certificates, on a thread with 96 KB of stack, and how much of it
   was used: the stack is painted before and looked at afterwards. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "dps.h"

enum { STACK = 96 * 1024, GUARD = 64 * 1024, PAINT = 0xa5 };

unsigned checks_done, checks_failed;

struct job {
    const char *endpoint;
    dps_transport transport;
    /* Files in the folder of the certificates; null for a device with a symmetric key. */
    const char *certificate, *key;
    dps_result found;
    char text[512];
};

static void *registers(void *argument)
{
    struct job *const job = argument;
    char paths[2][256];
    dps_client_config config;
    if (dps_client_config_default(&config) != DPS_OK)
        return NULL;
    config.id_scope = dps_span_of(getenv("DPS_TEST_ID_SCOPE"));
    if (job->certificate != NULL) {
        snprintf(paths[0], sizeof paths[0], "%s/%s", getenv("DPS_TEST_CERTIFICATES"), job->certificate);
        snprintf(paths[1], sizeof paths[1], "%s/%s", getenv("DPS_TEST_CERTIFICATES"), job->key);
        config.certificate_file = dps_span_of(paths[0]);
        config.certificate_key_file = dps_span_of(paths[1]);
        config.certificate_key_passphrase_file = dps_span_of(getenv("DPS_TEST_PASSPHRASE_FILE"));
    } else {
        config.registration_id = dps_span_of("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6");
        config.device_key_file = dps_span_of(getenv("DPS_TEST_DEVICE_KEY_FILE"));
    }
    config.ca_file = dps_span_of(getenv("DPS_TEST_CA_FILE"));
    config.endpoint = dps_span_of(job->endpoint);
    config.transport = job->transport;
    config.no_proxy = true;
    config.timeout_ms = 60000;
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    job->found = dps_client_register(&config, &assignment, &error);
    if (error != NULL)
        strncpy(job->text, dps_error_text(error), sizeof job->text - 1);
    dps_assignment_free(assignment);
    dps_error_free(error);
    return NULL;
}

/* Makes an RSA key, which takes the most, and a certificate request for it. */
static void *makes_a_key(void *argument)
{
    struct job *const job = argument;
    unsigned char request[DPS_OPERATIONAL_REQUEST_SIZE];
    dps_operational_key *key = NULL;
    dps_error *error = NULL;
    size_t length = 0;
    job->found = dps_operational_key_generate(DPS_KEY_ALGORITHM_RSA_2048, &key, &error);
    if (job->found == DPS_OK)
        job->found = dps_operational_key_write_request(key, DPS_SPAN("dev-01"), DPS_BUFFER(request), &length, &error);
    if (error != NULL)
        strncpy(job->text, dps_error_text(error), sizeof job->text - 1);
    dps_operational_key_free(key);
    dps_error_free(error);
    return NULL;
}

static void on_a_small_stack(void *(*work)(void *), struct job *job, const char *what)
{
    /* Below the stack is memory that must not be touched. */
    unsigned char *const memory =
        mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && mprotect(memory, GUARD, PROT_NONE) == 0);
    unsigned char *const stack = memory + GUARD;
    memset(stack, PAINT, STACK);
    job->found = DPS_ERROR_INTERNAL;
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, work, job) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(job->found == DPS_OK);
    if (job->found != DPS_OK)
        fprintf(stderr, "  %s\n", job->text);
    size_t untouched = 0;
    while (untouched < STACK && stack[untouched] == PAINT)
        untouched++;
    printf("small stack: %s: %zu KB of %d KB used\n", what, (STACK - untouched + 1023) / 1024, STACK / 1024);
    pthread_attr_destroy(&attributes);
    munmap(memory, GUARD + STACK);
}

static void registration(const char *variable, dps_transport transport, const char *certificate, const char *key)
{
    struct job job = {.endpoint = getenv(variable), .transport = transport, .certificate = certificate, .key = key};
    char what[128];
    snprintf(what, sizeof what, "%s, %s", variable, key == NULL ? "symmetric key" : key);
    on_a_small_stack(registers, &job, what);
}

int main(void)
{
    static const char *const endpoints[] = {"DPS_TEST_HTTPS", "DPS_TEST_MQTT", "DPS_TEST_WSS"};
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        registration(endpoints[transport], transport, NULL, NULL);
        registration(endpoints[transport], transport, "ec.pem", "ec-pbkdf2.pem");
        registration(endpoints[transport], transport, "rsa-4096.cert.pem", "rsa-4096.pem");
        registration(endpoints[transport], transport, "group.pem", "group.pem");
    }
    struct job job = {0};
    on_a_small_stack(makes_a_key, &job, "an RSA key and a certificate request");
    printf("%u checks, %u failed\n", checks_done, checks_failed);
    return checks_failed != 0;
}
