/* Keys and tokens as text, without an object. */
#include <string.h>

#include "check.h"
#include "scene.h"

static char text[DPS_TOKEN_SIZE + 8];
static size_t length;

static bool written(const char *expected)
{
    return length == strlen(expected) && strcmp(text, expected) == 0;
}

static bool untouched_from(size_t start)
{
    return is_untouched(text + start, sizeof text - start);
}

static dps_result derive(const char *group_key, const char *id, size_t capacity)
{
    return dps_derive_key(dps_span_of(group_key), dps_span_of(id), (dps_buffer){text, capacity}, &length);
}

static dps_result make(const char *key, const char *id_scope, const char *id, size_t capacity)
{
    return dps_sas_make(dps_span_of(key), dps_span_of(id_scope), dps_span_of(id), UNIX_S, (dps_buffer){text, capacity}, &length);
}

/* The same token by the functions that need objects. */
static void token_by_objects(char *out, size_t size)
{
    const dps_sas sas = {sizeof sas, DPS_SAS_REGISTRATION, DPS_SPAN(ID_SCOPE), DPS_SPAN(DEVICE), UNIX_S};
    dps_key key;
    dps_signature signature;
    dps_span span;
    size_t needed;
    RETURNS(DPS_OK, dps_key_from_base64(&key, DPS_SPAN(DEVICE_KEY)));
    RETURNS(DPS_OK, dps_sas_prepare(&sas, ((dps_buffer){out, size}), &span, &needed));
    RETURNS(DPS_OK, dps_key_sign(&key, span, &signature));
    RETURNS(DPS_OK, dps_sas_finish(&signature, ((dps_buffer){out, size}), &span));
    out[span.len] = 0;
    dps_key_wipe(&key);
}

void keys_as_text(void)
{
    RETURNS(DPS_OK, derive(GROUP_KEY, DEVICE, DPS_DERIVED_KEY_SIZE));
    CHECK(written(DEVICE_KEY));
    for (size_t capacity = 0; capacity < DPS_DERIVED_KEY_SIZE; capacity++) {
        memset(text, UNTOUCHED, sizeof text);
        RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, derive(GROUP_KEY, DEVICE, capacity));
        CHECK(length == DPS_DERIVED_KEY_SIZE && (capacity == 0 || text[0] == 0) && untouched_from(capacity));
    }
    memset(text, UNTOUCHED, sizeof text);
    RETURNS(DPS_ERROR_INVALID_KEY, derive("AAAA", DEVICE, sizeof text));
    RETURNS(DPS_ERROR_INVALID_REGISTRATION_ID, derive(GROUP_KEY, "-", sizeof text));
    const dps_buffer out = DPS_BUFFER(text), none = {NULL, 1};
    const dps_span key = DPS_SPAN(GROUP_KEY), id = DPS_SPAN(DEVICE), no_text = {NULL, 1};
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_derive_key(no_text, id, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_derive_key(key, no_text, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_derive_key(key, id, none, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_derive_key(key, id, out, NULL));
    CHECK(untouched_from(0));
}

void tokens_as_text(void)
{
    char expected[DPS_TOKEN_SIZE];
    token_by_objects(expected, sizeof expected);
    RETURNS(DPS_OK, make(DEVICE_KEY, ID_SCOPE, DEVICE, DPS_TOKEN_SIZE));
    CHECK(written(expected));

    RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, make(DEVICE_KEY, ID_SCOPE, DEVICE, 0));
    const size_t needed = length;
    for (size_t capacity = 0; capacity < needed; capacity++) {
        memset(text, UNTOUCHED, sizeof text);
        RETURNS(DPS_ERROR_STORAGE_TOO_SMALL, make(DEVICE_KEY, ID_SCOPE, DEVICE, capacity));
        CHECK(length == needed && (capacity == 0 || text[0] == 0) && untouched_from(capacity));
    }
    RETURNS(DPS_OK, make(DEVICE_KEY, ID_SCOPE, DEVICE, needed));
    CHECK(written(expected) && untouched_from(needed));

    memset(text, UNTOUCHED, sizeof text);
    RETURNS(DPS_ERROR_INVALID_KEY, make("", ID_SCOPE, DEVICE, sizeof text));
    RETURNS(DPS_ERROR_INVALID_ID_SCOPE, make(DEVICE_KEY, "", DEVICE, sizeof text));
    RETURNS(DPS_ERROR_INVALID_REGISTRATION_ID, make(DEVICE_KEY, ID_SCOPE, "a b", sizeof text));
    const dps_buffer out = DPS_BUFFER(text), none = {NULL, 1};
    const dps_span key = DPS_SPAN(DEVICE_KEY), scope = DPS_SPAN(ID_SCOPE), id = DPS_SPAN(DEVICE), no_text = {NULL, 1};
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_make(no_text, scope, id, UNIX_S, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_make(key, no_text, id, UNIX_S, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_make(key, scope, no_text, UNIX_S, out, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_make(key, scope, id, UNIX_S, none, &length));
    RETURNS(DPS_ERROR_INVALID_ARGUMENT, dps_sas_make(key, scope, id, UNIX_S, out, NULL));
    CHECK(untouched_from(0));
}
