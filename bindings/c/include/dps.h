/*
 * dps.h: device provisioning for Azure IoT Hub.
 *
 * A device knows its id scope, its registration id and a symmetric key, or has a certificate. Azure IoT Hub Device
 * Provisioning Service assigns it to a hub (docs/concepts.md). There are two ways to register:
 *
 * - dps_client_register, on an operating system: one blocking call. Needs DPS_HOSTED, which pkg-config defines.
 * - dps_registration, anywhere: a state machine in memory of yours. It returns what to do next (sign these bytes, send this
 *   request, wait until then); you do it, over whatever network and with whatever clock you have, and pass on the
 *   answer. It needs no heap, thread, callback, global variable or clock, and cannot panic.
 *
 * For firmware with a state machine of its own, the parts are functions that need no object: see "MQTT by hand".
 *
 * The loop around a registration, without error handling:
 *
 *     dps_registration_init(&registration, &config, storage);
 *     for (;;) {
 *         dps_registration_poll(&registration, now_ms(), &action);
 *         switch (action.kind) {
 *         case DPS_ACTION_SIGN:      // a secure element can do this too
 *             dps_key_sign(&key, dps_registration_to_sign(&registration), &signature);
 *             dps_registration_handle_signature(&registration, now_ms(), action.id, &signature);
 *             break;
 *         case DPS_ACTION_SEND:      // connect where needed; publish what dps_mqtt_write_topic and _payload write
 *             ...                    // dps_registration_handle_mqtt with what comes back, or _handle_link_error
 *             break;
 *         case DPS_ACTION_WAIT:
 *             sleep_until_ms(action.until_ms);
 *             break;
 *         case DPS_ACTION_FINISHED:
 *             return dps_registration_result(&registration); // DPS_OK: see dps_registration_assigned_hub, _device_id
 *         }
 *     }
 *
 * What holds for every function:
 *
 * - The result is DPS_OK, or a number of the catalogue. dps_result_text has the sentence for it.
 * - Outputs are written on success only. The exceptions come with DPS_ERROR_STORAGE_TOO_SMALL: the outputs `length` and
 *   `needed` are the sizes that would do, and a buffer for text that is too small holds an empty string, and parts of the text
 *   after its NUL.
 * - A pointer that is null, unless its comment allows it, or misaligned is answered with DPS_ERROR_INVALID_ARGUMENT. The
 *   caller must see to it that any other points to memory of the right kind and size, and that outputs and buffers do not
 *   overlap with anything else that is passed.
 * - An object is made in its memory by the functions that say so (dps_key_from_base64, dps_registration_init, ...). When one
 *   of them fails, the memory holds no object, not even one that was there before. One that was not made, or was wiped or
 *   cleared, is answered with DPS_ERROR_INVALID_OBJECT, as is a registration that was copied or moved. Clear a registration before
 *   you make another in its memory: only dps_registration_clear wipes its storage.
 * - With DPS_HOSTED the structs that a program fills in begin with their size. The functions that set defaults write it
 *   there; otherwise it is `sizeof` the struct. So a program that was compiled with an earlier header works with a newer
 *   library: members that it did not know count as zero. Without DPS_HOSTED, in firmware, structs have no size: the header
 *   has to be of the same build as the library, which the linker finds out.
 * - Text is passed with its length and needs no NUL at its end. What the library writes into a buffer as text has a NUL
 *   after it, which `length` does not count.
 * - Names carry their units: _ms are milliseconds, _s seconds. `now_ms` is time on a clock that never goes back, since any
 *   origin, such as power-on; `unix_s` is seconds since 1970-01-01T00:00:00Z.
 * - Different objects may be used by different threads at the same time, one object by one thread at a time.
 */
#ifndef DPS_H
#define DPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX == 0xFFFFFFFFu
#define DPS_POINTERS_OF_32_BITS
#else
#define DPS_POINTERS_OF_64_BITS
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this header. */
#define DPS_VERSION "0.1.0"
#define DPS_VERSION_MAJOR 0
#define DPS_VERSION_MINOR 1
#define DPS_VERSION_PATCH 0

#ifndef DPS_HOSTED
/* In firmware, header and library are of one build: these names are not found in another library. */
#define dps_key_from_base64 dps_key_from_base64_abi_1
#define dps_key_from_bytes dps_key_from_bytes_abi_1
#define dps_key_derive dps_key_derive_abi_1
#define dps_sas_prepare dps_sas_prepare_abi_1
#define dps_config_default dps_config_default_abi_1
#define dps_registration_init dps_registration_init_abi_1
#define dps_registration_init_lookup dps_registration_init_lookup_abi_1
#define dps_registration_init_resumed dps_registration_init_resumed_abi_1
#define dps_registration_init_x509 dps_registration_init_x509_abi_1
#define dps_registration_init_x509_lookup dps_registration_init_x509_lookup_abi_1
#define dps_registration_init_x509_resumed dps_registration_init_x509_resumed_abi_1
#define dps_tpm_init dps_tpm_init_abi_1
#define dps_registration_init_tpm dps_registration_init_tpm_abi_1
#define dps_wire_read_reply dps_wire_read_reply_abi_1
#define dps_certificate_request_init dps_certificate_request_init_abi_1
#define dps_certificate_request_init_reader dps_certificate_request_init_reader_abi_1
#endif

/* Helpers -------------------------------------------------------------------- */

#ifdef __cplusplus
#define DPS_LITERAL(type) type
#else
#define DPS_LITERAL(type) (type)
#endif
/** The span of a string literal, without its NUL: `DPS_SPAN("0ne00A1B2C3")`. */
#define DPS_SPAN(literal) (DPS_LITERAL(dps_span){"" literal, sizeof(literal) - 1})
/** The buffer of a whole array; not for a pointer. */
#define DPS_BUFFER(array) (DPS_LITERAL(dps_buffer){(array), sizeof(array)})

/* Results must be checked; compilers that support it warn if one is ignored. */
#ifndef DPS_NODISCARD
#if (defined(__cplusplus) && __cplusplus >= 201703L) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define DPS_NODISCARD [[nodiscard]]
#elif defined(__GNUC__)
#define DPS_NODISCARD __attribute__((warn_unused_result))
#else
#define DPS_NODISCARD
#endif
#endif

/* Version -------------------------------------------------------------------- */

/**
 * The version of the library that is linked, such as `0.1.0`; `DPS_VERSION` is that of the header. Ends with a NUL. A
 * constant.
 */
const char *dps_version(void);

/* Memory --------------------------------------------------------------------- */

/**
 * Bytes to read: `len` bytes at `ptr`. Text needs no NUL at its end. `ptr` may be null when `len` is 0.
 *
 * A span that the library returns points into memory of the caller's or into constants; each comment says for how
 * long. To print one: `printf("%.*s", (int)span.len, span.ptr)`.
 */
typedef struct dps_span {
    /** The first byte. */
    const char *ptr;
    /** How many there are. */
    size_t len;
} dps_span;

/** Memory to write to: `len` bytes at `ptr`. `ptr` may be null when `len` is 0. */
typedef struct dps_buffer {
    /** The first byte. */
    void *ptr;
    /** How many there are. */
    size_t len;
} dps_buffer;

/**
 * The span of a string that ends with a NUL, which is left out. Null becomes the empty span. Lives as long as the
 * string.
 */
dps_span dps_span_of(const char *text);

/**
 * Overwrites `length` bytes at `memory` with zeros in a way that no compiler removes: for a key's text, a signature, a
 * token or a request that was sent. `memset` of memory that is not used again is removed by optimizers. Null does no
 * harm.
 */
void dps_wipe(void *memory,
              size_t length);

/* Results -------------------------------------------------------------------- */

/** Who has to act on a failure. */
typedef uint32_t dps_family;
enum {
    /** The number is not in the catalogue. */
    DPS_FAMILY_NONE = 0,
    /** The program: a call or an argument that no state allows. */
    DPS_FAMILY_MISUSE = 1,
    /** The configuration: a value that can never work. */
    DPS_FAMILY_CONFIGURATION = 2,
    /** This device: signer, file, buffer, clock, or who cancelled. */
    DPS_FAMILY_LOCAL = 3,
    /** The service answered and refused. */
    DPS_FAMILY_SERVICE = 4,
    /** The way to the service: nothing usable came back. */
    DPS_FAMILY_LINK = 5,
};

/** Whether, and when, it makes sense to try the same again. */
typedef uint32_t dps_verdict;
enum {
    /** The same will fail again: something outside the device must change first. */
    DPS_VERDICT_NEVER = 0,
    /** It may work after a while; `dps_registration_retry_after_ms` is how long to wait first. */
    DPS_VERDICT_AFTER = 1,
    /** It can work once the caller changes what it passed in: a value, a buffer, the clock. */
    DPS_VERDICT_RECONFIGURE = 2,
};

/**
 * `DPS_OK`, or a number of the error catalogue (`docs/errors.md`), as `DPS_ERROR_*` names them. Numbers are never
 * changed and never used again; a newer library may return new ones.
 */
typedef int32_t dps_result;
enum {
    /** It worked. */
    DPS_OK = 0,
    /** A call came in the wrong order and changed nothing. */
    DPS_ERROR_MISUSE = 1001,
    /** An argument cannot be used, such as a null pointer where memory is needed. */
    DPS_ERROR_INVALID_ARGUMENT = 1002,
    /** An object was not initialized, was cleared, or was copied although it must stay in place. */
    DPS_ERROR_INVALID_OBJECT = 1003,
    /** The id scope cannot be used. */
    DPS_ERROR_INVALID_ID_SCOPE = 2001,
    /** The registration id cannot be used. */
    DPS_ERROR_INVALID_REGISTRATION_ID = 2002,
    /** The endpoint cannot be used. */
    DPS_ERROR_INVALID_ENDPOINT = 2003,
    /** The key cannot be used. */
    DPS_ERROR_INVALID_KEY = 2004,
    /** The payload cannot be used. */
    DPS_ERROR_INVALID_PAYLOAD = 2005,
    /** A buffer is too small. */
    DPS_ERROR_STORAGE_TOO_SMALL = 2006,
    /** The saved operation cannot be read. */
    DPS_ERROR_OPERATION_UNREADABLE = 2007,
    /** The saved operation belongs to another endpoint, id scope or registration id. */
    DPS_ERROR_OPERATION_MISMATCH = 2008,
    /** The transport cannot do what was asked. */
    DPS_ERROR_UNSUPPORTED_BY_TRANSPORT = 2009,
    /** A certificate to trust cannot be read. */
    DPS_ERROR_INVALID_CERTIFICATE = 2010,
    /** An option cannot be used. */
    DPS_ERROR_INVALID_OPTION = 2011,
    /** The device's certificate or its chain cannot be used. */
    DPS_ERROR_INVALID_CLIENT_CERTIFICATE = 2012,
    /** The private key of the device's certificate cannot be used. */
    DPS_ERROR_INVALID_CLIENT_KEY = 2013,
    /** The private key is encrypted, and the passphrase is wrong or missing. */
    DPS_ERROR_WRONG_PASSPHRASE = 2014,
    /** The private key does not belong to the device's certificate. */
    DPS_ERROR_CLIENT_KEY_MISMATCH = 2015,
    /** The registration id differs from the common name of the device's certificate. */
    DPS_ERROR_COMMON_NAME_MISMATCH = 2016,
    /** The PKCS#11 URI cannot be used. */
    DPS_ERROR_INVALID_PKCS11_URI = 2017,
    /** The TCTI string of the TPM cannot be used. */
    DPS_ERROR_INVALID_TCTI = 2018,
    /** An option requires a feature that this build does not have. */
    DPS_ERROR_FEATURE_MISSING = 2019,
    /** The hub has a connection profile that hub credentials and connection strings are not for. */
    DPS_ERROR_UNSUPPORTED_PROFILE = 2020,
    /** The time is not known, and a token cannot be made without it. */
    DPS_ERROR_CLOCK_NEEDED = 3001,
    /** The signer failed. */
    DPS_ERROR_SIGNER_FAILED = 3002,
    /** The signer gave no answer in time. */
    DPS_ERROR_SIGNER_TIMEOUT = 3003,
    /** The assignment does not fit the storage; the operation can be exported and read again. */
    DPS_ERROR_ASSIGNMENT_TOO_LARGE = 3004,
    /** The reply does not fit the buffer. */
    DPS_ERROR_REPLY_TOO_LARGE = 3005,
    /** The request does not fit the buffer. */
    DPS_ERROR_REQUEST_TOO_LARGE = 3006,
    /** The registration was cancelled. */
    DPS_ERROR_CANCELLED = 3007,
    /** A file cannot be read or written. */
    DPS_ERROR_FILE = 3008,
    /** Something failed inside this program. */
    DPS_ERROR_INTERNAL = 3009,
    /** The observer of the progress did not return in time. */
    DPS_ERROR_OBSERVER_TIMEOUT = 3010,
    /** The challenge of the service could not be activated. */
    DPS_ERROR_ACTIVATION_FAILED = 3011,
    /** The certificate request could not be read, or has changed since it was set. */
    DPS_ERROR_CERTIFICATE_REQUEST = 3012,
    /** The device's certificate or its chain is not valid at this time. */
    DPS_ERROR_CLIENT_CERTIFICATE_EXPIRED = 3013,
    /** The PKCS#11 module cannot be loaded. */
    DPS_ERROR_PKCS11_MODULE = 3014,
    /** No token matches the PKCS#11 URI, or it was removed. */
    DPS_ERROR_PKCS11_NO_TOKEN = 3015,
    /** The token has no object that matches the PKCS#11 URI. */
    DPS_ERROR_PKCS11_NO_OBJECT = 3016,
    /** Several tokens or objects match the PKCS#11 URI. */
    DPS_ERROR_PKCS11_SEVERAL_OBJECTS = 3017,
    /** The token cannot be logged in to. */
    DPS_ERROR_PKCS11_LOGIN = 3018,
    /** The token refused the PIN. */
    DPS_ERROR_PKCS11_WRONG_PIN = 3019,
    /** The next wrong PIN locks the token, so that the PIN was not tried. */
    DPS_ERROR_PKCS11_LAST_TRY = 3020,
    /** The PIN of the token is locked. */
    DPS_ERROR_PKCS11_PIN_LOCKED = 3021,
    /** The token does not offer the mechanism that the key requires. */
    DPS_ERROR_PKCS11_MECHANISM = 3022,
    /** The TPM cannot be reached. */
    DPS_ERROR_TPM_UNAVAILABLE = 3023,
    /** The connection with the TPM ended before it answered. */
    DPS_ERROR_TPM_LOST = 3024,
    /** The TPM refused the password of a hierarchy. */
    DPS_ERROR_TPM_WRONG_PASSWORD = 3025,
    /** The TPM is in lockout after too many failed authorizations. */
    DPS_ERROR_TPM_LOCKOUT = 3026,
    /** The challenge of the service is not for this TPM. */
    DPS_ERROR_TPM_FOREIGN_CHALLENGE = 3027,
    /** The TPM has no free slot for the key. */
    DPS_ERROR_TPM_NO_SLOT = 3028,
    /** The TPM does not hold the key for the hub. */
    DPS_ERROR_TPM_KEY_MISSING = 3029,
    /** The TPM failed, or holds a key that cannot be used. */
    DPS_ERROR_TPM_FAILED = 3030,
    /** The service refused the credential. */
    DPS_ERROR_UNAUTHORIZED = 4001,
    /** The service forbids it. */
    DPS_ERROR_FORBIDDEN = 4002,
    /** The service does not know the registration. */
    DPS_ERROR_NOT_FOUND = 4003,
    /** The service found the request wrong. */
    DPS_ERROR_BAD_REQUEST = 4004,
    /** The service does not offer this call. */
    DPS_ERROR_METHOD_NOT_ALLOWED = 4005,
    /** The service does not accept this content type. */
    DPS_ERROR_UNSUPPORTED_MEDIA_TYPE = 4006,
    /** The service gave up waiting for the request. */
    DPS_ERROR_REQUEST_TIMEOUT = 4007,
    /** Another change of the same registration was under way. */
    DPS_ERROR_CONFLICT = 4008,
    /** The service is throttling. */
    DPS_ERROR_THROTTLED = 4009,
    /** The service is in trouble. */
    DPS_ERROR_SERVICE_UNAVAILABLE = 4010,
    /** The service could not assign the device to a hub. */
    DPS_ERROR_REGISTRATION_FAILED = 4011,
    /** The enrollment is disabled. */
    DPS_ERROR_ENROLLMENT_DISABLED = 4012,
    /** The service answered with a status that is not known here. */
    DPS_ERROR_UNEXPECTED_STATUS = 4013,
    /** The service was still assigning when the time was up. */
    DPS_ERROR_DEADLINE_EXCEEDED = 4014,
    /** The host name cannot be resolved. */
    DPS_ERROR_DNS = 5001,
    /** No connection can be made. */
    DPS_ERROR_CONNECT = 5002,
    /** The connection was cut. */
    DPS_ERROR_CONNECTION_CUT = 5003,
    /** No answer came in time. */
    DPS_ERROR_TIMEOUT = 5004,
    /** The server's certificate is from an authority that is not trusted here. */
    DPS_ERROR_UNKNOWN_CA = 5005,
    /** The server's certificate is for another name. */
    DPS_ERROR_NAME_MISMATCH = 5006,
    /** The server's certificate is not valid at this time. */
    DPS_ERROR_CERTIFICATE_EXPIRED = 5007,
    /** No secure connection can be made. */
    DPS_ERROR_TLS = 5008,
    /** The proxy refused. */
    DPS_ERROR_PROXY_REFUSED = 5009,
    /** The proxy cannot be reached. */
    DPS_ERROR_PROXY_UNREACHABLE = 5010,
    /** What came back is not a reply of the service. */
    DPS_ERROR_INVALID_REPLY = 5011,
    /** The server refused the MQTT connection. */
    DPS_ERROR_MQTT_REFUSED = 5012,
    /** The server refused the subscription. */
    DPS_ERROR_SUBSCRIBE_REFUSED = 5013,
    /** The server refused the device's certificate. */
    DPS_ERROR_CLIENT_CERTIFICATE_REFUSED = 5014,
    /** The server requests the device's certificate by TLS renegotiation, which is not supported. */
    DPS_ERROR_RENEGOTIATION_UNSUPPORTED = 5015,
};

