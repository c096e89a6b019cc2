//! How one family of a name goes through the name servers, in turn until one knows.
//!
//!   asked --answer--> ended            --TC=1--> the same server over TCP (RFC 7766 section 5)
//!     |  \--failure--> the next        --FORMERR, NOTIMP--> the same server without EDNS
//!     \--timeout--> the next as well: an answer of the first still counts
//!
//! When all have been asked as often as they are, answers are waited for as long as an asker has use for them
//! ([`super::Ask::until`]): the time of a connection is longer than one server may take before the next is asked.
//!
//! Not here: which servers and in which order (`resolver`, `inquiry`), what both families amount to.

use std::net::SocketAddr;
use std::time::Duration;

use super::inquiry::{Half, Try};
use super::{
    ABSENCE_TTL_MAX, ABSENCE_TTL_MIN, ADDRESS_TTL_MAX, LookupError, Output, Resolver,
    ServerTrouble, Timer, Transport,
};
use crate::base::slab::Key;
use crate::base::time::{Instant, Now};
use crate::wire::dns::framing::{self, FirstMessage};
use crate::wire::dns::{self, Answer, DecodeError, Family, Question};

impl Resolver {
    /// Reads a message as the answer to a query; `None` if nobody waits for it.
    pub(super) fn decode(&self, query: Key, message: &[u8]) -> Option<Result<Answer, DecodeError>> {
        let tried = self.tries.get(query)?;
        let question = Question {
            name: &self.inquiries[tried.inquiry].name,
            family: tried.family,
        };
        Some(dns::decode(message, tried.id, question))
    }

    /// A server has answered.
    pub(super) fn on_answer(&mut self, now: Now, query: Key, answer: Answer) {
        let tried = &self.tries[query];
        let (key, family, addr) = (tried.inquiry, tried.family, tried.server);
        let (transport, had_edns) = (tried.transport, tried.edns);
        if let Some(server) = self.server_mut(addr) {
            server.heard = now.mono;
            server.suspect_until = Instant::default();
        }
        let absent_until = |ttl: Duration| now.mono + ttl.clamp(ABSENCE_TTL_MIN, ABSENCE_TTL_MAX);
        let half = match answer {
            Answer::Addresses { addrs, ttl } => Half::Addresses {
                addrs,
                expires: now.mono + ttl.min(ADDRESS_TTL_MAX),
            },
            Answer::NoData { ttl } => Half::NoAddress {
                expires: absent_until(ttl),
            },
            Answer::NoSuchName { ttl } => Half::NoSuchName {
                expires: absent_until(ttl),
            },
            Answer::AliasChain => Half::Failed(LookupError::AliasChain),
            // A server that does not know EDNS (RFC 6891 section 7): without, now and later.
            Answer::FormatError | Answer::NotImplemented if had_edns => {
                if let Some(server) = self.server_mut(addr) {
                    server.edns = false;
                }
                return self.ask_again(now, query, transport);
            }
            Answer::FormatError => return self.fail(now, query, ServerTrouble::Code(1)),
            Answer::NotImplemented => return self.fail(now, query, ServerTrouble::Code(4)),
            Answer::ServerFailure(rcode) => {
                return self.fail(now, query, ServerTrouble::Code(rcode));
            }
            Answer::Truncated if transport == Transport::Udp => {
                return self.ask_again(now, query, Transport::Tcp);
            }
            Answer::Truncated => return self.fail(now, query, ServerTrouble::Truncated),
        };
        self.end_half(now, key, family, half);
    }

    /// Asks the next server; if none is left, and no answer can come in time, the family has failed.
    pub(super) fn ask_next(&mut self, now: Now, key: Key, family: Family) {
        let inquiry = &mut self.inquiries[key];
        let Half::Asking(asking) = &mut inquiry.halves[family as usize] else {
            return;
        };
        match asking.next_server(&inquiry.plan) {
            Some(server) => {
                let transport = inquiry.plan.transport;
                self.ask(now, key, family, server, transport);
            }
            None if now.mono < inquiry.until && !asking.tries.is_empty() => {
                let until = inquiry.until;
                self.wait_for_silence(key, family, until);
            }
            None => {
                let error = LookupError::Servers(asking.trouble);
                self.end_half(now, key, family, Half::Failed(error));
            }
        }
    }

