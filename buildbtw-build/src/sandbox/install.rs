//! Has pacman install what a build needs, and compares what it did with what was expected.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use buildbtw_graph::{Comparison, Relation};
use sha2::{Digest, Sha256};

use super::config;
use super::init::Family;
use super::mounts::{SetupError, trying};
use super::root::ROOT;
use crate::report::InstalledPackage;
use crate::request::{BuildRequest, ExpectedPackage, RootMode};

/// pacman's files besides the root.
const CONFIG: &str = "/sandbox/store/pacman.conf";
const CACHE: &str = "/sandbox/store/cache";
const LOG: &str = "/sandbox/store/pacman.log";

/// How many of pacman's complaints are repeated in the build's outcome.
const MOST_COMPLAINTS: usize = 20;

/// Why the dependencies are not installed as they should be.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// pacman refused or failed.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// It installed something else than was expected.
    #[error("what is installed is not what was expected:\n{}", .0.join("\n"))]
    Different(Vec<String>),
    /// This machine's fault.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Installs the dependencies into the root and hands back what is there now.
pub fn install(
    request: &BuildRequest,
    family: &mut Family,
) -> Result<Vec<InstalledPackage>, InstallError> {
    fs::create_dir_all(CACHE).map_err(trying("make a folder for packages"))?;
    fs::write(CONFIG, config::pacman_conf(request)).map_err(trying("write pacman.conf"))?;
    // pacman makes its db when it installs; makepkg asks it also where nothing is installed.
    let local = Path::new(ROOT).join("var/lib/pacman/local");
    fs::create_dir_all(&local)
        .and_then(|()| fs::write(local.join("ALPM_DB_VERSION"), "9\n"))
        .map_err(trying("make pacman's db"))?;
    if !request.repositories.is_empty() || !request.install.is_empty() {
        run_pacman(request, family)?;
    }
    let mut installed =
        installed_in(Path::new(ROOT)).map_err(trying("read which packages are installed"))?;
    add_digests(&request.expected, &mut installed)
        .map_err(trying("read the packages that were downloaded"))?;
    // They are in the root now, and count against the build's disk.
    fs::remove_dir_all(CACHE).map_err(trying("remove downloaded packages"))?;
    let differences = compare(request, &installed);
    match differences.is_empty() {
        true => Ok(installed),
        false => Err(InstallError::Different(differences)),
    }
}

/// How the installation differs from what the request expects, in words.
pub fn compare(request: &BuildRequest, installed: &[InstalledPackage]) -> Vec<String> {
    match &request.expected {
        Some(expected) => differences(expected, installed),
        None => Vec::new(),
    }
}

/// pacman's command line. Each option that is not obvious has its reason here.
fn arguments(request: &BuildRequest) -> Vec<String> {
    let mut arguments: Vec<String> = [
        ("--root", ROOT),
        ("--dbpath", &format!("{ROOT}/var/lib/pacman")),
        // --root alone moves neither the cache nor the log.
        ("--cachedir", CACHE),
        ("--logfile", LOG),
        ("--hookdir", &format!("{ROOT}/etc/pacman.d/hooks")),
        ("--config", CONFIG),
    ]
    .iter()
    .flat_map(|(option, value)| [(*option).to_owned(), (*value).to_owned()])
    .collect();
    arguments.extend(["--noconfirm", "--noprogressbar"].map(str::to_owned));
    arguments.push("-Sy".to_owned());
    if request.root_mode == RootMode::Host {
        // The root has no shell yet: it is underneath later.
        arguments.push("--noscriptlet".to_owned());
    }
    if !request.install.is_empty() {
        arguments.extend(["--needed", "--asdeps"].map(str::to_owned));
        for relation in &request.assumed {
            arguments.push("--assume-installed".to_owned());
            arguments.push(provision_for(relation));
        }
        arguments.push("--".to_owned());
        arguments.extend(request.install.iter().cloned());
    }
    arguments
}