/** The name of a result, such as `unauthorized`; empty for a number that is not known. A constant. */
dps_span dps_result_name(int32_t result);

/** A sentence for people; empty for a number that is not known. A constant. Firmware that never calls it links no text. */
dps_span dps_result_text(int32_t result);

/** Who has to act. */
dps_family dps_result_family(int32_t result);

/* Keys ----------------------------------------------------------------------- */

/** The size of a `dps_key`, in words of 8 bytes. */
#define DPS_KEY_WORDS 10

/** A buffer that holds the base64 text of any key and its NUL, in bytes. */
#define DPS_KEY_TEXT_SIZE 89

/** The size of a signature, in bytes. */
#define DPS_SIGNATURE_SIZE 32

/**
 * A symmetric key of 16 to 64 bytes: an enrollment's, a group's, or one derived for a device.
 *
 * Opaque, in the caller's memory; may be copied and moved. It holds a secret: wipe it, and every copy, with
 * `dps_key_wipe`.
 */
typedef struct dps_key {
    /** Not for reading. */
    uint64_t opaque[DPS_KEY_WORDS];
} dps_key;

/** An HMAC-SHA256. A secret: it lets its bearer in until the token that it is for expires. */
typedef struct dps_signature {
    /** The signature. */
    uint8_t bytes[DPS_SIGNATURE_SIZE];
} dps_signature;

/**
 * Reads a key as the service shows it: base64, padding optional, nothing before or after it.
 *
 * Returns `DPS_ERROR_INVALID_KEY` when it is anything else, or has fewer than 16 or more than 64 bytes;
 * `DPS_ERROR_INVALID_ARGUMENT`. Then `key` holds none: a key that was there is wiped.
 */
DPS_NODISCARD
dps_result dps_key_from_base64(dps_key *key,
                               dps_span base64);

/**
 * Makes a key of its raw bytes.
 *
 * Returns `DPS_ERROR_INVALID_KEY` when there are fewer than 16 or more than 64; `DPS_ERROR_INVALID_ARGUMENT`. Then
 * `key` holds none: a key that was there is wiped.
 */
DPS_NODISCARD
dps_result dps_key_from_bytes(dps_key *key,
                              dps_span raw);

/**
 * Derives the key of one device from its enrollment group's. The registration id is used exactly as it is spelled.
 *
 * For factories and tests: whoever takes apart a device that holds its group's key can pretend to be every device of
 * the group.
 *
 * Returns `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`; then `device`
 * holds none. `DPS_ERROR_INVALID_ARGUMENT` also when `device` is `group`, which is unchanged then.
 */
DPS_NODISCARD
dps_result dps_key_derive(const dps_key *group,
                          dps_span registration_id,
                          dps_key *device);

/**
 * HMAC-SHA256 of `message`: the answer to `DPS_ACTION_SIGN` where the key is in memory.
 *
 * Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_key_sign(const dps_key *key,
                        dps_span message,
                        dps_signature *signature);

/**
 * Writes the key as base64, with a NUL after it. The text is as secret as the key. `DPS_KEY_TEXT_SIZE` bytes always
 * suffice.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_OBJECT`,
 * `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_key_write_base64(const dps_key *key,
                                dps_buffer out,
                                size_t *length);

/** Wipes a key, which is no longer an object then. Null, and memory without a key, are ignored. */
void dps_key_wipe(dps_key *key);

/* Tokens by hand ------------------------------------------------------------- */

/** A buffer that holds any token, in bytes. */
#define DPS_TOKEN_SIZE 848

/** Who a token is for. */
typedef uint32_t dps_sas_audience;
enum {
    /** The provisioning service: `authority` is the id scope, `device` the registration id. */
    DPS_SAS_REGISTRATION = 1,
    /** A hub: `authority` is its host name, `device` the device id. */
    DPS_SAS_HUB_DEVICE = 2,
};

/** What a token is for, and when it ends. */
typedef struct dps_sas {
#if defined(DPS_HOSTED)
    /** `sizeof(dps_sas)`. */
    size_t size;
#endif
    /** A `dps_sas_audience`. */
    uint32_t audience;
    /** Who is to let the bearer in: an id scope, or a hub's host name. */
    dps_span authority;
    /** Who bears it: a registration id, or a device id. */
    dps_span device;
    /** When it ends, in seconds since 1970-01-01T00:00:00Z. */
    uint64_t expires_unix_s;
} dps_sas;

/**
 * Writes a token without its signature into `out`, and sets `to_sign` to the bytes to sign in it. Sign those with the
 * device's key, and finish the token with `dps_sas_finish`; until then `out` must stay as it is.
 *
 * `DPS_TOKEN_SIZE` bytes always suffice.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `needed`, when `out` holds parts of the token;
 * `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`; `DPS_ERROR_INVALID_ARGUMENT`, also for an unknown
 * audience.
 */
DPS_NODISCARD
dps_result dps_sas_prepare(const dps_sas *sas,
                           dps_buffer out,
                           dps_span *to_sign,
                           size_t *needed);

/**
 * Makes the token in `out`, which must be as `dps_sas_prepare` left it, from the signature over the bytes to sign. The
 * text is a secret until it expires, and holds until `out` is used otherwise.
 *
 * Returns `DPS_ERROR_MISUSE`, and changes nothing, when `out` is not as `dps_sas_prepare` left it, as after
 * `dps_sas_finish`; `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_sas_finish(const dps_signature *signature,
                          dps_buffer out,
                          dps_span *token);

/* Keys and tokens as text ---------------------------------------------------- */

/** A buffer that holds the base64 text of a derived key and its NUL, in bytes. */
#define DPS_DERIVED_KEY_SIZE 45

/**
 * Derives the key of one device from its enrollment group's: base64 in, base64 out, with a NUL after it. The
 * registration id is used exactly as it is spelled. The text is a secret: wipe it with `dps_wipe`.
 * `DPS_DERIVED_KEY_SIZE` bytes always do.
 *
 * For factories and tests: whoever takes apart a device that holds its group's key can pretend to be every device of
 * the group.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_KEY`,
 * `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_derive_key(dps_span group_key,
                          dps_span registration_id,
                          dps_buffer out,
                          size_t *length);

/**
 * Makes the token with which a device registers until `expires_unix_s`, seconds since 1970-01-01T00:00:00Z, from the
 * device's key in base64, with a NUL after it. The token is a secret until then. `DPS_TOKEN_SIZE` bytes always
 * suffice.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_KEY`,
 * `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_sas_make(dps_span device_key,
                        dps_span id_scope,
                        dps_span registration_id,
                        uint64_t expires_unix_s,
                        dps_buffer out,
                        size_t *length);

/* The configuration of a registration ---------------------------------------- */

/**
 * What to register, and how patiently. `dps_config_default` fills it with defaults; set at least `id_scope` and
 * `registration_id`. Whatever is 0 or empty means the default.
 *
 * The struct itself is only read by the `dps_registration_init` functions. What its spans point to must stay as it is
 * until `dps_registration_clear`.
 */
typedef struct dps_config {
#if defined(DPS_HOSTED)
    /** The size of the struct, as `dps_config_default` sets it. */
    size_t size;
#endif
    /** Where the service answers: `HOST` or `HOST:PORT`. Default: the global endpoint. */
    dps_span endpoint;
    /** The id scope, such as `0ne00A1B2C3`. */
    dps_span id_scope;
    /** The registration id: 1 to 128 letters, digits and `- . _ :`. */
    dps_span registration_id;
    /** A JSON object for the service's allocation webhook. Default: none. */
    dps_span payload;
    /** How long the whole registration may take, from the first poll. Default: 120,000. */
    uint32_t timeout_ms;
    /** How long one request or one signature may take. Default: 30,000. */
    uint32_t request_timeout_ms;
    /** The wait between polls when the service sends no hint. Default: 2,000. */
    uint32_t poll_interval_ms;
    /** The least wait before a poll, also when the service asks for none. Default: 1,000. */
    uint32_t minimum_spacing_ms;
    /** The life of a token. Default: an hour, or the timeout and ten minutes when that is longer. */
    uint32_t token_life_s;
    /** Mixed with the registration id, seeds the jitter of waits. Best something random; a fleet may share one. */
    uint32_t seed;
    /**
     * Lets a registration over HTTPS learn the time from the service when `dps_registration_set_time` was not called:
     * it first registers without a token, and takes the date of the refusal, unless that is before this time (seconds
     * since 1970-01-01T00:00:00Z, such as the time of the build) or more than 20 years after it. For devices without a
     * clock whose TLS decides by other means what to trust: without the time, nobody can tell that a certificate has
     * expired. The time serves the tokens of this registration, which then live an hour at most; for that, a signature
     * or a request may take 29.5 minutes at most. Default: never.
     */
    uint64_t earliest_unix_s;
    /** For hints: how many bytes the key has. Default: not known. */
    uint32_t key_length;
    /** For hints: whether the device's key was derived on this device from its group's. */
    bool key_derived_here;
    /**
     * Whether to sign once more with the service's time when it refuses a token and this device's clock is far off.
     * MQTT carries no time: over it, pass the time to `dps_registration_correct_clock`. Default: no; the failure names
     * the skew instead.
     */
    bool correct_clock;
} dps_config;

/**
 * Fills in the defaults.
 *
 * Returns `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_config_default(dps_config *config);

/**
 * The least storage, in bytes, for a registration under these names.
 *
 * Returns `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ENDPOINT`;
 * `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_storage_size(const dps_config *config,
                                         size_t *size);

/* What a registration asks for ----------------------------------------------- */

/** What is to be done. */
typedef uint32_t dps_action_kind;
enum {
    /**
     * Never after `dps_registration_init_x509`: sign what `dps_registration_to_sign` returns by HMAC-SHA256 with the
     * device's key; answer with `dps_registration_handle_signature` or `dps_registration_handle_sign_error`.
     */
    DPS_ACTION_SIGN = 1,
    /**
     * Only after `dps_registration_init_tpm`: activate what `dps_registration_challenge` returns; answer with
     * `dps_registration_handle_activation` or `dps_registration_handle_activate_error`. Until then, the buffer of the last
     * reply must not be changed.
     */
    DPS_ACTION_ACTIVATE = 2,
    /**
     * Send the request with the token that `dps_registration_token` returns, if there is one; answer with
     * `dps_registration_handle_mqtt`, `dps_registration_handle_http` or `dps_registration_handle_link_error`.
     */
    DPS_ACTION_SEND = 3,
    /** Nothing to do before `until_ms`, unless an answer comes; poll again then. */
    DPS_ACTION_WAIT = 4,
    /** It is over: `dps_registration_result` returns how it ended. */
    DPS_ACTION_FINISHED = 5,
};

