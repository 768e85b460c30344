//! Custom allocation: a webhook of the enrollment's owner chooses the hub of each device.
//!
//! The contract is that of the service (Azure documentation, "Understand custom allocation policies"). The pure service
//! makes no call itself: [`Service::take_webhook_calls`](crate::Service::take_webhook_calls) returns the calls that are to
//! be made, and [`Service::answer_webhook`](crate::Service::answer_webhook) takes the outcome of each.

mod calls;
mod definition;
mod judgment;
mod request;
mod url;

pub use calls::WebhookCall;
pub use definition::CustomAllocationDefinition;
pub use judgment::{JudgedMember, Judgment, MemberVerdict, WebhookError, WebhookReply};
pub use request::AllocationRequest;
pub use url::{WebhookUrl, WebhookUrlError};

pub(crate) use calls::Webhooks;
pub(crate) use judgment::Allocation;

/// The largest reply of a webhook that is read, in bytes.
pub const WEBHOOK_REPLY_MAX: usize = 64 * 1024;
