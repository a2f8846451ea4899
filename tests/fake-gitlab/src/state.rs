//! What a GitLab knows besides its repositories: groups, projects, pipelines, jobs, hooks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::access::{Access, Role, Token};
use crate::hooks::Hook;
use crate::pipelines::{Job, Pipeline};
use crate::repository::Repository;
use crate::statuses::CommitStatus;

/// `last_activity_at` moves only when it is older than this.
pub const ACTIVITY_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

/// `last_repository_updated_at`, and with it `updated_at`, moves only when it is older than this.
pub const REPOSITORY_INTERVAL: SignedDuration = SignedDuration::from_mins(5);

/// Who sees a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Members.
    Private,
}

impl Visibility {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    /// As hooks write it.
    pub fn level(self) -> u8 {
        match self {
            Self::Public => 20,
            Self::Private => 0,
        }
    }
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its path from the top.
    pub full_path: String,
}

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its id, which stays.
    pub id: u64,
    /// The group it is in.
    pub group: u64,
    /// Its name.
    pub name: String,
    /// The last part of its path.
    pub path: String,
    /// Its path from the top.
    pub full_path: String,
    /// Whether it is archived.
    pub archived: bool,
    /// Whether it will be deleted.
    pub marked_for_deletion: bool,
    /// Who sees it.
    pub visibility: Visibility,
    /// Its repository.
    pub repository: Repository,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its repository was changed, as far as anybody is told.
    pub updated_at: Timestamp,
    /// When something happened in it, as far as anybody is told.
    pub last_activity_at: Timestamp,
    /// When somebody pushed, as far as anybody is told.
    pub last_repository_updated_at: Timestamp,
    /// Where its CI configuration is.
    pub ci_config_path: Option<String>,
    /// Who may set variables of pipelines.
    pub variables_role: String,
    /// Whether it runs jobs.
    pub jobs_enabled: bool,
    /// How many pipelines it has had.
    pub pipelines: u64,
}

impl Project {
    /// Something happened that shows in the dates: a push does, and shows no more often than every
    /// hour in one and every five minutes in another.
    pub fn touch(&mut self, now: Timestamp) {
        let mut shows = false;
        if now.duration_since(self.last_activity_at) > ACTIVITY_INTERVAL {
            self.last_activity_at = now;
            shows = true;
        }
        if now.duration_since(self.last_repository_updated_at) > REPOSITORY_INTERVAL {
            self.last_repository_updated_at = now;
            shows = true;
        }
        if shows {
            self.updated_at = now;
        }
    }
}

/// Everything but the repositories.
#[derive(Debug, Default)]
pub struct State {
    /// The last id that was given to anything.
    pub last_id: u64,
    /// Tokens by what is sent.
    pub tokens: BTreeMap<String, Token>,
    /// Groups by id.
    pub groups: BTreeMap<u64, Group>,
    /// Projects by id.
    pub projects: BTreeMap<u64, Project>,
    /// Paths that projects had before, in lower case.
    pub moved: BTreeMap<String, u64>,
    /// Pipelines by id.
    pub pipelines: BTreeMap<u64, Pipeline>,
    /// Jobs by id.
    pub jobs: BTreeMap<u64, Job>,
    /// Hooks by id; those of the whole instance belong to no project.
    pub hooks: BTreeMap<u64, Hook>,
    /// Statuses of commits, in the order they came.
    pub statuses: Vec<CommitStatus>,
    /// Tags that some runner has. Jobs with others are never taken.
    pub runner_tags: Option<Vec<String>>,
    /// Pipelines that are left of a quota, if there is one.
    pub quota: Option<u64>,
}

/// A user, as several replies show one.
pub fn user(username: &str) -> Value {
    serde_json::json!({
        "id": 1, "name": username, "username": username, "state": "active", "avatar_url": null,
        "web_url": format!("https://gitlab.example.org/{username}"),
    })
}

impl State {
    /// A fresh id.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether somebody sees a project.
    pub fn sees(access: &Access, project: &Project) -> bool {
        project.visibility == Visibility::Public || access.role() >= Role::Reporter
    }

    /// A project by its path. Paths are the same in either case of letters.
    pub fn project_by_path(&self, path: &str) -> Option<&Project> {
        let wanted = path.to_lowercase();
        self.projects
            .values()
            .find(|project| project.full_path.to_lowercase() == wanted)
    }

    /// A group by its path.
    pub fn group_by_path(&self, path: &str) -> Option<&Group> {
        self.groups
            .values()
            .find(|group| group.full_path.eq_ignore_ascii_case(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn project(now: Timestamp) -> Project {
        Project {
            id: 1,
            group: 1,
            name: "foo".to_owned(),
            path: "foo".to_owned(),
            full_path: "g/foo".to_owned(),
            archived: false,
            marked_for_deletion: false,
            visibility: Visibility::Public,
            repository: Repository {
                path: "/nowhere".into(),
            },
            created_at: now,
            updated_at: now,
            last_activity_at: now,
            last_repository_updated_at: now,
            ci_config_path: None,
            variables_role: "no_one_allowed".to_owned(),
            jobs_enabled: true,
            pipelines: 0,
        }
    }

    #[test]
    fn dates_of_activity_are_throttled() {
        let clock = Clock::default();
        let made = clock.now();
        let mut project = project(made);
        // Within five minutes nothing shows.
        clock.advance(SignedDuration::from_mins(4));
        project.touch(clock.now());
        assert_eq!((project.updated_at, project.last_activity_at), (made, made));
        // Within an hour the order by activity does not change.
        clock.advance(SignedDuration::from_mins(6));
        project.touch(clock.now());
        assert_eq!(
            (project.updated_at, project.last_activity_at),
            (clock.now(), made)
        );
        clock.advance(SignedDuration::from_mins(51));
        project.touch(clock.now());
        assert_eq!(project.last_activity_at, clock.now());
    }
}
