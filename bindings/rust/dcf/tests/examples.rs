//! Runs the examples as a user does, and compares what they say.

use std::path::PathBuf;
use std::process::Command;

fn run(example: &str, arguments: &[&str]) -> String {
    // Cargo builds examples for tests: beside the folder that this program lies in.
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    let program: PathBuf = folder.join("examples").join(example);
    let out = Command::new(&program).args(arguments).output();
    let out = out
        .unwrap_or_else(|error| panic!("{}: {error}: cargo build --examples", program.display()));
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{example} {arguments:?}: {errors}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn tree() {
    const SAYS: &str = "\
MaxAdjacentSum 0: 600
MaxAdjacentSum 1: 1305
MaxAdjacentSum 2: 2120
MaxAdjacentSum 3: 2136
SwapLargestAndSmallest: 600 and 1
GraphSum: 2136
GraphSum: 82136
";
    for over in ["one", "inproc", "tcp"] {
        assert_eq!(run("tree", &[over]), SAYS, "{over}");
    }
}

#[test]
fn flights() {
    let says = run("flights", &[]);
    assert!(says.starts_with("12 shards on two workers\n"), "{says}");
    assert!(says.ends_with("both ways agree with the whole table\n"), "{says}");
    assert_eq!(says.matches(" 0 of them shards\n").count(), 2, "{says}");
}

#[test]
fn latency() {
    let says = run("latency", &["100"]);
    assert!(says.contains("in this worker: 100 calls") && says.contains("over TCP: 10 calls"));
    assert!(says.contains('#'), "{says}");
}
