//! A file for an unknown version: read as the newest version does, with a warning about what the one before it refuses.

use dps_edge::{EdgeVersion, Format, Keys, read, read_newest};

const TOML_1_1: &str = include_str!("../golden/toml-inline-table-over-lines/input.toml");
const TOML_1_0: &str = include_str!("../golden/toml-inline-key/input.toml");
const YAML: &str = include_str!("../golden/yaml-whole-file/input.yaml");

fn found(reading: &dps_edge::Reading) -> Vec<(usize, usize, &'static str, &'static str)> {
    let findings = reading.findings.iter();
    findings.map(|it| (it.position.line, it.position.column, it.severity().name(), it.id())).collect()
}

#[test]
fn read_newest_warns_about_what_the_previous_version_refuses() {
    let newest = read_newest(TOML_1_1, Format::Toml);
    assert_eq!(found(&newest), [(5, 22, "warning", "refused-before"), (10, 17, "warning", "refused-before")]);
    assert!(newest.findings.iter().all(|finding| finding.message().contains("IoT Edge 1.5 and older refuse this")));
    assert!(newest.findings[1].message().contains("must be on one line"));

    let named = read(TOML_1_1, Format::Toml, EdgeVersion::V1_6);
    assert_eq!(found(&named), []);
    let models = [newest, named].map(|reading| reading.provisioning.unwrap().to_json(Keys::Shown));
    assert_eq!(models[0], models[1]);
}

#[test]
fn read_newest_is_silent_about_what_both_versions_read() {
    assert_eq!(read_newest(TOML_1_0, Format::Toml).findings, read(TOML_1_0, Format::Toml, EdgeVersion::V1_6).findings);
    assert_eq!(read_newest(YAML, Format::Yaml).findings, read(YAML, Format::Yaml, EdgeVersion::V1_1).findings);
}
