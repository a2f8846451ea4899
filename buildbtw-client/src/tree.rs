//! Planning without a server, from folders of `.SRCINFO` files.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use buildbtw_api::Changeset;
use buildbtw_api::namespaces::PlanRequest;
use buildbtw_graph::{
    Architecture, MAX_SRCINFO_LENGTH, NoProvedPlan, PkgBase, Plan, PlanError, PlanInput,
    PlanOptions, PlanWarning, SourceIndex, SourcePackage, Why, proved_plan, read_srcinfo, why,
};
use rayon::prelude::*;

use crate::cli;
use crate::failure::Failure;

/// The file of a folder of packages that says which repository each is released to.
const REPOSITORIES: &str = "repos.tsv";

/// How many files are read at once: the first time, most of it is waiting for the disk, and that
/// keeps no core busy.
const READERS: usize = 16;

/// Everything that a plan is made from.
pub struct Tree {
    sources: SourceIndex,
    changes: Vec<SourcePackage>,
    options: PlanOptions,
    /// Why files cannot be read, by path: what they describe is missing in every plan.
    unread: BTreeMap<PathBuf, String>,
    /// Files that are left out though they can be read.
    left_out: Vec<PlanWarning>,
    /// Lines that were passed over, by package base.
    passed_over: BTreeMap<PkgBase, Vec<PlanWarning>>,
}

impl Tree {
    /// Reads the folders that the command line names; `None` where it names none.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read, or a changeset names a package that is in none.
    pub fn read(arguments: &cli::Tree, request: &PlanRequest) -> Result<Option<Self>, Failure> {
        let Some(folder) = &arguments.srcinfo_dir else {
            return Ok(None);
        };
        let mut tree = Self {
            sources: SourceIndex::new(),
            changes: Vec::new(),
            options: options(arguments, request),
            unread: BTreeMap::new(),
            left_out: Vec::new(),
            passed_over: BTreeMap::new(),
        };
        let mut files = read_folder(folder)?;
        // The changes may lie among the sources.
        let changed = arguments.changed_dir.as_deref();
        files.retain(|file| !(file.reading.is_err() && changed.is_some_and(|it| file.is_of(it))));
        if files.iter().all(|file| !file.path.exists()) {
            let message = format!("there is no <pkgbase>/.SRCINFO in {}", folder.display());
            return Err(Failure::new(message)
                .hint("name the folder that has a folder for each package base")
                .usage());
        }
        for file in files {
            if let Some(package) = tree.take_in(file) {
                tree.sources.insert(package);
            }
        }
        tree.sources.set_repositories(repositories(folder)?);
        tree.read_changes(changed, &request.changesets)?;
        Ok(Some(tree))
    }

    /// Makes the plan.
    ///
    /// # Errors
    ///
    /// When the calculation refuses the input.
    pub fn plan(&self) -> Result<Plan, Failure> {
        let input = self.input();
        let mut plan = proved_plan(&input).map_err(|error| match error {
            NoProvedPlan::NoPlan(error) => refused(error),
            unproved @ NoProvedPlan::Unproved(_) => Failure::new(unproved.to_string())
                .hint("this is a mistake of buildbtw; please report it"),
        })?;
        let sets = plan.architectures.values();
        let members: std::collections::BTreeSet<&PkgBase> = sets
            .flat_map(|set| &set.builds)
            .map(|build| &build.pkgbase)
            .collect();
        let of_members = self
            .passed_over
            .iter()
            .filter(|(pkgbase, _)| members.contains(pkgbase));
        let warnings: Vec<PlanWarning> = of_members
            .flat_map(|(_, warnings)| warnings)
            .chain(&self.left_out)
            .cloned()
            .collect();
        plan.warnings
            .extend(self.unread.iter().map(|(path, reason)| PlanWarning {
                pkgbase: None,
                message: format!("{}: {reason}; it is left out", path.display()),
            }));
        plan.warnings.extend(warnings);
        plan.warnings.sort();
        Ok(plan)
    }

    /// Says why a package base would be rebuilt, or why not.
    ///
    /// # Errors
    ///
    /// When the calculation refuses the input.
    pub fn why(&self, pkgbase: &PkgBase) -> Result<BTreeMap<Architecture, Why>, Failure> {
        why(&self.input(), pkgbase).map_err(refused)
    }

