//! One table of the file, and access to its members; values that are still placeholders of a template.

use super::Reader;
use crate::problem::Problem;
use crate::schema;
use crate::tree::{Entries, Entry, Table, Value, find};

/// A table, and its name in messages.
#[derive(Clone, Copy)]
pub(super) struct Section<'e> {
    pub(super) entries: &'e Entries,
    /// Its offset, where missing keys are reported.
    pub(super) at: usize,
    pub(super) label: &'static str,
}

/// A value and its offset.
#[derive(Clone, Copy)]
pub(super) struct Located<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

impl<'e> Section<'e> {
    pub(super) fn get(&self, name: &str) -> Option<&'e Entry> {
        find(self.entries, name)
    }
}

impl Reader<'_> {
    /// The table below a key, if it is present and a table; the schema has reported any other type.
    pub(super) fn section<'e>(
        &self,
        parent: Section<'e>,
        name: &'static str,
        label: &'static str,
    ) -> Option<Section<'e>> {
        let entry = parent.get(name)?;
        match &entry.node.value {
            Value::Table(Table { entries, has_header, .. }) => {
                Some(Section { entries, at: if *has_header { entry.node.span.start } else { entry.at }, label })
            }
            _ => None,
        }
    }

    /// A string, if it is present; the schema has reported any other type. A placeholder counts as missing.
    pub(super) fn text<'e>(&mut self, section: Section<'e>, name: &str) -> Option<Located<&'e str>> {
        let entry = section.get(name)?;
        let at = entry.node.span.start;
        let value = entry.node.value.as_text()?;
        if is_placeholder(name, value) {
            self.report(at, Problem::Placeholder);
            return None;
        }
        Some(Located { at, value })
    }

    /// A required string.
    pub(super) fn required<'e>(&mut self, section: Section<'e>, name: &'static str) -> Option<Located<&'e str>> {
        if section.get(name).is_none() {
            self.report(section.at, Problem::Missing { key: name, table: section.label });
        }
        self.text(section, name)
    }

    /// A required word, one of a few.
    pub(super) fn word(
        &mut self,
        section: Section<'_>,
        name: &'static str,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let Located { at, value } = self.required(section, name)?;
        self.one_of(at, value, words)
    }

    pub(super) fn one_of(&mut self, at: usize, value: &str, words: &'static [&'static str]) -> Option<&'static str> {
        let found = words.iter().find(|word| **word == value).copied();
        if found.is_none() {
            let nearest = schema::nearest(value, words.iter().copied());
            self.report(at, Problem::UnknownWord { words, nearest });
        }
        found
    }

    /// A whole number from 0 on, if it is present.
    pub(super) fn number(&self, section: Section<'_>, name: &str) -> Option<Located<u64>> {
        let node = &section.get(name)?.node;
        let value = u64::try_from(node.value.as_number()?).ok()?;
        Some(Located { at: node.span.start, value })
    }

    /// True or false, if it is present.
    pub(super) fn boolean(&self, section: Section<'_>, name: &str) -> Option<bool> {
        section.get(name)?.node.value.as_boolean()
    }
}

/// Base64 of words, which the template has for every key.
const KEYS: [&str; 2] = [
    "YXppb3QtaWRlbnRpdHktc2VydmljZXxhemlvdC1pZGU=",
    "YXppb3QtaWRlbnRpdHktc2VydmljZXxhemlvdC1pZGVudGl0eS1zZXJ2aWNlfGF6aW90LWlkZW50aXR5LXNlcg==",
];

/// Whether the value of this key is still that of a template or an article.
pub(super) fn is_placeholder(name: &str, text: &str) -> bool {
    is_stub(text) || is_of_the_template(name, text)
}

/// A string that cannot be anything else, whatever its key.
fn is_stub(text: &str) -> bool {
    let in_marks = |open, close| text.starts_with(open) && text.ends_with(close);
    let capital = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    in_marks('<', '>')
        || in_marks('{', '}')
        || text.starts_with("PASTE_YOUR_")
        || capital && (text.ends_with("_HERE") || text.starts_with("PASTE_") || text.starts_with("REQUIRED_"))
}

/// The values of the template that daemons 1.2 and later are installed with. A host may be named `my-device`; a device
/// of the service hardly is.
fn is_of_the_template(name: &str, text: &str) -> bool {
    match name {
        "id_scope" | "scope_id" => text == "0ab1234C5D6",
        "registration_id" | "device_id" => text == "my-device",
        "iothub_hostname" => text == "example.azure-devices.net" || text.contains(['<', '{']),
        "value" | "symmetric_key" => KEYS.iter().any(|key| key.trim_end_matches('=') == text.trim_end_matches('=')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_the_documentation_are_known() {
        for text in [
            "PASTE_YOUR_PRIMARY_KEY_OR_DERIVED_KEY_HERE",
            "PASTE_YOUR_SCOPE_ID_HERE",
            "SCOPE_ID_HERE",
            "REQUIRED_IOTHUB_HOSTNAME",
            "REQUIRED_DEVICE_ID_PROVISIONED_IN_IOTHUB",
            "{scope_id}",
            "<ADD DEVICE CONNECTION STRING HERE>",
        ] {
            assert!(is_placeholder("hostname", text), "{text}");
        }
        for text in ["0ne00A1B2C3", "dev-01", "", "SOMEWHERE", "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="] {
            assert!(!is_placeholder("hostname", text), "{text}");
        }
    }

    #[test]
    fn placeholders_of_the_template_are_known_by_their_key() {
        for (name, text) in [
            ("id_scope", "0ab1234C5D6"),
            ("registration_id", "my-device"),
            ("device_id", "my-device"),
            ("iothub_hostname", "example.azure-devices.net"),
            ("iothub_hostname", "<your hub>.azure-devices.net"),
            ("value", KEYS[0]),
            ("value", KEYS[1]),
        ] {
            assert!(is_placeholder(name, text), "{text}");
            assert!(!is_placeholder("hostname", text), "{text}");
        }
    }
}
