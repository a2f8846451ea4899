//! What would be rebuilt, before anything starts; and the way to begin it.

use askama::Template;
use axum::extract::State;
use buildbtw_api::namespaces::{NamespaceOptions, PlanRequest};
use buildbtw_api::{Changeset, ProblemType};
use buildbtw_graph::{Because, BuildSet, FindingKind, Plan, Scope, Via};
use serde::Deserialize;

use super::actions::about;
use super::extract::Query;
use super::page::{PageResult, Piece, length, pieces, render, sentence};
use crate::Server;
use crate::planner;
use crate::problems::{HttpProblem, HttpResult};

/// How many builds of a plan the page lists.
const BUILDS: usize = 400;

/// How many findings of a kind.
const FINDINGS: usize = 50;

/// How many packages one of them names.
const NAMES: usize = 20;

/// What the form asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PlanForm {
    /// Changesets, between blanks.
    pub changesets: String,
    /// The name of the namespace that is to be.
    pub name: String,
    scope: String,
    makedepends: Option<String>,
    checkdepends: Option<String>,
    bootstrap: Option<String>,
    twice: Option<String>,
}

impl PlanForm {
    /// The changesets.
    pub fn changesets(&self) -> HttpResult<Vec<Changeset>> {
        let words = self.changesets.split([' ', ',', '\n', '\r', '\t']);
        let words = words.filter(|word| !word.is_empty());
        words
            .map(|word| {
                let named = word.parse::<Changeset>();
                named
                    .map_err(|error| HttpProblem::new(ProblemType::BadRequest, about(word, &error)))
            })
            .collect()
    }

    /// How to plan.
    pub fn options(&self) -> HttpResult<NamespaceOptions> {
        Ok(NamespaceOptions {
            scope: match self.scope.as_str() {
                "direct" => Scope::Direct,
                "none" => Scope::None,
                "transitive" | "" => Scope::Transitive,
                other => {
                    let detail = format!("`{other}` is no scope");
                    return Err(HttpProblem::new(ProblemType::BadRequest, detail).hint(
                        "`transitive` rebuilds all dependents, `direct` only those of the changed packages, `none` no other ones",
                    ));
                }
            },
            via: Via {
                makedepends: self.makedepends.is_some(),
                checkdepends: self.checkdepends.is_some(),
            },
            bootstrap: self.bootstrap.is_some(),
            passes: if self.twice.is_some() { 2 } else { 1 },
            ..NamespaceOptions::default()
        })
    }

    /// The address of the page with the form filled in like this.
    pub fn page(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let texts = [
            ("changesets", Some(&self.changesets)),
            ("name", Some(&self.name)),
            ("scope", Some(&self.scope)),
            ("makedepends", self.makedepends.as_ref()),
            ("checkdepends", self.checkdepends.as_ref()),
            ("bootstrap", self.bootstrap.as_ref()),
            ("twice", self.twice.as_ref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                query.append_pair(name, text);
            }
        }
        format!("/plan?{}", query.finish())
    }
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    form: PlanForm,
    problem: Option<(String, Option<Vec<Piece>>)>,
    sets: Vec<SetView>,
    warnings: Vec<Vec<Piece>>,
    total: usize,
}

struct SetView {
    architecture: String,
    builds: usize,
    waves: u32,
    chain: Vec<String>,
    estimate: Option<String>,
    rows: Vec<BuildView>,
    left_out: usize,
    findings: Vec<Findings>,
}

struct BuildView {
    pkgbase: String,
    pass: u8,
    version: String,
    wave: u32,
    because: String,
    unbuildable: Option<String>,
}

/// Findings of one kind.
pub struct Findings {
    /// What they are.
    pub title: String,
    /// They keep something from working.
    pub bad: bool,
    /// Each in words.
    pub lines: Vec<Vec<Piece>>,
    /// How many more there are.
    pub left_out: usize,
}

/// The form and, once something is filled in, the plan.
pub async fn show(State(server): State<Server>, Query(form): Query<PlanForm>) -> PageResult {
    let mut page = PlanPage {
        problem: None,
        sets: Vec::new(),
        warnings: Vec::new(),
        total: 0,
        form,
    };
    if !page.form.changesets.trim().is_empty() {
        match preview(&server, &page.form).await {
            Ok(plan) => {
                page.sets = plan
                    .architectures
                    .iter()
                    .map(|(on, set)| view(on.as_str(), set))
                    .collect();
                page.total = page.sets.iter().map(|set| set.builds).sum();
                let warnings = plan.warnings.iter().take(FINDINGS);
                page.warnings = warnings
                    .map(|warning| match &warning.pkgbase {
                        Some(pkgbase) => pieces(&format!("{pkgbase}: {}", warning.message)),
                        None => pieces(&sentence(&warning.message)),
                    })
                    .collect();
            }
            Err(problem) => {
                page.problem = Some((
                    problem.problem.detail,
                    problem.hint_on_page.as_deref().map(pieces),
                ))
            }
        }
    }
    render(&page)
}

async fn preview(server: &Server, form: &PlanForm) -> HttpResult<Plan> {
    let request = PlanRequest {
        changesets: form.changesets()?,
        options: form.options()?,
        namespace: None,
    };
    Ok(planner::preview(server, &request).await?)
}

fn view(architecture: &str, set: &BuildSet) -> SetView {
    let mut builds: Vec<_> = set
        .builds
        .iter()
        .filter(|build| build.refers_to.is_none())
        .collect();
    builds.sort_by_key(|build| build.wave);
    let shown = builds.iter().take(BUILDS);
    let rows = shown.map(|build| BuildView {
        pkgbase: build.pkgbase.to_string(),
        pass: build.pass,
        version: build.version.to_string(),
        wave: build.wave,
        because: match &build.because {
            Because::Changed(_) => "it is changed".to_owned(),
            Because::Dependent(why) if why.relation == why.of.as_str() => {
                format!("needs {}", why.of)
            }
            Because::Dependent(why) => format!("needs {} of {}", why.relation, why.of),
        },
        unbuildable: build.unbuildable.as_ref().map(|why| why.hint.clone()),
    });
    SetView {
        architecture: architecture.to_owned(),
        rows: rows.collect(),
        left_out: builds.len().saturating_sub(BUILDS),
        builds: builds.len(),
        waves: set.waves,
        chain: set
            .critical_path
            .iter()
            .map(|key| key.pkgbase.to_string())
            .collect(),
        estimate: set.estimate.as_ref().map(|estimate| {
            let work = length(i64::try_from(estimate.work_ms).unwrap_or(i64::MAX));
            match estimate.at_least_ms() {
                Some(least) => {
                    let least = length(i64::try_from(least).unwrap_or(i64::MAX));
                    format!(
                        "at least {least} on {} slot{}; {work} of work",
                        estimate.slots,
                        if estimate.slots == 1 { "" } else { "s" }
                    )
                }
                None => format!("{work} of work, and no worker is there"),
            }
        }),
        findings: findings(set),
    }
}

/// What a plan found that somebody should know, what cannot work first.
pub fn findings(set: &BuildSet) -> Vec<Findings> {
    let all = buildbtw_graph::findings(set, NAMES).into_iter();
    all.map(|found| Findings {
        title: sentence(found.kind.title()),
        bad: found.kind <= FindingKind::Unresolved,
        left_out: found.lines.len().saturating_sub(FINDINGS),
        lines: found
            .lines
            .iter()
            .take(FINDINGS)
            .map(|line| pieces(line))
            .collect(),
    })
    .collect()
}
