//! A db as a list of zstd frames, so that adding a package touches little.
//!
//! zstd files may be joined: readers, pacman among them, take several frames
//! in a row for one stream. A db is kept as frames of some packages each; an
//! added package goes into the last frame, which is kept small until it is
//! joined with the one before it. Whatever else is in the repository is neither
//! read nor written. The end mark of the tar archive is a frame of its own,
//! [`END_FRAME`], which is the same for every db.
//!
//! Frames are known by their digest and never change, so one that two
//! generations share is kept once. Each frame of the db has a counterpart in
//! the files db with the same packages.

use std::collections::{BTreeMap, BTreeSet};

use buildbtw_graph::PkgName;

use crate::db::{DbError, EntryTar, WriteEntryError, read_db};
use crate::desc::DbEntry;
use crate::digest::Sha256Digest;
use crate::limits::ReadLimits;
use crate::package::{PackageError, PackageFile};
use crate::released::EntryError;
use crate::repository::{FrameState, Frames, RepositoryChange, RepositoryState};

/// The last frame of every db and files db: a zstd frame of 1,024 zero bytes,
/// the end mark of a tar archive. A db of this frame alone is an empty one.
///
/// By RFC 8878: magic number; a header with a content size of two bytes
/// (1024 - 256); one block, the last, that repeats a zero byte 1,024 times.
pub const END_FRAME: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x03, 0x03, 0x20, 0x00, 0x00,
];

/// Bytes of the tar of a files frame above which no package is added to it.
///
/// Measured with `benches/publish.rs`, 5,000 packages, against one large frame.
/// With 128 KiB the db becomes 30 % and the files db 6 % larger, and replacing
/// a package takes 2 ms; with 512 KiB it is 10 %, 1 % and 5 ms; with 2 MiB 3 %,
/// 0 % and 27 ms.
pub const FRAME_SIZE: u64 = 512 * 1024;

/// Bytes up to which the last frame is a small one: packages are added to it, and
/// it is joined with the large one before it when it is full. So a package that
/// is added on its own costs little, however full the large one is.
const SMALL: u64 = FRAME_SIZE / 8;

/// zstd's own default, which repo-add uses as well.
const LEVEL: i32 = 3;

/// A change that was not made; the repository is as before.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// A frame could not be had.
    #[error("frame {digest} cannot be loaded: {error}")]
    Load {
        /// The frame.
        digest: Sha256Digest,
        /// What `load_frame` says.
        error: E,
    },
    /// A frame has other bytes than it had.
    #[error("frame {digest} is damaged; its bytes have digest {found}")]
    Damaged {
        /// The frame.
        digest: Sha256Digest,
        /// Digest of the bytes that were loaded.
        found: Sha256Digest,
    },
    /// A frame cannot be unpacked.
    #[error("frame {digest} cannot be unpacked: {source}")]
    Unpack {
        /// The frame.
        digest: Sha256Digest,
        /// What is wrong.
        source: Box<DbError>,
    },
    /// A package whose name and content disagree.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Two packages of one name in one change.
    #[error("package {0} is to be added twice at once")]
    Twice(PkgName),
    /// A package that no db can hold.
    #[error("package {pkgname} cannot stand in a db: {source}")]
    Write {
        /// The package.
        pkgname: PkgName,
        /// What is wrong.
        source: WriteEntryError,
    },
    /// A package that lies in a frame that there is not.
    #[error("package {pkgname} is to lie in frame {place}, and there is none")]
    Misplaced {
        /// The package.
        pkgname: PkgName,
        /// The place of the frame.
        place: u32,
    },
    /// zstd failed, as it does only without memory.
    #[error("a frame cannot be compressed: {0}")]
    Compress(std::io::Error),
}

/// Adds packages. A package takes the place of one of the same name, whatever
/// the versions of the two.
///
/// `state` is the repository, or the part of it that the change touches.
/// `load_frame` gives the bytes of a frame by its digest; only frames that
/// must be rewritten are asked for.
///
/// # Errors
///
/// When a package is not valid, or a frame that is needed cannot be had.
pub fn add_packages<E>(
    state: &RepositoryState,
    load_frame: impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
    packages: &[PackageFile],
) -> Result<RepositoryChange, ChangeError<E>> {
    let mut names = BTreeSet::new();
    let mut added = Vec::with_capacity(packages.len());
    for package in packages {
        let pkgname = package.checked_name()?.pkgname().clone();
        if !names.insert(pkgname.clone()) {
            return Err(ChangeError::Twice(pkgname));
        }
        added.push(Packed::new(pkgname, &DbEntry::from_package(package))?);
    }
    change(state, load_frame, &names, added)
}

