/* Needs no C library. Strings are compared: a signature is converted to the base64 of a key with the same bytes. */
#include "vectors_run.h"

#include "dps.h"
#include "vectors.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
/* The first member of a struct for programs on an operating system. */
#ifdef DPS_HOSTED
#define SIZE(type) sizeof(type),
#else
#define SIZE(type)
#endif

static int same(const char *left, const char *right)
{
    while (*left != 0 && *left == *right) {
        left++;
        right++;
    }
    return *left == *right;
}

static int is(dps_span span, const char *expected)
{
    for (size_t at = 0; at < span.len; at++)
        if (expected[at] == 0 || span.ptr[at] != expected[at])
            return 0;
    return expected[span.len] == 0;
}

/* Concatenates strings. */
static dps_span joined(char *out, const char *const *parts)
{
    size_t length = 0;
    for (; *parts != 0; parts++)
        for (const char *from = *parts; *from != 0; from++)
            out[length++] = *from;
    return (dps_span){out, length};
}

static uint64_t number(const char *digits)
{
    uint64_t value = 0;
    for (; *digits != 0; digits++)
        value = value * 10 + (uint64_t)(*digits - '0');
    return value;
}

static int shows(const dps_key *key, const char *base64)
{
    char text[DPS_KEY_TEXT_SIZE];
    size_t length;
    return dps_key_write_base64(key, DPS_BUFFER(text), &length) == DPS_OK && same(text, base64);
}

/* Returns whether `key` signs `message` with this signature. */
static int signs(const dps_key *key, dps_span message, const char *signature_base64)
{
    dps_signature signature;
    dps_key shown;
    if (dps_key_sign(key, message, &signature) != DPS_OK)
        return 0;
    const dps_span raw = {(const char *)signature.bytes, sizeof signature.bytes};
    return dps_key_from_bytes(&shown, raw) == DPS_OK && shows(&shown, signature_base64);
}

static int derived(unsigned i)
{
    dps_key group, device;
    const dps_result read = dps_key_from_base64(&group, dps_span_of(vectors_derived[i].group_key));
    if (same(vectors_derived[i].layer, "hmac"))
        return read == DPS_ERROR_INVALID_KEY;
    return read == DPS_OK &&
           dps_key_derive(&group, dps_span_of(vectors_derived[i].registration_id), &device) == DPS_OK &&
           shows(&device, vectors_derived[i].device_key);
}

static int mistaken(unsigned i)
{
    dps_key group, device;
    const dps_span text = dps_span_of(vectors_mistaken[i].group_key), message = dps_span_of(vectors_mistaken[i].message);
    if (dps_key_from_base64(&group, text) != DPS_OK ||
        dps_key_derive(&group, dps_span_of(vectors_mistaken[i].registration_id), &device) != DPS_OK)
        return 0;
    if (shows(&device, vectors_mistaken[i].must_not_be))
        return 0;
    /* A key's base64 text as raw bytes is longer than a key may be; the results of other mistakes are in the table. */
    if (vectors_mistaken[i].key_as_text != 0)
        return dps_key_from_bytes(&group, text) == DPS_ERROR_INVALID_KEY;
    return dps_key_derive(&group, message, &device) == DPS_ERROR_INVALID_REGISTRATION_ID &&
           signs(&group, message, vectors_mistaken[i].must_not_be);
}

static int token(unsigned i, const dps_key *key)
{
    char out[512], expected[256];
    const char *const parts[] = {vectors_signed[i].sr, "\n", vectors_signed[i].se, 0};
    const int of_hub = vectors_signed[i].hub != 0;
    const dps_sas sas = {
        SIZE(dps_sas)
        of_hub ? DPS_SAS_HUB_DEVICE : DPS_SAS_REGISTRATION,
        dps_span_of(of_hub ? vectors_signed[i].hub : vectors_signed[i].id_scope),
        dps_span_of(of_hub ? vectors_signed[i].device_id : vectors_signed[i].registration_id),
        number(vectors_signed[i].se),
    };
    dps_span to_sign, text;
    dps_signature signature;
    size_t needed;
    const dps_span wanted = joined(expected, parts);
    expected[wanted.len] = 0;
    return dps_sas_prepare(&sas, DPS_BUFFER(out), &to_sign, &needed) == DPS_OK && is(to_sign, expected) &&
           dps_key_sign(key, to_sign, &signature) == DPS_OK &&
           dps_sas_finish(&signature, DPS_BUFFER(out), &text) == DPS_OK && is(text, vectors_signed[i].token);
}

