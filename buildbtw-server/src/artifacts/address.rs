//! What the last part of a repository's address may name.

use buildbtw_api::NamespaceName;
use buildbtw_repo::PackageFileName;

use crate::db::generations::IterationName;

/// Which of the two dbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DbKind {
    /// What pacman needs to install.
    Db,
    /// The same with the lists of files.
    Files,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RepositoryFile {
    /// One of the dbs.
    Db(DbKind),
    /// A package. That the name is a valid one does not mean that there is such a file.
    Package(PackageFileName),
}

impl RepositoryFile {
    /// Reads a file name. Signatures, other archives and whatever might lead elsewhere are none.
    pub fn parse(namespace: &NamespaceName, name: &str) -> Option<Self> {
        match name.strip_prefix(namespace.as_str()) {
            Some(".db" | ".db.tar.zst") => Some(Self::Db(DbKind::Db)),
            Some(".files" | ".files.tar.zst") => Some(Self::Db(DbKind::Files)),
            _ => name.parse().ok().map(Self::Package),
        }
    }
}

/// Reads a number as it is written: without signs and leading zeros.
pub(super) fn number(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|number: &u32| number.to_string() == text)
}

/// Reads the part of an address that names the iteration.
pub(super) fn iteration(text: &str) -> Option<IterationName> {
    match text {
        "latest" => Some(IterationName::Latest),
        text => number(text).map(IterationName::Number),
    }
}

/// A name as a part of a path: what has a meaning in URLs is escaped (RFC 3986, 3.3).
pub(super) fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'+'
            | b':'
            | b'@' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let namespace: NamespaceName = "kde".parse().unwrap();
        let parse = |name| RepositoryFile::parse(&namespace, name);
        for name in ["kde.db", "kde.db.tar.zst"] {
            assert_eq!(parse(name), Some(RepositoryFile::Db(DbKind::Db)));
        }
        for name in ["kde.files", "kde.files.tar.zst"] {
            assert_eq!(parse(name), Some(RepositoryFile::Db(DbKind::Files)));
        }
        assert!(matches!(
            parse("a-1:1+b-1-any.pkg.tar.zst"),
            Some(RepositoryFile::Package(_))
        ));
        for name in [
            "kde.db.sig",
            "other.db",
            ".db",
            "..",
            "../kde.db",
            "",
            "a-1-1-any.pkg.tar.zst.sig",
            "kde.db.tar.gz",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_have_one_way_to_be_written() {
        assert_eq!(number("17"), Some(17));
        assert_eq!(number("0"), Some(0));
        for text in ["", "+1", "01", "-1", "1 ", "99999999999", "latest"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(iteration("latest"), Some(IterationName::Latest));
        assert_eq!(iteration("3"), Some(IterationName::Number(3)));
    }

    #[test]
    fn what_means_something_in_urls_is_escaped() {
        assert_eq!(
            escaped("a+b-1:2-1-any.pkg.tar.zst"),
            "a+b-1:2-1-any.pkg.tar.zst"
        );
        assert_eq!(escaped("a?b#c%2f/é"), "a%3Fb%23c%252f%2F%C3%A9");
    }
}
