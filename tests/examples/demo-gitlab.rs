//! The demo of builds on GitLab: a push becomes pipelines, the pipelines packages, the packages a
//! repository. `just demo-gitlab` builds what it needs and starts it; `--keep` leaves everything running
//! at the end until Ctrl-C.

use std::process::{Command, ExitCode};
use std::time::Instant;

use buildbtw_api::events::EventKind;
use buildbtw_fake_gitlab::pipelines::Status;
use buildbtw_tests::fleet::{Fleet, GROUP};
use buildbtw_tests::pacman::Root;
use buildbtw_tests::programs::output;
use buildbtw_tests::stage::{Stage, name_of};

const PACKAGES: [&str; 4] = ["greet-cli", "greet-words", "greetgen", "libgreet"];

/// What is told, with the time it took so far.
struct Story {
    began: Instant,
    acts: u32,
}

impl Story {
    fn act(&mut self, what: &str) {
        self.acts += 1;
        println!(
            "\n{}. {what} ({} s)",
            self.acts,
            self.began.elapsed().as_secs()
        );
    }

    /// Runs a command of the packager's, which must end well.
    fn packager(&self, stage: &Stage, fleet: &Fleet, arguments: &[&str]) -> Result<(), String> {
        println!("$ bbtw {}", arguments.join(" "));
        let finished = tokio::task::block_in_place(|| stage.bbtw(arguments));
        print!("{}", finished.stdout);
        match finished.code {
            Some(0) => Ok(()),
            _ => Err(format!(
                "bbtw failed: {}\n{}\n{}",
                finished.stderr,
                stage.logs(),
                fleet.logs()
            )),
        }
    }
}

/// Shows the pipelines that came since some were seen, and hands back how many there are.
fn show_pipelines(fleet: &Fleet, seen: usize) -> usize {
    let state = fleet.gitlab.state();
    for pipeline in state.pipelines.values().skip(seen) {
        let project = state.projects.get(&pipeline.project);
        let jobs = state
            .jobs
            .values()
            .filter(|job| job.pipeline == pipeline.id);
        let runners: Vec<&str> = jobs.filter_map(|job| job.runner.as_deref()).collect();
        println!(
            "   pipeline {:>3}  {:<11} {:<8} {}  on {}",
            pipeline.id,
            project.map_or("", |project| project.name.as_str()),
            pipeline.status,
            pipeline.name.as_deref().unwrap_or_default(),
            runners.join(", ")
        );
    }
    state.pipelines.len()
}

#[tokio::main]
async fn main() -> ExitCode {
    let keep = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--keep") => true,
        Some(_) => {
            eprintln!("usage: just demo-gitlab [--keep]");
            return ExitCode::from(2);
        }
    };
    match play(keep).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn play(keep: bool) -> Result<(), String> {
    let mut story = Story {
        began: Instant::now(),
        acts: 0,
    };

    story.act("A GitLab with packages (played on this machine, with real git repositories)");
    let mut fleet = Fleet::with(&PACKAGES).await;
    println!("   {}/{GROUP}: {}", fleet.gitlab.url(), PACKAGES.join(", "));

    story.act("A server that follows the group and has everything built there, and two Runners");
    let mut stage = fleet.stage().with("BASE_REPOSITORIES", "namespace:base");
    stage.start_server();
    stage.sources_in_sync().await;
    fleet.tell(&stage);
    fleet.start_runners(&stage, 2);
    println!("   the server listens on {}", stage.address());

    story.act("Everything is built once, as a pipeline each: from now on the released packages");
    let mut new = vec!["new", "--name", "base", "--scope", "none", "--bootstrap"];
    new.extend(["--base", "none"]);
    let released = fleet.released.iter();
    let changesets: Vec<String> = released
        .map(|(package, commit)| format!("{package}/{commit}"))
        .collect();
    new.extend(changesets.iter().map(String::as_str));
    story.packager(&stage, &fleet, &new)?;
    story.packager(&stage, &fleet, &["watch", "base"])?;
    fleet.jobs_over().await;
    let seen = show_pipelines(&fleet, 0);

    story.act("libgreet changes on GitLab, and what depends on it is rebuilt");
    let version = |version: &'static str| move |text: String| text.replace("1.0.0", version);
    fleet.push("libgreet", "libgreet 1.1.0", version("1.1.0"));
    story.packager(&stage, &fleet, &["new", "libgreet/main"])?;
    story.packager(&stage, &fleet, &["watch", "libgreet"])?;
    fleet.jobs_over().await;
    let seen = show_pipelines(&fleet, seen);

    story.act("A second push: GitLab's hook makes a second iteration");
    fleet.push("libgreet", "libgreet 1.2.0", version("1.2.0"));
    stage
        .events_until(|event| {
            event.kind == EventKind::IterationCreated
                && event.iteration == Some(2)
                && event.namespace == Some(name_of("libgreet"))
        })
        .await;
    story.packager(&stage, &fleet, &["watch", "libgreet"])?;
    fleet.jobs_over().await;
    show_pipelines(&fleet, seen);

    story.act("The log of a job, as GitLab shows it");
    show_job(&fleet);

    story.act("pacman installs the result, and the program runs");
    let folder = stage.path().join("install");
    let server = format!("{}/repo/libgreet/2/os/x86_64", stage.address());
    let base = format!("{}/repo/base/1/os/x86_64", stage.address());
    let root = Root::new(&folder, &[("libgreet", &server), ("base", &base)]);
    println!("$ pacman -Sy greet-cli");
    root.pacman_ok(&["-Sy", "greet-cli"]);
    println!("$ greet --version");
    let said = output(
        Command::new(root.path.join("usr/bin/greet"))
            .arg("--version")
            .env("LD_LIBRARY_PATH", root.path.join("usr/lib")),
    );
    print!("{said}");
    if !said.contains("1.2.0") {
        return Err("the installed program should be of libgreet 1.2.0".to_owned());
    }
    println!("\nDone in {} s.", story.began.elapsed().as_secs());
    if keep {
        println!("Pages: {}\nCtrl-C ends everything.", stage.address());
        tokio::signal::ctrl_c()
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Prints the log of the last job that went well, without what a terminal does not show.
fn show_job(fleet: &Fleet) {
    let state = fleet.gitlab.state();
    let mut jobs = state.jobs.values().rev();
    let Some(job) = jobs.find(|job| job.status == Status::Success) else {
        return;
    };
    for line in job.trace.lines() {
        // The marks of sections stand before a carriage return.
        let shown = line.rsplit('\r').next().unwrap_or_default();
        let shown = shown.replace("\x1b[0K", "");
        if !shown.is_empty() {
            println!("   {shown}");
        }
    }
}
