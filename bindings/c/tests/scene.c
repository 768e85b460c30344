/* Common setup of tests. */
#include "scene.h"

#include "check.h"

void scene_begin(scene *scene)
{
    RETURNS(DPS_OK, dps_config_default(&scene->config));
    scene->config.id_scope = dps_span_of(ID_SCOPE);
    scene->config.registration_id = dps_span_of(DEVICE);
    scene->config.seed = 1;
    RETURNS(DPS_OK, dps_key_from_base64(&scene->key, dps_span_of(DEVICE_KEY)));
    RETURNS(DPS_OK, dps_registration_init(&scene->registration, &scene->config, DPS_BUFFER(scene->storage)));
    RETURNS(DPS_OK, dps_registration_set_time(&scene->registration, 0, UNIX_S));
}

bool scene_until_send(scene *scene, uint64_t now_ms, dps_action *action)
{
    for (;;) {
        dps_signature signature;
        if (dps_registration_poll(&scene->registration, now_ms, action) != DPS_OK)
            return false;
        if (action->kind != DPS_ACTION_SIGN)
            return action->kind == DPS_ACTION_SEND;
        if (dps_key_sign(&scene->key, dps_registration_to_sign(&scene->registration), &signature) != DPS_OK ||
            dps_registration_handle_signature(&scene->registration, now_ms, action->id, &signature) != DPS_OK)
            return false;
    }
}
