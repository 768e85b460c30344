//! Lists, a page at a time. A continuation is the last id of the page before, in base64; clients treat it as opaque.

use serde::{Deserialize, Serialize};

use super::AdminReply;
use super::collection::without_keys;
use crate::encoding::{decode_base64, encode_base64};
use crate::http::HttpRequest;
use crate::problem::Problem;
use crate::service::{Kept, Service};
use crate::wire::parse_object;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

/// Which page a request asks for.
pub(super) struct Page {
    after: Option<String>,
    count: usize,
}

impl Page {
    pub(super) fn of(request: &HttpRequest<'_>) -> Result<Self, Problem> {
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

    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// One more than fits, to see whether another page follows.
    pub(super) fn wanted(&self) -> usize {
        self.count + 1
    }

    pub(super) fn reply<T: Serialize>(
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

/// `SELECT *`, with `FROM` the list or without, or `*` alone. Anything else would have to be evaluated, which this does not.
fn check_query(text: &str, list: &str) -> Result<(), Problem> {
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["*"] | ["select", "*"] => Ok(()),
        ["select", "*", "from", from] if from.eq_ignore_ascii_case(list) => Ok(()),
        _ => Err(Problem::bad_request(format!("Only the query 'SELECT * FROM {list}' is modelled by this emulator."))),
    }
}

impl Service {
    pub(super) fn query<E: Kept>(&self, request: &HttpRequest<'_>) -> Result<AdminReply, Problem> {
        let body: QueryBody = parse_object(request.body)?;
        check_query(&body.query, E::LIST_MEMBER)?;
        let page = Page::of(request)?;
        let items = E::table(self).page(page.after(), page.wanted()).map(without_keys).collect();
        Ok(page.reply(items, E::ITEM_TYPE, |entry: &E| entry.id()))
    }
}
