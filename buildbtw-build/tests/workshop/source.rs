//! Small package sources.

use std::fs::File;
use std::path::Path;

/// A package source that is written in a test.
#[derive(Debug, Clone)]
pub struct Source {
    pub pkgbase: String,
    pub pkgnames: Vec<String>,
    files: Vec<(String, String)>,
}

impl Source {
    /// A source of one package, version 1.0-1, with `lines` after the usual fields.
    pub fn new(pkgname: &str, arch: &str, lines: &str) -> Self {
        let pkgbuild = format!(
            "pkgname={pkgname}\npkgver=1.0\npkgrel=1\npkgdesc='A test'\narch=({arch})\n\
             url=https://example.org\nlicense=(MIT)\n{lines}\n"
        );
        Self {
            pkgbase: pkgname.to_owned(),
            pkgnames: vec![pkgname.to_owned()],
            files: vec![("PKGBUILD".to_owned(), pkgbuild)],
        }
    }

    /// A package that goes through `lines` in build().
    pub fn that_builds(pkgname: &str, lines: &str) -> Self {
        let functions = format!(
            "build() {{\n{lines}\n}}\npackage() {{\n  install -Dm644 /dev/null \
             \"$pkgdir/usr/share/{pkgname}/made\"\n  if [[ -d $srcdir/keep ]]; then cp -r \
             \"$srcdir/keep/.\" \"$pkgdir/usr/share/{pkgname}/\"; fi\n}}"
        );
        Self::new(pkgname, "any", &functions)
    }

    /// A source with its PKGBUILD as it is given.
    pub fn plain(pkgbase: &str, pkgnames: &[&str], pkgbuild: &str) -> Self {
        Self {
            pkgbase: pkgbase.to_owned(),
            pkgnames: pkgnames.iter().map(|name| (*name).to_owned()).collect(),
            files: vec![("PKGBUILD".to_owned(), pkgbuild.to_owned())],
        }
    }

    /// Without a file.
    pub fn without(mut self, path: &str) -> Self {
        self.files.retain(|(other, _)| other != path);
        self
    }

    /// With one more file, or another content of one.
    pub fn with(mut self, path: &str, content: &str) -> Self {
        self.files.retain(|(other, _)| other != path);
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    /// Writes it as a tar archive, in a folder as GitLab does.
    pub fn pack(&self, archive: &Path) {
        let mut builder = tar::Builder::new(File::create(archive).unwrap());
        for (path, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(1_700_000_000);
            let path = format!("{}-main/{path}", self.pkgbase);
            builder
                .append_data(&mut header, path, content.as_bytes())
                .unwrap();
        }
        builder.finish().unwrap();
    }
}
