//! Published clients of the service API against the emulator: what an owner does with enrollments and registrations.

use std::path::Path;

use serde_json::Value;

use crate::emulator::Emulator;
use crate::peers::{Language, Peer, python, version};
use crate::run::{command, limited, output, read};

/// What every client does, in this order.
const OPERATIONS: [&str; 29] = [
    "enrollment create",
    "enrollment get",
    "enrollment update by etag",
    "enrollment update by stale etag",
    "enrollment attestation mechanism",
    "enrollment bulk create",
    "enrollment bulk update",
    "enrollment query in pages",
    "enrollment delete",
    "enrollment bulk delete",
    "group create",
    "group get",
    "group update by etag",
    "group update by stale etag",
    "group attestation mechanism",
    "group query in pages",
    "group delete",
    "enrollment X.509 create",
    "enrollment X.509 get",
    "enrollment X.509 delete",
    "group X.509 create",
    "group X.509 get",
    "group X.509 delete",
    "enrollment TPM create",
    "enrollment TPM get",
    "enrollment TPM delete",
    "registration get",
    "registration query in pages",
    "registration delete",
];
/// What only some clients can do.
const GROUP_BULK: [&str; 3] = ["group bulk create", "group bulk update", "group bulk delete"];

struct ServiceClient {
    peer: Peer,
    group_bulk: bool,
}

const CLIENTS: [ServiceClient; 3] = [
    client(Language::Node, "azure-iot-provisioning-service", false),
    client(Language::Python, "azure-iot-deviceprovisioning", true),
    client(Language::Python, "azure-iothub-provisioningserviceclient", false),
];

const fn client(language: Language, package: &'static str, group_bulk: bool) -> ServiceClient {
    ServiceClient { peer: Peer { language, package, transport: "https" }, group_bulk }
}

/// Prints a table, and returns how many operations failed.
pub(crate) fn check(folder: &Path) -> Result<usize, String> {
    println!("\n{:<40} {:<8} {:<33} result", "service client", "version", "operation");
    let mut failed = 0;
    for client in &CLIENTS {
        let version = version(&client.peer)?;
        let reports = manage(client, folder)?;
        for operation in OPERATIONS.iter().chain(GROUP_BULK.iter().filter(|_| client.group_bulk)) {
            let result = result_of(operation, &reports);
            failed += usize::from(result != "ok");
            println!("{:<40} {version:<8} {operation:<33} {result}", client.peer.package);
        }
    }
    Ok(failed)
}

/// Lets a client manage an emulator of its own, and returns what it prints.
fn manage(client: &ServiceClient, folder: &Path) -> Result<Vec<Value>, String> {
    let service = Emulator::start(folder, &["--https-port", "443", "--assign-at-once"])?;
    service.register("dev-01", read(service.enroll("dev-01")?)?.trim())?;
    service.enroll_group("line-7-a")?;
    for id in ["line-7-a", "line-7-b", "line-7-c"] {
        service.register(id, &service.derived_key(id)?)?;
    }
    let mut program = match client.peer.language {
        Language::Node => command("node", [folder.join("service.js")]),
        Language::Python => {
            let mut program = command(python(folder), ["interop/python/service.py"]);
            program.arg(client.peer.package);
            program
        }
    };
    program.env("DPS_CERT_FILE", service.certificates(&["certified-01"])?.join("intermediate-ca.pem"));
    program.env("DPS_CONNECTION_STRING", read(&service.connection_string)?.trim());
    program.env("NODE_EXTRA_CA_CERTS", &service.ca).env("REQUESTS_CA_BUNDLE", &service.ca);
    let printed = output(&mut limited(&program))?;
    printed.lines().map(|line| serde_json::from_str(line).map_err(|_| format!("it printed {line}"))).collect()
}

fn result_of(operation: &str, reports: &[Value]) -> String {
    let report = reports.iter().find(|report| report["operation"].as_str() == Some(operation));
    match report.map(|report| report["problem"].as_str()) {
        None => "FAILED: not reached".to_owned(),
        Some(None) => "ok".to_owned(),
        Some(Some(problem)) => format!("FAILED: {problem}"),
    }
}
