//! The calculation: what it stands on, the plan, its proof, and the commits that it is pinned to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use buildbtw_api::namespaces::{
    BaseOrigin, BaseRepository, NamespaceOptions, PlanRequest, WhyRequest,
};
use buildbtw_api::runs::RootMode;
use buildbtw_api::{Changeset, NamespaceName, WorkerMode};
use buildbtw_graph::{
    Architecture, NoProvedPlan, PkgBase, Plan, PlanInput, PlanOptions, PlanWarning, ReleasedIndex,
    Scope, SourceIndex, SourcePackage, Why, proved_plan,
};

use super::PlannerError;
use super::pins::{self, PinnedSources, Pins};
use crate::Server;
use crate::bases::Snapshot;
use crate::db::{namespaces, ready};
use crate::dispatch::situation::workplaces;
use crate::scheduler::foresee;
use crate::sources::{Heads, READING, ResolvedChangeset, SourceCommit};

/// How often planning starts again because a source moved in the middle of it.
pub(super) const MOVING_SOURCES_TRIES: u32 = 3;

/// How many unreadable sources a warning names.
const UNREAD_SHOWN: usize = 8;

/// A finished calculation with all that it was pinned to.
#[derive(Debug)]
pub struct Calculation {
    /// The plan.
    pub plan: Plan,
    /// The base repositories, by architecture.
    pub bases: BTreeMap<Architecture, Snapshot>,
    /// The commit of every package base that is to be built.
    pub commits: HashMap<PkgBase, SourceCommit>,
}

/// Resolves changesets to commits, all of them or none.
pub async fn resolve(
    server: &Server,
    changesets: &[Changeset],
) -> Result<Vec<ResolvedChangeset>, PlannerError> {
    if changesets.is_empty() {
        return Err(PlannerError::NoChangeset);
    }
    server.sources.until_whole(READING).await?;
    let mut resolved: Vec<ResolvedChangeset> = Vec::with_capacity(changesets.len());
    for changeset in changesets {
        if resolved
            .iter()
            .any(|other| other.changeset.pkgbase == changeset.pkgbase)
        {
            return Err(PlannerError::NamedTwice(changeset.pkgbase.clone()));
        }
        resolved.push(server.sources.resolve(changeset).await?);
    }
    Ok(resolved)
}

/// Plans without storing anything.
pub async fn preview(server: &Server, request: &PlanRequest) -> Result<Plan, PlannerError> {
    check_bases(server, &request.options)?;
    let resolved = resolve(server, &request.changesets).await?;
    let pins = match &request.namespace {
        Some(namespace) => pins_of(server, namespace).await?,
        None => Pins::default(),
    };
    let calculation = calculate(server, &resolved, &request.options, &pins).await?;
    estimated(server, calculation.plan).await
}

/// Says how long each build set is expected to take on the workers that get builds now, and which chain in it.
async fn estimated(server: &Server, mut plan: Plan) -> Result<Plan, PlannerError> {
    let mut db = server.db.read().await?;
    let workplaces = workplaces(server, &mut db).await?;
    let mut known = HashMap::new();
    for architecture in plan.architectures.keys() {
        let durations = ready::durations(&mut db, architecture).await?;
        known.insert(architecture.clone(), durations);
    }
    drop(db);
    let slots = move |on: &Architecture| {
        let here = workplaces
            .iter()
            .filter(|it| it.mode == WorkerMode::Active && it.architectures.contains(on));
        here.map(|it| it.slots).sum()
    };
    let task = tokio::task::spawn_blocking(move || {
        for (on, set) in &mut plan.architectures {
            foresee(set, &known[on], slots(on));
        }
        plan
    });
    task.await
        .map_err(|error| PlannerError::Broken(error.to_string()))
}

/// What the next iteration of a namespace would take over from those there are.
async fn pins_of(server: &Server, name: &NamespaceName) -> Result<Pins, PlannerError> {
    let namespace = namespaces::by_name(&mut *server.db.read().await?, name).await?;
    let namespace = namespace.ok_or_else(|| PlannerError::UnknownNamespace(name.clone()))?;
    Ok(Pins::before(server, namespace.key, u32::MAX).await?)
}

