//! A GitLab for tests: a server on a real socket, with real git repositories behind it.
//!
//! A test makes groups, projects, tokens and hooks through [`FakeGitLab`], pushes, lets time pass,
//! and plays the runner ([`FakeGitLab::take_job`]); what is tested talks to it over HTTP like to a real
//! GitLab. GraphQL is validated and carried out against `graphql/schema.graphql`, with GitLab's limits
//! ([`graphql`]); REST takes JSON, forms and queries ([`rest`]). What goes wrong at a real one
//! goes wrong here on request ([`faults`]).
//!
//! Beside that, [`introspection`] fetches the schema of a real GitLab, which the fake and our queries go by.
//!
//! Everything but the repositories lives in memory. Time stands still unless a test moves it.

pub mod access;
pub mod ci;
pub mod clock;
pub mod connection;
pub mod faults;
pub mod graphql;
pub mod hooks;
pub mod introspection;
pub mod keeping;
pub mod pipelines;
pub mod push;
pub mod repository;
pub mod rest;
pub mod runner;
pub mod state;
pub mod statuses;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::post;
use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use access::{Role, Scope, Token};
use clock::Clock;
use faults::{Faults, SeenRequest};
use hooks::Outbox;
use repository::{GitError, Repository};
use state::{Group, Project, State, Visibility};

/// What all parts of the fake share.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    /// The time.
    pub clock: Clock,
    /// What goes wrong.
    pub faults: Faults,
    /// Hooks on their way.
    pub outbox: Outbox,
    /// Grows with every change of a pipeline or job.
    pub changes: watch::Sender<u64>,
    /// What every question to git takes of a GraphQL request's time.
    git_time: Mutex<SignedDuration>,
    /// The most projects of a page.
    largest_page: AtomicUsize,
    repositories: PathBuf,
    address: SocketAddr,
}

impl Shared {
    /// Everything but the repositories, for a moment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every question to git takes.
    pub fn git_time(&self) -> SignedDuration {
        *self.git_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most projects of a page.
    pub fn largest_page(&self) -> usize {
        self.largest_page.load(Ordering::Relaxed)
    }

    /// Where the fake is reached.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// What goes wrong in making something.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The client that sends hooks.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    /// A name or path that another project of the group has.
    #[error("{0} has already been taken")]
    Taken(String),
    /// Something that does not exist.
    #[error("there is no {0}")]
    Unknown(String),
}

/// A GitLab that runs; it is gone when this is dropped.
#[derive(Debug)]
pub struct FakeGitLab {
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for FakeGitLab {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl FakeGitLab {
    /// Starts one on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// When there is no port or no folder for it.
    pub async fn start() -> Result<Self, FakeError> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts one at an address.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or there is no folder.
    pub async fn start_at(address: SocketAddr) -> Result<Self, FakeError> {
        // Fails only if a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(address).await?;
        let folder = tempfile::tempdir()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            clock: Clock::default(),
            faults: Faults::default(),
            outbox: Outbox::new()?,
            changes: watch::Sender::new(0),
            git_time: Mutex::default(),
            largest_page: AtomicUsize::new(graphql::limits::LARGEST_PAGE),
            repositories: folder.path().to_owned(),
            address: listener.local_addr()?,
        });
        let app = app(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            let service = app.into_make_service_with_connect_info::<connection::Line>();
            // It never ends by itself.
            let _ = axum::serve(connection::Resettable(listener), service).await;
        });
        Ok(Self {
            shared,
            serving,
            _folder: folder,
        })
    }

