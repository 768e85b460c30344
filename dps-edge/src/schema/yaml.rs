//! `config.yaml` of IoT Edge 1.1 (its template, and the daemon's settings).

use super::{Table, foreign, key, table};

pub(super) const ROOT: Table = Table {
    label: "the top level of the file, without blanks before it",
    open: false,
    keys: &[
        table("provisioning", &PROVISIONING),
        table("certificates", &CERTIFICATES),
        key("hostname"),
        key("parent_hostname").telling(),
        key("homedir"),
        foreign("agent"),
        foreign("connect"),
        foreign("listen"),
        foreign("watchdog"),
        foreign("moby_runtime"),
    ],
};

const PROVISIONING: Table = Table {
    label: "`provisioning:`",
    open: false,
    keys: &[
        key("source"),
        key("global_endpoint").telling(),
        key("scope_id").telling(),
        // Of versions before 1.1; it means attestation by TPM.
        key("registration_id"),
        table("attestation", &ATTESTATION).telling(),
        key("always_reprovision_on_startup").telling(),
        key("dynamic_reprovisioning").telling(),
        key("device_connection_string").telling(),
        table("authentication", &AUTHENTICATION).telling(),
        key("endpoint"),
    ],
};

const ATTESTATION: Table = Table {
    label: "`attestation:` in `provisioning:`",
    open: false,
    keys: &[
        key("method"),
        key("registration_id").telling(),
        key("device_id"),
        key("symmetric_key").telling(),
        key("identity_cert"),
        key("identity_pk"),
    ],
};

const AUTHENTICATION: Table = Table {
    label: "`authentication:` in `provisioning:`",
    open: false,
    keys: &[
        key("method"),
        key("iothub_hostname").telling(),
        key("device_id"),
        key("identity_cert"),
        key("identity_pk"),
    ],
};

const CERTIFICATES: Table = Table {
    label: "`certificates:`",
    open: false,
    keys: &[
        key("device_ca_cert").telling(),
        key("device_ca_pk").telling(),
        key("trusted_ca_certs").telling(),
        key("auto_generated_ca_lifetime_days").telling(),
    ],
};