/// A `name=version` that satisfies a relation.
pub fn provision_for(relation: &str) -> String {
    let Ok(parsed) = relation.parse::<Relation>() else {
        return relation.to_owned();
    };
    let name = &parsed.name;
    match parsed.constraint {
        None => name.clone(),
        Some(constraint) => match constraint.op {
            Comparison::Equal | Comparison::GreaterEqual | Comparison::LessEqual => {
                format!("{name}={}", constraint.version)
            }
            // One more part makes a version later, whatever it is.
            Comparison::Greater => format!("{name}={}.1", constraint.version),
            // No version is earlier.
            Comparison::Less => format!("{name}=0"),
        },
    }
}

fn run_pacman(request: &BuildRequest, family: &mut Family) -> Result<(), InstallError> {
    let (reader, writer) = io::pipe().map_err(trying("make a pipe for pacman"))?;
    let second = writer
        .try_clone()
        .map_err(trying("make a pipe for pacman"))?;
    let mut command = Command::new("pacman");
    command
        .args(arguments(request))
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second);
    let process = family.spawn(&mut command).map_err(trying("start pacman"))?;
    // The pipe ends when pacman and everything that it started have closed their ends, and ours
    // have to be closed for that, too.
    drop(command);
    let complaints = pass_on(reader).map_err(trying("read what pacman says"))?;
    let end = family
        .wait_for(process)
        .map_err(trying("wait for pacman"))?;
    family.end_all();
    if end == 0 {
        return Ok(());
    }
    match complaints.is_empty() {
        true => Err(InstallError::Refused(vec![format!(
            "pacman ended with {end}"
        )])),
        false => Err(InstallError::Refused(complaints)),
    }
}

/// Writes pacman's words to the log and keeps its complaints.
fn pass_on(reader: io::PipeReader) -> io::Result<Vec<String>> {
    let mut reader = BufReader::new(reader);
    let mut complaints = Vec::new();
    let mut line = Vec::new();
    let mut log = io::stdout().lock();
    while reader.read_until(b'\n', &mut line)? > 0 {
        log.write_all(&line)?;
        log.flush()?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        // pacman's own words; with LC_ALL=C they are not translated.
        let complaint = text
            .strip_prefix("error: ")
            .or_else(|| text.strip_prefix(":: unable to "));
        if let Some(complaint) = complaint
            && complaints.len() < MOST_COMPLAINTS
        {
            let unable = text.starts_with("::");
            complaints.push(match unable {
                true => format!("unable to {complaint}"),
                false => complaint.to_owned(),
            });
        }
        line.clear();
    }
    Ok(complaints)
}

/// Everything that pacman's own db of a root lists.
pub fn installed_in(root: &Path) -> io::Result<Vec<InstalledPackage>> {
    let mut packages = Vec::new();
    let entries = match fs::read_dir(root.join("var/lib/pacman/local")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(packages),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let desc = fs::read_to_string(entry.path().join("desc"))?;
        let field = |name: &str| {
            let mut lines = desc.lines().skip_while(|line| *line != name).skip(1);
            lines.next().map(str::to_owned)
        };
        if let (Some(pkgname), Some(version)) = (field("%NAME%"), field("%VERSION%")) {
            packages.push(InstalledPackage {
                pkgname,
                version,
                sha256: None,
            });
        }
    }
    packages.sort();
    Ok(packages)
}

/// Adds the digests of the package files as they were downloaded, if digests are to be compared.
fn add_digests(
    expected: &Option<Vec<ExpectedPackage>>,
    installed: &mut [InstalledPackage],
) -> io::Result<()> {
    if expected
        .iter()
        .flatten()
        .all(|package| package.sha256.is_none())
    {
        return Ok(());
    }
    let digests = digests()?;
    for package in installed {
        let name = format!("{}-{}", package.pkgname, package.version);
        package.sha256 = digests.get(&name).cloned();
    }
    Ok(())
}

