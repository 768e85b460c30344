//! The private key of a certificate in a token, as rustls asks it for signatures.

use std::sync::Arc;
use std::time::Duration;

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use dps_core::ErrorCode;
use dps_net::SigningFailed;
use rustls::pki_types::{SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::failure::TokenError;
use super::method::{Hash, Method};
use super::token::{Open, Purpose};
use super::{Pkcs11Key, Worker, asn1};
use crate::error::DpsError;
use crate::x509::{CertificateChain, X509};

/// How long a token may take to be opened, or to sign for a connection that has no deadline.
const LIMIT: Duration = Duration::from_secs(30);
/// What is signed to compare a key with a certificate, where the token has no public key.
const PROBE: &[u8] = b"dps-client: does this key belong to the certificate?";

/// The object identifiers of the curves, as DER (RFC 5480, section 2.1.1.1).
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";

impl X509 {
    /// Uses a private key in a PKCS#11 token. Loads the module, logs in, and reads what compares the key with the certificate. Blocks
    /// this thread meanwhile, for 30 s at most; async programs call it in `spawn_blocking`.
    ///
    /// TLS is synchronous: a token that signs blocks the thread that runs the handshake. A registration makes its
    /// connections on a thread of their own; [`resolver`](Self::resolver) blocks the thread of whoever uses it, for 30 s at most.
    ///
    /// ```no_run
    /// use dps_client::{CertificateChain, Pkcs11Key, ProvisioningClient, X509};
    ///
    /// # fn main() -> Result<(), dps_client::DpsError> {
    /// let key = Pkcs11Key::from_uri("pkcs11:token=Gateway;object=device-tls")?.pin_file("/run/secrets/pin");
    /// let device = X509::from_pkcs11(CertificateChain::from_file("device.pem")?, &key)?;
    /// let client = ProvisioningClient::builder().id_scope("0ne00A1B2C3").x509(device).build()?;
    /// # let _ = client;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Pkcs11Key::sign`]; `client-key-mismatch` when the certificate was issued for another key and the token has no
    /// public key to tell it by. Where it has one, a [`ChainCheck`](crate::ChainCheck) compares it.
    pub fn from_pkcs11(certificates: CertificateChain, key: &Pkcs11Key) -> Result<Self, DpsError> {
        let mut key = TokenKey::open(key)?;
        if key.facts.public_key.is_none() {
            key.facts.public_key = Some(key.prove(&certificates)?);
        }
        let worker = Arc::clone(&key.worker);
        Ok(Self::from_token(certificates, Arc::new(key), worker))
    }
}

/// Opens a private key whose certificate does not exist yet.
///
/// # Errors
/// As [`X509::from_pkcs11`]; `pkcs11-no-object` without a public key in the token.
pub(crate) fn open_private_key(key: &Pkcs11Key) -> Result<(Arc<dyn SigningKey>, Arc<Worker>), DpsError> {
    let opened = TokenKey::open(key)?;
    if opened.facts.public_key.is_none() {
        let words = format!("the token has no public key with the same id as the private key for {key}");
        return Err(TokenError::new(ErrorCode::Pkcs11NoObject, words).into_error());
    }
    let worker = Arc::clone(&opened.worker);
    Ok((Arc::new(opened), worker))
}

/// What is known of a private key.
#[derive(Debug)]
struct Facts {
    algorithm: SignatureAlgorithm,
    /// What the token can sign, the preferred first.
    schemes: Vec<(SignatureScheme, Method)>,
    /// A SubjectPublicKeyInfo, as DER.
    public_key: Option<Vec<u8>>,
}

impl Facts {
    fn read(open: &Open) -> Result<Self, TokenError> {
        let offered = open.mechanisms()?;
        let attributes = open.session.get_attributes(open.key, &[AttributeType::KeyType, AttributeType::EcParams])?;
        let is_ec = attributes.contains(&Attribute::KeyType(KeyType::EC));
        let is_rsa = attributes.contains(&Attribute::KeyType(KeyType::RSA));
        let curve = attributes.iter().find_map(|attribute| match attribute {
            Attribute::EcParams(curve) if is_ec => Some(curve.as_slice()),
            _ => None,
        });
        let (algorithm, wanted) = match curve {
            Some(P256) => (SignatureAlgorithm::ECDSA, ec_schemes(SignatureScheme::ECDSA_NISTP256_SHA256, Hash::Sha256)),
            Some(P384) => (SignatureAlgorithm::ECDSA, ec_schemes(SignatureScheme::ECDSA_NISTP384_SHA384, Hash::Sha384)),
            None if is_rsa => (SignatureAlgorithm::RSA, rsa_schemes()),
            _ => {
                let words = "the key is neither EC P-256, EC P-384 nor RSA, which TLS requires here";
                return Err(TokenError::new(ErrorCode::Pkcs11Mechanism, words));
            }
        };
        let schemes = usable(&wanted, &offered);
        if schemes.is_empty() {
            let names: Vec<String> = wanted.iter().map(|(_, method)| method.name()).collect();
            let words = format!("it offers none of {}", names.join(", "));
            return Err(TokenError::new(ErrorCode::Pkcs11Mechanism, words));
        }
        Ok(Self { algorithm, schemes, public_key: public_key(open, curve)? })
    }
}

fn ec_schemes(scheme: SignatureScheme, hash: Hash) -> Vec<(SignatureScheme, Method)> {
    vec![(scheme, Method::Ecdsa(hash))]
}

/// For each scheme the hash is computed here if the token allows that: less goes to the token.
fn rsa_schemes() -> Vec<(SignatureScheme, Method)> {
    use SignatureScheme as Scheme;
    let table = [
        (Hash::Sha256, Scheme::RSA_PSS_SHA256, Scheme::RSA_PKCS1_SHA256),
        (Hash::Sha384, Scheme::RSA_PSS_SHA384, Scheme::RSA_PKCS1_SHA384),
        (Hash::Sha512, Scheme::RSA_PSS_SHA512, Scheme::RSA_PKCS1_SHA512),
    ];
    let pss =
        table.iter().flat_map(|(hash, pss, _)| [(*pss, Method::RsaPss(*hash)), (*pss, Method::RsaPssHashing(*hash))]);
    let pkcs1 = table
        .iter()
        .flat_map(|(hash, _, pkcs1)| [(*pkcs1, Method::RsaPkcs1(*hash)), (*pkcs1, Method::RsaPkcs1Hashing(*hash))]);
    pss.chain(pkcs1).collect()
}

fn usable(wanted: &[(SignatureScheme, Method)], offered: &[MechanismType]) -> Vec<(SignatureScheme, Method)> {
    wanted.iter().filter(|(_, method)| method.is_among(offered)).copied().collect()
}

/// The public key, from the private key or from the public one beside it.
fn public_key(open: &Open, curve: Option<&[u8]>) -> Result<Option<Vec<u8>>, TokenError> {
    if let Some(info) = whole_public_key(open, open.key) {
        return Ok(Some(info));
    }
    let own = open.session.get_attributes(open.key, &[AttributeType::Id])?;
    let id = own.into_iter().find(|attribute| matches!(attribute, Attribute::Id(id) if !id.is_empty()));
    let mut candidates = vec![open.key];
    if let Some(id) = id {
        candidates.extend(open.session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY), id])?);
    }
    Ok(candidates.into_iter().find_map(|object| match curve {
        Some(curve) => ec_public_key(open, object, curve),
        None => rsa_public_key(open, object),
    }))
}

