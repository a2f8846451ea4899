//! Packages: what is read is what the real tools see.

use std::fs;
use std::path::Path;

use buildbtw_repo::write::{SYMLINK, package_bytes, package_file_name, write_package};
use buildbtw_repo::{PackageFile, PackageInfo, ReadLimits, read_package, read_package_from};

use crate::tools::{info, shell};

fn read(path: &Path) -> PackageFile {
    read_package(path, &ReadLimits::PACKAGE).unwrap()
}

fn read_bytes(info: &PackageInfo, files: &[(&str, &str, u32)]) -> PackageFile {
    let bytes = package_bytes(info, files).unwrap();
    let name = package_file_name(info).unwrap();
    read_package_from(&*bytes, &name, &ReadLimits::PACKAGE).unwrap()
}

#[test]
fn what_is_written_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut info = info("libgreet", "1:1.0-2");
    info.provides = vec!["libgreet.so=1-64".to_owned()];
    info.depends = vec!["glibc>=2.0".to_owned(), "sh".to_owned()];
    info.license = vec!["MIT".to_owned()];
    info.other = vec![("xdata".to_owned(), "pkgtype=pkg".to_owned())];
    let path = folder
        .path()
        .join(package_file_name(&info).unwrap().to_string());
    let files = [
        ("usr/lib/libgreet.so.1", "binary", 0o755),
        ("usr/lib/libgreet.so", "libgreet.so.1", SYMLINK | 0o777),
        (".BUILDINFO", "format = 2\n", 0o644),
    ];
    write_package(&path, &info, &files).unwrap();
    let package = read(&path);
    info.isize = 6;
    assert_eq!(package.info, info);
    assert_eq!(package.file_name, "libgreet-1:1.0-2-x86_64.pkg.tar.zst");
    assert_eq!(
        package.files,
        [
            "usr/",
            "usr/lib/",
            "usr/lib/libgreet.so",
            "usr/lib/libgreet.so.1"
        ]
    );
    assert_eq!(package.size, fs::metadata(&path).unwrap().len());
    // Equal input, equal bytes; and nothing is left beside the file.
    let bytes = fs::read(&path).unwrap();
    write_package(&path, &info, &files).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // The real bsdtar agrees about types, modes and owners.
    let listing = shell(
        folder.path(),
        "bsdtar -tvf libgreet* | sed -E 's/ +/ /g; s/ [A-Z][a-z]{2} [0-9]+ [0-9:]+ / /'",
    );
    assert!(listing.contains("-rw-r--r-- 0 root root"), "{listing}");
    assert!(
        listing.contains("drwxr-xr-x 0 root root 0 usr/lib/"),
        "{listing}"
    );
    assert!(
        listing.contains("usr/lib/libgreet.so -> libgreet.so.1"),
        "{listing}"
    );
    assert!(
        listing.contains("-rwxr-xr-x 0 root root 6 usr/lib/libgreet.so.1"),
        "{listing}"
    );
}

#[test]
fn refuses_to_write_what_no_package_can_hold() {
    for path in [
        "/etc/x", "../x", "a/../b", "a//b", ".PKGINFO", ".hidden", "", "a\0b", "./a",
    ] {
        let error = package_bytes(&info("a", "1-1"), &[(path, "", 0o644)]).unwrap_err();
        assert!(
            error.to_string().contains("cannot hold"),
            "{path:?}: {error}"
        );
    }
    let twice = [("usr/a", "", 0o644), ("usr/a", "", 0o644)];
    assert!(package_bytes(&info("a", "1-1"), &twice).is_err());
    assert!(package_bytes::<&str, &str>(&info("../a", "1-1"), &[]).is_err());
    assert!(package_bytes::<&str, &str>(&info("a", "1"), &[]).is_err());
}

/// Packages as makepkg's own tools write them, in every compression, with
/// long, foreign and odd paths.
#[test]
fn agrees_with_bsdtar_and_the_digest_tools() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut pkginfo = info("odd", "1.0-1");
    pkginfo.arch = "any".to_owned();
    fs::create_dir(at.join("tree")).unwrap();
    fs::write(at.join("tree/.PKGINFO"), pkginfo.to_string()).unwrap();
    fs::write(at.join("tree/.MTREE"), "").unwrap();
    shell(
        &at.join("tree"),
        r#"mkdir -p usr/share/odd "usr/$(printf 'long%.0s' {1..60})/$(printf 'deep%.0s' {1..60})"
        echo hidden > usr/.hidden; echo 1 > 'usr/share/odd/dev\x2ddisk.mount'
        echo 2 > usr/share/odd/süß; echo 3 > "usr/share/odd/$(printf 'l1\nl2')"
        echo 4 > 'usr/share/odd/with blank'; echo 5 > "usr/share/odd/$(printf 'latin\344')"
        touch "usr/$(printf 'long%.0s' {1..60})/$(printf 'deep%.0s' {1..60})/file"
        ln usr/.hidden usr/hard; ln -s ../../etc/passwd usr/soft; mkfifo usr/pipe
        truncate -s 1M usr/holes; echo end >> usr/holes; chmod 4755 usr/share/odd/süß"#,
    );
    let mut contents = Vec::new();
    for (extension, program) in [
        ("tar.zst", "zstd -c -T0 -"),
        ("tar.gz", "gzip -c -f -n"),
        ("tar.xz", "xz -c -z -"),
        ("tar.bz2", "bzip2 -c -f"),
        ("tar", "cat"),
    ] {
        let name = format!("odd-1.0-1-any.pkg.{extension}");
        shell(
            &at.join("tree"),
            &format!("bsdtar -cnf - .MTREE .PKGINFO usr | {program} > ../{name}"),
        );
        let package = read(&at.join(&name));
        let digests = shell(
            at,
            &format!("sha256sum < {name} | cut -d' ' -f1; md5sum < {name} | cut -d' ' -f1"),
        );
        assert_eq!(digests, format!("{}\n{}\n", package.sha256, package.md5));
        let listing = shell(
            at,
            &format!("bsdtar --exclude='^.*' -tf {name} 2> warnings | LC_ALL=C sort -u"),
        );
        assert_eq!(package.files.join("\n") + "\n", listing, "{extension}");
        assert_eq!(package.info, pkginfo);
        contents.push(package.content_digest);
    }
    contents.dedup();
    assert_eq!(contents.len(), 1, "compression changed the content digest");
}

