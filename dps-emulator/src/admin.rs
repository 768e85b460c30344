//! The service API, with which an owner manages enrollments and reads registrations.
//!
//! Shapes, paging, etags and status codes are the service's; `enrollment` checks what is valid in an enrollment.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::Owner;
use crate::encoding::{decode_base64, encode_base64};
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::enrollment_table::{Entry, Precondition};
use crate::http::{AdminCall, Collection, HttpRequest};
use crate::ids::FoldedId;
use crate::registrations::Record;
use crate::service::{Kept, Service};
use crate::time::Now;
use crate::wire::{Problem, RegistrationState, parse_object, to_json};

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;
const BULK_ITEMS_MAX: usize = 10;
const REGISTRATION: &str = "registration";

/// The reply to a successful admin call.
pub(crate) struct AdminReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl AdminReply {
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self { status: 200, headers: Vec::new(), body: to_json(body) }
    }

    fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new() }
    }
}

impl Service {
    pub(crate) fn admin(
        &mut self,
        now: Now,
        path: &str,
        call: &AdminCall,
        request: &HttpRequest<'_>,
        owner: Owner,
    ) -> Result<AdminReply, Problem> {
        self.tally.admin_call();
        self.authorize_owner(now, owner, request.header("Authorization"), path)?;
        self.throttle.admin(now).map_err(|hint| Problem::throttled(Some(hint)))?;
        match call {
            AdminCall::GetRegistration(id) => self.get_registration(id),
            AdminCall::DeleteRegistration(id) => self.delete_registration(id, request),
            AdminCall::QueryRegistrations { group } => self.query_registrations(group, request),
            AdminCall::Get(Collection::Enrollments, id) => self.get_individual(id),
            AdminCall::Get(Collection::Groups, id) => self.get_entry::<EnrollmentGroup>(id),
            AdminCall::Put(Collection::Enrollments, id) => {
                self.put_entry::<IndividualEnrollment>(now, id, request, owner)
            }
            AdminCall::Put(Collection::Groups, id) => self.put_entry::<EnrollmentGroup>(now, id, request, owner),
            AdminCall::Delete(Collection::Enrollments, id) => self.delete_entry::<IndividualEnrollment>(id, request),
            AdminCall::Delete(Collection::Groups, id) => self.delete_entry::<EnrollmentGroup>(id, request),
            AdminCall::AttestationMechanism(Collection::Enrollments, id) => {
                self.attestation_mechanism::<IndividualEnrollment>(id)
            }
            AdminCall::AttestationMechanism(Collection::Groups, id) => {
                self.attestation_mechanism::<EnrollmentGroup>(id)
            }
            AdminCall::Query(Collection::Enrollments) => self.query::<IndividualEnrollment>(request),
            AdminCall::Query(Collection::Groups) => self.query::<EnrollmentGroup>(request),
            AdminCall::Bulk(Collection::Enrollments) => self.bulk::<IndividualEnrollment>(now, request),
            AdminCall::Bulk(Collection::Groups) => self.bulk::<EnrollmentGroup>(now, request),
        }
    }
}

/// An individual enrollment as GET returns it: with the device's record, if there is one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithRecord {
    #[serde(flatten)]
    enrollment: IndividualEnrollment,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_state: Option<RegistrationState>,
}

impl Service {
    fn entry<E: Kept>(&self, id: &str) -> Result<&E, Problem> {
        E::table(self).get(id).ok_or_else(|| Problem::not_found(E::NAME, id))
    }

    fn get_entry<E: Kept>(&self, id: &str) -> Result<AdminReply, Problem> {
        Ok(AdminReply::ok(&self.entry::<E>(id)?.clone().without_secrets()))
    }

    fn get_individual(&self, id: &str) -> Result<AdminReply, Problem> {
        let enrollment = self.entry::<IndividualEnrollment>(id)?.clone().without_secrets();
        let record = self.records.get(&FoldedId::new(id));
        let registration_state = record.map(Record::admin_state);
        Ok(AdminReply::ok(&WithRecord { enrollment, registration_state }))
    }

    /// Returns the entry with its keys, as the service does, except to a session.
    fn put_entry<E: Kept>(
        &mut self,
        now: Now,
        id: &str,
        request: &HttpRequest<'_>,
        owner: Owner,
    ) -> Result<AdminReply, Problem> {
        let entry: E = parse_object(request.body)?;
        if !entry.id().eq_ignore_ascii_case(id) {
            return Err(Problem::bad_request(format!(
                "'{}' in the body differs from the id in the path.",
                E::ID_MEMBER
            )));
        }
        let condition = Precondition::if_match(request.header("If-Match"));
        let mut kept = self.put(now, entry, &condition)?;
        match owner {
            Owner::ByToken => kept.settings_mut().mask_webhook_url(),
            Owner::BySession => kept = kept.without_secrets(),
        }
        Ok(AdminReply::ok(&kept))
    }

