//! Changes one value in place: every other byte stays, including comments, order, line ends and byte order mark.
//!
//! The result is read again before it is returned: no other value may differ, and there may be no new error.

use std::ops::Range;

use dps_files::SecretString;
use zeroize::Zeroizing;

use crate::convert::key_value;
use crate::problem::{Problem, Severity};
use crate::read::{parse, read};
use crate::schema;
use crate::toml_repair::is_repaired;
use crate::toml_syntax::quoted;
use crate::tree::{Entries, Node, Value, find, find_null_too};
use crate::version::{EdgeVersion, Format};

/// Why a value was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    /// The file cannot be read; the lint reports where.
    Broken,
    /// The file does not have this key.
    NoSuchKey {
        /// The key in the same table that was probably meant, if one is similar.
        nearest: Option<&'static str>,
    },
    /// The key has a table or a list.
    NotAScalar,
    /// The value is written in a form that cannot be changed by itself: with an anchor, an alias or a tag, or over
    /// several lines.
    Entangled,
    /// The value has another type than the key.
    WrongType {
        /// What is valid.
        wanted: &'static str,
    },
    /// The daemons would refuse it.
    Refused(Problem),
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken => f.write_str("the file cannot be read as it is; the lint reports where"),
            Self::NoSuchKey { nearest: Some(nearest) } => write!(f, "unknown key; did you mean `{nearest}`?"),
            Self::NoSuchKey { nearest: None } => {
                f.write_str("the key is not in the file, and only an existing value can be changed: add the line")
            }
            Self::NotAScalar => f.write_str("the key has a table or a list: name one value in it"),
            Self::Entangled => f.write_str(
                "the value is written over several lines or with an anchor, alias or tag: change it by hand",
            ),
            Self::WrongType { wanted } => write!(f, "the value must be {wanted}"),
            Self::Refused(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for EditError {}

/// Whether a value is a secret: such a value must not be an argument of a command line.
#[must_use]
pub fn is_secret(key: &str, value: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or_default();
    let names_key = ["symmetric_key", "device_id_pk", "value"].contains(&last);
    let names_secret = last.ends_with("connection_string") || ["endorsement", "owner", "password"].contains(&last);
    let is_location = value.starts_with("file:") || value.starts_with("pkcs11:");
    names_secret || value.contains("pin-value") || (names_key && !is_location)
}

/// Returns the text with one value changed. `key` is a path with dots, such as `provisioning.id_scope`.
///
/// In TOML a symmetric key (`provisioning.attestation.symmetric_key`) is written as the table that the daemons require,
/// whatever form it had.
///
/// ```
/// use dps_edge::{EdgeVersion, Format, set};
///
/// let text = "[provisioning]\r\nid_scope = '0ne0'  # ours\r\n";
/// let set = set(text, Format::Toml, EdgeVersion::V1_6, "provisioning.id_scope", "0ne00A1B2C3")?;
/// assert_eq!(set.expose(), "[provisioning]\r\nid_scope = '0ne00A1B2C3'  # ours\r\n");
/// # Ok::<(), dps_edge::EditError>(())
/// ```
///
/// # Errors
/// [`EditError`]; the file must then stay as it is.
pub fn set(
    text: &str,
    format: Format,
    version: EdgeVersion,
    key: &str,
    value: &str,
) -> Result<SecretString, EditError> {
    let (before, broken) = parse(text, format);
    // These mistakes are repaired in memory before the values are read, and a new value may fix one.
    if broken.iter().any(|(_, problem)| problem.severity() == Severity::Error && !is_repaired(problem)) {
        return Err(EditError::Broken);
    }
    let path: Vec<&str> = key.split('.').collect();
    let node = find_path(&before, &path)?;
    let last = path.last().copied().unwrap_or_default();
    let is_key_table = format == Format::Toml && ["symmetric_key", "device_id_pk"].contains(&last);
    let (span, written) = if is_key_table {
        key_replacement(text, node, value)?
    } else {
        let wanted = if format == Format::Yaml { wanted_in_yaml(last) } else { Wanted::SameAsBefore };
        (node.span.clone(), replacement(text, node, wanted, value)?)
    };
    let mut changed = Zeroizing::new(String::with_capacity(text.len() + written.len()));
    changed.push_str(&text[..span.start]);
    changed.push_str(&written);
    changed.push_str(&text[span.end..]);
    check(text, &changed, format, version, &path)?;
    Ok(SecretString::from(changed))
}

fn find_path<'e>(entries: &'e Entries, path: &[&str]) -> Result<&'e Node, EditError> {
    let (first, rest) = path.split_first().ok_or(EditError::NoSuchKey { nearest: None })?;
    let Some(entry) = find_null_too(entries, first) else {
        return Err(EditError::NoSuchKey { nearest: schema::nearest_of_all(first) });
    };
    match (&entry.node.value, rest.is_empty()) {
        (_, true) => Ok(&entry.node),
        (Value::Table(table), false) => find_path(&table.entries, rest),
        (_, false) => Err(EditError::NoSuchKey { nearest: None }),
    }
}

