//! What a chain check finds, as data: the problem, how severe it is, where it is and what to do.

use std::fmt;

use dps_core::{ErrorCode, Hint};

/// How severe a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A registration may work, and this is a likely cause if it does not.
    Warning,
    /// A registration cannot work: [`build`](crate::ProvisioningClientBuilder::build) refuses the certificate.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $code:ident, $hint:expr, $advice:literal;)+) => {
        /// What can be wrong with a certificate, its chain or its key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ChainProblem {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ChainProblem {
            /// Every problem.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name in JSON, C and Python.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns what to do.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)+
                }
            }

            /// Returns the entry in the error catalog that a registration is refused with.
            #[must_use]
            pub const fn code(self) -> ErrorCode {
                match self {
                    $(Self::$variant => ErrorCode::$code,)+
                }
            }

            /// Returns the hint that names the problem.
            #[must_use]
            pub const fn hint(self) -> Option<Hint> {
                match self {
                    $(Self::$variant => $hint,)+
                }
            }
        }
    };
}

problems! {
    /// A certificate is not followed by its issuer, which is not among the others either.
    Gap = "gap", InvalidClientCertificate, Some(Hint::ChainGap),
        "add the certificate of the issuer after the one that it issued, or remove certificates that do not belong to the chain";
    /// The certificates are not in the order: the device's own, its issuer, and so on.
    WrongOrder = "wrong-order", InvalidClientCertificate, Some(Hint::ChainOrder),
        "put the device's own certificate first and each issuer after the certificate that it issued";
    /// A certificate has the name of the issuer, but not the key that signed.
    WrongIssuer = "wrong-issuer", InvalidClientCertificate, Some(Hint::ChainGap),
        "use the certificate of the authority whose key signed: an older or newer one of the same name does not fit";
    /// A certificate issued another one although it is not an authority's.
    NotAnAuthority = "not-an-authority", InvalidClientCertificate, None,
        "issue the certificate with an authority's: basic constraints with CA, and a key usage with keyCertSign if it has one";
    /// The first certificate is an authority's.
    CaAsLeaf = "ca-as-leaf", InvalidClientCertificate, Some(Hint::CaAsLeaf),
        "use the device's own certificate, followed by its issuers";
    /// An authority's path length allows fewer intermediates than there are.
    PathLength = "path-length", InvalidClientCertificate, Some(Hint::PathLength),
        "issue the authority's certificate with a larger path length, or use a shorter chain";
    /// A certificate has expired.
    Expired = "expired", ClientCertificateExpired, Some(Hint::RenewCertificate),
        "renew the certificate; if it is valid, set this device's clock";
    /// A certificate is not valid yet.
    NotYetValid = "not-yet-valid", ClientCertificateExpired, Some(Hint::CertificateNotYetValid),
        "set this device's clock, or wait until the certificate is valid";
    /// The private key is of another certificate.
    KeyMismatch = "key-mismatch", ClientKeyMismatch, None,
        "use the key that the device's certificate was issued for";
    /// The device's certificate has no common name, or one that cannot be read.
    NoCommonName = "no-common-name", InvalidClientCertificate, Some(Hint::CertificateName),
        "issue the certificate with the registration id as its common name";
    /// The common name is not a valid registration id.
    CommonNameInvalid = "common-name-invalid", InvalidClientCertificate, Some(Hint::CertificateName),
        "issue the certificate with the registration id as its common name: letters, digits and - . _ :, at most 128 characters";
    /// The common name is not the registration id.
    CommonNameMismatch = "common-name-mismatch", CommonNameMismatch, Some(Hint::CertificateName),
        "use the common name as the registration id, in an individual enrollment too";
    /// The common name has more than 64 characters (RFC 5280, appendix A.1, ub-common-name).
    CommonNameLength = "common-name-length", InvalidClientCertificate, Some(Hint::CommonNameLength),
        "issue the certificate with a common name of at most 64 characters";
    /// The certificate is not for client authentication.
    ClientAuthMissing = "client-auth-missing", InvalidClientCertificate, Some(Hint::ClientAuthMissing),
        "issue the certificate with clientAuth in its extended key usage, or without that extension";
    /// The key usage of the device's certificate does not allow signatures.
    SignatureNotAllowed = "signature-not-allowed", InvalidClientCertificate, None,
        "issue the certificate with digitalSignature in its key usage, or without that extension";
    /// A certificate is signed with a broken hash: MD2, MD5 or SHA-1.
    WeakSignature = "weak-signature", InvalidClientCertificate, Some(Hint::WeakSignature),
        "issue the certificate again with SHA-256 or a longer hash";
    /// A key is shorter than 2048 bits (RSA) or 256 bits (EC).
    WeakKey = "weak-key", InvalidClientCertificate, Some(Hint::CertificateFormat),
        "use a key of EC P-256, EC P-384, or RSA with 2048 to 4096 bits";
    /// The device's key is of a kind with which this SDK is not tested.
    UnusualKey = "unusual-key", InvalidClientCertificate, Some(Hint::CertificateFormat),
        "use a key of EC P-256, EC P-384, or RSA with 2048 to 4096 bits";
    /// The chain does not reach the expected root: its last certificate was issued by another authority.
    MissingIntermediate = "missing-intermediate", InvalidClientCertificate, Some(Hint::MissingIntermediate),
        "add the intermediate certificates up to the root";
    /// The chain ends at another root than the expected one.
    UnexpectedRoot = "unexpected-root", InvalidClientCertificate, Some(Hint::UnverifiedRoot),
        "use a certificate that was issued under the expected root, or verify this root at the service";
}

/// The name of [`ChainProblem::name`].
impl fmt::Display for ChainProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that a [`ChainCheck`](crate::ChainCheck) found.
///
/// `Display` is one line: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(super) problem: ChainProblem,
    pub(super) severity: Severity,
    pub(super) certificate: usize,
    pub(super) of: usize,
    pub(super) subject: String,
    pub(super) what: String,
}

impl Finding {
    /// Returns the problem.
    #[must_use]
    pub fn problem(&self) -> ChainProblem {
        self.problem
    }

    /// Returns how severe it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns which certificate it is about, counted from 1 in the order in which they were given.
    #[must_use]
    pub fn certificate(&self) -> usize {
        self.certificate
    }

    /// Returns the subject of that certificate.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns what is wrong, in words.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns what to do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.problem.advice()
    }

    /// Returns where and what, without the advice.
    pub(crate) fn sentence(&self) -> String {
        format!("certificate {} of {} ({}) {}", self.certificate, self.of, self.subject, self.what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.sentence(), self.advice())
    }
}
