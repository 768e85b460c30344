//! What to look at first, ranked by what is known on this device.
//!
//! One answer of the service has many causes; hints name the likely ones in order and never pretend to know.

use core::fmt;

/// A likely cause and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Hint {
    /// The service's clock is ahead of this device's: tokens expire before they are used.
    ClockBehind,
    /// The service's clock is behind this device's.
    ClockAhead,
    /// The transport carries no time: check the clock by other means.
    CheckClock,
    /// No time is known: set it.
    SetClock,
    /// The key has neither 32 nor 64 bytes.
    KeyLength,
    /// The key may be derived from another spelling of the id.
    UpperCaseId,
    /// The group's key was given where a device's key belongs.
    GroupKeyAsDeviceKey,
    /// A device's key was given where the group's key belongs.
    DeviceKeyAsGroupKey,
    /// The key belongs to another enrollment, or was regenerated.
    WrongKey,
    /// The id scope belongs to another service.
    WrongIdScope,
    /// There is no enrollment for this id.
    NoEnrollment,
    /// The enrollment is disabled.
    EnableEnrollment,
    /// No hub is linked, or the linked hub's access was revoked.
    CheckLinkedHubs,
    /// The allocation webhook failed.
    CheckWebhook,
    /// Too many requests at once: wait, and spread the fleet's start.
    SpreadStart,
    /// Give it more time.
    RaiseTimeout,
    /// The service is in trouble: use the cached hub meanwhile.
    UseCachedHub,
    /// The host name is misspelled, or DNS is not available here.
    CheckDns,
    /// Nothing listens there, or a firewall is in the way.
    CheckNetwork,
    /// A proxy is needed, or is in the way.
    CheckProxy,
    /// The proxy's user name or password is wrong.
    CheckProxyCredentials,
    /// The server's authority must be added to the trusted roots.
    TrustCa,
    /// The endpoint's name differs from the certificate's, or its port is another protocol's.
    CheckEndpoint,
    /// A larger buffer is needed.
    EnlargeBuffer,
    /// The payload or an option is not taken by the service.
    CheckRequest,
    /// Keep the tracking id: the service's support finds the request by it.
    KeepTrackingId,
    /// This version does not know the answer: a newer one may.
    Update,
    /// The signing device failed: look at it.
    CheckSigner,
    /// The clock is outside the validity of the server's certificate.
    ClockOutsideCertificate,
    /// What answers is not the provisioning service.
    NotTheService,
    /// The service accepts other networks only.
    NetworkRules,
    /// The proxy accepts only authentication schemes that are not supported.
    ProxyScheme,
    /// The chain that was sent does not reach a certificate that the service trusts.
    MissingIntermediate,
    /// No certificate of the chain is uploaded to the service and verified.
    UnverifiedRoot,
    /// The individual enrollment has another certificate.
    WrongThumbprint,
    /// The registration id is not the common name of the certificate.
    CertificateName,
    /// The enrollment that is nearest to the certificate is disabled.
    DisabledGroup,
    /// The certificate or the key is in a format, or of a kind, that is not supported.
    CertificateFormat,
    /// The certificates of the chain are in the wrong order.
    ChainOrder,
    /// A certificate in the middle of the chain is missing.
    ChainGap,
    /// A certificate of the chain has expired.
    RenewCertificate,
    /// A certificate of the chain is not valid yet.
    CertificateNotYetValid,
    /// The first certificate is that of an authority.
    CaAsLeaf,
    /// The certificate is not for client authentication.
    ClientAuthMissing,
    /// The chain is longer than an authority in it allows.
    PathLength,
    /// The common name is too long.
    CommonNameLength,
    /// A certificate is signed with a broken hash.
    WeakSignature,
    /// The connection ended after the certificate was sent, before any reply.
    CertificateAtCut,
    /// Another transport requests the certificate in its first handshake.
    UseMqtt,
    /// The PIN of the token is wrong or missing.
    CheckPin,
    /// The PIN of the token is, or is about to be, locked.
    UnlockPin,
    /// The PKCS#11 URI matches no object, or several.
    CheckPkcs11Uri,
}

