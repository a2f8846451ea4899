//! Unpacks the source tree.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

/// The most files and folders of a source tree, and the most bytes of all files together.
const MOST_ENTRIES: usize = 50_000;
const MOST_BYTES: u64 = 1 << 30;

/// Why a source tree cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The archive cannot be read, or the tree not be written.
    #[error("the source tree cannot be unpacked: {0}")]
    Io(#[from] io::Error),
    /// It is larger than a package source can reasonably be.
    #[error("the source tree has more than {MOST_ENTRIES} files or {MOST_BYTES} bytes")]
    TooLarge,
    /// Something in it has no place in a source tree.
    #[error("the source tree has {path:?}, which {problem}")]
    Entry {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is nothing to build.
    #[error("the source tree has no PKGBUILD")]
    NoPkgbuild,
}

impl SourceError {
    /// Whether the fault lies in the tree and not on this machine.
    pub fn is_of_the_package(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

/// Opens an archive, whatever of the three it is compressed with.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let length = file.read(&mut magic)?;
    file.rewind()?;
    let file = BufReader::new(file);
    Ok(match &magic[..length] {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(file)?),
        _ => Box::new(file),
    })
}

/// Unpacks an archive into an empty folder, and hands back the folder with PKGBUILD: that folder
/// itself or the only one in it.
///
/// # Errors
///
/// When the archive is broken, too large, or has anything but files, folders and links.
pub fn unpack(archive: &Path, to: &Path) -> Result<PathBuf, SourceError> {
    let mut archive = Archive::new(open(archive)?);
    let mut left = MOST_BYTES;
    for (count, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let wrong = |problem| SourceError::Entry {
            path: path.clone(),
            problem,
        };
        if count >= MOST_ENTRIES {
            return Err(SourceError::TooLarge);
        }
        left = left
            .checked_sub(entry.size())
            .ok_or(SourceError::TooLarge)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Directory | EntryType::Symlink => {}
            // git archive writes the commit's number into such a header.
            EntryType::XGlobalHeader => continue,
            _ => return Err(wrong("is neither a file nor a folder nor a symbolic link")),
        }
        let inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        // The second one also holds for a path that leads through a link to somewhere else.
        if !inside || !entry.unpack_in(to)? {
            return Err(wrong("leads out of the tree"));
        }
    }
    find_tree(to)
}

fn find_tree(folder: &Path) -> Result<PathBuf, SourceError> {
    let has_pkgbuild = |path: &Path| {
        fs::symlink_metadata(path.join("PKGBUILD")).is_ok_and(|metadata| metadata.is_file())
    };
    if has_pkgbuild(folder) {
        return Ok(folder.to_owned());
    }
    let mut entries = fs::read_dir(folder)?;
    match (entries.next().transpose()?, entries.next()) {
        (Some(only), None) if only.file_type()?.is_dir() && has_pkgbuild(&only.path()) => {
            Ok(only.path())
        }
        _ => Err(SourceError::NoPkgbuild),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn archive(entries: &[(&str, EntryType, &str)]) -> tempfile::NamedTempFile {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            if kind.is_symlink() {
                header.set_link_name(content).unwrap();
                header.set_size(0);
            } else {
                header.set_size(content.len() as u64);
            }
            header.set_cksum();
            let body = if kind.is_symlink() { "" } else { content };
            builder.append(&header, body.as_bytes()).unwrap();
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&builder.into_inner().unwrap()).unwrap();
        file
    }

    fn try_out(entries: &[(&str, EntryType, &str)]) -> Result<PathBuf, SourceError> {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let found = unpack(archive(entries).path(), &tree);
        assert!(!scratch.path().join("escaped").exists());
        found.map(|path| path.strip_prefix(&tree).unwrap().to_owned())
    }

    #[test]
    fn the_tree_lies_at_the_top_or_in_the_only_folder() {
        let file = EntryType::Regular;
        let top = try_out(&[("PKGBUILD", file, "a"), ("./x/y", file, "b")]);
        assert_eq!(top.unwrap(), Path::new(""));
        let inner = try_out(&[("p-main/PKGBUILD", file, "a"), ("p-main/x", file, "b")]);
        assert_eq!(inner.unwrap(), Path::new("p-main"));
        let none = try_out(&[("p/PKGBUILD", file, "a"), ("q", file, "b")]);
        assert!(matches!(none, Err(SourceError::NoPkgbuild)));
    }

    #[test]
    fn nothing_leaves_the_tree() {
        let file = EntryType::Regular;
        for entries in [
            &[("../escaped", file, "")][..],
            &[("/escaped", file, "")],
            &[("a/../../escaped", file, "")],
            &[
                ("link", EntryType::Symlink, ".."),
                ("link/escaped", file, ""),
            ],
            &[("device", EntryType::Char, "")],
            &[("pipe", EntryType::Fifo, "")],
        ] {
            assert!(try_out(entries).unwrap_err().is_of_the_package() || entries.len() == 2);
        }
    }
}