/** What is asked of the service. */
typedef uint32_t dps_call;
enum {
    /** Nothing. */
    DPS_CALL_NONE = 0,
    /** To register the device. */
    DPS_CALL_REGISTER = 1,
    /** How a registration is getting on. */
    DPS_CALL_STATUS = 2,
    /** The device's record, without registering it. */
    DPS_CALL_LOOKUP = 3,
    /** To register without a token, for the service's time (`dps_config.earliest_unix_s`). HTTPS only. */
    DPS_CALL_TIME = 4,
};

/**
 * The next thing to do. `DPS_ACTION_SIGN`, `DPS_ACTION_SEND` and `DPS_ACTION_ACTIVATE` are returned once; until they are answered, polling
 * returns `DPS_ACTION_WAIT`. Handle every kind: a new one would come with a new ABI.
 */
typedef struct dps_action {
    /** What is to be done. */
    dps_action_kind kind;
    /** `SIGN`, `SEND`, `ACTIVATE`: goes back with the answer. */
    uint32_t id;
    /** `SIGN`, `SEND`, `ACTIVATE`: after this it counts as unanswered. `WAIT`: when to poll again. */
    uint64_t until_ms;
} dps_action;

/* A registration ------------------------------------------------------------- */

#if defined(DPS_POINTERS_OF_32_BITS)
/** The size of a `dps_registration`, in words of 8 bytes. */
#define DPS_REGISTRATION_WORDS 39
#endif

#if defined(DPS_POINTERS_OF_64_BITS)
/** The size of a `dps_registration`, in words of 8 bytes. */
#define DPS_REGISTRATION_WORDS 96
#endif

/**
 * Storage, in bytes, that suffices for any id scope and registration id. `dps_registration_storage_size` returns the
 * least for yours, which is about 650 for an id of 36 characters; more lets longer hub names and error messages be
 * kept.
 */
#define DPS_STORAGE_SIZE 1280

/**
 * One device's registration, from the first request to the outcome.
 *
 * Opaque, in the caller's memory; may not be copied or moved. Made by one of the `dps_registration_init` functions;
 * not for use by two threads at once. It has no clock, opens no socket and holds no key: time, bytes and signatures
 * come in.
 */
typedef struct dps_registration {
    /** Not for reading. */
    uint64_t opaque[DPS_REGISTRATION_WORDS];
} dps_registration;

/**
 * Makes a machine that registers the device with a symmetric key. `storage` is the machine's until
 * `dps_registration_clear`, and wiped then.
 *
 * Returns `DPS_ERROR_INVALID_ID_SCOPE`, `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ENDPOINT`,
 * `DPS_ERROR_INVALID_PAYLOAD`; `DPS_ERROR_STORAGE_TOO_SMALL` (see `dps_registration_storage_size`);
 * `DPS_ERROR_INVALID_ARGUMENT`. Then `registration` holds none.
 */
DPS_NODISCARD
dps_result dps_registration_init(dps_registration *registration,
                                 const dps_config *config,
                                 dps_buffer storage);

/** As `dps_registration_init`, for a machine that asks for the device's record without registering it: HTTPS only. */
DPS_NODISCARD
dps_result dps_registration_init_lookup(dps_registration *registration,
                                        const dps_config *config,
                                        dps_buffer storage);

/**
 * As `dps_registration_init`, for a machine that goes on from an operation which `dps_registration_write_operation`
 * saved. If the service has forgotten it, the device is registered afresh. `operation` is only read here.
 *
 * Also returns `DPS_ERROR_OPERATION_UNREADABLE`, and `DPS_ERROR_OPERATION_MISMATCH` when it belongs to another
 * endpoint, id scope or registration id.
 */
DPS_NODISCARD
dps_result dps_registration_init_resumed(dps_registration *registration,
                                         const dps_config *config,
                                         dps_buffer storage,
                                         dps_span operation);

/**
 * Says what the wall time is: `unix_s` seconds since 1970-01-01T00:00:00Z at `now_ms`. Tokens made later go by it.
 * Without it, none can be made over MQTT; over HTTPS, the service is asked for it if `dps_config.earliest_unix_s` is
 * set.
 *
 * Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_set_time(dps_registration *registration,
                                     uint64_t now_ms,
                                     uint64_t unix_s);

/**
 * Sets the service's time after it refused a token over MQTT, which carries no time. The caller obtains the time by
 * other means, such as an HTTPS request: `unix_s` seconds since 1970-01-01T00:00:00Z at `now_ms`. If the clock here
 * is far from it and the configuration's `correct_clock` allows it, `again` is set to true and the registration goes
 * on, once, with a token that is signed by that time: poll it again. Otherwise `again` is set to false, and the
 * failure and its hints take the time into account.
 *
 * Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`; `DPS_ERROR_MISUSE`, and changes nothing, when the
 * service has not refused a token.
 */
DPS_NODISCARD
dps_result dps_registration_correct_clock(dps_registration *registration,
                                          uint64_t now_ms,
                                          uint64_t unix_s,
                                          bool *again);

/**
 * Whether the wall time was learned from the service (`dps_config.earliest_unix_s`): good for the tokens of this
 * registration and for nothing else. Do not store it, or set a clock by it.
 */
bool dps_registration_is_time_learned(const dps_registration *registration);

/**
 * The next thing to do at `now_ms`, milliseconds on a clock that never goes back. Repeated calls are harmless.
 *
 * Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_poll(dps_registration *registration,
                                 uint64_t now_ms,
                                 dps_action *action);

/**
 * `DPS_ACTION_SIGN`: the bytes to sign; empty when no signature is awaited. Valid until the next call on the
 * registration that takes it as not const.
 */
dps_span dps_registration_to_sign(const dps_registration *registration);

/**
 * `DPS_ACTION_SEND`: the SAS token, a secret: the password of MQTT, the Authorization of HTTP. Empty when no reply is
 * awaited, or the request carries none: then it has no Authorization, and CONNECT no password. Valid as that of
 * `dps_registration_to_sign`.
 */
dps_span dps_registration_token(const dps_registration *registration);

/**
 * `DPS_ACTION_SEND`: counts up with every new token, from 1. A connection made with an older one has to be made anew. 0
 * when no reply is awaited, or the request carries no token: always with a certificate.
 */
uint32_t dps_registration_token_generation(const dps_registration *registration);

/** `DPS_ACTION_SEND`: what is asked of the service; `DPS_CALL_NONE` when no reply is awaited. */
dps_call dps_registration_call(const dps_registration *registration);

/**
 * Passes on the signature that was asked for with this `id`.
 *
 * Returns `DPS_ERROR_MISUSE`, and changes nothing, when no signature is awaited with this id;
 * `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_handle_signature(dps_registration *registration,
                                             uint64_t now_ms,
                                             uint32_t id,
                                             const dps_signature *signature);

/**
 * Ends the registration because there will be no signature.
 *
 * Returns the same as `dps_registration_handle_signature`.
 */
DPS_NODISCARD
dps_result dps_registration_handle_sign_error(dps_registration *registration,
                                              uint64_t now_ms,
                                              uint32_t id);

/**
 * Abandons what is pending, so that the next poll asks for it again: for a caller that lost track.
 *
 * Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_abandon(dps_registration *registration);

/**
 * Ends the registration now, unless it is over; its outcome is `DPS_ERROR_CANCELLED`.
 *
 * Returns `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_cancel(dps_registration *registration);

/**
 * Writes the operation under way, with a NUL after it: one line without a secret. Store it, and a restarted device
 * goes on from it by `dps_registration_init_resumed`.
 *
 * Returns `DPS_ERROR_MISUSE` when no operation is under way; `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would
 * do in `length`; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_write_operation(const dps_registration *registration,
                                            dps_buffer out,
                                            size_t *length);

/**
 * Ends the use of a registration and wipes its storage, which is the caller's again, as are the texts it was given.
 * Null, and memory that holds no registration, do no harm.
 */
void dps_registration_clear(dps_registration *registration);

/* A registration by a certificate -------------------------------------------- */

/**
 * As `dps_registration_init`, for a device that proves who it is by a certificate in TLS. Certificate, chain and
 * private key are the TLS library's: let it send every intermediate certificate up to one that the service has
 * verified. The registration id of the configuration must be the common name of the certificate.
 *
 * Requests carry no token: `DPS_ACTION_SIGN` never comes, the time need not be set, and `dps_registration_token` is empty.
 * Leave out the Authorization of HTTP, and the password of MQTT: the CONNECT flags are 130, with the user name and a
 * clean session. Where the TLS library reports that the server refused the certificate, pass
 * `DPS_ERROR_CLIENT_CERTIFICATE_REFUSED` to `dps_registration_handle_link_error`.
 */
DPS_NODISCARD
dps_result dps_registration_init_x509(dps_registration *registration,
                                      const dps_config *config,
                                      dps_buffer storage);

/** As `dps_registration_init_lookup`, for a device with a certificate: see `dps_registration_init_x509`. HTTPS only. */
DPS_NODISCARD
dps_result dps_registration_init_x509_lookup(dps_registration *registration,
                                             const dps_config *config,
                                             dps_buffer storage);

/** As `dps_registration_init_resumed`, for a device with a certificate: see `dps_registration_init_x509`. */
DPS_NODISCARD
dps_result dps_registration_init_x509_resumed(dps_registration *registration,
                                              const dps_config *config,
                                              dps_buffer storage,
                                              dps_span operation);

/* A registration by a TPM ---------------------------------------------------- */

/** The size of a `dps_tpm`, in words of 8 bytes. */
#define DPS_TPM_WORDS 6

/**
 * A TPM 2.0, by its endorsement key. Opaque, in the caller's memory; may not be copied or moved. Made by
 * `dps_tpm_init`.
 */
typedef struct dps_tpm {
    /** Not for reading. */
    uint64_t opaque[DPS_TPM_WORDS];
} dps_tpm;

/**
 * Names a TPM by the public areas (`TPM2B_PUBLIC`) of its endorsement key, by which the service knows the device, and
 * of its storage root key, under which it imports what the service sends. Both must stay as they are, and `tpm`
 * itself, until the `dps_registration_clear` of a registration with it.
 *
 * Returns `DPS_ERROR_INVALID_ARGUMENT`, also when a key is empty. Then `tpm` is not an object.
 */
DPS_NODISCARD
dps_result dps_tpm_init(dps_tpm *tpm,
                        dps_span endorsement_key,
                        dps_span storage_root_key);

/**
 * As `dps_registration_init`, for a device that proves who it is by its TPM. HTTPS only. The first request carries no
 * token; the service's 401 holds a challenge, which `DPS_ACTION_ACTIVATE` asks to be activated; tokens are then signed
 * with the key that it held.
 *
 * Also returns `DPS_ERROR_INVALID_OBJECT` for a `tpm` that is not an object.
 */
DPS_NODISCARD
dps_result dps_registration_init_tpm(dps_registration *registration,
                                     const dps_config *config,
                                     const dps_tpm *tpm,
                                     dps_buffer storage);

/**
 * `DPS_ACTION_ACTIVATE`: the challenge as bytes, decoded in `buffer`, which is the one that the last reply was handed
 * over in. Pass it to the TPM: `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET` for `TPM2_ActivateCredential`, which returns the
 * AES-128 key of the inner wrapper; `TPM2B_PRIVATE`, `TPM2B_ENCRYPTED_SECRET` and `TPM2B_PUBLIC` of the HMAC key for
 * `TPM2_Import` under the storage root key; then a size of 2 bytes and data that is not needed. Empty when no activation is
 * awaited, or the challenge cannot be read: answer with `dps_registration_handle_activate_error` then.
 */
dps_span dps_registration_challenge(const dps_registration *registration,
                                    dps_buffer buffer);

/**
 * The key for the hub that the assignment holds, wrapped for the TPM as the challenge was; otherwise as
 * `dps_registration_challenge`.
 */
dps_span dps_registration_hub_key(const dps_registration *registration,
                                  dps_buffer buffer);

/**
 * Continues after the challenge was activated: from now on, sign with the key that it held.
 *
 * Returns `DPS_ERROR_MISUSE`, and changes nothing, when no activation is awaited with this id;
 * `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_handle_activation(dps_registration *registration,
                                              uint64_t now_ms,
                                              uint32_t id);

/**
 * Ends the registration because the challenge was not activated.
 *
 * Returns the same as `dps_registration_handle_activation`.
 */
DPS_NODISCARD
dps_result dps_registration_handle_activate_error(dps_registration *registration,
                                                  uint64_t now_ms,
                                                  uint32_t id);

/* Failures of the link ------------------------------------------------------- */

/**
 * Ends the request with this `id` without a reply. `error` is what went wrong: a `DPS_ERROR_*` of the
 * link, such as `DPS_ERROR_CONNECTION_CUT`; the machine decides whether to try again. `detail` is the return code of
 * CONNACK with `DPS_ERROR_MQTT_REFUSED`, the proxy's status with `DPS_ERROR_PROXY_REFUSED`, the size that would do
 * with `DPS_ERROR_REPLY_TOO_LARGE` and `DPS_ERROR_REQUEST_TOO_LARGE`, and 0 otherwise or where it is not known.
 *
 * Returns `DPS_ERROR_MISUSE`, and changes nothing, when no reply is awaited with this id; `DPS_ERROR_INVALID_OBJECT`;
 * `DPS_ERROR_INVALID_ARGUMENT`, also for a number that no link returns, and for a return code or a status that none
 * is.
 */
DPS_NODISCARD
dps_result dps_registration_handle_link_error(dps_registration *registration,
                                              uint64_t now_ms,
                                              uint32_t id,
                                              int32_t error,
                                              uint32_t detail);

/* The outcome ---------------------------------------------------------------- */

