//! SIGKILL, SIGTERM, SIGINT and SIGHUP, whenever they come.

use std::{
    env, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::signal::Signal;

use super::run::Run;
use crate::support::replica_set::shared::borrow;

const MOMENTS: usize = 30;
/// From the start of a run until shortly behind its end.
const SPAN: u64 = 1200;

/// The same seed, the same numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Whenever it comes: nobody stays locked, nothing runs on, and the exit code is the signal's.
#[test]
fn at_random_moments() {
    let told: Option<u64> = env::var("INFRA_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    let seed = told.unwrap_or_else(now) | 1;
    eprintln!("INFRA_TEST_SEED={seed}");
    let mut random = Random(seed);
    let (mut before, mut during, mut behind) = (0, 0, 0);
    for round in 0..MOMENTS {
        let signal = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP][round % 4];
        let set = borrow(["6.0.5", "6.0.27"][usize::from(round % 5 == 4)]);
        let moment = Duration::from_millis(random.below(SPAN));
        let mut running = Run::of(&set).script("sleep 0.6").start();
        thread::sleep(moment);
        if running.has_ended() {
            running.wait().clean(0);
            behind += 1;
            continue;
        }
        let locked = running.began();
        running.signal(signal);
        let begun = Instant::now();
        if signal == Signal::SIGKILL {
            // It is for the guardian to end all.
            let ended = running.wait();
            ended.ended(-9);
            set.unlocked_within(Duration::from_secs(3));
            ended.gone();
            // It may have been between two members, or behind the last.
            ended.clean(-9);
        } else {
            let ended = running.wait();
            eprintln!("{signal} after {moment:?}: {}", ended.code);
            // It may not have come to listen yet: then nothing has begun.
            if ended.code == -(signal as i32) && ended.stdout.is_empty() && ended.stderr.is_empty() {
                ended.clean(ended.code);
                continue;
            }
            // It may have been over already, all but the words.
            if ended.code != 0 || locked && moment < Duration::from_millis(500) {
                ended.clean(128 + signal as i32);
                assert!(begun.elapsed() < Duration::from_secs(3), "{:?} after {moment:?}", begun.elapsed());
                ended.holds("consistent", false);
            }
            ended.clean(ended.code);
        }
        *(if locked { &mut during } else { &mut before }) += 1;
    }
    eprintln!("{before} before the command, {during} during it, {behind} behind the end");
    assert!(before > 0 && during > 0, "the moments prove little");
}

/// From the unlock on the member is free, long before the command has ended.
#[test]
fn the_unlock_comes_first() {
    let set = borrow("6.0.5");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let mut running =
            Run::of(&set).script("trap 'sleep 1; exit 1' TERM; while :; do sleep 0.1; done").start();
        running.locked();
        running.signal(signal);
        let took = set.unlocked_within(Duration::from_secs(2));
        eprintln!("{signal}: unlocked after {took:?}");
        assert!(took < Duration::from_millis(500), "{signal}: {took:?}");
        let code = if signal == Signal::SIGKILL { -9 } else { 128 + signal as i32 };
        running.wait().clean(code);
    }
}

/// Impatient people press twice, and the terminal tells everybody in the group.
#[test]
fn twice_and_to_all() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 60").start();
    running.locked();
    for process in running.processes() {
        let _ = nix::sys::signal::kill(process.pid, Signal::SIGINT);
    }
    for _ in 0..5 {
        let _ = nix::sys::signal::kill(running.pid(), Signal::SIGINT);
        thread::sleep(Duration::from_millis(5));
    }
    let ended = running.wait();
    // The command was hit too, and may have ended first.
    assert!(ended.code == 130 || ended.code == 12, "{}: {}", ended.code, ended.stderr);
    ended.clean(ended.code);
}

/// Nobody reads what we say any more.
#[test]
fn a_reader_that_has_gone() {
    let set = borrow("6.0.5");
    let mut run = Run::of(&set).script("sleep 0.3");
    let arguments: Vec<String> =
        run.command.get_args().map(|text| text.to_string_lossy().into_owned()).collect();
    let script = run.script_path().display().to_string();
    let mut shell = std::process::Command::new("sh");
    let line = "\"$0\" \"$@\" 2>&1 | true";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_infra")]).args(arguments).args(["--command", &script]);
    run.command = shell;
    let status = run.command.status().unwrap();
    assert!(status.success());
    set.unlocked_within(Duration::from_secs(5));
}
