//! How values look in the logs of firmware, by `defmt`: what has no secret in it and is not derived where it is defined.
//!
//! Keys, signatures and tokens have no format. Nothing here is compiled without the feature.

use defmt::{Format, Formatter, write};

use crate::error::Hints;
use crate::ids::{IdScope, Identity, RegistrationId};
use crate::message::{Authorization, Call, Request};
use crate::registration::{Assignment, Failure, Record};
use crate::secret::{Key, Signature};
use crate::text::ByteStr;
use crate::time::{Instant, Millis, UnixSeconds};

impl Format for ByteStr<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=[u8]:a}", self.as_bytes());
    }
}

impl Format for IdScope<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=[u8]:a}", self.as_bytes());
    }
}

impl Format for RegistrationId<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=[u8]:a}", self.as_bytes());
    }
}

impl Format for Identity<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{} of {} at {}", self.registration_id, self.id_scope, self.endpoint);
    }
}

impl Format for Millis {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=u64} ms", self.get());
    }
}

impl Format for Instant {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=u64} ms", self.as_millis());
    }
}

impl Format for UnixSeconds {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=u64}", self.get());
    }
}

impl Format for Hints {
    fn format(&self, f: Formatter<'_>) {
        self.iter().for_each(|hint| write!(f, "{} ", hint));
    }
}

/// Without the payload, which is the caller's.
impl Format for Call<'_> {
    fn format(&self, f: Formatter<'_>) {
        match self {
            Self::Register { .. } => write!(f, "register"),
            Self::Status { operation_id } => write!(f, "status of {}", operation_id),
            Self::Lookup | Self::LookupWithMembers { .. } => write!(f, "lookup"),
            Self::Time => write!(f, "time"),
        }
    }
}

/// Without the token.
impl Format for Request<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{}: {} until {}", self.id, self.call, self.respond_by);
    }
}

impl Format for Assignment<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "hub {}, device {}, substatus {}", self.assigned_hub(), self.device_id(), self.substatus());
    }
}

impl Format for Record<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{}, hub {}, device {}", self.status(), self.assigned_hub(), self.device_id());
    }
}

impl Format for Failure<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(
            f,
            "{}, try again: {}, HTTP status {}, service code {}, tracking id {}, hints: {}",
            self.code(),
            self.verdict(),
            self.http_status(),
            self.error_code(),
            self.tracking_id(),
            self.hints()
        );
    }
}

/// Does not compile when a type has a format.
macro_rules! has_no_format {
    ($($secret:ty),+) => {$(
        const _: fn() = || {
            trait Ambiguous<Which> {
                fn ask() {}
            }
            struct WithFormat;
            impl<T> Ambiguous<()> for T {}
            impl<T: Format> Ambiguous<WithFormat> for T {}
            // Which of the two it is can be inferred only where there is but one.
            let _ = <$secret as Ambiguous<_>>::ask;
        };
    )+};
}

has_no_format!(Key, Signature, Authorization<'static>);
