//! What was typed: one of the jobs, and the settings from flags, environment and file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use headwater::{Config, Origin, OutputFormat, Result, SERVER_SETTINGS, ServerSetting, Settings, unread_variables};

/// A checked command line.
pub struct Request {
    /// What to do.
    pub job: Job,
    /// With which settings.
    pub config: Config,
}

/// What the program can do.
pub enum Job {
    /// Serve a database until told to stop.
    Serve,
    /// Serve a database with generated data.
    Demo {
        /// Rows of the customers table; the others follow from it.
        customers: u32,
    },
    /// Run statements without a server.
    Sql(Script),
    /// Look for damage.
    Check,
    /// Print the settings in force.
    Config {
        /// Print `docs/settings.md` instead.
        document: bool,
    },
}

/// What the embedded shell runs.
pub struct Script {
    /// Texts and files in the order they were given; none for an interactive shell.
    pub steps: Vec<Step>,
    /// How results are printed; `None` for tables on a terminal and CSV elsewhere.
    pub format: Option<OutputFormat>,
    /// Where the interactive shell keeps what was typed; `None` for the user's home.
    pub history: Option<PathBuf>,
}

/// A part of a script.
pub enum Step {
    /// `-c TEXT`
    Text(String),
    /// `-f FILE`; `-` is standard input.
    File(PathBuf),
}

impl Request {
    /// Reads the command line; `--help`, `--version` and mistakes of its form end the program here.
    pub fn from_environment() -> Result<Self> {
        let matches = command().get_matches();
        let (name, matches) = matches.subcommand().expect("clap requires a subcommand");
        let mut settings = settings(matches)?;
        if name == "demo"
            && settings.effective().iter().all(|line| line.setting.name != "data" || line.origin == Origin::Default)
        {
            settings.set_named("data", "headwater-demo", Origin::Flag)?;
        }
        let job = match name {
            "serve" => Job::Serve,
            "demo" => {
                Job::Demo { customers: matches.get_one::<u32>("customers").copied().unwrap_or(CUSTOMERS_DEFAULT) }
            }
            "sql" => Job::Sql(script(matches)),
            "check" => Job::Check,
            _ => Job::Config { document: matches.get_flag("document") },
        };
        Ok(Self { job, config: Config::from_settings(settings)? })
    }
}

const CUSTOMERS_DEFAULT: u32 = 50_000;

fn settings(matches: &ArgMatches) -> Result<Settings> {
    let flag = |setting: &ServerSetting| {
        let value = matches.get_one::<String>(setting.name)?;
        Some((setting.name.to_owned(), value.clone()))
    };
    let flags: BTreeMap<String, String> = SERVER_SETTINGS.iter().filter_map(flag).collect();
    let file = matches.get_one::<PathBuf>("config").map(PathBuf::as_path);
    for warning in unread_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        eprintln!("headwater: warning: {warning}");
    }
    Settings::read(file, |name| std::env::var(name).ok(), &flags)
}

/// `-c` and `-f` may be mixed; they run in the order in which they were typed.
fn script(matches: &ArgMatches) -> Script {
    let places = |name: &str| matches.indices_of(name).into_iter().flatten();
    let texts = matches.get_many::<String>("command").into_iter().flatten().cloned().map(Step::Text);
    let files = matches.get_many::<PathBuf>("file").into_iter().flatten().cloned().map(Step::File);
    let mut steps: Vec<(usize, Step)> = places("command").zip(texts).chain(places("file").zip(files)).collect();
    steps.sort_by_key(|(place, _)| *place);
    Script {
        steps: steps.into_iter().map(|(_, step)| step).collect(),
        format: matches.get_one::<OutputFormat>("format").copied(),
        history: matches.get_one::<PathBuf>("history").cloned(),
    }
}

fn command() -> Command {
    let customers = Arg::new("customers")
        .long("customers")
        .value_name("N")
        .env("HEADWATER_CUSTOMERS")
        .value_parser(value_parser!(u32).range(1..))
        .help("Rows of the customers table [default: 50000]; orders and order_items grow with it");
    let document = Arg::new("document")
        .long("document")
        .action(ArgAction::SetTrue)
        .help("Print the reference of all settings (docs/settings.md) instead");
    let mut command = Command::new("headwater")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A folder or a bucket becomes a lakehouse you query with psql")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("serve").about("Serve a database until SIGTERM or Ctrl-C"))
        .subcommand(Command::new("demo").about("Serve a generated data set to try things on").arg(customers))
        .subcommand(sql_command())
        .subcommand(Command::new("check").about("Look for damage in a database that no server has open"))
        .subcommand(Command::new("config").about("Print the settings in force and where each was set").arg(document))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .env("HEADWATER_CONFIG")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("A TOML file of settings"),
        );
    for setting in SERVER_SETTINGS {
        command = command.arg(argument(setting));
    }
    command
}

fn sql_command() -> Command {
    let formats = |text: &str| text.parse::<OutputFormat>().map_err(|error| error.to_string());
    Command::new("sql")
        .about("Run SQL on a database without a server: -c, -f, or an interactive shell")
        .arg(
            Arg::new("command")
                .short('c')
                .long("command")
                .value_name("SQL")
                .action(ArgAction::Append)
                .help("Run this text"),
        )
        .arg(
            Arg::new("file")
                .short('f')
                .long("file")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("Run this file; - is standard input"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .env("HEADWATER_FORMAT")
                .value_parser(formats)
                .help("table, csv, json, ndjson or parquet [default: table on a terminal, else csv]"),
        )
        .arg(
            Arg::new("history")
                .long("history")
                .value_name("FILE")
                .env("HEADWATER_HISTORY")
                .value_parser(value_parser!(PathBuf))
                .help("Where the interactive shell keeps what was typed [default: ~/.headwater_history]"),
        )
}

/// The flag of a setting. The environment is read by [`Settings::read`], which knows the order of precedence.
fn argument(setting: &'static ServerSetting) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let value_name = match setting.kind.words() {
        [] => setting.kind.name().to_uppercase().replace(' ', "-"),
        words => words.join("|"),
    };
    // The command line is made once and lives as long as the program.
    let (flag, value_name): (&'static str, &'static str) = (setting.flag().leak(), value_name.leak());
    Arg::new(setting.name)
        .long(flag)
        .value_name(value_name)
        .global(true)
        .allow_hyphen_values(true)
        .hide_short_help(!FREQUENT.contains(&setting.name))
        .help(format!("{}{default} [env: {}]", setting.help, setting.variable()))
}

/// What `-h` shows; `--help` shows all.
const FREQUENT: [&str; 6] = ["data", "pg", "flight", "http", "memory_bytes_max", "file_locations"];
