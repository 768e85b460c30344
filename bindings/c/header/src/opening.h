/* dps.h: device provisioning for Azure IoT Hub. */
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

