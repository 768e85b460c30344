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
