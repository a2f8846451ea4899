//! Reading tar archives of others, member by member, in one pass.
//!
//! The `tar` crate reads the headers; the walk is our own, because that crate
//! reads extended headers (long names) whole into memory, however large they
//! say they are, and takes an archive that breaks off between two members for
//! a complete one.

use std::io::{self, Read};

use crate::compression::decompressed;
use crate::limits::{LimitError, LimitedReader, PackedBytes, ReadLimits};

const BLOCK: u64 = 512;

/// Bytes of one extended header: room for a path and a link of any length
/// that the limits allow, and for what else is noted there.
const EXTENDED: u64 = 1024 * 1024;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It cannot be read or decompressed.
    #[error("it cannot be read: {0}")]
    Io(#[source] io::Error),
    /// It is larger than what is read.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It is no tar archive, or a damaged one.
    #[error("it is no valid tar archive: {0}")]
    Malformed(String),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        match LimitError::from_io(&error) {
            Some(limit) => TarError::Limit(limit),
            None => TarError::Io(error),
        }
    }
}

fn malformed<T>(what: impl Into<String>) -> Result<T, TarError> {
    Err(TarError::Malformed(what.into()))
}

/// One member of an archive, without its content.
#[derive(Debug)]
pub(crate) struct Member {
    /// The path as stored; directories end with `/`.
    pub(crate) path: Vec<u8>,
    /// Where a symbolic or hard link points to.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: tar::EntryType,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Bytes of content.
    pub(crate) size: u64,
    /// Owner and group, as numbers, and as names where they are given.
    pub(crate) owner: (u64, u64),
    pub(crate) owner_names: (Vec<u8>, Vec<u8>),
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
}

impl Member {
    pub(crate) fn is_file(&self) -> bool {
        self.kind.is_file()
    }

    /// The path as text, for messages and lists: see [`listed`].
    pub(crate) fn listed_path(&self) -> String {
        listed(&self.path)
    }
}

/// A path as `bsdtar -t` prints it, and so repo-add writes it into a files db:
/// backslashes, control characters and what is no UTF-8 are escaped.
pub(crate) fn listed(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\x07' => out.push_str("\\a"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x0b' => out.push_str("\\v"),
                c if c.is_control() => {
                    let mut bytes = [0; 4];
                    escape_octal(&mut out, c.encode_utf8(&mut bytes).as_bytes());
                }
                c => out.push(c),
            }
        }
        escape_octal(&mut out, chunk.invalid());
    }
    out
}

fn escape_octal(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.push_str(&format!("\\{byte:03o}"));
    }
}

/// The members of a compressed archive.
pub(crate) struct Members<'a> {
    reader: LimitedReader<Box<dyn Read + 'a>>,
    limits: &'a ReadLimits,
    /// Content of the current member that was not read yet, and what fills up
    /// its last block.
    content: u64,
    padding: u64,
    entries: usize,
    paths: usize,
    ended: bool,
}

/// What extended headers say about the next member.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    owner: (Option<u64>, Option<u64>),
    owner_names: (Option<Vec<u8>>, Option<Vec<u8>>),
    /// The true path of a file that is stored without its holes. The content
    /// is then preceded by the map of the holes.
    sparse_path: Option<Vec<u8>>,
}

impl<'a> Members<'a> {
    /// Reads from a file of any known compression. `packed` is asked for the
    /// number of bytes that `source` gave so far.
    pub(crate) fn new(
        source: impl Read + 'a,
        packed: PackedBytes,
        limits: &'a ReadLimits,
    ) -> Result<Self, TarError> {
        let reader = LimitedReader::new(decompressed(source)?, limits, packed);
        Ok(Self {
            reader,
            limits,
            content: 0,
            padding: 0,
            entries: 0,
            paths: 0,
            ended: false,
        })
    }

