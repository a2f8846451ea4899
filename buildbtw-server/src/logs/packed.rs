//! A closed log, compressed: a zstd file of independent frames with a table of them at its end, so
//! that any part is read without the rest. `zstd -dc` reads it as well: the table stands in a
//! skippable frame (RFC 8878, 3.1.2).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::Piece;
use super::plain::PlainLog;

/// Bytes of the log in one frame, at the most.
const FRAME: usize = 256 << 10;

/// zstd's own default: logs shrink to a tenth at hundreds of megabytes a second.
const LEVEL: i32 = 3;

/// Begins a frame that decompressors pass over.
const SKIPPABLE: u32 = 0x184d_2a50;

/// The last bytes of the file.
const MAGIC: &[u8; 8] = b"bbtwlog1";

/// Bytes of a table row: offset and length in the log, length in the file.
const ROW: usize = 16;

/// Bytes after the table: the log's length, the number of rows, the magic.
const TRAILER: usize = 8 + 4 + MAGIC.len();

#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Where it begins in the log.
    start: u64,
    len: u32,
    /// Where it begins in the file.
    position: u64,
    packed: u32,
}

/// A closed log.
#[derive(Debug)]
pub(super) struct PackedLog {
    path: PathBuf,
    frames: Vec<Frame>,
    length: u64,
}

impl PackedLog {
    /// Compresses a closed log. The file appears whole or not at all.
    pub fn write(log: &PlainLog) -> io::Result<Self> {
        let part = log.files.part();
        let mut file = File::create(&part)?;
        let mut frames = Vec::new();
        let mut position = 0;
        let mut offset = 0;
        while let Some((start, bytes)) = next_frame(log, offset)? {
            let packed = zstd::bulk::compress(&bytes, LEVEL)?;
            file.write_all(&packed)?;
            let frame = Frame {
                start,
                len: size(bytes.len())?,
                position,
                packed: size(packed.len())?,
            };
            position += u64::from(frame.packed);
            offset = start + bytes.len() as u64;
            frames.push(frame);
        }
        file.write_all(&table(&frames, log.length())?)?;
        file.sync_all()?;
        let path = log.files.packed();
        std::fs::rename(&part, &path)?;
        File::open(&log.files.folder)?.sync_all()?;
        Ok(Self {
            path,
            frames,
            length: log.length(),
        })
    }

    /// Opens a compressed log; `None` if there is none.
    pub fn open(path: PathBuf) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match read_table(&file)? {
            Some((frames, length)) => Ok(Some(Self {
                path,
                frames,
                length,
            })),
            None => Err(damaged(&path)),
        }
    }

    /// Bytes of the whole log, those left out included.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// At most `max` bytes from an offset on, or from the first after it that was kept; they end
    /// with a frame, so that one who reads all unpacks each frame once. `None` at the end.
    pub fn read(&self, offset: u64, max: usize) -> io::Result<Option<Piece>> {
        let after = |frame: &Frame| frame.start + u64::from(frame.len) <= offset;
        let Some(frame) = self.frames.get(self.frames.partition_point(after)) else {
            return Ok(None);
        };
        let mut packed = vec![0; frame.packed as usize];
        File::open(&self.path)?.read_exact_at(&mut packed, frame.position)?;
        let mut bytes = zstd::bulk::decompress(&packed, frame.len as usize)?;
        if bytes.len() != frame.len as usize {
            return Err(damaged(&self.path));
        }
        let start = offset.max(frame.start);
        bytes.drain(..usize::try_from(start - frame.start).unwrap_or(usize::MAX));
        bytes.truncate(max);
        Ok(Some(Piece { start, bytes }))
    }
}

fn damaged(path: &std::path::Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{} is damaged", path.display()),
    )
}

fn size(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(io::Error::other)
}

/// The bytes of the next frame: what is kept from an offset on, without a gap.
fn next_frame(log: &PlainLog, offset: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let Some(Piece { start, mut bytes }) = log.read(offset, FRAME)? else {
        return Ok(None);
    };
    while bytes.len() < FRAME {
        let end = start + bytes.len() as u64;
        match log.read(end, FRAME - bytes.len())? {
            Some(more) if more.start == end => bytes.extend_from_slice(&more.bytes),
            _ => break,
        }
    }
    Ok(Some((start, bytes)))
}

fn table(frames: &[Frame], length: u64) -> io::Result<Vec<u8>> {
    let mut table = SKIPPABLE.to_le_bytes().to_vec();
    table.extend_from_slice(&size(frames.len() * ROW + TRAILER)?.to_le_bytes());
    for frame in frames {
        table.extend_from_slice(&frame.start.to_le_bytes());
        table.extend_from_slice(&frame.len.to_le_bytes());
        table.extend_from_slice(&frame.packed.to_le_bytes());
    }
    table.extend_from_slice(&length.to_le_bytes());
    table.extend_from_slice(&size(frames.len())?.to_le_bytes());
    table.extend_from_slice(MAGIC);
    Ok(table)
}

/// The frames and the log's length; `None` if the file has no sound table.
fn read_table(file: &File) -> io::Result<Option<(Vec<Frame>, u64)>> {
    let file_len = file.metadata()?.len();
    let Some(trailer_at) = file_len.checked_sub(TRAILER as u64) else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, trailer_at)?;
    let (numbers, magic) = trailer.split_at(12);
    let (length, count) = numbers.split_at(8);
    let (Some(length), Some(count)) = (eight(length), four(count)) else {
        return Ok(None);
    };
    let rows_len = u64::from(count) * ROW as u64;
    let Some(rows_at) = trailer_at.checked_sub(rows_len).filter(|_| magic == MAGIC) else {
        return Ok(None);
    };
    let mut rows = vec![0; usize::try_from(rows_len).map_err(io::Error::other)?];
    file.read_exact_at(&mut rows, rows_at)?;
    let (mut frames, mut position, mut end) = (Vec::new(), 0, 0);
    for row in rows.chunks_exact(ROW) {
        let (Some(start), Some(len), Some(packed)) =
            (eight(&row[..8]), four(&row[8..12]), four(&row[12..]))
        else {
            return Ok(None);
        };
        let sound = len as usize <= FRAME
            && start >= end
            && start
                .checked_add(len.into())
                .is_some_and(|end| end <= length);
        if !sound || position + u64::from(packed) > rows_at {
            return Ok(None);
        }
        frames.push(Frame {
            start,
            len,
            position,
            packed,
        });
        position += u64::from(packed);
        end = start + u64::from(len);
    }
    Ok(Some((frames, length)))
}

fn eight(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn four(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_le_bytes)
}