    fn delete_entry<E: Kept>(&mut self, id: &str, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        self.delete::<E>(id, &Precondition::if_match(request.header("If-Match")))?;
        Ok(AdminReply::no_content())
    }

    fn attestation_mechanism<E: Kept>(&self, id: &str) -> Result<AdminReply, Problem> {
        Ok(AdminReply::ok(&self.entry::<E>(id)?.settings().attestation))
    }
}

/// The page of a list that a request asks for. A continuation is the last id of the previous page in base64; clients
/// treat it as opaque.
struct Page {
    after: Option<String>,
    count: usize,
}

impl Page {
    fn from_request(request: &HttpRequest<'_>) -> Result<Self, Problem> {
        let count = match request.header("x-ms-max-item-count").map(str::trim) {
            None | Some("") => PAGE_DEFAULT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| Problem::bad_request("'x-ms-max-item-count' must be a number above 0."))?,
        };
        let after = match request.header("x-ms-continuation").map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(
                decode_base64(text)
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| Problem::bad_request("'x-ms-continuation' is not from an earlier reply."))?,
            ),
        };
        Ok(Self { after, count: count.min(PAGE_MAX) })
    }

    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// One more than the page holds, to find out whether another page follows.
    pub(crate) fn wanted(&self) -> usize {
        self.count + 1
    }

    pub(crate) fn reply<T: Serialize>(
        &self,
        mut items: Vec<T>,
        item_type: &str,
        id: impl Fn(&T) -> &str,
    ) -> AdminReply {
        let more = items.len() > self.count;
        items.truncate(self.count);
        let mut reply = AdminReply::ok(&items);
        reply.headers.push(("x-ms-max-item-count", self.count.to_string()));
        reply.headers.push(("x-ms-item-type", item_type.into()));
        if let Some(last) = items.last().filter(|_| more) {
            reply.headers.push(("x-ms-continuation", encode_base64(id(last).as_bytes())));
        }
        reply
    }
}

#[derive(Deserialize)]
struct QueryBody {
    query: String,
}

/// Accepts `SELECT *`, with or without `FROM` and the list, and `*` alone. Any other query would have to be evaluated.
fn check_query(text: &str, list: &str) -> Result<(), Problem> {
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["*"] | ["select", "*"] => Ok(()),
        ["select", "*", "from", from] if from.eq_ignore_ascii_case(list) => Ok(()),
        _ => Err(Problem::bad_request(format!("This emulator supports only the query 'SELECT * FROM {list}'."))),
    }
}

impl Service {
    pub(crate) fn query<E: Kept>(&self, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        let body: QueryBody = parse_object(request.body)?;
        check_query(&body.query, E::LIST_MEMBER)?;
        let page = Page::from_request(request)?;
        let items =
            E::table(self).page(page.after(), page.wanted()).map(|entry| entry.clone().without_secrets()).collect();
        Ok(page.reply(items, E::ITEM_TYPE, |entry: &E| entry.id()))
    }
}

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
    /// Up to ten enrollments or groups in one call. Each is independent: failures are listed, the others are applied.
    fn bulk<E: Kept>(&mut self, now: Now, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        let mut body: Map<String, Value> = parse_object(request.body)?;
        let mode = body
            .get("mode")
            .and_then(Value::as_str)
            .and_then(Mode::parse)
            .ok_or_else(|| Problem::bad_request("'mode' must be create, update, updateIfMatchETag or delete."))?;
        let Some(Value::Array(items)) = body.remove(E::LIST_MEMBER) else {
            return Err(Problem::bad_request(format!("'{}' must be an array.", E::LIST_MEMBER)));
        };
        if items.is_empty() || items.len() > BULK_ITEMS_MAX {
            return Err(Problem::bad_request(format!("'{}' must have 1 to {BULK_ITEMS_MAX} items.", E::LIST_MEMBER)));
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

impl Service {
    fn get_registration(&self, id: &str) -> Result<AdminReply, Problem> {
        let record = self.records.get(&FoldedId::new(id)).ok_or_else(|| Problem::not_found(REGISTRATION, id))?;
        Ok(AdminReply::ok(&record.admin_state()))
    }

    fn delete_registration(&mut self, id: &str, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        let record = self.records.get(&FoldedId::new(id)).ok_or_else(|| Problem::not_found(REGISTRATION, id))?;
        Precondition::if_match(request.header("If-Match")).check(REGISTRATION, id, Some(&record.etag))?;
        self.delete_record(id);
        Ok(AdminReply::no_content())
    }

    fn query_registrations(&self, group: &str, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        if self.groups.get(group).is_none() {
            return Err(Problem::not_found("enrollment group", group));
        }
        let page = Page::from_request(request)?;
        let records = self.records.in_group(group, page.after(), page.wanted()).map(Record::admin_state).collect();
        Ok(page.reply(records, "DeviceRegistration", |state: &RegistrationState| &state.registration_id))
    }
}
