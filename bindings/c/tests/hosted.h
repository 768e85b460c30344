/* What the tests of the blocking calls share. */
#ifndef HOSTED_H
#define HOSTED_H

#include "scene.h"

/* The value of a variable that `c-service` sets. */
dps_span env(const char *name);

/* The configuration of a call to the service over HTTPS; the credential is missing. */
dps_client_config begin(const char *id);

/* Selects the transport, and its endpoint. */
void over(dps_client_config *config, dps_transport transport);

/* Registers and expects a result; returns the error, if there is one. */
dps_error *ends(dps_result expected, const dps_client_config *config);

/* Registers with a key and expects an assignment of the device with this id. */
void is_assigned(const dps_client_config *config, const char *id);

/* The tests of certificates. */
void certificates(void);

/* The tests of issued certificates. */
void issued(void);

/* The tests of several credentials. */
void fallbacks(void);

/* The tests of connection profiles. */
void profiles(void);

#endif
