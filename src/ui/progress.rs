//! What is being done, line by line, in Terraform's words. Lines are never rewritten, so that a CI log reads well.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{safe::safe, terminal};
use crate::{
    engine::{Event, Observer, Verb},
    model::Address,
    report,
};

/// After so long without news, a running change is reported again.
const BEAT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Lines for people, on stderr.
    Lines { colour: bool },
    /// Only what went wrong.
    Quiet,
    /// One JSON object per line on stdout, in the shape of `terraform apply -json`.
    Json,
}

/// Where finished lines go.
type Sink = Box<dyn Fn(&str) -> io::Result<()>>;

struct Running {
    verb: Verb,
    since: Instant,
    told: Instant,
    status: Option<String>,
}

/// An observer of an apply. Let [`Progress::beat`] run beside it.
pub struct Progress {
    manner: Manner,
    running: RefCell<BTreeMap<Address, Running>>,
    /// The reader of stdout has gone.
    closed: Cell<bool>,
    sink: Sink,
}

impl Progress {
    pub fn new(manner: Manner) -> Self {
        match manner {
            Manner::Json => Self::into(manner, |line| {
                let mut stdout = io::stdout().lock();
                stdout.write_all(safe(line).as_bytes()).and_then(|()| stdout.flush())
            }),
            Manner::Lines { .. } | Manner::Quiet => Self::into(manner, |line| {
                terminal::err(line);
                Ok(())
            }),
        }
    }

    fn into(manner: Manner, sink: impl Fn(&str) -> io::Result<()> + 'static) -> Self {
        Self { manner, running: RefCell::default(), closed: Cell::new(false), sink: Box::new(sink) }
    }

    /// Reports what runs on, for as long as it is polled: `select!` it against the apply, which ends it.
    pub async fn beat(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.tick();
        }
    }

    /// Reports each change of which nothing was heard for ten seconds.
    pub fn tick(&self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (address, running) in self.running.borrow_mut().iter_mut() {
            if now.duration_since(running.told) >= BEAT {
                running.told = now;
                due.push((
                    address.clone(),
                    running.verb,
                    now.duration_since(running.since),
                    running.status.clone(),
                ));
            }
        }
        for (address, verb, elapsed, status) in due {
            let status = status.map(|status| format!(", status={}", report::visible(&status)));
            let message =
                format!("{} [{} elapsed{}]", still(verb), clock(elapsed), status.unwrap_or_default());
            self.tell("apply_progress", &address, verb, &message, Some(elapsed));
        }
    }

    /// Whether the reader of stdout has gone. An apply goes on regardless: half of one helps nobody.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    fn tell(&self, kind: &str, address: &Address, verb: Verb, message: &str, elapsed: Option<Duration>) {
        let shown = report::visible(address.as_str());
        match self.manner {
            Manner::Quiet => {}
            Manner::Lines { colour: true } => self.put(&format!("\x1b[1m{shown}: {message}\x1b[0m\n")),
            Manner::Lines { colour: false } => self.put(&format!("{shown}: {message}\n")),
            Manner::Json => {
                let mut hook = json!({ "resource": resource(address), "action": word(verb) });
                if let (Some(elapsed), Value::Object(hook)) = (elapsed, &mut hook) {
                    hook.insert("elapsed_seconds".into(), elapsed.as_secs().into());
                }
                self.object("info", kind, &format!("{shown}: {message}"), json!({ "hook": hook }));
            }
        }
    }

    fn object(&self, level: &str, kind: &str, message: &str, more: Value) {
        let mut object = json!({
            "@level": level, "@message": message, "@module": "infra.ui",
            "@timestamp": jiff::Timestamp::now().to_string(), "type": kind,
        });
        if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
            object.extend(more);
        }
        self.put(&format!("{object}\n"));
    }

    fn put(&self, line: &str) {
        if !self.closed.get() && (self.sink)(line).is_err() {
            self.closed.set(true);
        }
    }

    fn failed(&self, address: &Address, verb: Verb, elapsed: Duration, error: &(dyn Error + 'static)) {
        let shown = report::visible(address.as_str());
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        let text = report::visible(&text);
        let message = format!("{shown}: {} failed after {}: {text}", noun(verb), seconds(elapsed));
        match self.manner {
            Manner::Json => {
                let hook = json!({
                    "resource": resource(address), "action": word(verb), "elapsed_seconds": elapsed.as_secs(),
                });
                self.object("error", "apply_errored", &message, json!({ "hook": hook, "error": text }));
            }
            Manner::Lines { colour: true } => self.put(&format!("\x1b[31m{message}\x1b[0m\n")),
            Manner::Lines { colour: false } | Manner::Quiet => self.put(&format!("{message}\n")),
        }
    }
}

