//! Why the service refused something: the closed list that events name, with what to do about each.
//!
//! A reason is for the owner of the service. On the wire most of them look the same.

/// Defines the reasons: each with its name, what is wrong, and what to do.
macro_rules! reasons {
    ($(
        $(#[$doc:meta])*
        $variant:ident $({ $(#[$field_doc:meta])* $field:ident: $type:ty })? = $name:literal, $message:literal, $advice:literal;
    )*) => {
        /// Why a request, a connection or a registration was refused. The service does not reveal it to the client.
        ///
        /// `docs/events.md` lists all reasons, with what to do about each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum RefusalReason {
            $(
                $(#[$doc])*
                #[error($message)]
                $variant $({ $(#[$field_doc])* $field: $type })?,
            )*
        }

        impl RefusalReason {
            /// Every reason, with zero in place of numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant $({ $field: <$type>::MIN })?,)*];

            /// A short name such as `bad-signature`, which is never changed.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant $({ $field: _ })? => $name,)*
                }
            }

            /// What to do about it, in one sentence.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant $({ $field: _ })? => $advice,)*
                }
            }
        }
    };
}

reasons! {
    // Tokens and keys.

    /// Neither a token nor a client certificate was sent.
    NoToken = "no-token",
        "neither a token nor a client certificate, nor the keys of a TPM",
        "Send a SAS token in `Authorization`, or over MQTT as the password, or present a client certificate.";
    /// The credential is not a SAS token.
    Malformed = "malformed",
        "the credential is not a SAS token",
        "Send `SharedAccessSignature sr=…&sig=…&se=…`, each member once, with `se` in seconds since 1970.";
    /// The path or the user name has the id scope of another service.
    WrongIdScope = "wrong-id-scope",
        "the id scope is not that of this service",
        "Configure the id scope of this service on the device.";
    /// The token is for another resource than the path.
    WrongResource = "wrong-resource",
        "the token is for another resource",
        "Sign `{idScope}/registrations/{registrationId}`, percent-encoded, with the ids that the request has.";
    /// `skn` has another value than it must have.
    WrongKeyName = "wrong-key-name",
        "the token's key name (skn) is not the expected one",
        "Set `skn` to `registration`, or leave it out; an owner's token has the policy's name.";
    /// Neither an individual enrollment of this id nor any group.
    UnknownRegistration = "unknown-registration",
        "no enrollment has this registration id, and no enrollment group exists",
        "Create an enrollment for the registration id, or a group.";
    /// The signature was made with no key that the service knows.
    BadSignature = "bad-signature",
        "the signature was not made with a key of the enrollment or of any group",
        "Compare the device's key with the enrollment, and sign `{sr}\\n{se}` exactly as sent with the decoded key.";
    /// Signed with the key of another device.
    OtherDeviceKey = "other-device-key",
        "signed with the key of another device",
        "Give the device its own key: the event's token names the device whose key it has.";
    /// Signed with the group key itself instead of the device's derived key.
    GroupKeyUsed = "group-key-used",
        "signed with the group key itself instead of the key derived from it for this device",
        "Derive the device's key from the group key (`dps derive-key`).";
    /// Expired on the service's clock.
    Expired {
        /// How long ago, in milliseconds.
        for_ms: u64
    } = "expired",
        "the token expired {for_ms} ms ago by the service's clock",
        "Set the device's clock, or sign a new token with a later `se`.";
    /// A token for an enrollment with X.509 attestation, or a certificate for one with keys or a TPM.
    OtherAttestation = "other-attestation",
        "the enrollment has another attestation than the credential: keys, a certificate or a TPM",
        "Use the attestation of the enrollment, or change the enrollment.";

    // Certificates.

    /// The chain has more than 20 KiB.
    ChainTooLarge = "chain-too-large",
        "the certificates have more than 20 KiB together",
        "Send only the device's certificate and its intermediates.";
    /// A certificate cannot be parsed.
    CertificateMalformed {
        /// Its place in the chain; the device's own certificate is 0.
        at: usize
    } = "certificate-malformed",
        "certificate {at} of the chain (the device's own is 0) is not a valid X.509 certificate of version 3",
        "Issue the certificate again.";
    /// The common name of the device's certificate is not the registration id.
    WrongCommonName = "wrong-common-name",
        "the common name of the certificate is not the registration id",
        "Issue a certificate whose common name is the registration id, or register with that name.";
    /// The extended key usage of the device's certificate does not contain client authentication.
    CertificateUsage = "certificate-usage",
        "the extended key usage of the certificate does not contain client authentication",
        "Issue the certificate with client authentication in its extended key usage, or without the extension.";
    /// A certificate has expired on the service's clock.
    CertificateExpired {
        /// Its place in the chain.
        at: usize
    } = "certificate-expired",
        "certificate {at} of the chain (the device's own is 0) has expired by the service's clock",
        "Renew the certificate.";
    /// A certificate is not valid yet on the service's clock.
    CertificateNotYetValid {
        /// Its place in the chain.
        at: usize
    } = "certificate-not-yet-valid",
        "certificate {at} of the chain (the device's own is 0) is not valid yet by the service's clock",
        "Check the clock of the machine that issued the certificate.";
    /// The certificates are in another order than each before its issuer.
    ChainOrder {
        /// The place in the chain of the certificate that is not followed by its issuer.
        at: usize
    } = "chain-order",
        "the certificates are in the wrong order: certificate {at} (the device's own is 0) is not followed by its issuer",
        "Send the device's certificate first, and each certificate before its issuer.";
    /// The issuer of a certificate was not presented, and is not a verified CA certificate of the service.
    IntermediateMissing {
        /// The place in the chain of the certificate whose issuer is missing.
        at: usize
    } = "intermediate-missing",
        "the issuer of certificate {at} of the chain (the device's own is 0) is missing: the device must send every intermediate up to a verified CA certificate",
        "Add the missing certificate to the device's chain, or store it at the service: the event names it.";
    /// A certificate was not signed with the key of its issuer.
    CertificateSignature {
        /// The place in the chain of the certificate with the signature.
        at: usize
    } = "certificate-signature",
        "certificate {at} of the chain (the device's own is 0) was not signed with the key of its issuer, or with an unknown algorithm",
        "Send the issuer that signed the certificate: another CA with the same name did not.";
    /// A certificate issued another one, and may not.
    NotAuthority {
        /// The place in the chain of the issuer.
        at: usize
    } = "not-authority",
        "certificate {at} of the chain (the device's own is 0) may not issue the one before it: it is not a CA certificate, or the chain is longer than it allows",
        "Issue the intermediate as a CA certificate, with a path length that allows the chain.";
    /// The chain leads to a CA certificate that is not stored, or not verified.
    RootNotVerified = "root-not-verified",
        "the chain does not lead to a verified CA certificate of the service",
        "Store the root certificate at the service, and verify it.";
    /// The individual enrollment has other certificates.
    WrongThumbprint = "wrong-thumbprint",
        "the enrollment of this registration id has another certificate (the thumbprint differs)",
        "Put the device's certificate into the enrollment, for example after it was renewed.";
    /// No enrollment names a CA certificate of the chain.
    UnknownSigner = "unknown-signer",
        "no enrollment has a CA certificate of the chain",
        "Create a group with a CA certificate of the device's chain.";
    /// The nearest enrollment is disabled.
    Disabled = "disabled",
        "the enrollment that is nearest to the certificate is disabled",
        "Enable the enrollment, or issue the device's certificate by the CA of another group.";

    // TPM.

    /// A TPM, and no individual enrollment of this id has one.
    NoTpmEnrollment = "no-tpm-enrollment",
        "no individual enrollment of this registration id has a TPM",
        "Create an individual enrollment with the endorsement key of the TPM.";
    /// The TPM has another endorsement key than the enrollment.
    WrongEndorsementKey = "wrong-endorsement-key",
        "the endorsement key of the TPM is not the one of the enrollment",
        "Put the endorsement key of this TPM (`dps tpm identity`) into the enrollment.";
    /// A token, and the device was given no challenge, or it expired.
    NoChallenge = "no-challenge",
        "the device was given no TPM challenge, or the challenge expired: it must first register without a token",
        "Register without a token first, and sign with the key from the reply.";
    /// The signature was not made with the key of the latest challenge.
    ChallengeSignature = "challenge-signature",
        "the signature was not made with the key of the latest TPM challenge",
        "Import the key of the latest reply into the TPM, and sign with it.";
    /// TPM attestation over MQTT.
    TpmOverMqtt = "tpm-over-mqtt",
        "the enrollment has a TPM, which is not possible over MQTT",
        "Register over HTTPS.";

    // Requests.

    /// The registration id in the path or the user name is invalid.
    RegistrationId = "registration-id",
        "the registration id is invalid",
        "Use 1 to 128 letters, digits, `-`, `.`, `_` and `:`, with a letter, digit or `-` at the end.";
    /// The registration id in the body is another one than that of the path.
    RegistrationIdMismatch = "registration-id-mismatch",
        "'registrationId' in the body differs from the id of the call",
        "Send the same registration id in the path or user name and in the body.";
    /// The api-version is missing, or has not the form `YYYY-MM-DD`, with or without `-preview`.
    ApiVersion = "api-version",
        "the api-version is missing or malformed",
        "Send `api-version=2021-06-01`: over HTTPS in the query, over MQTT in the user name.";
    /// The body is not the JSON that the call requires, or another member of the request is invalid.
    InvalidRequest = "invalid-request",
        "the request is invalid",
        "The message names the invalid member.";
    /// The body is larger than the service accepts.
    BodyTooLarge = "body-too-large",
        "the body has more than 96 KiB",
        "Send less; the payload of a device counts too.";
    /// The body is not declared as JSON.
    MediaType = "media-type",
        "the body is not declared as JSON",
        "Send `Content-Type: application/json`.";
    /// A certificate request, and the enrollment has no certificate policy.
    CertificateRequest = "certificate-request",
        "certificate issuance is not configured on the enrollment",
        "Name a certificate policy in the enrollment, or leave the certificate request out of the body.";
    /// The certificate request is not a PKCS #10 structure, or larger than 6 KiB.
    RequestMalformed = "certificate-request-malformed",
        "the certificate request is not the base64 of a certification request in DER (RFC 2986) of at most 6 KiB",
        "Send the base64 of the DER: without the lines BEGIN and END of PEM, and without line breaks.";
    /// The common name of the certificate request is not the registration id.
    RequestName = "certificate-request-name",
        "the common name of the certificate request is not the registration id",
        "Make a certificate request whose only common name is the registration id.";
    /// The key of the certificate request is of a kind that is not allowed.
    RequestKey = "certificate-request-key",
        "the key of the certificate request is of a kind that is not allowed",
        "Use a key of EC P-384; EC P-256 and RSA of 2048 to 4096 bits are accepted unless the service allows only P-384.";
    /// The certificate request was not signed with its own key.
    RequestSignature = "certificate-request-signature",
        "the certificate request was not signed with the key that is in it, or with an unknown algorithm",
        "Sign the certificate request with the private key of its public key, with SHA-256 or better.";
    /// A lookup with a certificate request.
    RequestInLookup = "certificate-request-in-lookup",
        "a lookup cannot have a certificate request",
        "Send the certificate request with the register call.";
    /// No resource of the service has this path.
    UnknownPath = "unknown-path",
        "the service has no resource of this path",
        "Compare the path with the REST reference; an empty segment often is a missing id.";
    /// The path does not have this method.
    MethodNotAllowed = "method-not-allowed",
        "the resource does not support this method",
        "Register is PUT, a poll is GET, lookup is POST.";
    /// The operation is unknown, of another device, or was forgotten.
    UnknownOperation = "unknown-operation",
        "the operation is unknown: it belongs to another device, or its lifetime has ended",
        "Poll with the operation id of the latest register reply; register again if that fails.";
    /// The enrollment or the registration does not exist.
    NotFound = "not-found",
        "no enrollment or registration has this id",
        "Check the id; a lookup finds only devices that have registered.";
    /// Another register call of the same device is in progress.
    ConcurrentRegister = "concurrent-register",
        "another register call of this device is in progress",
        "Make one register call at a time: two programs or tasks may be registering the same device.";
    /// The entry of an owner's call exists, or has another etag.
    PreconditionFailed = "precondition-failed",
        "the entry exists already, or has another etag than the request",
        "Read the entry again, and send its etag.";
    /// More requests than the service's rate limits allow.
    Throttled = "throttled",
        "more requests than the rate limit allows",
        "Wait as long as `Retry-After` says; poll at most 5 times in 10 seconds.";
    /// A fault was planned for this request.
    PlannedFault = "planned-fault",
        "a fault was planned for this request",
        "Nothing is wrong with the request: see `dps emulator fault list`.";
    /// The emulator failed, for example because it could not save a change.
    Internal = "internal",
        "the emulator failed",
        "The message says how; check the disk of the state directory.";

    // Registrations that ended without an assignment.

    /// The enrollment is disabled, so that the registration ended as `disabled`.
    EnrollmentDisabled = "enrollment-disabled",
        "the enrollment is disabled",
        "Enable the enrollment.";
    /// No hub that the enrollment allows is linked.
    HubNotLinked = "hub-not-linked",
        "none of the hubs that the enrollment allows is linked to this service",
        "Link the hub, or change the enrollment.";
    /// The allocation webhook of the enrollment returned an error, or could not be called (400207).
    WebhookFailed = "webhook-failed",
        "the enrollment's allocation webhook returned an error, or could not be called",
        "The message says why; `dps webhook try` sends the same request.";
    /// The assignment failed for another reason.
    AssignmentFailed = "assignment-failed",
        "the device could not be assigned",
        "The message says why.";

    // MQTT.

    /// CONNECT of another version than MQTT 3.1.1.
    MqttVersion = "mqtt-version",
        "CONNECT has another protocol level than that of MQTT 3.1.1",
        "Configure the client for MQTT 3.1.1 (protocol level 4).";
    /// The MQTT user name has another form than the service requires.
    UserName = "user-name",
        "the MQTT user name is missing or malformed",
        "Use `{idScope}/registrations/{registrationId}/api-version=2021-06-01`.";
    /// The MQTT client id is not the registration id of the user name.
    ClientId = "client-id",
        "the MQTT client id is not the registration id of the user name",
        "Use the registration id as client id and in the user name, in the same spelling.";
    /// A subscription to another topic filter than the one for replies.
    TopicFilter = "topic-filter",
        "the topic filter is not the one for replies",
        "Subscribe to `$dps/registrations/res/#`.";
    /// A publish to a topic that the service does not have.
    Topic = "topic",
        "the service does not have this topic, or a property of it is missing",
        "Publish to the topics of the service, with `$rid` and, for polls, `operationId`.";
    /// A retained publish, or one of quality of service 2.
    PublishFlags = "publish-flags",
        "a retained publish, or one of quality of service 2",
        "Publish with quality of service 0 or 1 and without the retain flag.";
    /// A packet before CONNECT was accepted.
    NotConnected = "not-connected",
        "a packet arrived before CONNECT was accepted",
        "Send CONNECT first, and wait for CONNACK.";
    /// Bytes that are not a packet of MQTT 3.1.1, or a packet that may not be sent now.
    MalformedPacket = "malformed-packet",
        "the bytes are not a packet of MQTT 3.1.1 that may be sent now",
        "Check what the client sends: a packet of more than 100 KiB, a second CONNECT and HTTP on the MQTT port look like this.";

    // Hubs.

    /// The hub has no device of this id.
    HubDeviceUnknown = "hub-device-unknown",
        "the hub has no device of this id",
        "Connect to the assigned hub with the assigned device id; the device may have been deleted or moved.";
    /// The hub has the device disabled.
    HubDeviceDisabled = "hub-device-disabled",
        "the device is disabled in the hub",
        "Enable the device in the hub (`dps emulator hub-device enable`).";
    /// The client id of a connection to a hub is not the device id.
    HubClientId = "hub-client-id",
        "the MQTT client id is not the device id of the user name",
        "Use the assigned device id as client id.";
    /// The certificates of a connection to a hub are not those of the device.
    HubCertificate = "hub-certificate",
        "the hub does not accept the client certificate for this device",
        "Sign in with the certificate that the device registered with.";
    /// A certificate request to a hub without a request id, or with an invalid one.
    RequestId = "request-id",
        "the topic of the certificate request has no request id, or an invalid one",
        "Publish to `…/issueCertificate/?$rid=…` with 4 to 36 letters, digits and hyphens, with a letter or digit at both ends.";
    /// A certificate request to a hub while another one of the device is active.
    RequestActive = "request-active",
        "another certificate request of the device is active at the hub",
        "Wait for its answer: subscribe to `$iothub/credentials/res/#`; or cancel it by `replace`, with its request id or `*`.";
    /// A certificate request to a hub that replaces none.
    NothingToReplace = "nothing-to-replace",
        "no active certificate request of the device has the request id in 'replace'",
        "Send the request without `replace`, or with `*`.";
    /// A connection by MQTT 3.1.1 to a hub that speaks another protocol.
    HubProfile = "hub-profile",
        "the hub has the connection profile mqttV5, and does not accept MQTT 3.1.1",
        "Read `connectionProfile` of the assignment (api-version 2026-11-02-preview), and connect by MQTT 5.";

    // Connections.

    /// The TLS handshake failed.
    HandshakeFailed = "handshake-failed",
        "the TLS handshake failed",
        "The message is that of the TLS library; `unknown_ca` is sent by a device that does not trust the emulator's CA.";
    /// The WebSocket handshake failed.
    WebSocketRefused = "websocket-refused",
        "the WebSocket could not be opened",
        "Open `/$iothub/websocket` with the subprotocol `mqtt`.";
    /// The client sent nothing for longer than it announced, or than the service waits.
    Silent = "silent",
        "the client sent nothing for too long",
        "Send PINGREQ within the keep-alive, and CONNECT within 10 seconds.";
    /// No credential was verified in time.
    Unverified = "unverified",
        "no credential was verified within a minute",
        "Register at once after connecting.";
    /// Too many calls were refused on one connection.
    TooManyRefusals = "too-many-refusals",
        "ten calls were refused on this connection, and none was accepted",
        "Do not repeat a call that was refused with 401 without a change.";
    /// Another connection has the same client id.
    Superseded = "superseded",
        "another connection of the same client id took its place",
        "Keep one connection per device; two devices may have the same registration id.";
}
