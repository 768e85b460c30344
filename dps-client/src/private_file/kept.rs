//! What a new file takes over from the one that it replaces: owner, group, mode and extended attributes.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// A file that its owner could not read any more would be as good as lost.
#[cfg(unix)]
pub(super) fn keep_owner(file: &File, there: Option<&fs::Metadata>, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let parent = fs::metadata(folder)?;
    let (owner, mode) = match there {
        // Who may act as the owner was decided for the old content.
        Some(there) => (there, there.mode() & 0o777),
        None => (&parent, 0o600),
    };
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Copies the extended attributes, such as access control lists and labels; what cannot be copied is logged.
///
/// Not those that speak of the old content: capabilities of a program, and signatures.
#[cfg(target_os = "linux")]
pub(super) fn keep_attributes(file: &File, path: &Path) {
    use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, lgetxattr, llistxattr};
    /// The most that Linux keeps in one attribute, and in the list of their names.
    const MOST: usize = 64 * 1024;
    const OF_CONTENT: [&[u8]; 3] = [b"security.capability", b"security.ima", b"security.evm"];
    let (mut names, mut value, mut ours) = (vec![0; MOST], vec![0; MOST], vec![0; MOST]);
    // A file system without attributes has none to lose.
    let length = llistxattr(path, names.as_mut_slice()).unwrap_or_default();
    let mut lost = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty() && !OF_CONTENT.contains(name)) {
        let kept = lgetxattr(path, name, value.as_mut_slice()).and_then(|length| {
            let there = fgetxattr(file, name, ours.as_mut_slice());
            // A label that the new file was given already may not be ours to set.
            if there.is_ok_and(|there| ours[..there] == value[..length]) {
                return Ok(());
            }
            fsetxattr(file, name, &value[..length], XattrFlags::empty())
        });
        lost.extend(kept.err().map(|error| format!("{} ({error})", String::from_utf8_lossy(name))));
    }
    if !lost.is_empty() {
        tracing::warn!(path = %path.display(), lost = lost.join(", "), "extended attributes of the file were not kept");
    }
}

/// Elsewhere there are none that this crate knows of.
#[cfg(not(target_os = "linux"))]
pub(super) fn keep_attributes(_: &File, _: &Path) {}

/// There, a file belongs to who may change its folder.
#[cfg(not(unix))]
pub(super) fn keep_owner(_: &File, _: Option<&fs::Metadata>, _: &Path) -> io::Result<()> {
    Ok(())
}
