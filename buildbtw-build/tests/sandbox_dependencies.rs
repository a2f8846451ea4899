//! What is installed for a build, and what happens when it is not what it should be.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use buildbtw_build::{NetworkMode, OutcomeClass};
use buildbtw_repo::PackageInfo;
use workshop::{Repository, Source, Workshop, everybody, package};

fn needing(relation: &str) -> Source {
    Source::new(
        "needy",
        "any",
        &format!("depends=('{relation}')\npackage() {{ :; }}"),
    )
}

fn with(info: PackageInfo, change: impl FnOnce(&mut PackageInfo)) -> PackageInfo {
    let mut info = info;
    change(&mut info);
    info
}

#[test]
fn an_older_library_than_expected_ends_the_build_before_it_begins() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let base = Repository::new("base");
        base.add(&[package("library", "1-1")]);
        let stage = Repository::new("stage");
        stage.add(&[package("other", "1-1")]);
        let mut request = workshop.request(&needing("library"));
        request.repositories = vec![stage.served(), base.served()];
        request.install = vec!["library".into()];
        request.expected = Some(vec![stage.expect("library", "2-1")]);
        let run = workshop.build(&request).expect(OutcomeClass::Dependencies);
        let run = run.says(&["library 2-1 from stage was expected, but 1-1 is installed"]);
        assert_eq!(run.outcome.failed_step.as_deref(), Some("dependencies"));
        assert_eq!(run.step_names(), ["dependencies!"]);
    }
}

#[test]
fn more_or_other_bytes_than_expected_end_the_build() {
    let workshop = Workshop::new(everybody()[0]);
    let base = Repository::new("base");
    let pulls = with(package("library", "1-1"), |info| {
        info.depends = vec!["extra".into()]
    });
    base.add(&[package("extra", "3-1"), pulls]);
    let mut request = workshop.request(&needing("library"));
    request.repositories = vec![base.served()];
    request.install = vec!["library".into()];
    let mut library = base.expect("library", "1-1");
    request.expected = Some(vec![library.clone()]);
    workshop
        .build(&request)
        .expect(OutcomeClass::Dependencies)
        .says(&["extra 3-1 is installed, but was not expected"]);

    library.sha256 = Some("ab".repeat(32));
    request.expected = Some(vec![library.clone(), base.expect("extra", "3-1")]);
    let run = workshop.build(&request).expect(OutcomeClass::Dependencies);
    let run = run.says(&["another package of that version is installed"]);
    let got = run.outcome.message.rsplit(' ').next().unwrap().to_owned();

    library.sha256 = Some(got);
    request.expected = Some(vec![library, base.expect("extra", "3-1")]);
    for repository in [base.served(), base.as_files()] {
        request.repositories = vec![repository];
        let run = workshop.build(&request).expect(OutcomeClass::Success);
        assert!(
            run.outcome
                .installed
                .iter()
                .all(|package| package.sha256.is_some())
        );
        std::fs::remove_dir_all(workshop.builds().join("build")).unwrap();
    }
}

#[test]
fn what_cannot_be_installed_is_named() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let base = Repository::new("base");
        let rebuilt = with(package("libgreet", "2-1"), |info| {
            info.provides = vec!["libgreet.so=2-64".into()];
        });
        let stale = with(package("libshout", "1-1"), |info| {
            info.depends = vec!["libgreet.so=1-64".into()];
        });
        base.add(&[rebuilt, stale]);
        let mut request = workshop.request(&needing("libshout"));
        request.repositories = vec![base.served()];
        request.install = vec!["libshout".into()];
        let run = workshop.build(&request).expect(OutcomeClass::Dependencies);
        run.says(&["libgreet.so=1-64", "libshout"]);

        request.install = vec!["nowhere>=3".into()];
        let run = workshop.build(&request).expect(OutcomeClass::Dependencies);
        run.says(&["nowhere>=3"]);

        request.install = Vec::new();
        let run = workshop.build(&request).expect(OutcomeClass::Dependencies);
        assert_eq!(run.outcome.exit_code, Some(8));

        request.repositories[0].server = "http://127.0.0.1:1".into();
        request.install = vec!["libgreet".into()];
        workshop.build(&request).expect(OutcomeClass::Dependencies);
    }
}

#[test]
fn what_is_assumed_need_not_be_installed() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let base = Repository::new("base");
        let pulls = with(package("library", "1-1"), |info| {
            info.depends = vec!["libtool.so=5-64".into(), "compiler>=3".into()];
        });
        base.add(&[pulls]);
        let mut request = workshop.request(&needing("library"));
        request.repositories = vec![base.served()];
        request.install = vec!["library".into()];
        request.assumed = vec![
            "compiler>=3".into(),
            "libtool.so=5-64".into(),
            "shell".into(),
        ];
        request.expected = Some(vec![base.expect("library", "1-1")]);
        workshop.build(&request).expect(OutcomeClass::Success);
    }
}

#[test]
fn scripts_of_packages_do_not_run_over_the_hosts_tools() {
    let workshop = Workshop::new(everybody()[0]);
    let base = Repository::new("base");
    let info = package("scripted", "1-1");
    let name = "scripted-1-1-any.pkg.tar.zst";
    let script = "post_install() { echo THE-SCRIPT-RAN; }\n";
    buildbtw_repo::write::write_package(
        &base.folder().join(name),
        &info,
        &[
            (".INSTALL", script, 0o644),
            ("usr/share/scripted/x", "x", 0o644),
            ("etc/scripted.conf", "from the package\n", 0o644),
        ],
    )
    .unwrap();
    base.add_file(name);
    let lines = "depends=(scripted)\nbuild() { cat /etc/scripted.conf /usr/share/scripted/x; ls /usr/bin/env; }\n\
                 package() { :; }";
    let mut request = workshop.request(&Source::new("needy", "any", lines));
    request.repositories = vec![base.served()];
    request.install = vec!["scripted".into()];
    request.network = NetworkMode::Sources;
    let run = workshop.build(&request).expect(OutcomeClass::Success);
    assert!(!run.log.contains("THE-SCRIPT-RAN"), "{}", run.log);
    assert!(run.log.contains("from the package"), "{}", run.log);
}