/** How far a registration is. */
typedef uint32_t dps_status;
enum {
    /** A word that this version does not know. */
    DPS_STATUS_UNKNOWN = 0,
    /** Not registered yet. */
    DPS_STATUS_UNASSIGNED = 1,
    /** Under way. */
    DPS_STATUS_ASSIGNING = 2,
    /** Done: hub and device id are known. */
    DPS_STATUS_ASSIGNED = 3,
    /** The service could not do it. */
    DPS_STATUS_FAILED = 4,
    /** The enrollment is disabled. */
    DPS_STATUS_DISABLED = 5,
};

/** What is wrong with a reply that is JSON but cannot be used. A newer library may return new numbers. */
typedef uint32_t dps_reply_problem;
enum {
    /** Nothing, or nothing that is known. */
    DPS_REPLY_PROBLEM_NONE = 0,
    /** It has no registration status. */
    DPS_REPLY_PROBLEM_NO_STATUS = 1,
    /** It has no usable operation id, though the registration is under way. */
    DPS_REPLY_PROBLEM_NO_OPERATION = 2,
    /** It assigns the device, but lacks the hub or the device id. */
    DPS_REPLY_PROBLEM_NO_HUB = 3,
    /** Its assigned hub is not a host name. */
    DPS_REPLY_PROBLEM_HUB = 4,
    /** Its device id is longer than 128 characters, or has characters that no device id of a hub has. */
    DPS_REPLY_PROBLEM_DEVICE_ID = 5,
    /** Its substatus is not a word. */
    DPS_REPLY_PROBLEM_SUBSTATUS = 6,
    /** Something that this library has no number for. */
    DPS_REPLY_PROBLEM_OTHER = 7,
};

/** A likely cause of a failure. Constants. */
typedef struct dps_hint {
    /** Its name, such as `clock-behind`. */
    dps_span name;
    /** What may be wrong and what to do, in a sentence. */
    dps_span text;
} dps_hint;

/**
 * How it ended: `DPS_OK` when the device has a hub, or a lookup found its record; otherwise the reason why it failed.
 *
 * `DPS_ERROR_MISUSE` while it is not over; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`. With any of these
 * three, and while it is not over, the functions below return 0 or an empty span.
 */
DPS_NODISCARD
dps_result dps_registration_result(const dps_registration *registration);

/**
 * How far the device's registration is: `DPS_STATUS_ASSIGNED` after a registration that succeeded; what the record has
 * after a lookup.
 */
dps_status dps_registration_status(const dps_registration *registration);

/**
 * The hub's host name. Like every span of the outcome, it points into the registration's storage until the next call
 * on the registration that takes it as not const, and is empty where the service sent none.
 */
dps_span dps_registration_assigned_hub(const dps_registration *registration);

/** The device id at the hub; case-sensitive there. */
dps_span dps_registration_device_id(const dps_registration *registration);

/** How the assignment came about, such as `initialAssignment`. An open list; only to inform. */
dps_span dps_registration_substatus(const dps_registration *registration);

/** The operation of the service that registers the device, or did; empty when the service assigned at once. */
dps_span dps_registration_operation_id(const dps_registration *registration);

/**
 * The custom payload, a JSON object, in `reply`: the buffer that the last reply was handed over in, which must be
 * unchanged since.
 */
dps_span dps_registration_payload(const dps_registration *registration,
                                  dps_buffer reply);

/** Whether to try again after a failure. */
dps_verdict dps_registration_verdict(const dps_registration *registration);

/** With `DPS_VERDICT_AFTER`: how long to wait first. */
uint64_t dps_registration_retry_after_ms(const dps_registration *registration);

/** After a failure: the service's HTTP status, the number in MQTT's topic, or the proxy's status. */
uint32_t dps_registration_http_status(const dps_registration *registration);

/** The service's six-digit code of an error; also that of a record. */
uint32_t dps_registration_service_code(const dps_registration *registration);

/** After a failure: the id by which the service's support finds the request. */
dps_span dps_registration_tracking_id(const dps_registration *registration);

/** The service's message about an error, cut to what fits the storage; also that of a record. */
dps_span dps_registration_message(const dps_registration *registration);

/** After a failure: when the service noted the error, ISO 8601. */
dps_span dps_registration_timestamp(const dps_registration *registration);

/**
 * After a failure: seconds that this device's clock is behind (positive) or ahead of (negative) the service's, where
 * far.
 */
int64_t dps_registration_clock_skew_s(const dps_registration *registration);

/** After a failure for want of space: the size in bytes that would have done. */
size_t dps_registration_needed(const dps_registration *registration);

/** With `DPS_ERROR_INVALID_REPLY`: what is wrong with the reply, where it was JSON. */
dps_reply_problem dps_registration_reply_problem(const dps_registration *registration);

/**
 * The likely causes of a failure, the likeliest at `index` 0. Firmware that never calls it links none of the texts.
 *
 * Returns `DPS_ERROR_INVALID_ARGUMENT` past the last; `DPS_ERROR_MISUSE` when the registration has not failed;
 * `DPS_ERROR_INVALID_OBJECT`.
 */
DPS_NODISCARD
dps_result dps_registration_hint(const dps_registration *registration,
                                 size_t index,
                                 dps_hint *hint);

/* MQTT ----------------------------------------------------------------------- */

/** The port of MQTT over TLS. */
#define DPS_MQTT_PORT 8883

/** A buffer that holds any user name with its NUL, when `user_agent` has up to 64 bytes. */
#define DPS_MQTT_USER_NAME_SIZE 456

/** A buffer that holds any topic with its NUL. */
#define DPS_MQTT_TOPIC_SIZE 208

/**
 * A buffer that holds any payload with its NUL, when the configuration has none of its own; else add the length of
 * that and 12.
 */
#define DPS_MQTT_PAYLOAD_SIZE 152

/** A buffer that holds any user name for a hub with its NUL, when `user_agent` has up to 64 bytes. */
#define DPS_MQTT_HUB_USER_NAME_SIZE 624

/**
 * Writes the user name of CONNECT, with a NUL after it. The client id is the registration id, the password the token
 * of the action; after `dps_registration_init_x509` the password is left out. `user_agent` may be empty, and is percent-encoded. Subscribe to `DPS_MQTT_SUBSCRIBE_FILTER` before
 * the first request. The user name is the same before, between and after requests.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_OBJECT`,
 * `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_mqtt_write_user_name(const dps_registration *registration,
                                    dps_span user_agent,
                                    dps_buffer out,
                                    size_t *length);

/**
 * Writes the user name of CONNECT to the assigned hub, with a NUL after it. The client id is `device_id`, the password
 * a token for `DPS_SAS_HUB_DEVICE` (`dps_sas_finish`); a device with a certificate presents the same one to the hub,
 * and sends no password. `user_agent` may be empty.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_ARGUMENT`, also
 * when `hub` or `device_id` is empty.
 */
DPS_NODISCARD
dps_result dps_mqtt_write_hub_user_name(dps_span hub,
                                        dps_span device_id,
                                        dps_span user_agent,
                                        dps_buffer out,
                                        size_t *length);

/**
 * Writes the topic to publish the request to, with a NUL after it. Publish with QoS 1.
 *
 * Returns `DPS_ERROR_MISUSE` when no request is to be sent; `DPS_ERROR_UNSUPPORTED_BY_TRANSPORT` for a lookup or the
 * time, which MQTT does not have: pass it to `dps_registration_handle_link_error`; otherwise the same as
 * `dps_mqtt_write_user_name`.
 */
DPS_NODISCARD
dps_result dps_mqtt_write_topic(const dps_registration *registration,
                                dps_buffer out,
                                size_t *length);

/**
 * Writes the payload to publish, with a NUL after it that `length` does not count; it is empty for `DPS_CALL_STATUS`.
 *
 * Returns `DPS_ERROR_MISUSE` when no request is to be sent; otherwise the same as `dps_mqtt_write_user_name`.
 */
DPS_NODISCARD
dps_result dps_mqtt_write_payload(const dps_registration *registration,
                                  dps_buffer out,
                                  size_t *length);

/**
 * Passes on a message that was received: the reply to the pending request, if its topic names it. `payload` is changed
 * in place; the custom payload of the outcome stays in it. A reply that cannot be read counts as a failed request.
 *
 * Returns `DPS_ERROR_MISUSE`, and changes nothing, for a message that answers no pending request (ignore it);
 * `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_handle_mqtt(dps_registration *registration,
                                        uint64_t now_ms,
                                        dps_span topic,
                                        dps_buffer payload);

/** What to subscribe to before the first request. */
#define DPS_MQTT_SUBSCRIBE_FILTER "$dps/registrations/res/#"

/* MQTT by hand --------------------------------------------------------------- */

/** What a reply to a request over MQTT has. Spans point into the payload that was read; a missing value is empty, or 0. */
typedef struct dps_wire_reply {
    /** The number of the request that is answered. Ignore a reply to a request that is not pending. */
    uint32_t request_id;
    /** The number in the topic, 100 to 599: the status that HTTP would have. */
    uint32_t http_status;
    /** How long to wait before the next request, when the service sends a hint. */
    uint32_t retry_after_ms;
    /** How far the registration is; `DPS_STATUS_UNKNOWN` also when the reply has no status, as an error has none. */
    dps_status status;
    /** The service's six-digit code of an error. */
    uint32_t service_code;
    /** The operation to ask about until `status` is no longer `DPS_STATUS_ASSIGNING`. */
    dps_span operation_id;
    /** The hub's host name. */
    dps_span assigned_hub;
    /** The device id at the hub; case-sensitive there. */
    dps_span device_id;
    /** How the assignment came about, such as `initialAssignment`. An open list; only to inform. */
    dps_span substatus;
    /** The service's words about an error. Unlike the spans above it can have any characters. */
    dps_span message;
    /** By which the service's support finds the request. It can have any characters. */
    dps_span tracking_id;
    /** Where the custom payload, a JSON object, begins in the payload that was read. */
    size_t payload_offset;
    /** Its length in bytes. */
    size_t payload_length;
} dps_wire_reply;

/**
 * Writes the user name of CONNECT, with a NUL after it: `dps_mqtt_write_user_name` without a registration.
 * `DPS_MQTT_USER_NAME_SIZE` bytes always suffice. The client id is the registration id, the password a token for
 * `DPS_SAS_REGISTRATION`; a device with a certificate sends no password. Subscribe to `DPS_MQTT_SUBSCRIBE_FILTER` before the first request. `user_agent` may be
 * empty, and is percent-encoded.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_ID_SCOPE`,
 * `DPS_ERROR_INVALID_REGISTRATION_ID`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_wire_write_user_name(dps_span id_scope,
                                    dps_span registration_id,
                                    dps_span user_agent,
                                    dps_buffer out,
                                    size_t *length);

/**
 * Writes the topic to publish a request to, with a NUL after it. Publish with QoS 1. `request_id` comes back in the
 * reply. `operation_id` is empty to register, or the one of a reply, to ask for the status of that registration. Then
 * the message to publish is empty. `DPS_MQTT_TOPIC_SIZE` bytes always suffice.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_ARGUMENT`, also
 * when `operation_id` has other characters than the service's.
 */
DPS_NODISCARD
dps_result dps_wire_write_topic(uint32_t request_id,
                                dps_span operation_id,
                                dps_buffer out,
                                size_t *length);

/**
 * Writes the message to publish to register, followed by a NUL that `length` does not count. `payload` is a JSON
 * object for the allocation webhook, or empty; it is sent as it is, and the service refuses what is not JSON.
 * `DPS_MQTT_PAYLOAD_SIZE` bytes always suffice without; else add the length of `payload` and 12.
 *
 * Returns `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do in `length`; `DPS_ERROR_INVALID_REGISTRATION_ID`,
 * `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_wire_write_payload(dps_span registration_id,
                                  dps_span payload,
                                  dps_buffer out,
                                  size_t *length);

/**
 * Reads a message that was received: the reply to a request. `payload` is changed in place; the spans of `reply`
 * hold until it is used otherwise. Names that are not those of a hub, a device or an operation are refused: what is in
 * `assigned_hub`, `device_id`, `substatus` and `operation_id` can go into a URI, a connection string or a topic.
 *
 * Returns `DPS_ERROR_MISUSE` for a message with another topic (ignore it); `DPS_ERROR_INVALID_REPLY` when the service
 * accepted the request and the payload is not a reply that can be used; `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_wire_read_reply(dps_span topic,
                               dps_buffer payload,
                               dps_wire_reply *reply);

/* HTTP ----------------------------------------------------------------------- */

/** The port of HTTPS. */
#define DPS_HTTPS_PORT 443

/** A buffer that holds any target with its NUL, when the operation id has up to 128 bytes. */
#define DPS_HTTP_TARGET_SIZE 960

/**
 * A buffer that holds any body with its NUL, when the configuration has no payload; else add the length of that and
 * 12.
 */
#define DPS_HTTP_BODY_SIZE 160

/**
 * A buffer that holds any whole request with its NUL, when `user_agent` has up to 64 bytes and the configuration has
 * no payload; else add the length of that and 20.
 */
#define DPS_HTTP_REQUEST_SIZE 2304

/** What of a reply's head matters. Spans hold the values of headers as they came; empty without the header. */
typedef struct dps_http_head {
#if defined(DPS_HOSTED)
    /** `sizeof(dps_http_head)`. */
    size_t size;
#endif
    /** The status, 100 to 599. */
    uint32_t status;
    /** The value of `Retry-After`. */
    dps_span retry_after;
    /** The value of `Date`. From it the machine learns the time, if nobody has set it. */
    dps_span date;
} dps_http_head;

/** How far a reply has come. */
typedef struct dps_http_progress {
    /** Whether the reply is all there, and was handed over; else read more. */
    bool complete;
    /** When complete: whether this connection can carry no other request. */
    bool close;
} dps_http_progress;

/** The method of the request that is to be sent, such as `PUT`; empty when no request is pending. A constant. */
dps_span dps_http_method(const dps_registration *registration);

