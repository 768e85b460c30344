//! The two generations of configuration files, and the versions of IoT Edge that read them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The format of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `config.yaml`, of IoT Edge 1.1.
    Yaml,
    /// `config.toml`, of IoT Edge 1.2 and later.
    Toml,
}

impl Format {
    /// The format of a file, by its name or else by its content.
    #[must_use]
    pub fn detect(path: &Path, text: &str) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if [".yaml", ".yml"].iter().any(|ending| name.contains(ending)) {
            Self::Yaml
        } else if name.contains(".toml") {
            Self::Toml
        } else {
            Self::looks_like(text)
        }
    }

    /// The format that a text seems to have: TOML has tables in brackets and keys with `=`.
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
            Self::Toml => EdgeVersion::V1_6,
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

/// A version of IoT Edge: 1.1 to 1.6, with or without a patch number. Without one it stands for the last patch of its
/// minor version.
///
/// These are versions of IoT Edge; its identity service has other numbers (IoT Edge 1.4.9 includes 1.4.3 of it).
///
/// ```
/// use dps_edge::EdgeVersion;
///
/// let version: EdgeVersion = "1.4.20".parse()?;
/// assert!(EdgeVersion::new(4, 19) < version && version < EdgeVersion::V1_4);
/// assert_eq!(version.out_of_service(), Some("2024-11-12"));
/// # Ok::<(), dps_edge::UnknownVersion>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EdgeVersion {
    /// The number after `1.`.
    minor: u8,
    patch: u16,
}

/// Stands for the last patch of a minor version.
const LAST_PATCH: u16 = u16::MAX;

impl EdgeVersion {
    /// 1.1, the last with `config.yaml`.
    pub const V1_1: Self = Self::new(1, LAST_PATCH);
    /// 1.2, the first with `config.toml`.
    pub const V1_2: Self = Self::new(2, LAST_PATCH);
    /// 1.3.
    pub const V1_3: Self = Self::new(3, LAST_PATCH);
    /// 1.4.
    pub const V1_4: Self = Self::new(4, LAST_PATCH);
    /// 1.5.
    pub const V1_5: Self = Self::new(5, LAST_PATCH);
    /// 1.6, the first that reads TOML 1.1.
    pub const V1_6: Self = Self::new(6, LAST_PATCH);

    /// Every minor version, oldest first.
    pub const ALL: [Self; 6] = [Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4, Self::V1_5, Self::V1_6];

    /// Version 1.`minor`.`patch`. A version that was never released reads the same as the one before it.
    #[must_use]
    pub const fn new(minor: u8, patch: u16) -> Self {
        Self { minor, patch }
    }

    /// The format of the file that this version reads.
    #[must_use]
    pub const fn format(self) -> Format {
        match self.minor {
            ..=1 => Format::Yaml,
            _ => Format::Toml,
        }
    }

    /// Whether it reads TOML 1.1: several lines in an inline table, a comma before its end, `\xHH` and `\e` in strings.
    #[must_use]
    pub const fn reads_toml_1_1(self) -> bool {
        self.minor >= 6
    }

    /// The day from which it gets no more fixes, as year, month and day.
    ///
    /// Source: the release notes of IoT Edge 1.3.0, 1.4.0 and 1.5.0, and the product's lifecycle page. 1.6 is serviced
    /// until 2028-11-14.
    #[must_use]
    pub const fn out_of_service(self) -> Option<&'static str> {
        match self.minor {
            ..=1 => Some("2022-12-13"),
            2 => Some("2022-06-24"),
            3 => Some("2022-08-26"),
            4 => Some("2024-11-12"),
            5 => Some("2026-11-10"),
            _ => None,
        }
    }
}

impl fmt::Display for EdgeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            LAST_PATCH => write!(f, "1.{}", self.minor),
            patch => write!(f, "1.{}.{patch}", self.minor),
        }
    }
}

/// The error for a string that is not a known version of IoT Edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVersion;

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "unknown version of IoT Edge: use 1.1, 1.2, 1.3, 1.4, 1.5 or 1.6, or one with a patch such as 1.4.20",
        )
    }
}

impl std::error::Error for UnknownVersion {}

impl FromStr for EdgeVersion {
    type Err = UnknownVersion;

    /// Parses `1.4` and `1.4.20`.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        let (minor, patch) = match text.strip_prefix("1.").ok_or(UnknownVersion)?.split_once('.') {
            Some((minor, patch)) if digits(patch) => (minor, patch.parse().map_err(|_| UnknownVersion)?),
            Some(_) => return Err(UnknownVersion),
            None => (text.strip_prefix("1.").unwrap_or_default(), LAST_PATCH),
        };
        let known = Self::ALL.iter().find(|version| version.minor.to_string() == minor).ok_or(UnknownVersion)?;
        Ok(Self::new(known.minor, patch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_with_and_without_a_patch_number() {
        assert_eq!("1.4".parse(), Ok(EdgeVersion::V1_4));
        assert_eq!("1.4.9".parse(), Ok(EdgeVersion::new(4, 9)));
        for text in ["1.1", "1.4", "1.6", "1.6.0", "1.4.20"] {
            assert_eq!(text.parse::<EdgeVersion>().unwrap().to_string(), text);
        }
        for text in
            ["", "1", "1.", "1.40", "1.0", "2.0", "1.7", "1.4.", "1.4.x", "1.4.+1", "1.4.1.2", "1.4.99999", "v1.4"]
        {
            assert_eq!(text.parse::<EdgeVersion>(), Err(UnknownVersion), "{text}");
        }
    }

    #[test]
    fn detect_uses_the_name_or_the_first_line() {
        let of = |name: &str, text: &str| Format::detect(Path::new(name), text);
        assert_eq!(of("/etc/iotedge/config.yaml", "[provisioning]"), Format::Yaml);
        assert_eq!(of("config.toml.edge.template", "provisioning:"), Format::Toml);
        assert_eq!(of("edge.conf", "# x\n\nprovisioning:\n  source: \"dps\"\n"), Format::Yaml);
        assert_eq!(of("edge.conf", "\u{feff}hostname = \"a:b\"\n"), Format::Toml);
        assert_eq!(of("edge.conf", ""), Format::Toml);
    }
}
