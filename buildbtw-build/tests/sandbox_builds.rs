//! Real builds with the real makepkg and pacman, as root and as an ordinary user.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use buildbtw_build::{NetworkMode, OutcomeClass, Storage};
use workshop::{Repository, Source, Workshop, everybody, package};

const LIBRARY: &str = r#"
provides=(libhello.so)
source=(hello.c)
sha256sums=(SKIP)
build() {
  cc $CFLAGS $LDFLAGS -shared -fPIC -Wl,-soname,libhello.so.3 -o libhello.so.3 hello.c
}
package() {
  install -Dm755 libhello.so.3 "$pkgdir/usr/lib/libhello.so.3"
  ln -s libhello.so.3 "$pkgdir/usr/lib/libhello.so"
}"#;

const PROGRAM: &str = r#"
depends=(libhello.so)
makedepends=(greeting)
checkdepends=(tester)
source=(main.c)
sha256sums=(SKIP)
build() {
  cat /usr/share/greeting/version
  cc $CFLAGS -o hello main.c -lhello
}
check() {
  cat /usr/share/tester/version
  [[ $(./hello) == 'hello, world' ]]
}
package() { install -Dm755 hello "$pkgdir/usr/bin/hello"; }"#;

fn library() -> Source {
    Source::new("libhello", "x86_64", LIBRARY).with(
        "hello.c",
        "const char *hello(void) { return \"hello, world\"; }\n",
    )
}

fn program() -> Source {
    Source::new("hello", "x86_64", PROGRAM).with(
        "main.c",
        "#include <stdio.h>\nconst char *hello(void);\nint main(void) { puts(hello()); return 0; }\n",
    )
}

#[test]
fn a_program_is_built_against_a_library_from_a_repository() {
    let mut results = Vec::new();
    for who in everybody() {
        let workshop = Workshop::new(who);
        let repository = Repository::new("stage");
        let run = workshop
            .build(&workshop.request(&library()))
            .expect(OutcomeClass::Success);
        assert_eq!(
            run.step_names(),
            ["dependencies", "sources", "prepare", "build", "package"]
        );
        repository.add_built(&run.outcome.packages);
        repository.add(&[package("greeting", "1:2.0-1"), package("tester", "5-1")]);
        let library_digest = std::fs::read(&run.outcome.packages[0]).unwrap();

        let mut request = workshop.request(&program());
        request.repositories = vec![repository.served()];
        request.install = ["libhello.so", "greeting", "tester"]
            .map(str::to_owned)
            .into();
        request.expected = Some(vec![
            repository.expect("libhello", "1.0-1"),
            repository.expect("greeting", "1:2.0-1"),
            repository.expect("tester", "5-1"),
        ]);
        let run = workshop
            .start(&request, "program")
            .finish()
            .expect(OutcomeClass::Success);
        workshop.assert_nothing_left("program");
        assert_eq!(
            run.step_names(),
            [
                "dependencies",
                "sources",
                "prepare",
                "build",
                "check",
                "package"
            ]
        );
        let installed: Vec<_> = run
            .outcome
            .installed
            .iter()
            .map(|p| p.pkgname.as_str())
            .collect();
        assert_eq!(installed, ["greeting", "libhello", "tester"]);
        assert_eq!(run.installed.as_ref(), Some(&run.outcome.installed));
        let log = &run.log;
        let place = |text: &str| {
            log.find(text)
                .unwrap_or_else(|| panic!("no {text}:\n{log}"))
        };
        assert!(place("installing") < place("1:2.0-1\n"), "{log}");
        assert!(place("==> Starting build()...") < place("==> Starting check()..."));
        let package = &run.outcome.packages[0];
        let info = workshop.read_packaged(package, ".PKGINFO");
        for line in [
            "depend = libhello.so=3-64",
            "packager = workshop-",
            "arch = x86_64",
        ] {
            assert!(info.contains(line), "no {line} in {info}");
        }
        let buildinfo = workshop.read_packaged(package, ".BUILDINFO");
        for line in [
            "builddir = /build",
            "startdir = /startdir",
            "installed = libhello-1.0-1-x86_64",
            "installed = greeting-1:2.0-1-any",
            "builddate = 1700000000",
        ] {
            assert!(buildinfo.contains(line), "no {line} in {buildinfo}");
        }
        results.push((who, library_digest, workshop.marker()));
    }
    // The packager's name differs; everything else must not depend on who built.
    let sizes: Vec<_> = results.iter().map(|(_, bytes, _)| bytes.len()).collect();
    assert!(
        sizes.iter().all(|size| size.abs_diff(sizes[0]) < 64),
        "{sizes:?}"
    );
}

