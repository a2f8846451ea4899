//! Input that is out to harm, or came to harm.

use std::io::Write;

use buildbtw_repo::write::package_bytes;
use buildbtw_repo::{
    ChangeError, DbError, Frames, LimitError, PackageError, PackageFile, PackageFileName,
    ReadLimits, RepositoryState, Sha256Digest, TarError, add_packages, read_db, read_package_from,
};
use proptest::prelude::*;

use crate::tools::info;

const NAME: &str = "a-1-1-x86_64.pkg.tar.zst";

fn read_with(bytes: &[u8], limits: &ReadLimits) -> Result<PackageFile, PackageError> {
    let name: PackageFileName = NAME.parse().unwrap();
    read_package_from(bytes, &name, limits)
}

fn read(bytes: &[u8]) -> Result<PackageFile, PackageError> {
    read_with(bytes, &ReadLimits::PACKAGE)
}

fn limit(result: Result<PackageFile, PackageError>) -> LimitError {
    match result {
        Err(PackageError::Archive {
            source: TarError::Limit(limit),
            ..
        }) => limit,
        other => panic!("not a limit: {other:?}"),
    }
}

fn good() -> Vec<u8> {
    let files = [
        ("usr/bin/a", "content of a", 0o755),
        ("usr/bin/b", "b", 0o755),
    ];
    package_bytes(&info("a", "1-1"), &files).unwrap()
}