/// Refuses base repositories that a request must not make the server ask for.
///
/// # Errors
///
/// For a mirror that is neither configured nor on an allowed host: else anybody could have the
/// server look into networks and files that are not theirs.
pub fn check_bases(server: &Server, options: &NamespaceOptions) -> Result<(), PlannerError> {
    let config = &server.config;
    let host = |url: &str| Some(url::Url::parse(url).ok()?.host_str()?.to_owned());
    for base in options.base.iter().flatten() {
        let BaseOrigin::Mirror { url, .. } = &base.origin else {
            continue;
        };
        let known = |configured: &BaseRepository| match &configured.origin {
            BaseOrigin::Mirror { url: known, .. } => {
                known == url || (host(url).is_some() && host(known) == host(url))
            }
            BaseOrigin::Namespace(_) => false,
        };
        let allowed = |host: String| config.base_hosts.contains(&host);
        if !config.base_repositories.iter().any(known) && !host(url).is_some_and(allowed) {
            return Err(PlannerError::BaseNotAllowed(base.to_string()));
        }
    }
    Ok(())
}

/// The base repositories a namespace uses.
pub fn base_repositories<'a>(
    server: &'a Server,
    options: &'a NamespaceOptions,
) -> &'a [BaseRepository] {
    options
        .base
        .as_deref()
        .unwrap_or(&server.config.base_repositories)
}

/// Says why a source would be rebuilt or not, without storing anything.
pub async fn why(
    server: &Server,
    request: &WhyRequest,
) -> Result<BTreeMap<Architecture, Why>, PlannerError> {
    check_bases(server, &request.options)?;
    let resolved = resolve(server, &request.changesets).await?;
    let ground = Ground::gather(server, &resolved, &request.options, &Pins::default()).await?;
    let pkgbase = request.pkgbase.clone();
    let sources = server.sources.index();
    ground
        .calculate(move |ground| buildbtw_graph::why(&ground.input(&sources), &pkgbase))
        .await
}

/// What a calculation stands on, besides the sources.
#[derive(Clone)]
struct Ground {
    released: Arc<BTreeMap<Architecture, Arc<ReleasedIndex>>>,
    changes: Arc<Vec<SourcePackage>>,
    options: Arc<PlanOptions>,
    bases: BTreeMap<Architecture, Snapshot>,
}

impl Ground {
    async fn gather(
        server: &Server,
        resolved: &[ResolvedChangeset],
        options: &NamespaceOptions,
        pins: &Pins,
    ) -> Result<Self, PlannerError> {
        let config = &server.config;
        let mut bases = BTreeMap::new();
        let mut released: BTreeMap<Architecture, Arc<ReleasedIndex>> = BTreeMap::new();
        for architecture in &config.architectures {
            let snapshot = match pins.bases.get(architecture) {
                Some(pinned) => Snapshot {
                    repositories: pinned.clone(),
                    index: server.bases.pinned(pinned).await?,
                },
                None => {
                    let repositories = base_repositories(server, options);
                    server.bases.snapshot(repositories, architecture).await?
                }
            };
            released.insert(architecture.clone(), Arc::clone(&snapshot.index));
            bases.insert(architecture.clone(), snapshot);
        }
        let options = PlanOptions {
            architectures: config.architectures.clone(),
            scope: options.scope,
            via: options.via,
            pkgrel: options.pkgrel,
            passes: options.passes,
            implicit: config.implicit_packages.clone(),
            bootstrap: options.bootstrap,
            host_tools: config.root_mode == RootMode::Host,
            ..PlanOptions::default()
        };
        let changes = resolved.iter().map(|changeset| changeset.package.clone());
        Ok(Self {
            released: Arc::new(released),
            changes: Arc::new(changes.collect()),
            options: Arc::new(options),
            bases,
        })
    }