#[test]
fn everybody_makes_the_same_bytes() {
    let mut made = Vec::new();
    for storage in [Storage::Disk, Storage::Memory] {
        for who in everybody() {
            let mut workshop = Workshop::new(who);
            workshop.builder.storage = storage;
            let mut request = workshop.request(&library());
            request.packager = "Tests <tests@example.org>".into();
            let run = workshop.build(&request).expect(OutcomeClass::Success);
            made.push(std::fs::read(&run.outcome.packages[0]).unwrap());
        }
    }
    assert!(made.iter().all(|bytes| *bytes == made[0]));
}

#[test]
fn with_all_of_makepkgs_checks_it_builds_too() {
    for who in everybody() {
        let mut workshop = Workshop::new(who);
        workshop.builder.without_makepkg_lints = false;
        workshop
            .build(&workshop.request(&library()))
            .expect(OutcomeClass::Success);
        let bad = Source::plain(
            "bad",
            &["bad"],
            "pkgname=bad\npkgver=1-2\npkgrel=1\narch=(any)\n",
        );
        let run = workshop.start(&workshop.request(&bad), "bad").finish();
        let run = run
            .expect(OutcomeClass::Package)
            .says(&["12", "pkgver is not allowed"]);
        assert_eq!(run.outcome.exit_code, Some(12));
    }
}

#[test]
fn one_source_makes_several_packages_and_no_others() {
    let pkgbuild = "pkgbase=pair\npkgname=(pair-a pair-b)\npkgver=1.0\npkgrel=1\narch=(any)\n\
                    package_pair-a() { :; }\npackage_pair-b() { depends=(pair-a); }\n";
    for who in everybody() {
        let workshop = Workshop::new(who);
        let both = Source::plain("pair", &["pair-a", "pair-b"], pkgbuild);
        let run = workshop
            .build(&workshop.request(&both))
            .expect(OutcomeClass::Success);
        let names: Vec<_> = run
            .outcome
            .packages
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "pair-a-1.0-1-any.pkg.tar.zst",
                "pair-b-1.0-1-any.pkg.tar.zst"
            ]
        );

        let other = Source::plain("pair", &["pair-a", "pair-c"], pkgbuild);
        let run = workshop.start(&workshop.request(&other), "other").finish();
        let run = run.expect(OutcomeClass::Package);
        let run = run.says(&["pair-b was made", "pair-c was not made"]);
        assert!(run.outcome.packages.is_empty());
    }
}

#[test]
fn pkgver_changes_the_version() {
    let lines = "pkgver() { echo 1.1.r5; }\npackage() { :; }";
    for who in everybody() {
        let workshop = Workshop::new(who);
        let request = workshop.request(&Source::new("moving", "any", lines));
        let run = workshop.build(&request).expect(OutcomeClass::Success);
        assert!(run.outcome.packages[0].ends_with("moving-1.1.r5-1-any.pkg.tar.zst"));
        let request = workshop.request(&Source::new("moving", "any", "pkgver() { echo 1:2-3; }"));
        workshop
            .start(&request, "bad")
            .finish()
            .expect(OutcomeClass::Package);
    }
}

#[test]
fn check_fails_the_package_unless_it_is_left_out() {
    let source = Source::new(
        "checked",
        "any",
        "check() { echo checking; false; }\npackage() { :; }",
    );
    for who in everybody() {
        let workshop = Workshop::new(who);
        let mut request = workshop.request(&source);
        let run = workshop.build(&request).expect(OutcomeClass::Package);
        let run = run.says(&["check", "A failure occurred in check()"]);
        assert_eq!(run.outcome.failed_step.as_deref(), Some("check"));
        assert_eq!(run.outcome.exit_code, Some(4));
        assert_eq!(run.step_names().last().unwrap(), "check!");
        assert!(run.outcome.packages.is_empty());
        request.check = false;
        let run = workshop
            .start(&request, "nocheck")
            .finish()
            .expect(OutcomeClass::Success);
        assert!(!run.log.contains("checking"));
    }
}

#[test]
fn broken_sources_are_classed() {
    let who = everybody()[0];
    let workshop = Workshop::new(who);
    let build = |source: Source| workshop.build(&workshop.request(&source));
    build(Source::new("broken", "any", "if then")).expect(OutcomeClass::Package);
    build(Source::plain("empty", &["empty"], "")).expect(OutcomeClass::Package);
    let none = Source::plain("none", &["none"], "");
    let mut request = workshop.request(&none);
    std::fs::write(&request.source, "not a tar archive").unwrap();
    workshop
        .build(&request)
        .expect(OutcomeClass::Infrastructure)
        .says(&["source tree"]);
    request.source = workshop.path("missing.tar");
    workshop
        .build(&request)
        .expect(OutcomeClass::Infrastructure)
        .says(&["missing.tar"]);

    let lines = "source=(file)\nsha256sums=(0000000000000000000000000000000000000000000000000000000000000000)";
    let wrong = Source::new("wrong", "any", lines).with("file", "content\n");
    let run = build(wrong)
        .expect(OutcomeClass::Sources)
        .says(&["validity check"]);
    assert_eq!(run.outcome.failed_step.as_deref(), Some("sources"));
    let lines = "source=(http://127.0.0.1:1/file)\nsha256sums=(SKIP)";
    build(Source::new("away", "any", lines)).expect(OutcomeClass::Sources);
}

