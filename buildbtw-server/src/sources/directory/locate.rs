//! Where the source repositories are: every entry of the folder that is a git repository.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use buildbtw_graph::PkgBase;

/// A git repository that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name: the package base.
    pub pkgbase: PkgBase,
    /// The name of its entry in the folder of sources.
    pub entry: OsString,
    /// The folder with `HEAD`, `objects` and `refs`.
    pub git_dir: PathBuf,
}

/// What an entry of the folder of sources is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A git repository with the name of a package base.
    Repository(Found),
    /// A folder that may become a git repository.
    Folder,
    /// A git repository that cannot be read, and why.
    Refused(String),
    /// Nothing of interest, or nothing at all.
    Other,
}

/// Looks at one entry of the folder of sources: `<pkgbase>/.git`, or bare as `<pkgbase>.git` or
/// `<pkgbase>`.
pub fn look_at(folder: &Path, entry: &OsStr) -> Entry {
    let Some(name) = entry.to_str() else {
        return Entry::Refused("its name is not UTF-8".to_owned());
    };
    if name.starts_with('.') {
        return Entry::Other;
    }
    let path = folder.join(entry);
    if !path.is_dir() {
        return Entry::Other;
    }
    let inner = path.join(".git");
    let (name, git_dir) = if is_git_dir(&inner) {
        (name, inner)
    } else if inner.is_file() {
        let reason =
            "its `.git` is a file: linked work trees and submodules are not read; clone it instead";
        return Entry::Refused(reason.to_owned());
    } else if is_git_dir(&path) {
        (name.strip_suffix(".git").unwrap_or(name), path)
    } else {
        return Entry::Folder;
    };
    match name.parse() {
        Ok(pkgbase) => Entry::Repository(Found {
            pkgbase,
            entry: entry.to_owned(),
            git_dir,
        }),
        Err(error) => Entry::Refused(error.to_string()),
    }
}

fn is_git_dir(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

/// Names of all entries of the folder of sources that may be repositories.
///
/// # Errors
///
/// When the folder cannot be listed.
pub fn entries(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Of repositories with one name, the one that counts: a work tree's before a bare one with
/// `.git` in its name before one without.
fn rank(found: &Found) -> u8 {
    match (
        found.git_dir.ends_with(".git"),
        found.entry == found.pkgbase.as_str(),
    ) {
        (true, true) => 0,
        (_, false) => 1,
        (false, true) => 2,
    }
}

/// Decides between repositories of one name; the others come back as the second part.
pub fn by_name(found: Vec<Found>) -> (BTreeMap<PkgBase, Found>, Vec<Found>) {
    let mut chosen: BTreeMap<PkgBase, Found> = BTreeMap::new();
    let mut others = Vec::new();
    for one in found {
        match chosen.remove(&one.pkgbase) {
            None => {
                chosen.insert(one.pkgbase.clone(), one);
            }
            Some(other) => {
                let (better, worse) = if rank(&one) < rank(&other) {
                    (one, other)
                } else {
                    (other, one)
                };
                chosen.insert(better.pkgbase.clone(), better);
                others.push(worse);
            }
        }
    }
    (chosen, others)
}

/// The package bases that an entry may be the repository of.
pub fn names_of(entry: &OsStr) -> impl Iterator<Item = PkgBase> {
    let name = entry.to_str().unwrap_or_default();
    [Some(name), name.strip_suffix(".git")]
        .into_iter()
        .flatten()
        .filter_map(|name| name.parse().ok())
}

/// The entries that the repository of a package base may be.
pub fn entries_of(pkgbase: &PkgBase) -> [OsString; 2] {
    [
        OsString::from(pkgbase.as_str()),
        OsString::from(format!("{pkgbase}.git")),
    ]
}

/// The repository of a package base.
pub fn find(folder: &Path, pkgbase: &PkgBase) -> Option<Found> {
    let entries = entries_of(pkgbase);
    let found = entries
        .iter()
        .filter_map(|entry| match look_at(folder, entry) {
            Entry::Repository(found) => Some(found),
            _ => None,
        });
    by_name(found.collect()).0.remove(pkgbase)
}

/// Why what lies in the place of a package base is not its repository, and what to do; `None` where
/// nothing lies there.
pub fn why_not(folder: &Path, pkgbase: &PkgBase) -> Option<String> {
    entries_of(pkgbase).iter().find_map(|entry| {
        let shown = entry.display();
        match look_at(folder, entry) {
            Entry::Folder => Some(format!(
                "`{shown}` lies among the sources, but is no git repository: `git init` there, and commit its PKGBUILD and .SRCINFO"
            )),
            Entry::Refused(reason) => Some(format!("`{shown}` lies among the sources: {reason}")),
            Entry::Repository(_) | Entry::Other => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git_dir(path: &Path) {
        for folder in ["objects", "refs/heads"] {
            std::fs::create_dir_all(path.join(folder)).unwrap();
        }
        std::fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    fn name_of(entry: Entry) -> Option<String> {
        match entry {
            Entry::Repository(found) => Some(found.pkgbase.to_string()),
            _ => None,
        }
    }

    #[test]
    fn all_three_layouts_are_found() {
        let folder = tempfile::tempdir().unwrap();
        git_dir(&folder.path().join("worktree/.git"));
        git_dir(&folder.path().join("bare.git"));
        git_dir(&folder.path().join("plain"));
        for (entry, name) in [
            ("worktree", "worktree"),
            ("bare.git", "bare"),
            ("plain", "plain"),
        ] {
            assert_eq!(
                name_of(look_at(folder.path(), entry.as_ref())).as_deref(),
                Some(name)
            );
        }
    }

    #[test]
    fn what_is_no_repository_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        std::fs::write(folder.path().join("README"), "").unwrap();
        git_dir(&folder.path().join(".hidden"));
        git_dir(&folder.path().join("not a name"));
        std::fs::create_dir(folder.path().join("linked")).unwrap();
        std::fs::write(folder.path().join("linked/.git"), "gitdir: elsewhere\n").unwrap();
        let look = |name: &str| look_at(folder.path(), name.as_ref());
        assert_eq!(look("empty"), Entry::Folder);
        assert_eq!(look("README"), Entry::Other);
        assert_eq!(look(".hidden"), Entry::Other);
        assert_eq!(look("missing"), Entry::Other);
        assert!(matches!(look("not a name"), Entry::Refused(_)));
        assert!(matches!(look("linked"), Entry::Refused(_)));
        let why_not = |name: &str| why_not(folder.path(), &name.parse().unwrap());
        assert!(why_not("empty").unwrap().contains("git init"));
        assert!(why_not("linked").unwrap().contains("clone it"));
        assert_eq!(why_not("missing"), None);
    }

    #[test]
    fn one_of_several_with_a_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        git_dir(&folder.path().join("foo/.git"));
        git_dir(&folder.path().join("foo.git"));
        let found = entries(folder.path())
            .unwrap()
            .iter()
            .filter_map(|entry| match look_at(folder.path(), entry) {
                Entry::Repository(found) => Some(found),
                _ => None,
            })
            .collect();
        let (chosen, others) = by_name(found);
        assert_eq!(chosen.len(), 1);
        assert_eq!(chosen.values().next().unwrap().entry, "foo");
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].entry, "foo.git");
    }
}