    fn input<'a>(&'a self, sources: &'a SourceIndex) -> PlanInput<'a> {
        PlanInput {
            sources,
            released: &self.released,
            changes: &self.changes,
            options: &self.options,
        }
    }

    /// What can be planned but not be built: without base repositories the default branches stand
    /// for what is released, and pacman finds no packages of them.
    fn warning(&self) -> Option<PlanWarning> {
        let nothing = self
            .bases
            .values()
            .all(|bases| bases.repositories.is_empty());
        (nothing && !self.options.bootstrap).then(|| PlanWarning {
            pkgbase: None,
            message: "there is no base repository: a build that needs a package which is not built \
                      here ends as `dependencies`; set BASE_REPOSITORIES, pass --base, or plan with \
                      --bootstrap"
                .to_owned(),
        })
    }

    /// Sources that cannot be read and of which nothing is released either: whether they depend on what is
    /// rebuilt is not known, so they are missing in the plan and somebody should hear it.
    fn unknown_dependents(&self, heads: &Heads) -> Option<PlanWarning> {
        if self.options.scope == Scope::None {
            return None;
        }
        let is_released = |pkgbase: &PkgBase| {
            let mut indexes = self.released.values();
            indexes.any(|index| index.packages_from(pkgbase.as_str()).next().is_some())
        };
        let is_changed = |pkgbase: &PkgBase| {
            let mut changes = self.changes.iter();
            changes.any(|change| change.pkgbase == *pkgbase)
        };
        let unread = heads.repositories().filter(|repository| {
            repository.problem.is_some()
                && repository.commit.is_some()
                && repository.package.is_none()
                && !is_changed(&repository.pkgbase)
                && !is_released(&repository.pkgbase)
        });
        let names: Vec<&str> = unread
            .map(|repository| repository.pkgbase.as_str())
            .collect();
        let shown = names.iter().take(UNREAD_SHOWN).copied().collect::<Vec<_>>();
        let more = match names.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!names.is_empty()).then(|| PlanWarning {
            pkgbase: None,
            message: format!(
                "whether they depend on this is not known, since their sources cannot be read and nothing of them is \
                 released: {}{more}; `bbtw sources --problems` says what is wrong with them",
                shown.join(", ")
            ),
        })
    }

    /// Carries a calculation out on a thread where it keeps nobody waiting.
    async fn calculate<T: Send + 'static, E: Into<PlannerError> + Send + 'static>(
        &self,
        calculation: impl FnOnce(&Ground) -> Result<T, E> + Send + 'static,
    ) -> Result<T, PlannerError> {
        let ground = self.clone();
        let task = tokio::task::spawn_blocking(move || calculation(&ground));
        let result = task
            .await
            .map_err(|error| PlannerError::Broken(error.to_string()))?;
        result.map_err(Into::into)
    }
}

/// The proved plan for an input, made unless it was the last one that was.
fn planned(server: &Server, input: &PlanInput<'_>) -> Result<Plan, NoProvedPlan> {
    if let Some(known) = server.remembered.get(input) {
        return Ok(Plan::clone(&known));
    }
    let plan = proved_plan(input)?;
    server.remembered.put(input, &plan);
    Ok(plan)
}

/// Makes a plan for resolved changesets; what is pinned stays as it is.
pub async fn calculate(
    server: &Server,
    resolved: &[ResolvedChangeset],
    options: &NamespaceOptions,
    pins: &Pins,
) -> Result<Calculation, PlannerError> {
    let ground = Ground::gather(server, resolved, options, pins).await?;
    let mut moving = None;
    for _ in 0..MOVING_SOURCES_TRIES {
        let heads = server.sources.heads();
        let pinned = pins::apply(server, pins, &heads, resolved).await?;
        let mut plan = {
            let (server, sources) = (server.clone(), pinned.index.clone());
            ground
                .calculate(move |ground| planned(&server, &ground.input(&sources)))
                .await?
        };
        match pin_members(server, resolved, &heads, &pinned, &plan) {
            Ok(commits) => {
                plan.warnings
                    .extend(reading_warnings(server, resolved, &commits));
                plan.warnings.extend(pinned.warnings);
                let unread = unread_sources(&heads, &plan);
                plan.warnings.extend(unread);
                plan.warnings.extend(ground.unknown_dependents(&heads));
                plan.warnings.extend(ground.warning());
                plan.warnings.sort();
                return Ok(Calculation {
                    plan,
                    bases: ground.bases,
                    commits,
                });
            }
            Err(pkgbase) => moving = Some(pkgbase),
        }
    }
    match moving {
        Some(pkgbase) => Err(PlannerError::MovingSources(pkgbase)),
        None => Err(PlannerError::NoChangeset),
    }
}

