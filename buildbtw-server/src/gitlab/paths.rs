//! Where the project of a package base is: Arch Linux's rules for paths.

/// The last part of the path of a package base's project. Several names may have one path, so it is
/// an address and nothing more: the project's own name says which package base it is.
pub fn path_of(pkgbase: &str) -> String {
    // A plus between letters or digits and letters becomes a minus ...
    let mut joined = String::with_capacity(pkgbase.len());
    let mut rest = pkgbase;
    while let Some((before, after)) = rest.split_once('+') {
        let left = before
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        joined.push_str(before);
        if left && letters > 0 {
            joined.push('-');
            // ... and those letters are not the left side of another one.
            joined.push_str(&after[..letters]);
            rest = &after[letters..];
        } else {
            joined.push('+');
            rest = after;
        }
    }
    joined.push_str(rest);
    // ... and any other is spelled out.
    let spelled = joined.replace('+', "plus");
    let mut path = String::with_capacity(spelled.len());
    let mut run = String::new();
    for c in spelled.chars().chain([' ']) {
        let c = match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') => c,
            _ => '-',
        };
        if matches!(c, '_' | '-') {
            run.push(c);
            continue;
        }
        path.push_str(if run.len() > 1 { "-" } else { &run });
        run.clear();
        path.push(c);
    }
    // The blank at the end closed the last run, and counts as one of it.
    run.pop();
    path.push_str(if run.len() > 1 { "-" } else { &run });
    if path == "tree" {
        "unix-tree".to_owned()
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn as_arch_has_them() {
        for (name, path) in [
            ("tree", "unix-tree"),
            ("trees", "trees"),
            ("unix-tree", "unix-tree"),
            ("1+tree", "1-tree"),
            ("dvd+rw-tools", "dvd-rw-tools"),
            ("ttf-x+y", "ttf-x-y"),
            ("libsigc++", "libsigcplusplus"),
            ("libsigc++-3.0", "libsigcplusplus-3.0"),
            ("mysql++", "mysqlplusplus"),
            ("g++", "gplusplus"),
            ("gtk+2", "gtkplus2"),
            ("a+1b", "aplus1b"),
            ("c++utilities", "cplusplusutilities"),
            ("a++b", "aplusplusb"),
            ("memtest86+", "memtest86plus"),
            ("memtest86+-efi", "memtest86plus-efi"),
            ("lib32-libstdc++5", "lib32-libstdcplusplus5"),
            ("archlinux++-5.0", "archlinuxplusplus-5.0"),
            ("a+b+c", "a-bplusc"),
            ("x+y+z+w", "x-yplusz-w"),
            ("x+y+", "x-yplus"),
            ("arch+linux", "arch-linux"),
            ("foo@bar", "foo-bar"),
            ("foo_bar", "foo_bar"),
            ("foo__bar", "foo-bar"),
            ("foo_-bar", "foo-bar"),
            ("foo-_bar", "foo-bar"),
            ("gnome--x", "gnome-x"),
            ("c--", "c-"),
            ("R", "R"),
            ("r", "r"),
            ("0ad", "0ad"),
            ("at-spi2-core", "at-spi2-core"),
            ("python-zope.interface", "python-zope.interface"),
            (".git", ".git"),
            ("foo.git", "foo.git"),
            ("-foo", "-foo"),
            ("_foo", "_foo"),
        ] {
            assert_eq!(path_of(name), path, "{name}");
        }
    }
}
