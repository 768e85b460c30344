/* The registrations that tests start with, and helpers to check them. */
#ifndef SCENE_H
#define SCENE_H

#include <stdbool.h>
#include <string.h>

#include "dps.h"

#define GROUP_KEY "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
#define DEVICE_KEY "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
#define DEVICE "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
#define ID_SCOPE "0ne00A1B2C3"
/* 2026-01-01T00:00:00Z */
#define UNIX_S 1767225600u

typedef struct scene {
    dps_config config;
    dps_key key;
    dps_registration registration;
    unsigned char storage[DPS_STORAGE_SIZE];
} scene;

/* A registration that knows the time and has not sent a request yet. */
void scene_begin(scene *scene);

/* Polls, and signs if needed, until there is a request to send; returns false if another action comes first. */
bool scene_until_send(scene *scene, uint64_t now_ms, dps_action *action);

static inline bool span_is(dps_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.ptr, text, span.len) == 0;
}

/* The initial value of outputs that failed calls must not change. */
#define UNTOUCHED 0xA5

static inline bool is_untouched(const void *memory, size_t length)
{
    const unsigned char *bytes = memory;
    for (size_t at = 0; at < length; at++)
        if (bytes[at] != UNTOUCHED)
            return false;
    return true;
}

#endif