/// The commit of every package base of a plan; the package base whose sources moved since the
/// index was taken, if there is one.
fn pin_members(
    server: &Server,
    resolved: &[ResolvedChangeset],
    then: &Heads,
    pinned: &PinnedSources,
    plan: &Plan,
) -> Result<HashMap<PkgBase, SourceCommit>, PkgBase> {
    let mut commits: HashMap<PkgBase, SourceCommit> = resolved
        .iter()
        .map(|changeset| {
            (
                changeset.changeset.pkgbase.clone(),
                changeset.commit.clone(),
            )
        })
        .collect();
    let heads = server.sources.heads();
    for build in plan.architectures.values().flat_map(|set| &set.builds) {
        if commits.contains_key(&build.pkgbase) {
            continue;
        }
        if let Some(commit) = pinned.commits.get(&build.pkgbase) {
            commits.insert(build.pkgbase.clone(), commit.clone());
            continue;
        }
        // The index is replaced together with the heads, so one look at both is enough.
        let unmoved = heads.index().get(&build.pkgbase) == then.index().get(&build.pkgbase);
        match heads.head(&build.pkgbase) {
            Some(commit) if unmoved => commits.insert(build.pkgbase.clone(), commit.clone()),
            _ => return Err(build.pkgbase.clone()),
        };
    }
    Ok(commits)
}

/// Why sources are missing of which the plan has something to say: a dependent with a broken
/// `.SRCINFO` is left out, and whoever reads that wants to know what to mend.
fn unread_sources(heads: &Heads, plan: &Plan) -> Vec<PlanWarning> {
    let named = plan.warnings.iter().filter_map(|it| it.pkgbase.as_ref());
    let named: BTreeSet<&PkgBase> = named.collect();
    let unread = named.into_iter().filter_map(|pkgbase| {
        let problem = heads.repository(pkgbase)?.problem.as_ref()?;
        // The parser's picture of the place is for whoever mends it; the first line says enough.
        let problem = problem.lines().next()?.trim_end_matches(':');
        Some(PlanWarning {
            pkgbase: Some(pkgbase.clone()),
            message: format!("its source repository cannot be read: {problem}"),
        })
    });
    unread.collect()
}

/// What was passed over in reading the `.SRCINFO` of each source that is to be built.
fn reading_warnings(
    server: &Server,
    resolved: &[ResolvedChangeset],
    commits: &HashMap<PkgBase, SourceCommit>,
) -> Vec<PlanWarning> {
    let heads = server.sources.heads();
    let of_changes = resolved
        .iter()
        .map(|changeset| (&changeset.changeset.pkgbase, &changeset.warnings));
    let changed = |pkgbase: &PkgBase| {
        let mut changesets = resolved.iter();
        changesets.any(|changeset| changeset.changeset.pkgbase == *pkgbase)
    };
    let of_others = commits
        .keys()
        .filter(|pkgbase| !changed(pkgbase))
        .filter_map(|pkgbase| Some((pkgbase, &heads.repository(pkgbase)?.warnings)));
    of_changes
        .chain(of_others)
        .flat_map(|(pkgbase, warnings)| {
            warnings.iter().map(|warning| PlanWarning {
                pkgbase: Some(pkgbase.clone()),
                message: warning.clone(),
            })
        })
        .collect()
}
