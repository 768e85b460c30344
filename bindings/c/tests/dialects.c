/* Uses the header's macros in every dialect of C and C++. Linking it with a library of the other flavor must fail. */
#include "dps.h"

int main(void)
{
    dps_config config;
    dps_key key, device;
    dps_registration registration;
    unsigned char storage[DPS_STORAGE_SIZE];
    char text[DPS_KEY_TEXT_SIZE];
    size_t length = 0;
    if (dps_config_default(&config) != DPS_OK || dps_key_from_base64(&key, DPS_SPAN("MDEyMzQ1Njc4OWFiY2RlZg==")) != DPS_OK)
        return 1;
    config.id_scope = DPS_SPAN("0ne00A1B2C3");
    config.registration_id = DPS_SPAN("dev-01");
    if (dps_key_derive(&key, config.registration_id, &device) != DPS_OK ||
        dps_key_write_base64(&device, DPS_BUFFER(text), &length) != DPS_OK ||
        dps_registration_init(&registration, &config, DPS_BUFFER(storage)) != DPS_OK)
        return 2;
    dps_registration_clear(&registration);
    dps_wipe(text, sizeof text);
    dps_key_wipe(&device);
    dps_key_wipe(&key);
    return 0;
}
