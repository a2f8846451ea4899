//! Namespaces and their iterations.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use buildbtw_graph::{Architecture, Broken, Difference, PkgBase, PkgrelMode, Scope, Via};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::changing::NewerCommit;
pub use crate::reasons::{ChangesetMove, IterationReason};
use crate::{BuildPlace, BuildStatus, Changeset, IterationStatus, NamespaceName, NamespaceStatus};

/// A base repository: where released packages come from.
///
/// As text `name=URL` or `namespace:NAME`, with `ARCHITECTURE/` in front where it is for one
/// architecture only. `$repo` and `$arch` in a URL stand for the name and the architecture,
/// as in pacman.conf(5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseRepository {
    /// The architecture it is for; all of them where that is not said.
    pub architecture: Option<Architecture>,
    /// Where its packages come from.
    pub origin: BaseOrigin,
}

/// Where the packages of a base repository come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BaseOrigin {
    /// A pacman repository.
    Mirror {
        /// The repository's name: its database is `<name>.db`.
        name: NamespaceName,
        /// The folder of the database and packages.
        url: String,
    },
    /// The newest published generation of another namespace.
    Namespace(NamespaceName),
}

/// Why a text does not say what a base repository is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a base repository: {reason}; write `name=https://mirror/$repo/os/$arch` or `namespace:NAME`"
)]
pub struct BaseRepositoryError {
    text: String,
    reason: String,
}

impl BaseRepository {
    /// The name of the pacman repository.
    pub fn name(&self) -> &NamespaceName {
        match &self.origin {
            BaseOrigin::Mirror { name, .. } | BaseOrigin::Namespace(name) => name,
        }
    }
}

impl FromStr for BaseRepository {
    type Err = BaseRepositoryError;

    fn from_str(text: &str) -> Result<Self, BaseRepositoryError> {
        let fail = |reason: String| BaseRepositoryError {
            text: text.to_owned(),
            reason,
        };
        let (architecture, rest) = match text.split_once('/') {
            Some((before, rest)) if !before.contains(['=', ':']) => {
                let architecture = before.parse().map_err(|error| fail(format!("{error}")))?;
                (Some(architecture), rest)
            }
            _ => (None, text),
        };
        let name = |name: &str| {
            name.parse::<NamespaceName>()
                .map_err(|error| fail(error.to_string()))
        };
        let origin = if let Some(namespace) = rest.strip_prefix("namespace:") {
            BaseOrigin::Namespace(name(namespace)?)
        } else {
            let (repository, url) = rest
                .split_once('=')
                .ok_or_else(|| fail("it has no `=`".to_owned()))?;
            let parsed = url::Url::parse(url).map_err(|error| fail(format!("its URL: {error}")))?;
            if !matches!(parsed.scheme(), "http" | "https" | "file") {
                return Err(fail(format!(
                    "the scheme `{}` is not http, https or file",
                    parsed.scheme()
                )));
            }
            BaseOrigin::Mirror {
                name: name(repository)?,
                url: url.trim_end_matches('/').to_owned(),
            }
        };
        Ok(Self {
            architecture,
            origin,
        })
    }
}

impl fmt::Display for BaseRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(architecture) = &self.architecture {
            write!(f, "{architecture}/")?;
        }
        match &self.origin {
            BaseOrigin::Mirror { name, url } => write!(f, "{name}={url}"),
            BaseOrigin::Namespace(name) => write!(f, "namespace:{name}"),
        }
    }
}

crate::ids::serde_as_text!(
    BaseRepository,
    "extra=https://mirror.example.org/$repo/os/$arch"
);

/// What a namespace is to rebuild, and how. Kept with the namespace; every iteration uses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NamespaceOptions {
    /// Which dependents join the changed packages.
    #[schema(value_type = String, example = "transitive")]
    pub scope: Scope,
    /// Which relations besides run-time ones make a dependent.
    #[schema(value_type = Object)]
    pub via: Via,
    /// Whether rebuilt packages get a new pkgrel.
    #[schema(value_type = String, example = "bump")]
    pub pkgrel: PkgrelMode,
    /// How often members of a build-time cycle are built: 1 or 2.
    pub passes: u8,
    /// A need that nobody has released yet is left out instead of making a build impossible.
    pub bootstrap: bool,
    /// The base repositories in order; the server's own list where it is not given.
    pub base: Option<Vec<BaseRepository>>,
    /// Packages of an equal earlier input are taken over instead of being built again.
    pub reuse: bool,
    /// Who carries its builds out; what the server's settings say where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<BuildPlace>,
}

