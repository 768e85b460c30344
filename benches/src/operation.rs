//! The list of operations. An operation of this project and its peer have the same name; the peer names its crates.

use std::fmt;

use crate::{flow, keys, token, wire};

/// An operation that can be repeated.
#[derive(Clone, Copy)]
pub struct Operation {
    /// The name of the operation.
    pub name: &'static str,
    /// The crates of a peer; none for this project.
    pub peer: Option<&'static str>,
    /// Whether it may use the heap: only peers, and the service in a whole registration.
    pub heap: bool,
    /// Prepares it; each call of the returned function runs it once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

const CRATES: Option<&str> = Some("hmac, sha2, base64");
const SERDE: Option<&str> = Some("serde_json");

/// All operations; a peer follows the operation with which it is compared.
pub const OPERATIONS: &[Operation] = &[
    Operation { name: "derive once", peer: None, heap: false, prepare: keys::once },
    Operation { name: "derive once", peer: CRATES, heap: true, prepare: keys::once_by_crates },
    Operation { name: "derive, key prepared", peer: None, heap: false, prepare: keys::with_prepared },
    Operation { name: "derive, key prepared", peer: CRATES, heap: true, prepare: keys::with_prepared_by_crates },
    Operation { name: "derive 1,000 rows", peer: None, heap: false, prepare: keys::rows },
    Operation { name: "derive 1,000 rows", peer: CRATES, heap: true, prepare: keys::rows_by_crates },
    Operation { name: "token", peer: None, heap: false, prepare: token::ours },
    Operation { name: "token", peer: CRATES, heap: true, prepare: token::by_crates },
    Operation { name: "write an HTTP request", peer: None, heap: false, prepare: wire::write_http },
    Operation { name: "write MQTT names and payload", peer: None, heap: false, prepare: wire::write_mqtt },
    Operation { name: "read an HTTP reply", peer: None, heap: false, prepare: wire::read_http },
    Operation { name: "read an MQTT reply", peer: None, heap: false, prepare: wire::read_mqtt },
    Operation { name: "read a reply's JSON", peer: None, heap: false, prepare: wire::read_json },
    Operation { name: "read a reply's JSON", peer: SERDE, heap: true, prepare: wire::read_json_by_serde },
    Operation { name: "register over HTTP, service included", peer: None, heap: true, prepare: flow::http },
    Operation { name: "register over MQTT, service included", peer: None, heap: true, prepare: flow::mqtt },
];

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.peer.map_or(Ok(()), |peer| write!(f, " [{peer}]"))
    }
}
