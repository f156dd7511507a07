//! Between a client and the emulator: counts the calls, and does to the n-th of them what networks and AWS do.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

/// One call, as its request tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Of the signature, such as `rds`.
    pub(crate) service: String,
    pub(crate) action: String,
}

impl Seen {
    /// Whether it may change something.
    pub(crate) fn changes(&self) -> bool {
        let reads = ["Describe", "List", "Get", "AssumeRole"];
        !reads.iter().any(|read| self.action.starts_with(read))
    }
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 400, too many requests. Not carried out.
    Throttled,
    /// 500, 503: an error of AWS itself. Not carried out.
    Status(u16),
    /// 409, somebody else changes the same. Not carried out.
    Conflict,
    /// The connection is reset before AWS hears of it.
    ResetBefore,
    /// It is carried out, and the connection is reset instead of an answer.
    ResetAfter,
    /// A page of something in between, with this status. Not carried out.
    Html(u16),
    /// It is carried out, and the answer drips in over this time.
    Slow(Duration),
    /// It is carried out, and the answer ends in the middle.
    CutOff,
}

/// Which call is meant, counted from 1 since the start or [`FaultProxy::reset`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Call(usize),
    /// Of those that may change something.
    Change(usize),
    Action(&'static str, usize),
    /// All of an action, from now on.
    Every(&'static str),
}

/// When a hook runs: before AWS hears of the call, or when AWS has answered and the client has not heard it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

pub(crate) type Hook = Box<dyn Fn(&Seen) + Send + Sync>;

/// Listens until it is dropped.
pub(crate) struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    delay: Duration,
    calls: Vec<Seen>,
    changes: usize,
    counts: BTreeMap<String, usize>,
    faults: Vec<(When, Fault)>,
    hooks: Vec<(When, Moment, Arc<Hook>)>,
    struck: Vec<(Seen, Fault)>,
    carried_out: Vec<Seen>,
    closing: bool,
}

impl FaultProxy {
    /// Takes everything to the emulator on `server`.
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { server, state: Mutex::default() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.state().closing {
                    break;
                }
                let shared = accepting.clone();
                // The client may have gone; it says itself what that means.
                thread::spawn(move || client.and_then(|client| shared.serve(&client)));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every answer takes so much longer.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.state().delay = delay;
    }

    pub(crate) fn inject(&self, when: When, fault: Fault) {
        self.shared.state().faults.push((when, fault));
    }

    pub(crate) fn hook(&self, when: When, moment: Moment, hook: Hook) {
        self.shared.state().hooks.push((when, moment, Arc::new(hook)));
    }

    /// Everything that was called, in order.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.shared.state().calls.clone()
    }

    /// How often an action was called.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.shared.state().counts.get(action).copied().unwrap_or_default()
    }

    /// What was done to whom.
    pub(crate) fn struck(&self) -> Vec<(Seen, Fault)> {
        self.shared.state().struck.clone()
    }

    /// What the emulator did, whether or not the client heard of it.
    pub(crate) fn carried_out(&self) -> Vec<Seen> {
        self.shared.state().carried_out.clone()
    }

    /// Counts from the start again; faults, hooks and the delay are gone.
    pub(crate) fn reset(&self) {
        *self.shared.state() = State::default();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// What a call is about to meet.
struct Fate {
    fault: Option<Fault>,
    hooks: Vec<(Moment, Arc<Hook>)>,
    delay: Duration,
}

impl Fate {
    fn run(&self, moment: Moment, seen: &Seen) {
        for (_, hook) in self.hooks.iter().filter(|(when, _)| *when == moment) {
            hook(seen);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Call after call on one connection.
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut requests = BufReader::new(client.try_clone()?);
        while let Some(request) = read_request(&mut requests)? {
            let seen = request.seen();
            let fate = self.count(&seen);
            fate.run(Moment::Before, &seen);
            if fate.fault == Some(Fault::ResetBefore) {
                return reset(client);
            }
            let refusal = fate.fault.as_ref().and_then(|fault| refusal(fault, request.is_json()));
            let answer = if let Some(refusal) = refusal {
                refusal
            } else {
                let answer = self.forward(&request)?;
                if answer.starts_with(b"HTTP/1.1 2") {
                    self.state().carried_out.push(seen.clone());
                }
                answer
            };
            fate.run(Moment::After, &seen);
            thread::sleep(fate.delay);
            let mut to = client;
            match fate.fault {
                Some(Fault::ResetAfter) => return reset(client),
                Some(Fault::Slow(time)) => drip(to, &answer, time)?,
                Some(Fault::CutOff) => {
                    to.write_all(&answer[..answer.len() - 20])?;
                    return client.shutdown(Shutdown::Both);
                }
                _ => to.write_all(&answer)?,
            }
        }
        Ok(())
    }

    fn count(&self, seen: &Seen) -> Fate {
        let mut state = self.state();
        state.calls.push(seen.clone());
        state.changes += usize::from(seen.changes());
        let count = state.counts.entry(seen.action.clone()).or_default();
        *count += 1;
        let (of_action, of_all, of_changes) = (*count, state.calls.len(), state.changes);
        let is_meant = |when: &When| match when {
            When::Call(number) => *number == of_all,
            When::Change(number) => seen.changes() && *number == of_changes,
            When::Action(action, number) => *action == seen.action && *number == of_action,
            When::Every(action) => *action == seen.action,
        };
        let fault = state.faults.iter().find(|(when, _)| is_meant(when)).map(|(_, fault)| fault.clone());
        let hooks = state.hooks.iter().filter(|(when, ..)| is_meant(when));
        let hooks = hooks.map(|(_, moment, hook)| (*moment, hook.clone())).collect();
        if let Some(fault) = &fault {
            state.struck.push((seen.clone(), fault.clone()));
        }
        Fate { fault, hooks, delay: state.delay }
    }

    /// The whole answer of the emulator, on a connection of its own.
    fn forward(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server))?;
        write!(server, "{}\r\nConnection: close\r\n", request.line)?;
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "connection") {
            write!(server, "{name}: {value}\r\n")?;
        }
        server.write_all(b"\r\n")?;
        server.write_all(&request.body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let end =
            answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = &answer[end + 4..];
        let head = String::from_utf8_lossy(&answer[..end]);
        let kept = head.split("\r\n").filter(|line| {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            !["connection", "content-length"].contains(&name.as_str())
        });
        let kept: Vec<&str> = kept.collect();
        let mut whole =
            format!("{}\r\nContent-Length: {}\r\n\r\n", kept.join("\r\n"), body.len()).into_bytes();
        whole.extend(body);
        Ok(whole)
    }
}