    /// The next member; what was not read of the one before is skipped.
    /// `None` after the end mark of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut extended = Extended::default();
        loop {
            self.skip_content()?;
            let mut header = tar::Header::new_old();
            if let Err(error) = self.reader.read_exact(header.as_mut_bytes()) {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    return malformed("it breaks off");
                }
                return Err(error.into());
            }
            if header.as_bytes().iter().all(|&byte| byte == 0) {
                self.ended = true;
                return Ok(None);
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(LimitError::Entries(self.limits.entries).into());
            }
            check_sum(&header)?;
            let kind = header.entry_type();
            let size = header.entry_size()?;
            self.start_content(size)?;
            if kind.is_pax_local_extensions() {
                let records = self.extended_header(size)?;
                read_records(&records, &mut extended)?;
            } else if kind.is_gnu_longname() {
                extended.path = Some(cut_at_nul(self.extended_header(size)?));
            } else if kind.is_gnu_longlink() {
                extended.link = Some(cut_at_nul(self.extended_header(size)?));
            } else if kind.is_pax_global_extensions() {
                // Says nothing about any one member; libarchive passes it over.
            } else if kind.is_gnu_sparse() {
                return malformed("it has files in the old sparse format of GNU tar");
            } else {
                return self.member(&header, extended).map(Some);
            }
        }
    }

    fn member(&mut self, header: &tar::Header, extended: Extended) -> Result<Member, TarError> {
        let kind = header.entry_type();
        let size = match extended.size {
            Some(size) => size,
            None => header.entry_size()?,
        };
        // Links and directories have no content, whatever the size field says.
        let size = if kind.is_file() || kind.is_contiguous() {
            size
        } else {
            0
        };
        self.start_content(size)?;
        let mut path = extended
            .sparse_path
            .or(extended.path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        if kind.is_dir() && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let link = match extended.link {
            Some(link) => link,
            None => header
                .link_name_bytes()
                .map(|link| link.into_owned())
                .unwrap_or_default(),
        };
        if path.len() > self.limits.path || link.len() > self.limits.path {
            return Err(LimitError::Path(self.limits.path).into());
        }
        self.paths += path.len();
        if self.paths > self.limits.paths {
            return Err(LimitError::Paths(self.limits.paths).into());
        }
        let owner = (
            extended.owner.0.map_or_else(|| header.uid(), Ok)?,
            extended.owner.1.map_or_else(|| header.gid(), Ok)?,
        );
        let name = |extended: Option<Vec<u8>>, plain: Option<&[u8]>| {
            extended.unwrap_or_else(|| plain.unwrap_or_default().to_vec())
        };
        Ok(Member {
            path,
            link,
            kind,
            mode: header.mode()? & 0o7777,
            size,
            owner,
            owner_names: (
                name(extended.owner_names.0, header.username_bytes()),
                name(extended.owner_names.1, header.groupname_bytes()),
            ),
            // Other kinds may leave these fields empty.
            device: if kind.is_character_special() || kind.is_block_special() {
                let (major, minor) = (header.device_major()?, header.device_minor()?);
                (major.unwrap_or(0), minor.unwrap_or(0))
            } else {
                (0, 0)
            },
        })
    }

    /// The content of the current member.
    pub(crate) fn content(&mut self) -> Content<'_, 'a> {
        Content(self)
    }

    /// The whole content of a member that is a text, within the limit.
    pub(crate) fn text(&mut self, member: &Member) -> Result<Vec<u8>, TarError> {
        if member.size > self.limits.text {
            return Err(LimitError::Text {
                name: member.listed_path(),
                size: member.size,
                limit: self.limits.text,
            }
            .into());
        }
        self.rest_of_content()
    }

    /// Reads what follows the end mark, so that a digest covers all of the
    /// file and damage at its end is noticed.
    pub(crate) fn finish(mut self) -> Result<(), TarError> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(())
    }

    fn extended_header(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENDED {
            return malformed(format!("it has an extended header of {size} bytes"));
        }
        self.rest_of_content()
    }

    fn rest_of_content(&mut self) -> Result<Vec<u8>, TarError> {
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn start_content(&mut self, size: u64) -> Result<(), TarError> {
        if size > self.limits.unpacked {
            return Err(LimitError::Unpacked(self.limits.unpacked).into());
        }
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        io::copy(&mut self.content(), &mut io::sink())?;
        let padding = std::mem::take(&mut self.padding);
        let read = io::copy(&mut self.reader.by_ref().take(padding), &mut io::sink())?;
        if read < padding {
            return malformed("it breaks off");
        }
        Ok(())
    }
}

/// The content of the current member of an archive.
pub(crate) struct Content<'m, 'a>(&'m mut Members<'a>);

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let members = &mut *self.0;
        let wanted = u64::min(buffer.len() as u64, members.content) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        let count = members.reader.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        members.content -= count as u64;
        Ok(count)
    }
}

fn check_sum(header: &tar::Header) -> Result<(), TarError> {
    let bytes = header.as_bytes();
    let sum: u32 = bytes
        .iter()
        .enumerate()
        // The sum is taken with blanks in its own field.
        .map(|(at, &byte)| u32::from(if (148..156).contains(&at) { b' ' } else { byte }))
        .sum();
    match header.cksum() {
        Ok(noted) if noted == sum => Ok(()),
        _ => malformed("a header does not match its check sum"),
    }
}

fn cut_at_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Reads pax records, `<length> <key>=<value>\n`.
fn read_records(mut bytes: &[u8], extended: &mut Extended) -> Result<(), TarError> {
    let bad = || TarError::Malformed("an extended header cannot be read".to_owned());
    while !bytes.is_empty() {
        let blank = bytes
            .iter()
            .position(|&byte| byte == b' ')
            .ok_or_else(bad)?;
        let length: usize = number(&bytes[..blank]).ok_or_else(bad)?;
        if length > bytes.len() || length <= blank + 1 || bytes[length - 1] != b'\n' {
            return Err(bad());
        }
        let record = &bytes[blank + 1..length - 1];
        bytes = &bytes[length..];
        let equals = record
            .iter()
            .position(|&byte| byte == b'=')
            .ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => extended.path = Some(value.to_vec()),
            b"linkpath" => extended.link = Some(value.to_vec()),
            b"size" => extended.size = Some(number(value).ok_or_else(bad)?),
            b"uid" => extended.owner.0 = Some(number(value).ok_or_else(bad)?),
            b"gid" => extended.owner.1 = Some(number(value).ok_or_else(bad)?),
            b"uname" => extended.owner_names.0 = Some(value.to_vec()),
            b"gname" => extended.owner_names.1 = Some(value.to_vec()),
            b"GNU.sparse.name" => extended.sparse_path = Some(value.to_vec()),
            _ => {}
        }
    }
    Ok(())
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
