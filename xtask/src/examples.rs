//! Runs every example and compares its output with its header.
//!
//! Each example runs without arguments, with its own emulator, and with a service that is named in the environment.

use std::path::Path;
use std::process::Command;

use crate::emulator::Emulator;
use crate::run::{Outcome, build_workspace, command, limited, output, read, report, target_dir, tracked};

const DEVICE: &str = "dev-01";
/// The environment variables of examples.
const VARIABLES: [&str; 9] = [
    "DPS_ID_SCOPE",
    "DPS_REGISTRATION_ID",
    "DPS_KEY",
    "DPS_KEY_FILE",
    "DPS_CERT_FILE",
    "DPS_CERT_KEY_FILE",
    "DPS_ENDPOINT",
    "DPS_CA_FILE",
    "DPS_ASSIGNMENT_FILE",
];
/// The example of a device with a certificate, over MQTT.
const WITH_CERTIFICATE: &str = "register-x509";
/// Examples that need features of the local service: returning a payload, simulating the hub, a webhook on loopback.
const LOCAL_ONLY: [&str; 4] = ["allocation-webhook", "custom-payload", "cached-hub", "gateway"];

pub(crate) fn check() -> Outcome {
    build_workspace()?;
    let folder = target_dir().join("examples-check");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let service = Emulator::start(&folder, &[])?;
    let key = service.enroll(DEVICE)?;
    let certified = folder.join("certified");
    std::fs::create_dir_all(&certified).map_err(|error| format!("{}: {error}", certified.display()))?;
    let certified = Emulator::start(&certified, &[])?;
    let certificates = certified.certificates(&[DEVICE])?;
    certified.enroll_certificates(&certificates, DEVICE)?;
    let mut problems = Vec::new();
    for path in tracked()?.iter().filter(|path| is_example(path)) {
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
        let expected = printed(&read(path)?).ok_or_else(|| format!("{path} has no expected output in its header"))?;
        let mut ways = vec![("alone", example(&name)?)];
        if name == WITH_CERTIFICATE {
            ways.push(("with a service named", with_certificate(&certified, &certificates)?));
        } else if !LOCAL_ONLY.contains(&name.as_str()) {
            ways.push(("with a service named", named(&name, &service, &key)?));
        }
        for (how, example) in ways {
            match output(&mut limited(&example)) {
                Ok(said) if said == expected => println!("{name:<15} {how}: as expected"),
                Ok(said) => problems.push(format!("{path}, {how}, prints\n{said}where its header says\n{expected}")),
                Err(problem) => problems.push(format!("{path}, {how}: {problem}")),
            }
        }
    }
    report(&problems)
}

fn is_example(path: &str) -> bool {
    path.strip_prefix("examples/").is_some_and(|name| name.ends_with(".rs") && !name.contains('/'))
}

/// Returns the expected output in a header.
fn printed(source: &str) -> Option<String> {
    let header =
        source.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.strip_prefix(' ').unwrap_or(line));
    let block: Vec<&str> =
        header.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```").collect();
    (!block.is_empty()).then(|| block.join("\n") + "\n")
}

/// Runs an example without arguments.
fn example(name: &str) -> Result<Command, String> {
    let program = target_dir().join("debug/examples").join(name);
    let program = std::fs::canonicalize(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let mut example = command(program, [] as [&str; 0]);
    VARIABLES.iter().for_each(|variable| {
        example.env_remove(variable);
    });
    Ok(example)
}

/// The example for a device of this service.
fn named(name: &str, service: &Emulator, key: &Path) -> Result<Command, String> {
    let endpoint = if name.contains("mqtt") { &service.mqtt } else { &service.https };
    let mut example = with_service(name, service, endpoint)?;
    example.env("DPS_REGISTRATION_ID", DEVICE).env("DPS_KEY_FILE", key);
    Ok(example)
}

/// The same with the certificate of the device, which has its registration id.
fn with_certificate(service: &Emulator, certificates: &Path) -> Result<Command, String> {
    let mut example = with_service(WITH_CERTIFICATE, service, &service.mqtt)?;
    example.env("DPS_CERT_FILE", certificates.join(format!("{DEVICE}.pem")));
    example.env("DPS_CERT_KEY_FILE", certificates.join(format!("{DEVICE}.key.pem")));
    Ok(example)
}

fn with_service(name: &str, service: &Emulator, endpoint: &str) -> Result<Command, String> {
    let mut example = example(name)?;
    example.env("DPS_ID_SCOPE", &service.id_scope).env("DPS_ENDPOINT", endpoint);
    example.env("DPS_CA_FILE", &service.ca).env("NO_PROXY", "localhost");
    Ok(example)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_output_is_read_from_the_header() {
        let source = "//! What it shows.\n//!\n//! ```text\n//! a\n//!   b\n//! ```\n\nuse x;\n//! ```text\n//! no\n";
        assert_eq!(printed(source).as_deref(), Some("a\n  b\n"));
        assert_eq!(printed("//! Nothing.\nfn main() {}\n"), None);
        assert!(is_example("examples/resume.rs") && !is_example("examples/src/lib.rs") && !is_example("docs/a.rs"));
    }
}
