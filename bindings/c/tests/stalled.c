/* A name server that does not answer (dps-client/tests/stalled-resolver, preloaded): a call ends by its timeout, and at
   once when it is cancelled. The first argument is how many milliseconds it may take beyond that. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "dps.h"

unsigned checks_done, checks_failed;

static const char *const TRANSPORTS[] = {"https", "mqtt", "mqtt-websocket"};

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *cancel_soon(void *token)
{
    const struct timespec half_a_second = {0, 500000000};
    nanosleep(&half_a_second, NULL);
    dps_cancel_token_cancel(token);
    return NULL;
}

static void ends(dps_transport transport, dps_cancel_token *token, long limit, long margin)
{
    dps_client_config config;
    CHECK(dps_client_config_default(&config) == DPS_OK);
    config.id_scope = dps_span_of("0ne00A1B2C3");
    config.registration_id = dps_span_of("dev-01");
    config.device_key = dps_span_of("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
    config.endpoint = dps_span_of("dps.stalled.test");
    config.ca_file = dps_span_of(getenv("DPS_TEST_CA_FILE"));
    config.no_proxy = true;
    config.transport = transport;
    config.timeout_ms = token == NULL ? (uint32_t)limit : 3600000;
    config.cancel = token;
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    pthread_t thread;
    const long start = now_ms();
    if (token != NULL)
        CHECK(pthread_create(&thread, NULL, cancel_soon, token) == 0);
    const dps_result found = dps_client_register(&config, &assignment, &error);
    const long took = now_ms() - start;
    if (token != NULL)
        pthread_join(thread, NULL);
    const char *const how = token == NULL ? "" : " cancelled";
    printf("stalled resolver: C, %s%s: limit %ld ms, took %ld ms\n", TRANSPORTS[transport], how, limit, took);
    CHECK(took <= limit + margin);
    CHECK(found == (token == NULL ? DPS_ERROR_TIMEOUT : DPS_ERROR_CANCELLED));
    if (token == NULL) {
        dps_hint hint;
        CHECK(took >= limit - 100);
        CHECK(strstr(dps_error_text(error), "stalled during name resolution") != NULL);
        CHECK(dps_error_hint(error, 0, &hint) == DPS_OK && hint.name.len == 9);
        CHECK(memcmp(hint.name.ptr, "check-dns", 9) == 0);
    }
    dps_error_free(error);
}

int main(int argc, char **argv)
{
    const long margin = argc > 1 ? atol(argv[1]) : 25000;
    for (dps_transport transport = DPS_TRANSPORT_HTTPS; transport <= DPS_TRANSPORT_MQTT_WEBSOCKET; transport++) {
        ends(transport, NULL, 2000, margin);
        dps_cancel_token *const token = dps_cancel_token_new();
        ends(transport, token, 500, margin);
        dps_cancel_token_free(token);
    }
    printf("%u checks, %u failed\n", checks_done, checks_failed);
    return checks_failed != 0;
}