    /// Where it is reached, without a slash at the end.
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Lets every question to git take so long, of the clock's time, in GraphQL: a request that needs more
    /// than half a minute is not answered.
    pub fn git_takes(&self, time: SignedDuration) {
        *self
            .shared
            .git_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Pages of projects have so many at most: a group of ten has pages then as one of thousands has.
    pub fn page_at_most(&self, projects: usize) {
        self.shared.largest_page.store(projects, Ordering::Relaxed);
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Everything but the repositories, for a look or a change that no other function makes. No hook
    /// comes of it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// What all parts share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The requests that came so far.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.faults.seen()
    }

    /// Makes a token.
    pub fn token(&self, secret: &str, scopes: &[Scope], role: Role) {
        let token = Token {
            secret: secret.to_owned(),
            username: "buildbtw".to_owned(),
            scopes: scopes.to_vec(),
            role,
            expires_at: None,
        };
        self.state().tokens.insert(secret.to_owned(), token);
    }

    /// Makes a group.
    pub fn group(&self, full_path: &str) -> u64 {
        let mut state = self.state();
        let id = state.next_id();
        let name = full_path.rsplit('/').next().unwrap_or(full_path);
        let group = Group {
            id,
            name: name.to_owned(),
            full_path: full_path.to_owned(),
        };
        state.groups.insert(id, group);
        id
    }

    /// Makes a project with an empty repository, whose default branch will be `main`.
    ///
    /// # Errors
    ///
    /// When there is no such group, or the repository cannot be made.
    pub fn project(&self, group: &str, name: &str, path: &str) -> Result<u64, FakeError> {
        let now = self.shared.clock.now();
        let mut state = self.state();
        let group = state
            .group_by_path(group)
            .ok_or_else(|| FakeError::Unknown(format!("group {group}")))?
            .clone();
        is_free(&state, None, group.id, name, path)?;
        let id = state.next_id();
        let repository =
            Repository::init(&self.shared.repositories.join(format!("{id}.git")), "main")?;
        let project = Project {
            id,
            group: group.id,
            name: name.to_owned(),
            path: path.to_owned(),
            full_path: format!("{}/{path}", group.full_path),
            archived: false,
            marked_for_deletion: false,
            visibility: Visibility::Public,
            repository,
            created_at: now,
            updated_at: now,
            last_activity_at: now,
            last_repository_updated_at: now,
            ci_config_path: None,
            variables_role: "no_one_allowed".to_owned(),
            jobs_enabled: true,
            pipelines: 0,
        };
        state.projects.insert(id, project);
        hooks::project_event(&self.shared, &state, "project_create", id, None);
        Ok(id)
    }

    /// Changes a project; the dates show it, and a system hook tells it as a `project_update`.
    ///
    /// # Errors
    ///
    /// When there is no such project.
    pub fn change_project(
        &self,
        id: u64,
        change: impl FnOnce(&mut Project),
    ) -> Result<(), FakeError> {
        let now = self.shared.clock.now();
        let mut state = self.state();
        let project = state
            .projects
            .get_mut(&id)
            .ok_or_else(|| FakeError::Unknown(format!("project {id}")))?;
        change(project);
        project.updated_at = now;
        hooks::project_event(&self.shared, &state, "project_update", id, None);
        Ok(())
    }

    /// Gives a project another name and path, perhaps in another group. The old path leads to it.
    ///
    /// # Errors
    ///
    /// When there is no such project or group.
    pub fn move_project(
        &self,
        id: u64,
        group: &str,
        name: &str,
        path: &str,
    ) -> Result<(), FakeError> {
        let now = self.shared.clock.now();
        let mut state = self.state();
        let to = state
            .group_by_path(group)
            .ok_or_else(|| FakeError::Unknown(format!("group {group}")))?
            .clone();
        is_free(&state, Some(id), to.id, name, path)?;
        let project = state
            .projects
            .get_mut(&id)
            .ok_or_else(|| FakeError::Unknown(format!("project {id}")))?;
        let event = if project.group == to.id {
            "project_rename"
        } else {
            "project_transfer"
        };
        let old = std::mem::replace(&mut project.full_path, format!("{}/{path}", to.full_path));
        project.group = to.id;
        project.name = name.to_owned();
        project.path = path.to_owned();
        project.updated_at = now;
        state.moved.insert(old.to_lowercase(), id);
        hooks::project_event(&self.shared, &state, event, id, Some(&old));
        Ok(())
    }

    /// Deletes a project with everything of it.
    ///
    /// # Errors
    ///
    /// When there is no such project, or its repository stays.
    pub fn delete_project(&self, id: u64) -> Result<(), FakeError> {
        let mut state = self.state();
        let Some(project) = state.projects.get(&id) else {
            return Err(FakeError::Unknown(format!("project {id}")));
        };
        let path = project.repository.path.clone();
        hooks::project_event(&self.shared, &state, "project_destroy", id, None);
        state.projects.remove(&id);
        state.pipelines.retain(|_, pipeline| pipeline.project != id);
        state.jobs.retain(|_, job| job.project != id);
        state.hooks.retain(|_, hook| hook.project != Some(id));
        Ok(std::fs::remove_dir_all(path)?)
    }

    /// A project as it is.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn project_now(&self, id: u64) -> Result<Project, FakeError> {
        let project = self.state().projects.get(&id).cloned();
        project.ok_or_else(|| FakeError::Unknown(format!("project {id}")))
    }
}

/// Within a group, names and paths are one project's, paths in either case of letters.
fn is_free(
    state: &State,
    but: Option<u64>,
    group: u64,
    name: &str,
    path: &str,
) -> Result<(), FakeError> {
    let taken = state.projects.values().find(|other| {
        Some(other.id) != but
            && other.group == group
            && (other.name == name || other.path.eq_ignore_ascii_case(path))
    });
    match taken {
        Some(_) => Err(FakeError::Taken(format!("{name} ({path})"))),
        None => Ok(()),
    }
}

fn app(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/graphql", post(graphql::answer))
        .nest("/api/v4", rest::router())
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&shared),
            faults::apply,
        ))
        .with_state(shared)
}
