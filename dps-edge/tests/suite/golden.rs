//! Each directory of `golden` has one file as people write them, and what is expected of it: the model, the findings,
//! and for `config.yaml` the conversion. `cargo xtask write-golden` writes the expectations again, to be reviewed in
//! the diff.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use dps_edge::{Converted, EdgeVersion, Finding, Format, Keys, Provisioning, Severity, convert, read};
use percent_encoding::percent_decode_str;

/// A file, and the version that it is read as.
struct Case {
    folder: PathBuf,
    text: String,
    format: Format,
    version: EdgeVersion,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(case).collect()
}

fn case(folder: PathBuf) -> Case {
    let (text, format) = match fs::read_to_string(folder.join("input.toml")) {
        Ok(text) => (text, Format::Toml),
        Err(_) => (fs::read_to_string(folder.join("input.yaml")).unwrap(), Format::Yaml),
    };
    let version = fs::read_to_string(folder.join("version")).ok().map(|version| version.trim().parse().unwrap());
    Case { folder, text, format, version: version.unwrap_or(format.newest_version()) }
}

fn model(provisioning: Option<&Provisioning>) -> String {
    let json = provisioning.map(|provisioning| provisioning.to_json(Keys::Hidden));
    format!("{}\n", serde_json::to_string_pretty(&json).unwrap())
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |mut lines, finding| {
        writeln!(lines, "{finding}").unwrap();
        lines
    })
}

fn conversion(converted: &Converted) -> String {
    let findings = lines(&converted.findings);
    let comments: String = findings.lines().map(|line| format!("# {line}\n")).collect();
    format!("{comments}{}", converted.text.expose())
}

/// The new file, or why it was not converted.
fn converted(text: &str) -> String {
    match convert(text) {
        Ok(converted) => conversion(&converted),
        Err(error) => format!("# not converted: {error}\n"),
    }
}

/// The expected content of each file of the directory; `None` if the file must not exist.
fn expectations(case: &Case) -> [(&'static str, Option<String>); 3] {
    let reading = read(&case.text, case.format, case.version);
    let converted = match case.format {
        Format::Yaml => Some(converted(&case.text)),
        Format::Toml => None,
    };
    [
        ("model.json", Some(model(reading.provisioning.as_ref()))),
        ("findings.txt", Some(lines(&reading.findings))),
        ("converted.toml", converted),
    ]
}

#[test]
fn golden_files_match_their_expectations() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let write = std::env::var_os("DPS_WRITE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in &cases {
        for (name, expected) in expectations(case) {
            let path = case.folder.join(name);
            let there = fs::read_to_string(&path).ok();
            if there == expected {
                continue;
            }
            match (&expected, write) {
                (Some(text), true) => fs::write(&path, text).unwrap(),
                (None, true) => fs::remove_file(&path).unwrap(),
                _ => wrong.push(format!("{}\n{}", path.display(), expected.unwrap_or_default())),
            }
        }
    }
    assert!(wrong.is_empty(), "{} expectations differ; this came out:\n{}", wrong.len(), wrong.join("\n"));
}

/// A converted file is read without errors, and means the same.
#[test]
fn golden_conversions_read_without_errors_and_mean_the_same() {
    let mut converted_count = 0;
    for case in cases() {
        let Ok(converted) = convert(&case.text) else { continue };
        if case.format == Format::Toml {
            continue;
        }
        let (old, new) = (
            read(&case.text, Format::Yaml, EdgeVersion::V1_1),
            read(converted.text.expose(), Format::Toml, EdgeVersion::V1_6),
        );
        let told = converted.findings.iter().any(|finding| finding.severity() == Severity::Error);
        assert_eq!(told, old.has_errors(), "{}: {:?}", case.folder.display(), converted.findings);
        assert!(!new.has_errors(), "{}: {:?}", case.folder.display(), new.findings);
        let same = |reading: &dps_edge::Reading| {
            let json = reading.provisioning.as_ref().unwrap().to_json(Keys::Shown);
            // Paths and short URLs become URIs.
            let json = format!("{} {} {}", json["dps"]["idScope"], json["dps"]["attestation"], json["manual"]);
            percent_decode_str(&json)
                .decode_utf8()
                .unwrap()
                .replace("file://localhost", "")
                .replace("file://", "")
                .replace("\"file:", "\"/")
        };
        assert_eq!(same(&old), same(&new), "{}", case.folder.display());
        converted_count += 1;
    }
    assert!(converted_count >= 12, "{converted_count} conversions");
}

/// The README's table of rules has every rule that a golden file shows, with its severity.
#[test]
fn readme_lists_every_rule_with_its_severity() {
    let readme = include_str!("../../README.md");
    let mut count = 0;
    for case in cases() {
        for expected in expectations(&case).into_iter().filter_map(|(name, text)| text.filter(|_| name != "model.json"))
        {
            for line in expected.lines().filter(|line| line.contains("]: ")) {
                let rule = line.split("]: ").next().unwrap();
                let (severity, id) = rule.split_once('[').unwrap();
                let severity = severity.rsplit(' ').next().unwrap();
                let row = readme.lines().find(|row| row.starts_with("| `") && row.contains(&format!("`{id}`")));
                let row = row.unwrap_or_else(|| panic!("the README lacks {id}"));
                assert!(row.split('|').nth(2).unwrap().contains(severity), "{severity} {row}");
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}