impl Hint {
    /// Every hint.
    pub const ALL: &'static [Self] = &[
        Self::ClockBehind,
        Self::ClockAhead,
        Self::CheckClock,
        Self::SetClock,
        Self::KeyLength,
        Self::UpperCaseId,
        Self::GroupKeyAsDeviceKey,
        Self::DeviceKeyAsGroupKey,
        Self::WrongKey,
        Self::WrongIdScope,
        Self::NoEnrollment,
        Self::EnableEnrollment,
        Self::CheckLinkedHubs,
        Self::CheckWebhook,
        Self::SpreadStart,
        Self::RaiseTimeout,
        Self::UseCachedHub,
        Self::CheckDns,
        Self::CheckNetwork,
        Self::CheckProxy,
        Self::CheckProxyCredentials,
        Self::TrustCa,
        Self::CheckEndpoint,
        Self::EnlargeBuffer,
        Self::CheckRequest,
        Self::KeepTrackingId,
        Self::Update,
        Self::CheckSigner,
        Self::ClockOutsideCertificate,
        Self::NotTheService,
        Self::NetworkRules,
        Self::ProxyScheme,
        Self::MissingIntermediate,
        Self::UnverifiedRoot,
        Self::WrongThumbprint,
        Self::CertificateName,
        Self::DisabledGroup,
        Self::CertificateFormat,
        Self::ChainOrder,
        Self::ChainGap,
        Self::RenewCertificate,
        Self::CertificateNotYetValid,
        Self::CaAsLeaf,
        Self::ClientAuthMissing,
        Self::PathLength,
        Self::CommonNameLength,
        Self::WeakSignature,
        Self::CertificateAtCut,
        Self::UseMqtt,
        Self::CheckPin,
        Self::UnlockPin,
        Self::CheckPkcs11Uri,
    ];

    /// The hint's name in JSON, C and Python.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.entry().0
    }

    /// One sentence for people: what may be wrong and what to do.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.entry().1
    }

    const fn entry(self) -> (&'static str, &'static str) {
        match self {
            Self::ClockBehind => (
                "clock-behind",
                "this device's clock is behind the service's, so its tokens are expired when they arrive: set the clock",
            ),
            Self::ClockAhead => ("clock-ahead", "this device's clock is ahead of the service's: set the clock"),
            Self::CheckClock => (
                "check-clock",
                "this transport carries no time; if the clock is more than a few minutes behind, tokens arrive expired: compare it with a known one",
            ),
            Self::SetClock => ("set-clock", "set the time from an RTC, NTP or the hub before registering"),
            Self::KeyLength => (
                "key-length",
                "the key has neither 32 nor 64 bytes, as derived and generated keys have: it may be cut off",
            ),
            Self::UpperCaseId => (
                "upper-case-id",
                "a derived key depends on the letter case of the registration id: derive it from the spelling that is configured here",
            ),
            Self::GroupKeyAsDeviceKey => (
                "group-key-as-device-key",
                "a group's key does not work for a device as it is: derive the device's key from it",
            ),
            Self::DeviceKeyAsGroupKey => (
                "device-key-as-group-key",
                "the key was used as a group's; if it is a device's or an individual enrollment's, use it as such",
            ),
            Self::WrongKey => (
                "wrong-key",
                "the key is of another enrollment, or was regenerated: compare it with the enrollment's primary and secondary key",
            ),
            Self::WrongIdScope => {
                ("wrong-id-scope", "the id scope is of another service: compare it with the service's overview page")
            }
            Self::NoEnrollment => {
                ("no-enrollment", "there is no enrollment for this registration id: create one, or check the spelling")
            }
            Self::EnableEnrollment => ("enable-enrollment", "enable the enrollment, or its group, at the service"),
            Self::CheckLinkedHubs => {
                ("check-linked-hubs", "link a hub to the service, and renew the link if the hub's keys changed")
            }
            Self::CheckWebhook => ("check-webhook", "the custom allocation webhook failed: look at its log"),
            Self::SpreadStart => {
                ("spread-start", "too many requests at once: wait as told, and let a fleet start at random times")
            }
            Self::RaiseTimeout => ("raise-timeout", "allow more time"),
            Self::UseCachedHub => {
                ("use-cached-hub", "the service is in trouble: connect to the hub of the last assignment meanwhile")
            }
            Self::CheckDns => ("check-dns", "check the endpoint's spelling and this device's name server"),
            Self::CheckNetwork => (
                "check-network",
                "check that the endpoint listens and that no firewall is in the way (443 for HTTPS and WebSocket, 8883 for MQTT)",
            ),
            Self::CheckProxy => {
                ("check-proxy", "a proxy may be needed here, or one may be answering in the service's place")
            }
            Self::CheckProxyCredentials => ("check-proxy-credentials", "check the proxy's user name and password"),
            Self::TrustCa => (
                "trust-ca",
                "if this server is yours, trust its certificate authority; otherwise somebody is between you and the service",
            ),
            Self::CheckEndpoint => {
                ("check-endpoint", "use an endpoint name that its certificate has, with the port of the transport")
            }
            Self::EnlargeBuffer => ("enlarge-buffer", "use a larger buffer"),
            Self::CheckRequest => {
                ("check-request", "check the payload and the options against what the enrollment expects")
            }
            Self::KeepTrackingId => {
                ("keep-tracking-id", "keep the tracking id: the service's support finds the request by it")
            }
            Self::Update => ("update", "a newer version of this library may know the answer"),
            Self::CheckSigner => ("check-signer", "look at the signing device or key store"),
            Self::ClockOutsideCertificate => (
                "clock-outside-certificate",
                "set this device's clock: no certificate can be checked at the time that it shows, and clock correction cannot help, since it works only inside the certificate's validity; if the clock is right, the server's certificate has to be renewed",
            ),
            Self::NotTheService => (
                "not-the-service",
                "what answers there is not the provisioning service: check the endpoint's name and port",
            ),
            Self::NetworkRules => (
                "network-rules",
                "the service may refuse this network: check its public network access and its IP filter rules",
            ),
            Self::ProxyScheme => (
                "proxy-scheme",
                "the proxy accepts no Basic authentication, the only scheme that is supported: have it let this device through without authentication or with Basic, or use a local relay that authenticates to it, such as cntlm or px",
            ),
            Self::MissingIntermediate => (
                "missing-intermediate",
                "the chain may lack an intermediate certificate: send the device's certificate and every intermediate up to a certificate that is verified at the service",
            ),
            Self::UnverifiedRoot => (
                "unverified-root",
                "the chain may end at a certificate that the service does not know, or has not verified: upload it and prove possession of its key",
            ),
            Self::WrongThumbprint => (
                "wrong-thumbprint",
                "an individual enrollment may have another certificate: compare the thumbprint with those of its primary and secondary certificate",
            ),
            Self::CertificateName => (
                "certificate-name",
                "the registration id, the MQTT client id and the certificate's common name must be the same, in an individual enrollment too",
            ),
            Self::DisabledGroup => (
                "disabled-group",
                "the individual enrollment, or the group that is nearest to the device's certificate in its chain, may be disabled: it decides, even if a group above it is enabled",
            ),
            Self::CertificateFormat => (
                "certificate-format",
                "use certificates in PEM or DER, the device's own first, and a private key in PKCS#8, SEC1 or PKCS#1: EC P-256, EC P-384, or RSA with 2048 to 4096 bits",
            ),
            Self::ChainOrder => {
                ("chain-order", "put the certificates in order: the device's own first, and after each one its issuer")
            }
            Self::ChainGap => (
                "chain-gap",
                "a certificate in the middle of the chain is missing: add the issuer of the one before the gap",
            ),
            Self::RenewCertificate => (
                "renew-certificate",
                "renew the device's certificate, or the one of its chain that has expired; if none has, set this device's clock",
            ),
            Self::CertificateNotYetValid => {
                ("certificate-not-yet-valid", "set this device's clock, or wait until the certificate is valid")
            }
            Self::CaAsLeaf => (
                "ca-as-leaf",
                "the first certificate is an authority's: use the device's own certificate, followed by its issuers",
            ),
            Self::ClientAuthMissing => (
                "client-auth-missing",
                "the extended key usage of the device's certificate lacks client authentication: issue it with clientAuth, or without that extension",
            ),
            Self::PathLength => (
                "path-length",
                "an authority's path length allows fewer intermediate certificates than the chain has: issue it with a larger one, or use a shorter chain",
            ),
            Self::CommonNameLength => (
                "common-name-length",
                "the common name has more than 64 characters (RFC 5280, ub-common-name): issue a certificate with a shorter one",
            ),
            Self::WeakSignature => (
                "weak-signature",
                "a certificate of the chain is signed with MD5 or SHA-1: issue it again with SHA-256 or a longer hash",
            ),
            Self::CertificateAtCut => (
                "certificate-at-cut",
                "the connection ended right after the device's certificate was sent, so that the server may have refused it: check the chain, its validity and the enrollment",
            ),
            Self::UseMqtt => {
                ("use-mqtt", "use MQTT on port 8883, where the server requests the certificate in the first handshake")
            }
            Self::CheckPin => (
                "check-pin",
                "check where the PIN comes from; it is not tried again, since a token locks after a few wrong PINs",
            ),
            Self::UnlockPin => (
                "unlock-pin",
                "log in with the tool of the token: the right PIN resets the count of wrong ones, and the security officer unlocks a locked PIN",
            ),
            Self::CheckPkcs11Uri => (
                "check-pkcs11-uri",
                "list the objects of the token and compare them with the URI: token, object, id and type must match exactly one",
            ),
        }
    }
}

