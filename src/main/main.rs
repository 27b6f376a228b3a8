//! The `headwater` program: flags to settings, then one of its jobs.
//!
//! It uses the library as any other program does. Standard output is for answers, standard error for the log and for
//! errors; the exit code is 0 when the job is done, 1 when it failed, 2 for a wrong command line.

mod check;
mod command_line;
mod config;
mod demo;
mod logging;
mod serve;
mod shell;

use std::process::ExitCode;

use headwater::Result;

use crate::command_line::{Job, Request};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let request = match Request::from_environment() {
        Ok(request) => request,
        Err(error) => {
            eprintln!("headwater: {error}");
            return ExitCode::from(2);
        }
    };
    match run(request) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("headwater: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The stack of a thread that plans: of a debug build, a thousand branches of UNION take half of it.
const STACK_BYTES: usize = 64 << 20;

fn run(request: Request) -> Result<ExitCode> {
    let Request { job, config } = request;
    if let Job::Config { document } = job {
        return config::print(&config, document);
    }
    logging::start(&config)?;
    // Planning recurses over the parts of a statement, of which there may be a thousand. Pages that are not used cost nothing.
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
    runtime.block_on(async {
        match job {
            Job::Serve => serve::run(config).await,
            Job::Demo { customers } => demo::run(config, customers).await,
            Job::Sql(script) => shell::run(config, script).await,
            Job::Check => check::run(config).await,
            Job::Config { document } => config::print(&config, document),
        }
    })
}
