//! Why a name has no address, and whose trouble that is.

use std::fmt;

use crate::wire::dns;

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// NXDOMAIN for both families.
    NoSuchName,
    /// The name exists.
    NoAddress,
    /// Its aliases lead in a circle or too far.
    AliasChain,
    /// No DNS message can carry it.
    BadName,
    /// `.onion` must not be asked for (RFC 7686 section 2).
    Onion,
    /// None of the name servers knew; this is what the last one did.
    Servers(ServerTrouble),
    /// [`super::LOOKUPS_MAX`] is reached.
    Busy,
}

/// What a name server did instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTrouble {
    /// Nothing, in time.
    Silent,
    /// Its host or ours said that there is no way to it, or nobody listens.
    Unreachable,
    /// SERVFAIL, REFUSED and the like (RFC 1035 section 4.1.1).
    Code(u8),
    /// Its answer is cut, over TCP too.
    Truncated,
    /// Over TCP, it sent something else than one whole answer.
    Broken,
}

impl LookupError {
    /// Whether this is this machine's trouble (its name servers', its limits') and says nothing of the name.
    #[must_use]
    pub const fn is_local(self) -> bool {
        match self {
            LookupError::Servers(_) | LookupError::Busy => true,
            LookupError::NoSuchName
            | LookupError::NoAddress
            | LookupError::AliasChain
            | LookupError::BadName
            | LookupError::Onion => false,
        }
    }

    /// Whether the name servers kept silent.
    #[must_use]
    pub const fn is_silence(self) -> bool {
        matches!(self, LookupError::Servers(ServerTrouble::Silent))
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookupError::NoSuchName => f.write_str("the name does not exist (NXDOMAIN)"),
            LookupError::NoAddress => f.write_str("the name has no address"),
            LookupError::AliasChain => {
                let links = dns::CHAIN_LINKS_MAX;
                write!(
                    f,
                    "the name's aliases lead in a circle or over more than {links} links"
                )
            }
            LookupError::BadName => write!(f, "not a DNS name: {}", dns::NameError),
            LookupError::Onion => f.write_str("names under .onion are not in the DNS (RFC 7686)"),
            LookupError::Servers(trouble) => {
                write!(f, "no name server knew; the last one {trouble}")
            }
            LookupError::Busy => {
                write!(
                    f,
                    "more than {} names are being looked up",
                    super::LOOKUPS_MAX
                )
            }
        }
    }
}

impl fmt::Display for ServerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerTrouble::Silent => f.write_str("did not answer in time"),
            ServerTrouble::Unreachable => f.write_str("could not be reached"),
            ServerTrouble::Code(1) => f.write_str("answered FORMERR"),
            ServerTrouble::Code(2) => f.write_str("answered SERVFAIL"),
            ServerTrouble::Code(4) => f.write_str("answered NOTIMP"),
            ServerTrouble::Code(5) => f.write_str("answered REFUSED"),
            ServerTrouble::Code(code) => write!(f, "answered with code {code}"),
            ServerTrouble::Truncated => f.write_str("cut its answer, over TCP too"),
            ServerTrouble::Broken => f.write_str("gave no whole answer over TCP"),
        }
    }
}

impl std::error::Error for LookupError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_happened_and_whose_trouble_it_is() {
        let servers = |trouble| (LookupError::Servers(trouble), true);
        let table = [
            (
                (LookupError::NoSuchName, false),
                "the name does not exist (NXDOMAIN)",
            ),
            ((LookupError::NoAddress, false), "the name has no address"),
            (
                (LookupError::AliasChain, false),
                "the name's aliases lead in a circle or over more than 16 links",
            ),
            (
                (LookupError::BadName, false),
                "not a DNS name: expected a name of at most 253 bytes with labels of 1 to 63",
            ),
            (
                (LookupError::Onion, false),
                "names under .onion are not in the DNS (RFC 7686)",
            ),
            (
                (LookupError::Busy, true),
                "more than 131072 names are being looked up",
            ),
            (
                servers(ServerTrouble::Silent),
                "no name server knew; the last one did not answer in time",
            ),
            (
                servers(ServerTrouble::Unreachable),
                "no name server knew; the last one could not be reached",
            ),
            (
                servers(ServerTrouble::Code(2)),
                "no name server knew; the last one answered SERVFAIL",
            ),
            (
                servers(ServerTrouble::Code(5)),
                "no name server knew; the last one answered REFUSED",
            ),
            (
                servers(ServerTrouble::Code(9)),
                "no name server knew; the last one answered with code 9",
            ),
            (
                servers(ServerTrouble::Truncated),
                "no name server knew; the last one cut its answer, over TCP too",
            ),
            (
                servers(ServerTrouble::Broken),
                "no name server knew; the last one gave no whole answer over TCP",
            ),
        ];
        for ((error, is_local), text) in table {
            assert_eq!(error.is_local(), is_local, "{text}");
            assert_eq!(error.to_string(), text);
        }
    }
}
