//! The content digest: what a package contains, whenever it was built.
//!
//! It covers every entry (path, type, mode, owner, link target, content) and
//! the `.PKGINFO`, but nothing that differs between two builds of equal
//! sources for no other reason than that they are two:
//! - the build date in `.PKGINFO`, and its comments, which name the tools,
//! - `.BUILDINFO`, which names every installed version, and `.MTREE`,
//! - the times of files: makepkg sets them all to the build date,
//! - the order of entries and the compression.

use sha2::{Digest as _, Sha256};

use crate::digest::Sha256Digest;
use crate::tarball::Member;

/// Changes when what the digest covers changes, so that digests of different
/// makes are never equal.
const DOMAIN: &[u8] = b"buildbtw package content 1";

/// Gathers the entries of one package.
#[derive(Default)]
pub(crate) struct ContentDigest {
    entries: Vec<[u8; 32]>,
}

impl ContentDigest {
    /// Adds an entry with the digest of its content.
    pub(crate) fn add(&mut self, member: &Member, content: Sha256Digest) {
        if matches!(&*member.path, b".BUILDINFO" | b".MTREE") {
            return;
        }
        let mut entry = Sha256::new();
        let mut field = |bytes: &[u8]| {
            // With its length, so that no two lists of fields look alike.
            entry.update((bytes.len() as u64).to_le_bytes());
            entry.update(bytes);
        };
        field(&member.path);
        field(&[member.kind.as_byte()]);
        field(&member.link);
        field(&member.mode.to_le_bytes());
        field(&member.owner.0.to_le_bytes());
        field(&member.owner.1.to_le_bytes());
        field(&member.owner_names.0);
        field(&member.owner_names.1);
        field(&member.device.0.to_le_bytes());
        field(&member.device.1.to_le_bytes());
        field(content.as_bytes());
        self.entries.push(entry.finalize().into());
    }

    /// The digest of all that was added, in any order.
    pub(crate) fn finish(mut self) -> Sha256Digest {
        self.entries.sort_unstable();
        let mut all = Sha256::new();
        all.update(DOMAIN);
        for entry in &self.entries {
            all.update(entry);
        }
        Sha256Digest::from_bytes(all.finalize().into())
    }
}

/// The digest of a `.PKGINFO` without its comments and its build date.
pub(crate) fn pkginfo_digest(text: &str) -> Sha256Digest {
    let mut digest = Sha256::new();
    for line in text.lines().map(str::trim_ascii) {
        let key = line.split('=').next().unwrap_or_default().trim_ascii();
        if line.is_empty() || line.starts_with('#') || key == "builddate" {
            continue;
        }
        digest.update(line);
        digest.update(b"\n");
    }
    Sha256Digest::from_bytes(digest.finalize().into())
}