/// One raw member; `path` may be anything.
fn member(path: &[u8], kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pkginfo() -> Vec<u8> {
    let text = info("a", "1-1").to_string();
    member(b".PKGINFO", b'0', text.len() as u64, text.as_bytes())
}

fn tarball(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn paths_that_lead_out_of_the_root_are_refused() {
    assert!(read(&tarball(&[pkginfo(), member(b"usr/a..b", b'0', 0, b"")])).is_ok());
    for path in [
        &b"../etc/passwd"[..],
        b"usr/../../x",
        b"/etc/passwd",
        b"usr/..",
        b"..",
        b"",
    ] {
        let error = read(&tarball(&[pkginfo(), member(path, b'0', 0, b"")])).unwrap_err();
        assert!(
            matches!(error, PackageError::UnsafePath { .. }),
            "{path:?}: {error}"
        );
    }
    // The same in an extended header, behind a harmless name.
    let record = b"21 path=usr/../../x\n\n";
    let extended = member(b"x", b'x', 21, record);
    let error = read(&tarball(&[
        pkginfo(),
        extended,
        member(b"usr/x", b'0', 0, b""),
    ]));
    assert!(
        matches!(error, Err(PackageError::UnsafePath { .. })),
        "{error:?}"
    );
    let long = member(b"././@LongLink", b'L', 6, b"/etc/x");
    let error = read(&tarball(&[pkginfo(), long, member(b"usr/x", b'0', 0, b"")]));
    assert!(
        matches!(error, Err(PackageError::UnsafePath { .. })),
        "{error:?}"
    );
}

#[test]
fn what_is_no_package_is_named() {
    let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(error(b"").contains("breaks off"), "{}", error(b""));
    assert!(error(&[b'x'; 5000]).contains("check sum"));
    assert!(error(&tarball(&[])).contains("it has no .PKGINFO"));
    assert!(error(&tarball(&[pkginfo(), pkginfo()])).contains("several .PKGINFO"));
    let other = package_bytes::<&str, &str>(&info("b", "1-1"), &[]).unwrap();
    assert!(error(&other).contains("that it is b-1-1-x86_64"));
    let dot = member(b"./.PKGINFO", b'0', 0, b"");
    assert!(error(&tarball(&[dot])).contains("it has no .PKGINFO"));
    let sparse = member(b"usr/a", b'S', 0, b"");
    assert!(error(&tarball(&[pkginfo(), sparse])).contains("sparse"));
}

#[test]
fn a_package_that_breaks_off_is_refused_wherever_it_does() {
    let good = good();
    assert!(read(&good).is_ok());
    for length in 0..good.len() {
        assert!(read(&good[..length]).is_err(), "cut at {length}");
    }
    // Without compression nothing else would notice.
    let plain = zstd::decode_all(&*good).unwrap();
    for length in (0..plain.len() - 1024).step_by(512) {
        assert!(read(&plain[..length]).is_err(), "cut at {length}");
    }
    let mut trailing = good.clone();
    trailing.extend_from_slice(b"rubbish");
    assert!(read(&trailing).is_err());
}

#[test]
fn bombs_are_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let size: u64 = 1024 * 1024 * 1024;
    encoder.write_all(&pkginfo()).unwrap();
    encoder
        .write_all(&member(b"usr/zeros", b'0', size, b""))
        .unwrap();
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..1024 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert_eq!(limit(read(&bomb)), LimitError::Ratio(1000));
    let small = ReadLimits {
        unpacked: 100 * 1024 * 1024,
        ..ReadLimits::PACKAGE
    };
    assert_eq!(
        limit(read_with(&bomb, &small)),
        LimitError::Unpacked(small.unpacked)
    );
    // The same hidden in what follows the end mark.
    let zeros = zstd::encode_all(&*vec![0; 200 * 1024 * 1024], 1).unwrap();
    let hidden = [good(), zeros].concat();
    assert_eq!(
        limit(read_with(&hidden, &small)),
        LimitError::Unpacked(small.unpacked)
    );
}

#[test]
fn every_limit_holds() {
    let limits = ReadLimits {
        entries: 3,
        path: 10,
        paths: 20,
        text: 300,
        ..ReadLimits::PACKAGE
    };
    let file = |path: &[u8]| member(path, b'0', 0, b"");
    let read = |members: &[Vec<u8>]| read_with(&tarball(members), &limits);
    assert!(read(&[pkginfo(), file(b"a"), file(b"b")]).is_ok());
    let many = [pkginfo(), file(b"a"), file(b"b"), file(b"c")];
    assert_eq!(limit(read(&many)), LimitError::Entries(3));
    assert_eq!(
        limit(read(&[pkginfo(), file(b"usr/bin/abc")])),
        LimitError::Path(10)
    );
    let long = [pkginfo(), file(b"usr/bin/a"), file(b"usr/bin/b")];
    assert_eq!(limit(read(&long)), LimitError::Paths(20));
    let text = vec![b'#'; 301];
    let large = member(b".PKGINFO", b'0', 301, &text);
    assert!(matches!(
        limit(read(&[large])),
        LimitError::Text { size: 301, .. }
    ));
}

#[test]
fn extended_headers_cannot_fill_the_memory() {
    let size: u64 = 2 * 1024 * 1024;
    for kind in [b'x', b'L', b'K'] {
        let header = member(b"x", kind, size, &vec![b'a'; size as usize]);
        let error = read(&tarball(&[pkginfo(), header])).unwrap_err();
        assert!(error.to_string().contains("extended header of"), "{error}");
    }
    let huge = member(b"usr/a", b'0', u64::MAX >> 1, b"");
    assert!(matches!(
        limit(read(&tarball(&[pkginfo(), huge]))),
        LimitError::Unpacked(_)
    ));
    for record in [
        "9 path=",
        "x path=a\n",
        "0 \n",
        "99 path=a\n",
        "7 path\n",
        "12 size=-10\n",
    ] {
        let header = member(b"x", b'x', record.len() as u64, record.as_bytes());
        let file = member(b"usr/a", b'0', 0, b"");
        let error = read(&tarball(&[pkginfo(), header, file])).unwrap_err();
        assert!(
            error.to_string().contains("extended header"),
            "{record:?}: {error}"
        );
    }
}

fn text(path: &str, content: &str) -> Vec<u8> {
    member(
        path.as_bytes(),
        b'0',
        content.len() as u64,
        content.as_bytes(),
    )
}

fn db_error(members: &[Vec<u8>]) -> DbError {
    read_db(&tarball(members), &ReadLimits::DB).unwrap_err()
}

#[test]
fn a_db_that_contradicts_itself_is_refused() {
    let desc = |name: &str, version: &str| format!("%NAME%\n{name}\n\n%VERSION%\n{version}\n\n");
    let one = text("a-1-1/desc", &desc("a", "1-1"));
    assert!(read_db(&tarball(std::slice::from_ref(&one)), &ReadLimits::DB).is_ok());
    let twice = db_error(&[one.clone(), one.clone()]);
    assert!(matches!(twice, DbError::Twice { .. }), "{twice}");
    let second = text("a-2-1/desc", &desc("a", "2-1"));
    let several = db_error(&[one.clone(), second]);
    assert!(
        matches!(several, DbError::SeveralEntries { .. }),
        "{several}"
    );
    let wrong = db_error(&[text("a-2-1/desc", &desc("a", "1-1"))]);
    assert!(
        wrong
            .to_string()
            .contains("entry \"a-2-1\" says that it is \"a-1-1\""),
        "{wrong}"
    );
    // Only files: nothing says what it is.
    let without = db_error(&[text("a-1-1/files", "%FILES%\nusr/\n")]);
    assert!(matches!(without, DbError::Inconsistent { .. }), "{without}");
    let number = db_error(&[text("a-1-1/desc", &(desc("a", "1-1") + "%CSIZE%\nlots\n"))]);
    assert!(
        number
            .to_string()
            .contains("\"a-1-1/desc\": %CSIZE% is \"lots\""),
        "{number}"
    );
    // What it does not know is passed over.
    let more = [
        one,
        text("a-1-1/future", "?"),
        text("README", "?"),
        text("a-1-1/x/desc", "?"),
    ];
    assert_eq!(read_db(&tarball(&more), &ReadLimits::DB).unwrap().len(), 1);
}

#[test]
fn a_db_over_a_limit_or_damaged_is_refused() {
    let limits = ReadLimits {
        text: 100,
        ..ReadLimits::DB
    };
    let large = tarball(&[text("a-1-1/desc", &"x".repeat(101))]);
    let error = read_db(&large, &limits).unwrap_err();
    assert!(
        error.to_string().contains("its a-1-1/desc has 101 bytes"),
        "{error}"
    );
    for bytes in [
        &b""[..],
        b"<html>404 Not Found</html>",
        &[0x1f, 0x8b, 1, 2],
        &[0; 100],
    ] {
        assert!(read_db(bytes, &ReadLimits::DB).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_repository_refuses_what_cannot_stand_in_it() {
    let package = read(&good()).unwrap();
    let none = |_: &Sha256Digest| Err::<Vec<u8>, _>("no such frame");
    let empty = RepositoryState::default();
    let add = |package: PackageFile| add_packages(&empty, none, &[package]).map(|_| ());
    assert!(add(package.clone()).is_ok());
    let mut renamed = package.clone();
    renamed.file_name = "../../a-1-1-x86_64.pkg.tar.zst".to_owned();
    assert!(matches!(add(renamed), Err(ChangeError::Package(_))));
    let mut mismatch = package.clone();
    mismatch.info.version = "2-1".to_owned();
    assert!(matches!(add(mismatch), Err(ChangeError::Package(_))));
    let mut smuggled = package.clone();
    smuggled.info.pkgdesc = "x\n\n%DEPENDS%\nevil".to_owned();
    assert!(matches!(add(smuggled), Err(ChangeError::Write { .. })));
    let both = [package.clone(), package.clone()];
    assert!(matches!(
        add_packages(&empty, none, &both),
        Err(ChangeError::Twice(_))
    ));

    let change = add_packages(&empty, none, std::slice::from_ref(&package)).unwrap();
    let after = change.applied_to(&empty);
    let again = |load: &dyn Fn(&Sha256Digest) -> Result<Vec<u8>, &'static str>| {
        add_packages(&after, load, std::slice::from_ref(&package))
    };
    assert!(matches!(again(&none), Err(ChangeError::Load { .. })));
    assert!(matches!(
        again(&|_| Ok(vec![1])),
        Err(ChangeError::Damaged { .. })
    ));
    let mut astray = after.clone();
    astray.frames = Frames::default();
    assert!(matches!(
        add_packages(&astray, none, std::slice::from_ref(&package)),
        Err(ChangeError::Misplaced { place: 0, .. })
    ));
}

proptest! {
    /// Whatever is flipped: an error or a package, never a panic, and never a
    /// changed file under an unchanged digest.
    #[test]
    fn damage_is_noticed(flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4), packed: bool) {
        let good = good();
        let before = read(&good).unwrap();
        let mut bytes = if packed { good } else { zstd::decode_all(&*good).unwrap() };
        let original = bytes.clone();
        for (at, mask) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        if let Ok(after) = read(&bytes) {
            prop_assert!(after.sha256 != before.sha256 || bytes == original);
        }
    }

    #[test]
    fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..3000), magic in 0..5usize) {
        let magic: &[u8] = [&b""[..], b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh9"][magic];
        let bytes = [magic, &bytes].concat();
        prop_assert!(read(&bytes).is_err());
        prop_assert!(read_db(&bytes, &ReadLimits::DB).is_err());
    }

    #[test]
    fn any_desc_is_read_or_refused(desc in "(%[A-Z0-9]{0,10}%\n|[ -~ä]{0,9}\n|\n|%NAME%\na\n\n|%VERSION%\n1\n\n){0,12}") {
        let _ = read_db(&tarball(&[text("a-1/desc", &desc)]), &ReadLimits::DB);
    }
}
