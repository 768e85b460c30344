//! The files of the page, built from `dps-emulator/page` and embedded. Nothing is read from a disk, so that no path leads out of
//! them.

use std::sync::LazyLock;

use hmac_sha256::Hash;

use crate::http::HttpReply;

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

static FILES: [File; 4] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        content: include_bytes!("../../../page/dist/index.html"),
    },
    File {
        path: "/assets/app.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../../page/dist/assets/app.js"),
    },
    File {
        path: "/assets/app.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("../../../page/dist/assets/app.css"),
    },
    File { path: "/icon.svg", content_type: "image/svg+xml", content: include_bytes!("../../../page/dist/icon.svg") },
];

/// The validator of each file, which changes with its content.
static ETAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let hex = |file: &File| Hash::hash(file.content)[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    FILES.iter().map(|file| format!("\"{}\"", hex(file))).collect()
});

/// Returns the file of this path; `known` is the `If-None-Match` of the request.
pub(super) fn reply(path: &str, known: Option<&str>) -> Option<HttpReply> {
    let (file, etag) = FILES.iter().zip(ETAGS.iter()).find(|(file, _)| file.path == path)?;
    // Browsers ask each time, so that a newer emulator on the same port shows its own page.
    let mut headers = vec![("ETag", etag.clone()), ("Cache-Control", "no-cache".to_owned())];
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag));
    if is_known {
        return Some(HttpReply { status: 304, headers, body: Vec::new(), fault: None });
    }
    headers.push(("Content-Type", file.content_type.to_owned()));
    Some(HttpReply { status: 200, headers, body: file.content.to_vec(), fault: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_not_sent_again_to_a_browser_that_has_it() {
        let first = reply("/", None).unwrap();
        let etag = first.header("ETag").unwrap().to_owned();
        assert_eq!((first.status, first.body.is_empty()), (200, false));
        let again = reply("/", Some(&format!("\"x\", W/{etag}"))).unwrap();
        assert_eq!((again.status, again.body.is_empty()), (304, true));
        assert_eq!(reply("/", Some("\"x\"")).unwrap().status, 200);
    }
}
