//! The two generations of configuration files, and the versions of IoT Edge that read them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The form of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `config.yaml`, of IoT Edge 1.1.
    Yaml,
    /// `config.toml`, of IoT Edge 1.2 and later.
    Toml,
}

impl Format {
    /// The form of a file, by its name, or else by what is in it.
    #[must_use]
    pub fn of(path: &Path, text: &str) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if [".yaml", ".yml"].iter().any(|ending| name.contains(ending)) {
            Self::Yaml
        } else if name.contains(".toml") {
            Self::Toml
        } else {
            Self::looks_like(text)
        }
    }

    /// The form that a text seems to have: TOML has tables in brackets and keys with `=`.
    pub(crate) fn looks_like(text: &str) -> Self {
        let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim());
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#') && *line != "---");
        let toml = first.is_none_or(|line| {
            let key = line.split(['=', ':']).next().unwrap_or_default();
            line.starts_with('[') || line[key.len()..].starts_with('=')
        });
        if toml { Self::Toml } else { Self::Yaml }
    }

    /// The newest version that reads it.
    #[must_use]
    pub const fn newest_version(self) -> EdgeVersion {
        match self {
            Self::Yaml => EdgeVersion::V1_1,
            Self::Toml => EdgeVersion::V1_5,
        }
    }

    /// The file's usual name.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Yaml => "config.yaml",
            Self::Toml => "config.toml",
        }
    }
}

/// A version of IoT Edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeVersion {
    /// 1.1, the last with `config.yaml`.
    V1_1,
    /// 1.2, the first with `config.toml`.
    V1_2,
    /// 1.3.
    V1_3,
    /// 1.4.
    V1_4,
    /// 1.5.
    V1_5,
}

impl EdgeVersion {
    /// Every version, the oldest first.
    pub const ALL: [Self; 5] = [Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4, Self::V1_5];

    /// The form of the file that this version reads.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::V1_1 => Format::Yaml,
            _ => Format::Toml,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4 => "1.4",
            Self::V1_5 => "1.5",
        }
    }
}

impl fmt::Display for EdgeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no version of IoT Edge that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVersion;

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such version of IoT Edge; give 1.1, 1.2, 1.3, 1.4 or 1.5")
    }
}

impl std::error::Error for UnknownVersion {}

impl FromStr for EdgeVersion {
    type Err = UnknownVersion;

    /// Reads `1.4`; a patch number after it does no harm.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let names = |version: &Self| {
            let rest = text.strip_prefix(version.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        Self::ALL.into_iter().find(names).ok_or(UnknownVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_a_patch_number() {
        assert_eq!("1.4".parse(), Ok(EdgeVersion::V1_4));
        assert_eq!("1.4.9".parse(), Ok(EdgeVersion::V1_4));
        for text in ["", "1", "1.40", "1.0", "2.0"] {
            assert_eq!(text.parse::<EdgeVersion>(), Err(UnknownVersion), "{text}");
        }
    }

    #[test]
    fn a_file_is_known_by_its_name_or_its_first_line() {
        let of = |name: &str, text: &str| Format::of(Path::new(name), text);
        assert_eq!(of("/etc/iotedge/config.yaml", "[provisioning]"), Format::Yaml);
        assert_eq!(of("config.toml.edge.template", "provisioning:"), Format::Toml);
        assert_eq!(of("edge.conf", "# x\n\nprovisioning:\n  source: \"dps\"\n"), Format::Yaml);
        assert_eq!(of("edge.conf", "\u{feff}hostname = \"a:b\"\n"), Format::Toml);
        assert_eq!(of("edge.conf", ""), Format::Toml);
    }
}