/**
 * Writes the target of the request, path and query, with a NUL after it. To be sent along are `Authorization` with the
 * token of the action, if there is one, `Accept: application/json`, and with a body `Content-Type: application/json; charset=utf-8`.
 *
 * Returns `DPS_ERROR_MISUSE` when no request is to be sent; `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do
 * in `length`; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_http_write_target(const dps_registration *registration,
                                 dps_buffer out,
                                 size_t *length);

/**
 * Writes the body of the request, with a NUL after it that `length` does not count; it is empty for `DPS_CALL_STATUS`.
 *
 * Returns the same as `dps_http_write_target`.
 */
DPS_NODISCARD
dps_result dps_http_write_body(const dps_registration *registration,
                               dps_buffer out,
                               size_t *length);

/**
 * Writes the whole request, head and body, with a NUL after it that `length` does not count. It holds the token: wipe
 * it after sending.
 *
 * Returns the same as `dps_http_write_target`; `DPS_ERROR_INVALID_ARGUMENT` also when `user_agent` cannot be the value
 * of a header.
 */
DPS_NODISCARD
dps_result dps_http_write_request(const dps_registration *registration,
                                  dps_span user_agent,
                                  dps_buffer out,
                                  size_t *length);

/**
 * Passes on the reply to the request with this `id`, read by an HTTP library. `body` is changed in place; the custom
 * payload of the outcome stays in it. A reply that cannot be read counts as a failed request.
 *
 * Returns `DPS_ERROR_MISUSE`, and changes nothing, when no reply is awaited with this id; `DPS_ERROR_INVALID_OBJECT`;
 * `DPS_ERROR_INVALID_ARGUMENT`, also for a status that HTTP does not have.
 */
DPS_NODISCARD
dps_result dps_registration_handle_http(dps_registration *registration,
                                        uint64_t now_ms,
                                        uint32_t id,
                                        const dps_http_head *head,
                                        dps_buffer body);

/**
 * Passes on what was received so far of the reply to the request with this `id`: `received` bytes at the start of
 * `buffer`. `ended` means that the server has closed the connection and nothing more will come. While
 * `progress->complete` is false, read more after those bytes and call again; then the reply was read, or the reason
 * why it cannot be. `buffer` is changed then; the custom payload of the outcome stays in it.
 *
 * Returns `DPS_ERROR_MISUSE`, and changes nothing, when no reply is awaited with this id; `DPS_ERROR_INVALID_OBJECT`;
 * `DPS_ERROR_INVALID_ARGUMENT`, also when `received` is more than the buffer has.
 */
DPS_NODISCARD
dps_result dps_registration_receive_http(dps_registration *registration,
                                         uint64_t now_ms,
                                         uint32_t id,
                                         dps_buffer buffer,
                                         size_t received,
                                         bool ended,
                                         dps_http_progress *progress);

/* Other API versions, and the hub's protocol --------------------------------- */

/** The protocol that the assigned hub speaks. A newer library may return new numbers. */
typedef uint32_t dps_connection_profile;
enum {
    /** The API version of the requests does not report it. */
    DPS_CONNECTION_PROFILE_NOT_REPORTED = 0,
    /** MQTT 3.1.1, with the user name that `dps_mqtt_write_hub_user_name` writes. */
    DPS_CONNECTION_PROFILE_CLASSIC = 1,
    /** MQTT 5. */
    DPS_CONNECTION_PROFILE_MQTT_V5 = 2,
    /** A word that this version does not know. */
    DPS_CONNECTION_PROFILE_OTHER = 3,
};

/**
 * As `dps_mqtt_write_user_name`, by another API version, such as `DPS_API_VERSION_ISSUANCE`.
 *
 * Returns the same; `DPS_ERROR_INVALID_ARGUMENT` also when `api_version` is empty or has other characters than a version.
 */
DPS_NODISCARD
dps_result dps_mqtt_write_versioned_user_name(const dps_registration *registration,
                                              dps_span api_version,
                                              dps_span user_agent,
                                              dps_buffer out,
                                              size_t *length);

/**
 * As `dps_http_write_target`, by another API version, such as `DPS_API_VERSION_ISSUANCE`.
 *
 * Returns the same; `DPS_ERROR_INVALID_ARGUMENT` also when `api_version` is empty or has other characters than a version.
 */
DPS_NODISCARD
dps_result dps_http_write_versioned_target(const dps_registration *registration,
                                           dps_span api_version,
                                           dps_buffer out,
                                           size_t *length);

/**
 * As `dps_http_write_request`, by another API version, such as `DPS_API_VERSION_ISSUANCE`.
 *
 * Returns the same; `DPS_ERROR_INVALID_ARGUMENT` also when `api_version` is empty or has other characters than a version.
 */
DPS_NODISCARD
dps_result dps_http_write_versioned_request(const dps_registration *registration,
                                            dps_span api_version,
                                            dps_span user_agent,
                                            dps_buffer out,
                                            size_t *length);

/**
 * Reads which protocol the assigned hub speaks, of an assignment or of the record that a lookup found. `api_version` is the
 * one that the requests had: `DPS_API_VERSION_PROFILE` or a later one, or the profile is
 * `DPS_CONNECTION_PROFILE_NOT_REPORTED`. `reply` is the buffer that the last reply was handed over in, which must be unchanged
 * since. `word` is the service's word, in `reply` or a constant; empty when the service reported nothing. With another profile
 * than the first two, do not use `dps_mqtt_write_hub_user_name`.
 *
 * Returns `DPS_ERROR_MISUSE` unless the registration succeeded (`dps_registration_result`); `DPS_ERROR_INVALID_REPLY` when the
 * profile is not a word; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_connection_profile(const dps_registration *registration,
                                               dps_span api_version,
                                               dps_buffer reply,
                                               dps_connection_profile *profile,
                                               dps_span *word);

/** The API version for a registration with a certificate request. */
#define DPS_API_VERSION_ISSUANCE "2026-11-01"
/** The API version by which the service reports the hub's protocol, a preview. */
#define DPS_API_VERSION_PROFILE "2026-11-02-preview"

/* Certificates that the service issues --------------------------------------- */

/** The size of a `dps_certificate_request`, in words of 8 bytes. */
#define DPS_CERTIFICATE_REQUEST_WORDS 9

/**
 * A certificate request. Opaque, in the caller's memory; may not be copied or moved. Made by
 * `dps_certificate_request_init` or `dps_certificate_request_init_reader`, for one registration at a time.
 */
typedef struct dps_certificate_request {
    /** Not for reading. */
    uint64_t opaque[DPS_CERTIFICATE_REQUEST_WORDS];
} dps_certificate_request;

/**
 * Fills `out` with the bytes of the certificate request from `offset` on, and returns true; false when they cannot be read.
 * It is called several times for the same bytes, which must be the same each time, 48 bytes at a time, and must not call the
 * library with the registration.
 */
typedef bool (*dps_certificate_request_reader)(void *context, size_t offset, dps_buffer out);

/**
 * Makes a certificate request of its bytes: PKCS #10 in DER (RFC 2986), with the registration id as its common name. They
 * must stay as they are, and `request` itself, until the `dps_registration_clear` of a registration with it. They are not
 * parsed.
 *
 * Returns `DPS_ERROR_CERTIFICATE_REQUEST` for an empty request; `DPS_ERROR_INVALID_ARGUMENT`. Then `request` is not an object.
 */
DPS_NODISCARD
dps_result dps_certificate_request_init(dps_certificate_request *request,
                                        dps_span der);

/**
 * As `dps_certificate_request_init`, for a request of `length` bytes that need not be in memory: `read` returns them piece
 * by piece, from flash, a secure element, or made anew. It is called here, before each registration is signed, and while
 * the message is written; nothing is sent when the bytes have changed since the first time, and the registration ends with
 * `DPS_ERROR_CERTIFICATE_REQUEST`.
 *
 * Also returns `DPS_ERROR_CERTIFICATE_REQUEST` when `read` returns false.
 */
DPS_NODISCARD
dps_result dps_certificate_request_init_reader(dps_certificate_request *request,
                                               size_t length,
                                               dps_certificate_request_reader read,
                                               void *context);

/**
 * Sends the certificate request with the registration, whatever its attestation: after one of the
 * `dps_registration_init` functions, and before the first poll. The service issues a chain if the enrollment has a
 * certificate policy; `dps_registration_issued_certificate` reads it. Requests must use the API version
 * `DPS_API_VERSION_ISSUANCE`: write the user name by `dps_mqtt_write_versioned_user_name`, the target or the whole request by
 * `dps_http_write_versioned_target` or `dps_http_write_versioned_request`. With an older version the service ignores the
 * request, and the device is assigned without a certificate.
 *
 * Add 4 bytes for each 3 of the request, and 16, to the size of buffers for bodies (`DPS_HTTP_BODY_SIZE`,
 * `DPS_HTTP_REQUEST_SIZE`, `DPS_MQTT_PAYLOAD_SIZE`). The reply buffer must hold the chain: 8 KiB suffice for three
 * certificates of P-384, 16 KiB for five of RSA-2048. A smaller one ends the registration with
 * `DPS_ERROR_REPLY_TOO_LARGE`, with the size in `dps_registration_needed` where it is known; write the operation, and go on
 * from it by `dps_registration_init_resumed` with a larger one.
 *
 * Returns `DPS_ERROR_MISUSE` for a lookup, which cannot carry a request, for a registration that has one, and once it was
 * polled; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`. Then nothing is changed.
 */
DPS_NODISCARD
dps_result dps_registration_set_certificate_request(dps_registration *registration,
                                                    dps_certificate_request *request);

/**
 * Reads a certificate of the issued chain, in DER: the device's at `index` 0, each of the next the issuer of the one before,
 * the root last. `certificate` is empty after the last one; at 0, when nothing was issued. `reply` is the buffer that the
 * last reply was handed over in, which must be unchanged since: the certificate is decoded there, and stays. Check the first
 * certificate against the device's key and registration id before you use it.
 *
 * Returns `DPS_ERROR_MISUSE` unless the registration succeeded (`dps_registration_result`); `DPS_ERROR_INVALID_REPLY` when the
 * chain is not a list, or this element of it not base64; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
 */
DPS_NODISCARD
dps_result dps_registration_issued_certificate(const dps_registration *registration,
                                               dps_buffer reply,
                                               size_t index,
                                               dps_span *certificate);

#ifdef DPS_HOSTED

/* Hosted: cancelling --------------------------------------------------------- */

/** Cancels the calls whose configuration contains it. It can be used by any number of threads and calls at the same time. */
typedef struct dps_cancel_token dps_cancel_token;

/** Returns a new token. Free it with `dps_cancel_token_free`. */
dps_cancel_token *dps_cancel_token_new(void);

/**
 * Cancels every call that has this token, now and later: they close their connection and return `DPS_ERROR_CANCELLED`. It
 * can be called from any thread, but not from a signal handler. A second call has no effect, and null is ignored.
 */
void dps_cancel_token_cancel(const dps_cancel_token *token);

/** Frees a token. Calls that were started with it continue, and can no longer be canceled by it. Null is ignored. */
void dps_cancel_token_free(dps_cancel_token *token);

/* Hosted: the log ------------------------------------------------------------ */

/** The level of a log record. */
typedef uint32_t dps_log_level;
enum {
    /** Errors. */
    DPS_LOG_ERROR = 1,
    /** Possible problems. */
    DPS_LOG_WARN = 2,
    /** Start and end of a call. */
    DPS_LOG_INFO = 3,
    /** Each step. */
    DPS_LOG_DEBUG = 4,
    /** Everything. */
    DPS_LOG_TRACE = 5,
};

/**
 * Receives the log records of a call, on the thread that made the call, before the call returns. `level` is a
 * `dps_log_level`, `target` the part of the library that logs; both strings end with a NUL and live until the function
 * returns. It must return, and must not call `longjmp`. The records contain no secrets.
 */
typedef void (*dps_log_function)(void *context,
                                 uint32_t level,
                                 const char *target,
                                 const char *message);

/* Hosted: progress ----------------------------------------------------------- */

/** The next step of a call. */
typedef uint32_t dps_progress_kind;
enum {
    /** To sign a token. */
    DPS_PROGRESS_SIGNING = 1,
    /** To send a request, and to connect first where needed. */
    DPS_PROGRESS_SENDING = 2,
    /** To wait. */
    DPS_PROGRESS_WAITING = 3,
    /** To try the next credential, since the service refused the one before it. */
    DPS_PROGRESS_SWITCHING = 4,
};

/**
 * The next step of a call. It lives, with its string, until the `progress` function returns. Newer versions of the library
 * may add members at the end, and kinds.
 */
typedef struct dps_progress {
    /** The kind of the step. */
    dps_progress_kind kind;
    /** `SENDING`: the request. */
    dps_call call;
    /** `WAITING`: the length of the wait. */
    uint64_t wait_ms;
    /**
     * `WAITING`: the resume token; set `resume` to it in a later call, to continue from here. It ends with a NUL and is
     * never null; it is empty if there is no operation to continue.
     */
    const char *resume;
    /** `SWITCHING`: the refused credential, where 0 is the one of `dps_client_config`, 1 its `fallback`, and so on. */
    uint32_t refused_credential;
    /** `SWITCHING`: the credential that is tried next, counted as above. */
    uint32_t next_credential;
} dps_progress;

/**
 * Is called before each signature, request, wait and change of the credential, on the thread that made the call. If it returns 0, the call
 * continues; any other number ends the call with `DPS_ERROR_CANCELLED`, before anything more is signed or sent. It must
 * return quickly, since the call waits for it, and must not call `longjmp`.
 */
typedef int (*dps_progress_function)(void *context, const dps_progress *progress);

/* Hosted: errors ------------------------------------------------------------- */

/** The error of a call. Free it with `dps_error_free`; strings and spans from it live as long. */
typedef struct dps_error dps_error;

/** The facts of an error. Spans live as long as the error; what is not known is empty or 0. */
typedef struct dps_failure {
    /** The number of the error: a `DPS_ERROR_*`. */
    dps_result result;
    /** Whether to retry. */
    dps_verdict verdict;
    /** With `DPS_VERDICT_AFTER`: how long to wait before the retry. */
    uint64_t retry_after_ms;
    /** The service's HTTP status, the number in MQTT's topic, or the proxy's status. */
    uint32_t http_status;
    /** The service's six-digit code. */
    uint32_t service_code;
    /** The service's tracking id, by which Azure's support finds the request. */
    dps_span tracking_id;
    /** The service's message. */
    dps_span message;
    /** The service's timestamp of the error, in ISO 8601. */
    dps_span timestamp;
    /** The seconds by which the device's clock is behind (positive) or ahead of (negative) the service's, if it is far off. */
    int64_t clock_skew_s;
    /** The required size in bytes, if a buffer was too small. */
    size_t needed;
    /** With `DPS_ERROR_INVALID_REPLY`: what is wrong with the reply, if it was JSON. */
    dps_reply_problem reply_problem;
} dps_failure;

