//! What was meant by a name that no key has: another place, another generation, another spelling.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::{Key, Table, root};
use crate::problem::Problem;
use crate::version::Format;

/// Keys of one generation, and what stands for them in the other.
const RENAMED: &[(&str, Format, &str)] = &[
    ("scope_id", Format::Yaml, "`id_scope` in [provisioning]"),
    ("always_reprovision_on_startup", Format::Yaml, "`auto_reprovisioning_mode = \"AlwaysOnStartup\"` at the top"),
    ("dynamic_reprovisioning", Format::Yaml, "`auto_reprovisioning_mode = \"Dynamic\"` at the top"),
    ("device_connection_string", Format::Yaml, "`connection_string` in [provisioning]"),
    ("certificates", Format::Yaml, "`trust_bundle_cert` at the top, and [edge_ca]"),
    ("trusted_ca_certs", Format::Yaml, "`trust_bundle_cert` at the top"),
    ("device_ca_cert", Format::Yaml, "`cert` in [edge_ca]"),
    ("device_ca_pk", Format::Yaml, "`pk` in [edge_ca]"),
    ("id_scope", Format::Toml, "`scope_id` in `provisioning:`"),
    (
        "auto_reprovisioning_mode",
        Format::Toml,
        "`always_reprovision_on_startup` or `dynamic_reprovisioning` in `provisioning:`",
    ),
    ("connection_string", Format::Toml, "`device_connection_string` in `provisioning:`"),
    ("trust_bundle_cert", Format::Toml, "`trusted_ca_certs` in `certificates:`"),
    ("device_id_pk", Format::Toml, "a part of `device_connection_string` in `provisioning:`"),
    ("cloud_timeout_sec", Format::Toml, "nothing: 1.1 has no such setting"),
    ("cloud_retries", Format::Toml, "nothing: 1.1 has no such setting"),
    ("pkcs11_lib_path", Format::Toml, "nothing: 1.1 has no such setting"),
];

/// What a name in `table` is that `table` does not know.
pub(super) fn meant(name: &str, table: &Table, format: Format) -> Problem {
    let nearest = nearest(name, table.keys.iter().map(|key| key.name));
    if let Some(belongs) = home(name, root(format), false) {
        return Problem::Misplaced { belongs };
    }
    if let Some((_, of, here)) = RENAMED.iter().find(|(renamed, of, _)| *renamed == name && *of != format) {
        return Problem::OtherGeneration { of: *of, here };
    }
    match nearest {
        Some(nearest) => Problem::Misspelt { nearest },
        None => Problem::UnknownKey,
    }
}

/// What a name is that stands in a part that is not ours: something only if it can be nothing else.
pub(super) fn astray(name: &str, format: Format) -> Option<Problem> {
    home(name, root(format), true).map(|belongs| Problem::Misplaced { belongs })
}

/// The table that has a key of this name, looked for from the top down.
fn home(name: &str, table: &'static Table, telling_only: bool) -> Option<&'static str> {
    let here = |key: &Key| key.name == name && (key.telling || table.claims && !telling_only);
    if table.keys.iter().any(here) {
        return Some(table.label);
    }
    table.keys.iter().filter_map(|key| key.kind.below()).find_map(|below| home(name, below, telling_only))
}

/// Every key of either generation.
fn names() -> Vec<&'static str> {
    fn collect(table: &'static Table, into: &mut Vec<&'static str>) {
        for key in table.keys {
            into.push(key.name);
            if let Some(below) = key.kind.below() {
                collect(below, into);
            }
        }
    }
    let mut names = Vec::new();
    for format in [Format::Toml, Format::Yaml] {
        collect(root(format), &mut names);
    }
    names
}

/// The name, if it is that of a key: what a file holds beside is never repeated.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    static KNOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| names().into_iter().collect());
    KNOWN.get(name).copied()
}

/// The key of any table of either generation that a misspelt name is nearest to.
pub(crate) fn nearest_of_all(name: &str) -> Option<&'static str> {
    nearest(name, names().into_iter().filter(|known| *known != name))
}

/// The one of `known` that a misspelt name is nearest to, letter case and hyphens aside; none when all are far.
pub(crate) fn nearest(name: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let name = plain(name);
    let far = 1 + name.len() / 5;
    let distances = known.into_iter().map(|known| (strsim::osa_distance(&name, &plain(known)), known));
    distances
        .filter(|(distance, _)| *distance <= far.min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["registration_id", "symmetric_key", "method", "uri"];
        for (name, near) in [
            ("registraton_id", Some("registration_id")),
            ("Registration-Id", Some("registration_id")),
            ("symetric_key", Some("symmetric_key")),
            ("metod", Some("method")),
            ("url", Some("uri")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
    }

    #[test]
    fn every_renamed_key_is_a_key_of_the_form_that_it_is_said_to_be_of() {
        for (name, of, _) in RENAMED {
            assert!(home(name, root(*of), false).is_some(), "{name}");
        }
    }
}
