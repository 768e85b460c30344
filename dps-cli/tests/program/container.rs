//! The files in `container` and their page use options and variables that the program has.

use std::path::Path;

use super::run::{Run as _, dps};

const PREFIX: &str = "DPS_EMULATOR_";

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variables of the image, with their values.
fn image_variables() -> Vec<(String, String)> {
    let text = file("container/Containerfile");
    let words = text.split_whitespace().filter(|word| word.starts_with(PREFIX));
    words.map(|word| word.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Parses a command line of the emulator: it ends at a configuration that does not exist.
#[track_caller]
fn is_accepted(arguments: &[&str], variables: &[(String, String)]) {
    let words = ["emulator", "--config", "missing.toml", "--json"].iter().chain(arguments).copied();
    let error = dps(words).envs(variables.iter().cloned()).run().code(7).error();
    assert!(error["message"].as_str().unwrap().contains("missing.toml"), "{error}");
}

#[test]
fn every_variable_of_the_container_files_is_one_of_the_program() {
    let help = dps(["emulator", "--help"]).run().code(0).stdout;
    for name in
        ["container/Containerfile", "container/compose.yaml", "container/dps-emulator.service", "docs/container.md"]
    {
        let text = file(name);
        let variables =
            text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|word| word.starts_with(PREFIX));
        for variable in variables {
            assert!(help.contains(variable), "{name}: {variable}\n{help}");
        }
    }
}

#[test]
fn image_starts_the_emulator_with_valid_options() {
    let variables = image_variables();
    assert!(variables.len() > 5, "{variables:?}");
    is_accepted(&[], &variables);
    is_accepted(&["--announce", "localhost:9443", "--announce", "mqtt=localhost:9883"], &variables);
}

#[test]
fn option_of_the_command_line_decides_against_variables_of_the_image() {
    // The key is read after these options.
    let words = ["emulator", "--fixed-ports", "--no-ui", "--policy-key-file", "missing.key", "--json"];
    let error = dps(words).envs(image_variables()).run().code(7).error();
    assert!(error["message"].as_str().unwrap().contains("missing.key"), "{error}");
    for contradiction in
        [["--no-ui", "--ui-host=dps"], ["--no-ui", "--ui-plain-http"], ["--fixed-ports", "--wss-port=0"]]
    {
        let error = dps(["emulator", "--json"].into_iter().chain(contradiction)).run().code(2).error();
        assert!(error["message"].as_str().unwrap().contains("exclude each other"), "{error}");
    }
}

#[test]
fn image_checks_health_by_its_variables() {
    let text = file("container/Containerfile");
    let (_, check) = text.split_once("HEALTHCHECK").unwrap();
    let (_, words) = check.lines().next().unwrap().split_once("CMD").unwrap();
    let words: Vec<String> = serde_json::from_str(words).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let health = dps(words[1..].iter().map(String::as_str))
        .envs(image_variables())
        .env("DPS_EMULATOR_STATE", folder.path())
        .run();
    // Only the emulator is missing here, which is not a mistake of the command line.
    assert!(![0, 2].contains(&health.code), "{health:?}");
}

#[test]
fn compose_file_and_unit_start_the_emulator_with_valid_options() {
    let compose = file("container/compose.yaml");
    let command = compose.lines().find_map(|line| line.trim().strip_prefix("command: ")).unwrap();
    let words: Vec<String> = serde_json::from_str(command).unwrap();
    is_accepted(&words.iter().map(String::as_str).collect::<Vec<_>>(), &image_variables());
    let unit = file("container/dps-emulator.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/dps emulator ")).unwrap();
    is_accepted(&command.split(' ').collect::<Vec<_>>(), &[]);
}

#[test]
fn container_files_name_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (name, text) in [
        ("container/compose.yaml", format!("dps-emulator:{version}")),
        ("container/test_device.py", format!("dps-emulator:{version}")),
        ("docs/container.md", format!("dps-emulator-{version}-image-x86_64.tar")),
        ("README.md", format!("dps-{version}-x86_64-unknown-linux-musl.tar.gz")),
        ("README.md", format!("dps_client-{version}-cp310-abi3-manylinux")),
    ] {
        assert!(file(name).contains(&text), "{name}: {text}");
    }
}
