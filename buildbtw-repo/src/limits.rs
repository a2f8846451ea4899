//! How much is read of what others hand in.

use std::io::{self, Read};

/// Limits on one archive. Whatever is above them is refused, and the error
/// names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of the archive once decompressed.
    pub unpacked: u64,
    /// How many times larger than its compressed form the archive may become.
    /// Only asked above [`RATIO_FREE`] bytes: small archives of zeros are fine.
    pub ratio: u64,
    /// Entries in the archive.
    pub entries: usize,
    /// Bytes of the path or link target of one entry.
    pub path: usize,
    /// Bytes of one text: a `.PKGINFO`, or a desc or files entry of a db.
    pub text: u64,
    /// Bytes of all paths of an archive together.
    pub paths: usize,
}

/// Decompressed bytes for which [`ReadLimits::ratio`] is not asked.
pub const RATIO_FREE: u64 = 256 * 1024 * 1024;

impl ReadLimits {
    /// For a package. The largest packages of Arch have some 100,000 entries
    /// and ten GiB; text compresses up to 20 times, and the tenfold of that is
    /// allowed.
    pub const PACKAGE: ReadLimits = ReadLimits {
        unpacked: 32 * 1024 * 1024 * 1024,
        ratio: 1000,
        entries: 1_000_000,
        path: 4096,
        text: 1024 * 1024,
        paths: 64 * 1024 * 1024,
    };

    /// For a db or files db. The files db of Arch's extra, with some 15,000
    /// packages, has 600 MiB. One text may be as long as the paths of a package
    /// can be, each byte of them escaped.
    pub const DB: ReadLimits = ReadLimits {
        unpacked: 4 * 1024 * 1024 * 1024,
        ratio: 1000,
        entries: 1_000_000,
        path: 4096,
        text: 4 * Self::PACKAGE.paths as u64 + 1024 * 1024,
        paths: 256 * 1024 * 1024,
    };
}

/// One of the limits was reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// See [`ReadLimits::unpacked`].
    #[error("it unpacks to more than {0} bytes, which is the limit")]
    Unpacked(u64),
    /// See [`ReadLimits::ratio`].
    #[error("it unpacks to more than {0} times its size, as only a decompression bomb does")]
    Ratio(u64),
    /// See [`ReadLimits::entries`].
    #[error("it has more than {0} entries, which is the limit")]
    Entries(usize),
    /// See [`ReadLimits::path`].
    #[error("it has a path of more than {0} bytes, which is the limit")]
    Path(usize),
    /// See [`ReadLimits::text`].
    #[error("its {name} has {size} bytes; {limit} are the limit")]
    Text {
        /// Path of the entry, as listed.
        name: String,
        /// Bytes it says it has.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// See [`ReadLimits::paths`].
    #[error("its paths have more than {0} bytes together, which is the limit")]
    Paths(usize),
}

impl LimitError {
    /// Takes a limit back out of the I/O error that carried it through a
    /// decompressor.
    pub(crate) fn from_io(error: &io::Error) -> Option<LimitError> {
        error.get_ref()?.downcast_ref::<LimitError>().cloned()
    }
}

/// Passes on what a decompressor makes until a limit is reached.
pub(crate) struct LimitedReader<R> {
    inner: R,
    unpacked: u64,
    limit: u64,
    ratio: u64,
    packed: PackedBytes,
}

/// Counts the compressed bytes that were read so far. The counter is read
/// while a decompressor owns the reader, so it is shared.
pub(crate) type PackedBytes = std::rc::Rc<std::cell::Cell<u64>>;

impl<R: Read> LimitedReader<R> {
    pub(crate) fn new(inner: R, limits: &ReadLimits, packed: PackedBytes) -> Self {
        Self {
            inner,
            unpacked: 0,
            limit: limits.unpacked,
            ratio: limits.ratio,
            packed,
        }
    }
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.unpacked += count as u64;
        if self.unpacked > self.limit {
            return Err(io::Error::other(LimitError::Unpacked(self.limit)));
        }
        let packed = self.packed.get().max(1);
        if self.unpacked > RATIO_FREE && self.unpacked / packed > self.ratio {
            return Err(io::Error::other(LimitError::Ratio(self.ratio)));
        }
        Ok(count)
    }
}
