//! From the texts of a db entry to what planning works with.

use std::str::FromStr;

use buildbtw_graph::{
    NameError, Provision, Relation, RelationError, ReleasedPackage, ReleasedRepository,
    VersionError,
};

use crate::db::DbError;
use crate::desc::DbEntry;

/// An entry of a db that planning cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A field without which nothing can be planned.
    #[error("db entry {entry:?} has no %{section}%")]
    Missing {
        /// `<pkgname>-<version>`.
        entry: String,
        /// The missing section.
        section: &'static str,
    },
    /// A name that is refused.
    #[error("db entry {entry:?}: {source}")]
    Name {
        /// `<pkgname>-<version>`.
        entry: String,
        /// What is wrong.
        source: NameError,
    },
    /// A version that is refused.
    #[error("db entry {entry:?}: {source}")]
    Version {
        /// `<pkgname>-<version>`.
        entry: String,
        /// What is wrong.
        source: VersionError,
    },
    /// A relation that is refused.
    #[error("db entry {entry:?}, %{section}%: {source}")]
    Relation {
        /// `<pkgname>-<version>`.
        entry: String,
        /// Where it stands.
        section: &'static str,
        /// What is wrong.
        source: RelationError,
    },
}

impl DbEntry {
    /// What planning needs of this entry. A missing `%BASE%` is the pkgname,
    /// as for pacman.
    ///
    /// # Errors
    ///
    /// When a name, the version or a relation is missing or not valid.
    /// `optdepends` decide nothing, so those that cannot be read are left out.
    pub fn to_released(&self) -> Result<ReleasedPackage, EntryError> {
        for (section, value) in [
            ("NAME", &self.pkgname),
            ("VERSION", &self.version),
            ("ARCH", &self.arch),
        ] {
            if value.is_empty() {
                return Err(EntryError::Missing {
                    entry: self.folder(),
                    section,
                });
            }
        }
        let pkgbase = match self.pkgbase.as_str() {
            "" => &self.pkgname,
            pkgbase => pkgbase,
        };
        let version = self.version.parse().map_err(|source| EntryError::Version {
            entry: self.folder(),
            source,
        })?;
        Ok(ReleasedPackage {
            pkgname: self.name(&self.pkgname)?,
            pkgbase: self.name(pkgbase)?,
            version,
            architecture: self.name(&self.arch)?,
            depends: self.relations("DEPENDS", &self.depends)?,
            makedepends: self.relations("MAKEDEPENDS", &self.makedepends)?,
            checkdepends: self.relations("CHECKDEPENDS", &self.checkdepends)?,
            provides: self.provisions()?,
            conflicts: self.relations("CONFLICTS", &self.conflicts)?,
            replaces: self.relations("REPLACES", &self.replaces)?,
            groups: self.groups.clone(),
            optdepends: self
                .optdepends
                .iter()
                .filter_map(|text| without_reason(text).parse().ok())
                .collect(),
        })
    }

    fn name<T: FromStr<Err = NameError>>(&self, text: &str) -> Result<T, EntryError> {
        text.parse().map_err(|source| EntryError::Name {
            entry: self.folder(),
            source,
        })
    }

    fn relations(
        &self,
        section: &'static str,
        texts: &[String],
    ) -> Result<Vec<Relation>, EntryError> {
        let relation = |text: &String| {
            without_reason(text)
                .parse()
                .map_err(|source| self.relation_error(section, source))
        };
        texts.iter().map(relation).collect()
    }

    fn provisions(&self) -> Result<Vec<Provision>, EntryError> {
        let provision = |text: &String| {
            let text = without_reason(text);
            // pacman reads `foo>=1` here, too, but takes it for no version.
            let plain = text.split(['<', '>']).next().unwrap_or(text);
            plain
                .parse()
                .map_err(|source| self.relation_error("PROVIDES", source))
        };
        self.provides.iter().map(provision).collect()
    }

    fn relation_error(&self, section: &'static str, source: RelationError) -> EntryError {
        EntryError::Relation {
            entry: self.folder(),
            section,
            source,
        }
    }
}

/// Cuts off `: why`, which may stand behind any relation for pacman, though
/// only optdepends have it. An epoch's `:` has no blank behind it.
fn without_reason(text: &str) -> &str {
    text.split_once(": ")
        .map_or(text, |(relation, _)| relation)
        .trim()
}

/// Reads a db as a released repository of this name.
///
/// # Errors
///
/// When the db cannot be read, or one of its entries not be planned with.
pub fn read_released(
    name: &str,
    bytes: &[u8],
    limits: &crate::ReadLimits,
) -> Result<ReleasedRepository, DbError> {
    let packages = crate::db::read_db(bytes, limits)?
        .iter()
        .map(|entry| entry.to_released().map_err(DbError::from))
        .collect::<Result<_, _>>()?;
    Ok(ReleasedRepository {
        name: name.to_owned(),
        packages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> DbEntry {
        DbEntry {
            pkgname: "libgreet".to_owned(),
            version: "1:1.0-2".to_owned(),
            arch: "x86_64".to_owned(),
            ..DbEntry::default()
        }
    }

    #[test]
    fn relations_are_read_as_pacman_reads_them() {
        let released = DbEntry {
            depends: vec!["foo>=1:2".to_owned(), "libz.so=1-64".to_owned()],
            provides: vec!["bar=1".to_owned(), "baz>=2".to_owned()],
            optdepends: vec!["foo: for this: and that".to_owned(), "/ no".to_owned()],
            ..entry()
        }
        .to_released()
        .unwrap();
        assert_eq!(released.pkgbase.as_str(), "libgreet");
        let texts: Vec<_> = released.depends.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["foo>=1:2", "libz.so=1-64"]);
        let texts: Vec<_> = released.provides.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["bar=1", "baz"]);
        let texts: Vec<_> = released
            .optdepends
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, ["foo"]);
    }

    #[test]
    fn says_which_entry_and_field_is_wrong() {
        let message = |entry: DbEntry| entry.to_released().unwrap_err().to_string();
        let without = |arch: &str| DbEntry {
            arch: arch.to_owned(),
            ..entry()
        };
        assert_eq!(
            message(without("")),
            "db entry \"libgreet-1:1.0-2\" has no %ARCH%"
        );
        assert!(message(without("a/b")).contains("contains '/'"));
        let depends = DbEntry {
            depends: vec!["foo>=".to_owned()],
            ..entry()
        };
        assert!(message(depends).contains("%DEPENDS%: relation \"foo>=\""));
    }
}
