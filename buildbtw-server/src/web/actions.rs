//! What people do from a page: forms that work without a script. Each asks the API for the same and
//! comes back to the page.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::changing::{AddRequest, RebuildRequest, RemoveRequest};
use buildbtw_api::namespaces::{
    CreateNamespace, Namespace, RetryRequest, UnwaiveRequest, WaiveRequest,
};
use buildbtw_api::{BuildStatus, Changeset, NamespaceName, NamespaceStatus, ProblemType};
use buildbtw_graph::PkgBase;
use serde::Deserialize;

use super::page::{Form, PageResult, name};
use super::plan::PlanForm;
use crate::Server;
use crate::api::extract::{Json, Path as ApiPath};
use crate::api::{changing, failures, namespaces};
use crate::problems::{HttpProblem, HttpResult};

/// A form on a namespace's page.
pub struct Action {
    /// What it does: the last part of its address.
    pub verb: &'static str,
    /// What its button says.
    pub title: &'static str,
    /// What comes of it.
    pub says: &'static str,
    /// What it asks for.
    pub field: Option<Field>,
    /// It takes something away.
    pub grave: bool,
}

/// Something to be filled in.
pub struct Field {
    /// Its name in the form.
    pub name: &'static str,
    /// What people read before it.
    pub label: &'static str,
    /// How it may look.
    pub example: Option<&'static str>,
}

/// What can be done about a namespace as it stands.
pub fn actions(namespace: &Namespace) -> Vec<Action> {
    let plain = |verb, title, says| Action {
        verb,
        title,
        says,
        field: None,
        grave: false,
    };
    let grave = |verb, title, says| Action {
        grave: true,
        ..plain(verb, title, says)
    };
    let changeset = |label| {
        Some(Field {
            name: "changeset",
            label,
            example: Some("pkgbase/branch"),
        })
    };
    let failed = namespace.iteration.iter().any(|iteration| {
        let mut sets = iteration.build_sets.values();
        sets.any(|set| set.count(BuildStatus::is_failure) > 0)
    });
    let mut actions = Vec::new();
    use NamespaceStatus::{Active, Archived, Cancelled, Finished, Paused};
    match namespace.status {
        Archived => return actions,
        Active => actions.push(plain(
            "pause",
            "Pause",
            "hands out no more builds; what runs goes on",
        )),
        Paused | Cancelled => actions.push(plain("resume", "Resume", "goes on")),
        Finished => {}
    }
    if namespace.status != Cancelled {
        if failed {
            actions.push(plain(
                "retry",
                "Retry failures",
                "everything that failed runs again",
            ));
        }
        actions.push(plain(
            "update",
            "Update",
            "takes newer commits of dependents and newer base repositories",
        ));
        actions.push(plain(
            "rebuild",
            "New iteration",
            "plans once more; what is built from an equal input is reused",
        ));
        actions.push(Action {
            field: changeset("Changeset"),
            ..plain("add", "Add", "joins the namespace in a new iteration")
        });
    }
    if matches!(namespace.status, Active | Paused) {
        actions.push(grave(
            "cancel",
            "Cancel",
            "calls everything off; what is built stays",
        ));
    }
    actions.push(grave(
        "archive",
        "Archive",
        "puts it away; its repository stays readable, its name is free",
    ));
    actions
}

/// What can be done about a build in that status.
pub fn of_build(status: BuildStatus) -> Vec<Action> {
    let plain = |verb, title, says| Action {
        verb,
        title,
        says,
        field: None,
        grave: false,
    };
    let waive = || Action {
        field: Some(Field {
            name: "reason",
            label: "Because",
            example: None,
        }),
        grave: true,
        ..plain(
            "waive",
            "Leave out",
            "others go on with the released package",
        )
    };
    match status {
        BuildStatus::Failed | BuildStatus::DependencyFailed => {
            vec![
                plain("retry", "Try again", "runs it once more in this iteration"),
                waive(),
            ]
        }
        BuildStatus::Unbuildable => {
            vec![
                plain(
                    "force",
                    "Try all the same",
                    "though it is known not to work",
                ),
                waive(),
            ]
        }
        BuildStatus::Blocked | BuildStatus::Pending => vec![waive()],
        BuildStatus::Waived => vec![plain(
            "unwaive",
            "Build it after all",
            "it is no longer left out; what has not begun waits for it again",
        )],
        _ => Vec::new(),
    }
}