impl Observer for Progress {
    fn on(&self, event: &Event<'_>) {
        let now = Instant::now();
        let ended = |address: &Address| {
            let running = self.running.borrow_mut().remove(address);
            running.map(|running| now.duration_since(running.since)).unwrap_or_default()
        };
        match event {
            Event::Started { address, verb } => {
                let running = Running { verb: *verb, since: now, told: now, status: None };
                // A step that was rolled back comes again; it was announced already.
                if self.running.borrow_mut().insert((*address).clone(), running).is_none() {
                    self.tell("apply_start", address, *verb, begins(*verb), None);
                }
            }
            Event::Progress { address, message } => {
                if let Some(running) = self.running.borrow_mut().get_mut(*address) {
                    running.status = Some((*message).to_string());
                }
            }
            Event::Done { address, verb } => {
                let elapsed = ended(address);
                let message = format!("{} after {}", ends(*verb), seconds(elapsed));
                self.tell("apply_complete", address, *verb, &message, Some(elapsed));
            }
            Event::Failed { address, verb, error } => {
                let elapsed = ended(address);
                self.failed(address, *verb, elapsed, error.as_ref());
            }
            Event::Skipped { address, because } => {
                self.running.borrow_mut().remove(*address);
                let (shown, because) = (report::visible(address.as_str()), report::visible(because.as_str()));
                let message = format!("{shown}: Skipped, because of {because}");
                match self.manner {
                    Manner::Quiet => {}
                    Manner::Lines { .. } => self.put(&format!("{message}\n")),
                    Manner::Json => {
                        let hook = json!({ "resource": resource(address), "because": because });
                        self.object("warn", "apply_skipped", &message, json!({ "hook": hook }));
                    }
                }
            }
        }
    }
}

fn resource(address: &Address) -> Value {
    json!({
        "addr": address.as_str(), "module": "", "resource": address.as_str(), "implied_provider": "infra",
        "resource_type": address.kind(), "resource_name": address.path(), "resource_key": null,
    })
}

/// Terraform's words for actions in JSON.
fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Replace => "replace",
        Verb::Delete => "delete",
    }
}

fn begins(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "Creating...",
        Verb::Update => "Modifying...",
        Verb::Replace => "Replacing...",
        Verb::Delete => "Destroying...",
    }
}

fn still(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "Still creating...",
        Verb::Update => "Still modifying...",
        Verb::Replace => "Still replacing...",
        Verb::Delete => "Still destroying...",
    }
}

fn ends(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "Creation complete",
        Verb::Update => "Modifications complete",
        Verb::Replace => "Replacement complete",
        Verb::Delete => "Destruction complete",
    }
}

fn noun(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "Creation",
        Verb::Update => "Modification",
        Verb::Replace => "Replacement",
        Verb::Delete => "Destruction",
    }
}

/// `00m10s`, as Terraform writes it since 1.12; hours are minutes too.
fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{:02}m{:02}s", seconds / 60, seconds % 60)
}