    fn input(&self) -> PlanInput<'_> {
        // Without base repositories the tree itself, without the changes, stands for what is
        // released, unless it is to be bootstrapped.
        static NONE: BTreeMap<Architecture, std::sync::Arc<buildbtw_graph::ReleasedIndex>> =
            BTreeMap::new();
        PlanInput {
            sources: &self.sources,
            released: &NONE,
            changes: &self.changes,
            options: &self.options,
        }
    }

    /// A file's package, unless it cannot be read or is there already; what is wrong is noted.
    fn take_in(&mut self, file: File) -> Option<SourcePackage> {
        let path = file.path;
        let reading = match file.reading {
            Ok(reading) => reading,
            Err(reason) => {
                self.unread.insert(path, reason);
                return None;
            }
        };
        let pkgbase = reading.package.pkgbase.clone();
        if self.sources.get(&pkgbase).is_some() {
            self.left_out.push(PlanWarning {
                pkgbase: Some(pkgbase),
                message: format!(
                    "{}: the file of another folder has this pkgbase already; it is left out",
                    path.display()
                ),
            });
            return None;
        }
        self.note(&pkgbase, &path, &reading.warnings);
        Some(reading.package)
    }

    fn note(
        &mut self,
        pkgbase: &PkgBase,
        path: &Path,
        warnings: &[buildbtw_graph::SrcinfoWarning],
    ) {
        if warnings.is_empty() {
            self.passed_over.remove(pkgbase);
            return;
        }
        let warnings = warnings.iter().map(|warning| PlanWarning {
            pkgbase: Some(pkgbase.clone()),
            message: format!(
                "{}, line {}: {}: {}",
                path.display(),
                warning.line,
                warning.field,
                warning.message
            ),
        });
        self.passed_over.insert(pkgbase.clone(), warnings.collect());
    }

    /// Takes the changed sources: from their own folder where they are there.
    fn read_changes(
        &mut self,
        folder: Option<&Path>,
        changesets: &[Changeset],
    ) -> Result<(), Failure> {
        let mut changed = HashMap::new();
        for file in folder.map(read_folder).transpose()?.unwrap_or_default() {
            let reading = file.reading.map_err(|reason| {
                let path = file.path.display();
                Failure::new(format!("{path}: {reason}")).hint(
                    "a changed package has to be readable; `makepkg --printsrcinfo` writes it anew",
                )
            })?;
            changed.insert(reading.package.pkgbase.clone(), (file.path, reading));
        }
        for changeset in changesets {
            let pkgbase = &changeset.pkgbase;
            if let Some((path, reading)) = changed.remove(pkgbase) {
                self.note(pkgbase, &path, &reading.warnings);
                self.changes.push(reading.package);
            } else if let Some(source) = self.sources.get(pkgbase) {
                self.changes.push(SourcePackage::clone(source));
            } else {
                return Err(self.unknown(pkgbase));
            }
        }
        for (pkgbase, (path, _)) in changed {
            self.left_out.push(PlanWarning {
                pkgbase: Some(pkgbase.clone()),
                message: format!(
                    "{}: no changeset names {pkgbase}, so this change is left out",
                    path.display()
                ),
            });
        }
        Ok(())
    }

    /// That nothing is known of a package base, and what is.
    pub fn unknown(&self, pkgbase: &PkgBase) -> Failure {
        let is_its_own =
            |path: &&PathBuf| path.ends_with(Path::new(pkgbase.as_str()).join(".SRCINFO"));
        if let Some(path) = self.unread.keys().find(is_its_own) {
            return Failure::new(format!("{}: {}", path.display(), self.unread[path]));
        }
        let makes = |source: &&std::sync::Arc<SourcePackage>| {
            let mut packages = source.packages.iter();
            packages.any(|package| package.pkgname.as_str() == pkgbase.as_str())
        };
        let hint = match self.sources.iter().find(makes) {
            Some(source) => format!("`{}` makes a package of that name", source.pkgbase),
            None => "name a folder of --srcinfo-dir or --changed-dir, by its pkgbase".to_owned(),
        };
        Failure::new(format!("there is no package base {pkgbase}")).hint(hint)
    }
}

