//! From changesets to iterations: resolve, pin, plan, store.
//!
//! The calculation itself is `buildbtw_graph::plan`; this room gathers what it needs and keeps
//! what comes out. An iteration is first stored as being planned, so that a crash in the middle is
//! found and the planning done again.

pub mod follow;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use buildbtw_api::namespaces::{
    BaseOrigin, BaseRepository, IterationReason, NamespaceOptions, PlanRequest, WhyRequest,
};
use buildbtw_api::runs::RootMode;
use buildbtw_api::{Changeset, IterationStatus, Problem, ProblemType};
use buildbtw_graph::{
    Architecture, Flaw, PkgBase, Plan, PlanInput, PlanOptions, PlanWarning, ReleasedIndex,
    SourceIndex, SourcePackage, Why,
};

use crate::Server;
use crate::bases::Snapshot;
use crate::db::iterations::{PinnedOrigin, StoredIteration};
use crate::db::keys::NamespaceKey;
use crate::db::{DbError, iterations, namespaces, plans};
use crate::dispatch::steps;
use crate::problems::HttpProblem;
use crate::sources::{ResolvedChangeset, SourceCommit, SourceError};

pub use follow::follow_origins;

/// How often planning starts again because a source moved in the middle of it.
const MOVING_SOURCES_TRIES: u32 = 3;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlannerError {
    /// A changeset cannot be resolved.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// A base repository cannot be read.
    #[error("{0}")]
    Bases(#[from] crate::bases::BasesError),
    /// The calculation refuses the input.
    #[error("{0}")]
    Plan(#[from] buildbtw_graph::PlanError),
    /// The proof refuses the plan: a mistake of ours.
    #[error("the plan did not stand its proof; please report this: {}", listed(.0))]
    Unproved(Vec<Flaw>),
    /// There is nothing to plan.
    #[error("no changeset is given")]
    NoChangeset,
    /// One package is named twice.
    #[error("{0} is named twice; a namespace takes one changeset a package")]
    NamedTwice(PkgBase),
    /// A base repository that the server does not ask because somebody says so.
    #[error("base repository {0} is not one that the server may ask")]
    BaseNotAllowed(String),
    /// Sources kept moving.
    #[error(
        "the sources of {0} moved while the plan was made, {MOVING_SOURCES_TRIES} times in a row"
    )]
    MovingSources(PkgBase),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The calculation panicked: a mistake of ours.
    #[error("the calculation broke off: {0}")]
    Broken(String),
}

/// The first of the flaws, which are many if there is one.
fn listed(flaws: &[Flaw]) -> String {
    let first: Vec<String> = flaws.iter().take(3).map(ToString::to_string).collect();
    match flaws.len().saturating_sub(first.len()) {
        0 => first.join("; "),
        more => format!("{}; and {more} more", first.join("; ")),
    }
}

impl From<PlannerError> for HttpProblem {
    fn from(error: PlannerError) -> Self {
        let detail = error.to_string();
        match error {
            PlannerError::Source(error) => error.into(),
            PlannerError::Bases(_) => Self(
                Problem::new(ProblemType::BaseUnavailable, detail).with_hint(
                    "check BASE_REPOSITORIES, or pass --base; `--base none` plans without any",
                ),
            ),
            PlannerError::Plan(_) | PlannerError::Unproved(_) => {
                Self::new(ProblemType::PlanRefused, detail)
            }
            PlannerError::NoChangeset => Self::new(ProblemType::BadRequest, detail)
                .hint("name at least one, such as `openimageio/main`"),
            PlannerError::BaseNotAllowed(_) => Self::new(ProblemType::BadRequest, detail)
                .hint("BASE_HOSTS in the server's settings names the hosts that --base may name"),
            PlannerError::NamedTwice(_) => Self::new(ProblemType::BadRequest, detail),
            PlannerError::MovingSources(_) => {
                Self::new(ProblemType::Conflict, detail).hint("try again in a moment")
            }
            PlannerError::Db(error) => error.into(),
            PlannerError::Broken(_) => Self::internal(&error),
        }
    }
}

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

/// The origins of an iteration, for its rows.
pub fn pins(resolved: &[ResolvedChangeset]) -> Vec<PinnedOrigin> {
    resolved
        .iter()
        .map(|changeset| PinnedOrigin {
            changeset: changeset.changeset.clone(),
            commit: changeset.commit.commit.clone(),
            tree: changeset.commit.tree.clone(),
        })
        .collect()
}

