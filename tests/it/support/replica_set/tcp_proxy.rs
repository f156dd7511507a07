//! The network to one member, which can be cut.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use socket2::SockRef;

/// What happens to what is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    #[default]
    Up,
    /// Connections are reset, new ones too.
    Cut,
    /// Nothing arrives any more, and nobody is told.
    Silent,
    /// As soon as a client has sent a message with this text in it, the message is passed on and everything is cut: nobody hears
    /// the answer.
    CutBehind(&'static str),
    /// As soon as a client sends a message with this text in it, everything is cut, and it is not passed on.
    CutBefore(&'static str),
    /// A message of a client with this text in it waits, the others of its connection behind it, until this is over.
    Hold(&'static str),
}

/// Listens until it is dropped.
pub(crate) struct TcpProxy {
    pub(crate) port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    server: u16,
    /// A message waits.
    holding: bool,
    network: Network,
    connections: Vec<TcpStream>,
    closing: bool,
}

impl TcpProxy {
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Mutex::new(Shared { server, ..Shared::default() }));
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (network, server) = {
                    let shared = accepting.lock().unwrap();
                    if shared.closing {
                        break;
                    }
                    (shared.network.clone(), shared.server)
                };
                if network == Network::Cut {
                    reset(&client);
                    continue;
                }
                // The member may be down; the client then hears what it would hear without us.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                {
                    let mut shared = accepting.lock().unwrap();
                    shared.connections.extend([client.try_clone(), server.try_clone()].into_iter().flatten());
                }
                let shared = accepting.clone();
                thread::spawn(move || carry(from, to, &shared, true));
                let shared = accepting.clone();
                thread::spawn(move || carry(server, client, &shared, false));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn set(&self, network: Network) {
        let mut shared = self.shared.lock().unwrap();
        if network == Network::Cut {
            shared.cut();
        }
        shared.network = network;
    }

    /// From now on it leads to somebody else.
    pub(crate) fn redirect(&self, server: u16) {
        let mut shared = self.shared.lock().unwrap();
        shared.server = server;
        shared.cut();
    }

    /// [`Network::Hold`] has found its message.
    pub(crate) fn is_holding(&self) -> bool {
        self.shared.lock().unwrap().holding
    }

    pub(crate) fn network(&self) -> Network {
        self.shared.lock().unwrap().network.clone()
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        {
            let mut shared = self.shared.lock().unwrap();
            shared.closing = true;
            shared.network = Network::Cut;
            shared.cut();
        }
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn cut(&mut self) {
        for connection in self.connections.drain(..) {
            reset(&connection);
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn reset(connection: &TcpStream) {
    let _ = SockRef::from(connection).set_linger(Some(Duration::ZERO));
}

/// One direction of one connection.
fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Mutex<Shared>, of_client: bool) {
    let _ = to.set_nodelay(true);
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mut network = shared.lock().unwrap().network.clone();
        while network == Network::Silent {
            thread::sleep(Duration::from_millis(20));
            let shared = shared.lock().unwrap();
            network = if shared.closing { Network::Cut } else { shared.network.clone() };
        }
        let has =
            |text: &str| of_client && bytes[..count].windows(text.len()).any(|at| at == text.as_bytes());
        match network {
            Network::Cut => break,
            Network::Hold(text) if has(text) => {
                shared.lock().unwrap().holding = true;
                while shared.lock().unwrap().network == Network::Hold(text) {
                    thread::sleep(Duration::from_millis(5));
                }
                shared.lock().unwrap().holding = false;
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            Network::CutBefore(text) if has(text) => {
                shared.lock().unwrap().network = Network::Cut;
                shared.lock().unwrap().cut();
                break;
            }
            Network::CutBehind(text) if has(text) => {
                // The answer must not come back, and the message must be read before the connection is reset.
                shared.lock().unwrap().network = Network::Silent;
                let _ = to.write_all(&bytes[..count]);
                thread::sleep(Duration::from_millis(100));
                shared.lock().unwrap().network = Network::Cut;
                shared.lock().unwrap().cut();
                break;
            }
            _ => {
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
