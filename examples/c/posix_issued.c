/* Has a certificate issued to the device by the blocking call, and keeps it in a directory:
 *
 *     posix_issued ID_SCOPE REGISTRATION_ID KEY_FILE DIRECTORY [ENDPOINT [CA_FILE]]
 *
 * It registers, with the device's own key, unless the directory has a certificate that need not be renewed yet. The device signs
 * in to its hub with DIRECTORY/chain.pem and DIRECTORY/key.pem. */
#include <dps.h>
#include <stdio.h>
#include <time.h>

/* Registers with a request for a certificate of a new key, and stores what was issued. */
static dps_result provision(dps_client_config *config, dps_identity_store *store, dps_error **error)
{
    unsigned char request[DPS_OPERATIONAL_REQUEST_SIZE];
    dps_operational_key *key = NULL;
    dps_assignment *assignment = NULL;
    dps_issued_identity *identity = NULL;
    size_t length;

    dps_result result = dps_operational_key_generate(DPS_KEY_ALGORITHM_EC_P256, &key, error);
    if (result == DPS_OK)
        result = dps_operational_key_write_request(key, config->registration_id, DPS_BUFFER(request), &length, error);
    if (result == DPS_OK) {
        config->certificate_request = (dps_span){(const char *)request, length};
        result = dps_client_register(config, &assignment, error);
    }
    /* Without a chain there is none to accept: DPS_ERROR_INVALID_ARGUMENT. */
    if (result == DPS_OK)
        result = dps_issued_identity_accept(key, dps_assignment_issued_chain(assignment), config->registration_id,
                                            (uint64_t)time(NULL), &identity, error);
    if (result == DPS_OK)
        result = dps_identity_store_save(store, identity, error);
    if (result == DPS_OK)
        printf("%s is assigned to %s\n", dps_assignment_device_id(assignment), dps_assignment_hub(assignment));
    dps_issued_identity_free(identity);
    dps_assignment_free(assignment);
    dps_operational_key_free(key);
    return result;
}

int main(int argc, char **argv)
{
    dps_client_config config;
    dps_identity_store *store = NULL;
    dps_issued_identity *identity = NULL;
    dps_error *error = NULL;
    if (argc < 5 || argc > 7) {
        fprintf(stderr, "usage: %s ID_SCOPE REGISTRATION_ID KEY_FILE DIRECTORY [ENDPOINT [CA_FILE]]\n", argv[0]);
        return 2;
    }
    if (dps_client_config_default(&config) != DPS_OK)
        return 1;
    config.id_scope = dps_span_of(argv[1]);
    config.registration_id = dps_span_of(argv[2]);
    config.device_key_file = dps_span_of(argv[3]);
    config.endpoint = dps_span_of(argc > 5 ? argv[5] : NULL);
    config.ca_file = dps_span_of(argc > 6 ? argv[6] : NULL);

    dps_result result = dps_identity_store_open(dps_span_of(argv[4]), config.registration_id, &store, &error);
    if (result == DPS_OK)
        result = dps_identity_store_load(store, &identity, &error);
    if (result == DPS_OK) {
        if (dps_issued_identity_state(identity, (uint64_t)time(NULL)) == DPS_ISSUED_STATE_VALID)
            printf("%s has a valid certificate\n", dps_issued_identity_registration_id(identity));
        else
            result = provision(&config, store, &error);
    }
    if (result != DPS_OK)
        fprintf(stderr, "%s\n", error == NULL ? "the service issued no certificate" : dps_error_text(error));
    dps_error_free(error);
    dps_issued_identity_free(identity);
    dps_identity_store_free(store);
    return result == DPS_OK ? 0 : 1;
}
