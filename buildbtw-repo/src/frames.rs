//! A db as a list of zstd frames, so that adding a package touches little.
//!
//! zstd files may be joined: readers, pacman among them, take several frames
//! in a row for one stream. A db is kept as frames of some packages each; an
//! added package goes into the last frame if there is room, else into a new
//! one. Whatever else is in the repository is neither read nor written. The
//! end mark of the tar archive is a frame of its own, [`END_FRAME`], which is
//! the same for every db.
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

/// zstd's own default, which repo-add uses as well.
const LEVEL: i32 = 3;

/// One frame of the db, and its counterpart of the files db.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameState {
    /// Digest of the db's frame.
    pub db_digest: Sha256Digest,
    /// Digest of the files db's frame.
    pub files_digest: Sha256Digest,
    /// Bytes of the db's frame.
    pub db_len: u64,
    /// Bytes of the files db's frame.
    pub files_len: u64,
    /// Bytes of the files db's frame once decompressed.
    pub unpacked: u64,
}

/// The frames of a repository by their places, without the [`END_FRAME`]. A
/// frame that is written anew stays at its place; places may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frames(pub BTreeMap<u32, FrameState>);

impl Frames {
    /// Digests of the frames of the db in order, without the [`END_FRAME`].
    pub fn db_frames(&self) -> impl Iterator<Item = &Sha256Digest> {
        self.0.values().map(|frame| &frame.db_digest)
    }

    /// Digests of the frames of the files db in order, without the
    /// [`END_FRAME`].
    pub fn files_frames(&self) -> impl Iterator<Item = &Sha256Digest> {
        self.0.values().map(|frame| &frame.files_digest)
    }

    /// Bytes of the whole db.
    pub fn db_len(&self) -> u64 {
        self.0.values().map(|frame| frame.db_len).sum::<u64>() + END_FRAME.len() as u64
    }

    /// Bytes of the whole files db.
    pub fn files_len(&self) -> u64 {
        self.0.values().map(|frame| frame.files_len).sum::<u64>() + END_FRAME.len() as u64
    }

    /// The bytes of the whole db.
    ///
    /// # Errors
    ///
    /// Those of `load_frame`.
    pub fn db_bytes<E>(
        &self,
        load_frame: impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        joined(self.db_frames(), self.db_len(), load_frame)
    }

    /// The bytes of the whole files db.
    ///
    /// # Errors
    ///
    /// Those of `load_frame`.
    pub fn files_bytes<E>(
        &self,
        load_frame: impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        joined(self.files_frames(), self.files_len(), load_frame)
    }
}

/// What a repository consists of: all that must be remembered of it besides
/// the bytes of the frames. The default is the empty repository.
///
/// A change can be worked out from a part of it, so that it costs the same
/// however large the repository is: where the packages lie whose names it adds
/// or removes, their frames, and the last one of the other frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryState {
    /// The frames.
    pub frames: Frames,
    /// The places of the frames in which the packages lie.
    pub packages: BTreeMap<PkgName, u32>,
}

fn joined<'a, E>(
    frames: impl Iterator<Item = &'a Sha256Digest>,
    length: u64,
    mut load_frame: impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    for digest in frames {
        bytes.extend_from_slice(&load_frame(digest)?);
    }
    bytes.extend_from_slice(END_FRAME);
    Ok(bytes)
}

/// What is to be changed of a repository; everything else stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryChange {
    /// The frames that come to stand at some places; `None` where there is none
    /// any more.
    pub frames: BTreeMap<u32, Option<FrameState>>,
    /// Where packages come to lie that are added or moved; `None` for those
    /// that are gone.
    pub packages: BTreeMap<PkgName, Option<u32>>,
    /// The bytes of the frames that are new, for the db and the files db.
    /// Whoever keeps the state keeps them first.
    pub new_frames: Vec<(Sha256Digest, Vec<u8>)>,
}

impl RepositoryChange {
    /// The repository after the change.
    pub fn applied_to(&self, before: &RepositoryState) -> RepositoryState {
        let mut after = before.clone();
        for (place, frame) in &self.frames {
            match frame {
                Some(frame) => after.frames.0.insert(*place, *frame),
                None => after.frames.0.remove(place),
            };
        }
        for (pkgname, place) in &self.packages {
            match place {
                Some(place) => after.packages.insert(pkgname.clone(), *place),
                None => after.packages.remove(pkgname),
            };
        }
        after
    }
}

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
        let mut open = written.open_last(first, &mut load_frame)?;
        for packed in entering {
            if !open.has_room_for(&packed) {
                let next = OpenFrame::at(open.place + 1);
                written.close(std::mem::replace(&mut open, next))?;
            }
            written
                .packages
                .insert(packed.pkgname.clone(), Some(open.place));
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

    /// The last frame as things stand, with its place.
    fn last(&self) -> Option<(u32, FrameState)> {
        let places = self.before.0.iter().rev();
        let mut left = places.filter_map(|(place, frame)| match self.changed.get(place) {
            Some(changed) => changed.map(|frame| (*place, frame)),
            None => Some((*place, *frame)),
        });
        left.next()
    }

    /// Opens the last frame again if a package still fits into it, else a new
    /// one behind it.
    fn open_last<E>(
        &mut self,
        first: &Packed,
        load_frame: &mut impl FnMut(&Sha256Digest) -> Result<Vec<u8>, E>,
    ) -> Result<OpenFrame, ChangeError<E>> {
        let Some((place, last)) = self.last() else {
            return Ok(OpenFrame::at(0));
        };
        if last.unpacked + first.len() > FRAME_SIZE {
            return Ok(OpenFrame::at(place + 1));
        }
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
