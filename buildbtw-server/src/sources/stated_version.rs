//! The version that a PKGBUILD states, read without running it.
//!
//! A PKGBUILD is a program. Only one that sets `pkgver`, `pkgrel` and `epoch` at most once each, in a plain
//! line of its own, states a version that is known from its text alone; of any other nothing is said. So
//! a `.SRCINFO` is never called stale because of a version that only bash(1) can tell.

use buildbtw_graph::{SourcePackage, Version};

use super::pkgrel_edit::sets;

/// How a variable is set.
enum Setting<'a> {
    Nowhere,
    Plainly(&'a str),
    /// More than once, or by more than a literal.
    Otherwise,
}

/// The version that a PKGBUILD states; `None` where its text alone does not tell.
pub fn stated_version(pkgbuild: &str) -> Option<Version> {
    if pkgbuild.lines().any(runs_another_file) {
        return None;
    }
    let Setting::Plainly(pkgver) = setting(pkgbuild, "pkgver") else {
        return None;
    };
    let Setting::Plainly(pkgrel) = setting(pkgbuild, "pkgrel") else {
        return None;
    };
    match setting(pkgbuild, "epoch") {
        Setting::Otherwise => None,
        Setting::Plainly(epoch) if epoch != "0" => {
            format!("{epoch}:{pkgver}-{pkgrel}").parse().ok()
        }
        // makepkg leaves an epoch of zero out of the version.
        Setting::Plainly(_) | Setting::Nowhere => format!("{pkgver}-{pkgrel}").parse().ok(),
    }
}

/// Whether a `.SRCINFO` names another version than the PKGBUILD beside it states.
pub fn differs(package: &SourcePackage, stated: &Version) -> bool {
    let parts = |version: &Version| {
        let epoch = version.epoch().filter(|epoch| *epoch != "0");
        (
            epoch.map(str::to_owned),
            version.pkgver().to_owned(),
            version.pkgrel().map(str::to_owned),
        )
    };
    parts(&package.version) != parts(stated)
}

/// What people are told of a `.SRCINFO` that was not made anew.
pub fn words(package: &SourcePackage, stated: &Version) -> String {
    format!(
        "the .SRCINFO is stale: it says {}, and the PKGBUILD says {stated}; buildbtw plans with the .SRCINFO, so make it \
         anew (makepkg --printsrcinfo > .SRCINFO) and push it",
        package.version
    )
}

/// Whether a line at the top runs what stands elsewhere, which may set anything.
fn runs_another_file(line: &str) -> bool {
    let mut words = line.split([' ', '\t']);
    // Inside of functions, which are indented, makepkg does not ask for the version any more.
    matches!(words.next(), Some("." | "source" | "eval")) && words.next().is_some()
}

fn setting<'a>(pkgbuild: &'a str, name: &str) -> Setting<'a> {
    let mut found = Setting::Nowhere;
    let mut before = "";
    for line in pkgbuild.lines() {
        if sets(line, name) {
            let continued = before.ends_with('\\');
            found = match (found, literal(line, name).filter(|_| !continued)) {
                (Setting::Nowhere, Some(value)) => Setting::Plainly(value),
                _ => return Setting::Otherwise,
            };
        }
        before = line;
    }
    found
}

/// The value in a line that does nothing but set a variable to a literal.
fn literal<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.strip_prefix(name)?.strip_prefix('=')?;
    let (value, rest) = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split_once(quote)?,
        _ => value.split_at(value.find([' ', '\t', '\r']).unwrap_or(value.len())),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+~:@".contains(c);
    let ends = rest.trim().is_empty()
        || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
    (ends && !value.is_empty() && value.chars().all(plain)).then_some(value)
}

#[cfg(test)]
mod tests {
    use buildbtw_graph::read_srcinfo;

    use super::*;

    fn stated(pkgbuild: &str) -> Option<String> {
        stated_version(pkgbuild).map(|version| version.to_string())
    }