static int signed_text(unsigned i)
{
    dps_key key;
    char to_sign[256];
    const char *const parts[] = {vectors_signed[i].sr, "\n", vectors_signed[i].se, 0};
    const dps_result read = dps_key_from_base64(&key, dps_span_of(vectors_signed[i].key));
    if (same(vectors_signed[i].layer, "hmac"))
        return read == DPS_ERROR_INVALID_KEY;
    /* Devices do not make tokens for the service's admin API, but the string to sign has the same form. */
    const int of_device = vectors_signed[i].id_scope != 0 || vectors_signed[i].hub != 0;
    return read == DPS_OK && signs(&key, joined(to_sign, parts), vectors_signed[i].signature) &&
           (!of_device || token(i, &key));
}

static int hmac(unsigned i)
{
    dps_key key;
    const dps_result read = dps_key_from_base64(&key, dps_span_of(vectors_hmac[i].key));
    if (read == DPS_ERROR_INVALID_KEY)
        return same(vectors_hmac[i].name, "key of eight bytes");
    return read == DPS_OK && signs(&key, dps_span_of(vectors_hmac[i].message), vectors_hmac[i].signature);
}

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

/* No key was published with this token, and its percent-encoding is in lower case: apart from that the string to sign is the
 * same. */
static int format(unsigned i)
{
    static const char separator[] = "%2fregistrations%2f";
    const dps_span sr = dps_span_of(vectors_format[i].sr);
    const dps_span wanted = dps_span_of(vectors_format[i].string_to_sign);
    size_t scope = 0, needed;
    while (sr.ptr[scope] != separator[0])
        scope++;
    const size_t id = scope + sizeof separator - 1;
    const dps_sas sas = {SIZE(dps_sas) DPS_SAS_REGISTRATION, {sr.ptr, scope}, {sr.ptr + id, sr.len - id},
                         number(vectors_format[i].se)};
    char out[512];
    dps_span to_sign;
    if (dps_sas_prepare(&sas, DPS_BUFFER(out), &to_sign, &needed) != DPS_OK || to_sign.len != wanted.len)
        return 0;
    for (size_t at = 0; at < wanted.len; at++)
        if (lower(to_sign.ptr[at]) != lower(wanted.ptr[at]))
            return 0;
    return 1;
}

static int refused_key(unsigned i)
{
    dps_key key;
    return dps_key_from_base64(&key, dps_span_of(vectors_refused_key[i].text)) == DPS_ERROR_INVALID_KEY;
}

static int refused_id(unsigned i)
{
    dps_key group, device;
    return dps_key_from_base64(&group, dps_span_of(vectors_derived[0].group_key)) == DPS_OK &&
           dps_key_derive(&group, dps_span_of(vectors_refused_id[i].text), &device) == DPS_ERROR_INVALID_REGISTRATION_ID;
}

static int error(unsigned i)
{
    static const char *const families[] = {"none", "misuse", "configuration", "local", "service", "link"};
    const dps_result result = (dps_result)number(vectors_error[i].number);
    return is(dps_result_name(result), vectors_error[i].name) && is(dps_result_text(result), vectors_error[i].text) &&
           same(families[dps_result_family(result)], vectors_error[i].family);
}

static const struct {
    const char *name;
    size_t count;
    int (*passes)(unsigned);
} all[] = {
    {"derived keys", COUNT(vectors_derived), derived},
    {"mistaken keys", COUNT(vectors_mistaken), mistaken},
    {"tokens and signatures", COUNT(vectors_signed), signed_text},
    {"HMAC", COUNT(vectors_hmac), hmac},
    {"the token format of another client", COUNT(vectors_format), format},
    {"keys that are refused", COUNT(vectors_refused_key), refused_key},
    {"registration ids that are refused", COUNT(vectors_refused_id), refused_id},
    {"the error catalogue", COUNT(vectors_error), error},
};

const char *vectors_run(unsigned *run)
{
    *run = 0;
    for (size_t table = 0; table < COUNT(all); table++)
        for (unsigned i = 0; i < all[table].count; i++, ++*run)
            if (!all[table].passes(i))
                return all[table].name;
    return 0;
}
