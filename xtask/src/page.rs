//! A place in a document that a task writes, between two marks.

use crate::run::{Outcome, read, root};

/// Where what a task measured stands.
pub(crate) struct Place {
    /// The document.
    pub(crate) page: &'static str,
    /// The line before it.
    pub(crate) begin: &'static str,
    /// The line after it.
    pub(crate) end: &'static str,
}

impl Place {
    /// What stands there.
    pub(crate) fn read(&self) -> Result<String, String> {
        let page = read(self.page)?;
        self.parts(&page).map(|(_, text, _)| text.to_owned())
    }

    /// Puts this there instead.
    pub(crate) fn write(&self, text: &str) -> Outcome {
        let page = read(self.page)?;
        let (before, _, after) = self.parts(&page)?;
        let path = root().join(self.page);
        std::fs::write(&path, [before, text, after].concat()).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Splits the page into the part before the place, the place, and the part after it.
    fn parts<'p>(&self, page: &'p str) -> Result<(&'p str, &'p str, &'p str), String> {
        let missing =
            || format!("{} has no place between {:?} and {:?}", self.page, self.begin.trim(), self.end.trim());
        let start = page.find(self.begin).ok_or_else(missing)? + self.begin.len();
        let end = page.find(self.end).ok_or_else(missing)?;
        Ok((&page[..start], page.get(start..end).ok_or_else(missing)?, &page[end..]))
    }
}
