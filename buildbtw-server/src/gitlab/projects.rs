//! Projects through GraphQL: pages of the group, some by id, one by path.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::GitLab;
use super::error::GitLabError;
use super::queries::{
    BranchNames, ProjectByPath, ProjectsById, ProjectsPage, ResolveReference, WhoAmI, branch_names,
    project_by_path, projects_by_id, projects_page, resolve_reference, who_am_i,
};

/// The most projects of a page.
pub const LARGEST_PAGE: usize = 100;

/// The id of a project, which stays when it is renamed or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(pub u64);

impl ProjectId {
    /// As GraphQL has it.
    pub fn global(self) -> String {
        format!("gid://gitlab/Project/{}", self.0)
    }

    pub(super) fn read(global: &str) -> Option<Self> {
        let number = global.strip_prefix("gid://gitlab/Project/")?;
        number.parse().ok().map(Self)
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The commit of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub commit: String,
    /// When it was written, in seconds since 1970.
    pub authored_at: i64,
}

/// A file's text, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// It was not asked for.
    NotAsked,
    /// There is no such file.
    Missing,
    /// It is no text.
    Binary,
    /// The text.
    Text(String),
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name: the package base.
    pub name: String,
    /// Its path from the top.
    pub full_path: String,
    /// Whether it is archived.
    pub archived: bool,
    /// Whether it will be deleted.
    pub marked_for_deletion: bool,
    /// When something happened in it last; up to an hour too early.
    pub last_activity_at: Option<Timestamp>,
    /// The branch that GitLab takes for the default one.
    pub default_branch: Option<String>,
    /// The commit that is planned with; none in an empty project.
    pub head: Option<Head>,
    /// Its `.SRCINFO`.
    pub srcinfo: Text,
    /// Its PKGBUILD.
    pub pkgbuild: Text,
}

/// The two files that are read of a project.
pub(super) struct Files {
    pub srcinfo: Text,
    pub pkgbuild: Text,
}

impl Files {
    /// Neither was asked for.
    const NOT_ASKED: Self = Self {
        srcinfo: Text::NotAsked,
        pkgbuild: Text::NotAsked,
    };

    /// From the files that are there, by name; a file that is no text has none.
    pub fn read(found: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let mut files = Self {
            srcinfo: Text::Missing,
            pkgbuild: Text::Missing,
        };
        for (path, text) in found {
            let text = text.map_or(Text::Binary, Text::Text);
            match path.as_str() {
                ".SRCINFO" => files.srcinfo = text,
                "PKGBUILD" => files.pkgbuild = text,
                _ => {}
            }
        }
        files
    }
}

/// A page of projects.
#[derive(Debug, Clone)]
pub struct Page {
    /// The projects that could be read.
    pub projects: Vec<Project>,
    /// How many could not.
    pub unreadable: usize,
    /// Where the next page begins; none after the last one.
    pub next: Option<String>,
    /// What the query cost.
    pub cost: Option<Cost>,
}

/// What a query cost, and what it might.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// What it cost.
    pub score: i64,
    /// What it might.
    pub limit: i64,
}

/// The order of a page's projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One that does not change while pages are read.
    Stable,
    /// Where something happened last comes first.
    Activity,
}

/// The commits that a word may stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// As a branch, else as a tag, else as a commit.
    pub commit: Option<String>,
    /// Some branches of the project, if there is no such commit.
    pub branches: Vec<String>,
    /// What the query cost.
    pub cost: Option<Cost>,
}

/// Whose token it is, on which GitLab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub username: Option<String>,
    /// GitLab's version.
    pub version: Option<String>,
    /// How many projects the group has; none if the token does not see the group.
    pub projects: Option<i64>,
    /// What the query cost.
    pub cost: Option<Cost>,
}

