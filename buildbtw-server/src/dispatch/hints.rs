//! What some packages ask of a worker: reviewed data, in a file that people keep under version control.
//!
//! Each hint says why it is there and until when it holds, so that none outlives its reason unseen.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use buildbtw_api::amounts;
use buildbtw_graph::PkgBase;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::scheduler::Requirements;

/// Why a file of hints cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HintsError {
    /// It cannot be read.
    #[error("cannot read the hints in {path}: {source}; HINTS_FILE names the file")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not written as hints are.
    #[error("the hints in {path} are not right: {reason}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    hint: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    pkgbase: PkgBase,
    #[serde(default)]
    labels: Vec<String>,
    memory: Option<String>,
    expires: Date,
    reason: String,
}

#[derive(Debug, Clone)]
struct Hint {
    requirements: Requirements,
    /// It holds before this time.
    until: Timestamp,
}

/// What packages ask of a worker.
#[derive(Debug, Clone, Default)]
pub struct Hints(HashMap<String, Hint>);

impl Hints {
    /// Reads the hints of a file; none where none is named.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or says something that is no hint.
    pub fn read(path: Option<&Path>) -> Result<Self, HintsError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path).map_err(|source| HintsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|reason| HintsError::Wrong {
            path: path.to_owned(),
            reason,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = basic_toml::from_str(text).map_err(|error| error.to_string())?;
        let mut hints = HashMap::new();
        for entry in file.hint {
            let pkgbase = entry.pkgbase.to_string();
            let wrong = |what: &str| Err(format!("the hint for {pkgbase}: {what}"));
            if entry.reason.trim().is_empty() {
                return wrong("`reason` is empty; say why it is needed");
            }
            if entry.labels.is_empty() && entry.memory.is_none() {
                return wrong("it asks for nothing; give `labels` or `memory`");
            }
            let memory = match entry.memory.as_deref().map(amounts::size).transpose() {
                Ok(memory) => memory,
                Err(reason) => return wrong(&reason),
            };
            let day_after = entry
                .expires
                .tomorrow()
                .map_err(|error| error.to_string())?;
            let until = day_after
                .to_zoned(TimeZone::UTC)
                .map_err(|error| error.to_string())?;
            let hint = Hint {
                requirements: Requirements {
                    labels: entry.labels,
                    memory,
                    ..Requirements::default()
                },
                until: until.timestamp(),
            };
            if hints.insert(pkgbase.clone(), hint).is_some() {
                return wrong("there are two; put what they say into one");
            }
        }
        Ok(Self(hints))
    }

    /// What a package asks of a worker at a time.
    pub fn requirements(&self, pkgbase: &str, now: Timestamp) -> Requirements {
        let hint = self.0.get(pkgbase).filter(|hint| now < hint.until);
        hint.map(|hint| hint.requirements.clone())
            .unwrap_or_default()
    }

    /// The packages whose hints hold no more at a time.
    pub fn expired(&self, now: Timestamp) -> Vec<&str> {
        let expired = self.0.iter().filter(|(_, hint)| hint.until <= now);
        let mut names: Vec<&str> = expired.map(|(pkgbase, _)| pkgbase.as_str()).collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = "[[hint]]\npkgbase = \"chromium\"\nmemory = \"32G\"\nlabels = [\"big\"]\n\
         expires = 2026-12-31\nreason = \"links everything at once\"\n";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// TOML's own dates are not read by the crate: they stand in quotes.
    fn quoted() -> String {
        CHROMIUM.replace("2026-12-31", "\"2026-12-31\"")
    }

    #[test]
    fn a_hint_holds_through_its_last_day() {
        let hints = Hints::parse(&quoted()).unwrap();
        let asked = hints.requirements("chromium", at("2026-12-31T23:59:59Z"));
        assert_eq!(asked.memory, Some(32 << 30));
        assert_eq!(asked.labels, ["big"]);
        let later = at("2027-01-01T00:00:00Z");
        assert_eq!(
            hints.requirements("chromium", later),
            Requirements::default()
        );
        assert_eq!(hints.expired(later), ["chromium"]);
        assert_eq!(
            hints.requirements("other", at("2026-01-01T00:00:00Z")),
            Requirements::default()
        );
    }

    #[test]
    fn what_is_no_hint_is_refused_with_what_is_wrong() {
        let reason = |from: &str, to: &str| Hints::parse(&quoted().replace(from, to)).unwrap_err();
        assert!(reason("memory", "memmory").contains("memmory"));
        assert!(reason("32G", "lots").contains("the hint for chromium: `lots` is not a size"));
        assert!(reason("links everything at once", " ").contains("`reason` is empty"));
        assert!(reason("2026-12-31", "soon").contains("line 5"));
        assert!(reason("\"chromium\"", "\"a/b\"").contains("\"a/b\" contains '/'"));
        let nothing = "[[hint]]\npkgbase = \"a\"\nexpires = \"2026-12-31\"\nreason = \"r\"\n";
        assert!(
            Hints::parse(nothing)
                .unwrap_err()
                .contains("asks for nothing")
        );
        let twice = format!("{}{}", quoted(), quoted());
        assert!(Hints::parse(&twice).unwrap_err().contains("there are two"));
    }
}