/// `0s`, `2m5s`, `1h0m3s`
fn seconds(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn heard(manner: Manner) -> (Progress, Rc<RefCell<String>>) {
        let heard = Rc::new(RefCell::new(String::new()));
        let into = heard.clone();
        let progress = Progress::into(manner, move |line| {
            into.borrow_mut().push_str(line);
            Ok(())
        });
        (progress, heard)
    }

    /// 25 seconds of one create, with a status after the first beat, then a failed update and what hangs on it.
    async fn story(progress: &Progress) {
        let (one, two) = (Address::new("aurora_cluster", "main"), Address::new("pg_role", "main/a\x1b[2J"));
        progress.on(&Event::Started { address: &one, verb: Verb::Create });
        progress.on(&Event::Started { address: &one, verb: Verb::Create });
        let run = async {
            tokio::time::sleep(Duration::from_millis(12_500)).await;
            progress.on(&Event::Progress { address: &one, message: "backing-up" });
            tokio::time::sleep(Duration::from_millis(12_500)).await;
        };
        tokio::select! {
            () = run => {}
            never = progress.beat() => match never {},
        }
        progress.on(&Event::Done { address: &one, verb: Verb::Create });
        progress.on(&Event::Started { address: &two, verb: Verb::Update });
        let error: crate::engine::Error = "no\nroute".into();
        progress.on(&Event::Failed { address: &two, verb: Verb::Update, error: &error });
        progress.on(&Event::Skipped { address: &one, because: &two });
    }

    #[tokio::test(start_paused = true)]
    async fn lines_for_people() {
        let (progress, said) = heard(Manner::Lines { colour: false });
        story(&progress).await;
        insta::assert_snapshot!(said.borrow(), @r"
        aurora_cluster.main: Creating...
        aurora_cluster.main: Still creating... [00m10s elapsed]
        aurora_cluster.main: Still creating... [00m20s elapsed, status=backing-up]
        aurora_cluster.main: Creation complete after 25s
        pg_role.main/a\u001b[2J: Modifying...
        pg_role.main/a\u001b[2J: Modification failed after 0s: no\nroute
        aurora_cluster.main: Skipped, because of pg_role.main/a\u001b[2J
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_went_wrong() {
        let (progress, said) = heard(Manner::Quiet);
        story(&progress).await;
        insta::assert_snapshot!(said.borrow(), @r"pg_role.main/a\u001b[2J: Modification failed after 0s: no\nroute");
    }

    #[tokio::test(start_paused = true)]
    async fn objects_for_programs() {
        let (progress, said) = heard(Manner::Json);
        story(&progress).await;
        let mut shapes = String::new();
        for line in said.borrow().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            assert!(value["@timestamp"].is_string() && value["@message"].is_string());
            let hook = &value["hook"];
            let _ = writeln!(
                shapes,
                "{} {} {} {}",
                value["type"], hook["resource"]["addr"], hook["action"], hook["elapsed_seconds"]
            );
        }
        insta::assert_snapshot!(shapes, @r#"
        "apply_start" "aurora_cluster.main" "create" null
        "apply_progress" "aurora_cluster.main" "create" 10
        "apply_progress" "aurora_cluster.main" "create" 20
        "apply_complete" "aurora_cluster.main" "create" 25
        "apply_start" "pg_role.main/a\u001b[2J" "update" null
        "apply_errored" "pg_role.main/a\u001b[2J" "update" 0
        "apply_skipped" "aurora_cluster.main" null null
        "#);
    }

    #[test]
    fn lengths_of_time() {
        for (given, short, long) in
            [(0, "00m00s", "0s"), (70, "01m10s", "1m10s"), (3_605, "60m05s", "1h0m5s")]
        {
            let elapsed = Duration::from_secs(given);
            assert_eq!((clock(elapsed).as_str(), seconds(elapsed).as_str()), (short, long));
        }
    }

    #[test]
    fn a_reader_that_has_gone_does_not_stop_an_apply() {
        let progress = Progress::into(Manner::Json, |_| Err(io::ErrorKind::BrokenPipe.into()));
        progress.on(&Event::Started { address: &Address::new("a", "b"), verb: Verb::Create });
        assert!(progress.is_closed());
    }
}
