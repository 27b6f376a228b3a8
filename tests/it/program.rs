//! Other programs: found, started, stopped with the test, and read.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A program that ends with the test that started it.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// SIGKILL, and waits until the program is gone.
    pub fn kill(&mut self) {
        // A program that has ended by itself cannot be killed, which is as good.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Sends a signal by name, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").arg(format!("-{name}")).arg(&id).status().expect("kill runs");
        assert!(sent.success(), "kill -{name} {id}");
    }

    /// The exit code, within a time.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the program still runs after {limit:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads lines until `wanted` says yes to one; panics with all that was read when the stream ends first.
pub fn read_until<T, R: Read>(stream: R, mut wanted: impl FnMut(&str) -> Option<T>) -> (T, BufReader<R>) {
    let mut reader = BufReader::new(stream);
    let mut seen = String::new();
    loop {
        let start = seen.len();
        let read = reader.read_line(&mut seen).expect("output is UTF-8");
        assert!(read > 0, "the program ended early, having said:\n{seen}");
        if let Some(found) = wanted(&seen[start..]) {
            return (found, reader);
        }
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// Standard output of a program that must succeed.
pub fn text_of(command: &mut Command) -> String {
    let output = run(command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}\n{err}");
    out.into_owned()
}

/// A loopback address with a port that nobody uses now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound listener has an address")
}

/// The root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python of the test environment that `.ci/run` makes, with the packages of `tests/requirements.txt`.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let folder = root().join("target/python");
        let (python, wanted) = (folder.join("bin/python"), root().join("tests/requirements.txt"));
        let stamp = folder.join("requirements.txt");
        let text = std::fs::read(&wanted).expect("tests/requirements.txt is there");
        if std::fs::read(&stamp).ok().as_deref() != Some(text.as_slice()) {
            text_of(Command::new("python3").args(["-m", "venv"]).arg(&folder));
            text_of(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(&wanted));
            std::fs::write(&stamp, &text).expect("the target folder can be written");
        }
        python
    })
}
