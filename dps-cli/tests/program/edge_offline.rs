//! `dps edge provision` while the service's process is running, killed and restarted: every row of the decision tables,
//! with a backup and without one.

use std::path::Path;

use super::emulator::start;
use super::run::{Finished, Folder, Run, dps};

/// How long a start may take while the service is running, and while it is not.
const LONG: &str = "30s";
const SHORT: &str = "1s";
/// A mode or a pair of flags, and whether the service is asked despite a backup.
const TOML_ROWS: [(&str, bool); 4] = [
    ("", false),
    ("auto_reprovisioning_mode = \"Dynamic\"\n", false),
    ("auto_reprovisioning_mode = \"AlwaysOnStartup\"\n", true),
    ("auto_reprovisioning_mode = \"OnErrorOnly\"\n", false),
];
const YAML_ROWS: [(&str, bool); 5] = [
    ("", true),
    ("  always_reprovision_on_startup: true\n  dynamic_reprovisioning: false\n", true),
    ("  always_reprovision_on_startup: false\n  dynamic_reprovisioning: false\n", false),
    ("  always_reprovision_on_startup: true\n  dynamic_reprovisioning: true\n", true),
    ("  always_reprovision_on_startup: false\n  dynamic_reprovisioning: true\n", false),
];

/// A gateway with one of the rows.
struct Gateway {
    row: &'static str,
    asks: bool,
    is_toml: bool,
    config: String,
    state: String,
    ca: String,
}

impl Gateway {
    fn all(folder: &Folder, ca: &str, key: &str) -> Vec<Self> {
        let toml = |row: &str| {
            format!(
                "{row}[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://dps.test\"\n\
                 id_scope = \"0ne00A1B2C3\"\n[provisioning.attestation]\nmethod = \"symmetric_key\"\n\
                 registration_id = \"dev-01\"\nsymmetric_key = {{ value = \"{key}\" }}\n"
            )
        };
        let yaml = |row: &str| {
            format!(
                "provisioning:\n  source: \"dps\"\n  global_endpoint: \"https://dps.test\"\n\
                 \x20 scope_id: \"0ne00A1B2C3\"\n  attestation:\n    method: \"symmetric_key\"\n\
                 \x20   registration_id: \"dev-01\"\n    symmetric_key: \"{key}\"\n{row}"
            )
        };
        let toml_rows = TOML_ROWS.iter().map(|(row, asks)| (*row, *asks, true));
        let rows = toml_rows.chain(YAML_ROWS.iter().map(|(row, asks)| (*row, *asks, false)));
        let gateway = |(number, (row, asks, is_toml))| {
            let text = if is_toml { toml(row) } else { yaml(row) };
            let config = folder.write(&format!("{number}.{}", if is_toml { "toml" } else { "yaml" }), text);
            Self { row, asks, is_toml, config, state: folder.file(&format!("state-{number}")), ca: ca.to_owned() }
        };
        rows.enumerate().map(gateway).collect()
    }

    /// Starts the gateway against this endpoint: a restarted service has other ports.
    fn provision(&self, endpoint: &str, limit: &str, state: &str) -> Finished {
        dps(["edge", "provision", "--json", "--timeout", limit, "--config", &self.config])
            .args(["--endpoint", endpoint, "--ca-file", &self.ca, "--state-dir", state])
            .run()
    }

    /// Starts the gateway with the backup of the previous start.
    fn restart(&self, endpoint: &str, limit: &str, origin: &str, notes: usize) {
        let done = self.provision(endpoint, limit, &self.state).code(0).json();
        assert_eq!((&done["origin"], &done["assignedHub"]), (&origin.into(), &"hub-b.test".into()), "{}", self.row);
        assert_eq!(done["notes"].as_array().unwrap().len(), notes, "{}: {done}", self.row);
    }
}

#[test]
fn edge_provision_follows_decision_tables_across_a_service_outage() {
    let folder = Folder::new();
    let (kept, key) = (folder.file("service"), folder.file("device.key"));
    let hubs = ["--state", &kept, "--assign-at-once", "--hub", "hub-a.test", "--hub", "hub-b.test"];
    let (service, ready) = start(&hubs);
    let endpoint = ready["endpoints"]["https"].as_str().unwrap().to_owned();
    let (ca, owner) = (folder.file("service/ca.pem"), folder.file("service/connection-string"));
    dps(["enrollment", "create", "--rid", "dev-01", "--hub", "hub-b.test", "--key-out", &key])
        .args(["--connection-string-file", &owner, "--ca-file", &ca])
        .run()
        .code(0);
    let registers = |endpoint: &str| {
        let counters = dps(["emulator", "counters", "--json", "--endpoint", endpoint])
            .args(["--connection-string-file", &owner, "--ca-file", &ca])
            .run();
        counters.code(0).json()["registers"].as_u64().unwrap()
    };
    let gateways = Gateway::all(&folder, &ca, &folder.read("device.key"));
    let expected_calls = |gateway: &Gateway| u64::from(gateway.asks);

    for gateway in &gateways {
        let before = registers(&endpoint);
        let first = gateway.provision(&endpoint, LONG, &gateway.state).code(0).json();
        assert_eq!((&first["origin"], registers(&endpoint) - before), (&"new".into(), 1), "{}", gateway.row);
        gateway.restart(&endpoint, LONG, if gateway.asks { "unchanged" } else { "backup" }, 0);
        assert_eq!(registers(&endpoint) - before, 1 + expected_calls(gateway), "{}", gateway.row);
    }

    // Killed: it closes no connection properly.
    drop(service);
    for gateway in &gateways {
        // A note says that the service did not reply, and for 1.2 that the daemons would have deleted the backup.
        let notes = match (gateway.asks, gateway.is_toml) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        };
        gateway.restart(&endpoint, SHORT, "backup", notes);
        let nothing = folder.file("nothing");
        let error = gateway.provision(&endpoint, SHORT, &nothing).code(5).error();
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("no usable backup") && message.contains("the service returned no assignment"),
            "{error}"
        );
        for backup in ["device_info", "provisioning_backup.json"] {
            assert!(!Path::new(&nothing).join("0ne00A1B2C3/dev-01").join(backup).exists());
        }
    }

    let (_service, ready) = start(&hubs);
    let endpoint = ready["endpoints"]["https"].as_str().unwrap().to_owned();
    for gateway in &gateways {
        let before = registers(&endpoint);
        gateway.restart(&endpoint, LONG, if gateway.asks { "unchanged" } else { "backup" }, 0);
        assert_eq!(registers(&endpoint) - before, expected_calls(gateway), "{}", gateway.row);
    }
}
