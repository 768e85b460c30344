/* What clients of other programs' runs read from their environment. */
#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include <stdlib.h>

#include "scene.h"

/* The value of a variable; empty if it is not set. */
static inline dps_span setting(const char *name)
{
    return dps_span_of(getenv(name));
}

/* The transport whose name is in a variable: "https", "mqtt", or another one for MQTT over WebSocket. */
static inline uint32_t transport_setting(const char *name)
{
    const dps_span transport = setting(name);
    return span_is(transport, "https")  ? DPS_TRANSPORT_HTTPS
           : span_is(transport, "mqtt") ? DPS_TRANSPORT_MQTT
                                        : DPS_TRANSPORT_MQTT_WEBSOCKET;
}

#endif
