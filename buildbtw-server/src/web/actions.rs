//! What people do from a page: forms that work without a script. Each asks the API for the same and
//! comes back to the page.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::changing::{AddRequest, RebuildRequest, RemoveRequest};
use buildbtw_api::namespaces::{
    CreateNamespace, Namespace, RetryRequest, UnwaiveRequest, WaiveRequest,
};
use buildbtw_api::{BuildStatus, Changeset, NamespaceName, NamespaceStatus, ProblemType};
use buildbtw_graph::PkgBase;
use serde::Deserialize;

use super::errors::Again;
use super::extract::{Form, Path};
use super::page::{PageError, PageResult, name};
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
    pub title: Cow<'static, str>,
    /// What comes of it.
    pub says: &'static str,
    /// What it asks for.
    pub field: Option<Field>,
    /// It takes something away.
    pub grave: bool,
    /// What is asked before it is done.
    pub asks: Option<String>,
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
        title: Cow::Borrowed(title),
        says,
        field: None,
        grave: false,
        asks: None,
    };
    let grave = |verb, title, says, asks| Action {
        grave: true,
        asks: Some(asks),
        ..plain(verb, title, says)
    };
    let changeset = |label| {
        Some(Field {
            name: "changeset",
            label,
            example: Some("pkgbase/branch"),
        })
    };
    let failed = namespace.count(|status| status == BuildStatus::Failed) > 0;
    let called_off = match namespace.count(|status| !status.is_final()) {
        0 => "Nothing of it is being built or waits to be.".to_owned(),
        1 => "1 build that is not done is called off.".to_owned(),
        left => format!("{left} builds that are not done are called off."),
    };
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
            format!("{called_off} “Resume” takes them up again."),
        ));
    }
    actions.push(grave(
        "archive",
        "Archive",
        "puts it away; its repository stays readable, its name is free",
        format!("{called_off} It cannot be taken up again."),
    ));
    actions
}

/// Tries a failure again for the sake of what waits for it.
pub fn retry_cause(pkgbase: &str) -> Action {
    Action {
        verb: "retry",
        title: Cow::Owned(format!("Try {pkgbase} again")),
        says: "runs once more what this one waits for",
        field: None,
        grave: false,
        asks: None,
    }
}

/// What can be done about a build in that status.
pub fn of_build(status: BuildStatus) -> Vec<Action> {
    let plain = |verb, title, says| Action {
        verb,
        title: Cow::Borrowed(title),
        says,
        field: None,
        grave: false,
        asks: None,
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
        BuildStatus::Failed => {
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
        BuildStatus::Blocked | BuildStatus::Pending | BuildStatus::DependencyFailed => {
            vec![waive()]
        }
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

impl Sent {
    /// The page to come back to. Nobody is led away from here, whatever a form says.
    fn back(&self) -> Option<&str> {
        let back = self.back.as_str();
        let own = back.starts_with("/namespaces/") && !back.contains(['\\', '\n', '\r']);
        own.then_some(back)
    }

    /// The same form with what was filled in, where something is.
    fn again(&self, namespace: &NamespaceName, verb: &str) -> Option<Again> {
        let (label, name, value, button) = match verb {
            "add" => ("Changeset", "changeset", &self.changeset, "Add"),
            "waive" => ("Because", "reason", &self.reason, "Leave out"),
            _ => return None,
        };
        let besides = [("pkgbase", &self.pkgbase), ("back", &self.back)];
        let besides = besides.into_iter().filter(|(_, value)| !value.is_empty());
        Some(Again {
            action: format!("/namespaces/{namespace}/{verb}"),
            hidden: besides.map(|(name, value)| (name, value.clone())).collect(),
            label,
            name,
            value: value.clone(),
            button,
        })
    }
}

/// Does what a form asks for, and comes back to the page.
pub async fn act(
    State(server): State<Server>,
    Path((namespace, verb)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> PageResult {
    let namespace: NamespaceName = name(&namespace)?;
    if let Err(problem) = carry_out(&server, &namespace, &verb, &sent).await {
        let error = PageError::from(problem).again(sent.again(&namespace, &verb));
        return Err(match sent.back() {
            Some(back) => error.way(back, "Back to where it was asked for"),
            None => error,
        });
    }
    let home = format!("/namespaces/{namespace}");
    Ok(Redirect::to(sent.back().unwrap_or(&home)).into_response())
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
            let retried = failures::retry(state(), path(), Json(request)).await?.0;
            if retried.builds == 0 && retried.dependents == 0 {
                let detail = match sent.pkgbase.trim() {
                    "" => "There is nothing to build again: no build failed by itself.".to_owned(),
                    name => format!(
                        "There is nothing to build again: {name} did not fail by itself. \
                         Where it waits for a failure, that one is to be tried again."
                    ),
                };
                return Err(HttpProblem::new(ProblemType::Conflict, detail));
            }
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
    text.parse()
        .map_err(|error: T::Err| HttpProblem::new(ProblemType::BadRequest, about(text, &error)))
}

/// What is wrong with a text, which is named once.
pub(super) fn about(text: &str, error: &impl std::fmt::Display) -> String {
    let error = error.to_string();
    match error.starts_with(&format!("`{text}`")) {
        true => error,
        false => format!("`{text}`: {error}"),
    }
}

/// Makes the namespace whose plan was looked at, and goes to its page.
pub async fn create(State(server): State<Server>, Form(form): Form<PlanForm>) -> PageResult {
    let made = async {
        let request = CreateNamespace {
            name: match form.name.trim() {
                "" => None,
                given => Some(word(given)?),
            },
            changesets: form.changesets()?,
            options: form.options()?,
        };
        namespaces::make_namespace(&server, request).await
    };
    match made.await {
        Ok(made) => Ok(Redirect::to(&format!("/namespaces/{}", made.name)).into_response()),
        Err(problem) => {
            Err(PageError::from(problem).way(form.page(), "Back to the plan as it was filled in"))
        }
    }
}
