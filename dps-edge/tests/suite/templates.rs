//! The templates that IoT Edge is installed with, block by block: unchanged they have placeholders, and no findings
//! other than those after the name of a block.

use std::collections::BTreeSet;

use dps_edge::{EdgeVersion, Format, Severity, read};

const TEMPLATES: [(&str, &str, Format); 5] = [
    ("1.1", include_str!("../templates/1.1.yaml"), Format::Yaml),
    ("1.2.0", include_str!("../templates/1.2.0.toml"), Format::Toml),
    ("1.3.0", include_str!("../templates/1.3.0.toml"), Format::Toml),
    ("1.4.0", include_str!("../templates/1.4.0.toml"), Format::Toml),
    ("1.5.0", include_str!("../templates/1.5.0.toml"), Format::Toml),
];

/// A valid provisioning part, for the blocks that have none.
const TOML: &str = "[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://global.azure-devices-provisioning.net\"\n\
                    id_scope = \"0ne00A1B2C3\"\n\n[provisioning.attestation]\nmethod = \"tpm\"\n\
                    registration_id = \"dev-01\"\n\n";
const YAML: &str = "provisioning:\n  source: \"dps\"\n  \
                    global_endpoint: \"https://global.azure-devices-provisioning.net\"\n  \
                    scope_id: \"0ne00A1B2C3\"\n  attestation:\n    method: \"tpm\"\n    \
                    registration_id: \"dev-01\"\n\n";

struct Block<'t> {
    name: &'t str,
    expected: BTreeSet<&'t str>,
    text: &'t str,
}

fn blocks(template: &str) -> Vec<Block<'_>> {
    let block = |text| {
        let (line, text): (&str, &str) = str::split_once(text, '\n').unwrap();
        let (name, expected) = line.split_once(':').unwrap();
        Block { name: name.trim(), expected: expected.split_whitespace().collect(), text }
    };
    template.split("#: ").skip(1).map(block).collect()
}

/// A block of keys is put above the first table, one of tables below the last.
fn file(block: &Block<'_>, format: Format) -> String {
    let good = if format == Format::Toml { TOML } else { YAML };
    match block.name.starts_with("provisioning ") {
        true => block.text.to_owned(),
        false if format == Format::Toml && block.text.starts_with('[') => format!("{good}{}", block.text),
        false => format!("{}{good}", block.text),
    }
}

#[test]
fn template_blocks_have_placeholders_and_no_other_findings() {
    let mut count = 0;
    for (shipped_with, template, format) in TEMPLATES {
        let shipped_with: EdgeVersion = shipped_with.parse().unwrap();
        for block in blocks(template) {
            let text = file(&block, format);
            let findings = read(&text, format, shipped_with).findings;
            let worse_than_notes = findings.iter().filter(|finding| finding.severity() > Severity::Note);
            let found: BTreeSet<&str> = worse_than_notes.map(|finding| finding.id()).collect();
            assert_eq!(found, block.expected, "{shipped_with}, {}: {findings:?}\n{text}", block.name);
            count += 1;
        }
    }
    assert!(count > 120, "{count}");
}

/// Later daemons of the same generation read what earlier ones were installed with.
#[test]
fn older_template_blocks_are_read_by_newer_versions() {
    for (_, template, format) in TEMPLATES.into_iter().filter(|(.., format)| *format == Format::Toml) {
        for block in blocks(template) {
            let text = file(&block, format);
            let findings = read(&text, format, EdgeVersion::V1_6).findings;
            let new = findings.iter().find(|finding| {
                let is_known = block.expected.contains(finding.id()) || finding.id() == "cloud-timeout";
                finding.severity() > Severity::Note && !is_known
            });
            assert_eq!(new, None, "{}\n{text}", block.name);
        }
    }
}
