//! Repositories as the real pacman sees them: received, published, served.

mod http;
mod pacman;
mod publish;
mod receive;
mod world;
