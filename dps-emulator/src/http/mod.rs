//! The HTTP shape of the service: bytes of a parsed request in, status, headers and body out.
//!
//! No socket and no HTTP library: a front, or a test, brings the request and takes the reply away.

mod handle;
mod route;

pub(crate) use route::{AdminCall, Collection, ControlCall};

use crate::fault::TransportFault;

/// A request, already taken apart. Nothing in it is decoded: the path as it was sent, the body as it came
/// (`Content-Encoding` is never acted on, since clients send `utf-8` there).
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// `/0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01`.
    pub path_and_query: &'a str,
    /// Names in any letter case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    /// A header's value; the first, if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status; 0 when there is nothing to send (see `fault`).
    pub status: u16,
    /// The headers, `Date` among them; not `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What has to be done with this reply, or instead of sending it.
    pub fault: Option<TransportFault>,
}

impl HttpReply {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