/// Takes packages out of a repository. Names that it does not have are passed
/// over.
///
/// # Errors
///
/// When a frame that is needed cannot be had.
pub fn remove_packages<E>(
    state: &RepositoryState,
    load_frame: impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
    pkgnames: &BTreeSet<PkgName>,
) -> Result<RepositoryChange, ChangeError<E>> {
    change(state, load_frame, pkgnames, Vec::new())
}

/// The members of one package's entry.
struct Packed {
    pkgname: PkgName,
    tar: EntryTar,
}

impl Packed {
    fn new<E>(pkgname: PkgName, entry: &DbEntry) -> Result<Packed, ChangeError<E>> {
        match EntryTar::new(entry) {
            Ok(tar) => Ok(Packed { pkgname, tar }),
            Err(source) => Err(ChangeError::Write { pkgname, source }),
        }
    }

    fn len(&self) -> u64 {
        self.tar.files.len() as u64
    }
}

/// A frame that is being written.
struct OpenFrame {
    place: u32,
    db: Vec<u8>,
    files: Vec<u8>,
}

impl OpenFrame {
    fn at(place: u32) -> Self {
        OpenFrame {
            place,
            db: Vec::new(),
            files: Vec::new(),
        }
    }

    fn push(&mut self, packed: Packed) {
        self.db.extend_from_slice(&packed.tar.db);
        self.files.extend_from_slice(&packed.tar.files);
    }

    fn has_room_for(&self, packed: &Packed) -> bool {
        self.files.is_empty() || self.files.len() as u64 + packed.len() <= FRAME_SIZE
    }
}

fn change<E>(
    state: &RepositoryState,
    mut load_frame: impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
    leaving: &BTreeSet<PkgName>,
    added: Vec<Packed>,
) -> Result<RepositoryChange, ChangeError<E>> {
    let mut written = Written::new(&state.frames);
    let mut touched = BTreeMap::new();
    for pkgname in leaving {
        if let Some(&place) = state.packages.get(pkgname) {
            let frame = state.frames.0.get(&place).ok_or(ChangeError::Misplaced {
                pkgname: pkgname.clone(),
                place,
            })?;
            touched.insert(place, frame);
            written.packages.insert(pkgname.clone(), None);
        }
    }
    let mut moved = Vec::new();
    for (place, frame) in touched {
        let rest = without(frame, leaving, &mut load_frame)?;
        // What little is left is moved to the end, or changes would in time
        // leave nothing but small frames.
        if rest.iter().map(Packed::len).sum::<u64>() < FRAME_SIZE / 2 {
            moved.extend(rest);
            written.changed.insert(place, None);
        } else {
            let mut open = OpenFrame::at(place);
            rest.into_iter().for_each(|packed| open.push(packed));
            written.close(open)?;
        }
    }
    let mut entering = moved.into_iter().chain(added).peekable();
    if let Some(first) = entering.peek() {
        let mut open = match written.full_small_one(first.len()) {
            Some((place, small)) => {
                written.changed.insert(place, None);
                let mut open = written.open_last(&mut load_frame)?;
                for packed in without(&small, &BTreeSet::new(), &mut load_frame)? {
                    written.place(&packed, open.place);
                    open.push(packed);
                }
                open
            }
            None => match written.place_behind(first.len()) {
                Some(place) => OpenFrame::at(place),
                None => written.open_last(&mut load_frame)?,
            },
        };
        for packed in entering {
            if !open.has_room_for(&packed) {
                let next = OpenFrame::at(open.place + 1);
                written.close(std::mem::replace(&mut open, next))?;
            }
            written.place(&packed, open.place);
            open.push(packed);
        }
        written.close(open)?;
    }
    Ok(written.into_change())
}

/// What is changed, as far as it came.
struct Written<'a> {
    before: &'a Frames,
    changed: BTreeMap<u32, Option<FrameState>>,
    packages: BTreeMap<PkgName, Option<u32>>,
    /// Besides the frames that are in `changed`, some may be here that were
    /// opened again.
    new: Vec<(Sha256Digest, Vec<u8>)>,
}

impl<'a> Written<'a> {
    fn new(before: &'a Frames) -> Self {
        Written {
            before,
            changed: BTreeMap::new(),
            packages: BTreeMap::new(),
            new: Vec::new(),
        }
    }

