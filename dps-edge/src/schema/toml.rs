//! `config.toml` of IoT Edge 1.2 to 1.6 (its template, and the identity service's configuration).

use super::{Key, Table, foreign, key, table};
use crate::version::EdgeVersion;

const V1_3: EdgeVersion = EdgeVersion::new(3, 0);
const V1_4: EdgeVersion = EdgeVersion::new(4, 0);

pub(super) const ROOT: Table = Table {
    label: "the top of the file, before the first [table]",
    open: false,
    keys: &[
        key("hostname"),
        key("parent_hostname").telling(),
        key("local_gateway_hostname").telling(),
        key("trust_bundle_cert").telling(),
        key("manifest_trust_bundle_cert").telling(),
        key("dps_trust_bundle").telling(),
        key("auto_reprovisioning_mode").telling(),
        key("cloud_timeout_sec").since(EdgeVersion::new(2, 2)).telling(),
        key("cloud_retries").since(EdgeVersion::new(2, 2)).telling(),
        key("allow_elevated_docker_permissions").since(EdgeVersion::new(2, 4)).telling(),
        key("prefer_module_identity_cache").since(EdgeVersion::new(4, 20)).telling(),
        key("imported_master_encryption_key"),
        key("additional_info"),
        table("provisioning", &PROVISIONING),
        table("aziot_keys", &AZIOT_KEYS),
        table("tpm", &TPM).since(V1_4),
        foreign("aziot_max_requests"),
        foreign("localid"),
        foreign("cert_issuance"),
        foreign("preloaded_keys"),
        foreign("preloaded_certs"),
        foreign("agent"),
        foreign("connect"),
        foreign("listen"),
        foreign("watchdog"),
        foreign("edge_ca"),
        foreign("moby_runtime"),
        foreign("image_garbage_collection"),
        foreign("endpoints"),
        foreign("module_identities"),
    ],
};

const PROVISIONING: Table = Table {
    label: "[provisioning]",
    open: false,
    keys: &[
        key("source"),
        key("global_endpoint").telling(),
        key("id_scope").telling(),
        table("payload", &PAYLOAD).since(V1_4),
        key("connection_string").telling(),
        key("iothub_hostname").telling(),
        key("device_id"),
        table("attestation", &ATTESTATION).telling(),
        table("authentication", &AUTHENTICATION).telling(),
    ],
};

const PAYLOAD: Table = Table { label: "payload = { … } of [provisioning]", open: false, keys: &[key("uri")] };

const ATTESTATION: Table = Table {
    label: "[provisioning.attestation]",
    open: false,
    keys: &[
        key("method"),
        key("registration_id").telling(),
        table("symmetric_key", &KEY).telling(),
        CERTIFICATE,
        key("identity_pk"),
    ],
};

const AUTHENTICATION: Table = Table {
    label: "[provisioning.authentication]",
    open: false,
    keys: &[key("method"), table("device_id_pk", &KEY).telling(), CERTIFICATE, key("identity_pk")],
};

const KEY: Table = Table { label: "the table of the key", open: false, keys: &[key("value"), key("uri")] };

/// A URI, or how a certificate is issued.
const CERTIFICATE: Key = table("identity_cert", &ISSUED);

const ISSUED: Table = Table {
    label: "identity_cert = { … }",
    open: false,
    keys: &[
        key("method"),
        key("common_name"),
        foreign("subject"),
        key("expiry_days"),
        foreign("auto_renew").since(V1_3),
        foreign("url"),
        foreign("trusted_certs"),
        foreign("username"),
        foreign("password"),
        foreign("identity_cert"),
        foreign("identity_pk"),
    ],
};

const AZIOT_KEYS: Table = Table {
    label: "[aziot_keys]",
    open: true,
    keys: &[key("pkcs11_lib_path").telling(), key("pkcs11_base_slot").telling()],
};

const TPM: Table = Table {
    label: "[tpm]",
    open: true,
    keys: &[key("tcti").telling(), key("auth_key_index").telling(), table("hierarchy_authorization", &HIERARCHIES)],
};

const HIERARCHIES: Table =
    Table { label: "[tpm.hierarchy_authorization]", open: false, keys: &[key("endorsement"), key("owner")] };
