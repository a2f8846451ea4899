//! Distributions that are made up: small, seeded, and with everything in them that makes order hard.

use std::fmt::Write;

use super::SrcinfoText;
use super::seeded::Seeded;

/// The source whose package is installed for every build.
pub const IMPLICIT: &str = "base-devel";

/// Every so many sources there is one that makes several packages.
const SPLIT_EVERY: usize = 4;

/// Makes the `.SRCINFO` texts of a distribution of so many sources, and a few more: split packages
/// that replace and clear what they inherit, sonames, several providers of a name, names that only
/// a provider satisfies in the version asked for, relations for one architecture, sources for
/// another one, cycles of every kind, and a need that nothing satisfies.
///
/// Sources are called `s000`, `s001` and so on; a source mostly needs some of lower numbers.
pub fn distribution(seed: u64, count: usize) -> Vec<SrcinfoText> {
    let mut maker = Maker {
        seeded: Seeded::new(seed),
        count,
    };
    let mut texts: Vec<SrcinfoText> = (0..count)
        .map(|number| (name(number), maker.source(number)))
        .collect();
    for virtual_name in ["sh-like", "gl-like"] {
        for provider in 0..2 + maker.seeded.below(3) {
            let pkgbase = format!("{virtual_name}-{provider}");
            let depends = maker.lower(count / 4);
            let body =
                format!("\tarch = x86_64\n\tdepends = {depends}\n\tprovides = {virtual_name}\n");
            texts.push((
                pkgbase.clone(),
                text(&pkgbase, "2", &body, &format!("pkgname = {pkgbase}\n")),
            ));
        }
    }
    // Of that name there is one, too old; a provider is new enough.
    let old = text("abi", "1", "\tarch = x86_64\n", "pkgname = abi\n");
    let provider = format!(
        "\tarch = x86_64\n\tdepends = {}\n\tprovides = abi=5\n",
        maker.lower(count / 4)
    );
    texts.push(("abi".to_owned(), old));
    texts.push((
        "abi-new".to_owned(),
        text("abi-new", "1:0.1", &provider, "pkgname = abi-new\n"),
    ));
    let elsewhere = format!("\tarch = aarch64\n\tdepends = {}\n", name(0));
    texts.push((
        "elsewhere".to_owned(),
        text("elsewhere", "1", &elsewhere, "pkgname = elsewhere\n"),
    ));
    let tools: String = (0..4)
        .map(|_| format!("\tdepends = {}\n", maker.lower(count / 3)))
        .collect();
    let implicit = format!("\tarch = any\n{tools}");
    texts.push((
        IMPLICIT.to_owned(),
        text(IMPLICIT, "1", &implicit, &format!("pkgname = {IMPLICIT}\n")),
    ));
    texts.sort();
    texts
}

/// The source of a number.
fn name(number: usize) -> String {
    format!("s{number:03}")
}

/// A whole `.SRCINFO`.
fn text(pkgbase: &str, version: &str, body: &str, packages: &str) -> String {
    let (epoch, pkgver) = version.split_once(':').unwrap_or(("", version));
    let epoch = if epoch.is_empty() {
        String::new()
    } else {
        format!("\tepoch = {epoch}\n")
    };
    format!(
        "pkgbase = {pkgbase}\n\tpkgdesc = Made up\n\tpkgver = {pkgver}\n\tpkgrel = 1\n{epoch}{body}\n{packages}"
    )
}

struct Maker {
    seeded: Seeded,
    count: usize,
}

impl Maker {
    /// A package of a source below a number.
    fn lower(&mut self, limit: usize) -> String {
        let number = self.seeded.below(limit.max(1));
        self.package_of(number)
    }

    /// A relation to a package of a source, in one of the ways such are written.
    fn package_of(&mut self, number: usize) -> String {
        let pkgbase = name(number);
        if !number.is_multiple_of(SPLIT_EVERY) {
            return if self.seeded.percent(20) {
                format!("{pkgbase}>=1")
            } else {
                pkgbase
            };
        }
        match self.seeded.below(5) {
            0 => format!("{pkgbase}-doc"),
            1 => format!("lib{pkgbase}.so"),
            2 => format!("{pkgbase}-libs"),
            _ => pkgbase,
        }
    }

    /// The source of a number.
    fn source(&mut self, number: usize) -> String {
        let mut body = String::new();
        let architecture = if self.seeded.percent(10) {
            "any"
        } else {
            "x86_64"
        };
        // Writing into a String cannot fail.
        let _ = writeln!(body, "\tarch = {architecture}");
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(body, "\t{key} = {value}");
        };
        for _ in 0..self.seeded.below(4) {
            line("depends", &self.lower(number));
        }
        for _ in 0..self.seeded.below(3) {
            line("makedepends", &self.lower(number));
        }
        if self.seeded.percent(30) {
            line("depends_x86_64", &self.lower(number));
            line("depends_aarch64", "only-there");
        }
        for (percent, name) in [(15, "sh-like"), (10, "gl-like"), (10, "abi>=4"), (5, "abi")] {
            if self.seeded.percent(percent) {
                line(
                    if self.seeded.percent(50) {
                        "depends"
                    } else {
                        "makedepends"
                    },
                    name,
                );
            }
        }
        // What looks ahead makes cycles: seldom at run time, more often for the check.
        let ahead = |maker: &mut Self| {
            let number = (number + 1 + maker.seeded.below(12)).min(maker.count - 1);
            maker.package_of(number)
        };
        for (percent, key) in [
            (4, "depends"),
            (6, "makedepends"),
            (25, "checkdepends"),
            (5, "checkdepends_x86_64"),
        ] {
            if self.seeded.percent(percent) {
                line(key, &ahead(self));
            }
        }
        if number == self.count / 2 {
            line("makedepends", "nobody-makes-this");
        }
        let pkgbase = name(number);
        let version = format!("{}.{}", 1 + number % 7, number);
        let packages = if number.is_multiple_of(SPLIT_EVERY) {
            let run_time = self.lower(number);
            format!(
                "pkgname = {pkgbase}\n\tdepends = {pkgbase}-libs={version}-1\n\tdepends = {run_time}\n\n\
                 pkgname = {pkgbase}-libs\n\tdepends = {}\n\tdepends_x86_64 = \n\tprovides = lib{pkgbase}.so\n\n\
                 pkgname = {pkgbase}-doc\n\tarch = any\n\tdepends = \n\tdepends_x86_64 = \n",
                self.lower(number),
            )
        } else {
            format!("pkgname = {pkgbase}\n")
        };
        text(&pkgbase, &version, &body, &packages)
    }
}

#[cfg(test)]
mod tests {
    use super::distribution;
    use crate::corpus::distribution_of;

    #[test]
    fn equal_seeds_make_equal_distributions_and_others_do_not() {
        assert_eq!(distribution(1, 40), distribution(1, 40));
        assert_ne!(distribution(1, 40), distribution(2, 40));
    }

    #[test]
    fn everything_but_one_need_is_satisfied() {
        let texts = distribution(3, 300);
        let all = distribution_of(&texts);
        assert_eq!(all.sources().len(), texts.len());
        let lists = all.sources().iter().flat_map(|source| {
            let packages = source.packages.iter().flat_map(|made| &made.depends);
            source
                .depends
                .iter()
                .chain(&source.makedepends)
                .chain(&source.checkdepends)
                .chain(packages)
        });
        let mut open: Vec<&str> = lists
            .filter(|wanted| all.satisfying(wanted).is_empty())
            .map(|wanted| wanted.name.as_str())
            .collect();
        open.dedup();
        assert_eq!(open, ["nobody-makes-this"]);
    }
}