/// What two queries say of a project alike.
macro_rules! project_from {
    ($module:ident, $blobs:expr) => {
        impl Project {
            #[allow(
                clippy::redundant_closure_call,
                reason = "the closures say how the queries differ"
            )]
            fn $module(fields: $module::ProjectFields) -> Option<Self> {
                let repository = fields.repository;
                let (default_branch, last, files) = match repository {
                    Some(repository) => {
                        let files = ($blobs)(repository.blobs);
                        (repository.root_ref, repository.last_commit, files)
                    }
                    None => (None, None, Files::read([])),
                };
                let head = last.map(|commit| Head {
                    commit: commit.sha,
                    authored_at: seconds(commit.authored_date.as_deref()),
                });
                Some(Self {
                    id: ProjectId::read(&fields.id)?,
                    name: fields.name,
                    full_path: fields.full_path,
                    archived: fields.archived.unwrap_or(false),
                    marked_for_deletion: fields.marked_for_deletion.unwrap_or(false),
                    last_activity_at: fields.last_activity_at.and_then(|time| time.parse().ok()),
                    default_branch,
                    head,
                    srcinfo: files.srcinfo,
                    pkgbuild: files.pkgbuild,
                })
            }
        }
    };
}

/// The texts of the files that were asked for.
macro_rules! texts {
    ($blobs:expr) => {{
        let nodes = $blobs.and_then(|blobs| blobs.nodes).unwrap_or_default();
        let nodes = nodes.into_iter().flatten();
        Files::read(nodes.map(|blob| (blob.path, blob.raw_text_blob)))
    }};
}

project_from!(projects_page, |blobs: Option<
    projects_page::ProjectFieldsRepositoryBlobs,
>| match blobs {
    None => Files::NOT_ASKED,
    blobs => texts!(blobs),
});
project_from!(projects_by_id, |blobs: Option<
    projects_by_id::ProjectFieldsRepositoryBlobs,
>| texts!(blobs));
project_from!(project_by_path, |blobs: Option<
    project_by_path::ProjectFieldsRepositoryBlobs,
>| texts!(blobs));

/// What a query says of its own cost.
macro_rules! cost {
    ($data:expr) => {
        $data.query_complexity.and_then(|cost| {
            Some($crate::gitlab::Cost {
                score: cost.score?,
                limit: cost.limit?,
            })
        })
    };
}
pub(super) use cost;

/// Seconds since 1970; zero where there is no time.
pub(super) fn seconds(time: Option<&str>) -> i64 {
    let time: Option<Timestamp> = time.and_then(|time| time.parse().ok());
    time.map_or(0, Timestamp::as_second)
}

impl GitLab {
    /// A page of the group's projects, the branch being GitLab's default one unless given. Without texts
    /// it costs GitLab much less.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or does not see the group.
    pub async fn projects(
        &self,
        group: &str,
        after: Option<String>,
        size: usize,
        order: Order,
        branch: Option<&str>,
        texts: bool,
    ) -> Result<Page, GitLabError> {
        const WHAT: &str = "list the group's projects";
        let variables = projects_page::Variables {
            group: group.to_owned(),
            first: i64::try_from(size.clamp(1, LARGEST_PAGE)).unwrap_or(1),
            after,
            sort: (order == Order::Activity)
                .then_some(projects_page::NamespaceProjectSort::ACTIVITY_DESC),
            branch: branch.map(str::to_owned),
            texts,
        };
        let answered = self.query::<ProjectsPage>(WHAT, variables).await?;
        let cost = cost!(answered.data);
        let Some(group) = answered.data.group else {
            return Err(GitLabError::NotFound { what: WHAT });
        };
        let projects = group.projects;
        let (projects_read, unreadable) = readable(
            projects.nodes.unwrap_or_default(),
            &answered.broken_nodes,
            Project::projects_page,
        );
        let next = projects
            .page_info
            .end_cursor
            .filter(|_| projects.page_info.has_next_page);
        if projects.page_info.has_next_page && next.is_none() {
            let reason = "there is a next page, and no word of where".to_owned();
            return Err(GitLabError::Garbled { what: WHAT, reason });
        }
        Ok(Page {
            projects: projects_read,
            unreadable,
            next,
            cost,
        })
    }

