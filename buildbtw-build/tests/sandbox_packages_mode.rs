//! Roots that hold nothing but installed packages.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use buildbtw_build::{OutcomeClass, RootMode};
use workshop::{Repository, Source, Workshop, everybody, package, write_base_devel};

#[test]
fn a_package_is_built_in_a_root_of_packages_alone() {
    let base = Repository::new("base");
    let name = write_base_devel(base.folder());
    base.add_file(&name);
    base.add(&[package("greeting", "2-1")]);
    for who in everybody() {
        let workshop = Workshop::new(who);
        let secret = workshop.path("builds/secret");
        std::fs::write(&secret, "THE-SECRET").unwrap();
        let lines = "makedepends=(greeting)
build() {
  cat /usr/share/greeting/version > made
  test \"$FROM_THE_PROFILE\" = yes
  test -e /etc/made-by-the-script
  for program in python3 gcc perl curl; do ! type -P $program || exit 1; done
  for place in /home /root /usr/share/doc /etc/ssl /var/lib/dpkg; do test ! -e $place || exit 1; done
  if : > /usr/written; then exit 1; fi
  id -un
}
package() { install -Dm644 made \"$pkgdir/usr/share/alone/made\"; }";
        let mut request = workshop.request(&Source::new("alone", "any", lines));
        request.root_mode = RootMode::Packages;
        request.repositories = vec![base.served()];
        request.install = vec!["base-devel".into(), "greeting".into()];
        request.expected = Some(vec![
            base.expect("base-devel", "1-1"),
            base.expect("greeting", "2-1"),
        ]);
        let run = workshop
            .start(&request, "build")
            .finish()
            .expect(OutcomeClass::Success);
        std::fs::remove_file(&secret).unwrap();
        workshop.assert_nothing_left("build");
        assert!(run.log.contains("THE-SCRIPT-RAN-AS 0"), "{}", run.log);
        assert!(!run.log.contains("THE-SECRET"), "{}", run.log);
        assert!(!run.log.contains(
            "WARNING: Skipping dependency checks.\n==> Retrieving sources...\n==> Extracting"
        ));
        let package = &run.outcome.packages[0];
        assert_eq!(
            workshop.read_packaged(package, "usr/share/alone/made"),
            "2-1\n"
        );
        let buildinfo = workshop.read_packaged(package, ".BUILDINFO");
        assert!(
            buildinfo.contains("installed = base-devel-1-1-x86_64"),
            "{buildinfo}"
        );
    }
}

#[test]
fn without_makepkg_in_it_the_root_is_refused() {
    let workshop = Workshop::new(everybody()[0]);
    let base = Repository::new("base");
    base.add(&[package("greeting", "2-1")]);
    let mut request = workshop.request(&Source::that_builds("alone", "true"));
    request.root_mode = RootMode::Packages;
    request.repositories = vec![base.served()];
    request.install = vec!["greeting".into()];
    let run = workshop.build(&request).expect(OutcomeClass::Dependencies);
    run.says(&["no makepkg", "base-devel"]);
}
