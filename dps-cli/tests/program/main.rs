//! The program as its users meet it: the built binary, its streams, its files and its exit codes.

mod bulk;
mod closed_streams;
mod command_line;
mod derive_key;
mod emulator;
mod enrollment;
mod run;
mod secrets;
mod service;
mod token;