    /// Projects by their ids, with texts. Those that are not there, or not to be seen, are left out.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn projects_by_id(
        &self,
        ids: &[ProjectId],
        branch: Option<&str>,
    ) -> Result<Page, GitLabError> {
        let variables = projects_by_id::Variables {
            ids: ids.iter().map(|id| id.global()).collect(),
            first: i64::try_from(ids.len().clamp(1, LARGEST_PAGE)).unwrap_or(1),
            branch: branch.map(str::to_owned),
        };
        let answered = self
            .query::<ProjectsById>("read projects", variables)
            .await?;
        let cost = cost!(answered.data);
        let nodes = answered.data.projects.and_then(|projects| projects.nodes);
        let (projects, unreadable) = readable(
            nodes.unwrap_or_default(),
            &answered.broken_nodes,
            Project::projects_by_id,
        );
        Ok(Page {
            projects,
            unreadable,
            next: None,
            cost,
        })
    }

    /// The project with a path, if there is one.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn project_by_path(
        &self,
        path: &str,
        branch: Option<&str>,
    ) -> Result<Option<Project>, GitLabError> {
        let variables = project_by_path::Variables {
            path: path.to_owned(),
            branch: branch.map(str::to_owned),
        };
        let answered = self
            .query::<ProjectByPath>("look for a project", variables)
            .await?;
        Ok(answered.data.project.and_then(Project::project_by_path))
    }

    /// The commit that a user's word stands for: a branch, else a tag, else a commit; `refs/...` is taken
    /// literally.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or the project is not there any more.
    pub async fn resolve(&self, project: ProjectId, word: &str) -> Result<Reference, GitLabError> {
        const WHAT: &str = "look up a branch, tag or commit";
        let (branch, tag) = if word.starts_with("refs/") {
            (word.to_owned(), word.to_owned())
        } else {
            (format!("refs/heads/{word}"), format!("refs/tags/{word}"))
        };
        // GitLab would also take a branch's or tag's name here, and those were asked for already.
        let commit = if is_commit(word) { word } else { &branch };
        let variables = resolve_reference::Variables {
            project: project.global(),
            branch: branch.clone(),
            tag,
            commit: commit.to_owned(),
        };
        let answered = self.query::<ResolveReference>(WHAT, variables).await?;
        let cost = cost!(answered.data);
        let nodes = answered.data.projects.and_then(|projects| projects.nodes);
        let node = nodes.and_then(|nodes| nodes.into_iter().flatten().next());
        let Some(node) = node else {
            return Err(GitLabError::NotFound { what: WHAT });
        };
        let found = node.repository.and_then(|repository| {
            repository
                .branch
                .map(|commit| commit.sha)
                .or_else(|| repository.tag.map(|commit| commit.sha))
                .or_else(|| repository.commit.map(|commit| commit.sha))
        });
        let branches = match found {
            Some(_) => Vec::new(),
            None => self.branches(project).await?,
        };
        Ok(Reference {
            commit: found,
            branches,
            cost,
        })
    }

    async fn branches(&self, project: ProjectId) -> Result<Vec<String>, GitLabError> {
        let variables = branch_names::Variables {
            project: project.global(),
            limit: 11,
        };
        let answered = self
            .query::<BranchNames>("list a project's branches", variables)
            .await?;
        let nodes = answered.data.projects.and_then(|projects| projects.nodes);
        let node = nodes.and_then(|nodes| nodes.into_iter().flatten().next());
        let repository = node.and_then(|node| node.repository);
        Ok(repository
            .and_then(|repository| repository.branch_names)
            .unwrap_or_default())
    }

    /// Whose token it is, and what it sees of a group.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn who_am_i(&self, group: &str) -> Result<Identity, GitLabError> {
        let variables = who_am_i::Variables {
            group: group.to_owned(),
        };
        let answered = self
            .query::<WhoAmI>("see whose token it is", variables)
            .await?;
        let data = answered.data;
        Ok(Identity {
            cost: cost!(data),
            username: data.current_user.map(|user| user.username),
            version: data.metadata.map(|metadata| metadata.version),
            projects: data.group.map(|group| group.projects_count),
        })
    }
}

/// The projects of a list of nodes, each once, and how many could not be read.
fn readable<N>(
    nodes: Vec<Option<N>>,
    broken: &BTreeSet<usize>,
    read: impl Fn(N) -> Option<Project>,
) -> (Vec<Project>, usize) {
    let mut projects = Vec::with_capacity(nodes.len());
    let mut seen = BTreeSet::new();
    let mut unreadable = 0;
    for (at, node) in nodes.into_iter().enumerate() {
        match node.filter(|_| !broken.contains(&at)).and_then(&read) {
            Some(project) if seen.insert(project.id) => projects.push(project),
            Some(_) => {}
            None => unreadable += 1,
        }
    }
    (projects, unreadable)
}

/// Whether a word may be a commit's id, or the beginning of one.
fn is_commit(word: &str) -> bool {
    (7..=40).contains(&word.len()) && word.chars().all(|c| c.is_ascii_hexdigit())
}