    /// Those who have been asked have until then.
    fn wait_for_silence(&mut self, key: Key, family: Family, until: Instant) {
        let Half::Asking(asking) = &mut self.inquiries[key].halves[family as usize] else {
            unreachable!("a family that has ended waits for nothing")
        };
        let timer = Timer::Silence {
            inquiry: key,
            family,
        };
        self.timers.remove(&(asking.deadline, timer));
        asking.deadline = until;
        self.timers.insert((until, timer));
    }

    fn ask(
        &mut self,
        now: Now,
        key: Key,
        family: Family,
        server: SocketAddr,
        transport: Transport,
    ) {
        let edns = self.server_mut(server).is_some_and(|known| known.edns);
        let id = self.rng.next_u32() as u16;
        let inquiry = &mut self.inquiries[key];
        let name = &*inquiry.name;
        let mut message = Vec::new();
        dns::encode(id, Question { name, family }, edns, &mut message)
            .expect("lookup has checked the name");
        if transport == Transport::Tcp {
            framing::frame(&mut message);
        }
        let query = self.tries.insert(Try {
            inquiry: key,
            family,
            server,
            transport,
            asked: now.mono,
            id,
            edns,
            message,
            sent_bytes: 0,
            received: FirstMessage::default(),
        });
        let Half::Asking(asking) = &mut inquiry.halves[family as usize] else {
            unreachable!("only a family that is asked for asks on")
        };
        asking.tries.push(query);
        let until = now.mono + inquiry.plan.timeout;
        self.wait_for_silence(key, family, until);
        self.outputs.push_back(Output::Query {
            query,
            server,
            transport,
        });
    }

    /// The same question to the same server, which still has to answer it, over `transport` and with EDNS as far
    /// as that server bears it.
    fn ask_again(&mut self, now: Now, query: Key, transport: Transport) {
        let (tried, _) = self.drop_try(query);
        self.outputs.push_back(Output::Forget { query });
        self.ask(now, tried.inquiry, tried.family, tried.server, transport);
    }

    /// A server has said that it doesn't know, or can't be asked: this look-up doesn't ask it again.
    pub(super) fn fail(&mut self, now: Now, query: Key, trouble: ServerTrouble) {
        let (tried, was_newest) = self.drop_try(query);
        if trouble != ServerTrouble::Unreachable {
            self.outputs.push_back(Output::Forget { query });
        }
        let inquiry = &mut self.inquiries[tried.inquiry];
        let Half::Asking(asking) = &mut inquiry.halves[tried.family as usize] else {
            unreachable!("a family that has ended has no tries")
        };
        asking.trouble = trouble;
        asking.given_up.push(tried.server);
        // While a later server has its time, the one after it has to wait.
        if was_newest {
            self.ask_next(now, tried.inquiry, tried.family);
        }
    }

    /// Takes a try out, and says whether its family has not asked anybody since.
    fn drop_try(&mut self, query: Key) -> (Try, bool) {
        let tried = self
            .tries
            .remove(query)
            .expect("the caller has just looked at it");
        let inquiry = &mut self.inquiries[tried.inquiry];
        let Half::Asking(asking) = &mut inquiry.halves[tried.family as usize] else {
            unreachable!("a family that has ended has no tries")
        };
        let was_newest = asking.tries.last() == Some(&query);
        asking.tries.retain(|other| *other != query);
        (tried, was_newest)
    }

    pub(super) fn on_silence(&mut self, now: Now, key: Key, family: Family) {
        let Half::Asking(asking) = &mut self.inquiries[key].halves[family as usize] else {
            unreachable!("a family that has ended has no timer")
        };
        asking.trouble = ServerTrouble::Silent;
        let newest = asking.tries.last().map(|query| &self.tries[*query]);
        if let Some((addr, asked)) = newest.map(|tried| (tried.server, tried.asked))
            && let Some(server) = self.server_mut(addr)
        {
            server.suspect(now.mono, asked);
        }
        self.ask_next(now, key, family);
    }
}
