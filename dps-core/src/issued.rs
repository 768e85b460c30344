//! The certificate chain that the service issues for a certificate request: decoded in the reply buffer, one certificate at a
//! time. Firmware that sends no request links nothing of it.

use crate::error::ReplyProblem;
use crate::schema::find;

const PATH: [&str; 2] = ["registrationState", "issuedCertificateChain"];

/// The certificate at this place of the chain, decoded in the body; `None` after the last, and where nothing was issued.
pub(crate) fn certificate(body: &mut [u8], index: usize) -> Result<Option<&[u8]>, ReplyProblem> {
    let Some(chain) = find::find(body, &PATH).filter(|at| body.get(*at) != Some(&b'n')) else { return Ok(None) };
    if body.get(chain) != Some(&b'[') {
        return Err(ReplyProblem::IssuedChain);
    }
    // An empty list has its end where the first element would be.
    let element = find::element_at(body, chain, index).filter(|at| body.get(*at) != Some(&b']'));
    let Some(at) = element else { return Ok(None) };
    let bytes = find::bytes_at(body, at).ok_or(ReplyProblem::IssuedChain)?;
    Ok(body.get(bytes))
}
