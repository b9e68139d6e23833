//! The simulator as a process: it listens where it is told to, and does what its standard input says.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsim"));
        let mut child =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), output, child }
    }

    fn says(&mut self) -> Value {
        serde_json::from_str(&self.output.next().unwrap().unwrap()).unwrap()
    }

    fn obeys(&mut self, line: &str) -> Value {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
        self.says()
    }

    fn ends(mut self) -> bool {
        drop(self.input.take());
        self.child.wait().unwrap().success()
    }
}

#[test]
fn it_does_what_its_input_says_and_ends_with_it() {
    let mut process = Process::start(&["1"]);
    assert!(process.says()["endpoint"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let first = process.obeys("task 100")["task"].clone();
    let second = process.obeys("task 200")["task"].clone();
    assert!(first.is_string() && second.is_string() && first != second, "{first} {second}");
    assert_eq!(process.obeys("secret other")["secret"], "other");
    assert_eq!(process.obeys("pace 1000")["pace"], 1000);
    assert_eq!(process.obeys("pace 0")["pace"], 0);
    for wrong in ["task", "task many", "pace", "dance 1"] {
        assert!(process.obeys(wrong)["error"].as_str().unwrap().starts_with("usage: "), "{wrong}");
    }
    assert!(process.ends());
}

#[test]
fn it_listens_at_the_ports_that_it_is_given() {
    let mut first = Process::start(&["0"]);
    let said = first.says();
    let port = |address: &Value| address.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let ports = [port(&said["endpoint"]), port(&said["oss"])];
    // Taken, and free again when the first has ended.
    assert!(!Process::start(&["0", &ports[0], &ports[1]]).ends());
    assert!(first.ends());
    let mut second = Process::start(&["0", &ports[0], &ports[1]]);
    let said = second.says();
    assert_eq!([port(&said["endpoint"]), port(&said["oss"])], ports);
    assert!(second.ends());
}