/// SHA-256 of every package file in the cache, by `pkgname-version`.
fn digests() -> io::Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(CACHE)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // pkgname-pkgver-pkgrel-arch.pkg.tar.zst
        let Some((stem, extension)) = name.split_once(".pkg.tar") else {
            continue;
        };
        let Some((package, _)) = stem.rsplit_once('-') else {
            continue;
        };
        if extension.ends_with(".sig") {
            continue;
        }
        digests.insert(package.to_owned(), sha256(&entry.path())?);
    }
    Ok(digests)
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// Every difference between what was expected and what is installed, in words.
fn differences(expected: &[ExpectedPackage], installed: &[InstalledPackage]) -> Vec<String> {
    let installed: BTreeMap<&str, &InstalledPackage> = installed
        .iter()
        .map(|package| (package.pkgname.as_str(), package))
        .collect();
    let mut differences = Vec::new();
    for package in expected {
        let ExpectedPackage {
            pkgname,
            version,
            sha256,
            repository,
        } = package;
        match installed.get(pkgname.as_str()) {
            None => differences.push(format!(
                "{pkgname} {version} from {repository} was expected, but it is not installed"
            )),
            Some(other) if other.version != *version => differences.push(format!(
                "{pkgname} {version} from {repository} was expected, but {} is installed",
                other.version
            )),
            Some(other) => {
                if let (Some(wanted), Some(got)) = (sha256, &other.sha256)
                    && !wanted.eq_ignore_ascii_case(got)
                {
                    differences.push(format!(
                        "{pkgname} {version} from {repository} with SHA-256 {wanted} was expected, \
                         but another package of that version is installed: {got}"
                    ));
                }
            }
        }
    }
    let names: std::collections::BTreeSet<&str> = expected
        .iter()
        .map(|package| package.pkgname.as_str())
        .collect();
    for package in installed.values() {
        if !names.contains(package.pkgname.as_str()) {
            differences.push(format!(
                "{} {} is installed, but was not expected",
                package.pkgname, package.version
            ));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(pkgname: &str, version: &str, sha256: Option<&str>) -> ExpectedPackage {
        ExpectedPackage {
            pkgname: pkgname.into(),
            version: version.into(),
            sha256: sha256.map(str::to_owned),
            repository: "base".into(),
        }
    }

    fn present(pkgname: &str, version: &str, sha256: Option<&str>) -> InstalledPackage {
        InstalledPackage {
            pkgname: pkgname.into(),
            version: version.into(),
            sha256: sha256.map(str::to_owned),
        }
    }

    #[test]
    fn every_difference_is_named() {
        let expected = [
            expected("same", "1-1", Some("AB")),
            expected("other", "2-1", None),
            expected("missing", "3-1", None),
            expected("changed", "4-1", Some("ab")),
        ];
        let installed = [
            present("same", "1-1", Some("ab")),
            present("other", "1:1-1", None),
            present("changed", "4-1", Some("cd")),
            present("additional", "5-1", None),
        ];
        let found = differences(&expected, &installed);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("other 2-1 from base") && found[0].contains("1:1-1"));
        assert!(found[1].starts_with("missing 3-1"));
        assert!(found[2].starts_with("changed 4-1") && found[2].contains("cd"));
        assert!(found[3].starts_with("additional 5-1"));
    }

    #[test]
    fn assumed_relations_are_satisfied() {
        for (relation, provision) in [
            ("foo", "foo"),
            ("foo>=2-1", "foo=2-1"),
            ("foo<=2", "foo=2"),
            ("foo=1:2", "foo=1:2"),
            ("foo<2", "foo=0"),
            ("libfoo.so=2-64", "libfoo.so=2-64"),
        ] {
            assert_eq!(provision_for(relation), provision);
        }
        let later = provision_for("foo>2-1");
        let version = later.strip_prefix("foo=").unwrap();
        assert!(buildbtw_graph::vercmp(version, "2-1").is_gt());
    }
}
