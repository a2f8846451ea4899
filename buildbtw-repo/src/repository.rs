//! What a repository consists of, and what a change makes of it.

use std::collections::BTreeMap;

use buildbtw_graph::PkgName;

use crate::digest::Sha256Digest;
use crate::frames::END_FRAME;

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
/// or removes, their frames, and the last two of the other frames.
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