#[test]
fn sources_are_fetched_before_the_network_is_cut() {
    let repository = Repository::new("files");
    std::fs::write(repository.folder().join("data"), "from the network\n").unwrap();
    let url = repository.served().server;
    let lines = format!(
        "source=({url}/data)\nsha256sums=(SKIP)\n\
         prepare() {{ if curl -fsS {url}/data; then echo prepare-online; fi; }}\n\
         build() {{ if curl -fsS {url}/data; then echo build-online; fi; }}\n\
         package() {{ install -Dm644 data \"$pkgdir/usr/share/away/data\"; }}"
    );
    for (network, prepare, build) in [
        (NetworkMode::Sources, false, false),
        (NetworkMode::Prepare, true, false),
        (NetworkMode::All, true, true),
    ] {
        for who in everybody() {
            let workshop = Workshop::new(who);
            let mut request = workshop.request(&Source::new("away", "any", &lines));
            request.network = network;
            let run = workshop.build(&request).expect(OutcomeClass::Success);
            assert_eq!(run.log.contains("prepare-online"), prepare, "{}", run.log);
            assert_eq!(run.log.contains("build-online"), build, "{}", run.log);
            let file = "usr/share/away/data";
            let data = workshop.read_packaged(&run.outcome.packages[0], file);
            assert_eq!(data, "from the network\n");
        }
    }
}

/// A source with a signed file, the signer's public key under `keys/pgp`, and its fingerprint. The key
/// is made for the test and forgotten.
fn signed() -> Option<(Source, String)> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("data");
    std::fs::write(&file, "signed\n").unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = std::process::Command::new("gpg");
        command
            .arg("--homedir")
            .arg(home.path())
            .args(["--batch", "--quiet", "--passphrase", ""]);
        let output = command.args(arguments).output().ok()?;
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    gpg(&[
        "--quick-gen-key",
        "Tests <tests@example.org>",
        "ed25519",
        "sign",
        "never",
    ])?;
    let signature = home.path().join("data.asc");
    gpg(&[
        "--armor",
        "--detach-sign",
        "-o",
        signature.to_str()?,
        file.to_str()?,
    ])?;
    let key = gpg(&["--armor", "--export"])?;
    let listed = gpg(&["--list-keys", "--with-colons"])?;
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:"))?;
    let fingerprint = fingerprint.trim_matches(':').to_owned();
    // Its agent would outlive the test.
    let mut agent = std::process::Command::new("gpgconf");
    agent
        .arg("--homedir")
        .arg(home.path())
        .args(["--kill", "all"])
        .status()
        .unwrap();
    let lines = format!(
        "source=(data data.asc)\nsha256sums=(SKIP SKIP)\nvalidpgpkeys=({fingerprint})\n\
         package() {{ :; }}"
    );
    let source = Source::new("signed", "any", &lines)
        .with("data", "signed\n")
        .with("data.asc", &std::fs::read_to_string(signature).unwrap());
    Some((
        source.with(&format!("keys/pgp/{fingerprint}.asc"), &key),
        fingerprint,
    ))
}

#[test]
fn signatures_are_checked_with_the_keys_that_come_with_the_source() {
    let Some((source, fingerprint)) = signed() else {
        panic!("gpg is needed for this test: apt install gnupg, or pacman -S gnupg");
    };
    for who in everybody() {
        let workshop = Workshop::new(who);
        let run = workshop
            .build(&workshop.request(&source))
            .expect(OutcomeClass::Success);
        assert!(
            run.log.contains("Verifying source file signatures"),
            "{}",
            run.log
        );

        let tampered = source.clone().with("data", "tampered\n");
        let run = workshop
            .start(&workshop.request(&tampered), "tampered")
            .finish();
        run.expect(OutcomeClass::Sources);
        let without_key = source
            .clone()
            .without(&format!("keys/pgp/{fingerprint}.asc"));
        let run = workshop
            .start(&workshop.request(&without_key), "keyless")
            .finish();
        run.expect(OutcomeClass::Sources);
        workshop.assert_nothing_left("tampered");
        workshop.assert_nothing_left("keyless");
    }
}