/// What a form of a namespace's page sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    changeset: String,
    pkgbase: String,
    reason: String,
    /// The page to come back to.
    back: String,
}

/// Does what a form asks for, and comes back to the page.
pub async fn act(
    State(server): State<Server>,
    Path((namespace, verb)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> PageResult {
    let namespace: NamespaceName = name(&namespace)?;
    carry_out(&server, &namespace, &verb, &sent).await?;
    // Only to pages of our own.
    let own = |back: &&str| back.starts_with("/namespaces/") && !back.contains(['\\', '\n', '\r']);
    let home = format!("/namespaces/{namespace}");
    let back = Some(sent.back.as_str()).filter(own).unwrap_or(&home);
    Ok(Redirect::to(back).into_response())
}

async fn carry_out(
    server: &Server,
    namespace: &NamespaceName,
    verb: &str,
    sent: &Sent,
) -> HttpResult<()> {
    let state = || State(server.clone());
    let path = || ApiPath(namespace.clone());
    let pkgbases = || -> HttpResult<Vec<PkgBase>> {
        match sent.pkgbase.trim() {
            "" => Ok(Vec::new()),
            name => Ok(vec![word(name)?]),
        }
    };
    match verb {
        "pause" => {
            namespaces::pause(state(), path()).await?;
        }
        "resume" => {
            namespaces::resume(state(), path()).await?;
        }
        "cancel" => {
            namespaces::cancel(state(), path()).await?;
        }
        "archive" => {
            namespaces::archive(state(), path()).await?;
        }
        "update" => {
            changing::update(state(), path()).await?;
        }
        "rebuild" => {
            let request = RebuildRequest::default();
            changing::rebuild(state(), path(), Json(request)).await?;
        }
        "add" => {
            let request = AddRequest {
                changesets: vec![word::<Changeset>(&sent.changeset)?],
            };
            changing::add(state(), path(), Json(request)).await?;
        }
        "remove" => {
            let request = RemoveRequest {
                changesets: vec![word(&sent.changeset)?],
            };
            changing::remove(state(), path(), Json(request)).await?;
        }
        "retry" | "force" => {
            let request = RetryRequest {
                pkgbases: pkgbases()?,
                force: verb == "force",
            };
            failures::retry(state(), path(), Json(request)).await?;
        }
        "waive" => {
            let request = WaiveRequest {
                pkgbases: pkgbases()?,
                reason: sent.reason.clone(),
            };
            failures::waive(state(), path(), Json(request)).await?;
        }
        "unwaive" => {
            let request = UnwaiveRequest {
                pkgbases: pkgbases()?,
            };
            failures::unwaive(state(), path(), Json(request)).await?;
        }
        verb => {
            let detail = format!("nothing is called {verb} here");
            return Err(HttpProblem::new(ProblemType::NotFound, detail));
        }
    }
    Ok(())
}

fn word<T: std::str::FromStr>(text: &str) -> HttpResult<T>
where
    T::Err: std::fmt::Display,
{
    let text = text.trim();
    text.parse().map_err(|error: T::Err| {
        HttpProblem::new(ProblemType::BadRequest, format!("`{text}`: {error}"))
    })
}

/// Makes the namespace whose plan was looked at, and goes to its page.
pub async fn create(State(server): State<Server>, Form(form): Form<PlanForm>) -> PageResult {
    let request = CreateNamespace {
        name: match form.name.trim() {
            "" => None,
            given => Some(name(given)?),
        },
        changesets: form.changesets()?,
        options: form.options(),
    };
    let made = namespaces::make_namespace(&server, request).await?;
    Ok(Redirect::to(&format!("/namespaces/{}", made.name)).into_response())
}
