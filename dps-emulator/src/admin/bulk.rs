//! Up to ten enrollments or groups at once. Each stands for itself: what fails is listed, the others are done.

use serde::Serialize;
use serde_json::{Map, Value};

use super::AdminReply;
use crate::enrollment::Precondition;
use crate::http::HttpRequest;
use crate::now::Now;
use crate::problem::Problem;
use crate::service::{Kept, Service};
use crate::wire::parse_object;

const ITEMS_MAX: usize = 10;

#[derive(Clone, Copy)]
enum Mode {
    Create,
    Update,
    UpdateIfMatchETag,
    Delete,
}

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        let known = [
            ("create", Self::Create),
            ("update", Self::Update),
            ("updateIfMatchETag", Self::UpdateIfMatchETag),
            ("delete", Self::Delete),
        ];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, mode)| mode)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BulkResult {
    is_successful: bool,
    errors: Vec<Map<String, Value>>,
}

impl Service {
    pub(super) fn bulk<E: Kept>(&mut self, now: Now, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        let mut body: Map<String, Value> = parse_object(request.body)?;
        let mode =
            body.get("mode").and_then(Value::as_str).and_then(Mode::parse).ok_or_else(|| {
                Problem::bad_request("'mode' must be one of create, update, updateIfMatchETag, delete.")
            })?;
        let Some(Value::Array(items)) = body.remove(E::LIST_MEMBER) else {
            return Err(Problem::bad_request(format!("'{}' must be an array.", E::LIST_MEMBER)));
        };
        if items.is_empty() || items.len() > ITEMS_MAX {
            return Err(Problem::bad_request(format!("'{}' must have 1 to {ITEMS_MAX} items.", E::LIST_MEMBER)));
        }
        let mut errors = Vec::new();
        for item in items {
            let id = item.get(E::ID_MEMBER).and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Err(problem) = self.bulk_item::<E>(now, mode, &id, item) {
                errors.push(Map::from_iter([
                    (E::ID_MEMBER.to_owned(), Value::from(id)),
                    ("errorCode".to_owned(), Value::from(problem.error_code)),
                    ("errorStatus".to_owned(), Value::from(problem.message)),
                ]));
            }
        }
        Ok(AdminReply::ok(&BulkResult { is_successful: errors.is_empty(), errors }))
    }

    fn bulk_item<E: Kept>(&mut self, now: Now, mode: Mode, id: &str, item: Value) -> Result<(), Problem> {
        let etag = item.get("etag").and_then(Value::as_str).map(str::to_owned);
        let condition = match mode {
            Mode::Delete => return self.delete::<E>(id, &Precondition::if_match(etag.as_deref())),
            Mode::Create => Precondition::Absent,
            Mode::Update => Precondition::Present,
            Mode::UpdateIfMatchETag => Precondition::Etag(etag.unwrap_or_default()),
        };
        let entry: E = parse_object(&serde_json::to_vec(&item).unwrap_or_default())?;
        self.put(now, entry, &condition).map(|_| ())
    }
}