impl Default for NamespaceOptions {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            via: Via::default(),
            pkgrel: PkgrelMode::default(),
            passes: 1,
            bootstrap: false,
            base: None,
            reuse: true,
            on: None,
        }
    }
}

/// What to plan: asked of `POST /api/v1/plans`, which starts nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The origin changesets, at least one.
    pub changesets: Vec<Changeset>,
    /// How to plan.
    #[serde(default)]
    pub options: NamespaceOptions,
    /// Plan what would be the next iteration of this namespace: its dependents and base repositories
    /// stay as they are pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
}

/// Why a source is rebuilt or not: asked of `POST /api/v1/plans/why`, which starts nothing and
/// answers with a `buildbtw_graph::Why` for each architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyRequest {
    /// The origin changesets, at least one.
    pub changesets: Vec<Changeset>,
    /// How to plan.
    #[serde(default)]
    pub options: NamespaceOptions,
    /// The package base that is asked about.
    #[schema(value_type = String)]
    pub pkgbase: PkgBase,
}

/// Which namespace of a name is meant: the query of `GET /api/v1/namespaces/{name}`.
#[derive(
    Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema, utoipa::IntoParams,
)]
pub struct NamesakeQuery {
    /// The one that has this iteration: it may be an archived one, whose name was taken again.
    /// Without it, the one that is not archived, else the one that was archived last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<u32>,
}

/// Which iterations to compare: the query of `GET .../iterations/{number}/difference`.
#[derive(
    Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema, utoipa::IntoParams,
)]
pub struct DifferenceQuery {
    /// The earlier iteration; without it, the newest planned one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
}

/// What changed between two iterations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IterationDifference {
    /// The earlier iteration.
    pub from: u32,
    /// The later iteration.
    pub to: u32,
    /// What changed.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub difference: Difference,
}

/// A new namespace: asked of `POST /api/v1/namespaces`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateNamespace {
    /// Its name. Without one it is named after the first changeset's package, with a number
    /// behind where that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<NamespaceName>,
    /// The origin changesets, at least one.
    pub changesets: Vec<Changeset>,
    /// What to rebuild, and how.
    #[serde(default)]
    pub options: NamespaceOptions,
}

/// A build namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Namespace {
    /// Its name.
    pub name: NamespaceName,
    /// Where it stands.
    pub status: NamespaceStatus,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// Whose it is, where that is known.
    pub owner: Option<String>,
    /// Its origin changesets.
    pub changesets: Vec<Changeset>,
    /// What it rebuilds, and how.
    pub options: NamespaceOptions,
    /// Its newest iteration.
    pub iteration: Option<Iteration>,
    /// Where people look at it.
    pub page: String,
    /// Its weight, while a person raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<crate::priority::Priority>,
    /// Why the newest state of its changesets could not be planned, if so: a branch that is gone, a
    /// `.SRCINFO` that cannot be read. What was planned before goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins_problem: Option<String>,
    /// A remark on its making, such as the name that it got instead of a taken one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

impl Namespace {
    /// How many builds of its newest iteration stand where is asked for.
    pub fn count(&self, pick: impl Fn(BuildStatus) -> bool) -> u32 {
        let sets = self.iteration.iter().flat_map(|it| it.build_sets.values());
        sets.map(|set| set.count(&pick)).sum()
    }

    /// Whether nothing goes on by itself though not all is done: whatever could be built is, and something
    /// failed. A retry, a new commit or a waiver sets it going again.
    pub fn stands_still(&self) -> bool {
        self.status == NamespaceStatus::Active
            && self.count(BuildStatus::is_failure) > 0
            && self.count(|status| !status.is_final()) == 0
    }
}

/// A namespace with all its iterations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NamespaceDetails {
    /// The namespace.
    #[serde(flatten)]
    pub namespace: Namespace,
    /// All iterations, newest first.
    pub iterations: Vec<Iteration>,
    /// Dependents of which there are newer commits than the current iteration builds; `update`
    /// takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub newer_commits: Vec<NewerCommit>,
}

/// An origin changeset and the commit it was pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PinnedChangeset {
    /// The changeset.
    pub changeset: Changeset,
    /// The commit, as 40 or 64 hexadecimal digits.
    pub commit: String,
}

