/* A whole registration over MQTT with a certificate, without the packets and TLS: nothing signs a token. */
#define BY_CERTIFICATE

#include "registration.c"

#include "mqtt.c"
