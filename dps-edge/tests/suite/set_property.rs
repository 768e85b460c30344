//! `set` on files in unusual formatting: exactly one line differs, and exactly one value for a reader that shares no
//! code with this crate.

use std::collections::BTreeMap;

use crate::generator::{self, Change, File, Read, Style};
use dps_edge::{EdgeVersion, Format, set};
use proptest::prelude::*;

/// Every value of a file, by its path.
type Values = BTreeMap<String, Read>;

/// Changes one value and compares the lines.
fn changed(text: &str, format: Format, change: &Change) -> String {
    let version = if format == Format::Toml { EdgeVersion::V1_5 } else { EdgeVersion::V1_1 };
    let changed = set(text, format, version, change.key, change.value)
        .unwrap_or_else(|error| panic!("{error}: {} = {}\n{text}", change.key, change.value));
    let changed = changed.expose().to_owned();
    let (old, new): (Vec<&str>, Vec<&str>) = (text.split('\n').collect(), changed.split('\n').collect());
    assert_eq!(old.len(), new.len(), "{text}\n->\n{changed}");
    let differ = old.iter().zip(&new).filter(|(old, new)| old != new).count();
    assert_eq!(differ, 1, "{} in\n{text}\n->\n{changed}", change.key);
    let ends = |text: &str| (text.starts_with('\u{feff}'), text.matches("\r\n").count(), text.ends_with('\n'));
    assert_eq!(ends(text), ends(&changed));
    changed
}

/// Fixes what no other reader accepts, then changes the value at `last`; other readers read the file before and after.
fn check(file: &File, styles: &[Style], format: Format, last: usize, values: fn(&str) -> Values) {
    let mut text = file.render(styles, format);
    let mut expected = file.values();
    let changes = file.changes();
    let last = last % changes.len();
    let mistaken = file.mistaken(styles, format);
    let fixes = (0..changes.len()).filter(|index| mistaken[*index] && *index != last);
    let mut left = mistaken.iter().filter(|mistaken| **mistaken).count();
    for index in fixes.chain([last]) {
        if left == 0 {
            assert_eq!(values(&text), expected, "{text}");
        }
        text = changed(&text, format, &changes[index]);
        changes[index].apply(&mut expected);
        left -= usize::from(mistaken[index]);
    }
    assert_eq!(values(&text), expected, "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn set_changes_exactly_one_value_of_toml(
        file in generator::toml_file(),
        styles in prop::collection::vec(generator::style(), generator::MOST),
        last: usize,
    ) {
        check(&file, &styles, Format::Toml, last, toml_values);
    }

    #[test]
    fn set_changes_exactly_one_value_of_yaml(
        file in generator::yaml_file(),
        styles in prop::collection::vec(generator::style(), generator::MOST),
        last: usize,
    ) {
        check(&file, &styles, Format::Yaml, last, yaml_values);
    }
}

fn toml_values(text: &str) -> Values {
    fn walk(prefix: &str, value: &toml_span::Value<'_>, into: &mut Values) {
        let read = match value.as_ref() {
            toml_span::value::ValueInner::Table(table) => {
                for (key, value) in table {
                    walk(&format!("{prefix}.{}", key.name), value, into);
                }
                return;
            }
            toml_span::value::ValueInner::String(text) => Read::Text(text.to_string()),
            toml_span::value::ValueInner::Integer(number) => Read::Number(*number),
            toml_span::value::ValueInner::Boolean(flag) => Read::Flag(*flag),
            other => panic!("{}", other.type_str()),
        };
        into.insert(prefix.trim_start_matches('.').to_owned(), read);
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut values = Values::new();
    walk("", &toml_span::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}")), &mut values);
    values
}

fn yaml_values(text: &str) -> Values {
    fn walk(prefix: &str, value: &yaml_serde::Value, into: &mut Values) {
        let read = match value {
            yaml_serde::Value::Mapping(table) => {
                for (key, value) in table {
                    walk(&format!("{prefix}.{}", key.as_str().unwrap()), value, into);
                }
                return;
            }
            yaml_serde::Value::String(text) => Read::Text(text.clone()),
            yaml_serde::Value::Number(number) => Read::Number(number.as_i64().unwrap()),
            yaml_serde::Value::Bool(flag) => Read::Flag(*flag),
            other => panic!("{other:?}"),
        };
        into.insert(prefix.trim_start_matches('.').to_owned(), read);
    }
    let mut values = Values::new();
    walk("", &yaml_serde::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}")), &mut values);
    values
}