fn whole_public_key(open: &Open, object: cryptoki::object::ObjectHandle) -> Option<Vec<u8>> {
    let attributes = open.session.get_attributes(object, &[AttributeType::PublicKeyInfo]).ok()?;
    attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::PublicKeyInfo(info) if !info.is_empty() => Some(info),
        _ => None,
    })
}

fn ec_public_key(open: &Open, object: cryptoki::object::ObjectHandle, curve: &[u8]) -> Option<Vec<u8>> {
    let attributes = open.session.get_attributes(object, &[AttributeType::EcPoint]).ok()?;
    let point = attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) if !point.is_empty() => Some(point),
        _ => None,
    })?;
    // In an OCTET STRING (PKCS#11 3.0, section 2.3.3); some tokens leave that out.
    let point = asn1::octet_string(&point).unwrap_or(&point);
    let algorithm = if curve == P256 { alg_id::ECDSA_P256 } else { alg_id::ECDSA_P384 };
    Some(public_key_to_spki(&algorithm, point).to_vec())
}

fn rsa_public_key(open: &Open, object: cryptoki::object::ObjectHandle) -> Option<Vec<u8>> {
    let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
    let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
    for attribute in open.session.get_attributes(object, &wanted).ok()? {
        match attribute {
            Attribute::Modulus(value) => modulus = value,
            Attribute::PublicExponent(value) => exponent = value,
            _ => {}
        }
    }
    let is_whole = !modulus.is_empty() && !exponent.is_empty();
    is_whole.then(|| public_key_to_spki(&alg_id::RSA_ENCRYPTION, asn1::integers(&[&modulus, &exponent])).to_vec())
}

