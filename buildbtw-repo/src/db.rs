//! Reading dbs and files dbs, and writing their entries.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::rc::Rc;

use crate::desc::{DbEntry, DescError};
use crate::limits::ReadLimits;
use crate::released::EntryError;
use crate::tarball::{Members, TarError};

/// A db that is refused. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It is no archive, damaged, or too large.
    #[error("the db is refused: {0}")]
    Archive(#[from] TarError),
    /// A text that is not UTF-8 where it must be, or cannot be understood.
    #[error("the db is refused: {path:?}: {source}")]
    Desc {
        /// Path of the text inside of the db.
        path: String,
        /// What is wrong.
        source: DescError,
    },
    /// A text is there twice.
    #[error("the db is refused: {path:?} stands in it twice")]
    Twice {
        /// Its path inside of the db.
        path: String,
    },
    /// Two entries for one package, of which pacman would make one.
    #[error("the db is refused: package {pkgname:?} has several entries")]
    SeveralEntries {
        /// The package.
        pkgname: String,
    },
    /// An entry whose folder is not `<name>-<version>` of what stands inside;
    /// pacman calls such a db inconsistent.
    #[error("the db is refused: entry {folder:?} says that it is {inside:?}")]
    Inconsistent {
        /// Name of the entry's folder.
        folder: String,
        /// Name and version from its desc.
        inside: String,
    },
    /// An entry that cannot be planned with.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// Reads a db or files db: any compression, one stream or several in a row.
/// The entries come in the order of the file; only those of a files db have
/// `files`.
///
/// # Errors
///
/// When it is damaged, above a limit, or contradicts itself. A db that is read
/// in part would make a plan with packages missing.
pub fn read_db(bytes: &[u8], limits: &ReadLimits) -> Result<Vec<DbEntry>, DbError> {
    let packed = Rc::new(Cell::new(0));
    let source = Counted {
        bytes,
        count: packed.clone(),
    };
    let mut members = Members::new(source, packed, limits)?;
    let mut entries: Vec<DbEntry> = Vec::new();
    let mut folders: Vec<String> = Vec::new();
    let mut by_folder: HashMap<String, usize> = HashMap::new();
    let mut texts = HashSet::new();
    while let Some(member) = members.next()? {
        let path = member.listed_path();
        let Some((folder, text)) = path.split_once('/') else {
            continue;
        };
        // `depends` is from dbs of old, where desc was in two parts.
        if !member.is_file() || !matches!(text, "desc" | "files" | "depends") {
            continue;
        }
        let index = *by_folder.entry(folder.to_owned()).or_insert_with(|| {
            entries.push(DbEntry::default());
            folders.push(folder.to_owned());
            entries.len() - 1
        });
        let bytes = members.text(&member)?;
        if !texts.insert(path.clone()) {
            return Err(DbError::Twice { path });
        }
        // Names and relations are checked later and are ASCII; the rest may
        // be in whatever encoding it is.
        entries[index]
            .read_desc(&String::from_utf8_lossy(&bytes))
            .map_err(|source| DbError::Desc { path, source })?;
    }
    members.finish()?;
    check(&entries, &folders)?;
    Ok(entries)
}

fn check(entries: &[DbEntry], folders: &[String]) -> Result<(), DbError> {
    let mut names = HashSet::new();
    for (entry, folder) in entries.iter().zip(folders) {
        if entry.folder() != *folder {
            return Err(DbError::Inconsistent {
                folder: folder.clone(),
                inside: entry.folder(),
            });
        }
        if !names.insert(&entry.pkgname) {
            return Err(DbError::SeveralEntries {
                pkgname: entry.pkgname.clone(),
            });
        }
    }
    Ok(())
}

/// Bytes that note how many of them were read.
struct Counted<'a> {
    bytes: &'a [u8],
    count: Rc<Cell<u64>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// An entry as tar members: for the db, and for the files db.
pub(crate) struct EntryTar {
    pub(crate) db: Vec<u8>,
    pub(crate) files: Vec<u8>,
}

impl EntryTar {
    /// The members of one entry: a folder, desc, and in the files db files.
    /// All have the build date as their time, so equal entries have equal
    /// bytes.
    pub(crate) fn new(entry: &DbEntry) -> Result<EntryTar, WriteEntryError> {
        let desc = entry.desc_text()?;
        let files = entry.files_text()?;
        let folder = entry.folder();
        let mtime = entry.builddate.unwrap_or(0);
        let mut db = tar::Builder::new(Vec::with_capacity(desc.len() + 2048));
        append(&mut db, &format!("{folder}/"), None, mtime)?;
        append(&mut db, &format!("{folder}/desc"), Some(&desc), mtime)?;
        let db = without_end(db)?;
        let mut files_tar = tar::Builder::new(Vec::with_capacity(files.len() + 2048));
        append(
            &mut files_tar,
            &format!("{folder}/files"),
            Some(&files),
            mtime,
        )?;
        let files = [db.as_slice(), &without_end(files_tar)?].concat();
        Ok(EntryTar { db, files })
    }
}

/// An entry that was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteEntryError {
    /// A value that no desc can hold.
    #[error(transparent)]
    Desc(#[from] DescError),
    /// Its name cannot be a path in a db.
    #[error("the entry cannot be written: {0}")]
    Tar(#[from] io::Error),
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    text: Option<&str>,
    mtime: u64,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    let bytes = text.unwrap_or_default().as_bytes();
    header.set_size(bytes.len() as u64);
    if text.is_some() {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
    } else {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
    }
    tar.append_data(&mut header, path, bytes)
}

/// The members alone: frames follow one another, and only the last one has
/// the end mark.
fn without_end(tar: tar::Builder<Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut bytes = tar.into_inner()?;
    bytes.truncate(bytes.len() - 1024);
    Ok(bytes)
}
