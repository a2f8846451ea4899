//! Repositories of made-up or real packages, served over HTTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use buildbtw_build::ExpectedPackage;
use buildbtw_repo::PackageInfo;
use buildbtw_repo::write::{package_file_name, write_package};

/// A repository in a folder, made with repo-add.
pub struct Repository {
    pub name: String,
    folder: tempfile::TempDir,
    address: String,
}

/// A package to put into a repository, with one file at `usr/share/<pkgname>/version`.
pub fn package(pkgname: &str, version: &str) -> PackageInfo {
    PackageInfo {
        pkgname: pkgname.to_owned(),
        version: version.to_owned(),
        arch: "any".to_owned(),
        pkgdesc: "A test".to_owned(),
        packager: "Tests <tests@example.org>".to_owned(),
        builddate: 1_700_000_000,
        ..PackageInfo::default()
    }
}

impl Repository {
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let root = folder.path().to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                std::thread::spawn(move || serve(stream, &root));
            }
        });
        Self {
            name: name.to_owned(),
            folder,
            address,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts made-up packages into it.
    pub fn add(&self, packages: &[PackageInfo]) {
        for info in packages {
            let name = package_file_name(info).unwrap().to_string();
            let file = format!("usr/share/{}/version", info.pkgname);
            write_package(
                &self.folder.path().join(&name),
                info,
                &[(file, format!("{}\n", info.version), 0o644)],
            )
            .unwrap();
            self.add_file(&name);
        }
    }

    /// Puts packages into it that were built.
    pub fn add_built(&self, packages: &[PathBuf]) {
        for path in packages {
            let name = path.file_name().unwrap().to_str().unwrap();
            std::fs::copy(path, self.folder.path().join(name)).unwrap();
            self.add_file(name);
        }
    }

    /// Enters a package file that lies in the folder.
    pub fn add_file(&self, name: &str) {
        let output = Command::new("repo-add")
            .arg("-q")
            .arg(format!("{}.db.tar.zst", self.name))
            .arg(name)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// For a request, over HTTP.
    pub fn served(&self) -> buildbtw_build::Repository {
        buildbtw_build::Repository {
            name: self.name.clone(),
            server: self.address.clone(),
            sig_level: None,
        }
    }

    /// For a request, as files.
    pub fn as_files(&self) -> buildbtw_build::Repository {
        buildbtw_build::Repository {
            server: format!("file://{}", self.folder.path().display()),
            ..self.served()
        }
    }

    /// A package of this repository as it is expected.
    pub fn expect(&self, pkgname: &str, version: &str) -> ExpectedPackage {
        ExpectedPackage {
            pkgname: pkgname.to_owned(),
            version: version.to_owned(),
            sha256: None,
            repository: self.name.clone(),
        }
    }
}

/// Answers one GET after another with files.
fn serve(stream: TcpStream, root: &Path) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let name = request
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_start_matches('/');
        // pacman writes the colon of an epoch as %3A.
        let name = name.replace("%3A", ":").replace("%2B", "+");
        let answer = match std::fs::read(root.join(&name)) {
            Ok(bytes) if !name.contains("..") => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                [head.into_bytes(), bytes].concat()
            }
            _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        if writer.write_all(&answer).is_err() {
            return;
        }
    }
}
