//! The least a client can do: PostgreSQL's protocol over a socket, without passwords, one question at a time; and a
//! wire that is as long as one likes.

use std::{
    collections::VecDeque,
    io::{self, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// A session.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub(crate) fn open(port: u16, user: &str, database: &str) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream: BufReader::with_capacity(1 << 16, stream) };
        let mut startup = vec![0, 0, 0, 0, 0, 3, 0, 0];
        for text in ["user", user, "database", database, ""] {
            startup.extend(text.as_bytes());
            startup.push(0);
        }
        let length = u32::try_from(startup.len()).unwrap();
        startup[..4].copy_from_slice(&length.to_be_bytes());
        wire.stream.get_mut().write_all(&startup)?;
        wire.answer()?;
        Ok(wire)
    }

    /// Answers with the number of bytes that came back.
    pub(crate) fn ask(&mut self, query: &str) -> io::Result<usize> {
        let mut message = vec![b'Q'];
        message.extend(u32::try_from(query.len() + 5).unwrap().to_be_bytes());
        message.extend(query.as_bytes());
        message.push(0);
        self.stream.get_mut().write_all(&message)?;
        self.answer()
    }

    pub(crate) fn close(mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&[b'X', 0, 0, 0, 4])
    }

    fn answer(&mut self) -> io::Result<usize> {
        let (mut total, mut head) = (0, [0; 5]);
        let mut body = Vec::new();
        loop {
            self.stream.read_exact(&mut head)?;
            body.resize(u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4, 0);
            self.stream.read_exact(&mut body)?;
            total += body.len();
            match head[0] {
                b'E' => return Err(io::Error::other(String::from_utf8_lossy(&body).replace('\0', " "))),
                b'Z' => return Ok(total),
                _ => {}
            }
        }
    }
}

/// Does one piece of work for each name, so many at a time.
pub(crate) fn at_once(width: usize, names: &[String], work: impl Fn(&str) + Sync) {
    let left: Mutex<VecDeque<&String>> = Mutex::new(names.iter().collect());
    thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                loop {
                    let Some(name) = left.lock().unwrap().pop_front() else { break };
                    work(name);
                }
            });
        }
    });
}

/// Takes what comes to `port` to `server`, half a round trip late in each direction. Ends with the process.
pub(crate) fn delay(port: u16, server: u16, round_trip: Duration) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || {
                let client = client?;
                // The handshake of TCP.
                thread::sleep(round_trip);
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                pump(client.try_clone()?, server.try_clone()?, round_trip / 2);
                pump(server, client, round_trip / 2);
                Ok::<(), io::Error>(())
            });
        }
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream, late: Duration) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if send.send((Instant::now() + late, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receive {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
