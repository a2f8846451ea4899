//! What is written is read as it was, and as repo-add reads it, for any
//! fields.

use std::fs;

use buildbtw_repo::write::{package_bytes, package_file_name};
use buildbtw_repo::{
    DbEntry, PackageFile, PackageFileName, PackageInfo, ReadLimits, read_db, read_package_from,
    read_pkginfo,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::tools::{Repository, shell};

/// One line of text without blanks at its ends. Not with `=` at its end, of
/// which repo-add sometimes loses one, and without the blanks of Unicode, with
/// which repo-add does one thing or another depending on the locale.
fn line() -> impl Strategy<Value = String> {
    "[!-~äß€\u{a0}]( ?[!-~äß€\u{a0}]){0,20}[!-<>-~é]"
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    vec(line(), 0..3)
}

prop_compose! {
    fn any_info()(
        (pkgname, pkgbase, version, arch) in (
            "[a-z0-9@_+][a-z0-9@._+-]{0,12}",
            "[a-z0-9@_+][a-z0-9@._+-]{0,12}",
            "([0-9]{1,2}:)?[a-z0-9._+]{1,25}-[0-9]{1,3}(\\.[0-9]{1,2})?",
            "x86_64|any",
        ),
        (pkgdesc, url, packager) in (line(), line(), line()),
        (builddate, isize) in (1..u64::MAX, 1..u64::MAX),
        (license, replaces, groups, conflicts, provides) in (lines(), lines(), lines(), lines(), lines()),
        (backup, depends, optdepends, makedepends, checkdepends) in (lines(), lines(), lines(), lines(), lines()),
    ) -> PackageInfo {
        PackageInfo {
            pkgname, pkgbase, version, pkgdesc, url, builddate, packager, isize, arch, license,
            replaces, groups, conflicts, provides, backup, depends, optdepends, makedepends,
            checkdepends, other: vec![("xdata".to_owned(), "pkgtype=pkg".to_owned())],
        }
    }
}

prop_compose! {
    fn any_files()(paths in vec("usr(/[ -.0-~äß\u{1}]{0,8}[a-z]){1,3}", 0..5)) -> Vec<String> {
        paths
    }
}

fn package(info: &PackageInfo, paths: &[String]) -> Option<PackageFile> {
    let files: Vec<_> = paths.iter().map(|path| (path, "", 0o644)).collect();
    // Paths may clash, one being the folder of another; that is not at issue.
    let bytes = package_bytes(info, &files).ok()?;
    let name = package_file_name(info).unwrap();
    Some(read_package_from(&*bytes, &name, &ReadLimits::PACKAGE).unwrap())
}

proptest! {
    #[test]
    fn pkginfo(info in any_info()) {
        prop_assert_eq!(read_pkginfo(&info.to_string()).unwrap(), info);
    }

    #[test]
    fn any_pkginfo_is_read_or_refused(text in "((pkgname|pkgver|arch|size|builddate|x)? ?=? ?[ -~é]{0,10}\n){0,10}") {
        if let Ok(info) = read_pkginfo(&text) {
            prop_assert_eq!(read_pkginfo(&info.to_string()).unwrap(), info);
        }
    }

    #[test]
    fn package_and_db(info in any_info(), paths in any_files()) {
        if let Some(package) = package(&info, &paths) {
            prop_assert_eq!(&package.info, &info);
            let mut repository = Repository::default();
            repository.add(std::slice::from_ref(&package));
            let entries = read_db(&repository.files(), &ReadLimits::DB).unwrap();
            prop_assert_eq!(entries, vec![DbEntry::from_package(&package)]);
        }
    }

    #[test]
    fn file_name(text in "[a-z0-9@_+.:/-]{0,30}(-[0-9]{1,2}){0,3}(-any)?\\.pkg\\.tar(\\.zst|\\.gz|\\.Z)?") {
        if let Ok(name) = text.parse::<PackageFileName>() {
            prop_assert_eq!(name.to_string(), text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// repo-add is slow, so many packages are tried at once.
    #[test]
    fn repo_add_writes_the_same(infos in vec((any_info(), any_files()), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let mut repository = Repository::default();
        for (number, (mut info, paths)) in infos.into_iter().enumerate() {
            info.pkgname = format!("{number}{}", info.pkgname);
            let Some(package) = package(&info, &paths) else { continue };
            let files: Vec<_> = paths.iter().map(|path| (path, "", 0o644)).collect();
            fs::write(at.join(&package.file_name), package_bytes(&info, &files).unwrap()).unwrap();
            repository.add(&[package]);
        }
        if repository.state.frames.0.is_empty() {
            return Ok(());
        }
        fs::write(at.join("ours.db"), repository.db()).unwrap();
        fs::write(at.join("ours.files"), repository.files()).unwrap();
        shell(
            at,
            "repo-add -q theirs.db.tar.zst *.pkg.tar.zst 2>&1
             for db in db files; do
                 rm -rf ours theirs; mkdir ours theirs
                 bsdtar -xf ours.$db -C ours; bsdtar -xf theirs.$db -C theirs
                 diff -r ours theirs
             done",
        );
    }
}
