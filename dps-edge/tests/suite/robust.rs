//! Truncated files, and files with parts of another: read to the end without a panic, with every place inside the file,
//! and never changed in another way than requested.

use std::fs;
use std::path::Path;

use dps_edge::{Format, convert, read, set};

fn inputs() -> Vec<(String, Format)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut inputs = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        for (name, format) in [("input.toml", Format::Toml), ("input.yaml", Format::Yaml)] {
            inputs.extend(fs::read_to_string(folder.join(name)).ok().map(|text| (text, format)));
        }
    }
    inputs
}

fn try_all(text: &str, format: Format) {
    let lines = text.matches('\n').count() + 1;
    let version = format.newest_version();
    for finding in read(text, format, version).findings {
        assert!((1..=lines).contains(&finding.position.line) && finding.position.column >= 1, "{finding}: {text}");
    }
    if let Ok(converted) = convert(text) {
        let new = read(converted.text.expose(), Format::Toml, Format::Toml.newest_version());
        assert!(!new.has_errors(), "{:?}: {text}", new.findings);
    }
    for key in ["provisioning.source", "provisioning.attestation.symmetric_key", "auto_reprovisioning_mode"] {
        if let Ok(changed) = set(text, format, version, key, "dps") {
            let differ = text.lines().zip(changed.expose().lines()).filter(|(old, new)| old != new).count();
            assert!(differ <= 1 && changed.expose().lines().count() == text.lines().count(), "{text}");
        }
    }
}

#[test]
fn truncated_files_are_read_without_a_panic() {
    for (text, format) in inputs() {
        for end in (0..text.len()).step_by(29).filter(|end| text.is_char_boundary(*end)) {
            try_all(&text[..end], format);
        }
    }
}

#[test]
fn files_with_foreign_parts_are_read_without_a_panic() {
    const PIECES: [&str; 14] =
        ["\"", "'", "{", "[", "]", "\n", "\t", ": ", "# ", "\u{feff}", "= \"\"\"", "- ", "&a *b !!c |\n", "\0"];
    for (index, (text, format)) in inputs().into_iter().enumerate() {
        // Each file gets a third of them.
        for (number, piece) in PIECES.iter().enumerate().filter(|(number, _)| (number + index) % 3 == 0) {
            let at = text.len() * (number * 5 + index) / (PIECES.len() * 6 + 80);
            let at = (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            try_all(&format!("{}{piece}{}", &text[..at], &text[at..]), format);
            try_all(&text.replacen(": ", piece, number), format);
            try_all(&text.replacen(" = ", piece, number), format);
        }
        try_all(&text, if format == Format::Toml { Format::Yaml } else { Format::Toml });
    }
}

#[test]
fn deeply_nested_files_are_read_without_a_panic() {
    for (open, format) in [("a: {", Format::Yaml), ("[", Format::Yaml), ("- ", Format::Yaml), ("a = {", Format::Toml)] {
        try_all(&open.repeat(20_000), format);
    }
    let nested: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    try_all(&nested, Format::Yaml);
    try_all(&format!("{} = 1", "a.".repeat(20_000) + "a"), Format::Toml);
}