struct Request {
    line: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The next request; none at the end of the connection.
fn read_request(from: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { line: lines.swap_remove(0), headers, body: Vec::new() };
    let length = request.header("content-length").unwrap_or("0").parse().unwrap();
    request.body = vec![0; length];
    from.read_exact(&mut request.body)?;
    Ok(Some(request))
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn is_json(&self) -> bool {
        self.header("x-amz-target").is_some()
    }

    fn seen(&self) -> Seen {
        let scope = self.header("authorization").and_then(|value| value.split("Credential=").nth(1));
        let service = scope.and_then(|scope| scope.split('/').nth(3)).unwrap_or("unsigned");
        let target = self.header("x-amz-target").and_then(|target| target.rsplit('.').next());
        let body = String::from_utf8_lossy(&self.body);
        let form = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
        let action = target.or(form).unwrap_or(&self.line);
        Seen { service: service.into(), action: action.into() }
    }
}

/// The answer that comes instead of the emulator's; none where the call is carried out.
fn refusal(fault: &Fault, is_json: bool) -> Option<Vec<u8>> {
    let (status, code, message) = match fault {
        Fault::Throttled if is_json => (400, "ThrottlingException", "Rate exceeded"),
        Fault::Throttled => (400, "Throttling", "Rate exceeded"),
        Fault::Conflict => {
            (409, "ConcurrentModification", "The request was rejected because of a concurrent change")
        }
        Fault::Status(503) => (503, "ServiceUnavailable", "The service is unavailable"),
        Fault::Status(status) => (*status, "InternalFailure", "An internal error has occurred"),
        Fault::Html(status) => {
            let page = "<html><head><title>Gateway</title></head><body><h1>Please sign in</h1></body></html>";
            return Some(whole(*status, "text/html", page));
        }
        Fault::ResetBefore | Fault::ResetAfter | Fault::Slow(_) | Fault::CutOff => return None,
    };
    Some(if is_json {
        let body = serde_json::json!({"__type": code, "message": message}).to_string();
        whole(status, "application/x-amz-json-1.1", &body)
    } else {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
        );
        whole(status, "text/xml", &body)
    })
}

fn whole(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Ends the connection with a reset instead of an orderly close.
fn reset(client: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(client).set_linger(Some(Duration::ZERO))?;
    // The reader has a handle of its own, and the last one to go sends the reset; both go with the caller.
    Ok(())
}

/// In twenty pieces.
fn drip(mut to: &TcpStream, answer: &[u8], time: Duration) -> io::Result<()> {
    for piece in answer.chunks(answer.len().div_ceil(20)) {
        to.write_all(piece)?;
        thread::sleep(time / 20);
    }
    Ok(())
}
