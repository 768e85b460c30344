//! What is wrong with a reply that is JSON and still cannot be the service's.

use thiserror::Error;

/// What is wrong with a reply; goes with [`ErrorCode::InvalidReply`](crate::ErrorCode::InvalidReply).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReplyProblem {
    /// A good status without a registration status.
    #[error("it has no registration status")]
    // From 1 on, as `Status`.
    NoStatus = 1,
    /// The registration is under way, and there is nothing to poll.
    #[error("it has no usable operation id")]
    NoOperation,
    /// `assigned` without a hub or a device id.
    #[error("it assigns the device, but lacks the hub or the device id")]
    NoHub,
    /// The assigned hub is not a host name.
    #[error("its assigned hub is not a host name")]
    Hub,
    /// The device id is longer than a hub's, or has other characters.
    #[error("its device id is longer than 128 characters, or has characters that no device id of a hub has")]
    DeviceId,
    /// The substatus is not a word.
    #[error("its substatus is not a word")]
    Substatus,
    /// The connection profile is not a word.
    #[error("its connection profile is not a word")]
    Profile,
    /// The issued certificate chain is not a list of certificates in base64.
    #[error("its issued certificate chain is not a list of certificates in base64")]
    IssuedChain,
}
