/* Counts the copies of a key and a token in the memory of a program that registers: before a request is sent, and after
   everything was freed. Run with the release build, in which values are moved in other ways than in a debug build. */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "dps.h"

unsigned checks_done, checks_failed;

/* The key of the device, as text and as bytes. These constants are in read-only memory, which is not searched. */
static const char KEY_TEXT[] = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
static const unsigned char KEY[] = {0x26, 0xc9, 0xb4, 0x97, 0x21, 0xa9, 0x8d, 0xa5, 0x58, 0x54, 0xfd,
                                    0xa0, 0xdc, 0x59, 0xe6, 0x9e, 0x61, 0xbd, 0x74, 0x8f, 0xfd, 0xa9,
                                    0x4d, 0xb8, 0xc0, 0xda, 0x32, 0x91, 0x49, 0x9e, 0xae, 0x67};
/* The allocator overwrites the first bytes of freed memory. */
enum { LOST = 16, OVERLAP = 128, CHUNK = 64 * 1024 };

struct found {
    unsigned keys, tokens;
};

static unsigned char chunk[CHUNK + OVERLAP];

/* HMAC works with the key under two masks. */
static bool is_key(const unsigned char *at)
{
    static const unsigned char masks[] = {0x00, 0x36, 0x5c};
    if (memcmp(at, KEY_TEXT + LOST, sizeof KEY_TEXT - 1 - LOST) == 0)
        return true;
    for (size_t i = 0; i < sizeof masks; i++) {
        size_t same = LOST;
        while (same < sizeof KEY && at[same - LOST] == (KEY[same] ^ masks[i]))
            same++;
        if (same == sizeof KEY)
            return true;
    }
    return false;
}

/* The base64 of 32 bytes, percent-encoded, after the name that it has in a token. */
static bool is_signature(const unsigned char *at)
{
    if (memcmp(at, "&sig=", 5) != 0)
        return false;
    size_t length = 0;
    while (length < 43 && (isalnum(at[5 + length]) || at[5 + length] == '%'))
        length++;
    return length == 43;
}

static void search_range(int memory, uintptr_t from, uintptr_t to, struct found *found)
{
    for (uintptr_t at = from; at < to; at += CHUNK) {
        const size_t wanted = to - at < sizeof chunk ? (size_t)(to - at) : sizeof chunk;
        memset(chunk, 0, sizeof chunk);
        if (pread(memory, chunk, wanted, (off_t)at) <= 0)
            continue;
        for (size_t i = 0; i < CHUNK && i < wanted; i++) {
            /* The chunk itself is not searched. */
            if (at + i >= (uintptr_t)chunk && at + i < (uintptr_t)chunk + sizeof chunk)
                continue;
            found->keys += is_key(chunk + i);
            found->tokens += is_signature(chunk + i);
        }
    }
    memset(chunk, 0, sizeof chunk);
}

/* Searches heap, stacks and variables: all writable memory of this process. */
static struct found search(void)
{
    struct found found = {0, 0};
    char line[512], mode[8];
    FILE *const maps = fopen("/proc/self/maps", "r");
    const int memory = open("/proc/self/mem", O_RDONLY);
    CHECK(maps != NULL && memory >= 0);
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && strncmp(mode, "rw", 2) == 0)
            search_range(memory, from, to, &found);
    }
    if (maps != NULL)
        fclose(maps);
    close(memory);
    return found;
}

static int before_sending(void *context, const dps_progress *progress)
{
    if (progress->kind == DPS_PROGRESS_SENDING)
        *(struct found *)context = search();
    return 0;
}

/* The HTTP library leaves `beyond_reach` copies of the token. */
static void registers(const char *variable, dps_transport transport, unsigned beyond_reach)
{
    struct found before = {0, 0};
    dps_client_config config;
    RETURNS(DPS_OK, dps_client_config_default(&config));
    config.id_scope = dps_span_of(getenv("DPS_TEST_ID_SCOPE"));
    config.registration_id = dps_span_of("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6");
    config.device_key_file = dps_span_of(getenv("DPS_TEST_DEVICE_KEY_FILE"));
    config.ca_file = dps_span_of(getenv("DPS_TEST_CA_FILE"));
    config.endpoint = dps_span_of(getenv(variable));
    config.transport = transport;
    config.no_proxy = true;
    config.progress = before_sending;
    config.progress_context = &before;
    dps_assignment *assignment = NULL;
    RETURNS(DPS_OK, dps_client_register(&config, &assignment, NULL));
    dps_assignment_free(assignment);
    const struct found after = search();
    printf("memory: %s: before the request key %u, token %u; afterwards key %u, token %u\n", variable, before.keys,
           before.tokens, after.keys, after.tokens);
    CHECK(before.keys == 1 && before.tokens >= 1);
    CHECK(after.keys == 0 && after.tokens <= beyond_reach);
}

int main(void)
{
    registers("DPS_TEST_MQTT", DPS_TRANSPORT_MQTT, 0);
    registers("DPS_TEST_WSS", DPS_TRANSPORT_MQTT_WEBSOCKET, 0);
    registers("DPS_TEST_HTTPS", DPS_TRANSPORT_HTTPS, 1);
    printf("%u checks, %u failed\n", checks_done, checks_failed);
    return checks_failed != 0;
}
