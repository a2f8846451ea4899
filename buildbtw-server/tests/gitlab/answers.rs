//! What GitLab's answers become.

use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_server::gitlab::{GitLabError, NewPipeline, Order, PipelineStatus, Text, path_of};
use serde_json::json;

use crate::world::*;

#[tokio::test]
async fn pages_lead_on_to_the_last_one() {
    let world = World::new().await;
    for number in 0..7 {
        world.project(&format!("p{number}"));
    }
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = world
            .gitlab
            .projects(GROUP, after, 3, Order::Stable, None, true)
            .await
            .unwrap();
        for project in page.projects {
            assert_eq!(project.srcinfo, Text::Text(srcinfo(&project.name, "1")));
            assert_eq!(project.head.unwrap().commit.len(), 40);
            assert_eq!(project.default_branch.as_deref(), Some("main"));
            names.push(project.name);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    names.sort();
    assert_eq!(names, ["p0", "p1", "p2", "p3", "p4", "p5", "p6"]);
}

#[tokio::test]
async fn empty_binary_and_missing_texts_are_told_apart() {
    let world = World::new().await;
    world.fake.project(GROUP, "empty", "empty").unwrap();
    let binary = world.fake.project(GROUP, "binary", "binary").unwrap();
    let bytes = NewFile::Bytes(vec![0, 1, 2]);
    world
        .fake
        .push(binary, "main", "x", &[(".SRCINFO", bytes)])
        .unwrap();
    let missing = world.fake.project(GROUP, "missing", "missing").unwrap();
    let other = NewFile::Text("x".to_owned());
    world
        .fake
        .push(missing, "main", "x", &[("PKGBUILD", other)])
        .unwrap();
    let page = world
        .gitlab
        .projects(GROUP, None, 100, Order::Stable, None, true)
        .await
        .unwrap();
    let find = |name: &str| page.projects.iter().find(|one| one.name == name).unwrap();
    assert_eq!(find("empty").head, None);
    assert_eq!(find("binary").srcinfo, Text::Binary);
    assert_eq!(find("missing").srcinfo, Text::Missing);
    let page = world
        .gitlab
        .projects(GROUP, None, 100, Order::Stable, None, false)
        .await
        .unwrap();
    assert!(
        page.projects
            .iter()
            .all(|one| one.srcinfo == Text::NotAsked)
    );
}

#[tokio::test]
async fn a_branch_comes_before_a_tag_and_a_tag_before_a_commit() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let first = world.push(id, "main", "gtk4", "2");
    let second = world.push(id, "both", "gtk4", "3");
    world.fake.tag(id.0, "both", &first).unwrap();
    world.fake.tag(id.0, "only-tag", &first).unwrap();
    for (word, expected) in [
        ("both", &second),
        ("only-tag", &first),
        ("refs/tags/both", &first),
        (&second[..9], &second),
        (&first, &first),
    ] {
        let found = world.gitlab.resolve(id, word).await.unwrap();
        assert_eq!(found.commit.as_ref(), Some(expected), "{word}");
    }
    let none = world.gitlab.resolve(id, "nowhere").await.unwrap();
    assert_eq!(none.commit, None);
    assert_eq!(none.branches, ["both", "main"]);
}

#[tokio::test]
async fn a_trees_id_is_gits_own() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let submodule = "0123456789012345678901234567890123456789";
    let files = [
        ("keys/pgp/A.asc", NewFile::Text("key".to_owned())),
        (
            "keys.txt",
            NewFile::Text("sorts before the folder".to_owned()),
        ),
        ("tool", NewFile::Program("x".to_owned())),
        ("link", NewFile::Link("tool".to_owned())),
        ("module", NewFile::Submodule(submodule.parse().unwrap())),
    ];
    let commit = world.fake.push(id.0, "main", "x", &files).unwrap();
    let found = world
        .gitlab
        .commit_files(id, &commit)
        .await
        .unwrap()
        .unwrap();
    let git = world.fake.project_now(id.0).unwrap().repository;
    let expected = git
        .commit(commit.parse().unwrap())
        .unwrap()
        .tree
        .to_string();
    assert_eq!(found.tree, Some(expected));
    assert_eq!(
        found.submodules,
        [("module".to_owned(), submodule.to_owned())]
    );
    assert_eq!(found.pkgbuild, Text::Text("pkgver=1\n".to_owned()));
    let nothing = "1111111111111111111111111111111111111111";
    assert_eq!(world.gitlab.commit_files(id, nothing).await.unwrap(), None);
}

#[tokio::test]
async fn a_group_that_is_not_seen_is_no_empty_group() {
    let world = World::new().await;
    let error = world
        .gitlab
        .projects("no/such", None, 100, Order::Stable, None, true)
        .await
        .unwrap_err();
    assert!(matches!(error, GitLabError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_project_is_at_the_path_of_its_name() {
    let world = World::new().await;
    let path = path_of("libsigc++");
    let id = world.fake.project(GROUP, "libsigc++", &path).unwrap();
    let found = world
        .gitlab
        .project_by_path(&format!("{GROUP}/{path}"), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.id.0, found.name.as_str()), (id, "libsigc++"));
}

#[tokio::test]
async fn a_pipeline_from_its_making_to_its_end() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let new = NewPipeline {
        reference: "main".to_owned(),
        inputs: json!({"run": "7"}).as_object().unwrap().clone(),
    };
    let made = world.gitlab.create_pipeline(id, &new).await.unwrap();
    assert_eq!(made.status, PipelineStatus::Pending);
    let found = world.gitlab.pipelines_named(id, "run 7").await.unwrap();
    assert_eq!(found, std::slice::from_ref(&made));
    assert_eq!(world.gitlab.pipelines_named(id, "run 8").await.unwrap(), []);
    let jobs = world.gitlab.jobs(id, made.id).await.unwrap();
    assert_eq!(jobs[0].name, "build");
    world.gitlab.cancel_pipeline(id, made.id).await.unwrap();
    let shown = world.gitlab.pipeline(id, made.id).await.unwrap();
    assert_eq!(shown.status, PipelineStatus::Canceled);
    world.gitlab.retry_pipeline(id, made.id).await.unwrap();
    let shown = world.gitlab.pipeline(id, made.id).await.unwrap();
    assert_eq!(shown.status, PipelineStatus::Pending);
    let refused = world
        .gitlab
        .create_pipeline(
            id,
            &NewPipeline {
                reference: "main".to_owned(),
                ..NewPipeline::default()
            },
        )
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("`run` input: required value"),
        "{refused}"
    );
    assert_eq!(world.gitlab.ci_config_path(id).await.unwrap(), None);
    world
        .gitlab
        .set_ci_config_path(id, "x.yml@a/b")
        .await
        .unwrap();
    let path = world.gitlab.ci_config_path(id).await.unwrap();
    assert_eq!(path.as_deref(), Some("x.yml@a/b"));
}

#[tokio::test]
async fn words_that_gitlab_may_say_one_day_are_kept() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let new = NewPipeline {
        reference: "main".to_owned(),
        inputs: json!({"run": "7"}).as_object().unwrap().clone(),
    };
    let made = world.gitlab.create_pipeline(id, &new).await.unwrap();
    use buildbtw_fake_gitlab::faults::{Call, Fault};
    world.fake.faults().next(1, Call::Any, Fault::FutureStatus);
    let shown = world.gitlab.pipeline(id, made.id).await.unwrap();
    assert_eq!(
        shown.status,
        PipelineStatus::Other("hibernating".to_owned())
    );
    assert!(!shown.status.is_over());
}