/// Plans without storing anything.
pub async fn preview(server: &Server, request: &PlanRequest) -> Result<Plan, PlannerError> {
    check_bases(server, &request.options)?;
    let resolved = resolve(server, &request.changesets).await?;
    Ok(calculate(server, &resolved, &request.options).await?.plan)
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
fn base_repositories<'a>(
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
    let ground = Ground::gather(server, &resolved, &request.options).await?;
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
    ) -> Result<Self, PlannerError> {
        let config = &server.config;
        let mut bases = BTreeMap::new();
        let mut released: BTreeMap<Architecture, Arc<ReleasedIndex>> = BTreeMap::new();
        for architecture in &config.architectures {
            let repositories = base_repositories(server, options);
            let snapshot = server.bases.snapshot(repositories, architecture).await?;
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

/// Plans, and has the plan proved: what the proof refuses is a mistake of ours, and nobody should
/// build by it.
fn plan_and_prove(input: &PlanInput<'_>) -> Result<Plan, PlannerError> {
    let plan = buildbtw_graph::plan(input)?;
    match buildbtw_graph::prove(input, &plan) {
        Ok(()) => Ok(plan),
        Err(flaws) => Err(PlannerError::Unproved(flaws)),
    }
}

/// Makes a plan for resolved changesets.
pub async fn calculate(
    server: &Server,
    resolved: &[ResolvedChangeset],
    options: &NamespaceOptions,
) -> Result<Calculation, PlannerError> {
    let ground = Ground::gather(server, resolved, options).await?;
    let mut moving = None;
    for _ in 0..MOVING_SOURCES_TRIES {
        let sources = server.sources.index();
        let mut plan = {
            let sources = sources.clone();
            ground
                .calculate(move |ground| plan_and_prove(&ground.input(&sources)))
                .await?
        };
        match pin_members(server, resolved, &sources, &plan) {
            Ok(commits) => {
                plan.warnings
                    .extend(reading_warnings(server, resolved, &commits));
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
    sources: &buildbtw_graph::SourceIndex,
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
        // The index is replaced together with the heads, so one look at both is enough.
        let unmoved = heads.index().get(&build.pkgbase) == sources.get(&build.pkgbase);
        match heads.head(&build.pkgbase) {
            Some(commit) if unmoved => commits.insert(build.pkgbase.clone(), commit.clone()),
            _ => return Err(build.pkgbase.clone()),
        };
    }
    Ok(commits)
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

/// Makes an iteration for resolved changesets, in the caller's transaction; it is to be planned
/// with [`plan_iteration`] once that is committed.
pub async fn new_iteration(
    db: &mut sqlx::SqliteConnection,
    namespace: NamespaceKey,
    reason: &IterationReason,
    resolved: &[ResolvedChangeset],
) -> Result<StoredIteration, DbError> {
    let (key, _) = iterations::insert(&mut *db, namespace, reason, &pins(resolved)).await?;
    iterations::by_key(db, key).await
}

/// Plans an iteration that is stored as being planned, and puts it in the place of the current
/// one; what refuses the plan is stored with the iteration. Only failures of the machinery come
/// back as errors: the iteration is then still to be planned.
pub async fn plan_iteration(
    server: &Server,
    iteration: &StoredIteration,
) -> Result<(), PlannerError> {
    // One at a time: two iterations of one namespace must not race for its place.
    let _turn = server.planning.lock().await;
    let (namespace, origins) = {
        let mut tx = server.db.read().await?;
        if iterations::by_key(&mut tx, iteration.key).await?.status()? != IterationStatus::Planning
        {
            return Ok(());
        }
        (
            namespaces::by_key(&mut tx, iteration.namespace).await?,
            iterations::origins(&mut tx, iteration.key).await?,
        )
    };
    {
        let mut tx = server.db.write().await?;
        plans::discard(&mut tx, iteration.key).await?;
        tx.commit().await.map_err(DbError::from)?;
    }
    let calculation = async {
        let mut resolved = Vec::with_capacity(origins.len());
        for origin in &origins {
            resolved.push(
                server
                    .sources
                    .resolve_pinned(&origin.changeset, &origin.commit)
                    .await?,
            );
        }
        calculate(server, &resolved, &namespace.options).await
    }
    .await;
    match calculation {
        Ok(calculation) => store::store(server, iteration, calculation).await,
        Err(PlannerError::Db(error)) => Err(PlannerError::Db(error)),
        Err(refusal) => {
            tracing::warn!(namespace = %namespace.name, iteration = iteration.number, %refusal, "an iteration was refused");
            let mut tx = server.db.write().await?;
            let text = refusal.to_string();
            iterations::set_status(&mut tx, iteration, IterationStatus::Refused, Some(&text))
                .await?;
            namespaces::settle(&mut tx, iteration.namespace).await?;
            tx.commit().await.map_err(DbError::from)?;
            server.feed.wake();
            Ok(())
        }
    }
}

/// Takes up again what a crash or a stop cut short.
pub async fn plan_interrupted(server: &Server) -> Result<(), PlannerError> {
    let interrupted = {
        let mut tx = server.db.read().await?;
        iterations::being_planned(&mut tx).await?
    };
    for iteration in interrupted {
        tracing::info!(
            iteration = iteration.number,
            "planning an iteration again that was cut short"
        );
        plan_iteration(server, &iteration).await?;
    }
    Ok(())
}

/// Puts an iteration that is fully stored in the place of the current one, in one transaction; one
/// that a newer iteration overtook is superseded at once.
async fn make_current(server: &Server, iteration: &StoredIteration) -> Result<(), DbError> {
    let mut tx = server.db.write().await?;
    let mut stopped = Vec::new();
    let reason = format!("iteration {} took its place", iteration.number);
    let all = iterations::of_namespace(&mut tx, iteration.namespace).await?;
    for newer in all.iter().filter(|other| other.number > iteration.number) {
        if newer.status()? == IterationStatus::Current {
            let reason = format!("iteration {} came first", newer.number);
            steps::cancel_iteration(&mut tx, iteration.key, &reason).await?;
            iterations::set_status(&mut tx, iteration, IterationStatus::Superseded, None).await?;
            tx.commit().await?;
            server.feed.wake();
            return Ok(());
        }
    }
    for older in all {
        let status = older.status()?;
        if older.key == iteration.key || status == IterationStatus::Superseded {
            continue;
        }
        if older.number < iteration.number {
            stopped.extend(steps::cancel_iteration(&mut tx, older.key, &reason).await?);
            iterations::set_status(&mut tx, &older, IterationStatus::Superseded, None).await?;
        }
    }
    iterations::set_status(&mut tx, iteration, IterationStatus::Current, None).await?;
    namespaces::settle(&mut tx, iteration.namespace).await?;
    tx.commit().await?;
    for run in stopped {
        server.dispatch.stop(run, &reason).await;
    }
    server.feed.wake();
    server.dispatch.wake();
    Ok(())
}
