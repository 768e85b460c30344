//! What can go wrong before the first request, and with the state folder: always with the path and the way out.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::options::OptionsError;

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option cannot work.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A name for the certificate is neither a host name nor an IP address.
    #[error("'{0}' cannot be in a certificate: give a host name or an IP address, without a port")]
    HostName(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any that is free")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A certificate or the TLS configuration could not be made.
    #[error("cannot make the TLS certificates: {0}")]
    Certificate(String),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// The tokio runtime was shut down before the emulator was ready.
    #[error("the runtime was shut down before the emulator was ready")]
    Stopped,
}

/// What is wrong with the state folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The folder cannot be made or opened.
    #[error("the state folder {} cannot be used: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may write to the folder, so they could replace its keys.
    #[error("the state folder {} can be written by others: take their permission away (chmod go-w), or name another", .0.display())]
    Exposed(PathBuf),
    /// Another emulator uses the folder.
    #[error("the state folder {} is in use by another emulator: stop that one, or name another folder", .0.display())]
    InUse(PathBuf),
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there and makes no sense. It is left as it is.
    #[error("{} is damaged ({what}); it was left as it is: repair it, or move it away to begin afresh", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