/// One numbered calculation of a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Iteration {
    /// Its number, from 1.
    pub number: u32,
    /// Where it stands.
    pub status: IterationStatus,
    /// Why it was made, for programs.
    pub reason: IterationReason,
    /// Why it was made, in words.
    pub why: String,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// The origin changesets as pinned.
    pub changesets: Vec<PinnedChangeset>,
    /// What kept it from being planned, if it was refused.
    pub refusal: Option<String>,
    /// Its build sets, by architecture.
    #[schema(value_type = Object)]
    pub build_sets: BTreeMap<Architecture, BuildSetSummary>,
}

/// A build set in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildSetSummary {
    /// How many builds stand in each status; statuses without builds are left out.
    #[schema(value_type = Object)]
    pub counts: BTreeMap<BuildStatus, u32>,
    /// How many waves the plan has.
    pub waves: u32,
    /// The published generation of its repository, 0 before the first.
    pub generation: u32,
    /// The base repositories with the digest of the db that the iteration saw.
    pub base: Vec<PinnedBase>,
    /// The `Server` of its repository for pacman.conf(5), relative to the server's address.
    pub repository: String,
    /// How many relations nothing satisfies; the plan lists them.
    pub unresolved: u32,
    /// How many dependents the change breaks; the plan lists them.
    pub broken: u32,
    /// Dependents that turned out to be broken when packages were built, as by a soname with
    /// another number: nothing in the repositories satisfies their relations any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub broken_by_packages: Vec<Broken>,
}

impl BuildSetSummary {
    /// The number of builds.
    pub fn total(&self) -> u32 {
        self.counts.values().sum()
    }

    /// The number of builds whose dependents may go on.
    pub fn done(&self) -> u32 {
        self.count(BuildStatus::releases_dependents)
    }

    /// The number of builds in statuses that a test picks.
    pub fn count(&self, pick: impl Fn(BuildStatus) -> bool) -> u32 {
        self.counts
            .iter()
            .filter(|(status, _)| pick(**status))
            .map(|(_, count)| count)
            .sum()
    }
}

/// A base repository as an iteration saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PinnedBase {
    /// The repository's name.
    pub name: String,
    /// Where it came from, as configured.
    pub origin: String,
    /// SHA-256 of its db, in hexadecimal.
    pub digest: String,
    /// The `Server` that answers with just that db, relative to the server's address.
    pub repository: String,
}

/// What `retry` is to run again: asked of `POST /api/v1/namespaces/{name}/retry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The package bases; all failures where none is named.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub pkgbases: Vec<PkgBase>,
    /// Builds that are known to be impossible are tried as well.
    #[serde(default)]
    pub force: bool,
}

/// Which builds to leave out, and why: asked of `POST /api/v1/namespaces/{name}/waive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiveRequest {
    /// The package bases, at least one.
    #[schema(value_type = Vec<String>)]
    pub pkgbases: Vec<PkgBase>,
    /// The reason, for those who look at it later.
    pub reason: String,
}

/// Which builds are not left out any more: asked of `POST /api/v1/namespaces/{name}/unwaive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnwaiveRequest {
    /// The package bases, at least one.
    #[schema(value_type = Vec<String>)]
    pub pkgbases: Vec<PkgBase>,
}

/// What came of taking waivers back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unwaived {
    /// How many builds are built after all.
    pub builds: u32,
    /// The package bases that stay left out in this iteration, because something went on with their
    /// released packages already. The next iteration builds them.
    pub next_iteration: Vec<String>,
}

/// What `retry` put back to work; of `waive`, what it left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    /// How many builds will run again, or were left out.
    pub builds: u32,
    /// How many wait for those again.
    pub dependents: u32,
}

/// Which namespaces to list: the query of `GET /api/v1/namespaces`.
#[derive(
    Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema, utoipa::IntoParams,
)]
pub struct NamespaceQuery {
    /// Archived ones as well.
    #[serde(default)]
    pub archived: bool,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_repositories_are_read_and_written_back() {
        for text in [
            "core=https://mirror.example.org/$repo/os/$arch",
            "namespace:base",
            "x86_64/namespace:base",
            "aarch64/core=file:///srv/repo/core",
        ] {
            assert_eq!(text.parse::<BaseRepository>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "core",
            "core=ftp://x/",
            "=https://x/",
            "namespace:",
            "core=nonsense",
            "a b/namespace:x",
        ] {
            assert!(
                text.parse::<BaseRepository>().is_err(),
                "{text:?} was taken"
            );
        }
    }

    #[test]
    fn an_empty_object_means_the_defaults() {
        let options: NamespaceOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(options, NamespaceOptions::default());
    }
}
