//! The resolver's sockets: UDP, and TCP where an answer is cut or resolv.conf says so.
//!
//! A query has one socket, from [`resolver::Output::Query`] until the resolver forgets it or the socket breaks; how
//! long it may take is the resolver's affair. Where a name server is asked is this machine's own choice
//! (resolv.conf), not a job's: so its address does not pass the guard, while what it answers does (`dialing`).
//!
//! Not here: whom to ask what, and when (`resolver`).

use crate::base::slab::Key;
use crate::base::time::Now;
use crate::engine::event::{Input, Output, SockId};
use crate::engine::resolver::{self, Transport};
use crate::engine::{Engine, Owner};

impl Engine {
    /// The query whose socket this is about, if it is one's.
    pub(super) fn query_of(&self, input: &Input<'_>) -> Option<(SockId, Key)> {
        let sock = input.sock()?;
        match self.sockets.get(sock.0) {
            Some(Owner::Query(query)) => Some((sock, *query)),
            Some(Owner::Connection(_)) | None => None,
        }
    }

    /// Something happened on the socket of a query.
    pub(super) fn on_query(&mut self, now: Now, sock: SockId, query: Key, input: Input<'_>) {
        match input {
            Input::Connected { .. } => {
                let look = false;
                self.outputs.push_back(Output::Transmit { sock, look });
            }
            Input::Sent { bytes, .. } => self.resolver.handle_sent(query, bytes),
            Input::Received { bytes, end, .. } => {
                self.resolver.handle_received(now, query, bytes, end)
            }
            Input::Answer { message, .. } => self.resolver.handle_answer(now, query, message),
            Input::ConnectFailed { .. } | Input::Closed { .. } => {
                self.forget_query(query, false);
                self.resolver.handle_query_failed(now, query);
            }
            // What is left to be read says how it ends. A query's socket is never secured, and nothing else is
            // about a socket.
            Input::WriteFailed { .. }
            | Input::Secured { .. }
            | Input::Job(_)
            | Input::Names(_)
            | Input::Policy(_)
            | Input::Own { .. }
            | Input::Ask { .. }
            | Input::Breaker { .. }
            | Input::Drain
            | Input::Abort => {}
        }
        self.pump_resolver(now);
    }

    /// Does what the resolver asks for.
    pub(super) fn pump_resolver(&mut self, now: Now) {
        while let Some(output) = self.resolver.poll_output() {
            match output {
                resolver::Output::Query { query, .. } if !self.resolver.is_wanted(query) => {}
                resolver::Output::Query {
                    query,
                    server,
                    transport,
                } => {
                    let sock = SockId(self.sockets.insert(Owner::Query(query)));
                    if self.query_socks.len() <= query.index() {
                        self.query_socks.resize(query.index() + 1, None);
                    }
                    self.query_socks[query.index()] = Some(sock);
                    self.outputs.push_back(match transport {
                        Transport::Udp => Output::Query { sock, server },
                        Transport::Tcp => Output::Connect {
                            sock,
                            addr: server,
                            keep_alive: self.policy.endpoint.keep_alive(),
                        },
                    });
                }
                resolver::Output::Forget { query } => self.forget_query(query, true),
                resolver::Output::Resolved { asker, result } => {
                    self.on_resolved(now, asker, &result)
                }
            }
        }
    }

    /// Closes a query's socket; `open`: the shell still has it.
    fn forget_query(&mut self, query: Key, open: bool) {
        let Some(sock) = self
            .query_socks
            .get_mut(query.index())
            .and_then(Option::take)
        else {
            return;
        };
        self.sockets.remove(sock.0);
        if open {
            self.outputs.push_back(Output::Close { sock });
        }
    }
}
