//! Whether a connection would lead back to this process's own listener (FAULTS section 2, rule C).
//!
//! The guard's one rule that is no table: which addresses are this machine's is known to the system alone, and changes
//! while we run. So it is asked at the moment of connecting, and only where the port is ours. A socket for datagrams
//! that is connected sends nothing, but gets the address that the kernel would send from: to an address of its own
//! that very address. It takes no right that connecting does not take anyway (a list of interfaces would: netlink).
//!
//! Not here: all other rules (`engine/guard`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Whether `addr` has the port `own`, and is this machine.
///
/// # Errors
/// This machine has no socket left to find it out with.
pub fn is_own_listener(own: Option<u16>, addr: SocketAddr) -> io::Result<bool> {
    Ok(own == Some(addr.port()) && is_own(addr.ip())?)
}

fn is_own(ip: IpAddr) -> io::Result<bool> {
    let ip = ip.to_canonical();
    // All of 127.0.0.0/8 is sent to from 127.0.0.1; the unspecified address is loopback to connect(2).
    if ip.is_loopback() || ip.is_unspecified() {
        return Ok(true);
    }
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // No way there: then it is not here.
    let from = socket.connect((ip, 1)).and_then(|()| socket.local_addr());
    Ok(from.is_ok_and(|from| from.ip() == ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_addresses_are_own_on_the_listeners_port_alone() {
        for (ip, expected) in [
            ("127.0.0.1", true),
            ("127.3.2.1", true),
            ("0.0.0.0", true),
            ("::ffff:127.0.0.1", true),
            ("::1", true),
            ("::", true),
            ("192.0.2.1", false),
            ("255.255.255.255", false),
            ("2001:db8::1", false),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            for (own, expected) in [(Some(5000), expected), (Some(5001), false), (None, false)] {
                let addr = SocketAddr::new(ip, 5000);
                assert_eq!(is_own_listener(own, addr).unwrap(), expected, "{addr}");
            }
        }
    }
}
