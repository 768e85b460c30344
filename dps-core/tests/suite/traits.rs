//! Which traits the public types have: errors are `Error`, what is shown is `Display`, names convert, compare and hash.

use std::error::Error;
use std::fmt::{Debug, Display, Write};
use std::hash::Hash;

use dps_core::codec::{http, mqtt};
use dps_core::credentials::{Resource, SasToken};
use dps_core::{
    Action, ActivateError, Assignment, Authorization, Body, ByteStr, Call, CertificateRequestError, Config,
    ConfigError, ConnectionProfile, Endpoint, ErrorCode, Failure, Family, Hint, Hints, IdProblem, IdScope, Identity,
    Instant, Key, KeyEvidence, KeyProblem, LinkError, Members, Millis, Misuse, NoSigner, Operation, Outcome, Payload,
    PayloadProblem, Progress, Record, Registration, RegistrationId, Reply, ReplyProblem, Request, RequestId, SignError,
    Signature, Status, SymmetricKey, Text, TooSmall, Tpm, UnixSeconds, Verdict, WallAnchor, WithCertificateRequest,
    X509,
};

/// Checks that each type has every one of the traits.
macro_rules! have {
    ([$($bound:tt)+] $($name:ty),+ $(,)?) => {{
        fn has<T: $($bound)+>() {}
        $(has::<$name>();)+
    }};
}

#[test]
fn errors_implement_error() {
    have!([Error + Copy + PartialEq + Send + Sync]
        ActivateError, CertificateRequestError, ConfigError, ErrorCode, IdProblem, KeyProblem, LinkError, Misuse, PayloadProblem, ReplyProblem, SignError, TooSmall);
    have!([Error + Copy + Send + Sync] Failure<'_>);
}

#[test]
fn shown_types_implement_display() {
    have!([Display] ByteStr<'_>, ConnectionProfile<'_>, Endpoint<'_>, ErrorCode, Failure<'_>, Family, Hint, IdScope<'_>, Instant, Millis,
        RegistrationId<'_>, RequestId, Status, UnixSeconds, Verdict);
}

#[test]
fn names_convert_from_str_and_back_compare_and_hash() {
    fn from_str<'a, T: TryFrom<&'a str, Error = ConfigError>>() {}
    from_str::<Endpoint<'_>>();
    from_str::<IdScope<'_>>();
    from_str::<Payload<'_>>();
    from_str::<RegistrationId<'_>>();
    have!([AsRef<str> + AsRef<[u8]>] IdScope<'_>, Payload<'_>, RegistrationId<'_>);
    have!([Copy + Ord + Hash] ByteStr<'_>, Endpoint<'_>, IdScope<'_>, RegistrationId<'_>);
    have!([AsRef<[u8]> + From<&'static str> + From<&'static [u8]> + PartialEq<str> + PartialEq<&'static str>] ByteStr<'static>);
    have!([PartialEq<ByteStr<'static>>] &'static str);
    assert!(*"hub-a" == ByteStr::from("hub-a"));
    have!([Copy + Eq + Hash] ConnectionProfile<'_>, ErrorCode, Family, Hint, Identity<'_>, RequestId, Status);
}

#[test]
fn every_public_type_implements_debug() {
    have!([Debug] Members<'_>, NoSigner, Tpm<'_>, X509, WithCertificateRequest<SymmetricKey, &[u8]>, Action, Assignment<'_>, Authorization<'_>, Body<'_>, ByteStr<'_>, Call<'_>, Config, ConnectionProfile<'_>, Endpoint<'_>,
        Failure<'_>, Hints, IdScope<'_>, Identity<'_>, Instant, Key, KeyEvidence, Millis, Operation<'_>, Outcome<'_>,
        Payload<'_>, Progress<'_>, Record<'_>, Registration<'_>, RegistrationId<'_>, Reply<'_>, Request<'_>, RequestId,
        Resource<'_>, SasToken<'_>, Signature, Status, SymmetricKey, Text<'_>, UnixSeconds, Verdict, WallAnchor,
        http::Head<'_>, http::wire::Layout, mqtt::Topic);
    have!([Send + Sync] Action, Config, Key, Outcome<'_>, Registration<'_>, Signature);
}

#[test]
fn times_have_the_operators_of_the_standard_library() {
    use std::ops::{Add, AddAssign, Mul, Sub, SubAssign};
    have!([Copy + Ord + Hash + Default] Instant, Millis, UnixSeconds);
    have!([Add<Output = Millis> + AddAssign + Mul<u32, Output = Millis> + Sub<Output = Millis> + SubAssign] Millis);
    have!([Add<Millis, Output = Instant> + AddAssign<Millis>] Instant);
    have!([Sub<Output = Millis> + Sub<Millis, Output = Instant> + SubAssign<Millis>] Instant);
}

#[test]
fn codes_hints_and_verdicts_are_shown_as_sentences() {
    assert_eq!(ErrorCode::Forbidden.to_string(), "the service forbids it");
    assert_eq!(Hint::RaiseTimeout.to_string(), "allow more time");
    assert_eq!(Verdict::Never.to_string(), "do not try again before something outside this device has changed");
    assert_eq!(Verdict::After(Millis::ZERO).to_string(), "try again now");
    assert_eq!(Verdict::After(Millis::from_secs(2)).to_string(), "try again in 2000 ms");
    assert_eq!(Verdict::Reconfigure.to_string(), "try again with another configuration, buffer or clock");
}

#[test]
fn names_of_values_are_padded_when_shown() {
    assert_eq!(
        format!("{:>9}|{:<9}|{:3}", Family::Link, Status::Assigned, RequestId::new(7)),
        "     link|assigned |  7"
    );
}

#[test]
fn text_is_written_by_format_macros() {
    let mut buffer = [0; 8];
    let mut text = Text::new(&mut buffer);
    let (number, word) = (1, "abc");
    write!(text, "{number}-{word}").unwrap();
    assert_eq!(text.finish(), Ok("1-abc"));
    let mut text = Text::new(&mut buffer);
    write!(text, "{:>10}", 1).unwrap();
    assert_eq!(text.finish(), Err(TooSmall { needed: 10 }));
}
