//! The configuration files of a build's root.

use std::fmt::Write as _;

use super::ids::BUILD_UID;
use crate::request::BuildRequest;

/// The user that builds.
pub const BUILD_USER: &str = "builduser";

/// pacman.conf(5) for installing into the root.
pub fn pacman_conf(request: &BuildRequest) -> String {
    let mut text = format!(
        "[options]\nArchitecture = {}\nSigLevel = Never\nParallelDownloads = 5\n",
        request.architecture
    );
    for repository in &request.repositories {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n[{}]\n", repository.name);
        if let Some(level) = &repository.sig_level {
            let _ = writeln!(text, "SigLevel = {level}");
        }
        let _ = writeln!(text, "Server = {}", repository.server);
    }
    text
}

/// makepkg.conf(5) for roots that bring none: those with the host's tools underneath.
///
/// What follows from the request (PACKAGER, where things are, MAKEFLAGS) is in the environment,
/// which comes before this file.
pub fn makepkg_conf(architecture: &str) -> String {
    let chost = match architecture {
        "armv7h" => "armv7l-unknown-linux-gnueabihf".to_owned(),
        "armv6h" => "armv6l-unknown-linux-gnueabihf".to_owned(),
        "i486" | "i686" | "pentium4" => format!("{architecture}-pc-linux-gnu"),
        "x86_64" | "x86_64_v2" | "x86_64_v3" | "x86_64_v4" => "x86_64-pc-linux-gnu".to_owned(),
        other => format!("{other}-unknown-linux-gnu"),
    };
    format!(
        r#"# How packages are built where no package brings a makepkg.conf.

CARCH="{architecture}"
CHOST="{chost}"

# Hardened, and the same on every machine: nothing depends on the processor here.
CFLAGS="-O2 -pipe -fno-plt -Wformat -Werror=format-security -fstack-clash-protection"
CXXFLAGS="$CFLAGS -Wp,-D_GLIBCXX_ASSERTIONS"
CPPFLAGS="-D_FORTIFY_SOURCE=2"
LDFLAGS="-Wl,-O1,--sort-common,--as-needed,-z,relro,-z,now"
RUSTFLAGS="-Cforce-frame-pointers=yes"

# No colours: the log is a file. No signing: that is done outside.
BUILDENV=(!distcc !color !ccache check !sign)
OPTIONS=(strip docs !libtool !staticlibs emptydirs zipman purge !debug !lto)
INTEGRITY_CHECK=(sha256)

STRIP_BINARIES="--strip-all"
STRIP_SHARED="--strip-unneeded"
STRIP_STATIC="--strip-debug"
MAN_DIRS=({{usr{{,/local}}{{,/share}},opt/*}}/{{man,info}})
DOC_DIRS=(usr/{{,local/}}{{,share/}}{{doc,gtk-doc}} opt/*/{{doc,gtk-doc}})
PURGE_TARGETS=(usr/{{,share}}/info/dir .packlist *.pod)
DBGSRCDIR="/usr/src/debug"
LIB_DIRS=('lib:usr/lib' 'lib32:usr/lib32')

DLAGENTS=('file::/usr/bin/curl --globoff --silent --show-error --output %o %u'
          'ftp::/usr/bin/curl --globoff --fail --silent --show-error --retry 3 --ftp-pasv --output %o %u'
          'http::/usr/bin/curl --globoff --fail --location --silent --show-error --retry 3 --output %o %u'
          'https::/usr/bin/curl --globoff --fail --location --silent --show-error --retry 3 --output %o %u'
          'rsync::/usr/bin/rsync --no-motd -z %u %o'
          'scp::/usr/bin/scp -C %u %o')
VCSCLIENTS=('bzr::breezy'
            'fossil::fossil'
            'git::git'
            'hg::mercurial'
            'svn::subversion')

COMPRESSGZ=(gzip -c -f -n)
COMPRESSBZ2=(bzip2 -c -f)
COMPRESSXZ=(xz -c -z -)
COMPRESSZST=(zstd -c -T0 -)
PKGEXT='.pkg.tar.zst'
SRCEXT='.src.tar.gz'
"#
    )
}

/// The line for the build's user in passwd(5).
pub fn passwd_line() -> String {
    format!("{BUILD_USER}:x:{BUILD_UID}:{BUILD_UID}:{BUILD_USER}:/build:/bin/bash\n")
}

/// The line for its group in group(5).
pub fn group_line() -> String {
    format!("{BUILD_USER}:x:{BUILD_UID}:\n")
}

/// passwd(5) or group(5) with one more line, in front of others that name the same user or number:
/// the first one found is taken.
pub fn with_line(present: &str, line: &str) -> String {
    let fallback = match present.is_empty() {
        true => match line.contains("/bin/bash") {
            true => "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
            false => "root:x:0:\nnobody:x:65534:\n",
        },
        false => "",
    };
    format!("{line}{fallback}{present}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_user_comes_first() {
        let text = with_line("root:x:0:0::/root:/bin/bash\n", &passwd_line());
        assert!(text.starts_with("builduser:x:60700:60700:"));
        assert!(text.ends_with("root:x:0:0::/root:/bin/bash\n"));
        assert!(with_line("", &group_line()).contains("root:x:0:"));
    }
}
