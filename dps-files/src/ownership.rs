//! Owner, group, mode and extended attributes of a file that is written.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The owner and the mode of a file that is written. While it is written, only this process's user can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This process's user, readable by its owner alone (0600).
    Private,
    /// This process's user, readable by all users (0644).
    Public,
    /// Owner, group and mode of the file that is replaced, without set-uid, set-gid and sticky bit; if there is no such
    /// file, owner and group of the directory, and 0600.
    Kept,
}

impl Ownership {
    /// Sets it on a draft of the file `target` in `folder`.
    pub(crate) fn set(self, draft: &File, target: &Path, folder: &Path) -> io::Result<()> {
        match self {
            Self::Private => Ok(()),
            Self::Public => make_public(draft),
            Self::Kept => {
                let there = fs::symlink_metadata(target).ok();
                keep_owner(draft, there.as_ref(), folder)?;
                if there.is_some() {
                    keep_attributes(draft, target);
                }
                Ok(())
            }
        }
    }
}

#[cfg(unix)]
fn make_public(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

/// Does nothing: outside Unix, a new file inherits access from its directory.
#[cfg(not(unix))]
fn make_public(_: &File) -> io::Result<()> {
    Ok(())
}

/// Sets owner, group and mode, so that the file's owner can still read it.
#[cfg(unix)]
fn keep_owner(file: &File, there: Option<&fs::Metadata>, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let parent = fs::metadata(folder)?;
    let (owner, mode) = match there {
        // Without set-uid and set-gid, which were granted for the old content.
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
/// Attributes that describe the old content are not copied: capabilities of a program, and signatures.
#[cfg(target_os = "linux")]
fn keep_attributes(file: &File, path: &Path) {
    use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, lgetxattr, llistxattr};
    /// The maximum size in Linux of one attribute, and of the list of their names.
    const ATTRIBUTE_MAX: usize = 64 * 1024;
    const OF_CONTENT: [&[u8]; 3] = [b"security.capability", b"security.ima", b"security.evm"];
    let (mut names, mut value, mut ours) = (vec![0; ATTRIBUTE_MAX], vec![0; ATTRIBUTE_MAX], vec![0; ATTRIBUTE_MAX]);
    // An error means that the file system has no attributes.
    let length = llistxattr(path, names.as_mut_slice()).unwrap_or_default();
    let mut lost = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty() && !OF_CONTENT.contains(name)) {
        let kept = lgetxattr(path, name, value.as_mut_slice()).and_then(|length| {
            let there = fgetxattr(file, name, ours.as_mut_slice());
            // Setting a label needs a privilege, and the new file may have the right one already.
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

/// Does nothing: this crate reads extended attributes on Linux only.
#[cfg(not(target_os = "linux"))]
fn keep_attributes(_: &File, _: &Path) {}

/// Does nothing: outside Unix, a new file inherits access from its directory.
#[cfg(not(unix))]
fn keep_owner(_: &File, _: Option<&fs::Metadata>, _: &Path) -> io::Result<()> {
    Ok(())
}
