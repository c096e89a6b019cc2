//! Which address of an origin has won a race, so that the next dial begins with it: broken IPv6 costs its 250 ms
//! once in ten minutes instead of with each connection (F78).
//!
//! Not here: the race (`dial`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::time::Instant;

/// For how long a winner is tried first; after that the other family has its chance again.
pub const REMEMBERED: Duration = Duration::from_secs(600);

/// The address that is tried first, if one is.
#[derive(Debug, Default)]
pub struct Preference(Option<(IpAddr, Instant)>);

impl Preference {
    /// This address has won. Winning again because it was tried first does not prolong its time.
    pub fn on_won(&mut self, now: Instant, ip: IpAddr) {
        if self.get(now) != Some(ip) {
            self.0 = Some((ip, now + REMEMBERED));
        }
    }

    /// Puts the winner first, or if it is not among them, the first of its family.
    pub fn sort(&self, now: Instant, addrs: &mut [SocketAddr]) {
        let Some(ip) = self.get(now) else {
            return;
        };
        let is_winner = |addr: &SocketAddr| addr.ip() == ip;
        let is_like = |addr: &SocketAddr| addr.is_ipv4() == ip.is_ipv4();
        let first = addrs
            .iter()
            .position(is_winner)
            .or_else(|| addrs.iter().position(is_like));
        if let Some(first) = first {
            addrs[..=first].rotate_right(1);
        }
    }

    fn get(&self, now: Instant) -> Option<IpAddr> {
        self.0.filter(|(_, until)| now < *until).map(|(ip, _)| ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(preference: &Preference, now: Instant, ips: &[&str]) -> Vec<String> {
        let mut addrs: Vec<SocketAddr> = ips
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 443))
            .collect();
        preference.sort(now, &mut addrs);
        addrs.iter().map(|addr| addr.ip().to_string()).collect()
    }

    #[test]
    fn f78_the_winner_or_its_family_comes_first_for_ten_minutes() {
        let start = Instant::from_nanos(1);
        let all = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"];
        let mut preference = Preference::default();
        assert_eq!(sorted(&preference, start, &all), all);
        preference.on_won(start, "192.0.2.2".parse().unwrap());
        let expected = ["192.0.2.2", "2001:db8::1", "192.0.2.1", "2001:db8::2"];
        assert_eq!(sorted(&preference, start, &all), expected);
        let expected = ["192.0.2.1", "2001:db8::1", "2001:db8::2"];
        assert_eq!(sorted(&preference, start, &all[..3]), expected);
        assert_eq!(sorted(&preference, start, &all[..1]), all[..1]);
        assert_eq!(sorted(&preference, start, &[]), [""; 0]);
        // It wins again and again: that does not keep the other family out for ever.
        let end = start + REMEMBERED;
        preference.on_won(start + REMEMBERED / 2, "192.0.2.2".parse().unwrap());
        let before = end - Duration::from_nanos(1);
        assert_eq!(sorted(&preference, before, &all)[0], "192.0.2.2");
        assert_eq!(sorted(&preference, end, &all), all);
        preference.on_won(start, "192.0.2.2".parse().unwrap());
        preference.on_won(start + REMEMBERED / 2, "192.0.2.1".parse().unwrap());
        assert_eq!(sorted(&preference, end, &all)[0], "192.0.2.1");
    }
}