    fn close<E>(&mut self, open: OpenFrame) -> Result<(), ChangeError<E>> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(ChangeError::Compress)?;
        compressor
            .include_checksum(true)
            .map_err(ChangeError::Compress)?;
        let mut compress = |tar: &[u8]| compressor.compress(tar).map_err(ChangeError::Compress);
        let (db, files) = (compress(&open.db)?, compress(&open.files)?);
        let frame = FrameState {
            db_digest: Sha256Digest::of(&db),
            files_digest: Sha256Digest::of(&files),
            db_len: db.len() as u64,
            files_len: files.len() as u64,
            unpacked: open.files.len() as u64,
        };
        self.new.push((frame.db_digest, db));
        self.new.push((frame.files_digest, files));
        self.changed.insert(open.place, Some(frame));
        Ok(())
    }

    fn place(&mut self, packed: &Packed, place: u32) {
        self.packages.insert(packed.pkgname.clone(), Some(place));
    }

    /// The frames as things stand, with their places, from the last one on.
    fn backwards(&self) -> impl Iterator<Item = (u32, FrameState)> {
        let places = self.before.0.iter().rev();
        places.filter_map(|(place, frame)| match self.changed.get(place) {
            Some(changed) => changed.map(|frame| (*place, frame)),
            None => Some((*place, *frame)),
        })
    }

    /// The last frame, if it is a small one that is full with so many bytes more,
    /// and there is room for both in the one before it.
    fn full_small_one(&self, more: u64) -> Option<(u32, FrameState)> {
        let mut frames = self.backwards();
        let (place, small) = frames.next()?;
        let (_, large) = frames.next()?;
        let full = small.unpacked <= SMALL && small.unpacked + more > SMALL;
        let room = large.unpacked + small.unpacked + more <= FRAME_SIZE;
        (full && room).then_some((place, small))
    }

    /// The place of a new frame behind the last one, if so many bytes do not go
    /// into that: there is no room, or it is large and a small one will do.
    fn place_behind(&self, more: u64) -> Option<u32> {
        let Some((place, last)) = self.backwards().next() else {
            return Some(0);
        };
        let full = last.unpacked + more > FRAME_SIZE;
        (full || (last.unpacked > SMALL && more <= SMALL)).then_some(place + 1)
    }

    /// Opens the last frame again.
    fn open_last<E>(
        &mut self,
        load_frame: &mut impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
    ) -> Result<OpenFrame, ChangeError<E>> {
        let Some((place, last)) = self.backwards().next() else {
            return Ok(OpenFrame::at(0));
        };
        let mut unpack = |digest: &Sha256Digest| {
            let bytes = match self.new.iter().find(|(new, _)| new == digest) {
                Some((_, bytes)) => bytes.clone(),
                None => load(digest, load_frame)?,
            };
            zstd::decode_all(&*bytes).map_err(|source| ChangeError::Unpack {
                digest: *digest,
                source: Box::new(DbError::Archive(source.into())),
            })
        };
        Ok(OpenFrame {
            place,
            db: unpack(&last.db_digest)?,
            files: unpack(&last.files_digest)?,
        })
    }

    fn into_change(self) -> RepositoryChange {
        let frames = self.changed.values().flatten();
        let used: BTreeSet<_> = frames
            .flat_map(|frame| [frame.db_digest, frame.files_digest])
            .collect();
        let mut new_frames = self.new;
        new_frames.retain(|(digest, _)| used.contains(digest));
        RepositoryChange {
            frames: self.changed,
            packages: self.packages,
            new_frames,
        }
    }
}

fn load<E>(
    digest: &Sha256Digest,
    load_frame: &mut impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, ChangeError<E>> {
    let digest = *digest;
    let bytes = load_frame(&digest).map_err(|error| ChangeError::Load { digest, error })?;
    let found = Sha256Digest::of(&bytes);
    if found != digest {
        return Err(ChangeError::Damaged { digest, found });
    }
    Ok(bytes)
}

/// The packages of a frame but for those that leave.
fn without<E>(
    frame: &FrameState,
    leaving: &BTreeSet<PkgName>,
    load_frame: &mut impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
) -> Result<Vec<Packed>, ChangeError<E>> {
    // The files db's frame has all that the db's has.
    let digest = frame.files_digest;
    let bytes = load(&digest, load_frame)?;
    let whole = [&*bytes, END_FRAME].concat();
    let unpack = |source: DbError| ChangeError::Unpack {
        digest,
        source: Box::new(source),
    };
    let entries = read_db(&whole, &ReadLimits::DB).map_err(unpack)?;
    entries
        .iter()
        .filter(|entry| !leaving.contains(entry.pkgname.as_str()))
        .map(|entry| {
            let pkgname = entry.pkgname.parse().map_err(|source| {
                let entry = entry.folder();
                unpack(EntryError::Name { entry, source }.into())
            })?;
            Packed::new(pkgname, entry)
        })
        .collect()
}
