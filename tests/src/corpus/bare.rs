//! Bare git repositories, written object by object.
//!
//! `git init`, `add` and `commit` cost some twenty milliseconds and several processes a repository;
//! for the thousands of a whole distribution that is minutes. What git would write is small and
//! well described (gitformat-loose(5), gitrepository-layout(5)): four compressed objects, one
//! reference, HEAD.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

/// Who commits, and when: fixed, so that equal trees make equal commits.
const IDENT: &str = "Test <test@example.org> 1700000000 +0000";

/// The id of an object: the SHA-1 of its header and content.
type ObjectId = [u8; 20];

/// Makes a bare repository with one commit on `main` that holds some files; the commit's id comes
/// back as hexadecimal digits.
///
/// # Errors
///
/// When the folder is there already or cannot be written to.
pub fn write_bare_repository(path: &Path, files: &[(&str, &str)]) -> io::Result<String> {
    std::fs::create_dir(path)?;
    std::fs::create_dir(path.join("objects"))?;
    std::fs::create_dir_all(path.join("refs/heads"))?;
    std::fs::write(path.join("HEAD"), "ref: refs/heads/main\n")?;
    std::fs::write(
        path.join("config"),
        "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
    )?;
    let mut files = files.to_vec();
    // git wants the entries of a tree in the order of their bytes.
    files.sort_unstable();
    let mut tree = Vec::new();
    for (name, content) in files {
        let blob = write_object(path, "blob", content.as_bytes())?;
        tree.extend_from_slice(format!("100644 {name}\0").as_bytes());
        tree.extend_from_slice(&blob);
    }
    let tree = hex::encode(write_object(path, "tree", &tree)?);
    let commit = format!("tree {tree}\nauthor {IDENT}\ncommitter {IDENT}\n\nthe beginning\n");
    let commit = hex::encode(write_object(path, "commit", commit.as_bytes())?);
    std::fs::write(path.join("refs/heads/main"), format!("{commit}\n"))?;
    Ok(commit)
}

/// Writes one loose object.
fn write_object(repository: &Path, kind: &str, content: &[u8]) -> io::Result<ObjectId> {
    let header = format!("{kind} {}\0", content.len());
    let id: ObjectId = Sha1::new()
        .chain_update(&header)
        .chain_update(content)
        .finalize()
        .into();
    let name = hex::encode(id);
    let folder = repository.join("objects").join(&name[..2]);
    std::fs::create_dir_all(&folder)?;
    let mut compressed = ZlibEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(header.as_bytes())?;
    compressed.write_all(content)?;
    std::fs::write(folder.join(&name[2..]), compressed.finish()?)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::write_bare_repository;
    use crate::programs::output;

    #[test]
    fn git_finds_nothing_wrong_with_it_and_reads_it() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("foo.git");
        let srcinfo = "pkgbase = foo\n";
        let files = [("PKGBUILD", "pkgname=foo\n"), (".SRCINFO", srcinfo)];
        let commit = write_bare_repository(&path, &files).expect("it can be written");
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.arg("--git-dir").arg(&path).args(arguments);
            git.env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_SYSTEM", "/dev/null");
            output(&mut git)
        };
        assert_eq!(git(&["fsck", "--full", "--strict"]), "");
        assert_eq!(
            git(&["log", "--format=%H %an %at", "main"]),
            format!("{commit} Test 1700000000\n")
        );
        assert_eq!(git(&["show", "HEAD:.SRCINFO"]), srcinfo);
        assert_eq!(
            git(&["ls-tree", "--name-only", "main"]),
            ".SRCINFO\nPKGBUILD\n"
        );
        assert!(
            write_bare_repository(&path, &files).is_err(),
            "what is there is not written over"
        );
    }
}
