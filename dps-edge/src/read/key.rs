//! Symmetric keys: inline, in a file, in a token; and what people put there instead.

use dps_core::{ConfigError, Key, KeyProblem};

use super::Reader;
use super::section::{Found, Section};
use crate::model::KeySource;
use crate::problem::Problem;
use crate::secret::Secret;
use crate::tree::Value;
use crate::uri::{Location, Pkcs11Uri, file_path};
use crate::version::Format;

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
            self.found(entry.at, Problem::WrongType { wanted: "a text in quotes" });
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
        let (value, uri) = (table.get("value"), table.get("uri"));
        if let (Some(_), Some(uri)) = (value, uri) {
            self.found(uri.at, Problem::ValueAndUri);
        }
        // The daemons take `value` wherever it is base64, of whatever length.
        let is_base64 = value.and_then(|value| value.node.value.as_text()).is_some_and(is_base64);
        if uri.is_some() && !is_base64 {
            let uri = self.text(table, "uri")?;
            return self.key_uri(uri, has_library);
        }
        let value = self.required(table, "value")?;
        match key_length(value.value).filter(|_| name == "device_id_pk") {
            Some(length) => Some(self.key_of_unusual_length(value, length)),
            None => self.inline_key(value),
        }
    }

    /// A hub's own device can have such a key, and the daemons take it. An enrollment cannot.
    pub(super) fn key_of_unusual_length(&mut self, Found { at, value }: Found<&str>, length: usize) -> KeySource {
        self.found(at, Problem::KeyLength { length });
        KeySource::UnusualLength { length, text: Secret::new(value) }
    }

    pub(super) fn inline_key(&mut self, Found { at, value }: Found<&str>) -> Option<KeySource> {
        match Key::from_base64(value) {
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
        // A key where its URI belongs is the usual mistake.
        let problem = match Key::from_base64(value) {
            Ok(_) => Some(Problem::BadUri { wanted: "a URI; a key in base64 goes into `value`" }),
            Err(_) => Location::Key.check(value),
        };
        self.found.extend(problem.map(|problem| (at, problem)));
        if matches!(problem, Some(Problem::BadUri { .. })) {
            return None;
        }
        if let Some(uri) = Pkcs11Uri::parse(value) {
            self.check_library(at, value, has_library);
            return Some(KeySource::Pkcs11(uri));
        }
        let path = file_path(value)?;
        self.key_file = Some((path.clone(), at));
        Some(KeySource::File(path))
    }
}

fn is_base64(text: &str) -> bool {
    Key::from_base64(text).is_ok() || key_length(text).is_some()
}

/// The length in bytes of what base64 text holds, where no key of an enrollment has that length.
pub(super) fn key_length(text: &str) -> Option<usize> {
    match Key::from_base64(text) {
        Err(ConfigError::Key(KeyProblem::Length { length })) => Some(length),
        _ => None,
    }
}
