//! What the service manager is told (sd_notify(3)): ready, stopping, and now and then that the loop still turns.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody is told, and nothing wakes for it. The variables are taken out of
//! the environment: they are meant for this process and no child of it.
//!
//! Not here: when it is time (`front`).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use conduit::base::time::Instant;

use crate::io::sys;

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_MICROS: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// How long a busy service manager may keep us from saying that we are ready.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notify {
    manager: Option<Manager>,
    watchdog: Option<Watchdog>,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    is_stopping: bool,
}

#[derive(Debug)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl Notify {
    /// The manager that the environment names. Call it before any thread starts.
    #[must_use]
    pub fn from_environment() -> Notify {
        let manager = env::var_os(SOCKET).and_then(|name| match Manager::open(&name) {
            Ok(manager) => Some(manager),
            Err(error) => {
                log::warn!("the service manager can't be told anything: {SOCKET}: {error}");
                None
            }
        });
        let text = |name| env::var_os(name).and_then(|value| value.into_string().ok());
        let is_for_us = text(WATCHDOG_PID).is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = watchdog_interval(text(WATCHDOG_MICROS).as_deref())
            .filter(|_| is_for_us && manager.is_some());
        sys::remove_environment(&[SOCKET, WATCHDOG_MICROS, WATCHDOG_PID]);
        Notify {
            manager,
            watchdog: watchdog.map(|every| Watchdog {
                every,
                next: Instant::default(),
            }),
        }
    }

    /// All is up.
    pub fn ready(&self) {
        let Some(manager) = &self.manager else {
            return;
        };
        manager.tell("READY=1");
        if let Err(error) = manager.socket.set_nonblocking(true) {
            log::warn!("the service manager may hold us up: {error}");
        }
    }

    /// The configuration is being read again; [`Notify::ready`] follows. The time is what tells this from earlier words
    /// (`Type=notify-reload`).
    pub fn reloading(&self) {
        if let Some(manager) = &self.manager {
            let micros = sys::clock_time(sys::Clock::Monotonic).as_micros();
            manager.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        }
    }

    /// The end begins. Said once.
    pub fn stopping(&mut self) {
        if let Some(manager) = &mut self.manager
            && !manager.is_stopping
        {
            manager.is_stopping = true;
            manager.tell("STOPPING=1");
        }
    }

    /// Says that the loop still turns, if it is time to.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let (Some(manager), Some(watchdog)) = (&self.manager, &mut self.watchdog)
            && now >= watchdog.next
        {
            watchdog.next = now + watchdog.every;
            manager.tell("WATCHDOG=1");
        }
    }

    /// When to say so next.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        self.watchdog
            .as_ref()
            .map_or(Instant::FAR_FUTURE, |watchdog| watchdog.next)
    }
}

impl Manager {
    fn open(name: &OsStr) -> io::Result<Manager> {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(READY_TIMEOUT))?;
        Ok(Manager {
            socket,
            address,
            is_stopping: false,
        })
    }

    fn tell(&self, words: &str) {
        if let Err(error) = self.socket.send_to_addr(words.as_bytes(), &self.address) {
            log::warn!("the service manager was not told {words}: {error}");
        }
    }
}

/// How often to speak: twice as often as is asked for. None where nobody asks.
fn watchdog_interval(micros: Option<&str>) -> Option<Duration> {
    let micros: u64 = micros?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_hears_twice_in_its_time() {
        for (text, expected) in [
            (Some("2000000"), Some(Duration::from_secs(1))),
            (Some("0"), None),
            (Some("-1"), None),
            (Some("soon"), None),
            (None, None),
        ] {
            assert_eq!(watchdog_interval(text), expected, "{text:?}");
        }
    }

    #[test]
    fn without_a_manager_nothing_wakes() {
        let mut notify = Notify::default();
        notify.ready();
        notify.stopping();
        notify.handle_timeout(Instant::from_nanos(1));
        assert_eq!(notify.poll_timeout(), Instant::FAR_FUTURE);
    }
}
