//! How requests and replies look on the wire; one codec a transport. Bytes in, bytes out: no sockets.

pub mod http;
