//! The files that the daemons write for themselves, such as `/etc/aziot/identityd/config.d/00-super.toml`.

use crate::tree::{Entries, Value, find};

/// What `iotedge config apply` calls the device's key and certificate.
const DEVICE_ID: &str = "device-id";

/// Whether this is a daemon's own file and no config.toml.
///
/// The identity daemon has the device's key and certificate by name alone and the id scope as `scope_id`; the others have no
/// provisioning; and all have keys of their own at the top. One of these may be a mistake in a config.toml; two are none.
pub(super) fn is_generated(root: &Entries) -> bool {
    let provisioning = table(root, "provisioning");
    let by_name = ["attestation", "authentication"].into_iter().any(|name| {
        let credential = provisioning.and_then(|provisioning| table(provisioning, name));
        credential.is_some_and(|entries| entries.iter().any(|entry| entry.node.value.as_text() == Some(DEVICE_ID)))
    });
    let scope = provisioning.is_some_and(|entries| find(entries, "scope_id").is_some());
    let own = ["homedir", "homedir_path", "principal"].into_iter().filter(|name| find(root, name).is_some()).count();
    let home_of_keys = table(root, "aziot_keys").is_some_and(|entries| find(entries, "homedir_path").is_some());
    let signs = [by_name, scope, provisioning.is_none(), home_of_keys].into_iter().filter(|sign| *sign).count();
    signs + own >= 2
}

fn table<'e>(entries: &'e Entries, name: &str) -> Option<&'e Entries> {
    match &find(entries, name)?.node.value {
        Value::Table(table) => Some(&table.entries),
        _ => None,
    }
}
