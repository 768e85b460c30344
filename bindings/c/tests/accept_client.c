/* A device for `dps emulator accept`: registers with the settings in its environment, and with the library's defaults. */
#include <stdio.h>

#include "environment.h"

int main(void)
{
    dps_client_config config;
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;
    if (dps_client_config_default(&config) != DPS_OK)
        return 2;
    config.endpoint = setting("DPS_ENDPOINT");
    config.ca_file = setting("DPS_CA_FILE");
    config.id_scope = setting("DPS_ID_SCOPE");
    config.registration_id = setting("DPS_REGISTRATION_ID");
    config.device_key_file = setting("DPS_KEY_FILE");
    config.transport = transport_setting("DPS_TRANSPORT");
    config.no_proxy = true;
    const dps_result result = dps_client_register(&config, &assignment, &error);
    printf("%d\n", (int)result);
    dps_assignment_free(assignment);
    dps_error_free(error);
    return result == DPS_OK ? 0 : 1;
}