/** Why the service refused a credential. Spans live as long as the error that it is from; what is not known is empty or 0. */
typedef struct dps_refused_credential {
    /** Which credential it is: 0 is the one of `dps_client_config`, 1 its `fallback`, and so on. */
    uint32_t credential_index;
    /** `DPS_ERROR_UNAUTHORIZED` or `DPS_ERROR_CLIENT_CERTIFICATE_REFUSED`. */
    dps_result result;
    /** The service's HTTP status, or the number in MQTT's topic. */
    uint32_t http_status;
    /** The service's six-digit code. */
    uint32_t service_code;
    /** The service's tracking id, by which Azure's support finds the request. */
    dps_span tracking_id;
    /** What went wrong. */
    dps_span message;
} dps_refused_credential;

/**
 * Returns one line with the problem, the facts and the most likely cause. It ends with a NUL, is never null, and contains
 * no secrets.
 */
const char *dps_error_text(const dps_error *error);

/**
 * Writes the facts to `failure`. Its `message` describes the problem, without numbers and hints.
 *
 * Returns `DPS_ERROR_INVALID_ARGUMENT` if a pointer is null.
 */
DPS_NODISCARD
dps_result dps_error_failure(const dps_error *error, dps_failure *failure);

/**
 * Writes one of the likely causes to `hint`; the most likely is at `index` 0.
 *
 * Returns `DPS_ERROR_INVALID_ARGUMENT` if `index` is past the last hint, or if a pointer is null.
 */
DPS_NODISCARD
dps_result dps_error_hint(const dps_error *error, size_t index, dps_hint *hint);

/**
 * Writes to `refused` why the service refused a credential. `index` counts the refusals in their order, from 0. A call with a single
 * credential has no refusals.
 *
 * Returns `DPS_ERROR_INVALID_ARGUMENT` if `index` is past the last refusal, or if a pointer is null.
 */
DPS_NODISCARD
dps_result dps_error_refused_credential(const dps_error *error,
                                        size_t index,
                                        dps_refused_credential *refused);

/**
 * Returns the resume token: set `resume` to it in a later call, to continue the operation that the service had started. It
 * ends with a NUL, is never null, and contains no secrets; it is empty if there is no operation to continue.
 */
const char *dps_error_resume_token(const dps_error *error);

/** Frees an error. Null is ignored. */
void dps_error_free(dps_error *error);

/* Hosted: issued certificates ------------------------------------------------ */

/** A buffer that holds any certificate request for an EC key, or for an RSA key with up to 4096 bits. */
#define DPS_OPERATIONAL_REQUEST_SIZE 2048

/** What the time means for an issued identity. */
typedef uint32_t dps_issued_state;
enum {
    /** The pointer to the identity is null. */
    DPS_ISSUED_STATE_NONE = 0,
    /** It is not valid yet: the device's clock may be behind. */
    DPS_ISSUED_STATE_NOT_YET_VALID = 1,
    /** It is valid, and need not be renewed. */
    DPS_ISSUED_STATE_VALID = 2,
    /** It is valid and should be renewed. */
    DPS_ISSUED_STATE_RENEWAL_DUE = 3,
    /** It has expired: the device registers with its bootstrap credential. */
    DPS_ISSUED_STATE_EXPIRED = 4,
};

/** The kind of an operational key. */
typedef uint32_t dps_key_algorithm;
enum {
    /** EC P-256 with SHA-256. */
    DPS_KEY_ALGORITHM_EC_P256 = 0,
    /** EC P-384 with SHA-384, which the service's documentation names for issued certificates. */
    DPS_KEY_ALGORITHM_EC_P384 = 1,
    /** RSA with 2048 bits and SHA-256. Only in a library that was built with its feature `aws-lc-rs`, the default. */
    DPS_KEY_ALGORITHM_RSA_2048 = 2,
};

/**
 * Certificates that the service issued, the device's own first, as the service sent them. The one of an assignment lives as
 * long as that; free the one of a renewal with `dps_certificate_chain_free`.
 */
typedef struct dps_certificate_chain dps_certificate_chain;

/** A key, and the certificate chain that the service issued for it. Free it with `dps_issued_identity_free`. */
typedef struct dps_issued_identity dps_issued_identity;

/**
 * The private key that a device uses with an issued certificate: another key than the one that the device registers with. Free
 * it with `dps_operational_key_free`, which wipes it unless an identity has it too.
 */
typedef struct dps_operational_key dps_operational_key;

/**
 * Makes a new key. `algorithm` is a `dps_key_algorithm`.
 *
 * Returns `DPS_OK` and sets `*key`, to be freed with `dps_operational_key_free`. Otherwise it returns the number of the error
 * and, unless `error` is null, sets `*error`, to be freed with `dps_error_free`; the other output is left unchanged.
 * `DPS_ERROR_INVALID_ARGUMENT` without an error if `key` is null. The same holds for the functions of these sections that have
 * an `error`.
 */
DPS_NODISCARD
dps_result dps_operational_key_generate(uint32_t algorithm,
                                        dps_operational_key **key,
                                        dps_error **error);

/**
 * Reads a key: PKCS#8, SEC1 or PKCS#1, as PEM or DER, not encrypted. The caller wipes the bytes.
 *
 * Returns the same as `dps_operational_key_generate`; `DPS_ERROR_INVALID_CLIENT_KEY`, or `DPS_ERROR_WRONG_PASSPHRASE` for a key
 * that is encrypted.
 */
DPS_NODISCARD
dps_result dps_operational_key_from_pem(dps_span pem,
                                        dps_operational_key **key,
                                        dps_error **error);

/**
 * Reads a file with a key, as `dps_operational_key_from_pem`.
 *
 * Returns the same; `DPS_ERROR_FILE` if the file cannot be read.
 */
DPS_NODISCARD
dps_result dps_operational_key_from_file(dps_span path,
                                         dps_operational_key **key,
                                         dps_error **error);

/**
 * Uses a private key that is in a PKCS#11 token already. `uri`, `module` and `pin_file` are as `pkcs11_uri`, `pkcs11_module` and
 * `pkcs11_pin_file` of a `dps_client_config`; the last two may be empty. It opens the token, in 30 s at most.
 *
 * Returns the same as `dps_operational_key_generate`; `DPS_ERROR_PKCS11_NO_OBJECT` if the token has no public key beside the
 * private one, and the other errors of tokens.
 */
DPS_NODISCARD
dps_result dps_operational_key_from_pkcs11(dps_span uri,
                                           dps_span module,
                                           dps_span pin_file,
                                           dps_operational_key **key,
                                           dps_error **error);

/**
 * Writes a certificate request for the key: PKCS #10 (RFC 2986) as DER, with the registration id as its common name. It is for
 * `certificate_request` of a `dps_client_config` or a `dps_hub_renewal`. A buffer of `DPS_OPERATIONAL_REQUEST_SIZE` holds any;
 * two requests for the same key can differ by a few bytes in length. A key in a token signs it there.
 *
 * Returns `DPS_OK` and sets `*length`; `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that this request needs in `*length`;
 * otherwise the same as `dps_operational_key_generate`. `DPS_ERROR_INVALID_ARGUMENT` without an error if a pointer is null.
 */
DPS_NODISCARD
dps_result dps_operational_key_write_request(const dps_operational_key *key,
                                             dps_span registration_id,
                                             dps_buffer out,
                                             size_t *length,
                                             dps_error **error);

/** Frees a key. Null is ignored. */
void dps_operational_key_free(dps_operational_key *key);

/**
 * Returns a certificate of a chain as DER; the device's own has the index 0. It lives as long as the chain, and is empty after
 * the last one and for null.
 */
dps_span dps_certificate_chain_certificate(const dps_certificate_chain *chain,
                                           size_t index);

/** Frees the chain of a renewal. Null is ignored. */
void dps_certificate_chain_free(dps_certificate_chain *chain);

/**
 * Checks a chain that was issued: that it is for this key and this registration id, that its certificates fit together, and that
 * they are valid at `now_unix_s`, in seconds since 1970-01-01T00:00:00Z; 0 if the time is not known, which is not checked then. Key
 * and chain can be freed afterwards.
 *
 * Returns `DPS_OK` and sets `*identity`, to be freed with `dps_issued_identity_free`; otherwise the same as
 * `dps_operational_key_generate`: `DPS_ERROR_CLIENT_KEY_MISMATCH`, `DPS_ERROR_COMMON_NAME_MISMATCH`,
 * `DPS_ERROR_CLIENT_CERTIFICATE_EXPIRED`, `DPS_ERROR_INVALID_CLIENT_CERTIFICATE`. An identity that was stored before is still usable.
 */
DPS_NODISCARD
dps_result dps_issued_identity_accept(const dps_operational_key *key,
                                      const dps_certificate_chain *chain,
                                      dps_span registration_id,
                                      uint64_t now_unix_s,
                                      dps_issued_identity **identity,
                                      dps_error **error);

/**
 * Returns the registration id, which is the common name of the certificate. It ends with a NUL, is never null, and lives as long
 * as the identity.
 */
const char *dps_issued_identity_registration_id(const dps_issued_identity *identity);

/**
 * Returns a certificate of the identity as DER; the device's own has the index 0. It lives as long as the identity, and is empty
 * after the last one and for null.
 */
dps_span dps_issued_identity_certificate(const dps_issued_identity *identity,
                                         size_t index);

/** Returns the first moment of its validity, in seconds since 1970-01-01T00:00:00Z; 0 for null. */
uint64_t dps_issued_identity_not_before(const dps_issued_identity *identity);

/** Returns the last moment of its validity, in seconds since 1970-01-01T00:00:00Z; 0 for null. */
uint64_t dps_issued_identity_not_after(const dps_issued_identity *identity);

/**
 * Returns when to renew it, in seconds since 1970-01-01T00:00:00Z: after 75 to 80 % of its life; 0 for null. Which moment it is
 * follows from the certificate, so that it stays the same over restarts and differs between the devices of a fleet.
 */
uint64_t dps_issued_identity_renew_at(const dps_issued_identity *identity);

/**
 * Returns what the time means for it. Use it in the states `VALID` and `RENEWAL_DUE`; otherwise register with the bootstrap
 * credential. `now_unix_s` is in seconds since 1970-01-01T00:00:00Z.
 */
dps_issued_state dps_issued_identity_state(const dps_issued_identity *identity,
                                           uint64_t now_unix_s);

/** Frees an identity, and wipes its key unless an operational key has it too. Null is ignored. */
void dps_issued_identity_free(dps_issued_identity *identity);

/* Hosted: credentials -------------------------------------------------------- */

/**
 * A credential that is tried when the service refuses the one before it: `fallback` of `dps_client_config`. Initialize it with
 * `dps_credential_default`; then set one of the credentials. The members are those of `dps_client_config` with the same names.
 */
typedef struct dps_credential {
    /** The size of the struct, set by `dps_credential_default`. */
    size_t size;
    /** The credential to try when the service refuses this one; null after the last. */
    const struct dps_credential *fallback;
    /** The device's own key as base64: a secret. */
    dps_span device_key;
    /** A file with the device's own key as base64. */
    dps_span device_key_file;
    /** The enrollment group's key as base64, from which the device's is derived. */
    dps_span group_key;
    /** A file with the enrollment group's key as base64. */
    dps_span group_key_file;
    /** A file with the device's certificate and its chain. */
    dps_span certificate_file;
    /** A file with the private key of the certificate. Default: `certificate_file`. */
    dps_span certificate_key_file;
    /** A file with the passphrase of an encrypted private key. */
    dps_span certificate_key_passphrase_file;
    /** The URI of a key in a PKCS#11 token: a symmetric key, or with `certificate_file` the private key of the certificate. */
    dps_span pkcs11_uri;
    /** The token's module. Default: p11-kit's proxy. */
    dps_span pkcs11_module;
    /** A file with the PIN of the token. */
    dps_span pkcs11_pin_file;
    /** How to reach the TPM 2.0. */
    dps_span tpm_tcti;
    /** A file with the password of the TPM's endorsement hierarchy. */
    dps_span tpm_endorsement_password_file;
    /** A file with the password of the TPM's owner hierarchy. */
    dps_span tpm_owner_password_file;
    /** An identity that the service issued. It is left out while it is not valid. */
    const dps_issued_identity *issued_identity;
    /** Where the TPM keeps the key for the hub. Default: 0x100. */
    uint32_t tpm_auth_key_index;
    /** Whether the place of an issued certificate is kept while `issued_identity` is null. */
    bool issued_place;
} dps_credential;

/* Hosted: the configuration of a call ---------------------------------------- */

/** The transport to the service. */
typedef uint32_t dps_transport;
enum {
    /** HTTPS, port 443. The only one that supports lookups and whose replies contain the service's time. */
    DPS_TRANSPORT_HTTPS = 0,
    /** MQTT over TLS, port 8883. */
    DPS_TRANSPORT_MQTT = 1,
    /** MQTT over WebSocket, port 443. */
    DPS_TRANSPORT_MQTT_WEBSOCKET = 2,
};

/**
 * Returns the time, in seconds since 1970-01-01T00:00:00Z, or 0 if it is not known. It is called on the thread that made
 * the call; it must return quickly, and must not call `longjmp`.
 */
typedef uint64_t (*dps_clock_function)(void *context);

/**
 * The device, its credential and the options of a call. Initialize it with `dps_client_config_default`; then set at least
 * `id_scope`, one of the credentials and, unless that is a certificate or a TPM, `registration_id`; further credentials follow in
 * `fallback`. A member that is 0, false, empty or null has its default.
 *
 * The library only reads the struct and what it points to, and only until the call returns.
 */