    #[test]
    fn plain_lines_state_a_version() {
        for (text, version) in [
            ("pkgver=1.0\npkgrel=1\n", "1.0-1"),
            ("pkgver='1.0'\r\npkgrel=\"2.1\" # again\r\n", "1.0-2.1"),
            ("epoch=2\npkgver=1.0+r3~a\npkgrel=1", "2:1.0+r3~a-1"),
            ("epoch=0\npkgver=1\npkgrel=1\n", "1-1"),
            (
                "# pkgver=9\n_pkgver=8\nmy_pkgrel=7\npkgver=1\npkgrel=1\n",
                "1-1",
            ),
            // The function is another thing than the variable, and so is whatever uses it.
            (
                "pkgver=r5.abc\npkgrel=1\npkgver() {\n  git describe | sed \"s/-/./\"\n}\n\
                 build() {\n  source ./env\n  make VERSION=$pkgver REL=${pkgrel} # \n}\n",
                "r5.abc-1",
            ),
        ] {
            assert_eq!(stated(text).as_deref(), Some(version), "{text:?}");
        }
    }

    #[test]
    fn what_only_bash_can_tell_is_not_guessed() {
        for text in [
            "pkgver=1\n",
            "pkgrel=1\n",
            "pkgver=$_pkgver\npkgrel=1\n",
            "pkgver=${_pkgver//-/.}\npkgrel=1\n",
            "pkgver=\"$(date +%s)\"\npkgrel=1\n",
            "pkgver=1 pkgrel=1\n",
            "pkgver=1\npkgrel=1; pkgver=2\n",
            "pkgver=1\npkgrel=1\npkgver+=.5\n",
            "pkgver=1\npkgrel=1\nif x; then\n  pkgver=2\nfi\n",
            "  pkgver=1\npkgrel=1\n",
            "pkgver=1\npkgrel=1\nepoch=$e\n",
            "pkgver=1\npkgrel=1\nread epoch < e\n",
            "pkgver=1\npkgrel=1\nsource ../version\n",
            "pkgver=1\npkgrel=1\n. ./version\n",
            "pkgver=1\npkgrel=1\neval \"$more\"\n",
            "pkgver=1\\\n2\npkgrel=1\n",
            "pkgdesc=a\\\npkgver=1\npkgrel=1\n",
            "pkgver=\npkgrel=1\n",
            "pkgver='1\npkgrel=1\n",
            "",
        ] {
            assert_eq!(stated(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_stale_srcinfo_is_one_of_another_version() {
        let srcinfo = |lines: &str| {
            let text = format!("pkgbase = a\n{lines}\tarch = any\n\npkgname = a\n");
            read_srcinfo(&text).unwrap().package
        };
        let differs = |lines: &str, pkgbuild: &str| {
            differs(&srcinfo(lines), &stated_version(pkgbuild).unwrap())
        };
        let one = "\tpkgver = 1\n\tpkgrel = 1\n";
        assert!(!differs(one, "pkgver=1\npkgrel=1\n"));
        assert!(!differs(
            "\tpkgver = 1\n\tpkgrel = 1\n\tepoch = 0\n",
            "pkgver=1\npkgrel=1\n"
        ));
        assert!(!differs(
            "\tpkgver = 1\n\tpkgrel = 1\n\tepoch = 3\n",
            "epoch=3\npkgver=1\npkgrel=1\n"
        ));
        for other in [
            "pkgver=2\npkgrel=1\n",
            "pkgver=1\npkgrel=2\n",
            "epoch=1\npkgver=1\npkgrel=1\n",
            // Equal by vercmp(8), and yet not what makepkg writes.
            "pkgver=01\npkgrel=1\n",
        ] {
            assert!(differs(one, other), "{other:?}");
        }
        let said = words(&srcinfo(one), &"2-1".parse().unwrap());
        assert!(said.contains("1-1") && said.contains("2-1") && said.contains("--printsrcinfo"));
    }
}
