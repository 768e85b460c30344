/* Registers a device by the blocking call, and prints its hub:
 *
 *     posix_register ID_SCOPE REGISTRATION_ID KEY_FILE [ENDPOINT [CA_FILE]]
 *
 * The key is read from a file, since other users can see arguments. */
#include <dps.h>
#include <stdio.h>

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
        fprintf(stderr, "usage: %s ID_SCOPE REGISTRATION_ID KEY_FILE [ENDPOINT [CA_FILE]]\n", argv[0]);
        return 2;
    }
    if (dps_client_config_default(&config) != DPS_OK)
        return 1;
    config.id_scope = dps_span_of(argv[1]);
    config.registration_id = dps_span_of(argv[2]);
    config.device_key_file = dps_span_of(argv[3]);
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
