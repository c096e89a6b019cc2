//! The connection to a running conduit: where it is, and what goes wrong with it.
//!
//! Not here: what is said there (`submit`, `ctl`).

use std::env;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::io::log::quoted;

/// Where conduit listens if nobody says otherwise.
const USUAL_PLACE: &str = "/run/conduit/conduit.sock";

/// Names the place for the commands that talk to it; the one that listens has a setting.
const VARIABLE: &str = "CONDUIT_SOCKET";

/// Connects to the conduit that the command line, else the environment names.
///
/// # Errors
/// Why not, in one line.
pub fn connect(given: Option<&Path>) -> Result<UnixStream, String> {
    let path = given.map_or_else(place, Path::to_owned);
    UnixStream::connect(&path).map_err(|error| {
        let path = quoted(&path.to_string_lossy());
        format!("can't connect to conduit at {path}: {error} (--socket, {VARIABLE})")
    })
}

fn place() -> PathBuf {
    let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
    named.map_or_else(|| PathBuf::from(USUAL_PLACE), PathBuf::from)
}
