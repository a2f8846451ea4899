//! `bbtw` on a terminal: a pseudo-terminal of 80 columns.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};

use crate::program::{Finished, PATIENCE, bbtw};
use crate::server::Server;

/// A program on a terminal.
pub struct OnTerminal {
    child: Child,
    terminal: File,
    read: String,
}

impl OnTerminal {
    /// Starts it.
    pub fn start(server: &Server, arguments: &[&str]) -> Self {
        Self::start_with(bbtw(&server.address(), arguments))
    }

    /// Starts a program with settings of its own.
    pub fn start_with(mut command: Command) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a terminal can be had");
        let end = || Stdio::from(pair.slave.try_clone().expect("it can be shared"));
        command
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end());
        let child = command.spawn().expect("it starts");
        Self {
            child,
            terminal: File::from(pair.master),
            read: String::new(),
        }
    }

    /// Types something.
    pub fn types(&mut self, text: &str) {
        self.terminal
            .write_all(text.as_bytes())
            .expect("it can be typed");
    }

    /// Reads on until there is a text.
    pub async fn until(&mut self, text: &str) {
        let start = self.read.len();
        let mut terminal = self.terminal.try_clone().expect("it can be shared");
        let text = text.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let mut read = Vec::new();
            loop {
                let mut byte = [0];
                match terminal.read(&mut byte) {
                    Ok(1) => read.push(byte[0]),
                    // A terminal without a program at its other end cannot be read.
                    _ => panic!(
                        "it ended before it said {text:?}:\n{}",
                        String::from_utf8_lossy(&read)
                    ),
                }
                let so_far = String::from_utf8_lossy(&read);
                if so_far.contains(&text) {
                    return so_far.into_owned();
                }
            }
        });
        let read = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("it never said that")
            .expect("it is read");
        self.read.push_str(&read);
        assert!(self.read.len() > start);
    }

    /// Reads it to its end.
    pub async fn finish(mut self) -> Finished {
        let mut terminal = self.terminal.try_clone().expect("it can be shared");
        let rest = tokio::task::spawn_blocking(move || {
            let mut rest = Vec::new();
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = terminal.read(&mut part) {
                rest.extend_from_slice(&part[..length]);
            }
            rest
        });
        let rest = tokio::time::timeout(PATIENCE, rest)
            .await
            .expect("it never ended")
            .expect("it is read");
        self.read.push_str(&String::from_utf8_lossy(&rest));
        Finished {
            code: self.child.wait().expect("it is waited for").code(),
            stdout: std::mem::take(&mut self.read),
            stderr: String::new(),
        }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // Whoever still reads the terminal then comes to its end. It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
