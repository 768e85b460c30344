//! Commands that are shown for pasting into a shell, and completion scripts.

use std::fmt;
use std::path::Path;

use clap_complete::Shell;

use crate::failure::{Exit, Result};
use crate::output::{Output, write_lines};

/// Returns the words that start this program, such as `cargo run -p dps-cli --` or `dps`.
pub(crate) fn program() -> String {
    // Set by cargo for the programs that it runs.
    if std::env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME")) {
        return format!("cargo run -p {} --", env!("CARGO_PKG_NAME"));
    }
    let called = std::env::args_os().next().unwrap_or_else(|| "dps".into());
    Quoted::path(Path::new(&called)).to_string()
}

/// A word quoted for a POSIX shell.
pub(crate) struct Quoted(String);

impl Quoted {
    pub(crate) fn path(path: &Path) -> Self {
        Self(path.display().to_string())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,@+=".contains(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            f.write_str(&self.0)
        } else {
            write!(f, "'{}'", self.0.replace('\'', r"'\''"))
        }
    }
}

/// Prints the completion script of `command` for `shell`.
pub(crate) fn completions(shell: Shell, command: &mut clap::Command) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "dps", &mut script);
    Output::new(false).text(|out| write_lines(out, &String::from_utf8_lossy(&script)))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        for (path, quoted) in [("/tmp/a-b.pem", "/tmp/a-b.pem"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(Quoted::path(Path::new(path)).to_string(), quoted);
        }
    }
}