/// The sentence of [`Hint::text`].
impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Up to eight hints, the likeliest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints([Option<Hint>; 8]);

impl Hints {
    /// No hints.
    pub(crate) const NONE: Self = Self([None; 8]);

    /// Adds a hint after the others, unless it is there already or the list is full.
    pub(crate) fn with(mut self, hint: Hint) -> Self {
        if !self.contains(hint)
            && let Some(free) = self.0.iter_mut().find(|place| place.is_none())
        {
            *free = Some(hint);
        }
        self
    }

    /// The same without this one.
    pub(crate) fn without(mut self, hint: Hint) -> Self {
        self.0.iter_mut().filter(|place| **place == Some(hint)).for_each(|place| *place = None);
        self
    }

    /// Whether the hint is among them.
    #[must_use]
    pub fn contains(&self, hint: Hint) -> bool {
        self.0.contains(&Some(hint))
    }

    /// The likeliest.
    #[must_use]
    pub fn first(&self) -> Option<Hint> {
        self.iter().next()
    }

    /// All of them, the likeliest first.
    pub fn iter(&self) -> impl Iterator<Item = Hint> + '_ {
        self.0.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_hint_is_listed() {
        for (index, hint) in Hint::ALL.iter().enumerate() {
            assert!(Hint::ALL.iter().skip(index + 1).all(|other| other.name() != hint.name()), "{}", hint.name());
        }
        // The last variant closes the list: a new one that is not listed changes this number.
        assert_eq!(Hint::ALL.len(), Hint::CheckPkcs11Uri as usize + 1);
    }

    #[test]
    fn hints_keep_their_order_and_are_bounded() {
        let mut hints = Hints::NONE;
        for hint in Hint::ALL.iter().chain(Hint::ALL) {
            hints = hints.with(*hint);
        }
        assert_eq!(hints.iter().count(), 8);
        assert_eq!(hints.first(), Some(Hint::ClockBehind));
        assert!(hints.contains(Hint::ClockBehind));

        let twice = Hints::NONE.with(Hint::TrustCa).with(Hint::TrustCa);
        assert_eq!(twice.iter().count(), 1);
        assert!(twice.contains(Hint::TrustCa) && !twice.contains(Hint::ClockBehind));
    }
}
