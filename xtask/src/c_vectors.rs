//! The data in `vectors` as C tables, for the tests of the C library and for firmware that checks itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::read;

/// Writes `vectors.h` into a directory, and returns the directory. Written atomically, since parallel checks write the same.
pub(crate) fn write(folder: PathBuf) -> Result<PathBuf, String> {
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (path, draft) = (folder.join("vectors.h"), folder.join(format!("vectors.{}", std::process::id())));
    let written = std::fs::write(&draft, tables()?).and_then(|()| std::fs::rename(&draft, &path));
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(folder)
}

/// A list of a file, and the members of its entries that C gets.
struct Table {
    name: &'static str,
    file: &'static str,
    list: &'static str,
    members: &'static [&'static str],
}

const TABLES: [Table; 13] = [
    Table {
        name: "derived",
        file: "keys",
        list: "positive",
        members: &["name", "layer", "groupKey", "registrationId", "deviceKey"],
    },
    Table {
        name: "mistaken",
        file: "keys",
        list: "negative",
        members: &["name", "keyAsText", "groupKey", "message", "registrationId", "mustNotBe"],
    },
    Table {
        name: "signed",
        file: "tokens",
        list: "signatures",
        members: &[
            "name",
            "layer",
            "key",
            "sr",
            "se",
            "signature",
            "resource.idScope",
            "resource.registrationId",
            "resource.hub",
            "resource.deviceId",
            "token",
        ],
    },
    Table { name: "hmac", file: "tokens", list: "hmac", members: &["name", "key", "message", "signature"] },
    Table { name: "format", file: "tokens", list: "format", members: &["name", "sr", "se", "stringToSign"] },
    Table { name: "refused_key", file: "refused", list: "keys", members: &["name", "text"] },
    Table { name: "refused_id", file: "refused", list: "registrationIds", members: &["name", "text"] },
    Table {
        name: "csr",
        file: "issuance",
        list: "requests",
        members: &["name", "registrationId", "payload", "csr", "body"],
    },
    Table {
        name: "issued",
        file: "issuance",
        list: "issued",
        members: &["name", "body", "index", "certificate", "problem"],
    },
    Table {
        name: "profile",
        file: "issuance",
        list: "profiles",
        members: &["name", "apiVersion", "body", "profile", "problem"],
    },
    Table {
        name: "api_version",
        file: "api-versions",
        list: "versions",
        members: &["apiVersion", "usedFor", "certificateRequest", "classic", "mqttV5"],
    },
    Table { name: "error", file: "errors", list: "errors", members: &["family", "name", "number", "text"] },
    Table { name: "hint", file: "errors", list: "hints", members: &["name", "text"] },
];

fn tables() -> Result<String, String> {
    let mut text = String::from("/* Written by xtask from vectors/; what an entry does not have is null. */\n");
    for table in TABLES {
        let path = Path::new("vectors").join(table.file).with_extension("json");
        let data: Value =
            serde_json::from_str(&read(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        let entries = data[table.list].as_array().filter(|entries| !entries.is_empty());
        let entries = entries.ok_or(format!("{} has no {}", path.display(), table.list))?;
        text.push_str(&table.write(entries));
    }
    Ok(text)
}

impl Table {
    fn write(&self, entries: &[Value]) -> String {
        let mut text = String::from("\nstatic const struct {\n    const char");
        let fields: Vec<String> = self.members.iter().map(|member| format!("*{}", snake(member))).collect();
        let _ = writeln!(text, " {};\n}} vectors_{}[] = {{", fields.join(", "), self.name);
        for entry in entries {
            let values: Vec<String> = self.members.iter().map(|member| literal(at(entry, member))).collect();
            let _ = writeln!(text, "    {{{}}},", values.join(", "));
        }
        text.push_str("};\n");
        text
    }
}

fn at<'v>(entry: &'v Value, member: &str) -> &'v Value {
    member.split('.').fold(entry, |value, name| &value[name])
}

/// `resource.idScope` as `id_scope`.
fn snake(member: &str) -> String {
    let name = member.rsplit('.').next().unwrap_or(member);
    name.chars().map(|c| if c.is_uppercase() { format!("_{}", c.to_lowercase()) } else { c.to_string() }).collect()
}

/// Every value as text; C compares text anyway.
fn literal(value: &Value) -> String {
    let text = match value {
        Value::Null => return "0".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'?' => quoted.extend(['\\', byte as char]),
            b' '..=b'~' => quoted.push(byte as char),
            other => {
                let _ = write!(quoted, "\\{other:03o}");
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_c_text() {
        let entry = serde_json::json!({ "se": 7, "a": { "bC": "x\"\n\u{e9}1" } });
        assert_eq!(literal(at(&entry, "a.bC")), "\"x\\\"\\012\\303\\2511\"");
        assert_eq!((literal(at(&entry, "se")), literal(at(&entry, "gone"))), ("\"7\"".into(), "0".into()));
        assert_eq!(snake("a.bC"), "b_c");
    }

    #[test]
    fn every_file_has_the_members_of_its_table() {
        let text = tables().unwrap();
        assert!(text.contains("vectors_derived[] = {\n    {\"published\", \"key\", "));
    }
}
