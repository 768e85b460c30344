//! The program as its users meet it: the built binary, its streams, its files and its exit codes.

mod bulk;
mod closed_streams;
mod command_line;
mod demo;
mod derive_key;
mod emulator;
mod enrollment;
mod failures;
mod faults;
mod interrupted;
mod register;
mod run;
mod secrets;
mod service;
mod token;