fn options(arguments: &cli::Tree, request: &PlanRequest) -> PlanOptions {
    let options = &request.options;
    let implicit = arguments.implicit.iter();
    PlanOptions {
        architectures: arguments.architecture.clone(),
        scope: options.scope,
        via: options.via,
        pkgrel: options.pkgrel,
        passes: options.passes,
        implicit: implicit.filter_map(|one| one.0.clone()).collect(),
        bootstrap: options.bootstrap,
        host_tools: false,
        ..PlanOptions::default()
    }
}

fn refused(error: PlanError) -> Failure {
    Failure::new(error.to_string())
}

/// A `.SRCINFO` file and what it says.
struct File {
    path: PathBuf,
    reading: Result<buildbtw_graph::SrcinfoReading, String>,
}

impl File {
    /// Whether it would be the file of this folder, however that is written.
    fn is_of(&self, folder: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        let own = self.path.parent().and_then(real);
        own.is_some() && own == real(folder)
    }

    /// Whether its folder is called as its pkgbase.
    fn is_in_its_own_folder(&self) -> bool {
        let folder = self.path.parent().and_then(Path::file_name);
        let pkgbase = self.reading.as_ref().map(|it| it.package.pkgbase.as_str());
        pkgbase.is_ok_and(|pkgbase| folder.is_some_and(|folder| folder == pkgbase))
    }
}

/// The files `<pkgbase>/.SRCINFO` of a folder, in the order of their names.
fn read_folder(folder: &Path) -> Result<Vec<File>, Failure> {
    let failed = |error: io::Error| {
        Failure::file(format_args!("read the folder {}", folder.display()), &error)
    };
    let mut paths = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| Ok(entry?.path()))
        .filter(|path: &io::Result<PathBuf>| !path.as_deref().is_ok_and(is_hidden))
        .map(|path| Ok(path?.join(".SRCINFO")))
        .collect::<io::Result<Vec<PathBuf>>>()
        .map_err(failed)?;
    paths.sort();
    let read = |path: PathBuf| {
        let text = match read_text(&path) {
            Ok(text) => text?,
            Err(error) => {
                let reading = Err(error.to_string());
                return Some(File { path, reading });
            }
        };
        let reading = read_srcinfo(&text).map_err(|error| error.to_string());
        Some(File { path, reading })
    };
    let read_all = || paths.into_par_iter().filter_map(read).collect();
    let readers = rayon::ThreadPoolBuilder::new().num_threads(READERS).build();
    let mut files: Vec<File> = match readers {
        Ok(readers) => readers.install(read_all),
        Err(_) => read_all(),
    };
    // Of several files of one pkgbase the one counts that stands in the folder of that name.
    files.sort_by_key(|file| !file.is_in_its_own_folder());
    Ok(files)
}

/// Whether a folder is none of packages: `.git`, for one.
fn is_hidden(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// The text of a file, `None` where none belongs: beside the folders. What is not UTF-8 in it stands in texts for
/// people, and is replaced.
fn read_text(path: &Path) -> io::Result<Option<String>> {
    let length = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(io::Error::other("it is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(io::Error::other("there is no such file"));
        }
        Err(error) => return Err(error),
    };
    if length > MAX_SRCINFO_LENGTH as u64 {
        let reason = format!("it has {length} bytes; {MAX_SRCINFO_LENGTH} are the limit");
        return Err(io::Error::other(reason));
    }
    let bytes = std::fs::read(path)?;
    Ok(Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}

/// The number of each package base's repository: they count in the order in which they first
/// appear. Lines that begin with `#`, a heading and further columns are passed over.
fn repositories(folder: &Path) -> Result<Vec<(PkgBase, u32)>, Failure> {
    let path = folder.join(REPOSITORIES);
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::file(
                format_args!("read {}", path.display()),
                &error,
            ));
        }
    };
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(pkgbase), Some(repository)) = (columns.next(), columns.next()) else {
            continue;
        };
        if pkgbase == "pkgbase" {
            continue;
        }
        if let Ok(pkgbase) = pkgbase.trim().parse() {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            found.push((pkgbase, *numbers.entry(repository.trim()).or_insert(next)));
        }
    }
    Ok(found)
}
