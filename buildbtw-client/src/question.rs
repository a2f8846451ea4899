//! Questions to whoever sits at the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Whether there is somebody to ask.
pub fn can_be_asked() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question that only `y` or `yes` answers with yes.
///
/// # Errors
///
/// When the answer cannot be read.
pub async fn ask(question: &str) -> Result<bool, Failure> {
    // On a thread of its own, so that Ctrl-C ends the question as well.
    let (sender, answer) = tokio::sync::oneshot::channel();
    let question = format!("{question} [y/N] ");
    std::thread::spawn(move || {
        anstream::eprint!("{question}");
        let _ = io::stderr().flush();
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let _ = sender.send(read.map(|_| line));
    });
    let line = answer
        .await
        .map_err(|_| Failure::new("the question was not answered"))?
        .map_err(|error| Failure::file("read the answer", &error))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
