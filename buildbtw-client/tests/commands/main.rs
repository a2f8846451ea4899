//! Every command of `bbtw` as a program, against a server that answers from fixtures.

mod changing;
mod command_line;
mod downloading;
mod fixtures;
mod logs;
mod modes;
mod plans;
mod program;
mod reading;
mod server;
mod streams;
mod terminal;
mod trees;
mod watching;
mod world;
