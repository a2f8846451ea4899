//! Forms that are asked about before they act, that were filled in wrongly, and those that are not offered.

use buildbtw_api::BuildStatus;

use crate::plain::{client, text};
use crate::world::Eventful;

/// Sends a form as a browser does.
async fn post(world: &Eventful, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let request = client().post(world.stage.url() + path).form(form);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn what_waits_for_a_failure_offers_to_try_that_one_again() {
    let world = Eventful::start().await;
    let path = "/namespaces/n/1/x86_64/suite/1";
    let page = text(&world, path).await;
    let forms = page.split("id=\"actions\"").nth(1).unwrap();
    assert!(forms.contains("name=\"pkgbase\" value=\"tool\""), "{forms}");
    assert!(forms.contains("<button>Try tool again</button>"), "{forms}");
    assert!(!forms.contains(">Try again<"), "{forms}");
    // Who asks for it all the same is told why it comes to nothing.
    let form = [("pkgbase", "suite"), ("back", path)];
    let (status, said) = post(&world, "/namespaces/n/retry", &form).await;
    assert_eq!(status, 409, "{said}");
    assert!(said.contains("suite did not fail by itself"), "{said}");
    assert!(said.contains(&format!("href=\"{path}\"")), "{said}");
    let form = [("pkgbase", "tool"), ("back", path)];
    assert_eq!(post(&world, "/namespaces/n/retry", &form).await.0, 303);
    world.comes_to("suite", BuildStatus::Blocked).await;
    world.stage.stop().await;
}

#[tokio::test]
async fn calling_off_and_putting_away_are_asked_about_first() {
    let world = Eventful::start().await;
    let page = text(&world, "/namespaces/n").await;
    for (verb, asked) in [
        ("cancel", "1 build that is not done is called off. “Resume”"),
        ("archive", "It cannot be taken up again."),
    ] {
        let form = format!("action=\"/namespaces/n/{verb}\"");
        let (before, after) = page.split_once(&form).unwrap();
        let question = before.rsplit("<details").next().unwrap();
        assert!(question.contains(&format!("id=\"ask-{verb}\"")), "{page}");
        let button = after.split("</form>").next().unwrap();
        assert!(button.contains(asked), "{button}");
    }
    world.stage.stop().await;
}

#[tokio::test]
async fn a_form_that_was_not_taken_keeps_what_was_filled_in() {
    let world = Eventful::start().await;
    let (status, said) = post(&world, "/namespaces/n/add", &[("changeset", "nonsense")]).await;
    assert_eq!(status, 400, "{said}");
    assert!(
        said.contains("name=\"changeset\" value=\"nonsense\""),
        "{said}"
    );
    assert!(said.contains("href=\"/namespaces/n\""), "{said}");
    assert_eq!(said.matches("is not a changeset").count(), 1, "{said}");
    let told = said.split("<main").nth(1).unwrap();
    assert_eq!(told.matches("<code>nonsense</code>").count(), 1, "{told}");
    // A word that means nothing is not taken for another one.
    let form = [
        ("changesets", "lib/main"),
        ("scope", "bogus"),
        ("name", "x"),
    ];
    let (status, said) = post(&world, "/namespaces", &form).await;
    assert_eq!(status, 400, "{said}");
    assert!(said.contains("transitive"), "{said}");
    assert!(
        said.contains("href=\"/plan?changesets=lib%2Fmain&#38;name=x&#38;scope=bogus\""),
        "{said}"
    );
    let plan = text(&world, "/plan?changesets=lib%2Fmain&name=x&scope=bogus").await;
    assert!(
        plan.contains("is no scope") && !plan.contains("Begin it"),
        "{plan}"
    );
    world.stage.stop().await;
}