/// The type to write. YAML infers the type of a scalar, and a wrong one is a mistake that `set` fixes.
#[derive(Clone, Copy)]
enum Wanted {
    SameAsBefore,
    Text,
    Number,
    Boolean,
}

fn wanted_in_yaml(key: &str) -> Wanted {
    match key {
        "always_reprovision_on_startup" | "dynamic_reprovisioning" => Wanted::Boolean,
        "auto_generated_ca_lifetime_days" | "max_retries" => Wanted::Number,
        _ => Wanted::Text,
    }
}

/// Writes a scalar in the style of the old one.
fn replacement(text: &str, node: &Node, wanted: Wanted, value: &str) -> Result<Zeroizing<String>, EditError> {
    let old = text.get(node.span.clone()).ok_or(EditError::Entangled)?;
    let several = matches!(node.value, Value::Table(_) | Value::List(_) | Value::Other);
    let hidden = match &node.value {
        Value::Plain(plain) => **plain != *old,
        // There is no value.
        Value::Null => old.is_empty(),
        _ => false,
    };
    match (wanted, &node.value) {
        _ if several => Err(EditError::NotAScalar),
        _ if hidden || is_marked(old) => Err(EditError::Entangled),
        (Wanted::Boolean, _) | (Wanted::SameAsBefore, Value::Boolean(_)) => boolean(value),
        (Wanted::Number, _) | (Wanted::SameAsBefore, Value::Number(_)) => number(value),
        _ => one_line(old, value),
    }
}

/// Whether a YAML scalar has an anchor, an alias or a tag, or continues on the next lines.
fn is_marked(old: &str) -> bool {
    old.starts_with(['|', '>', '&', '*', '!'])
}

fn number(value: &str) -> Result<Zeroizing<String>, EditError> {
    match value.parse::<u32>() {
        Ok(_) => Ok(Zeroizing::new(value.to_owned())),
        Err(_) => Err(EditError::WrongType { wanted: "a whole number from 0 on" }),
    }
}

fn boolean(value: &str) -> Result<Zeroizing<String>, EditError> {
    match value {
        "true" | "false" => Ok(Zeroizing::new(value.to_owned())),
        _ => Err(EditError::WrongType { wanted: "true or false" }),
    }
}

/// Quotes a string as the old one was quoted, if its quotes allow that.
fn one_line(old: &str, value: &str) -> Result<Zeroizing<String>, EditError> {
    let several_lines = old.contains('\n') || ["\"\"\"", "'''"].iter().any(|quotes| old.starts_with(quotes));
    if several_lines && old.len() > 2 {
        return Err(EditError::Entangled);
    }
    let fits = !value.chars().any(|c| c.is_control() || c == '\'');
    Ok(match old.starts_with('\'') && fits {
        true => Zeroizing::new(format!("'{value}'")),
        // YAML's double quotes have the same escapes.
        false => quoted(value),
    })
}

/// The whole table of a key, or the member of one that has its own header.
fn key_replacement(text: &str, node: &Node, value: &str) -> Result<(Range<usize>, Zeroizing<String>), EditError> {
    let is_uri = value.starts_with("file:") || value.starts_with("pkcs11:");
    let member = if is_uri { "uri" } else { "value" };
    match &node.value {
        Value::Table(table) if !table.inline => {
            let inner = find(&table.entries, member).ok_or(EditError::NoSuchKey { nearest: None })?;
            Ok((inner.node.span.clone(), replacement(text, &inner.node, Wanted::SameAsBefore, value)?))
        }
        Value::Table(_) | Value::Text(_) if !text[node.span.clone()].contains('\n') => {
            Ok((node.span.clone(), key_value(member, value)))
        }
        _ => Err(EditError::Entangled),
    }
}

/// Whether the change had its intended effect and no other.
fn check(text: &str, changed: &str, format: Format, version: EdgeVersion, path: &[&str]) -> Result<(), EditError> {
    let ((mut before, _), (mut after, _)) = (parse(text, format), parse(changed, format));
    forget(&mut before, path);
    forget(&mut after, path);
    if before != after {
        return Err(EditError::Entangled);
    }
    let errors = |text: &str| {
        let findings = read(text, format, version).findings;
        findings.into_iter().filter(|found| found.severity() == Severity::Error).collect::<Vec<_>>()
    };
    let known: Vec<Problem> = errors(text).into_iter().map(|finding| finding.problem).collect();
    match errors(changed).into_iter().find(|finding| !known.contains(&finding.problem)) {
        Some(new) => Err(EditError::Refused(new.problem)),
        None => Ok(()),
    }
}

/// Removes the value that is expected to differ.
fn forget(entries: &mut Entries, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    let Some(entry) = entries.iter_mut().find(|entry| *entry.name == *first) else { return };
    match &mut entry.node.value {
        Value::Table(table) if !rest.is_empty() => forget(&mut table.entries, rest),
        value => *value = Value::Other,
    }
}
