//! `config.toml` of IoT Edge 1.2 to 1.6: what its daemons and those of the identity service read.
//!
//! Sources: the templates of the releases, and the settings of the daemons in Azure/iotedge and
//! Azure/iot-identity-service.

use super::types::{
    Key, Kind, Table, any, any_url, certificate, days, filled, flag, foreign, issuance, key, key_of_kind, number,
    persistent_index, private_key, pull_policy, renewal_policy, retries, table, text, tls_version,
};
use crate::version::EdgeVersion;

const V1_3: EdgeVersion = EdgeVersion::new(3, 0);
const V1_4: EdgeVersion = EdgeVersion::new(4, 0);

pub(super) const ROOT: Table = Table {
    label: "the top of the file, before the first [table]",
    others: None,
    claims: true,
    keys: &[
        key("hostname", text).telling(),
        key("parent_hostname", text).telling(),
        key("local_gateway_hostname", text).since(EdgeVersion::new(4, 16)).telling(),
        key("trust_bundle_cert", certificate).telling(),
        key("manifest_trust_bundle_cert", certificate).telling(),
        key("auto_reprovisioning_mode", text).telling(),
        key("cloud_timeout_sec", number).since(EdgeVersion::new(2, 2)).telling(),
        key("cloud_retries", number).since(EdgeVersion::new(2, 2)).telling(),
        key("allow_elevated_docker_permissions", flag).since(EdgeVersion::new(2, 4)).telling(),
        key("prefer_module_identity_cache", flag).since(EdgeVersion::new(4, 20)).telling(),
        key("imported_master_encryption_key", text),
        key_of_kind("additional_info", Kind::Map(text)),
        key_of_kind("iotedge_max_requests", Kind::Map(number)).since(V1_4),
        key_of_kind("aziot_max_requests", Kind::Map(number)).since(V1_4),
        table("provisioning", &PROVISIONING),
        table("aziot_keys", &AZIOT_KEYS),
        table("tpm", &TPM).since(V1_4),
        table("localid", &LOCAL_ID),
        table("cert_issuance", &CERT_ISSUANCE),
        key_of_kind("preloaded_keys", Kind::Map(private_key)),
        key_of_kind("preloaded_certs", Kind::Map(any)),
        table("agent", &AGENT),
        table("connect", &CONNECT),
        table("listen", &LISTEN),
        table("watchdog", &WATCHDOG),
        table("edge_ca", &EDGE_CA),
        table("moby_runtime", &MOBY_RUNTIME),
        table("image_garbage_collection", &IMAGE_GARBAGE_COLLECTION).since(V1_4),
        foreign("endpoints"),
        foreign("module_identities"),
    ],
};

const PROVISIONING: Table = Table {
    label: "[provisioning]",
    others: None,
    claims: true,
    keys: &[
        key("source", text),
        key("global_endpoint", text).telling(),
        key("id_scope", text).telling(),
        table("payload", &PAYLOAD).since(V1_4),
        key("connection_string", text).telling(),
        key("iothub_hostname", text).telling(),
        key("device_id", text),
        table("attestation", &ATTESTATION).telling(),
        table("authentication", &AUTHENTICATION).telling(),
    ],
};

const PAYLOAD: Table = Table {
    label: "payload = { … } of [provisioning]",
    others: None,
    claims: true,
    keys: &[key("uri", text).required()],
};

const ATTESTATION: Table = Table {
    label: "[provisioning.attestation]",
    others: None,
    claims: true,
    keys: &[
        key("method", text),
        key("registration_id", text).telling(),
        key_of_kind("symmetric_key", Kind::Either(any, &SYMMETRIC_KEY)).telling(),
        IDENTITY_CERT,
        key("identity_pk", private_key),
    ],
};

const AUTHENTICATION: Table = Table {
    label: "[provisioning.authentication]",
    others: None,
    claims: true,
    keys: &[
        key("method", text),
        key_of_kind("device_id_pk", Kind::Either(any, &SYMMETRIC_KEY)).telling(),
        IDENTITY_CERT,
        key("identity_pk", private_key),
    ],
};

const SYMMETRIC_KEY: Table =
    Table { label: "the table of the key", others: None, claims: true, keys: &[key("value", text), key("uri", text)] };

/// A URI, or how a certificate is issued.
const IDENTITY_CERT: Key = key_of_kind("identity_cert", Kind::Either(certificate, &ISSUED));

const ISSUED: Table = Table {
    label: "identity_cert = { … }",
    others: None,
    claims: true,
    keys: &[
        key("method", issuance).required(),
        key("common_name", text),
        key_of_kind("subject", Kind::Map(text)),
        key("expiry_days", days),
        table("auto_renew", &AUTO_RENEW).since(V1_3),
        key("url", any_url),
        key("username", text),
        key("password", text),
        key("identity_cert", certificate),
        key("identity_pk", private_key),
        key("bootstrap_identity_cert", certificate),
        key("bootstrap_identity_pk", private_key),
    ],
};

const AUTO_RENEW: Table = Table {
    label: "auto_renew = { … }",
    others: None,
    claims: false,
    keys: &[
        key("rotate_key", flag).required(),
        key("threshold", renewal_policy).required(),
        key("retry", renewal_policy).required(),
    ],
};