typedef struct dps_client_config {
    /** The size of the struct, set by `dps_client_config_default`. */
    size_t size;
    /** The endpoint of the service: `HOST`, `HOST:PORT` or `https://HOST`. Default: the global endpoint. */
    dps_span endpoint;
    /** The id scope, such as `0ne00A1B2C3`. */
    dps_span id_scope;
    /**
     * The registration id: 1 to 128 letters, digits and `- . _ :`. Default: the common name of the certificate, or what is
     * derived from the endorsement key of the TPM, which is read for it before `timeout_ms` begins, in `timeout_ms` at most.
     */
    dps_span registration_id;
    /** The device's own key as base64: a secret. One of the credentials. */
    dps_span device_key;
    /** A file with the device's own key as base64. One of the credentials. */
    dps_span device_key_file;
    /** The enrollment group's key as base64, from which the device's is derived. For factories and tests. One of the credentials. */
    dps_span group_key;
    /** A file with the enrollment group's key as base64. One of the credentials. */
    dps_span group_key_file;
    /** A `dps_transport`. Default: HTTPS. */
    uint32_t transport;
    /** The timeout of the whole call. Default: 120,000. */
    uint32_t timeout_ms;
    /** The timeout of one request or one signature. Default: 30,000. */
    uint32_t request_timeout_ms;
    /** The wait between polls if the service sends no hint. Default: 2,000. */
    uint32_t poll_interval_ms;
    /** The shortest wait before a poll, even if the service's hint is shorter. Default: 1,000. */
    uint32_t minimum_spacing_ms;
    /** The lifetime of a token for the service. Default: an hour, or the timeout plus ten minutes if that is longer. */
    uint32_t token_life_s;
    /** MQTT's keep-alive. Default: 60. */
    uint32_t keep_alive_s;
    /** The seed of the jitter of waits, for reproducible tests. Default: random. */
    uint32_t seed;
    /** The largest reply that is accepted, in bytes. Default: 98,304, the service's own limit. */
    size_t reply_limit;
    /** Certificates to trust instead of the system's, as PEM text. */
    dps_span ca_pem;
    /** A file with certificates to trust instead of the system's. */
    dps_span ca_file;
    /** Whether the system's certificates are trusted in addition to `ca_pem` or `ca_file`. */
    bool ca_added;
    /** Whether to connect without a proxy, even if the environment names one. */
    bool no_proxy;
    /** Over MQTT, whether to send CONNECT, SUBSCRIBE and the registration in one flight, which saves two round trips. */
    bool pipelined;
    /**
     * Whether to sign once more with the service's time if the service rejects a token and the device's clock is far off.
     * Replies over MQTT do not contain the time: there it is read from the service's host by one HTTPS request without a
     * credential.
     */
    bool correct_clock;
    /** The most detailed level that is passed to `log`: a `dps_log_level`. Default: `DPS_LOG_INFO`. */
    uint32_t log_level;
    /** `http://[USER@]HOST[:PORT]`. Default: `HTTPS_PROXY`, unless `NO_PROXY` names the host. */
    dps_span proxy;
    /** The proxy's password: a secret. */
    dps_span proxy_password;
    /** The API version. Default: 2021-06-01 over HTTPS, 2019-03-31 over MQTT; 2026-11-02-preview with `connection_profile`. */
    dps_span api_version;
    /** The `User-Agent` of requests, or `ClientVersion` over MQTT. */
    dps_span user_agent;
    /** The custom payload for the service's allocation webhook: a JSON object. */
    dps_span payload;
    /**
     * The operation to resume: a resume token from `dps_error_resume_token`, `dps_progress` or
     * `dps_registration_write_operation`.
     */
    dps_span resume;
    /** Cancels the call from another thread. */
    const dps_cancel_token *cancel;
    /** Receives the log of the call. */
    dps_log_function log;
    /** Passed to `log` unchanged. */
    void *log_context;
    /** Called before each step of the call, which it can stop. */
    dps_progress_function progress;
    /** Passed to `progress` unchanged. */
    void *progress_context;
    /**
     * Over MQTT, the HTTPS port of the service's host, from which the time is read. Default: 443. Over HTTPS it is an
     * error to set it, since every reply contains the time.
     */
    uint16_t service_time_port;
    /**
     * A custom clock, used to make tokens and to check the server's certificate: for devices whose system clock is not set,
     * and for tests. Default: the system's clock.
     */
    dps_clock_function clock;
    /** Passed to `clock` unchanged. */
    void *clock_context;
    /**
     * A file with the device's X.509 certificate first, then each intermediate certificate after the one that it issued, as
     * PEM or DER. One of the credentials. For an enrollment group the chain must have every intermediate up to a certificate that is
     * verified at the service. `DPS_ERROR_INVALID_CLIENT_CERTIFICATE` and similar errors report what cannot work, before
     * anything is sent.
     */
    dps_span certificate_file;
    /**
     * A file with the private key of the certificate: PKCS#8, SEC1 or PKCS#1, as PEM or DER; EC P-256, EC P-384, or RSA with
     * 2048 to 4096 bits. Default: `certificate_file`, which contains the key too then.
     */
    dps_span certificate_key_file;
    /** A file with the passphrase of an encrypted private key (PKCS#8); a line break at its end is ignored. */
    dps_span certificate_key_passphrase_file;
    /**
     * The URI of a key in a PKCS#11 token (RFC 7512), such as `pkcs11:token=Gateway;object=device-id`: a symmetric key that
     * signs with `CKM_SHA256_HMAC`, one of the credentials; or with `certificate_file`, the private key of the certificate,
     * instead of `certificate_key_file`. Only in a library that was built with its feature `pkcs11`; another returns
     * `DPS_ERROR_INVALID_OPTION`. The token of a private key is opened before `timeout_ms` begins, in 30 s at most.
     */
    dps_span pkcs11_uri;
    /**
     * The token's module, a shared library, which is loaded. Default: p11-kit's proxy, which has the tokens of every module
     * that the system is configured with.
     */
    dps_span pkcs11_module;
    /** A file with the PIN of the token; a line break at its end is ignored. Default: the URI's `pin-source`, if it has one. */
    dps_span pkcs11_pin_file;
    /**
     * How to reach the TPM 2.0 that proves who the device is: `device` for the system's, `device:FILE`,
     * `swtpm:host=HOST,port=PORT` or `swtpm:path=SOCKET`. One of the credentials; over HTTPS only, for which the enrollment has
     * the TPM's endorsement key. Only in a library that was built with its feature `tpm`; another returns
     * `DPS_ERROR_FEATURE_MISSING`. Each registration stores a new key for the hub in the TPM, which signs the passwords of
     * `dps_client_hub_password`.
     */
    dps_span tpm_tcti;
    /** A file with the password of the TPM's endorsement hierarchy; a line break at its end is ignored. Default: no password. */
    dps_span tpm_endorsement_password_file;
    /** A file with the password of the TPM's owner hierarchy; a line break at its end is ignored. Default: no password. */
    dps_span tpm_owner_password_file;
    /** Where the TPM keeps the key for the hub, as an offset to 0x81000000 like IoT Edge's `auth_key_index`. Default: 0x100. */
    uint32_t tpm_auth_key_index;
    /**
     * A certificate request, as `dps_operational_key_write_request` writes it, that is sent with the registration; the service
     * issues a chain for it, if the enrollment names a certificate policy: `dps_assignment_issued_chain`. The default API version is
     * then 2026-11-01, which has certificate requests.
     */
    dps_span certificate_request;
    /**
     * An identity that the service issued. One of the credentials, such as for `dps_client_renew_at_hub`; the service accepts it
     * if an enrollment does. Its registration id is the default then. With a `fallback` it is left out while it is not valid.
     */
    const dps_issued_identity *issued_identity;
    /**
     * Whether to ask which protocol the hub speaks (`dps_assignment_connection_profile`). `DPS_ERROR_INVALID_OPTION` with an
     * `api_version` that does not report it.
     */
    bool connection_profile;
    /**
     * The credential to try when the service refuses the one of this struct. It can have a `fallback` of its own, and so on, 7 in
     * all. Default: the call ends when the service refuses the credential. The next one is tried at once, over a connection of its own, after the status 401, unless the service's `Date`
     * shows that the device's clock is far off; after CONNACK 4 or 5; and after a TLS alert about the certificate, under TLS
     * 1.2 once a second connection has met one too. It is never tried after another failure, so that nobody on the way can make
     * the device use a weaker credential. All share `timeout_ms`.
     */
    const dps_credential *fallback;
    /**
     * Which credential is tried first, and signs in to the hub: `dps_assignment_credential_index` of the last assignment, where 0
     * is the one of this struct, 1 its `fallback`, and so on. An `issued_identity` that is valid signs in to the hub whichever it
     * is. Set it to 0 after a certificate was issued.
     */
    uint32_t credential_index;
    /**
     * Whether the place of an issued certificate is kept while `issued_identity` is null, as it is before the first one was issued,
     * so that the others keep their indexes. It requires a `fallback`.
     */
    bool issued_place;
} dps_client_config;

/* Hosted: renewal at the hub ------------------------------------------------- */

/**
 * A renewal at the device's hub. Initialize it with `dps_hub_renewal_default`; then set at least `hub`, `device_id` and
 * `certificate_request`. A member that is 0, false or empty has its default.
 *
 * The library only reads the struct and what it points to, and only until the call returns.
 */
typedef struct dps_hub_renewal {
    /** The size of the struct, set by `dps_hub_renewal_default`. */
    size_t size;
    /** The hub's host name, of the assignment. */
    dps_span hub;
    /** The device id at the hub, of the assignment. */
    dps_span device_id;
    /**
     * What `dps_assignment_connection_profile_word` returned; empty if it was not reported. With a word other than `classic`, the
     * renewal ends with `DPS_ERROR_UNSUPPORTED_PROFILE` before anything is sent.
     */
    dps_span connection_profile;
    /** A certificate request for a new key, as `dps_operational_key_write_request` writes it; 6 KiB at most. */
    dps_span certificate_request;
    /** The hub's IP address, instead of what its name resolves to; for tests and private networks. */
    dps_span address;
    /** The hub's port. Default: 8883, or 443 over WebSocket. */
    uint16_t port;
    /**
     * Whether to end with `DPS_ERROR_CONFLICT` if another certificate request of the device is active at its hub. Default: it is
     * replaced, since its key may have been lost in a restart.
     */
    bool keep_active;
} dps_hub_renewal;

/**
 * Renews an issued certificate at the device's hub, over MQTT 3.1.1 (preview of the service: hub API version 2025-08-01-preview).
 * Blocks until the hub has issued the chain, which is not checked: see `dps_issued_identity_accept`.
 *
 * `config` has the credential with which the device signs in to the hub: `issued_identity` while it is valid, or any other one of
 * the device; of several, the one of `credential_index`. Of its options, `transport` (MQTT over WebSocket, otherwise MQTT over
 * TLS), roots, proxy, clock, timeouts, `cancel` and `log` count. The wait after an error of the hub can be 5 minutes and more.
 *
 * A connection that breaks is made again, and the request goes on. A hub lets a device have one connection: what the application
 * has open to the same hub is closed by this one. The new certificate is used from the next connection on; the old one stays valid
 * until it expires. Hubs with the profile `mqttV5` offer no renewal; register again there.
 *
 * Returns `DPS_OK` and sets `*chain`, to be freed with `dps_certificate_chain_free`; otherwise the same as `dps_client_register`. A
 * refusal by the hub has its status and code in the error: `DPS_ERROR_BAD_REQUEST`, `DPS_ERROR_CONFLICT`, `DPS_ERROR_THROTTLED` and
 * others; `DPS_ERROR_UNAUTHORIZED` if it refuses the device.
 */
DPS_NODISCARD
dps_result dps_client_renew_at_hub(const dps_client_config *config,
                                   const dps_hub_renewal *renewal,
                                   dps_certificate_chain **chain,
                                   dps_error **error);

/* Hosted: sizes of objects and structs --------------------------------------- */

/**
 * `dps_key_from_base64` for a `dps_key` of `size` bytes. Like the functions below, it returns `DPS_ERROR_INVALID_ARGUMENT`
 * if they are too few.
 */
DPS_NODISCARD
dps_result dps_key_from_base64_sized(size_t size,
                                     dps_key *key,
                                     dps_span base64);

/** `dps_key_from_bytes` for a `dps_key` of `size` bytes. */
DPS_NODISCARD
dps_result dps_key_from_bytes_sized(size_t size, dps_key *key, dps_span raw);

/** `dps_key_derive` for a `dps_key` of `size` bytes. */
DPS_NODISCARD
dps_result dps_key_derive_sized(size_t size,
                                const dps_key *group,
                                dps_span registration_id,
                                dps_key *device);

/** `dps_registration_init` for a `dps_registration` of `size` bytes. */
DPS_NODISCARD
dps_result dps_registration_init_sized(size_t size,
                                       dps_registration *registration,
                                       const dps_config *config,
                                       dps_buffer storage);

/** `dps_registration_init_lookup` for a `dps_registration` of `size` bytes. */
DPS_NODISCARD
dps_result dps_registration_init_lookup_sized(size_t size,
                                              dps_registration *registration,
                                              const dps_config *config,
                                              dps_buffer storage);

/** `dps_registration_init_resumed` for a `dps_registration` of `size` bytes. */
DPS_NODISCARD
dps_result dps_registration_init_resumed_sized(size_t size,
                                               dps_registration *registration,
                                               const dps_config *config,
                                               dps_buffer storage,
                                               dps_span operation);

/** `dps_registration_init_x509` for a `dps_registration` of `size` bytes. */
DPS_NODISCARD
dps_result dps_registration_init_x509_sized(size_t size,
                                            dps_registration *registration,
                                            const dps_config *config,
                                            dps_buffer storage);

/** `dps_registration_init_x509_lookup` for a `dps_registration` of `size` bytes. */
DPS_NODISCARD
dps_result dps_registration_init_x509_lookup_sized(size_t size,
                                                   dps_registration *registration,
                                                   const dps_config *config,
                                                   dps_buffer storage);

/** `dps_registration_init_x509_resumed` for a `dps_registration` of `size` bytes. */
DPS_NODISCARD
dps_result dps_registration_init_x509_resumed_sized(size_t size,
                                                    dps_registration *registration,
                                                    const dps_config *config,
                                                    dps_buffer storage,
                                                    dps_span operation);

