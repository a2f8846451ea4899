//! A part of a package that is being fetched: it stays when that breaks off, and the next download goes on with it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Wanted;

/// The SHA-256 of what a file holds from here on, to be gone on with, and how many bytes that are.
///
/// # Errors
///
/// When it cannot be read.
pub fn hash_of(file: &mut File) -> io::Result<(Sha256, u64)> {
    let (mut hash, mut total) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok((hash, total));
        }
        hash.update(&buffer[..length]);
        total += length as u64;
    }
}

/// The part that is there, locked against other downloads for as long as this lives.
pub struct Part {
    /// Where it lies, under a name that only a download of the very same package has.
    pub path: PathBuf,
    file: File,
    hash: Sha256,
    /// How many bytes are there.
    pub length: u64,
}

impl Part {
    /// Where the part of a package lies: hidden, beside the package.
    pub fn path(package: &Wanted) -> PathBuf {
        let name = package.file_name.get(..200).unwrap_or(&package.file_name);
        let digest = package.sha256.get(..12).unwrap_or(&package.sha256);
        package
            .path
            .with_file_name(format!(".{name}.{digest}.part"))
    }

    /// Opens what is there, or begins; `None` where somebody else is at it. A part that is longer than the whole is
    /// begun anew.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, read or locked.
    pub fn open(path: PathBuf, size: u64) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut part = Self {
            path,
            file,
            hash: Sha256::new(),
            length: 0,
        };
        if part.file.metadata()?.len() > size {
            part.begin_anew()?;
        }
        (part.hash, part.length) = hash_of(&mut part.file)?;
        Ok(Some(part))
    }

    /// Adds what comes next.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Leaves nothing of it, to begin once more.
    ///
    /// # Errors
    ///
    /// When the file cannot be cut.
    pub fn begin_anew(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hash = Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// The SHA-256 of what is there.
    pub fn digest(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// Removes it: what is in it is wrong.
    pub fn throw_away(self) {
        // If that is impossible, its digest is wrong the next time, too.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.length == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}