const AZIOT_KEYS: Table = Table {
    label: "[aziot_keys]",
    others: Some(text),
    claims: true,
    keys: &[key("pkcs11_lib_path", text).telling(), key("pkcs11_base_slot", text).telling()],
};

const TPM: Table = Table {
    label: "[tpm]",
    others: None,
    claims: true,
    keys: &[
        key("tcti", text).telling(),
        key("auth_key_index", persistent_index).telling(),
        table("hierarchy_authorization", &HIERARCHIES),
    ],
};

const HIERARCHIES: Table = Table {
    label: "[tpm.hierarchy_authorization]",
    others: None,
    claims: true,
    keys: &[key("endorsement", text), key("owner", text)],
};

const LOCAL_ID: Table =
    Table { label: "[localid]", others: None, claims: false, keys: &[key("domain", text).required()] };

const CERT_ISSUANCE: Table = Table {
    label: "[cert_issuance]",
    others: None,
    claims: false,
    keys: &[table("est", &EST).telling(), table("local_ca", &LOCAL_CA).telling()],
};

const EST: Table = Table {
    label: "[cert_issuance.est]",
    others: None,
    claims: false,
    keys: &[
        key_of_kind("trusted_certs", Kind::List(certificate)).telling(),
        table("auth", &EST_AUTH),
        table("identity_auto_renew", &AUTO_RENEW).since(V1_3),
        key_of_kind("urls", Kind::Map(any_url)),
    ],
};

const EST_AUTH: Table = Table {
    label: "[cert_issuance.est.auth]",
    others: None,
    claims: false,
    keys: &[
        key("username", text),
        key("password", text),
        key("identity_cert", certificate),
        key("identity_pk", private_key),
        key("bootstrap_identity_cert", certificate).telling(),
        key("bootstrap_identity_pk", private_key).telling(),
    ],
};

const LOCAL_CA: Table = Table {
    label: "[cert_issuance.local_ca]",
    others: None,
    claims: false,
    keys: &[key_of_kind("cert", Kind::Either(certificate, &ISSUED)).required(), key("pk", private_key)],
};

const EDGE_CA: Table = Table {
    label: "[edge_ca]",
    others: None,
    claims: false,
    keys: &[
        key("cert", certificate),
        key("pk", private_key),
        key("auto_generated_edge_ca_expiry_days", number).telling(),
        key("method", issuance),
        key("common_name", text),
        key_of_kind("subject", Kind::Map(text)),
        key("expiry_days", days),
        table("auto_renew", &AUTO_RENEW).since(V1_3),
        key("url", any_url),
        key("username", text),
        key("password", text),
        key("identity_cert", certificate),
        key("identity_pk", private_key),
        key("bootstrap_identity_cert", certificate),
        key("bootstrap_identity_pk", private_key),
    ],
};

const AGENT: Table = Table {
    label: "[agent]",
    others: None,
    claims: false,
    keys: &[
        key("name", filled).required(),
        key("type", filled),
        key("imagePullPolicy", pull_policy).telling(),
        table("config", &AGENT_CONFIG).required(),
        key_of_kind("env", Kind::Map(text)),
    ],
};

const AGENT_CONFIG: Table = Table {
    label: "[agent.config]",
    others: None,
    claims: false,
    keys: &[
        key("image", filled).required(),
        key("imageHash", text),
        key("digest", text),
        table("createOptions", &CREATE_OPTIONS).telling(),
        table("auth", &REGISTRY_AUTH),
    ],
};

/// The names of Docker's API.
const CREATE_OPTIONS: Table =
    Table { label: "[agent.config.createOptions]", others: Some(any), claims: false, keys: &[] };

const REGISTRY_AUTH: Table = Table {
    label: "[agent.config.auth]",
    others: Some(any),
    claims: false,
    keys: &[key("serveraddress", text).telling(), key("username", text), key("password", text)],
};

const CONNECT: Table = Table {
    label: "[connect]",
    others: None,
    claims: false,
    keys: &[key("workload_uri", any_url).required(), key("management_uri", any_url).required()],
};

const LISTEN: Table = Table {
    label: "[listen]",
    others: None,
    claims: false,
    keys: &[
        key("workload_uri", any_url).required(),
        key("management_uri", any_url).required(),
        key("min_tls_version", tls_version).telling(),
    ],
};

const WATCHDOG: Table =
    Table { label: "[watchdog]", others: None, claims: false, keys: &[key("max_retries", retries).telling()] };

const MOBY_RUNTIME: Table = Table {
    label: "[moby_runtime]",
    others: None,
    claims: false,
    keys: &[
        key("uri", any_url).required(),
        key_of_kind("network", Kind::Either(text, &NETWORK)).required(),
        foreign("content_trust"),
    ],
};

const NETWORK: Table = Table {
    label: "[moby_runtime.network]",
    others: None,
    claims: false,
    keys: &[key("name", text).required(), key("ipv6", flag), foreign("ipam")],
};

const IMAGE_GARBAGE_COLLECTION: Table = Table {
    label: "[image_garbage_collection]",
    others: None,
    claims: false,
    keys: &[
        key("enabled", flag),
        key("cleanup_recurrence", text).telling(),
        key("image_age_cleanup_threshold", text).telling(),
        key("cleanup_time", text).telling(),
    ],
};