#[test]
fn the_content_digest_covers_content_and_nothing_of_the_build() {
    let base = info("a", "1-1");
    let files: &[(&str, &str, u32)] = &[
        ("usr/bin/a", "one", 0o755),
        ("usr/bin/b", "a", SYMLINK),
        (".BUILDINFO", "installed = x-1-1-any\n", 0o644),
    ];
    let digest =
        |info: &PackageInfo, files: &[(&str, &str, u32)]| read_bytes(info, files).content_digest;
    let expected = digest(&base, files);

    let mut later = base.clone();
    later.builddate += 1000;
    assert_eq!(
        digest(&later, files),
        expected,
        "build date (and file times)"
    );
    let buildinfo = [
        files[0],
        files[1],
        (".BUILDINFO", "installed = x-2-1-any\n", 0o644),
    ];
    assert_eq!(digest(&base, &buildinfo), expected, ".BUILDINFO");
    assert_eq!(digest(&base, &files[..2]), expected, "no .BUILDINFO");
    let order = [files[2], files[1], files[0]];
    assert_eq!(digest(&base, &order), expected, "order");

    let mut depends = base.clone();
    depends.depends.push("b".to_owned());
    assert_ne!(digest(&depends, files), expected, "a field of .PKGINFO");
    for (what, changed) in [
        ("content", ("usr/bin/a", "two", 0o755)),
        ("mode", ("usr/bin/a", "one", 0o744)),
        ("path", ("usr/bin/c", "one", 0o755)),
        ("type", ("usr/bin/a", "one", SYMLINK)),
    ] {
        assert_ne!(digest(&base, &[changed, files[1]]), expected, "{what}");
    }
    let link = ("usr/bin/b", "c", SYMLINK);
    assert_ne!(digest(&base, &[files[0], link]), expected, "link target");
    assert_ne!(digest(&base, &files[..1]), expected, "a missing entry");
    let install = (".INSTALL", "post_install() { :; }", 0o644);
    assert_ne!(
        digest(&base, &[files[0], files[1], install]),
        expected,
        ".INSTALL"
    );
}

const PKGBUILD: &str = r#"
pkgname=demo
pkgver=1.0
pkgrel=1
pkgdesc='For a test'
arch=(any)
license=(MIT)
depends=('sh>=1')
package() {
    install -Dm644 /dev/stdin "$pkgdir/usr/share/demo/text" <<< "${TEXT:-text}"
    ln -s text "$pkgdir/usr/share/demo/link"
}
"#;

/// Two builds of equal sources at different times differ in their bytes, and
/// have one content digest.
#[test]
fn real_builds_of_equal_sources_have_equal_content() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("PKGBUILD"), PKGBUILD).unwrap();
    fs::write(
        at.join("makepkg.conf"),
        "CARCH=x86_64\nCHOST=x86_64-pc-linux-gnu\nBUILDENV=(!color check !sign)\n\
         OPTIONS=(!strip !zipman)\nPACKAGER='Test <test@example.org>'\n\
         COMPRESSZST=(zstd -c -)\nPKGEXT=.pkg.tar.zst\nSRCEXT=.src.tar.gz\n",
    )
    .unwrap();
    let build = |number: u32, environment: &str| {
        // makepkg refuses to run as root.
        shell(
            at,
            &format!(
                "mkdir -m 777 {number} && chmod 755 . && drop=
                 if [ $(id -u) = 0 ]; then
                     drop='setpriv --reuid=65534 --regid=65534 --clear-groups'
                 fi
                 cp PKGBUILD {number} && cd {number} && mkdir -m 777 build
                 $drop env HOME=$PWD BUILDDIR=$PWD/build PKGDEST=$PWD SRCDEST=$PWD LOGDEST=$PWD \
                     {environment} makepkg --config ../makepkg.conf -d --noconfirm 2>&1"
            ),
        );
        read(&at.join(format!("{number}/demo-1.0-1-any.pkg.tar.zst")))
    };
    let first = build(1, "SOURCE_DATE_EPOCH=1700000000");
    let later = build(2, "SOURCE_DATE_EPOCH=1710000000");
    let other = build(3, "SOURCE_DATE_EPOCH=1700000000 TEXT=changed");
    assert_eq!(first.info.depends, ["sh>=1"]);
    assert_eq!(
        first.files,
        [
            "usr/",
            "usr/share/",
            "usr/share/demo/",
            "usr/share/demo/link",
            "usr/share/demo/text"
        ]
    );
    assert_ne!(first.sha256, later.sha256);
    assert_eq!(first.content_digest, later.content_digest);
    assert_ne!(first.content_digest, other.content_digest);
}

#[test]
fn a_package_is_kept_as_json_and_comes_back() {
    let package = read_bytes(&info("a", "1-1"), &[("usr/bin/a", "one", 0o755)]);
    let json = serde_json::to_string(&package).unwrap();
    assert_eq!(serde_json::from_str::<PackageFile>(&json).unwrap(), package);
}
