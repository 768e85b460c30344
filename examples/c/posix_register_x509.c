/* Registers a device that has an X.509 certificate by the blocking call, and prints its hub:
 *
 *     posix_register_x509 ID_SCOPE CERTIFICATE_FILE KEY_FILE [ENDPOINT [CA_FILE]]
 *
 * The registration id is the common name of the certificate. CERTIFICATE_FILE has the device's certificate first, then the
 * intermediate certificates above it. The passphrase of an encrypted key is in the file that DPS_PASSPHRASE_FILE names. */
#include <dps.h>
#include <stdio.h>
#include <stdlib.h>

static void explain(const dps_error *error)
{
    dps_hint hint;
    fprintf(stderr, "%s\n", dps_error_text(error));
    for (size_t i = 0; dps_error_hint(error, i, &hint) == DPS_OK; i++)
        fprintf(stderr, "  - %.*s\n", (int)hint.text.len, hint.text.ptr);
}

int main(int argc, char **argv)
{
    dps_client_config config;
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: %s ID_SCOPE CERTIFICATE_FILE KEY_FILE [ENDPOINT [CA_FILE]]\n", argv[0]);
        return 2;
    }
    if (dps_client_config_default(&config) != DPS_OK)
        return 1;
    config.id_scope = dps_span_of(argv[1]);
    config.certificate_file = dps_span_of(argv[2]);
    config.certificate_key_file = dps_span_of(argv[3]);
    config.certificate_key_passphrase_file = dps_span_of(getenv("DPS_PASSPHRASE_FILE"));
    config.endpoint = dps_span_of(argc > 4 ? argv[4] : NULL);
    config.ca_file = dps_span_of(argc > 5 ? argv[5] : NULL);

    if (dps_client_register(&config, &assignment, &error) != DPS_OK) {
        explain(error);
        dps_error_free(error);
        return 1;
    }
    printf("%s is assigned to %s\n", dps_assignment_device_id(assignment), dps_assignment_hub(assignment));
    dps_assignment_free(assignment);
    return 0;
}
