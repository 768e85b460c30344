//! Symmetric keys: inline, in a file, in a token; and what people put there instead.

use dps_core::{ConfigError, Key};

use super::Reader;
use super::section::{Found, Section};
use crate::finding::Problem;
use crate::model::KeySource;
use crate::tree::Value;
use crate::uri::{Pkcs11Uri, file_path};
use crate::version::Format;

const WANTED_URI: &str = "a file: or pkcs11: URI, such as file:///var/secrets/device-id.key";

impl Reader<'_> {
    /// 1.1 has base64 text; 1.2 and later have a table with `value` or `uri`. The bare text in TOML is understood too.
    pub(super) fn symmetric_key(
        &mut self,
        section: Section<'_>,
        name: &'static str,
        has_library: bool,
    ) -> Option<KeySource> {
        let is_table = section.get(name).is_some_and(|entry| matches!(entry.node.value, Value::Table(_)));
        if let Some(entry) = section.get(name).filter(|_| is_table && self.format == Format::Yaml) {
            let here = "the key itself: symmetric_key: \"…\"";
            self.found(entry.at, Problem::OtherGeneration { of: Format::Toml, here });
            return None;
        }
        if !is_table {
            let text = section.get(name).filter(|entry| entry.node.value.as_text().is_some());
            if let Some(entry) = text.filter(|_| self.format == Format::Toml) {
                self.found(entry.node.span.start, Problem::BareKey);
            }
            let bare = self.required(section, name)?;
            let is_uri = ["file:", "pkcs11:"].iter().any(|scheme| bare.value.starts_with(scheme));
            return match self.format == Format::Toml && is_uri {
                true => self.key_uri(bare, has_library),
                false => self.inline_key(bare),
            };
        }
        let table = self.section(section, name, "the table of the key")?;
        match (table.get("value"), table.get("uri")) {
            (Some(_), Some(uri)) => {
                self.found(uri.at, Problem::ValueAndUri);
                None
            }
            (None, Some(_)) => {
                let uri = self.text(table, "uri")?;
                self.key_uri(uri, has_library)
            }
            _ => {
                let value = self.required(table, "value")?;
                self.inline_key(value)
            }
        }
    }

    pub(super) fn inline_key(&mut self, Found { at, value }: Found<&str>) -> Option<KeySource> {
        match Key::from_base64_explained(value) {
            Ok(key) => Some(KeySource::Inline(key)),
            Err(ConfigError::Key(problem)) => {
                self.found(at, Problem::NotAKey(problem));
                None
            }
            Err(problem) => {
                self.found(at, Problem::BadValue(problem));
                None
            }
        }
    }

    fn key_uri(&mut self, Found { at, value }: Found<&str>, has_library: bool) -> Option<KeySource> {
        if let Some(path) = file_path(value) {
            self.key_file = Some((path.clone(), at));
            return Some(KeySource::File(path));
        }
        if let Some(uri) = Pkcs11Uri::parse(value) {
            self.check_library(at, value, has_library);
            return Some(KeySource::Pkcs11(uri));
        }
        // A key where its URI belongs is the usual mistake.
        let is_key = Key::from_base64(value).is_ok();
        let wanted = if is_key { "a URI; a key in base64 goes into `value`" } else { WANTED_URI };
        self.found(at, Problem::BadUri { wanted });
        None
    }
}
