//! The service in virtual time: requests and replies are values, and each is counted.
//!
//! Requests within the rate limit are answered by the whole emulator. Those beyond it are refused by its throttle alone,
//! without checking token and body, since a million devices send tens of millions of requests. A test runs fleets both ways
//! and finds no difference.

use std::cell::RefCell;

use dps_core::codec::http::{DEFAULT_API_VERSION, Head, read_reply};
use dps_core::{Call, Link, LinkError, Reply, Request};
use dps_emulator::{Caller, Now, Protocol, RetryAfter, Service};
use pair::World;
use pair::world::SERVICE_EPOCH;

use crate::series::Series;

/// The service, and counts of its requests.
pub(crate) struct Front<'w> {
    pub(crate) world: &'w World,
    pub(crate) service: Service,
    /// Whether its hints reach the devices.
    pub(crate) hints: bool,
    /// Whether requests beyond the rate limit are refused by the throttle alone.
    pub(crate) short: bool,
    pub(crate) requests: Series,
    pub(crate) refused: u64,
}

impl Front<'_> {
    /// Returns both clocks of the service.
    pub(crate) fn now(&self) -> Now {
        self.world.now_at(SERVICE_EPOCH)
    }

    pub(crate) fn answer<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let now = self.now();
        self.requests.add(now.monotonic_ms, 1);
        let registers = matches!(request.call, Call::Register { .. });
        if let Some(hint) = self.service.registration_wait(now).filter(|_| self.short && registers) {
            return self.reply(now, 429, Some(hint), &mut []);
        }
        let caller = Caller {
            id_scope: request.identity.id_scope.as_str(),
            registration_id: request.identity.registration_id.as_str(),
            token: request.authorization.map(|authorization| authorization.token.as_str()),
            certificates: None,
            api_version: DEFAULT_API_VERSION,
            user_agent: None,
            protocol: Protocol::Http,
        };
        let reply = match request.call {
            Call::Register { .. } => self.service.register(now, &caller, b""),
            Call::Status { operation_id } => self.service.operation_status(now, &caller, operation_id.as_str()),
            _ => return Err(LinkError::Unsupported),
        };
        let too_large = LinkError::ReplyTooLarge { needed: Some(reply.body.len()) };
        let body = buffer.get_mut(..reply.body.len()).ok_or(too_large)?;
        body.copy_from_slice(&reply.body);
        self.reply(now, reply.status, reply.retry_after, body)
    }

    /// Counts requests that are refused like one that just was: in the same millisecond, with the rate used up.
    pub(crate) fn refuse(&mut self, times: u32) {
        self.requests.add(self.world.millis(), times);
        self.refused += u64::from(times);
    }

    /// Returns a reply as the codec reads it from the wire.
    fn reply<'b>(
        &mut self,
        now: Now,
        status: u16,
        hint: Option<RetryAfter>,
        body: &'b mut [u8],
    ) -> Result<Reply<'b>, LinkError> {
        self.refused += u64::from(status == 429);
        let hint = hint.filter(|_| self.hints).map(|hint| hint.header_value(now));
        read_reply(Head { status, retry_after: hint.as_deref().map(Into::into), date: None }, body)
    }
}

/// The link of one device, without latency, so that only the rate limit delays devices.
pub(crate) struct Line<'s, 'w>(pub(crate) &'s RefCell<Front<'w>>);

impl Link for Line<'_, '_> {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        self.0.borrow_mut().answer(request, buffer)
    }
}
