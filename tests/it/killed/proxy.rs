//! Between the tool and its server: lets a number of statements through, one by one, and kills the tool then.

use std::{
    io::{self, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::sandbox::Ran;

/// What only looks, or changes nothing that lasts. Everything else is a change, so that none is missed.
const READS: [&str; 6] =
    ["--", "SELECT pg_try_advisory_lock", "SELECT a.application_name", "SELECT 1", "SET ", "ROLLBACK"];

/// Asks whether one may speak TLS.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// Listens where the tool looks for its server.
pub(super) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Statements that may run before the kill; none: all.
    budget: Option<usize>,
    ran: Vec<String>,
    tool: Option<Pid>,
    killed: Option<Killed>,
    connections: usize,
    closing: bool,
}

/// Where a run was killed.
#[derive(Clone, Debug)]
pub(super) struct Killed {
    /// The last statement that ran.
    pub(super) statement: String,
    /// It took effect: it stood alone, or was the `COMMIT`.
    pub(super) lasts: bool,
    /// Where it ran.
    pub(super) database: String,
}

/// How a run ended.
pub(super) enum Ended {
    Killed(Killed),
    Itself(Ran),
}

impl Proxy {
    /// Takes what comes to `port` to the server at `server`.
    pub(super) fn new(port: u16, server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let shared = Arc::new(Shared { server, state: Mutex::default(), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let shared = accepting.clone();
                if shared.state().closing {
                    break;
                }
                shared.state().connections += 1;
                thread::spawn(move || {
                    // Either side may have gone; the tool says what that means to it.
                    let _ = client.and_then(|client| shared.serve(client));
                    shared.state().connections -= 1;
                    shared.changed.notify_all();
                });
            }
        });
        Self { port, shared }
    }

    /// Runs the tool until it ends, or until so many statements of it have run. No session of it is left then.
    pub(super) fn run(&self, mut command: Command, budget: Option<usize>) -> Ended {
        let child = {
            let mut state = self.shared.state();
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let tool = Some(Pid::from_raw(child.id().try_into().unwrap()));
            *state = State { budget, tool, ..State::default() };
            child
        };
        let output = child.wait_with_output().unwrap();
        let mut state = self.shared.state();
        while state.connections > 0 {
            state = self.shared.changed.wait(state).unwrap();
        }
        match state.killed.take() {
            Some(killed) => Ended::Killed(killed),
            None => Ended::Itself(Ran {
                code: output.status.code().unwrap_or(-1),
                stdout: String::from_utf8(output.stdout).unwrap(),
                stderr: String::from_utf8(output.stderr).unwrap(),
            }),
        }
    }

    /// Changing statements of the last run, `COMMIT` included.
    pub(super) fn ran(&self) -> Vec<String> {
        self.shared.state().ran.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let talked = self.talk(&mut client, &mut server);
        client.shutdown(Shutdown::Both)?;
        // As when a client dies: the server sees the end of the stream, rolls back and closes; only then is all over.
        server.shutdown(Shutdown::Write)?;
        io::copy(&mut server, &mut io::sink())?;
        talked
    }

    /// Strictly question and answer, as the simple protocol is.
    fn talk(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        let mut answers = BufReader::new(server.try_clone()?);
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let mut startup = body(client, length)?;
        if startup == SSL_REQUEST {
            client.write_all(b"N")?;
            client.read_exact(&mut length)?;
            startup = body(client, length)?;
        }
        server.write_all(&length)?;
        server.write_all(&startup)?;
        let mut words = startup[4..].split(|byte| *byte == 0).skip_while(|word| *word != b"database");
        let database = String::from_utf8_lossy(words.nth(1).unwrap()).into_owned();
        client.write_all(&answer(&mut answers)?.0)?;
        loop {
            let mut head = [0; 5];
            client.read_exact(&mut head)?;
            let body = body(client, [head[1], head[2], head[3], head[4]])?;
            if head[0] == b'Q' {
                let text = std::str::from_utf8(&body[..body.len() - 1]).unwrap();
                if let Some(part) = self.last_part(text, &database) {
                    query(server, &part)?;
                    let (_, failure) = answer(&mut answers)?;
                    assert_eq!(failure, None, "{part}");
                    let state = self.state();
                    kill(state.tool.unwrap(), Signal::SIGKILL).unwrap();
                    return Ok(());
                }
            }
            server.write_all(&head)?;
            server.write_all(&body)?;
            if matches!(head[0], b'Q' | b'S') {
                client.write_all(&answer(&mut answers)?.0)?;
            }
        }
    }

    /// What of this message may run, if the tool is to die in or right behind it.
    fn last_part(&self, text: &str, database: &str) -> Option<String> {
        if READS.iter().any(|read| text.starts_with(read)) {
            return None;
        }
        let statements: Vec<&str> = text.split(";\n").collect();
        let begin = usize::from(statements[0] == "BEGIN");
        let counted: Vec<String> = statements[begin..].iter().map(ToString::to_string).collect();
        let mut state = self.state();
        let left = state.budget.map(|budget| budget - state.ran.len());
        let Some(left) = left.filter(|left| *left <= counted.len()) else {
            state.ran.extend(counted);
            return None;
        };
        let statement = counted[left - 1].clone();
        let lasts = begin == 0 || left == counted.len();
        state.killed = Some(Killed { statement, lasts, database: database.to_owned() });
        Some(statements[..begin + left].join(";\n"))
    }
}

fn body(from: &mut impl Read, length: [u8; 4]) -> io::Result<Vec<u8>> {
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn query(server: &mut TcpStream, text: &str) -> io::Result<()> {
    let mut message = vec![b'Q'];
    message.extend(u32::try_from(text.len() + 5).unwrap().to_be_bytes());
    message.extend(text.as_bytes());
    message.push(0);
    server.write_all(&message)
}

/// Everything up to "ready for query", and the error that is in it.
fn answer(server: &mut impl Read) -> io::Result<(Vec<u8>, Option<String>)> {
    let (mut bytes, mut failure) = (Vec::new(), None);
    loop {
        let mut head = [0; 5];
        if let Err(error) = server.read_exact(&mut head) {
            // A last word, and it has hung up.
            return if failure.is_some() { Ok((bytes, failure)) } else { Err(error) };
        }
        let body = body(server, [head[1], head[2], head[3], head[4]])?;
        if head[0] == b'E' {
            failure = Some(String::from_utf8_lossy(&body).replace('\0', " "));
        }
        bytes.extend(head);
        bytes.extend(body);
        if head[0] == b'Z' {
            return Ok((bytes, failure));
        }
    }
}
