//! What installed packages satisfy: `pacman -T` says the same.

use std::collections::BTreeSet;
use std::fs;

use buildbtw_graph::{Relation, ReleasedPackage};

use crate::cases::{Case, Kind, any_relations};
use crate::number_of_cases;
use crate::numbers::Numbers;
use crate::pacman::{Pacman, text};

/// Writes a local db in which the packages are installed.
fn installed(packages: &[&ReleasedPackage]) -> Pacman {
    let pacman = Pacman::new();
    for package in packages {
        let folder = format!("db/local/{}-{}", package.pkgname, package.version);
        fs::create_dir(pacman.at(&folder)).unwrap();
        let provides: Vec<String> = package.provides.iter().map(ToString::to_string).collect();
        let mut desc = format!(
            "%NAME%\n{}\n\n%VERSION%\n{}\n\n%ARCH%\nx86_64\n\n",
            package.pkgname, package.version
        );
        if !provides.is_empty() {
            desc.push_str(&format!("%PROVIDES%\n{}\n\n", provides.join("\n")));
        }
        fs::write(pacman.at(&folder).join("desc"), desc).unwrap();
        fs::write(pacman.at(&folder).join("files"), "%FILES%\n").unwrap();
    }
    pacman
}

#[test]
fn pacman_misses_the_same_relations() {
    let (mut met, mut missed) = (0, 0);
    for seed in 0..number_of_cases(60) {
        let index = Case::draw(seed, Kind::Conflicts).index();
        // Of each name one package, as they can be installed.
        let mut names = BTreeSet::new();
        let packages = index.packages().map(|(_, package)| package);
        let packages: Vec<&ReleasedPackage> = packages
            .filter(|package| names.insert(&package.pkgname))
            .collect();
        let wanted = any_relations(&mut Numbers::new(seed), 150);
        let pacman = installed(&packages);
        let mut arguments = vec!["-T"];
        arguments.extend(wanted.iter().map(String::as_str));
        let output = pacman.run("pacman", &arguments);
        assert!(
            matches!(output.status.code(), Some(0 | 127)),
            "{}",
            text(&output.stderr)
        );
        let stdout = text(&output.stdout);
        let missing: BTreeSet<&str> = stdout.lines().collect();
        for wanted in &wanted {
            let relation: Relation = wanted.parse().unwrap();
            let satisfied = packages.iter().any(|package| package.satisfies(&relation));
            *(if satisfied { &mut met } else { &mut missed }) += 1;
            assert_eq!(
                satisfied,
                !missing.contains(wanted.as_str()),
                "seed {seed}: {wanted}, with {packages:?}"
            );
        }
    }
    println!("{met} relations met, {missed} missed");
    assert!(met > missed / 4 && missed > met / 4, "{met} {missed}");
}
