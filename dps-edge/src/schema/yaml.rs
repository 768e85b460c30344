//! `config.yaml` of IoT Edge 1.1 (its template, and the daemon's settings).

use super::types::{Table, flag, foreign, key, number, table, text};
use crate::problem::Problem;
use crate::tree::Value;

pub(super) const ROOT: Table = Table {
    label: "the top level of the file, without spaces before it",
    others: None,
    claims: true,
    keys: &[
        table("provisioning", &PROVISIONING),
        table("certificates", &CERTIFICATES),
        key("hostname", text),
        key("parent_hostname", text).telling(),
        key("homedir", text),
        foreign("agent"),
        foreign("connect"),
        foreign("listen"),
        foreign("watchdog"),
        foreign("moby_runtime"),
    ],
};

const PROVISIONING: Table = Table {
    label: "`provisioning:`",
    others: None,
    claims: true,
    keys: &[
        key("source", text),
        key("global_endpoint", text).telling(),
        key("scope_id", text).telling(),
        // Of versions before 1.1; it means attestation with a TPM.
        key("registration_id", text),
        table("attestation", &ATTESTATION).telling(),
        key("always_reprovision_on_startup", flag).telling(),
        key("dynamic_reprovisioning", flag).telling(),
        key("device_connection_string", text).telling(),
        table("authentication", &AUTHENTICATION).telling(),
        key("endpoint", text),
    ],
};

const ATTESTATION: Table = Table {
    label: "`attestation:` in `provisioning:`",
    others: None,
    claims: true,
    keys: &[
        key("method", text),
        key("registration_id", text).telling(),
        key("device_id", text),
        key("symmetric_key", inline_key).telling(),
        key("identity_cert", text),
        key("identity_pk", text),
    ],
};

/// A table is a key of the other generation, which `read` reports.
fn inline_key(value: &Value) -> Option<Problem> {
    if matches!(value, Value::Table(_)) { None } else { text(value) }
}

const AUTHENTICATION: Table = Table {
    label: "`authentication:` in `provisioning:`",
    others: None,
    claims: true,
    keys: &[
        key("method", text),
        key("device_connection_string", text),
        key("iothub_hostname", text).telling(),
        key("device_id", text),
        key("identity_cert", text),
        key("identity_pk", text),
    ],
};

const CERTIFICATES: Table = Table {
    label: "`certificates:`",
    others: None,
    claims: true,
    keys: &[
        key("device_ca_cert", text).telling(),
        key("device_ca_pk", text).telling(),
        key("trusted_ca_certs", text).telling(),
        key("auto_generated_ca_lifetime_days", number).telling(),
    ],
};
