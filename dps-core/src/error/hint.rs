//! What to look at first, ranked by what is known on this device.
//!
//! One answer of the service has many causes; hints name the likely ones in order and never pretend to know.

use core::fmt;

use crate::error::line;

macro_rules! hints {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal, $text:literal;)+) => {
        /// A likely cause and what to do about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum Hint {
            $(#[doc = $doc] $variant,)+
        }

        impl Hint {
            /// Every hint.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The hint's name in JSON, C and Python.
            #[must_use]
            pub const fn name(self) -> &'static str {
                line(concat!($($name, "\n",)+), self as usize)
            }

            /// One sentence for people: what may be wrong and what to do.
            #[must_use]
            pub const fn text(self) -> &'static str {
                line(concat!($($text, "\n",)+), self as usize)
            }
        }
    };
}

hints! {
    /// The service's clock is ahead of this device's: tokens expire before they are used.
    ClockBehind = "clock-behind",
        "this device's clock is behind the service's, so its tokens are expired when they arrive: set the clock";
    /// The service's clock is behind this device's.
    ClockAhead = "clock-ahead",
        "this device's clock is ahead of the service's: set the clock";
    /// The transport carries no time: check the clock by other means.
    CheckClock = "check-clock",
        "this transport carries no time; if the clock is more than a few minutes behind, tokens arrive expired: compare it with a known one";
    /// No time is known: set it.
    SetClock = "set-clock",
        "set the time from an RTC, NTP or the hub before registering";
    /// The key has neither 32 nor 64 bytes.
    KeyLength = "key-length",
        "the key has neither 32 nor 64 bytes, as derived and generated keys have: it may be cut off";
    /// The key may be derived from another spelling of the id.
    UpperCaseId = "upper-case-id",
        "a derived key depends on the letter case of the registration id: derive it from the spelling that is configured here";
    /// The group's key was given where a device's key belongs.
    GroupKeyAsDeviceKey = "group-key-as-device-key",
        "a group's key does not work for a device as it is: derive the device's key from it";
    /// A device's key was given where the group's key belongs.
    DeviceKeyAsGroupKey = "device-key-as-group-key",
        "the key was used as a group's; if it is a device's or an individual enrollment's, use it as such";
    /// The key belongs to another enrollment, or was regenerated.
    WrongKey = "wrong-key",
        "the key is of another enrollment, or was regenerated: compare it with the enrollment's primary and secondary key";
    /// The id scope belongs to another service.
    WrongIdScope = "wrong-id-scope",
        "the id scope is of another service: compare it with the service's overview page";
    /// There is no enrollment for this id.
    NoEnrollment = "no-enrollment",
        "there is no enrollment for this registration id: create one, or check the spelling";
    /// The enrollment is disabled.
    EnableEnrollment = "enable-enrollment",
        "enable the enrollment, or its group, at the service";
    /// No hub is linked, or the linked hub's access was revoked.
    CheckLinkedHubs = "check-linked-hubs",
        "link a hub to the service, and renew the link if the hub's keys changed";
    /// The allocation webhook failed.
    CheckWebhook = "check-webhook",
        "the custom allocation webhook failed: look at its log";
    /// Too many requests at once: wait, and spread the fleet's start.
    SpreadStart = "spread-start",
        "too many requests at once: wait as told, and let a fleet start at random times";
    /// Give it more time.
    RaiseTimeout = "raise-timeout",
        "allow more time";
    /// The service is in trouble: use the cached hub meanwhile.
    UseCachedHub = "use-cached-hub",
        "the service is in trouble: connect to the hub of the last assignment meanwhile";
    /// The host name is misspelled, or DNS is not available here.
    CheckDns = "check-dns",
        "check the endpoint's spelling and this device's name server";
    /// Nothing listens there, or a firewall is in the way.
    CheckNetwork = "check-network",
        "check that the endpoint listens and that no firewall is in the way (443 for HTTPS and WebSocket, 8883 for MQTT)";
    /// A proxy is needed, or is in the way.
    CheckProxy = "check-proxy",
        "a proxy may be needed here, or one may be answering in the service's place";
    /// The proxy's user name or password is wrong.
    CheckProxyCredentials = "check-proxy-credentials",
        "check the proxy's user name and password";
    /// The server's authority must be added to the trusted roots.
    TrustCa = "trust-ca",
        "if this server is yours, trust its certificate authority; otherwise somebody is between you and the service";
    /// The endpoint's name differs from the certificate's, or its port is another protocol's.
    CheckEndpoint = "check-endpoint",
        "use an endpoint name that its certificate has, with the port of the transport";
    /// A larger buffer is needed.
    EnlargeBuffer = "enlarge-buffer",
        "use a larger buffer";
    /// The payload or an option is not taken by the service.
    CheckRequest = "check-request",
        "check the payload and the options against what the enrollment expects";
    /// Keep the tracking id: the service's support finds the request by it.
    KeepTrackingId = "keep-tracking-id",
        "keep the tracking id: the service's support finds the request by it";
    /// This version does not know the answer: a newer one may.
    Update = "update",
        "a newer version of this library may know the answer";
    /// The signing device failed: look at it.
    CheckSigner = "check-signer",
        "look at the signing device or key store";
    /// The clock is outside the validity of the server's certificate.
    ClockOutsideCertificate = "clock-outside-certificate",
        "set this device's clock: no certificate can be checked at the time that it shows, and clock correction cannot help, since it works only inside the certificate's validity; if the clock is right, the server's certificate has to be renewed";
    /// What answers is not the provisioning service.
    NotTheService = "not-the-service",
        "what answers there is not the provisioning service: check the endpoint's name and port";
    /// The service accepts other networks only.
    NetworkRules = "network-rules",
        "the service may refuse this network: check its public network access and its IP filter rules";
    /// The proxy accepts only authentication schemes that are not supported.
    ProxyScheme = "proxy-scheme",
        "the proxy accepts no Basic authentication, the only scheme that is supported: have it let this device through without authentication or with Basic, or use a local relay that authenticates to it, such as cntlm or px";
    /// The chain that was sent does not reach a certificate that the service trusts.
    MissingIntermediate = "missing-intermediate",
        "the chain may lack an intermediate certificate: send the device's certificate and every intermediate up to a certificate that is verified at the service";
    /// No certificate of the chain is uploaded to the service and verified.
    UnverifiedRoot = "unverified-root",
        "the chain may end at a certificate that the service does not know, or has not verified: upload it and prove possession of its key";
    /// The individual enrollment has another certificate.
    WrongThumbprint = "wrong-thumbprint",
        "an individual enrollment may have another certificate: compare the thumbprint with those of its primary and secondary certificate";
    /// The registration id is not the common name of the certificate.
    CertificateName = "certificate-name",
        "the registration id, the MQTT client id and the certificate's common name must be the same, in an individual enrollment too";
    /// The enrollment that is nearest to the certificate is disabled.
    DisabledGroup = "disabled-group",
        "the individual enrollment, or the group that is nearest to the device's certificate in its chain, may be disabled: it decides, even if a group above it is enabled";
    /// The certificate or the key is in a format, or of a kind, that is not supported.
    CertificateFormat = "certificate-format",
        "use certificates in PEM or DER, the device's own first, and a private key in PKCS#8, SEC1 or PKCS#1: EC P-256, EC P-384, or RSA with 2048 to 4096 bits";
    /// The certificates of the chain are in the wrong order.
    ChainOrder = "chain-order",
        "put the certificates in order: the device's own first, and after each one its issuer";
    /// A certificate in the middle of the chain is missing.
    ChainGap = "chain-gap",
        "a certificate in the middle of the chain is missing: add the issuer of the one before the gap";
    /// A certificate of the chain has expired.
    RenewCertificate = "renew-certificate",
        "renew the device's certificate, or the one of its chain that has expired; if none has, set this device's clock";
    /// A certificate of the chain is not valid yet.
    CertificateNotYetValid = "certificate-not-yet-valid",
        "set this device's clock, or wait until the certificate is valid";
    /// The first certificate is that of an authority.
    CaAsLeaf = "ca-as-leaf",
        "the first certificate is an authority's: use the device's own certificate, followed by its issuers";
    /// The certificate is not for client authentication.
    ClientAuthMissing = "client-auth-missing",
        "the extended key usage of the device's certificate lacks client authentication: issue it with clientAuth, or without that extension";
    /// The chain is longer than an authority in it allows.
    PathLength = "path-length",
        "an authority's path length allows fewer intermediate certificates than the chain has: issue it with a larger one, or use a shorter chain";
    /// The common name is too long.
    CommonNameLength = "common-name-length",
        "the common name has more than 64 characters (RFC 5280, ub-common-name): issue a certificate with a shorter one";
    /// A certificate is signed with a broken hash.
    WeakSignature = "weak-signature",
        "a certificate of the chain is signed with MD5 or SHA-1: issue it again with SHA-256 or a longer hash";
    /// The connection ended after the certificate was sent, before any reply.
    CertificateAtCut = "certificate-at-cut",
        "the connection ended right after the device's certificate was sent, so that the server may have refused it: check the chain, its validity and the enrollment";
    /// Another transport requests the certificate in its first handshake.
    UseMqtt = "use-mqtt",
        "use MQTT on port 8883, where the server requests the certificate in the first handshake";
    /// The PIN of the token is wrong or missing.
    CheckPin = "check-pin",
        "check where the PIN comes from; it is not tried again, since a token locks after a few wrong PINs";
    /// The PIN of the token is, or is about to be, locked.
    UnlockPin = "unlock-pin",
        "log in with the tool of the token: the right PIN resets the count of wrong ones, and the security officer unlocks a locked PIN";
    /// The PKCS#11 URI matches no object, or several.
    CheckPkcs11Uri = "check-pkcs11-uri",
        "list the objects of the token and compare them with the URI: token, object, id and type must match exactly one";
    /// The PKCS#11 module cannot be loaded.
    CheckPkcs11Module = "check-pkcs11-module",
        "set the path of the token's module, a shared library built for this processor and this program's C library; a statically linked program cannot load one";
    /// The TPM is missing, disabled, in use, or not allowed to this user.
    CheckTpm = "check-tpm",
        "check that the TPM is enabled, that the TCTI string names it, and that this user may use it (on Linux, a member of the group tss)";
    /// The TCTI string names no transport that is built in.
    CheckTcti = "check-tcti",
        "use device:/dev/tpmrm0, or for swtpm swtpm:host=HOST,port=PORT or swtpm:path=SOCKET: libraries are not loaded";
    /// The password of a hierarchy of the TPM is wrong or missing.
    CheckTpmPassword = "check-tpm-password",
        "check the passwords of the endorsement and the owner hierarchy; one that was refused is not tried again by this process";
    /// The TPM refuses authorizations for some time.
    WaitForTpmLockout = "wait-for-tpm-lockout",
        "find what used wrong passwords, then wait until the TPM forgets the failures, or reset them with the password of the lockout hierarchy (tpm2_dictionarylockout --clear-lockout)";
    /// The enrollment has the endorsement key of another TPM.
    CompareEndorsementKey = "compare-endorsement-key",
        "compare the enrollment's endorsement key with this TPM's: the TPM may have been cleared or replaced, or something between here and the service changed the reply";
    /// The TPM's storage is full, or the slot has an object of another program.
    FreeTpmSlot = "free-tpm-slot",
        "remove a persistent object that is not needed (tpm2_evictcontrol), or set another offset for the key";
    /// The key for the hub is not in the TPM.
    RegisterAgain = "register-again",
        "register the device again: each registration has a new key for the hub, which the TPM keeps";
    /// The challenge was not the service's newest.
    StaleChallenge = "stale-challenge",
        "the challenge may be an old one, from a proxy that keeps replies or from somebody who replays them: the service accepts only the key of its newest";
    /// The build leaves out a feature.
    BuildWithFeature = "build-with-feature",
        "build it with the feature that the message names: released programs and packages leave out what few devices have";
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

    /// The first eight of these.
    pub(crate) fn new(hints: &[Hint]) -> Self {
        let mut all = Self::NONE;
        for (place, hint) in all.0.iter_mut().zip(hints) {
            *place = Some(*hint);
        }
        all
    }

    /// Adds a hint after the others, unless it is there already or the list is full.
    #[inline(never)] // Inlined at its many calls, it would be most of what the hints cost firmware.
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
    fn names_are_unique_and_in_the_order_of_the_hints() {
        for (index, hint) in Hint::ALL.iter().enumerate() {
            assert!(Hint::ALL.iter().skip(index + 1).all(|other| other.name() != hint.name()), "{}", hint.name());
            assert_eq!(*hint as usize, index);
        }
        assert_eq!((Hint::ProxyScheme.name(), Hint::RaiseTimeout.text()), ("proxy-scheme", "allow more time"));
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