/// A private key in a token.
#[derive(Debug)]
struct TokenKey {
    worker: Arc<Worker>,
    facts: Facts,
}

impl TokenKey {
    fn open(key: &Pkcs11Key) -> Result<Self, DpsError> {
        let worker = Arc::new(key.worker(Purpose::Tls)?);
        let opened = worker.ask_within(LIMIT, |token| token.with_session(Facts::read));
        Ok(Self { worker, facts: opened.map_err(TokenError::into_error)? })
    }

    fn signer(&self, offered: impl Fn(SignatureScheme) -> bool) -> Option<TokenSigner> {
        let (scheme, method) = *self.facts.schemes.iter().find(|(scheme, _)| offered(*scheme))?;
        Some(TokenSigner { worker: Arc::clone(&self.worker), scheme, method })
    }

    /// Signs something, and returns the certificate's public key if that verifies the signature.
    fn prove(&self, certificates: &CertificateChain) -> Result<Vec<u8>, DpsError> {
        let code = ErrorCode::ClientKeyMismatch;
        let words = "a signature of the key in the token is not valid under the certificate";
        let mismatch = || DpsError::config(code, format!("{}: {words}", code.text()));
        let signer = self.signer(|_| true).ok_or_else(mismatch)?;
        let signature = signer.signed(PROBE).map_err(TokenError::into_error)?;
        certificates.verified_key(signer.scheme, PROBE, &signature).ok_or_else(mismatch)
    }
}

impl SigningKey for TokenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.signer(|scheme| offered.contains(&scheme)).map(|signer| Box::new(signer) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.facts.public_key.as_deref().map(SubjectPublicKeyInfoDer::from)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.facts.algorithm
    }
}

/// Signs in TLS with one scheme.
#[derive(Debug)]
struct TokenSigner {
    worker: Arc<Worker>,
    scheme: SignatureScheme,
    method: Method,
}

impl TokenSigner {
    fn signed(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let (method, message) = (self.method, message.to_vec());
        let signature = self.worker.ask_within(LIMIT, move |token| token.sign(method, &message))?;
        match self.method {
            // The token returns both numbers, one after the other; TLS has them in DER (RFC 8446, section 4.2.3).
            Method::Ecdsa(_) if signature.len() % 2 == 0 && !signature.is_empty() => {
                let (r, s) = signature.split_at(signature.len() / 2);
                Ok(asn1::integers(&[r, s]))
            }
            Method::Ecdsa(_) => {
                let words = format!("the token returned a signature of {} bytes", signature.len());
                Err(TokenError::new(ErrorCode::SignerFailed, words))
            }
            _ => Ok(signature),
        }
    }
}

impl Signer for TokenSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.signed(message).map_err(|failed| {
            tracing::debug!(code = failed.code.name(), words = failed.words, "the token failed");
            SigningFailed::new(failed.code, failed.words).into()
        })
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