/** `dps_registration_init_tpm` for a `dps_registration` of `size` bytes. */
DPS_NODISCARD
dps_result dps_registration_init_tpm_sized(size_t size,
                                           dps_registration *registration,
                                           const dps_config *config,
                                           const dps_tpm *tpm,
                                           dps_buffer storage);

/** `dps_tpm_init` for a `dps_tpm` of `size` bytes. */
DPS_NODISCARD
dps_result dps_tpm_init_sized(size_t size,
                              dps_tpm *tpm,
                              dps_span endorsement_key,
                              dps_span storage_root_key);

/** `dps_config_default` for a `dps_config` of `size` bytes. */
DPS_NODISCARD
dps_result dps_config_default_sized(size_t size, dps_config *config);

/** `dps_client_config_default` for a `dps_client_config` of `size` bytes. */
DPS_NODISCARD
dps_result dps_client_config_default_sized(size_t size, dps_client_config *config);

/** `dps_credential_default` for a `dps_credential` of `size` bytes. */
DPS_NODISCARD
dps_result dps_credential_default_sized(size_t size, dps_credential *credential);

/** `dps_hub_renewal_default` for a `dps_hub_renewal` of `size` bytes. */
DPS_NODISCARD
dps_result dps_hub_renewal_default_sized(size_t size, dps_hub_renewal *renewal);

/** `dps_certificate_request_init` for a `dps_certificate_request` of `size` bytes. */
DPS_NODISCARD
dps_result dps_certificate_request_init_sized(size_t size,
                                              dps_certificate_request *request,
                                              dps_span der);

/** `dps_certificate_request_init_reader` for a `dps_certificate_request` of `size` bytes. */
DPS_NODISCARD
dps_result dps_certificate_request_init_reader_sized(size_t size,
                                                     dps_certificate_request *request,
                                                     size_t length,
                                                     dps_certificate_request_reader read,
                                                     void *context);

/* Tell the library the sizes that this header has. */
#define dps_key_from_base64(...) dps_key_from_base64_sized(sizeof(dps_key), __VA_ARGS__)
#define dps_key_from_bytes(...) dps_key_from_bytes_sized(sizeof(dps_key), __VA_ARGS__)
#define dps_key_derive(...) dps_key_derive_sized(sizeof(dps_key), __VA_ARGS__)
#define dps_registration_init(...) dps_registration_init_sized(sizeof(dps_registration), __VA_ARGS__)
#define dps_registration_init_lookup(...) dps_registration_init_lookup_sized(sizeof(dps_registration), __VA_ARGS__)
#define dps_registration_init_resumed(...) dps_registration_init_resumed_sized(sizeof(dps_registration), __VA_ARGS__)
#define dps_registration_init_x509(...) dps_registration_init_x509_sized(sizeof(dps_registration), __VA_ARGS__)
#define dps_registration_init_x509_lookup(...) dps_registration_init_x509_lookup_sized(sizeof(dps_registration), __VA_ARGS__)
#define dps_registration_init_x509_resumed(...) dps_registration_init_x509_resumed_sized(sizeof(dps_registration), __VA_ARGS__)
#define dps_registration_init_tpm(...) dps_registration_init_tpm_sized(sizeof(dps_registration), __VA_ARGS__)
#define dps_tpm_init(...) dps_tpm_init_sized(sizeof(dps_tpm), __VA_ARGS__)
#define dps_config_default(...) dps_config_default_sized(sizeof(dps_config), __VA_ARGS__)
#define dps_client_config_default(...) dps_client_config_default_sized(sizeof(dps_client_config), __VA_ARGS__)
#define dps_credential_default(...) dps_credential_default_sized(sizeof(dps_credential), __VA_ARGS__)
#define dps_hub_renewal_default(...) dps_hub_renewal_default_sized(sizeof(dps_hub_renewal), __VA_ARGS__)
#define dps_certificate_request_init(...) dps_certificate_request_init_sized(sizeof(dps_certificate_request), __VA_ARGS__)
#define dps_certificate_request_init_reader(...) dps_certificate_request_init_reader_sized(sizeof(dps_certificate_request), __VA_ARGS__)

/* Hosted: assignments -------------------------------------------------------- */

/**
 * The hub that a device was assigned to, or its registration record. Free it with `dps_assignment_free`. All strings end
 * with a NUL, are never null, and live as long as the assignment; a string without a value is empty.
 */
typedef struct dps_assignment dps_assignment;

/** Returns the status of the registration: `DPS_STATUS_ASSIGNED`, except after a lookup that found another. */
dps_status dps_assignment_status(const dps_assignment *assignment);

/** Returns the host name of the assigned hub. */
const char *dps_assignment_hub(const dps_assignment *assignment);

/** Returns the device id at the hub, which is case-sensitive there. */
const char *dps_assignment_device_id(const dps_assignment *assignment);

/** Returns the substatus, such as `initialAssignment`. It is for information only; the service can add values. */
const char *dps_assignment_substatus(const dps_assignment *assignment);

/** Returns the operation id of the registration; empty if the service assigned the hub in its first reply. */
const char *dps_assignment_operation_id(const dps_assignment *assignment);

/** Returns the payload that the service's allocation webhook returned for the device: a JSON object, or empty. */
const char *dps_assignment_payload(const dps_assignment *assignment);

/**
 * Returns the connection string `HostName=...;DeviceId=...;SharedAccessKey=...`: a secret, wiped when the assignment is
 * freed. For a device with a certificate it ends with `x509=true` instead of the key. Empty after a lookup, if the device id
 * contains `;`, which a connection string cannot contain, and for a hub with another connection profile than `classic`.
 */
const char *dps_assignment_connection_string(const dps_assignment *assignment);

/**
 * Returns the certificates that were issued for `certificate_request` of the configuration; null if there was no request, or the
 * API version has no issuance. They are as the service sent them: `dps_issued_identity_accept` checks them. The chain lives as
 * long as the assignment.
 */
const dps_certificate_chain *dps_assignment_issued_chain(const dps_assignment *assignment);

/**
 * Returns which protocol the hub speaks: `DPS_CONNECTION_PROFILE_NOT_REPORTED` unless the API version of the configuration
 * reports it, as with `connection_profile`.
 */
dps_connection_profile dps_assignment_connection_profile(const dps_assignment *assignment);

/**
 * Returns the service's word for the protocol that the hub speaks, such as `mqttV5`, also one that this version does not know;
 * empty if it was not reported. Store it with the assignment, for `dps_client_hub_password`.
 */
const char *dps_assignment_connection_profile_word(const dps_assignment *assignment);

/**
 * Returns which credential the service accepted: 0 for the one of `dps_client_config`, 1 for its `fallback`, and so on. Store it with the
 * assignment, for `credential_index` of later calls. 0 after a lookup.
 */
uint32_t dps_assignment_credential_index(const dps_assignment *assignment);

/** Frees an assignment. Null is ignored. */
void dps_assignment_free(dps_assignment *assignment);

/* Hosted: the calls ---------------------------------------------------------- */

/**
 * Registers a device. Blocks until the device is assigned, the registration fails, or `timeout_ms` has passed. Several
 * threads can call it at the same time.
 *
 * The timeout and a cancel token end the call even while a name is being resolved. The platform's resolver cannot be
 * interrupted: the thread that the library starts for it can outlive the call until the resolver returns. That thread does
 * not access memory of the caller. Because of it, the shared library stays loaded after `dlclose`.
 *
 * Returns `DPS_OK` and sets `*assignment`, to be freed with `dps_assignment_free`. Otherwise it returns the number of the
 * error and, unless `error` is null, sets `*error`, to be freed with `dps_error_free`. The other output is left unchanged.
 * Any number of the error catalogue is possible. If `config` or `assignment` is null, it returns
 * `DPS_ERROR_INVALID_ARGUMENT` and leaves `*error` unchanged.
 */
DPS_NODISCARD
dps_result dps_client_register(const dps_client_config *config,
                               dps_assignment **assignment,
                               dps_error **error);

/**
 * Reads the registration record of a device, without registering it, and blocks until the reply. HTTPS only. The record is
 * returned as an assignment; if its status is not `DPS_STATUS_ASSIGNED`, its hub and device id are empty.
 *
 * Returns the same as `dps_client_register`, and `DPS_ERROR_NOT_FOUND` if the device never registered.
 */
DPS_NODISCARD
dps_result dps_client_lookup(const dps_client_config *config,
                             dps_assignment **assignment,
                             dps_error **error);

/* Hosted: passwords for the hub ---------------------------------------------- */

/** A password for the hub. Free it with `dps_hub_password_free`, which wipes it. */
typedef struct dps_hub_password dps_hub_password;

/**
 * Signs a password with which the device signs in to its hub: its SAS token, over MQTT with the device id as client id and the
 * user name of `dps_mqtt_write_hub_user_name`. `config` has the id scope, the registration id and the credential with which
 * the device registered: a key, a key in a token, or a TPM, where the key of its last registration signs; of several, the one of
 * `credential_index`. `hub` and `device_id`
 * are those of the assignment, `profile` what `dps_assignment_connection_profile_word` returned, empty if it was not reported.
 * Nothing is sent. `life_s` is how long the password is valid; 0 for an hour.
 *
 * Returns `DPS_OK` and sets `*password`, to be freed with `dps_hub_password_free`; otherwise the same as `dps_client_register`.
 * `DPS_ERROR_TPM_KEY_MISSING` if the TPM does not have the key: register again. `DPS_ERROR_INVALID_OPTION` for a device with a
 * certificate, which has no password. `DPS_ERROR_UNSUPPORTED_PROFILE` for a profile other than `classic`.
 * `DPS_ERROR_INVALID_ARGUMENT` also for an empty `hub` or `device_id`, and for a `profile` that is not a word.
 */
DPS_NODISCARD
dps_result dps_client_hub_password(const dps_client_config *config,
                                   dps_span hub,
                                   dps_span device_id,
                                   dps_span profile,
                                   uint32_t life_s,
                                   dps_hub_password **password,
                                   dps_error **error);

/** Returns the password, which ends with a NUL: a secret, wiped when it is freed. */
const char *dps_hub_password_text(const dps_hub_password *password);

/** Returns when the hub stops accepting the password, in seconds since 1970-01-01T00:00:00Z; 0 for null. */
uint64_t dps_hub_password_expires_at(const dps_hub_password *password);

/** Frees a password. Null is ignored. */
void dps_hub_password_free(dps_hub_password *password);

/* Hosted: the directory of an issued identity -------------------------------- */

/**
 * The directory that keeps one device's issued identity over restarts, locked for this process until it is freed with
 * `dps_identity_store_free`. One thread at a time may use it.
 *
 * `identity.pem` is the truth: key and chain in one file, which is written whole or not at all. `key.pem` and `chain.pem` are copies
 * for programs that read them separately, written after it and repaired by `dps_identity_store_load`. Files with the key have
 * the mode 0600.
 */
typedef struct dps_identity_store dps_identity_store;

/**
 * Opens and locks a directory, which must exist. `registration_id` tells whose identity it is: that of another device is refused
 * instead of used or replaced; empty for any. The lock is a file in the directory, which stays.
 *
 * Returns `DPS_OK` and sets `*store`; otherwise the same as `dps_operational_key_generate`. `DPS_ERROR_FILE` if another process
 * holds the lock, or it cannot be created.
 */
DPS_NODISCARD
dps_result dps_identity_store_open(dps_span directory,
                                   dps_span registration_id,
                                   dps_identity_store **store,
                                   dps_error **error);

/**
 * As `dps_identity_store_open`, for an identity whose key is in a PKCS#11 token, which cannot be loaded without it. `uri`,
 * `module` and `pin_file` are as for `dps_operational_key_from_pkcs11`; module and PIN are not stored.
 *
 * Returns the same.
 */
DPS_NODISCARD
dps_result dps_identity_store_open_pkcs11(dps_span directory,
                                          dps_span registration_id,
                                          dps_span uri,
                                          dps_span module,
                                          dps_span pin_file,
                                          dps_identity_store **store,
                                          dps_error **error);

/**
 * Reads the stored identity, which may have expired, and repairs the copies of its key and chain. A key in a token is opened, in
 * 30 s at most. A file that cannot be used is renamed: see `dps_identity_store_set_aside`.
 *
 * Returns `DPS_OK` and sets `*identity`, to be freed with `dps_issued_identity_free`, or to null if nothing is stored. Otherwise the
 * same as `dps_operational_key_generate`: `DPS_ERROR_FILE` if the file cannot be read, `DPS_ERROR_COMMON_NAME_MISMATCH` if it is another
 * device's, `DPS_ERROR_INVALID_OPTION` if its key is in a token that was not named.
 */
DPS_NODISCARD
dps_result dps_identity_store_load(dps_identity_store *store,
                                   dps_issued_identity **identity,
                                   dps_error **error);

/**
 * Returns what the last `dps_identity_store_load` renamed, a file that contained no identity, or a key and a chain that do not
 * fit: where it is now, and what is wrong with it. It ends with a NUL, is never null, is empty if there was none, and lives until
 * the next load.
 */
const char *dps_identity_store_set_aside(const dps_identity_store *store);

/**
 * Stores an identity: the old one or the new one is there afterwards, whatever happens. The copies follow.
 *
 * Returns `DPS_OK`; otherwise the same as `dps_operational_key_generate`: `DPS_ERROR_FILE` if a file cannot be written, where the
 * identity itself may be stored already, and `dps_identity_store_load` tells which one is; `DPS_ERROR_COMMON_NAME_MISMATCH` if it is
 * another device's.
 */
DPS_NODISCARD
dps_result dps_identity_store_save(const dps_identity_store *store,
                                   const dps_issued_identity *identity,
                                   dps_error **error);

/**
 * Removes the identity and its copies, if there are any.
 *
 * Returns `DPS_OK`; otherwise the same as `dps_operational_key_generate`: `DPS_ERROR_FILE` if a file cannot be removed.
 */
DPS_NODISCARD
dps_result dps_identity_store_clear(const dps_identity_store *store,
                                    dps_error **error);

/** Releases the lock and frees the store. Null is ignored. */
void dps_identity_store_free(dps_identity_store *store);

#endif

#ifdef __cplusplus
}
#endif

#endif
