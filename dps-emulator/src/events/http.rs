//! Recording of HTTP requests that are not a device's calls: those of an owner, and those that match no call.

use super::{EventKind, Exchange, Mask, RefusalReason, SignedBy, TokenFacts, Transport};
use crate::credentials::Token;
use crate::encoding::{percent_decode, query_member};
use crate::http::{DeviceCall, HttpReply, HttpRequest};
use crate::service::Service;
use crate::time::Now;

impl Service {
    /// Records an HTTP request without its bodies, which may contain keys. `device` is the call that was refused before its
    /// credential was read.
    pub(crate) fn record_request(
        &mut self,
        now: Now,
        request: &HttpRequest<'_>,
        reply: &HttpReply,
        device: Option<(&DeviceCall, &str)>,
        refused: Option<(RefusalReason, String)>,
    ) {
        if !self.events.is_on() {
            return;
        }
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((request.path_and_query, ""));
        let mut mask = Mask::new([&self.policy_key]);
        let call = match device {
            Some((call, _)) => call.at().name().to_owned(),
            None => {
                // Decoded, so that a key is recognized.
                let path = percent_decode(path).unwrap_or_else(|| path.to_owned());
                format!("{} {}", mask.text("path", request.method), mask.text("path", &path))
            }
        };
        let token = request.header("Authorization").and_then(Token::parse).map(|token| {
            let signed_by = if token.signed_by(&self.policy_key) { SignedBy::PolicyKey } else { SignedBy::Nobody };
            TokenFacts::new(now, &token, &mut mask, signed_by)
        });
        let (reason, message) = refused.unzip();
        let exchange = Exchange {
            call,
            user_agent: request.header("User-Agent").map(|agent| mask.text("user-agent", agent)),
            api_version: query_member(query, "api-version").map(|version| mask.text("path", &version)),
            status: Some(reply.status),
            code: reply.header("x-ms-error-code").and_then(|code| code.parse().ok()),
            tracking_id: reply.header("x-ms-request-id").map(str::to_owned),
            reason,
            message: message.map(|message| mask.text("body", &message)),
            request_bytes: request.body.len(),
            token,
            exposed: mask.exposed(),
            ..Exchange::default()
        };
        let registration_id = device.map(|(_, id)| mask.text("path", id));
        self.events.record(now, Transport::Https, registration_id.as_deref(), EventKind::Exchange(Box::new(exchange)));
    }
}
